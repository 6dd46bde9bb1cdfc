use std::net::TcpListener;

use iassistance_domain::channel::StoredSecret;
use iassistance_domain::content::MediaKind;
use iassistance_domain::pii::Deliver;

use super::*;
use crate::errors::ThrottleScope;
use crate::graph::answer::{ANSWER_BYTES_MAX, FEW, MEDIA_TRIES};
use crate::samples::{files_of, fixture, link, pii};
use crate::usage::Pause;

fn accepted() -> Value {
    json!({"messaging_product": "whatsapp", "contacts": [{"input": "1"}], "messages": [{"id": "wamid.1"}]})
}

fn class(error: &SendError) -> ProblemClass {
    match error {
        SendError::Permanent { problem } => problem.class,
        other => panic!("not for good: {other}"),
    }
}

#[tokio::test]
async fn an_accepted_message_gives_its_id_and_was_asked_for_properly() {
    let server = Server::new([ok(&accepted())]);
    let sent = server.sender().send(&channel(number()), &whatsapp_text("x"), NOW, &EMPTY).await;
    assert!(sent.outcome.is_ok_and(|sent| sent.provider_id.reveal(Deliver) == "wamid.1"));
    assert_eq!(sent.usage, Usage::default());
    let request = server.requests().remove(0);
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v24.0/200000000000001/messages HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: Bearer token\r\n"), "{head}");
    assert!(head.contains("\r\nuser-agent: IAssistance/"), "{head}");
    let mut expected = fixture("wa_text_opaque")["body"].clone();
    expected["biz_opaque_callback_data"] = json!(whatsapp_text("x").message.to_string());
    expected["text"]["preview_url"] = json!(false);
    assert_eq!(body(&request), expected);
}

#[tokio::test]
async fn each_connection_sends_from_its_own_id() {
    let connections = [
        (channel(Connection::Page), "/v24.0/200000000000001/messages", "fb_text"),
        (instagram_page(), "/v24.0/300000000000001/messages", "ig_text"),
        (instagram_login(), "/v24.0/17840000000000009/messages", "ig_text"),
        (channel(Connection::InstagramLogin { user_id: None }), "/v24.0/200000000000001/messages", "ig_text"),
    ];
    for (channel, path, sample) in connections {
        let sample = fixture(sample);
        let server = Server::new([ok(&sample["response"])]);
        let entry = entry(channel.kind(), Content::text("hello"));
        let sent = server.sender().send(&channel, &entry, NOW, &EMPTY).await.outcome;
        let expected = sample["response"]["message_id"].as_str().unwrap();
        assert!(sent.is_ok_and(|sent| sent.provider_id.reveal(Deliver) == expected));
        let request = server.requests().remove(0);
        assert_eq!(line(&request), format!("POST {path}"));
        assert_eq!(body(&request)["recipient"], sample["body"]["recipient"]);
    }
}

#[tokio::test]
async fn a_reaction_without_an_id_of_its_own_is_known_by_ours() {
    let reaction = Content::Reaction { target: pii("m_1"), emoji: Some("love".to_owned()) };
    let entry = entry(ChannelKind::Messenger, reaction);
    let server = Server::new([ok(&json!({"recipient_id": "910000000000001"}))]);
    let sent = server.sender().send(&channel(Connection::Page), &entry, NOW, &EMPTY).await.outcome;
    assert!(sent.is_ok_and(|sent| *sent.provider_id.reveal(Deliver) == entry.message.to_string()));
    assert_eq!(server.requests().len(), 1);

    // A message without one may or may not have left.
    let server = Server::new([ok(&json!({"recipient_id": "910000000000001"}))]);
    let text = super::entry(ChannelKind::Messenger, Content::text("x"));
    let sent = server.sender().send(&channel(Connection::Page), &text, NOW, &EMPTY).await.outcome;
    assert!(matches!(sent.err().unwrap(), SendError::Unknown { .. }));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_leaves() {
    // Nobody listens there: whatever got as far as the network would be retryable.
    let nowhere = sender("http://127.0.0.1:1", 10_000);
    let refusal = async |channel: &Channel, entry: &OutboxEntry| match nowhere
        .send(channel, entry, NOW, &EMPTY)
        .await
        .outcome
        .err()
        .unwrap()
    {
        SendError::Permanent { problem } => problem,
        other => panic!("{other}"),
    };
    let number = channel(number());
    let long = refusal(&number, &whatsapp_text(&"ż".repeat(4_097))).await;
    assert_eq!(long.title, "the text has 4097 characters and WhatsApp takes 4096: shorten it");
    let several = files_of(vec![
        link(MediaKind::Image, "https://example.com/1.png"),
        link(MediaKind::Image, "https://example.com/2.png"),
    ]);
    let several = refusal(&number, &entry(ChannelKind::Whatsapp, several)).await;
    assert!(several.title.contains("one file per message"));
    for id in ["", "..", "1/2", "1?x=2"] {
        let odd = Channel { external_id: id.to_owned(), ..number.clone() };
        assert!(refusal(&odd, &whatsapp_text("x")).await.title.contains("id at Meta"));
    }
    let stray = Channel { access_token: StoredSecret::new("to\nken"), ..number.clone() };
    assert!(refusal(&stray, &whatsapp_text("x")).await.title.contains("stray"));
    let none = Channel { access_token: StoredSecret::new(""), ..number };
    assert_eq!(refusal(&none, &whatsapp_text("x")).await.class, ProblemClass::Auth);
}

#[tokio::test]
async fn what_never_left_is_tried_again_and_what_may_have_left_is_not() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (number, text) = (channel(number()), whatsapp_text("x"));
    let refused = sender(&format!("http://{gone}"), 10_000).send(&number, &text, NOW, &EMPTY).await.outcome;
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
    let timed_out = sender(&silent, 50).send(&number, &text, NOW, &EMPTY).await.outcome;
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
    let server = Server::new([http(200, "", &long)]);
    let sent = server.sender().send(&channel(number()), &whatsapp_text("x"), NOW, &EMPTY).await.outcome;
    assert!(matches!(sent.err().unwrap(), SendError::Unknown { .. }));
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
    assert_eq!(class(&error_of(http(401, "", "no")).await), ProblemClass::Auth);
    for status in [302, 404] {
        let refused = error_of(http(status, "location: http://127.0.0.1:1/\r\n", "")).await;
        assert_eq!(class(&refused), ProblemClass::Request, "{status}");
    }
}

