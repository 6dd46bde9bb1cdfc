use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use iassistance_domain::Timestamp;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MessageId, MetaAppId, TenantId};
use iassistance_domain::message::Content;
use iassistance_domain::outbox::OutboxState;
use iassistance_domain::pii::Deliver;
use iassistance_egress::EgressSettings;
use serde_json::{Value, json};

use super::*;

const OUR_ID: [u8; 16] =
    [1, 0x99, 0xa1, 0xb2, 0xc3, 0xd4, 0x70, 0xf6, 0x87, 0x18, 0x29, 0x3a, 0x4b, 0x5c, 0x6d, 0x7e];

fn channel() -> Channel {
    Channel {
        id: ChannelId::from_bytes([1; 16]),
        tenant: TenantId::from_bytes([2; 16]),
        meta_app: MetaAppId::from_bytes([3; 16]),
        kind: ChannelKind::Whatsapp,
        external_id: "200000000000001".to_owned(),
        name: "Shop".to_owned(),
        access_token: StoredSecret::new("token"),
        created_at: Timestamp::EPOCH,
    }
}

fn entry(text: &str) -> OutboxEntry {
    OutboxEntry {
        message: MessageId::from_bytes(OUR_ID),
        conversation: ConversationId::from_bytes([4; 16]),
        contact: ContactId::from_bytes([5; 16]),
        channel: ChannelId::from_bytes([1; 16]),
        to: ContactIdentity::new(Some("15550199001".to_owned()), None).unwrap(),
        content: Content::text(text),
        epoch: None,
        window_until: Timestamp::EPOCH,
        attempts: 1,
        state: OutboxState::Waiting { not_before: Timestamp::EPOCH },
        queued_at: Timestamp::EPOCH,
    }
}

fn sender(base: &str, timeout_ms: u64) -> GraphSender {
    let graph = Url::parse(base).unwrap();
    let settings = EgressSettings {
        graph: graph.clone(),
        instagram: graph.clone(),
        media_domains: Vec::new(),
        model: graph.clone(),
        model_hosts: Vec::new(),
        connect_timeout_ms: 5_000,
        read_timeout_ms: 5_000,
    };
    GraphSender::new(Egress::new(&settings).unwrap(), graph, "v24.0".to_owned(), timeout_ms)
}

/// A server for one request: answers it with these bytes and hangs up. Gives back the request.
fn server(answer: impl Into<Vec<u8>>) -> (String, JoinHandle<String>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        stream.write_all(&answer).unwrap();
        request
    });
    (base, served)
}

fn read_request(stream: &mut TcpStream) -> String {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return String::from_utf8(request).unwrap();
            }
        }
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the request broke off");
        request.extend_from_slice(&part[..read]);
    }
}

