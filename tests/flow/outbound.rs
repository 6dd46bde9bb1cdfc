//! What leaves: every form of every product, its limits, and long texts in pieces. Each send is held
//! against the sample of Meta's documents by having the simulator take both.

use std::fs;

use iassistance_domain::id::{ConversationId, MessageId};
use iassistance_simulator::{AcceptedSend, Act, NewContact};
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::{CHANNELS, DAY_MS, FIXTURES, INSTAGRAM, INSTAGRAM_USER, PAGE, flying, token};

/// Somebody whom the samples write to, and what they said on each product.
struct Ada {
    conversation: ConversationId,
    said: MessageId,
    said_at_meta: String,
}

async fn meet(flow: &Flow, account: &str) -> Ada {
    let said_at_meta = flow.says("Ada", account, "hello");
    let (conversation, message) = flow.message_called(0, &said_at_meta).await;
    Ada { conversation, said: message.id, said_at_meta }
}

async fn start() -> Flow {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    let ada = NewContact { name: "Ada".into(), wa_id: Some("15550199001".into()), hides_number: false };
    flow.simulator.add_contact(ada).unwrap();
    flow
}

/// What can be compared of a send: not its ids.
fn comparable(send: &AcceptedSend) -> Value {
    let mut shown = serde_json::to_value(&send.shown).unwrap();
    for media in shown["media"].as_array_mut().into_iter().flatten() {
        if media.get("id").is_some() {
            media["id"] = json!("an id");
        }
    }
    json!({ "account": send.phone_number_id, "to": send.to, "text": send.text, "shown": shown,
            "quotes": send.quoting.is_some() })
}

/// Posts a sample's body to the simulator as it is, but for ids that have to be real here.
async fn post_sample(flow: &Flow, account: &str, name: &str, ids: &[(&str, &str)]) {
    let sample = fs::read_to_string(format!("{FIXTURES}/outbound/{name}.json")).unwrap();
    let sample: Value = serde_json::from_str(&sample).unwrap();
    let mut body = sample["body"].to_string();
    for (from, to) in ids {
        assert!(body.contains(from), "{name} has no {from}");
        body = body.replace(from, to);
    }
    let node = if account == INSTAGRAM { INSTAGRAM_USER } else { account };
    let url = format!("{}/v24.0/{node}/messages", flow.simulator.graph_url());
    let request = flow.http.post(url).bearer_auth(token(account)).header("content-type", "application/json");
    let answer = within("an answer", request.body(body.clone()).send()).await.unwrap();
    let (status, answer) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{name}: {answer} to {body}");
}

/// The engine's send and the sample's, in the simulator's eyes.
async fn compare(flow: &Flow, account: &str, ada: &Ada, name: &str, reply: Value, ids: &[(&str, &str)]) {
    let before = flow.simulator.all_sends().len();
    let message = flow.replied(ada.conversation, reply).await;
    flow.sends(before + 1).await;
    let ours = flow.simulator.all_sends().pop().unwrap();
    if account != INSTAGRAM {
        assert_eq!(ours.opaque.as_deref(), Some(&*message.to_string()), "{name}: our id travels with it");
    }
    let file = ours.shown.media.first().and_then(|media| media.id.clone());
    let mut ids: Vec<(String, String)> =
        ids.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    if let Some(file) = file {
        let sample = fs::read_to_string(format!("{FIXTURES}/outbound/{name}.json")).unwrap();
        let at = sample.find("3000000000000").unwrap();
        ids.push((sample[at..at + 15].to_owned(), file));
    }
    let ids: Vec<(&str, &str)> = ids.iter().map(|(from, to)| (&**from, &**to)).collect();
    post_sample(flow, account, name, &ids).await;
    flow.sends(before + 2).await;
    let theirs = flow.simulator.all_sends().pop().unwrap();
    assert_eq!(comparable(&ours), comparable(&theirs), "{name}");
    flow.event(0, |event| event["message"] == json!(message) && event["delivery"]["status"] == "sent").await;
}

/// Takes a file for sending; the content that sends it.
async fn upload(flow: &Flow, kind: &str, mime: &str, name: &str, bytes: &'static [u8]) -> Value {
    let url = format!("http://{}/v1/tenants/{}/media?filename={name}", flow.address, flow.tenants[0]);
    let request = flow.http.post(url).bearer_auth(&flow.key).header("content-type", mime).body(bytes);
    let answer = within("an answer", request.send()).await.unwrap();
    assert_eq!(answer.status(), 201);
    let stored: Value = answer.json().await.unwrap();
    assert_eq!(stored["bytes"], bytes.len());
    json!({ "type": "media", "items": [{ "kind": kind, "mime": mime, "filename": name,
            "source": { "at": "stored", "id": stored["id"], "bytes": bytes.len() } }] })
}

