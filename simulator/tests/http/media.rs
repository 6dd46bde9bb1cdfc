//! Files: uploads, look-ups, addresses that end, and attachments.

use iassistance_simulator::act::GivenFile;
use iassistance_simulator::{Act, MediaKind};
use serde_json::{Value, json};

use crate::samples::upload;
use crate::support::{
    ANA, Answer, IG_LOGIN, IG_TOKEN, NUMBER, OTHER_TOKEN, PAGE, PAGE_TOKEN, Receiver, TOKEN, all_products,
    ask, call, does, get, refusal, says, send_as, soon, start,
};

const NULL: Value = Value::Null;

async fn fetch(simulator: &iassistance_simulator::Simulator, url: &str, token: Option<&str>) -> Answer {
    let path = url.strip_prefix(&simulator.graph_url()).unwrap();
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let headers = [("authorization", bearer.as_str())];
    let headers = if token.is_some() { &headers[..] } else { &[] };
    soon(call(simulator, "GET", path, headers, String::new())).await.unwrap()
}

#[tokio::test]
async fn an_upload_is_looked_up_fetched_with_the_token_for_five_minutes_and_deleted() {
    let (simulator, clock) = start(all_products()).await;
    let id = upload(&simulator, "image/png", "some bytes").await.json()["id"].as_str().unwrap().to_owned();
    let told = ask(&simulator, "GET", TOKEN, &format!("{id}?phone_number_id={NUMBER}"), &NULL).await.json();
    assert_eq!((&told["mime_type"], &told["file_size"]), (&json!("image/png"), &json!("10")));
    assert_eq!(told["sha256"].as_str().map(str::len), Some(64));
    let url = told["url"].as_str().unwrap();
    let fetched = fetch(&simulator, url, Some(TOKEN)).await;
    assert_eq!((fetched.status, fetched.text().as_str()), (200, "some bytes"));
    assert_eq!(fetched.headers["content-type"], "image/png");
    assert_eq!(fetch(&simulator, url, None).await.status, 401);
    assert_eq!(fetch(&simulator, url, Some(OTHER_TOKEN)).await.status, 404);
    assert_eq!(refusal(&ask(&simulator, "GET", OTHER_TOKEN, &id, &NULL).await), (400, 100, 33));
    clock.advance_millis(5 * 60_000);
    assert_eq!(fetch(&simulator, url, Some(TOKEN)).await.status, 404);
    let again = ask(&simulator, "GET", TOKEN, &id, &NULL).await.json();
    assert_eq!(fetch(&simulator, again["url"].as_str().unwrap(), Some(TOKEN)).await.status, 200);
    assert_eq!(ask(&simulator, "DELETE", TOKEN, &id, &NULL).await.json(), json!({"success": true}));
    assert_eq!(refusal(&ask(&simulator, "GET", TOKEN, &id, &NULL).await), (400, 100, 33));
}

#[tokio::test]
async fn uploads_are_of_known_types_and_not_too_large() {
    let (simulator, _clock) = start(all_products()).await;
    for (mime, bytes, expected) in [
        ("application/x-msdownload", 1, 100),
        ("image/png", 5 * 1024 * 1024, 0),
        ("image/png", 5 * 1024 * 1024 + 1, 131_053),
        ("image/webp", 500 * 1024 + 1, 131_053),
        ("audio/ogg; codecs=opus", 10, 0),
    ] {
        let answer = upload(&simulator, mime, &"x".repeat(bytes)).await;
        assert_eq!(refusal(&answer).1, expected, "{mime} {bytes}");
    }
    let path = format!("{NUMBER}/media");
    assert_eq!(refusal(&ask(&simulator, "POST", TOKEN, &path, &json!({})).await).1, 100);
}

#[tokio::test]
async fn what_a_contact_sends_can_be_fetched_as_the_product_says() {
    let (simulator, _clock) = start(all_products()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let picture = GivenFile {
        caption: "my receipt".into(),
        mime: Some("image/jpeg".into()),
        bytes: Some("/9j/4AAQ".into()),
        ..GivenFile::sample(MediaKind::Image)
    };
    does(&simulator, ANA, NUMBER, Act::File(picture.clone()));
    let image = receiver.next().await.value()["messages"][0]["image"].clone();
    assert_eq!((&image["caption"], &image["mime_type"]), (&json!("my receipt"), &json!("image/jpeg")));
    let fetched = fetch(&simulator, image["url"].as_str().unwrap(), Some(TOKEN)).await;
    assert_eq!(fetched.body.as_ref(), [0xff, 0xd8, 0xff, 0xe0, 0, 0x10]);
    let shown = get(&simulator, &format!("/sim/media/{}", image["id"].as_str().unwrap())).await;
    assert_eq!((shown.status, shown.body), (200, fetched.body));
    does(&simulator, ANA, PAGE, Act::File(picture));
    let whole: Value = serde_json::from_slice(&receiver.next().await.body).unwrap();
    let attachment = whole["entry"][0]["messaging"][0]["message"]["attachments"][0].clone();
    assert_eq!(attachment["type"], json!("image"));
    let fetched = fetch(&simulator, attachment["payload"]["url"].as_str().unwrap(), None).await;
    assert_eq!((fetched.status, fetched.headers["content-type"].to_str().unwrap()), (200, "image/jpeg"));
}

#[tokio::test]
async fn an_attachment_is_uploaded_once_and_sent_by_its_id() {
    let (simulator, _clock) = start(all_products()).await;
    for (node, token, to) in [(PAGE, PAGE_TOKEN, "910000000000001"), (IG_LOGIN, IG_TOKEN, "920000000000001")]
    {
        says(&simulator, ANA, node, "hi");
        let payload = json!({"url": "https://example.com/i.png", "is_reusable": true});
        let body = json!({"message": {"attachment": {"type": "image", "payload": payload}}});
        let made = ask(&simulator, "POST", token, &format!("{node}/message_attachments"), &body).await.json();
        let id = made["attachment_id"].as_str().unwrap();
        let send = |kind: &str, id: &str| {
            let attachment = json!({"type": kind, "payload": {"attachment_id": id}});
            json!({"recipient": {"id": to}, "message": {"attachment": attachment}})
        };
        assert_eq!(send_as(&simulator, token, node, &send("image", id)).await.status, 200);
        let mismatch = send_as(&simulator, token, node, &send("video", id)).await;
        assert_eq!(refusal(&mismatch), (400, 100, 2_018_047));
        assert_eq!(refusal(&send_as(&simulator, token, node, &send("image", "1")).await), (400, 100, 0));
    }
}
