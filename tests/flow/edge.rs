//! The edge, by real HTTP: what is said of proxies, headers of every answer, pages of other origins, rates, limits.

mod guessing;
mod tls;

use futures::future::join_all;
use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::{Clock, Timestamp};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Flow, Options, SignedIn, within};

const PROXIED: &str = "server.trusted_proxies=[\"127.0.0.0/8\"]";
const LISTED: &str = "https://desk.example";

async fn with(settings: &[&'static str]) -> Flow {
    Flow::with(Options { settings: settings.to_vec(), ..Options::default() }).await
}

impl Flow {
    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("http://{}{path}", self.address))
    }
}

async fn sent(request: RequestBuilder) -> Response {
    within("an answer", request.send()).await.unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn code(answer: Response) -> String {
    let problem: Value = answer.json().await.unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

#[actix::test]
async fn a_proxy_says_where_a_request_comes_from_and_nobody_else_does() {
    for (settings, believed) in [(&[PROXIED][..], true), (&[][..], false)] {
        let rate = ["server.rate_address_burst=2", "server.rate_address_interval_ms=60000"];
        let flow = with(&[settings, &rate].concat()).await;
        let from = async |forwarded: &str, proto: &str| {
            let request = flow.request("GET", "/v1/tenants");
            sent(request.header("x-forwarded-for", forwarded).header("x-forwarded-proto", proto)).await
        };
        for _ in 0..2 {
            assert_eq!(from("9.9.9.9", "https").await.status(), 401);
        }
        let refused = from("9.9.9.9", "https").await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers().contains_key("strict-transport-security"), believed);
        assert!(!from("9.9.9.9", "http").await.headers().contains_key("strict-transport-security"));
        let expected = if believed { 401 } else { 429 };
        for another in ["8.8.8.8", "9.9.9.9, 7.7.7.7", "9.9.9.9, 6.6.6.6, 127.0.0.9", "[2001:db8::9]:1"] {
            assert_eq!(from(another, "https").await.status(), expected, "{another}");
        }
        // What is no list of addresses counts as the proxy's own.
        let nonsense: Vec<_> = ["nonsense", "", ",,,", "9.9.9.9, unknown"].map(|text| from(text, "?")).into();
        let answers: Vec<_> =
            join_all(nonsense).await.iter().map(|answer| answer.status().as_u16()).collect();
        let served = answers.iter().filter(|status| **status == 401).count();
        assert_eq!(served, if believed { 2 } else { 0 }, "{answers:?}");
        flow.finish().await;
    }
}

/// The headers that whatever is answered has.
fn assert_guarded(answer: &Response, what: &str) {
    for (name, expected) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(header(answer, name), expected, "{name} of {what}");
    }
    let permissions = header(answer, "permissions-policy");
    assert!(permissions.contains("camera=()") && permissions.contains("geolocation=()"), "{what}");
    let policy = header(answer, "content-security-policy");
    for part in ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{what}: {policy}");
    }
    for hole in ["unsafe", "*", "http:", "https:", "data:", "blob:"] {
        assert!(!policy.contains(hole), "{what}: {policy}");
    }
}

#[actix::test]
async fn every_answer_of_every_route_is_guarded() {
    let flow = with(&[PROXIED, "server.security_contact=mailto:security@example.org"]).await;
    let document: Value = sent(flow.request("GET", "/openapi.json")).await.json().await.unwrap();
    let mut requests = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let filled: Vec<_> =
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
        for method in methods.chain(["OPTIONS".to_owned(), "TRACE".to_owned()]) {
            requests.push((method, filled.join("/")));
        }
        // What is theirs, by who may see it.
        requests.push(("KEY".to_owned(), path.replace("{tenant}", &flow.tenants[0].to_string())));
    }
    let beside =
        ["/docs", "/docs/page.js", "/docs/page.css", "/nowhere", "/v1", "/v1/", "/%761/tenants", "//"];
    requests.extend(beside.map(|path| ("GET".to_owned(), path.to_owned())));
    let count = requests.len();
    assert!(count > 300, "{count}");
    for (method, path) in requests {
        let request = match method.as_str() {
            "KEY" => flow.request("GET", &path).bearer_auth(&flow.key),
            method => flow.request(method, &path),
        };
        let answer = sent(request.header("x-forwarded-proto", "https")).await;
        let what = format!("{method} {path}: {}", answer.status());
        assert_guarded(&answer, &what);
        assert_eq!(header(&answer, "strict-transport-security"), "max-age=31536000", "{what}");
    }
    let large = sent(flow.request("GET", "/v1/tenants").header("x-a", "a".repeat(40_000))).await;
    assert_eq!(large.status(), 431);
    assert_guarded(&large, "a head that is too large");
    flow.finish().await;
}

