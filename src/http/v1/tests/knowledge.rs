use super::*;

const RETURNS: &str = "Returns are free for 30 days. Shoes come back in their box.";

impl Desk {
    async fn give(&self, key: &str, title: &str, mime: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let uri = format!("/v1/tenants/{}/knowledge?title={title}", self.tenants[0]);
        let mut request = test::TestRequest::post()
            .uri(&uri)
            .insert_header(("Authorization", format!("Bearer {key}")))
            .insert_header(("Content-Type", mime))
            .set_payload(body.to_owned());
        for header in headers {
            request = request.append_header(*header);
        }
        self.send(request).await
    }

    /// A document once it was read, or could not be.
    async fn read(&self, key: &str, path: &str) -> Value {
        let store = self.app.store.tenant(TenantCtx::platform(self.tenants[0])).await.unwrap();
        let mut latest = store.latest_event();
        loop {
            let shown = self.ask(key, "get", path, None).await;
            if shown.body["state"] != "indexing" {
                return shown.body;
            }
            latest.changed().await.unwrap();
        }
    }
}

#[actix_web::test]
async fn a_document_is_read_found_and_gone() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage]).await;
    let path = format!("/tenants/{tenant}/knowledge");
    let once = [("Idempotency-Key", "d1")];
    let given = desk.give(&key, "Returns", "text/plain; charset=utf-8", RETURNS, &once).await;
    assert_eq!((given.status, &given.body["title"]), (201, &json!("Returns")), "{}", given.body);
    let again = desk.give(&key, "Returns", "text/plain", RETURNS, &once).await;
    assert_eq!((again.status, &again.body), (201, &given.body));
    let other = desk.give(&key, "Other", "text/plain", RETURNS, &once).await;
    assert!(other.is_problem(422, "idempotency_mismatch"));
    assert!(desk.give(&key, "Twice", "text/plain", RETURNS, &[]).await.is_problem(409, "conflict"));

    let one =
        given.headers.get("location").unwrap().to_str().unwrap().strip_prefix("/v1").unwrap().to_owned();
    let read = desk.read(&key, &one).await;
    assert_eq!((&read["state"], &read["passages"]), (&json!("ready"), &json!(1)), "{read}");
    let listed = desk.ask(&key, "get", &path, None).await;
    assert_eq!(listed.body["items"], json!([read]));

    let found = desk.ask(&key, "get", &format!("{path}/search?q=how%20long%20for%20returns"), None).await;
    assert_eq!(
        (&found.body["items"][0]["title"], &found.body["items"][0]["text"]),
        (&json!("Returns"), &json!(RETURNS))
    );
    assert_eq!(desk.ask(&key, "delete", &one, None).await.status, 204);
    assert!(desk.ask(&key, "delete", &one, None).await.is_problem(404, "not_found"));
    let found = desk.ask(&key, "get", &format!("{path}/search?q=returns"), None).await;
    assert_eq!(found.body["items"], json!([]));
    desk.close().await;
}

#[actix_web::test]
async fn what_cannot_be_read_is_refused() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage]).await;
    assert!(desk.give(&key, "A", "image/png", "x", &[]).await.is_problem(415, "unsupported_type"));
    assert!(desk.give(&key, "A", "text/plain", "", &[]).await.is_problem(400, "bad_request"));
    assert!(desk.give(&key, "", "text/plain", "x", &[]).await.is_problem(422, "invalid"));
    assert!(desk.give(&key, &"A".repeat(121), "text/plain", "x", &[]).await.is_problem(422, "invalid"));
    let reader = desk.key(Some(tenant), &[Scope::Read]).await;
    assert!(desk.give(&reader, "A", "text/plain", "x", &[]).await.is_problem(403, "forbidden"));
    let search = format!("/tenants/{tenant}/knowledge/search");
    for query in ["", "?q=", "?q=a&limit=0", "?q=a&limit=21"] {
        let refused = desk.ask(&reader, "get", &format!("{search}{query}"), None).await;
        assert!(refused.is_problem(422, "invalid"), "{query}");
    }
    desk.close().await;
}
