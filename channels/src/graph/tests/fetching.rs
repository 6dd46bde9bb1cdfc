use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iassistance_domain::content::{MediaKind, MediaSource};
use sha2::{Digest, Sha256};

use super::*;
use crate::samples::{at, at_meta, fixture, link, pii, stored};

const PNG: &str = "\u{89}PNG";

fn picture(headers: &str) -> String {
    http(200, headers, PNG)
}

fn typed(mime: &str) -> String {
    format!("content-type: {mime}\r\n")
}

fn at_url(kind: MediaKind, url: &str) -> Media {
    at(kind, MediaSource::Meta { id: None, url: Some(pii(url)) })
}

fn located(base: &str, more: &Value) -> Vec<u8> {
    let mut answer =
        json!({"messaging_product": "whatsapp", "url": format!("{base}/file?hash=1"), "id": "300"});
    answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ok(&answer).into_bytes()
}

/// What comes of a picture on Messenger that its server answers so.
async fn answered(kind: MediaKind, answer: String) -> Result<Fetched, FetchError> {
    let server = Server::new([answer]);
    let media = at_url(kind, &format!("{}/file", server.base()));
    let fetched = server.sender().fetch(&channel(Connection::Page), &media).await;
    assert_eq!(server.requests().len(), 1);
    fetched
}