fn link(kind: &str, url: &str) -> Value {
    json!({ "kind": kind, "source": { "at": "link", "url": url } })
}

#[actix::test]
async fn every_form_of_whatsapp() {
    let flow = start().await;
    let ada = meet(&flow, NUMBERS[0]).await;
    let text = |body: &str| json!({ "text": body });
    let content = |content: Value| json!({ "content": content });
    let mut document = upload(&flow, "document", "application/pdf", "a.pdf", b"%PDF-1.4 a").await;
    document["caption"] = json!("c");
    let samples = [
        ("wa_text", text("hello")),
        ("wa_text_opaque", text("x")),
        ("wa_image_id", content(upload(&flow, "image", "image/png", "i.png", b"\x89PNG....").await)),
        ("wa_audio", content(upload(&flow, "audio", "audio/ogg", "a.ogg", b"OggS....").await)),
        ("wa_sticker", content(upload(&flow, "sticker", "image/webp", "s.webp", b"RIFF....WEBP").await)),
        ("wa_document", content(document)),
        (
            "wa_image_link",
            content(
                json!({ "type": "media", "items": [link("image", "https://example.com/i.png")], "caption": "c" }),
            ),
        ),
        (
            "wa_video",
            content(json!({ "type": "media", "items": [link("video", "https://example.com/v.mp4")] })),
        ),
        (
            "wa_buttons",
            content(json!({ "type": "buttons", "header": "H", "body": "B", "footer": "F", "buttons": [
                { "id": "yes", "title": "Yes" }, { "id": "no", "title": "No" }] })),
        ),
        (
            "wa_list",
            content(json!({ "type": "list", "body": "B", "button": "Choose", "sections": [
                { "title": "S", "rows": [{ "id": "r1", "title": "Row", "description": "d" }] }] })),
        ),
        (
            "wa_cta_url",
            content(json!({ "type": "link", "body": "B", "title": "Open", "url": "https://example.com" })),
        ),
        (
            "wa_flow",
            content(json!({ "type": "flow", "body": "B", "flow_id": "1", "token": "t", "title": "Start",
                            "screen": "S1" })),
        ),
        ("wa_location_request", content(json!({ "type": "location_request", "body": "B" }))),
        (
            "wa_location",
            content(json!({ "type": "location", "latitude": "52.2", "longitude": "21.0", "name": "N",
                            "address": "A" })),
        ),
        (
            "wa_contacts",
            content(json!({ "type": "contacts", "cards": [{ "name": "A B", "first_name": "A", "phones": [
                { "phone": "+15550100", "kind": "WORK", "wa_id": "15550100" }] }] })),
        ),
        (
            "wa_template",
            content(json!({ "type": "template", "name": "order_update", "language": "pl", "components": [
                { "part": "body", "parameters": [{ "type": "text", "text": "Ada" }] },
                { "part": "button", "sub_type": "quick_reply", "index": 0,
                  "parameters": [{ "type": "payload", "payload": "P" }] }] })),
        ),
        (
            "wa_template_named_params",
            content(
                json!({ "type": "template", "name": "order_update2", "language": "en_US", "components": [
                { "part": "body", "parameters": [{ "type": "text", "text": "Ada", "name": "name" }] }] }),
            ),
        ),
    ];
    for (name, reply) in samples {
        compare(&flow, NUMBERS[0], &ada, name, reply, &[]).await;
    }
    let in1 = [("wamid.IN1", &*ada.said_at_meta)];
    let re = json!({ "text": "re", "reply_to": ada.said });
    compare(&flow, NUMBERS[0], &ada, "wa_text_reply", re, &in1).await;
    for (name, emoji) in [("wa_reaction", json!("👍")), ("wa_reaction_remove", Value::Null)] {
        // What it is put on is named by `reply_to`.
        let react =
            json!({ "content": { "type": "reaction", "target": "", "emoji": emoji }, "reply_to": ada.said });
        compare(&flow, NUMBERS[0], &ada, name, react, &in1).await;
    }
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn whatsapp_writes_to_people_without_a_number() {
    let flow = start().await;
    let hidden = NewContact { name: "Eve".into(), wa_id: None, hides_number: true };
    let user_id = flow.simulator.add_contact(hidden).unwrap().user_id;
    let mid = flow.says("Eve", NUMBERS[0], "hello");
    let (conversation, message) = flow.message_called(0, &mid).await;
    let eve = Ada { conversation, said: message.id, said_at_meta: mid };
    let ids = [("US.EXAMPLEUSER1", &*user_id)];
    compare(&flow, NUMBERS[0], &eve, "wa_text_bsuid", json!({ "text": "hello" }), &ids).await;
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn every_form_of_messenger() {
    let flow = start().await;
    let ada = meet(&flow, PAGE).await;
    assert_eq!(flow.simulator.scoped_id("Ada", PAGE).as_deref(), Some("910000000000001"));
    let content = |content: Value| json!({ "content": content });
    let cards = json!({ "type": "cards", "cards": [{ "title": "T", "subtitle": "S",
        "image_url": "https://example.com/i.png", "buttons": [
            { "does": "choose", "id": "BUY", "title": "Buy" },
            { "does": "open", "title": "Open", "url": "https://example.com" }] }] });
    let samples = [
        ("fb_text", json!({ "text": "hello" })),
        (
            "fb_quick_replies",
            content(
                json!({ "type": "quick_replies", "body": "?", "replies": [{ "id": "RED", "title": "Red" }] }),
            ),
        ),
        (
            "fb_button_template",
            content(json!({ "type": "buttons", "body": "B", "buttons": [{ "id": "Y", "title": "Yes" }] })),
        ),
        ("fb_generic_template", content(cards)),
        (
            "fb_attachment_url",
            content(json!({ "type": "media", "items": [link("image", "https://example.com/i.png")] })),
        ),
    ];
    for (name, reply) in samples {
        compare(&flow, PAGE, &ada, name, reply, &[]).await;
    }
    let re = json!({ "text": "re", "reply_to": ada.said });
    compare(&flow, PAGE, &ada, "fb_reply_to", re, &[("m_IN1", &*ada.said_at_meta)]).await;
    private_reply(&flow, PAGE, "fb_private_reply", "1_2").await;
    flow.clock.advance_millis(2 * DAY_MS);
    compare(&flow, PAGE, &ada, "fb_human_agent", json!({ "text": "hello" }), &[]).await;
    // A file of ours is uploaded first.
    let image = upload(&flow, "image", "image/png", "i.png", b"\x89PNG....").await;
    flow.replied(ada.conversation, content(image)).await;
    within(
        "the upload",
        flow.simulator.until(|_| {
            flow.simulator
                .all_sends()
                .last()
                .is_some_and(|send| send.shown.media.iter().any(|one| one.id.is_some()))
        }),
    )
    .await;
    flow.still().await;
    flow.finish().await;
}

/// The engine answers one comment, the sample another.
async fn private_reply(flow: &Flow, account: &str, name: &str, id: &str) {
    let comment = || flow.act("Ada", account, Act::Comment { text: "how much?".into(), by_business: false });
    let (ours, theirs) = (comment(), comment());
    let (conversation, message) = flow.message_called(0, &format!("comment:{ours}")).await;
    let ada = Ada { conversation, said: message.id, said_at_meta: ours };
    let reply = json!({ "text": "hi", "reply_to": ada.said });
    compare(flow, account, &ada, name, reply, &[(id, &*theirs)]).await;
}

#[actix::test]
async fn every_form_of_instagram() {
    let flow = start().await;
    let ada = meet(&flow, INSTAGRAM).await;
    assert_eq!(flow.simulator.scoped_id("Ada", INSTAGRAM).as_deref(), Some("920000000000001"));
    let content = |content: Value| json!({ "content": content });
    let pictures = |urls: &[&str]| {
        let items: Vec<Value> = urls.iter().map(|url| link("image", url)).collect();
        content(json!({ "type": "media", "items": items }))
    };
    let samples = [
        ("ig_text", json!({ "text": "hello" })),
        ("ig_image", pictures(&["https://example.com/i.png"])),
        ("ig_images", pictures(&["https://example.com/1.png", "https://example.com/2.png"])),
        ("ig_like_heart", content(json!({ "type": "heart" }))),
    ];
    for (name, reply) in samples {
        compare(&flow, INSTAGRAM, &ada, name, reply, &[]).await;
    }
    private_reply(&flow, INSTAGRAM, "ig_private_reply", "17900000000000001").await;
    let reaction = || {
        let transcript = flow.simulator.transcript("Ada");
        transcript.into_iter().find(|item| item.wamid == ada.said_at_meta).unwrap().business_reaction
    };
    let react = |emoji: Value| json!({ "content": { "type": "reaction", "target": "", "emoji": emoji }, "reply_to": ada.said });
    let sends = flow.simulator.all_sends().len();
    for (emoji, shown) in [(json!("love"), Some("❤")), (Value::Null, None)] {
        let message = flow.replied(ada.conversation, react(emoji)).await;
        flow.event(0, |event| event["message"] == json!(message) && event["delivery"]["status"] == "sent")
            .await;
        assert_eq!(reaction().as_deref(), shown);
    }
    post_sample(&flow, INSTAGRAM, "ig_react", &[("aWdIN1", &*ada.said_at_meta)]).await;
    assert_eq!(reaction().as_deref(), Some("❤"));
    assert_eq!(flow.simulator.all_sends().len(), sends, "a sign is no message");
    flow.clock.advance_millis(2 * DAY_MS);
    compare(&flow, INSTAGRAM, &ada, "ig_human_agent", json!({ "text": "x" }), &[]).await;
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn a_turn_shows_that_it_read_and_types() {
    let flow = Flow::with(flying(&[])).await;
    for (number, account) in CHANNELS.into_iter().enumerate() {
        flow.says("Ada", account, "hello");
        flow.sends(number + 1).await;
        let shown = number as u64 + 1;
        within(
            "the signs",
            flow.simulator.until(|state| {
                state.counters.messages_read >= shown && state.counters.typing_indicators >= shown
            }),
        )
        .await;
    }
    // Messenger and Instagram take each sign by itself.
    assert_eq!(flow.simulator.state().counters.sender_actions, 6);
    for sample in ["fb_mark_seen", "fb_typing_on"] {
        post_sample(&flow, PAGE, sample, &[]).await;
    }
    post_sample(&flow, INSTAGRAM, "ig_typing_on", &[]).await;
    let last = flow.says("Ada", NUMBERS[0], "and?");
    for sample in ["wa_mark_read", "wa_mark_read_typing"] {
        post_sample(&flow, NUMBERS[0], sample, &[("wamid.IN1", &*last)]).await;
    }
    flow.sends(CHANNELS.len() + 1).await;
    flow.still().await;
    flow.finish().await;
}

fn choices(count: usize, chars: usize) -> Value {
    let choice = |n| json!({ "id": format!("c{n}"), "title": format!("{n:0>chars$}") });
    (0..count).map(choice).collect()
}

/// One over each main limit, and the words that name it.
fn over_the_limits() -> Vec<(&'static str, Value, &'static str)> {
    let long = |chars: usize| "x".repeat(chars);
    let file = |kind: &str, mime: &str, bytes: u64| {
        json!({ "type": "media", "items": [{ "kind": kind, "mime": mime,
                "source": { "at": "stored", "id": "med_01a0c451f2a0700080bbc5bcbebd7fa0", "bytes": bytes } }] })
    };
    let buttons = |body: &str, buttons: Value| json!({ "type": "buttons", "body": body, "buttons": buttons });
    let list = |title: &str, rows: Value| json!({ "type": "list", "body": "B", "button": "Choose", "sections": [{ "title": title, "rows": rows }] });
    let cards = |count: usize, title: &str| {
        let card = json!({ "title": title, "subtitle": "S" });
        json!({ "type": "cards", "cards": vec![card; count] })
    };
    let quick = |replies: Value| json!({ "type": "quick_replies", "body": "?", "replies": replies });
    let wa = NUMBERS[0];
    vec![
        (wa, buttons("B", choices(4, 1)), "4 buttons and WhatsApp takes 3"),
        (wa, buttons("B", choices(1, 21)), "21 characters and WhatsApp takes 20"),
        (wa, buttons(&long(1_025), choices(1, 1)), "1025 characters and WhatsApp takes 1024"),
        (wa, list("S", choices(11, 2)), "11"),
        (wa, list("S", choices(1, 25)), "25 characters and WhatsApp takes 24"),
        (wa, list(&long(25), choices(1, 1)), "25 characters and WhatsApp takes 24"),
        (
            wa,
            json!({ "type": "link", "body": "B", "title": long(21), "url": "https://example.com" }),
            "21 characters and WhatsApp takes 20",
        ),
        (
            wa,
            json!({ "type": "buttons", "header": long(61), "body": "B", "buttons": choices(1, 1) }),
            "61 characters and WhatsApp takes 60",
        ),
        (wa, file("image", "image/png", 5 * 1_024 * 1_024 + 1), "5242881 bytes and WhatsApp takes 5242880"),
        (wa, file("image", "image/gif", 10), "does not take image/gif"),
        (wa, cards(1, "T"), "WhatsApp has no cards"),
        (
            wa,
            json!({ "type": "location", "latitude": "90.1", "longitude": "0" }),
            "latitude is a number from -90 to 90",
        ),
        (PAGE, quick(choices(14, 2)), "14 suggestions and Messenger takes 13"),
        (PAGE, quick(choices(1, 21)), "21 characters and Messenger takes 20"),
        (PAGE, cards(11, "T"), "11 cards and Messenger takes 10"),
        (PAGE, cards(1, &long(81)), "81 characters and Messenger takes 80"),
        (
            PAGE,
            file("video", "video/mp4", 25 * 1_024 * 1_024 + 1),
            "26214401 bytes and Messenger takes 26214400",
        ),
        (INSTAGRAM, quick(choices(14, 2)), "14 suggestions and Instagram takes 13"),
        (INSTAGRAM, file("image", "image/png", 10), "public address"),
        (PAGE, json!({ "type": "template", "name": "t", "language": "en" }), "template"),
        (
            PAGE,
            json!({ "type": "flow", "body": "B", "flow_id": "1", "token": "t", "title": "T" }),
            "Messenger",
        ),
        (INSTAGRAM, json!({ "type": "order", "catalog": null, "note": null, "items": [] }), "only comes in"),
    ]
}

#[actix::test]
async fn one_over_each_limit_is_refused_by_name_and_nothing_is_sent() {
    let flow = start().await;
    let mut people = Vec::new();
    for account in CHANNELS {
        people.push((account, meet(&flow, account).await));
    }
    flow.still().await;
    for (account, content, words) in over_the_limits() {
        let ada = &people.iter().find(|one| one.0 == account).unwrap().1;
        let (status, problem) = flow.reply(ada.conversation, json!({ "content": content })).await;
        assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("not_carried")), "{words}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{words}: {problem}");
    }
    let (account, content) = (PAGE, json!({ "type": "reaction", "target": "", "emoji": "🫠" }));
    let ada = &people.iter().find(|one| one.0 == account).unwrap().1;
    let (status, problem) =
        flow.reply(ada.conversation, json!({ "content": content, "reply_to": ada.said })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("not_carried")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("love, smile"), "{problem}");
    let (status, problem) = flow.reply(ada.conversation, json!({ "text": "x".repeat(4_097) })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("invalid")), "{problem}");
    flow.still().await;
    assert_eq!((flow.simulator.all_sends().len(), flow.count(0, "message.queued").await), (0, 0));
    flow.finish().await;
}

