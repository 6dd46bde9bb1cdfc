use super::*;
use crate::samples::{fixture, pii};

#[tokio::test]
async fn messages_are_marked_as_read() {
    let contact = whatsapp_text("x").to;
    for (typing, name) in [(false, "wa_mark_read"), (true, "wa_mark_read_typing")] {
        let server = Server::new([ok(&fixture(name)["response"])]);
        let read = server.sender().mark_read(&channel(number()), &contact, &pii("wamid.IN1"), typing).await;
        assert_eq!(read, Ok(()));
        assert_eq!(body(&server.requests()[0]), fixture(name)["body"]);
    }
}

#[tokio::test]
async fn on_messenger_and_instagram_each_sign_goes_alone() {
    let connections = [(channel(Connection::Page), "fb_typing_on"), (instagram_login(), "ig_typing_on")];
    for (channel, typing) in connections {
        let contact = entry(channel.kind(), Content::Heart).to;
        let done = ok(&fixture(typing)["response"]);
        let server = Server::new([done.clone(), done]);
        assert_eq!(server.sender().mark_read(&channel, &contact, &pii("m_IN1"), true).await, Ok(()));
        let requests = server.requests();
        let mut seen = fixture("fb_mark_seen")["body"].clone();
        seen["recipient"] = fixture(typing)["body"]["recipient"].clone();
        assert_eq!(body(&requests[0]), seen);
        assert_eq!(body(&requests[1]), fixture(typing)["body"]);
    }
    let page = channel(Connection::Page);
    let server = Server::new([ok(&json!({"recipient_id": "1"}))]);
    let contact = entry(ChannelKind::Messenger, Content::Heart).to;
    assert_eq!(server.sender().mark_read(&page, &contact, &pii("m_IN1"), false).await, Ok(()));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_mark_that_fails_says_why() {
    let server = Server::new([graph_error(400, 131_009)]);
    let contact = whatsapp_text("x").to;
    let read = server.sender().mark_read(&channel(number()), &contact, &pii("wamid.IN1"), false).await;
    assert!(matches!(read, Err(SendError::Permanent { problem }) if problem.code == 131_009));
}