fn refusal(fetched: Result<Fetched, FetchError>) -> String {
    match fetched.err().unwrap() {
        FetchError::Refused { reason } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn on_whatsapp_a_file_is_fetched_by_its_id_and_with_the_token() {
    let hex = hex::encode(Sha256::digest(PNG));
    let mut sample = fixture("wa_media_get")["response"].clone();
    sample["file_size"] = json!(PNG.len().to_string());
    sample["sha256"] = json!(hex);
    let server = Server::with_base(|base| {
        sample["url"] = json!(format!("{base}/file?hash=1"));
        vec![ok(&sample).into_bytes(), picture(&typed("image/png")).into_bytes()]
    });
    let mut media = at_meta(MediaKind::Image, "300000000000001");
    media.sha256 = Some(STANDARD.encode(Sha256::digest(PNG)));
    media.filename = Some(pii("a.png"));
    let fetched = server.sender().fetch(&channel(number()), &media).await.ok().unwrap();
    assert_eq!((&*fetched.mime, &*fetched.bytes), ("image/png", PNG.as_bytes()));
    assert!(fetched.filename == media.filename);
    let requests = server.requests();
    assert_eq!(line(&requests[0]), "GET /v24.0/300000000000001?phone_number_id=200000000000001");
    assert_eq!(line(&requests[1]), "GET /file?hash=1");
    assert!(requests.iter().all(|request| request.contains("authorization: Bearer token\r\n")));
}

#[tokio::test]
async fn an_address_that_died_is_asked_for_once_more() {
    let dead = || http(404, "", "").into_bytes();
    let server = Server::with_base(|base| {
        let here = located(base, &json!({}));
        vec![here.clone(), dead(), here, picture(&typed("image/png")).into_bytes()]
    });
    assert!(server.sender().fetch(&channel(number()), &at_meta(MediaKind::Image, "300")).await.is_ok());
    assert_eq!(server.requests().len(), 4);

    let server = Server::with_base(|base| {
        let here = located(base, &json!({}));
        vec![here.clone(), dead(), here, dead()]
    });
    let gone = server.sender().fetch(&channel(number()), &at_meta(MediaKind::Image, "300")).await;
    assert!(matches!(gone.err().unwrap(), FetchError::Gone { .. }));
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn on_messenger_and_instagram_no_token_goes_to_the_file() {
    for channel in [channel(Connection::Page), instagram_page(), instagram_login()] {
        let server = Server::new([picture(&typed("image/png; x=y"))]);
        let media = at_url(MediaKind::Image, &format!("{}/i.png?oh=1", server.base()));
        let fetched = server.sender().fetch(&channel, &media).await.ok().unwrap();
        assert_eq!(fetched.mime, "image/png");
        let requests = server.requests();
        assert_eq!(line(&requests[0]), "GET /i.png?oh=1");
        assert!(!requests[0].to_ascii_lowercase().contains("authorization"));
    }
}

#[tokio::test]
async fn only_metas_own_addresses_are_fetched_and_what_is_said_names_the_host_alone() {
    let sender = sender("http://127.0.0.1:1", 10_000);
    let page = channel(Connection::Page);
    for address in [
        "http://127.0.0.1:2/secret",
        "http://169.254.169.254/latest/secret",
        "https://evil.example/secret",
        "https://fbcdn.net.evil.example/secret",
        "https://user:secret@scontent.fbcdn.net/i.png",
        "http://scontent.fbcdn.net/secret",
        "file:///etc/secret",
        "not an address: secret",
    ] {
        let reason = refusal(sender.fetch(&page, &at_url(MediaKind::Image, address)).await);
        assert!(!reason.contains("secret"), "{reason}");
    }
    let moved = http(302, "location: https://169.254.169.254/latest\r\n", "");
    assert!(refusal(answered(MediaKind::Image, moved).await).contains("169.254.169.254"));
    let round = "location: /file\r\n";
    let server =
        Server::new([http(302, round, ""), http(302, round, ""), http(302, round, ""), http(302, round, "")]);
    let media = at_url(MediaKind::Image, &format!("{}/file", server.base()));
    assert!(refusal(server.sender().fetch(&page, &media).await).contains("from one to the next"));

    let server = Server::new([http(302, "location: /there\r\n", ""), picture(&typed("image/png"))]);
    let media = at_url(MediaKind::Image, &format!("{}/file", server.base()));
    assert!(server.sender().fetch(&page, &media).await.is_ok());
    assert_eq!(line(&server.requests()[1]), "GET /there");
}

#[tokio::test]
async fn a_file_has_to_be_what_it_was_said_to_be() {
    let cases = [
        (MediaKind::Image, "text/html", false),
        (MediaKind::Document, "text/html; charset=utf-8", false),
        (MediaKind::Image, "image/svg+xml", false),
        (MediaKind::Image, "application/json", false),
        (MediaKind::Video, "image/png", false),
        (MediaKind::Audio, "image/png", false),
        (MediaKind::Sticker, "image/webp", true),
        (MediaKind::Voice, "audio/ogg; codecs=opus", true),
        (MediaKind::Voice, "video/mp4", true),
        (MediaKind::Document, "application/zip", true),
        (MediaKind::Image, "application/octet-stream", true),
        (MediaKind::Image, "odd", true),
    ];
    for (kind, mime, taken) in cases {
        let fetched = answered(kind, picture(&typed(mime))).await;
        assert_eq!(fetched.is_ok(), taken, "{} as {mime}", kind.name());
    }
    let page = http(200, &typed("image/png"), "\n<!DOCTYPE HTML><title>Sign in</title>");
    assert!(refusal(answered(MediaKind::Image, page).await).contains("a web page came instead of the image"));
}

#[tokio::test]
async fn where_the_server_names_no_type_metas_word_counts() {
    let server = Server::with_base(|base| {
        vec![located(base, &json!({"mime_type": "image/jpeg"})), picture("").into_bytes()]
    });
    let fetched = server.sender().fetch(&channel(number()), &at_meta(MediaKind::Image, "300")).await;
    assert_eq!(fetched.ok().unwrap().mime, "image/jpeg");
    assert_eq!(
        answered(MediaKind::Document, picture("")).await.ok().unwrap().mime,
        "application/octet-stream"
    );
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_read() {
    let long =
        |length: &str| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{length}\r\n{}", "x".repeat(1_001));
    for answer in [long("content-length: 1001\r\n"), long("")] {
        let reason = refusal(answered(MediaKind::Document, answer).await);
        assert!(reason.contains("1000 bytes"), "{reason}");
    }
    let announced = Server::with_base(|base| vec![located(base, &json!({"file_size": 1_001}))]);
    let refused = announced.sender().fetch(&channel(number()), &at_meta(MediaKind::Image, "300")).await;
    assert!(refusal(refused).contains("1000 bytes"));
    assert_eq!(announced.requests().len(), 1);
}

#[tokio::test]
async fn a_file_that_arrives_damaged_is_fetched_again() {
    let other = hex::encode(Sha256::digest("other"));
    let server = Server::with_base(|base| {
        vec![located(base, &json!({"sha256": other})), picture(&typed("image/png")).into_bytes()]
    });
    let damaged = server.sender().fetch(&channel(number()), &at_meta(MediaKind::Image, "300")).await;
    assert!(matches!(damaged.err().unwrap(), FetchError::Retryable { .. }));
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\nPNG".to_owned();
    for answer in [broken, http(200, "", ""), http(503, "retry-after: 9\r\n", ""), String::new()] {
        let failed = answered(MediaKind::Image, answer.clone()).await.err().unwrap();
        assert!(matches!(failed, FetchError::Retryable { .. }), "{answer}");
    }
    let waits = answered(MediaKind::Image, http(429, "retry-after: 9\r\n", "")).await.err().unwrap();
    assert!(matches!(waits, FetchError::Retryable { after_ms: Some(9_000), .. }));
}

#[tokio::test]
async fn what_meta_has_no_more_is_gone() {
    for status in [403, 404, 410] {
        let gone = answered(MediaKind::Image, http(status, "", "")).await.err().unwrap();
        assert!(matches!(gone, FetchError::Gone { .. }), "{status}");
    }
    let unknown = http(400, "", &json!({"error": {"code": 100, "error_subcode": 33}}).to_string());
    let expired = graph_error(401, 190);
    let server = Server::new([unknown, expired]);
    let sender = server.sender();
    let media = at_meta(MediaKind::Image, "300");
    let gone = sender.fetch(&channel(number()), &media).await.err().unwrap();
    assert!(matches!(gone, FetchError::Gone { .. }));
    let mended = sender.fetch(&channel(number()), &media).await.err().unwrap();
    assert!(matches!(mended, FetchError::Retryable { after_ms: Some(900_000), .. }));
}

#[tokio::test]
async fn only_what_came_in_is_fetched() {
    let sender = sender("http://127.0.0.1:1", 10_000);
    let number = channel(number());
    let missing = at(MediaKind::Image, MediaSource::Missing { reason: "a story".to_owned() });
    let gone = sender.fetch(&number, &missing).await.err().unwrap();
    assert_eq!(gone, FetchError::Gone { reason: "a story".to_owned() });
    refusal(sender.fetch(&number, &stored(MediaKind::Image, 1)).await);
    refusal(sender.fetch(&number, &link(MediaKind::Image, "https://example.com/i.png")).await);
    refusal(sender.fetch(&number, &at_meta(MediaKind::Image, "../1")).await);
    let nowhere = at(MediaKind::Image, MediaSource::Meta { id: None, url: None });
    assert!(matches!(sender.fetch(&number, &nowhere).await.err().unwrap(), FetchError::Gone { .. }));
}