#[actix::test]
async fn pages_have_their_scripts_and_styles_in_files_of_their_own() {
    let flow = Flow::start().await;
    for page in [format!("http://{}/docs", flow.address), flow.simulator.phone_url()] {
        let answer = sent(flow.http.get(&page)).await;
        assert_guarded(&answer, &page);
        assert!(header(&answer, "content-security-policy").contains("script-src 'self'"));
        let html = answer.text().await.unwrap();
        assert!(html.starts_with("<!doctype html>"), "{page}");
        for inline in ["<script>", "<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!html.contains(inline), "{page}: {inline}");
        }
    }
    flow.finish().await;
}

#[actix::test]
async fn pages_of_listed_origins_may_and_others_may_not() {
    let flow = with(&["server.cors_origins=[\"https://desk.example\"]"]).await;
    let tenants = "/v1/tenants";
    let ask = async |origin: &str| {
        let request = flow.request("OPTIONS", tenants).header("origin", origin);
        sent(request.header("access-control-request-method", "POST")).await
    };
    let allowed = ask(LISTED).await;
    assert_eq!((allowed.status().as_u16(), header(&allowed, "access-control-allow-origin")), (204, LISTED));
    assert_eq!(header(&allowed, "access-control-allow-credentials"), "true");
    assert!(header(&allowed, "access-control-allow-methods").contains("DELETE"));
    assert!(header(&allowed, "access-control-allow-headers").contains("x-csrf-token"));
    assert_guarded(&allowed, "a question");
    for foreign in
        ["https://desk.example.evil", "https://desk.example:444", "http://desk.example", "null", "*"]
    {
        let refused = ask(foreign).await;
        assert!(!refused.status().is_success(), "{foreign}");
        assert_eq!(header(&refused, "access-control-allow-origin"), "", "{foreign}");
        assert_eq!(header(&refused, "vary"), "Origin");
    }
    let get = async |origin: &str, path: &str| {
        sent(flow.request("GET", path).header("origin", origin).bearer_auth(&flow.key)).await
    };
    let own = format!("/v1/tenants/{}", flow.tenants[0]);
    let seen = get(LISTED, &own).await;
    assert_eq!((seen.status().as_u16(), header(&seen, "access-control-allow-origin")), (200, LISTED));
    assert!(header(&seen, "access-control-expose-headers").contains("retry-after"));
    let unseen = get("https://evil.example", &own).await;
    assert_eq!(header(&unseen, "access-control-allow-origin"), "");
    assert_eq!(header(&get(LISTED, "/openapi.json").await, "access-control-allow-origin"), "", "/v1 alone");
    // A change in somebody's session, and a ticket for the feed.
    let who = flow.sign_in(false, &[(MemberOf::Tenant(flow.tenants[0]), Role::Operator)]).await;
    let ticket = format!("{own}/live-tickets");
    let change = async |origin: &str, who: &SignedIn| {
        let request = flow.request("POST", &ticket).header("origin", origin).header("cookie", &who.cookie);
        sent(request.header("x-csrf-token", &who.csrf).header("sec-fetch-site", "cross-site")).await
    };
    assert_eq!(change(LISTED, &who).await.status(), 201);
    let forged = SignedIn { csrf: String::new(), ..who };
    assert_eq!(change(LISTED, &forged).await.status(), 403, "its token is needed all the same");
    let refused = change("https://evil.example", &who_again(&flow).await).await;
    assert_eq!((refused.status().as_u16(), code(refused).await.as_str()), (403, "forged"));
    let by_key =
        flow.request("POST", &ticket).bearer_auth(&flow.key).header("origin", "https://evil.example");
    assert_eq!(sent(by_key).await.status(), 403);
    flow.finish().await;
}

async fn who_again(flow: &Flow) -> SignedIn {
    flow.sign_in(false, &[(MemberOf::Tenant(flow.tenants[0]), Role::Operator)]).await
}

#[actix::test]
async fn who_sends_too_many_requests_is_told_when_to_come_again() {
    let flow = with(&["server.rate_key_burst=3", "server.rate_key_interval_ms=2000"]).await;
    let path = format!("/v1/tenants/{}", flow.tenants[0]);
    let get = async || sent(flow.request("GET", &path).bearer_auth(&flow.key)).await;
    for left in ["\"key\";r=2;t=2", "\"key\";r=1;t=4", "\"key\";r=0;t=6"] {
        let answer = get().await;
        assert_eq!((answer.status().as_u16(), header(&answer, "ratelimit")), (200, left));
        assert_eq!(header(&answer, "ratelimit-policy"), "\"key\";q=3;w=6");
    }
    // However its address is written.
    let other_way = path.replacen("/v1/", "/%761/", 1);
    let refused = sent(flow.request("GET", &other_way).bearer_auth(&flow.key)).await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, "2"));
    assert_eq!(header(&refused, "ratelimit"), "\"key\";r=0;t=2");
    assert_guarded(&refused, "too many requests");
    assert_eq!(code(refused).await, "rate_limited");
    let another = flow.sign_in(false, &[(MemberOf::Tenant(flow.tenants[0]), Role::Viewer)]).await;
    assert_eq!(flow.api_as(&another, "GET", "/auth/me", None).await.0, 200, "others are not concerned");
    flow.clock.advance_millis(2_000);
    assert_eq!(get().await.status(), 200);
    assert_eq!(get().await.status(), 429);
    flow.finish().await;
}

