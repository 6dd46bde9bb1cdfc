//! The files of messages: fetched at once from Meta alone, handed to those who may see them, and sent.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use iassistance_domain::key::Scope;
use iassistance_simulator::act::GivenFile;
use iassistance_simulator::faults::{Rule, SendFault};
use iassistance_simulator::{Act, Faults, MediaKind};
use reqwest::Response;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::{DAY_MS, INSTAGRAM, PAGE, event_of, fixtures, flying};

async fn start(settings: &[&'static str]) -> Flow {
    let flow = Flow::with(flying(settings)).await;
    flow.hush().await;
    flow
}

fn sample(media: MediaKind) -> Act {
    Act::File(GivenFile::sample(media))
}

fn given(media: MediaKind, mime: &str, bytes: &[u8]) -> Act {
    let bytes = Some(BASE64_STANDARD.encode(bytes));
    let given = GivenFile::sample(media);
    Act::File(GivenFile { mime: Some(mime.into()), bytes, name: Some("ä b.png".into()), ..given })
}

/// Waits until the files of a message are settled; the event.
async fn settled(flow: &Flow, at: u64) -> Value {
    flow.event_after(0, at, |event| event["type"] == "media.settled").await
}

fn source(event: &Value) -> &Value {
    &event["message"]["content"]["items"][0]["source"]
}

fn path(flow: &Flow, tenant: usize, event: &Value) -> String {
    format!(
        "http://{}/v1/tenants/{}/conversations/{}/messages/{}/files/0",
        flow.address,
        flow.tenants[tenant],
        event["conversation"].as_str().unwrap(),
        event["message"]["id"].as_str().unwrap()
    )
}

async fn get(flow: &Flow, url: &str, key: Option<&str>) -> Response {
    let mut request = flow.http.get(url);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    within("an answer", request.send()).await.unwrap()
}

#[actix::test]
async fn a_file_is_fetched_at_once_and_handed_to_its_tenant_alone() {
    let flow = start(&[]).await;
    let other = flow.key_of(1, Scope::Read).await;
    for account in [NUMBERS[0], PAGE, INSTAGRAM] {
        let at = flow.now_at().await;
        flow.act("ana", account, given(MediaKind::Image, "image/png", b"\x89PNG the picture"));
        let event = settled(&flow, at).await;
        assert_eq!(source(&event)["at"], "stored", "{account}: {event}");
        // Meta's address of it is long over.
        flow.clock.advance_millis(8 * DAY_MS);
        let file = get(&flow, &path(&flow, 0, &event), Some(&flow.key)).await;
        assert_eq!(file.status(), 200);
        assert_eq!(file.headers()["content-type"], "image/png");
        assert_eq!(file.headers()["x-content-type-options"], "nosniff");
        assert!(file.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
        assert_eq!(file.bytes().await.unwrap(), &b"\x89PNG the picture"[..]);
        for (tenant, key) in [(0, Some(&*other)), (1, Some(&*other)), (1, Some(&*flow.key))] {
            assert_eq!(get(&flow, &path(&flow, tenant, &event), key).await.status(), 404, "{tenant}");
        }
        assert_eq!(get(&flow, &path(&flow, 0, &event), None).await.status(), 401);
        let beyond = path(&flow, 0, &event).replace("/files/0", "/files/1");
        assert_eq!(get(&flow, &beyond, Some(&flow.key)).await.status(), 404);
    }
    // With its name, where the product tells one.
    let at = flow.now_at().await;
    flow.act("ana", NUMBERS[0], sample(MediaKind::Document));
    let event = settled(&flow, at).await;
    let file = get(&flow, &path(&flow, 0, &event), Some(&flow.key)).await;
    assert!(file.headers()["content-disposition"].to_str().unwrap().contains("document.pdf"));
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn a_file_that_is_not_what_it_says_or_too_large_or_elsewhere_is_missing_in_words() {
    let flow = start(&["media.file_bytes_max=1000"]).await;
    let missing = async |at: u64, words: &str| {
        let event = settled(&flow, at).await;
        let reason = source(&event)["reason"].as_str().unwrap_or_default().to_owned();
        assert_eq!(source(&event)["at"], "missing", "{words}: {event}");
        assert!(reason.contains(words), "{words}: {reason}");
        let file = get(&flow, &path(&flow, 0, &event), Some(&flow.key)).await;
        assert_eq!(file.status(), 404);
        let problem: Value = file.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    };
    for account in [NUMBERS[0], PAGE, INSTAGRAM] {
        let at = flow.now_at().await;
        flow.act("ana", account, given(MediaKind::Image, "text/html", b"<b>no picture</b>"));
        missing(at, "is of type text/html").await;
        let at = flow.now_at().await;
        flow.act("ana", account, given(MediaKind::Image, "image/png", b"<!DOCTYPE html><script>"));
        missing(at, "a web page came instead of the image").await;
        let at = flow.now_at().await;
        flow.act("ana", account, given(MediaKind::Image, "image/png", &[7; 1_001]));
        missing(at, "larger than the 1000 bytes").await;
    }
    for url in ["https://example.com/i.jpg", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd"]
    {
        let at = flow.now_at().await;
        let image = json!({ "type": "image", "payload": { "url": url } });
        let said = json!({ "message": { "mid": format!("mid.{url}"), "attachments": [image] } });
        flow.post(event_of(PAGE, "910000000000077", 1_790_000_000_000, &said)).await;
        let event = settled(&flow, at).await;
        assert_eq!(source(&event)["at"], "missing", "{url}: {event}");
        let reason = source(&event)["reason"].as_str().unwrap();
        assert!(reason.len() > 15 && !reason.contains("meta-data"), "{reason}");
    }
    assert_eq!(flow.app.engine.content().list(flow.tenants[0]).count().await, 0);
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn meta_s_trouble_with_a_file_is_waited_for() {
    let flow = start(&[]).await;
    let refuse = Rule { fault: SendFault::Refuse { status: 503, code: 2 }, next: 2, per_mille: 0 };
    flow.simulator.set_faults(Faults { media: vec![refuse], ..Faults::default() }).unwrap();
    flow.act("ana", NUMBERS[0], sample(MediaKind::Image));
    let stored = async || flow.count(0, "media.settled").await == 1;
    flow.pass_until("the file", 1_000, DAY_MS, stored).await;
    let event = settled(&flow, 0).await;
    assert_eq!(source(&event)["at"], "stored", "{event}");
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn what_a_story_shows_is_never_fetched() {
    let flow = start(&[]).await;
    flow.act("ana", INSTAGRAM, Act::StoryMention);
    flow.act("ana", INSTAGRAM, Act::StoryReply { text: "nice".into() });
    for (name, body) in fixtures("instagram") {
        if ["story", "ephemeral", "ig_post", "ig_reel", "_reel"].iter().any(|part| name.contains(part)) {
            assert_eq!(flow.post(body).await.status(), 200, "{name}");
        }
    }
    flow.still().await;
    assert_eq!(flow.count(0, "media.settled").await, 0);
    assert_eq!(flow.app.engine.content().list(flow.tenants[0]).count().await, 0);
    let mention = flow.event(0, |event| event["message"]["content"]["kind"] == "story_mention").await;
    assert!(mention["message"]["content"]["url"].is_string(), "its address may be kept");
    let file = get(&flow, &path(&flow, 0, &mention), Some(&flow.key)).await;
    assert_eq!(file.status(), 404);
    flow.finish().await;
}

#[actix::test]
async fn a_file_that_was_not_fetched_when_the_server_ended_is_taken_up_at_the_next_start() {
    let mut flow = start(&[]).await;
    let hang = Rule { fault: SendFault::Hang { accepted: false }, next: 1, per_mille: 0 };
    flow.simulator.set_faults(Faults { media: vec![hang], ..Faults::default() }).unwrap();
    let mid = flow.act("ana", NUMBERS[0], sample(MediaKind::Image));
    within("the fetch", flow.simulator.until(|state| state.counters.faults == 1)).await;
    let (conversation, message) = flow.message_called(0, &mid).await;
    let still = get(
        &flow,
        &format!(
            "http://{}/v1/tenants/{}/conversations/{conversation}/messages/{}/files/0",
            flow.address, flow.tenants[0], message.id
        ),
        Some(&flow.key),
    )
    .await;
    assert_eq!(still.status(), 503);
    assert!(still.headers().contains_key("retry-after"));
    let folder = Some(flow.end().await.copy());

    // This Meta knows nothing of it any more, and says so.
    let flow = Flow::with(Options { folder, ..flying(&[]) }).await;
    let event = settled(&flow, 0).await;
    assert_eq!(event["message"]["id"], json!(message.id));
    assert!(source(&event)["reason"].as_str().unwrap().contains("Meta has the file no more"), "{event}");
    flow.quiet(0).await;
    flow.finish().await;
}

#[actix::test]
async fn a_file_of_a_persons_is_taken_and_sent() {
    let flow = start(&[]).await;
    let bytes: &[u8] = b"\x89PNG of an operator";
    let url = format!("http://{}/v1/tenants/{}/media?filename=map.png", flow.address, flow.tenants[0]);
    let post = async |key: Option<&str>, mime: Option<&str>| {
        let mut request = flow.http.post(&url).body(bytes);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(mime) = mime {
            request = request.header("content-type", mime);
        }
        within("an answer", request.send()).await.unwrap()
    };
    assert_eq!(post(None, Some("image/png")).await.status(), 401);
    assert_eq!(post(Some(&flow.key), Some("no type")).await.status(), 400);
    let reader = flow.key_of(0, Scope::Read).await;
    assert_eq!(post(Some(&reader), Some("image/png")).await.status(), 403);
    let stranger = flow.key_of(1, Scope::Operate).await;
    assert_eq!(post(Some(&stranger), Some("image/png")).await.status(), 404);
    let taken = post(Some(&flow.key), Some("image/png")).await;
    assert_eq!(taken.status(), 201);
    let stored: Value = taken.json().await.unwrap();
    let content = json!({ "type": "media", "items": [{ "kind": "image", "mime": "image/png",
        "source": { "at": "stored", "id": stored["id"], "bytes": bytes.len() } }] });
    for account in [NUMBERS[0], PAGE] {
        let mid = flow.says("ana", account, "where are you?");
        let (conversation, _) = flow.message_called(0, &mid).await;
        let before = flow.simulator.all_sends().len();
        flow.replied(conversation, json!({ "content": content })).await;
        flow.sends(before + 1).await;
        let sent = flow.simulator.all_sends().pop().unwrap();
        let file = sent.shown.media[0].id.clone().expect("it was uploaded");
        let at_meta = format!("{}/sim/media/{file}", flow.simulator.graph_url());
        let at_meta = within("the file", flow.http.get(at_meta).send()).await.unwrap();
        assert_eq!(at_meta.bytes().await.unwrap(), bytes, "{account}");
    }
    flow.still().await;
    // What was never stored, or is another tenant's, is not sent.
    let mut flow = flow;
    let at = flow.now_at().await;
    let mut strange = content;
    strange["items"][0]["source"]["id"] = json!("med_01a0c451f2a07000803469b0ea74342a");
    let conversation = flow.conversation_on(NUMBERS[0]).await.id;
    flow.replied(conversation, json!({ "content": strange })).await;
    let dead = flow.event_after(0, at, |event| event["type"] == "dead_letter.added").await;
    assert!(dead["reason"].as_str().unwrap().contains("not stored"), "{dead}");
    flow.forgive_dead_letters(1);
    flow.finish().await;
}
