use super::*;

#[tokio::test]
async fn channels_are_subscribed_where_their_events_come_from() {
    let done = || ok(&json!({"success": true}));
    let cases = [
        (channel(number()), "POST /v24.0/100000000000001/subscribed_apps"),
        (
            channel(Connection::Page),
            "POST /v24.0/200000000000001/subscribed_apps?subscribed_fields=messages%2Cmessaging_postbacks%2C",
        ),
        (
            instagram_page(),
            "POST /v24.0/300000000000001/subscribed_apps?subscribed_fields=messages%2Cmessaging_postbacks%2C",
        ),
        (
            instagram_login(),
            "POST /v24.0/17840000000000009/subscribed_apps?subscribed_fields=messages%2Cmessaging_postbacks%2C",
        ),
    ];
    for (channel, expected) in cases {
        let server = Server::new([done()]);
        assert_eq!(server.sender().subscribe(&channel).await, Ok(()));
        let requests = server.requests();
        assert!(line(&requests[0]).starts_with(expected), "{}", requests[0]);
        assert!(requests[0].contains("authorization: Bearer token\r\n"));
    }
}

#[tokio::test]
async fn a_field_that_is_refused_does_not_cost_the_messages() {
    for code in [100, 200] {
        let server = Server::new([graph_error(400, code), ok(&json!({"success": true}))]);
        assert_eq!(server.sender().subscribe(&channel(Connection::Page)).await, Ok(()));
        let last = server.requests().pop().unwrap();
        assert!(line(&last).ends_with("subscribed_fields=messages%2Cmessaging_postbacks"), "{last}");
    }
    let server = Server::new([graph_error(401, 190)]);
    let refused = server.sender().subscribe(&channel(Connection::Page)).await.unwrap_err();
    assert_eq!((refused.class, refused.code), (ProblemClass::Auth, 190));
    assert_eq!(server.requests().len(), 1);
    let nameless = channel(Connection::CloudApi { account_id: None, number: None });
    let refused = sender("http://127.0.0.1:1", 1).subscribe(&nameless).await.unwrap_err();
    assert!(refused.title.contains("business account"));
}

#[tokio::test]
async fn templates_are_read_to_the_last_page_and_the_token_stays_out_of_the_address() {
    let template = |name: &str| {
        json!({"name": name, "language": "pl", "category": "UTILITY", "status": "APPROVED", "components":
            [{"type": "HEADER", "text": "no"}, {"type": "BODY", "text": "Hi {{1}}"}]})
    };
    let paging =
        json!({"cursors": {"after": "AFTER"}, "next": "https://graph.facebook.com/?access_token=secret"});
    let server = Server::new([
        ok(&json!({"data": [template("a"), {"odd": 1}], "paging": paging})),
        ok(&json!({"data": [template("b")], "paging": {"cursors": {"after": "MORE"}}})),
    ]);
    let templates = server.sender().templates(&channel(number())).await.unwrap();
    let names: Vec<&str> = templates.iter().map(|template| &*template.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(templates[0].is_approved() && templates[0].body == "Hi {{1}}");
    let requests = server.requests();
    assert!(line(&requests[0]).starts_with("GET /v24.0/100000000000001/message_templates?fields=name%2C"));
    assert!(line(&requests[1]).ends_with("&after=AFTER"));
    assert!(!requests[1].contains("secret"));
    assert!(sender("http://127.0.0.1:1", 1).templates(&channel(Connection::Page)).await.is_err());
}

#[tokio::test]
async fn the_token_of_an_instagram_login_is_renewed() {
    let answer = json!({"access_token": "fresh", "token_type": "bearer", "expires_in": 5_184_000});
    let server = Server::new([ok(&answer)]);
    let fresh = server.sender().refresh_token(&instagram_login()).await.unwrap();
    assert_eq!((fresh.token.expose(), fresh.lives_ms), ("fresh", 5_184_000_000));
    let requests = server.requests();
    assert_eq!(line(&requests[0]), "GET /refresh_access_token?grant_type=ig_refresh_token");
    assert!(requests[0].contains("authorization: Bearer token\r\n"));

    let server = Server::new([ok(&json!({"expires_in": 1}))]);
    let odd = server.sender().refresh_token(&instagram_login()).await.unwrap_err();
    assert_eq!(odd.class, ProblemClass::Transient);
    let other = sender("http://127.0.0.1:1", 1).refresh_token(&instagram_page()).await.unwrap_err();
    assert_eq!(other.class, ProblemClass::Request);
}
