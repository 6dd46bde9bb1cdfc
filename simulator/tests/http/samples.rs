//! Every sample of what the server sends is accepted and answered as Meta answers it; each limit is held.

use iassistance_simulator::Act;
use serde_json::{Value, json};

use crate::support::{
    ANA, IG_LOGIN, IG_TOKEN, NUMBER, PAGE, PAGE_TOKEN, TOKEN, all_products, ask, does, graph, refusal, says,
    send_as, soon, start, text_to,
};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/outbound");

fn samples(prefix: &str) -> Vec<(String, Value)> {
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(SAMPLES).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with(prefix) {
            samples.push((name, serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap()));
        }
    }
    samples.sort_by(|one, other| one.0.cmp(&other.0));
    samples
}

/// The same with our ids in place of the samples'.
fn with_ids(body: &Value, ids: &[(&str, &str)]) -> Value {
    let text = ids.iter().fold(body.to_string(), |text, (from, to)| text.replace(from, to));
    serde_json::from_str(&text).unwrap()
}

pub async fn upload(
    simulator: &iassistance_simulator::Simulator,
    mime: &str,
    bytes: &str,
) -> crate::support::Answer {
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--b\r\n\
         Content-Disposition: form-data; name=\"type\"\r\n\r\n{mime}\r\n--b\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"i\"\r\nContent-Type: {mime}\r\n\r\n{bytes}\r\n--b--\r\n"
    );
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=b")];
    let path = format!("/v24.0/{NUMBER}/media");
    soon(crate::support::call(simulator, "POST", &path, &headers, form)).await.unwrap()
}

#[tokio::test]
async fn every_whatsapp_sample_is_accepted() {
    let (simulator, _clock) = start(all_products()).await;
    let inbound = simulator.say(ANA, "hi").unwrap();
    let user_id = simulator.contacts()[0].user_id.clone();
    let mut ids = vec![("wamid.IN1".to_owned(), inbound), ("US.EXAMPLEUSER1".to_owned(), user_id)];
    let kinds = ["image/png", "application/pdf", "audio/ogg", "image/webp"];
    for (number, mime) in kinds.into_iter().enumerate() {
        let answer = upload(&simulator, mime, "bytes").await;
        assert_eq!(answer.status, 200);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        ids.push((format!("30000000000000{}", number + 1), id));
    }
    let ids: Vec<(&str, &str)> = ids.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let mut sent = 0;
    for (name, sample) in samples("wa_").iter().filter(|(_, sample)| sample["body"].is_object()) {
        let answer = graph(&simulator, &with_ids(&sample["body"], &ids)).await.unwrap();
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let json = answer.json();
        if name.starts_with("wa_mark_read") {
            assert_eq!(json, sample["response"], "{name}");
            continue;
        }
        sent += 1;
        assert_eq!(json["messaging_product"], "whatsapp", "{name}");
        assert!(json["contacts"][0]["input"].is_string(), "{name}");
        assert!(json["messages"][0]["id"].as_str().unwrap().starts_with("wamid."), "{name}");
    }
    assert_eq!(sent, 21);
    let seen = simulator.transcript(ANA);
    let chosen = seen.iter().find(|item| item.text == "Dzień dobry Ada, zamówienie jest w drodze.").unwrap();
    assert_eq!(
        (chosen.shown.choices[0].id.as_str(), chosen.shown.choices[0].title.as_str()),
        ("P", "Gdzie jest paczka?")
    );
}

#[tokio::test]
async fn every_messenger_and_instagram_sample_is_accepted() {
    let (simulator, clock) = start(all_products()).await;
    for (prefix, node, token, psid) in
        [("fb_", PAGE, PAGE_TOKEN, "910000000000001"), ("ig_", IG_LOGIN, IG_TOKEN, "920000000000001")]
    {
        let inbound = says(&simulator, ANA, node, "hi");
        assert_eq!(simulator.scoped_id(ANA, node).as_deref(), Some(psid));
        let comment =
            does(&simulator, ANA, node, Act::Comment { text: "how much?".into(), by_business: false });
        let ids = [
            ("m_IN1", inbound.as_str()),
            ("aWdIN1", inbound.as_str()),
            ("1_2", comment.as_str()),
            ("17900000000000001", comment.as_str()),
        ];
        for (name, sample) in samples(prefix) {
            let answer = send_as(&simulator, token, node, &with_ids(&sample["body"], &ids)).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            let json = answer.json();
            for key in sample["response"].as_object().unwrap().keys() {
                assert!(json[key].is_string(), "{name} answers {key}");
            }
            assert_eq!(json["recipient_id"], psid, "{name}");
        }
        clock.advance_millis(1);
    }
    assert_eq!(simulator.all_sends().len(), 14);
    let human = simulator.transcript(ANA);
    assert!(human.iter().any(|item| item.business_reaction.as_deref() == Some("❤")));
}

