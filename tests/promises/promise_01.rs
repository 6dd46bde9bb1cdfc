//! Nobody uses the platform without an account or a key: what is open to everybody is a short list.

use std::collections::BTreeSet;

use iassistance::http::openapi;

use crate::book::Proof;
use crate::harness::{Flow, within};

/// All that is answered to somebody who proves nothing. `/v1/auth` lets nobody in: it is where they prove it.
const OPEN: [&str; 28] = [
    "get /.well-known/security.txt",
    "get /asyncapi.json",
    "get /deletions/{code}",
    "get /health/live",
    "get /health/ready",
    "get /metrics",
    "get /openapi.json",
    "get /privacy",
    "get /privacy/subprocessors",
    "get /v1/privacy/processing-record",
    "get /v1/privacy/subprocessors",
    "get /webhooks/meta/{meta_app}",
    "post /v1/auth/email/confirm",
    "post /v1/auth/invitations/accept",
    "post /v1/auth/link",
    "post /v1/auth/passkey",
    "post /v1/auth/passkey/sign-in",
    "post /v1/auth/password/forgotten",
    "post /v1/auth/password/reset",
    "post /v1/auth/second-factor",
    "post /v1/auth/second-factor/passkey",
    "post /v1/auth/sign-in",
    "post /v1/auth/supabase",
    // Signed by Meta: without that, and for an app that is not there, nothing is done.
    "post /webhooks/meta/{meta_app}",
    "post /webhooks/meta/{meta_app}/data-deletion",
    "post /webhooks/meta/{meta_app}/deauthorize",
    "get /docs",
    "get /privacy/promises",
];

/// What the document does not describe: for people alone.
const PAGES: [&str; 2] = ["get /docs", "get /privacy/promises"];

fn filled(path: &str) -> String {
    let mut out = path.to_owned();
    while let (Some(from), Some(to)) = (out.find('{'), out.find('}')) {
        out.replace_range(from..=to, "x");
    }
    out
}

#[actix::test]
async fn promise_01() {
    let proof = Proof::of(1);
    let flow = Flow::start().await;
    let document = openapi::document();
    let mut asked = 0;
    let mut open = BTreeSet::new();
    let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
    });
    let all: BTreeSet<String> = described.chain(PAGES.iter().map(ToString::to_string)).collect();
    for route in &all {
        let (method, path) = route.split_once(' ').unwrap();
        let url = format!("http://{}{}", flow.address, filled(path));
        let wrong = ["", "Bearer nothing", "Bearer iak_live_000000000000_x_000000"];
        for credential in wrong {
            let mut request = flow.http.request(method.to_uppercase().parse().unwrap(), &url);
            if !credential.is_empty() {
                request = request.header("authorization", credential);
            }
            if method != "get" {
                request = request.json(&serde_json::json!({}));
            }
            let status = within("an answer", request.send()).await.unwrap().status().as_u16();
            asked += 1;
            if status != 401 && credential.is_empty() {
                open.insert(route.clone());
            }
            assert!(status == 401 || OPEN.contains(&route.as_str()), "{route} with `{credential}`: {status}");
        }
    }
    let listed: BTreeSet<String> = OPEN.iter().map(ToString::to_string).collect();
    assert_eq!(open, listed, "what is open, and the list of it");
    flow.finish().await;
    let closed = all.len() - open.len();
    proof.kept(format!(
        "{asked} requests without a credential: {closed} routes closed, {} open, as listed",
        open.len()
    ));
}