fn http(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn graph_error(status: u16, code: i64) -> String {
    http(status, "", &json!({"error": {"message": "x", "type": "OAuthException", "code": code}}).to_string())
}

async fn outcome_of(answer: impl Into<Vec<u8>>, entry: &OutboxEntry) -> Result<Sent, SendError> {
    let (base, served) = server(answer);
    let outcome = sender(&base, 10_000).send(&channel(), entry).await;
    served.join().unwrap();
    outcome
}

async fn error_of(answer: impl Into<Vec<u8>>) -> SendError {
    outcome_of(answer, &entry("hi")).await.err().unwrap()
}

fn fixture(name: &str) -> Value {
    let file = format!("{}/../tests/fixtures/outbound/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test]
async fn an_accepted_message_gives_its_id_and_was_asked_for_properly() {
    let accepted = json!({"messaging_product": "whatsapp", "contacts": [{"input": "1"}], "messages": [{"id": "wamid.1"}]});
    let (base, served) = server(http(200, "", &accepted.to_string()));
    let sent = sender(&base, 10_000).send(&channel(), &entry("x")).await;
    assert!(sent.is_ok_and(|sent| sent.provider_id.reveal(Deliver) == "wamid.1"));
    let request = served.join().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v24.0/200000000000001/messages HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: Bearer token\r\n"), "{head}");
    assert!(head.contains("\r\nuser-agent: IAssistance/"), "{head}");
    let mut expected = fixture("wa_text_opaque")["body"].clone();
    expected["biz_opaque_callback_data"] = json!(MessageId::from_bytes(OUR_ID).to_string());
    expected["text"]["preview_url"] = json!(false);
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
}

#[tokio::test]
async fn a_contact_without_a_number_is_written_to_by_user_id() {
    let mut to_user = entry("hello");
    to_user.to = ContactIdentity::new(None, Some("US.EXAMPLEUSER1".to_owned())).unwrap();
    let body: Value = serde_json::from_str(&whatsapp::send::message(&to_user).unwrap()).unwrap();
    assert_eq!(body["recipient"], fixture("wa_text_bsuid")["body"]["recipient"]);
    assert_eq!(body.get("to"), None);
}

#[tokio::test]
async fn messages_are_marked_as_read() {
    for (typing, name) in [(false, "wa_mark_read"), (true, "wa_mark_read_typing")] {
        let (base, served) = server(http(200, "", "{\"success\":true}"));
        let read = Pii::new("wamid.IN1".to_owned());
        assert_eq!(sender(&base, 10_000).mark_read(&channel(), &read, typing).await, Ok(()));
        let request = served.join().unwrap();
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), fixture(name)["body"]);
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_leaves() {
    // Nobody listens there: whatever got as far as the network would be retryable.
    let nowhere = sender("http://127.0.0.1:1", 10_000);
    let request = |refused: Result<Sent, SendError>| match refused.err().unwrap() {
        SendError::Permanent { class: ErrorClass::Request, problem } => problem.title,
        other => panic!("{other}"),
    };
    let long = request(nowhere.send(&channel(), &entry(&"ż".repeat(4_097))).await);
    assert_eq!(long, "the text has 4097 characters and WhatsApp takes 4096: shorten or split it");
    assert!(request(nowhere.send(&channel(), &entry(" \n")).await).contains("empty"));
    for id in ["", "..", "1/2", "1?x=2"] {
        let odd = Channel { external_id: id.to_owned(), ..channel() };
        assert!(request(nowhere.send(&odd, &entry("x")).await).contains("id at Meta"));
    }
    let stray = Channel { access_token: StoredSecret::new("to\nken"), ..channel() };
    assert!(request(nowhere.send(&stray, &entry("x")).await).contains("stray"));
    let none = Channel { access_token: StoredSecret::new(""), ..channel() };
    let refused = nowhere.send(&none, &entry("x")).await.err().unwrap();
    assert!(matches!(refused, SendError::Permanent { class: ErrorClass::Auth, .. }));
    assert!(whatsapp::send::message(&entry(&"ż".repeat(4_096))).is_ok());
}

#[tokio::test]
async fn what_never_left_is_tried_again_and_what_may_have_left_is_not() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = sender(&format!("http://{gone}"), 10_000).send(&channel(), &entry("x")).await;
    assert!(matches!(refused.err().unwrap(), SendError::Retryable { after_ms: None, .. }));

    for answer in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"messages\":[{\"id\":\"wamid.1\"}",
        "not HTTP at all\r\n\r\n",
    ] {
        assert!(matches!(error_of(answer).await, SendError::Unknown { .. }), "{answer:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    let timed_out = sender(&silent, 50).send(&channel(), &entry("x")).await;
    assert!(matches!(timed_out.err().unwrap(), SendError::Unknown { .. }));
}

#[tokio::test]
async fn an_answer_without_an_id_leaves_it_open() {
    for body in [
        "",
        "null",
        "<html>",
        "{}",
        "[]",
        r#"{"messages":[]}"#,
        r#"{"messages":[{"id":""}]}"#,
        r#"{"messages":[{"id":null}]}"#,
        r#"{"messages":[7]}"#,
        r#"{"error":"x"}"#,
        r#"{"error":{}}"#,
    ] {
        assert!(matches!(error_of(http(200, "", body)).await, SendError::Unknown { .. }), "{body}");
    }
    let long = format!(r#"{{"messages":[{{"id":"wamid.1"}}],"pad":"{}"}}"#, "x".repeat(ANSWER_BYTES_MAX));
    assert!(matches!(error_of(http(200, "", &long)).await, SendError::Unknown { .. }));
    for status in [500, 502, 504] {
        assert!(matches!(error_of(http(status, "", "<html>")).await, SendError::Unknown { .. }), "{status}");
    }
}

#[tokio::test]
async fn answers_that_say_that_nothing_was_done_are_believed() {
    let throttled = error_of(http(429, "retry-after: 7\r\n", "")).await;
    assert!(matches!(throttled, SendError::Throttled { scope: ThrottleScope::Number, wait_ms: 7_000, .. }));
    let away = error_of(http(503, "retry-after: 99999999999\r\n", "")).await;
    assert!(matches!(away, SendError::Retryable { after_ms: Some(86_400_000), .. }));
    let auth = error_of(http(401, "", "no")).await;
    assert!(matches!(auth, SendError::Permanent { class: ErrorClass::Auth, .. }));
    for status in [302, 404] {
        let refused = error_of(http(status, "location: http://127.0.0.1:1/\r\n", "")).await;
        assert!(matches!(refused, SendError::Permanent { class: ErrorClass::Request, .. }), "{status}");
    }
}

#[tokio::test]
async fn graph_errors_decide_by_their_code() {
    let expired = error_of(graph_error(401, 190)).await;
    assert!(
        matches!(&expired, SendError::Permanent { class: ErrorClass::Auth, problem } if problem.code == 190)
    );
    assert_eq!(
        expired.to_string(),
        "not sent and not to be repeated: the access token expired or was revoked: \
         connect the channel with a new one (code 190)"
    );
    let pair = error_of(graph_error(403, 131_056)).await;
    assert!(matches!(pair, SendError::Throttled { scope: ThrottleScope::Pair, wait_ms: 6_000, .. }));
    let number = error_of(graph_error(400, 130_429)).await;
    assert!(matches!(number, SendError::Throttled { scope: ThrottleScope::Number, wait_ms: 2_000, .. }));
    let account = error_of(graph_error(400, 80_007)).await;
    assert!(matches!(account, SendError::Throttled { scope: ThrottleScope::Account, .. }));
    let app = error_of(graph_error(400, 4)).await;
    assert!(matches!(app, SendError::Throttled { scope: ThrottleScope::App, .. }));
    let upgrade = error_of(graph_error(500, 131_057)).await;
    assert!(matches!(upgrade, SendError::Retryable { after_ms: Some(60_000), .. }));
    let hidden = error_of(graph_error(200, 131_047)).await;
    assert!(matches!(hidden, SendError::Permanent { class: ErrorClass::Window, .. }));
    let capability = error_of(graph_error(500, 3)).await;
    assert!(matches!(capability, SendError::Permanent { class: ErrorClass::Auth, .. }));
    let unknown = error_of(graph_error(400, 987_654)).await;
    assert!(matches!(unknown, SendError::Permanent { class: ErrorClass::Request, .. }));
    let passing = json!({"error": {"code": "987654", "is_transient": true}}).to_string();
    assert!(matches!(error_of(http(400, "", &passing)).await, SendError::Retryable { .. }));
}

#[tokio::test]
async fn a_pair_waits_longer_each_time_and_doubtful_errors_end() {
    let tried = |attempts| OutboxEntry { attempts, ..entry("x") };
    for (attempts, expected_ms) in [(0, 6_000), (1, 6_000), (2, 16_000), (3, 64_000), (9, 1_024_000)] {
        let refused = outcome_of(graph_error(400, 131_056), &tried(attempts)).await.err().unwrap();
        assert!(
            matches!(refused, SendError::Throttled { wait_ms, .. } if wait_ms == expected_ms),
            "{refused}"
        );
    }
    let again = outcome_of(graph_error(500, 131_000), &tried(2)).await.err().unwrap();
    assert!(matches!(again, SendError::Retryable { .. }));
    let ended = outcome_of(graph_error(500, 131_000), &tried(FEW)).await.err().unwrap();
    assert!(matches!(ended, SendError::Permanent { class: ErrorClass::TransientBounded, .. }));
}