#[tokio::test]
async fn graph_errors_decide_by_their_code() {
    let expired = error_of(graph_error(401, 190)).await;
    assert_eq!((class(&expired), expired.problem().code), (ProblemClass::Auth, 190));
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
    assert_eq!(class(&error_of(graph_error(200, 131_047)).await), ProblemClass::Window);
    assert_eq!(class(&error_of(graph_error(500, 3)).await), ProblemClass::Auth);
    assert_eq!(class(&error_of(graph_error(400, 987_654)).await), ProblemClass::Request);
    let passing = json!({"error": {"code": "987654", "is_transient": true}}).to_string();
    assert!(matches!(error_of(http(400, "", &passing)).await, SendError::Retryable { .. }));
}

#[tokio::test]
async fn messenger_and_instagram_have_codes_of_their_own() {
    let page = channel(Connection::Page);
    let entry = entry(ChannelKind::Messenger, Content::text("x"));
    let coded =
        |code: i64, subcode: i64| json!({"error": {"code": code, "error_subcode": subcode}}).to_string();
    let cases = [
        (10, 2_018_278, ProblemClass::Window),
        (551, 1_545_041, ProblemClass::Recipient),
        (100, 2_534_037, ProblemClass::ThreadControl),
        (200, 2_534_041, ProblemClass::AccountBlock),
    ];
    for (code, subcode, expected) in cases {
        let server = Server::new([http(400, "", &coded(code, subcode))]);
        let refused = server.sender().send(&page, &entry, NOW, &EMPTY).await.outcome.err().unwrap();
        assert_eq!(class(&refused), expected, "{code}/{subcode}");
    }
}

#[tokio::test]
async fn a_pair_waits_longer_each_time_and_doubtful_errors_end() {
    let tried = |attempts| OutboxEntry { attempts, ..whatsapp_text("x") };
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
    assert_eq!(class(&ended), ProblemClass::TransientBounded);
}

#[tokio::test]
async fn media_at_a_server_in_trouble_are_tried_once_more() {
    let answer = |details: &str| {
        let data = json!({"messaging_product": "whatsapp", "details": details});
        http(400, "", &json!({"error": {"code": 131_053, "error_data": data}}).to_string())
    };
    let tried = |attempts| OutboxEntry { attempts, ..whatsapp_text("x") };
    let at_fault = "Downloading media from weblink failed with http code 503";
    let first = outcome_of(answer(at_fault), &tried(1)).await.err().unwrap();
    assert!(matches!(first, SendError::Retryable { .. }));
    let second = outcome_of(answer(at_fault), &tried(MEDIA_TRIES)).await.err().unwrap();
    assert_eq!(class(&second), ProblemClass::TransientBounded);
    let ours = outcome_of(answer("Unsupported image format"), &tried(1)).await.err().unwrap();
    assert_eq!(class(&ours), ProblemClass::Request);
}

#[tokio::test]
async fn every_answer_tells_how_much_of_the_limits_is_used() {
    let app = "x-app-usage: {\"call_count\":90,\"total_time\":1,\"total_cputime\":1}\r\n";
    let business = "x-business-use-case-usage: {\"1\":[{\"type\":\"messenger\",\"call_count\":100,\
        \"estimated_time_to_regain_access\":7}]}\r\n";
    let (number, text) = (channel(number()), whatsapp_text("x"));
    let server = Server::new([
        http(200, app, &accepted().to_string()),
        http(400, business, &json!({"error": {"code": 80_007}}).to_string()),
        http(400, business, &json!({"error": {"code": 131_026}}).to_string()),
    ]);
    let sender = server.sender();
    let sent = sender.send(&number, &text, NOW, &EMPTY).await;
    assert!(sent.outcome.is_ok());
    assert_eq!(sent.usage.pause(), Some(Pause { scope: ThrottleScope::App, wait_ms: 31_000 }));
    let throttled = sender.send(&number, &text, NOW, &EMPTY).await;
    assert!(matches!(throttled.outcome.err().unwrap(), SendError::Throttled { wait_ms: 420_000, .. }));
    let refused = sender.send(&number, &text, NOW, &EMPTY).await;
    assert_eq!(class(&refused.outcome.err().unwrap()), ProblemClass::Recipient);
    assert_eq!(refused.usage.pause(), Some(Pause { scope: ThrottleScope::Account, wait_ms: 420_000 }));
    assert_eq!(server.requests().len(), 3);
}
