use bytes::Bytes;
use iassistance_domain::content::MediaKind;

use super::*;
use crate::samples::{files_of, fixture, pii, stored};

fn file(mime: &str, bytes: &'static [u8]) -> Shelf {
    let filename = Some(pii("Ada's \"i\".png"));
    Shelf(Ok(MediaBytes { mime: mime.to_owned(), filename, bytes: Bytes::from_static(bytes) }))
}

fn picture(kind: ChannelKind) -> OutboxEntry {
    entry(kind, files_of(vec![stored(MediaKind::Image, 3)]))
}

#[tokio::test]
async fn on_whatsapp_a_stored_file_is_uploaded_and_sent_by_its_id() {
    let sent = json!({"messages": [{"id": "wamid.1"}]});
    let server = Server::new([ok(&fixture("wa_media_upload")["response"]), ok(&sent)]);
    let shelf = file("image/png", b"PNG");
    let attempt =
        server.sender().send(&channel(number()), &picture(ChannelKind::Whatsapp), NOW, &shelf).await;
    assert!(attempt.outcome.is_ok());
    let requests = server.requests();
    assert_eq!(line(&requests[0]), "POST /v24.0/200000000000001/media");
    let upload = requests[0].to_ascii_lowercase();
    assert!(upload.contains("content-type: multipart/form-data; boundary="), "{upload}");
    assert!(upload.contains("name=\"messaging_product\"\r\n\r\nwhatsapp\r\n"), "{upload}");
    assert!(upload.contains("name=\"type\"\r\n\r\nimage/png\r\n"), "{upload}");
    assert!(upload.contains("content-type: image/png\r\n\r\npng\r\n"), "{upload}");
    assert!(upload.contains("authorization: bearer token\r\n"), "{upload}");
    assert_eq!(body(&requests[1])["image"], json!({"id": "300000000000001"}));
}

#[tokio::test]
async fn a_document_carries_its_name() {
    let sent = json!({"messages": [{"id": "wamid.1"}]});
    let server = Server::new([ok(&json!({"id": "7"})), ok(&sent)]);
    let entry = entry(ChannelKind::Whatsapp, files_of(vec![stored(MediaKind::Document, 3)]));
    let attempt =
        server.sender().send(&channel(number()), &entry, NOW, &file("application/pdf", b"PDF")).await;
    assert!(attempt.outcome.is_ok());
    assert_eq!(body(&server.requests()[1])["document"], json!({"id": "7", "filename": "Ada's \"i\".png"}));
}

#[tokio::test]
async fn on_messenger_it_becomes_an_attachment() {
    let server = Server::new([ok(&json!({"attachment_id": "9"})), ok(&json!({"message_id": "m_1"}))]);
    let shelf = file("image/png", b"PNG");
    let page = channel(Connection::Page);
    let attempt = server.sender().send(&page, &picture(ChannelKind::Messenger), NOW, &shelf).await;
    assert!(attempt.outcome.is_ok());
    let requests = server.requests();
    assert_eq!(line(&requests[0]), "POST /v24.0/200000000000001/message_attachments");
    let message = r#"{"attachment":{"payload":{"is_reusable":true},"type":"image"}}"#;
    assert!(requests[0].contains(&format!("name=\"message\"\r\n\r\n{message}\r\n")), "{}", requests[0]);
    assert!(requests[0].contains("name=\"filedata\""), "{}", requests[0]);
    let attachment = &body(&requests[1])["message"]["attachment"];
    assert_eq!(*attachment, json!({"type": "image", "payload": {"attachment_id": "9"}}));
}

#[tokio::test]
async fn what_would_not_be_taken_is_not_uploaded() {
    let nowhere = sender("http://127.0.0.1:1", 10_000);
    let refusal = async |channel: &Channel, entry: &OutboxEntry, shelf: &Shelf| match nowhere
        .send(channel, entry, NOW, shelf)
        .await
        .outcome
        .err()
        .unwrap()
    {
        SendError::Permanent { problem } => problem.title,
        other => panic!("{other}"),
    };
    let number = channel(number());
    let picture = picture(ChannelKind::Whatsapp);
    assert!(refusal(&number, &picture, &file("image/gif", b"GIF")).await.contains("image/jpeg, image/png"));
    assert!(refusal(&number, &picture, &file("image/png", b"")).await.contains("empty"));
    assert!(refusal(&number, &picture, &EMPTY).await.contains("not stored any more"));
    let large = Shelf(Ok(MediaBytes {
        mime: "image/png".to_owned(),
        filename: None,
        bytes: vec![0; (5 << 20) + 1].into(),
    }));
    assert!(refusal(&number, &picture, &large).await.contains("takes 5242880"));
    let on_instagram = super::entry(ChannelKind::Instagram, picture.content.clone());
    let refused = refusal(&instagram_login(), &on_instagram, &file("image/png", b"PNG")).await;
    assert_eq!(refused, "Instagram takes files only by a public address: give a link");
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing_in_doubt() {
    let number = channel(number());
    let picture = picture(ChannelKind::Whatsapp);
    let shelf = file("image/png", b"PNG");
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-le", "not HTTP at all\r\n\r\n"] {
        let server = Server::new([answer]);
        let failed = server.sender().send(&number, &picture, NOW, &shelf).await.outcome.err().unwrap();
        assert!(matches!(failed, SendError::Retryable { .. }), "{answer:?}");
        assert_eq!(server.requests().len(), 1);
    }
    for answer in [http(200, "", "{}"), http(502, "", "<html>"), graph_error(500, 131_016)] {
        let server = Server::new([answer]);
        let failed = server.sender().send(&number, &picture, NOW, &shelf).await.outcome.err().unwrap();
        assert!(matches!(failed, SendError::Retryable { .. }), "{failed}");
    }
    let server = Server::new([graph_error(400, 100)]);
    let refused = server.sender().send(&number, &picture, NOW, &shelf).await.outcome.err().unwrap();
    assert!(matches!(refused, SendError::Permanent { .. }));
    let away = Shelf(Err(ShelfError::Unavailable));
    let waits = sender("http://127.0.0.1:1", 10_000).send(&number, &picture, NOW, &away).await.outcome;
    assert!(matches!(waits.err().unwrap(), SendError::Retryable { .. }));
}