#[tokio::test]
async fn whatsapp_limits_are_held_one_over_each() {
    let (simulator, _clock) = start(all_products()).await;
    simulator.say(ANA, "hi").unwrap();
    let message = |kind: &str, body: Value| {
        let mut message = text_to(ANA, "x");
        message.as_object_mut().unwrap().remove("text");
        message["type"] = json!(kind);
        message[kind] = body;
        message
    };
    let interactive = |kind: &str, words: usize, action: Value| {
        message("interactive", json!({"type": kind, "body": {"text": "x".repeat(words)}, "action": action}))
    };
    let buttons = |count: usize, title: usize, id: usize| {
        let all = (0..count).map(|n| {
            let reply = json!({"id": format!("{n}{}", "i".repeat(id - 1)), "title": format!("{n}{}", "t".repeat(title - 1))});
            json!({"type": "reply", "reply": reply})
        });
        json!({"buttons": all.collect::<Vec<_>>()})
    };
    let list = |sections: usize, rows: usize, description: usize| {
        let section = |s: usize| {
            let rows = (0..rows).map(
                |r| json!({"id": format!("{s}-{r}"), "title": "t", "description": "d".repeat(description)}),
            );
            json!({"title": "s", "rows": rows.collect::<Vec<_>>()})
        };
        json!({"button": "b", "sections": (0..sections).map(section).collect::<Vec<_>>()})
    };
    let link = |title: usize| json!({"name": "cta_url", "parameters": {"display_text": "t".repeat(title), "url": "https://example.com"}});
    let template = |name: &str, parameters: usize| {
        let parameter = json!({"type": "text", "text": "Ada"});
        let body = json!({"type": "body", "parameters": vec![parameter; parameters]});
        message("template", json!({"name": name, "language": {"code": "en_US"}, "components": [body]}))
    };
    let image = |caption: usize| {
        message("image", json!({"link": "https://example.com/i.png", "caption": "c".repeat(caption)}))
    };
    let table = [
        (interactive("button", 1_024, buttons(3, 20, 256)), 0),
        (interactive("button", 1_025, buttons(3, 20, 256)), 131_009),
        (interactive("button", 1, buttons(4, 20, 256)), 131_009),
        (interactive("button", 1, buttons(1, 21, 1)), 131_009),
        (interactive("button", 1, buttons(1, 1, 257)), 131_009),
        (interactive("button", 1, buttons(0, 1, 1)), 131_008),
        (interactive("list", 4_096, list(1, 10, 72)), 0),
        (interactive("list", 4_097, list(1, 1, 1)), 131_009),
        (interactive("list", 1, list(1, 11, 1)), 131_009),
        (interactive("list", 1, list(2, 6, 1)), 131_009),
        (interactive("list", 1, list(11, 1, 1)), 131_009),
        (interactive("list", 1, list(1, 1, 73)), 131_009),
        (interactive("cta_url", 1, link(20)), 0),
        (interactive("cta_url", 1, link(21)), 131_009),
        (image(1_024), 0),
        (image(1_025), 131_009),
        (message("image", json!({"id": "1"})), 131_009),
        (message("image", json!({})), 131_008),
        (message("image", json!({"id": "1", "link": "https://example.com"})), 131_009),
        (message("image", json!({"link": "file:///etc/passwd"})), 131_009),
        (message("audio", json!({"link": "https://example.com/a", "caption": "no"})), 100),
        (message("location", json!({"latitude": 91, "longitude": 0})), 131_009),
        (message("location", json!({"latitude": 1})), 131_008),
        (message("contacts", json!([{"name": {"formatted_name": "A"}}])), 131_008),
        (message("reaction", json!({"message_id": "wamid.NONE", "emoji": "x"})), 131_009),
        (template("hello_world", 0), 0),
        (template("no_such_thing", 0), 132_001),
        (template("order_update", 0), 132_000),
        (template("order_update", 2), 132_000),
        (template("order_update2", 1), 132_012),
        (template("old_offer", 0), 132_015),
    ];
    for (body, expected) in table {
        let answer = graph(&simulator, &body).await.unwrap();
        let code = answer.json()["error"]["code"].as_u64().unwrap_or(0);
        assert_eq!(code, expected, "{body}: {}", answer.text());
    }
}

#[tokio::test]
async fn instagram_counts_bytes_and_messenger_characters() {
    let (simulator, _clock) = start(all_products()).await;
    says(&simulator, ANA, PAGE, "hi");
    says(&simulator, ANA, IG_LOGIN, "hi");
    let (psid, igsid) = ("910000000000001", "920000000000001");
    let text = |to: &str, text: String| crate::support::social_text(to, &text);
    for (node, token, body, expected) in [
        (PAGE, PAGE_TOKEN, text(psid, "ä".repeat(2_000)), (200, 0, 0)),
        (PAGE, PAGE_TOKEN, text(psid, "ä".repeat(2_001)), (400, 100, 0)),
        (IG_LOGIN, IG_TOKEN, text(igsid, "ä".repeat(500)), (200, 0, 0)),
        (IG_LOGIN, IG_TOKEN, text(igsid, "ä".repeat(501)), (400, 100, 0)),
    ] {
        assert_eq!(refusal(&send_as(&simulator, token, node, &body).await), expected, "{node}");
    }
    let me = ask(&simulator, "POST", IG_TOKEN, "me/messages", &text(igsid, "to me".into())).await;
    assert_eq!(me.status, 200);
}