#[actix::test]
async fn a_long_text_leaves_in_the_pieces_that_its_channel_carries() {
    let flow = start().await;
    let words = "Dzień dobry, paczka jest w drodze. ".repeat(110);
    let words = words.trim();
    let in_all = words.replace(' ', "");
    for account in CHANNELS {
        let ada = meet(&flow, account).await;
        let before = flow.simulator.all_sends().len();
        flow.replied(ada.conversation, json!({ "text": words })).await;
        let in_bytes = account.starts_with("178");
        let (pieces, longest) = if account == NUMBERS[0] {
            (1, 4_096)
        } else if in_bytes {
            (4, 1_000)
        } else {
            (2, 2_000)
        };
        let ours = || flow.simulator.all_sends().split_off(before);
        let whole = || ours().iter().map(|send| send.text.replace(' ', "")).collect::<String>();
        within("all pieces", async {
            while whole() != in_all {
                flow.simulator.until(|_| whole() == in_all).await;
            }
        })
        .await;
        let sent = ours();
        assert!(sent.len() >= pieces, "{account}: {}", sent.len());
        for piece in &sent {
            let length = if in_bytes { piece.text.len() } else { piece.text.chars().count() };
            assert!(length <= longest, "{account}: {length}");
        }
        flow.still().await;
    }
    flow.finish().await;
}

/// The assistant's long answers too.
#[actix::test]
async fn a_long_answer_of_the_assistant_leaves_in_pieces_in_order() {
    use iassistance_assistant::scripted::Behaviour;
    let long = (0..200).map(|n| format!("sentence {n}.")).collect::<Vec<_>>().join(" ");
    let model = Some(vec![Behaviour::Say(long.clone())]);
    let flow = Flow::with(Options { model, ..flying(&[]) }).await;
    flow.says("Ada", INSTAGRAM, "tell me");
    within("the last piece", flow.simulator.until(|_| flow.was_sent("sentence 199."))).await;
    let texts: Vec<String> = flow.simulator.all_sends().into_iter().map(|send| send.text).collect();
    assert!(texts.len() >= 3, "{}", texts.len());
    assert_eq!(texts.join(" "), long);
    flow.still().await;
    flow.finish().await;
}