#[actix::test]
async fn webhooks_are_not_counted() {
    let flow = with(&["server.rate_address_burst=1", "server.rate_address_interval_ms=3600000"]).await;
    for _ in 0..20 {
        assert_eq!(flow.post_signed(b"{}".to_vec(), Some("sha256=00")).await.status(), 401);
    }
    assert_eq!(sent(flow.request("GET", "/v1/tenants")).await.status(), 401);
    assert_eq!(sent(flow.request("GET", "/v1/tenants")).await.status(), 429);
    for path in ["/health/live", "/health/ready", "/metrics", "/docs"] {
        assert_eq!(sent(flow.request("GET", path)).await.status(), 200, "{path}");
    }
    flow.finish().await;
}

#[actix::test]
async fn what_is_nested_too_deeply_or_has_too_many_headers_is_refused_in_words() {
    let flow = Flow::start().await;
    let path = format!("/v1/tenants/{}/assistant", flow.tenants[0]);
    let put = async |depth: usize| {
        let body = format!("{{\"task\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let request =
            flow.request("PUT", &path).bearer_auth(&flow.key).header("content-type", "application/json");
        sent(request.body(body)).await
    };
    assert_eq!(code(put(63).await).await, "invalid");
    for depth in [64, 1_000, 100_000] {
        let refused = put(depth).await;
        assert_eq!((refused.status().as_u16(), code(refused).await.as_str()), (400, "too_deep"), "{depth}");
    }
    let many = |count: usize| {
        (0..count).fold(flow.request("GET", "/health/live"), |it, n| it.header(format!("x-{n}"), "1"))
    };
    assert_eq!(sent(many(70)).await.status(), 200);
    let refused = sent(many(85)).await;
    assert_eq!((refused.status().as_u16(), code(refused).await.as_str()), (431, "too_many_headers"));
    flow.finish().await;
}

#[actix::test]
async fn forms_that_come_too_slowly_end_too() {
    for door in ["data-deletion", "deauthorize"] {
        let flow = Flow::start().await;
        let head = format!(
            "POST /webhooks/meta/{}/{door} HTTP/1.1\r\nhost: flow\r\ncontent-length: 9999\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\nsigned_request=",
            flow.meta_app
        );
        let mut slow = TcpStream::connect(flow.address).await.unwrap();
        slow.write_all(head.as_bytes()).await.unwrap();
        flow.sleeps_for(5_000).await;
        flow.clock.advance_millis(5_000);
        let mut said = vec![0; 12];
        within("an answer", slow.read_exact(&mut said)).await.unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "HTTP/1.1 408", "{door}");
        flow.finish().await;
    }
}

#[actix::test]
async fn where_to_report_what_was_found_is_said_where_it_is_set() {
    let flow = Flow::start().await;
    let path = "/.well-known/security.txt";
    assert_eq!(sent(flow.request("GET", path)).await.status(), 404);
    flow.finish().await;
    let public =
        ["server.security_contact=mailto:security@example.org", "server.public_url=https://chat.example"];
    let flow = with(&public).await;
    for _ in 0..3 {
        let answer = sent(flow.request("GET", path)).await;
        assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
        let text = answer.text().await.unwrap();
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        assert_eq!(field("Contact:"), "mailto:security@example.org");
        assert_eq!(field("Canonical:"), format!("https://chat.example{path}"));
        let expires = Timestamp::from_rfc3339(&field("Expires:")).unwrap();
        let days = expires.millis_since(flow.clock.now()) / 86_400_000;
        assert!((170..365).contains(&days), "{days}");
        flow.clock.advance_millis(400 * 86_400_000);
    }
    flow.finish().await;
}

#[actix::test]
async fn a_deletion_page_is_named_as_this_server_is_reached() {
    // A header of the client's changes nothing about it.
    let flow = with(&["server.public_url=https://chat.example"]).await;
    let form = format!("signed_request={}", crate::duties::signed_request("1"));
    let path = format!("/webhooks/meta/{}/data-deletion", flow.meta_app);
    let request = flow.request("POST", &path).header("x-forwarded-host", "evil.example");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let confirmed: Value = sent(request).await.json().await.unwrap();
    let url = confirmed["url"].as_str().unwrap();
    assert!(url.starts_with("https://chat.example/deletions/"), "{url}");
    let page = format!("{}?lang=en", url.strip_prefix("https://chat.example").unwrap());
    let page = sent(flow.request("GET", &page)).await;
    assert_guarded(&page, "a page of a deletion");
    let html = page.text().await.unwrap();
    assert!(html.contains("carried out") && !html.contains("<style") && !html.contains("<script"));
    flow.finish().await;
}
