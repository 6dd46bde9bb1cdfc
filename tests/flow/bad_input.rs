//! Whatever comes in gets a clear answer, breaks nothing and costs nothing else.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use iassistance_channels::signature::sign;
use iassistance_domain::channel::{MetaApp, StoredSecret};
use iassistance_domain::id::MetaAppId;
use iassistance_vault::SystemEntropy;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Flow, NUMBERS, Options, SECRET, START, assistant, messages, within};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
const MIB: usize = 1024 * 1024;

fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(format!("{FIXTURES}/whatsapp")).unwrap().map(|file| file.unwrap().path());
    let fixtures: BTreeMap<_, _> = files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    assert!(fixtures.len() > 100);
    fixtures
}

fn vectors(file: &str) -> Value {
    serde_json::from_slice(&fs::read(format!("{FIXTURES}/signature/{file}")).unwrap()).unwrap()
}

async fn silence(flow: &Flow) {
    for tenant in 0..2 {
        let quiet = iassistance_domain::assistant::AssistantSettings { enabled: false, ..assistant() };
        let ctx = iassistance_domain::tenant::TenantCtx::platform(flow.tenants[tenant]);
        flow.app.engine.put_assistant(ctx, quiet, None).await.unwrap();
    }
}

/// All that a webhook can have changed.
async fn state(flow: &Flow) -> (Vec<Vec<Value>>, usize) {
    let mut events = Vec::new();
    for tenant in 0..2 {
        flow.quiet(tenant).await;
        events.push(flow.events(tenant).await);
    }
    (events, flow.app.store.unrouted(1_000).await.unwrap().len())
}

async fn meta_app(flow: &Flow, secrets: &[&str], verify_token: &str) -> MetaAppId {
    let app = MetaApp {
        id: MetaAppId::new(START, &SystemEntropy),
        app_id: None,
        name: "another".into(),
        secrets: secrets.iter().map(|secret| StoredSecret::new(*secret)).collect(),
        verify_token: StoredSecret::new(verify_token),
        created_at: START,
    };
    let id = app.id;
    flow.app.store.put_meta_app(app).await.unwrap();
    id
}

fn webhook_of(flow: &Flow, app: impl std::fmt::Display) -> String {
    format!("http://{}/webhooks/meta/{app}", flow.address)
}

/// The head of a signed webhook, up to and without its last empty line.
fn head(flow: &Flow, body: &[u8]) -> String {
    format!(
        "POST /webhooks/meta/{} HTTP/1.1\r\nHost: {}\r\nX-Hub-Signature-256: {}\r\n",
        flow.meta_app,
        flow.address,
        sign(SECRET.as_bytes(), body)
    )
}

/// What the server says until it closes the connection or has said a whole answer.
async fn answer(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    within("an answer", async {
        let mut buffer = [0; 4_096];
        loop {
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            said.extend_from_slice(&buffer[..read]);
            if read == 0 || is_whole(&said) {
                break;
            }
        }
    })
    .await;
    String::from_utf8(said).unwrap()
}

fn is_whole(said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said);
    let Some((head, body)) = said.split_once("\r\n\r\n") else { return false };
    let length =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Writes raw bytes and returns the answer, which may come before all was written.
async fn raw(flow: &Flow, bytes: &[u8]) -> String {
    let stream = TcpStream::connect(flow.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let mut said = Vec::new();
    within("an answer", async {
        let write = async {
            let _refused = writing.write_all(bytes).await;
            std::future::pending::<()>().await;
        };
        let read = async {
            let mut buffer = [0; 4_096];
            loop {
                let read = reading.read(&mut buffer).await.unwrap_or(0);
                said.extend_from_slice(&buffer[..read]);
                if read == 0 || is_whole(&said) {
                    break;
                }
            }
        };
        tokio::select! { () = write => {}, () = read => {} }
    })
    .await;
    String::from_utf8(said).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default()
}

#[actix::test]
async fn every_webhook_there_is_gets_200_and_the_second_time_changes_nothing() {
    let flow = Flow::start().await;
    silence(&flow).await;
    let mut before = state(&flow).await;
    for (name, body) in fixtures() {
        assert_eq!(flow.post(body.clone()).await.status(), 200, "{name}");
        let after = state(&flow).await;
        let grew = after.0[0].len() + after.1 > before.0[0].len() + before.1;
        // Some tell of the same message, status or number as one before, or take back or change what did not come.
        let known = ["duplicate", "edge_", "status_", "revoke", "edit", "number_change_no"];
        let known = known.iter().any(|part| name.contains(part));
        assert!(grew || known, "{name} left no trace");
        assert_eq!(after.0[1], before.0[1], "{name} touched another tenant");
        assert_eq!(flow.post(body).await.status(), 200, "{name} again");
        assert!(state(&flow).await == after, "{name} again changed something");
        before = after;
    }
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.finish().await;
}

#[actix::test]
async fn every_webhook_twice_makes_no_turn_more_than_once() {
    let generous = [
        "limits.conversation_burst=10000",
        "limits.pair_burst=10000",
        "limits.number_sends_per_s=10000",
        "limits.tenant_burst=100000",
    ];
    let mut flow = Flow::with(Options { settings: generous.to_vec(), ..Options::default() }).await;
    let mut counts = Vec::new();
    for _ in 0..2 {
        for (name, body) in fixtures() {
            assert_eq!(flow.post(body).await.status(), 200, "{name}");
        }
        // What Meta says of the account in between stops its channel.
        flow.mend(NUMBERS[0]).await;
        flow.quiet(0).await;
        within("the statuses", flow.simulator.until(|state| state.webhooks.pending == 0)).await;
        flow.quiet(0).await;
        counts.push((flow.count(0, "turn.started").await, flow.simulator.all_sends().len()));
    }
    assert!(counts[0].0 > 0 && counts[0].1 > 0);
    assert_eq!(counts[0], counts[1]);
    let dead = flow.store(0).await.dead_letters(None, 100).await.unwrap();
    flow.forgive_dead_letters(dead.len());
    flow.finish().await;
}

#[actix::test]
async fn one_bad_element_costs_its_siblings_nothing() {
    let flow = Flow::start().await;
    silence(&flow).await;
    let body = fixtures().remove("own_batch_one_bad_of_three").unwrap();
    assert_eq!(flow.post(body).await.status(), 200);
    flow.quiet(0).await;
    assert_eq!(flow.count(0, "message.received").await, 2);
    assert_eq!(flow.count(0, "webhook.kept").await, 1);
    flow.finish().await;
}

async fn refusal(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.unwrap())
}

#[actix::test]
async fn every_signature_vector_over_http() {
    let flow = Flow::start().await;
    let mut refusals = Vec::new();
    let vectors = vectors("x_hub_signature_256.json")["vectors"].as_array().unwrap().clone();
    assert!(vectors.len() >= 14);
    for vector in vectors {
        let secrets: Vec<&str> =
            vector["secrets"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        let app = meta_app(&flow, &secrets, "token").await;
        let body = BASE64_STANDARD.decode(vector["body_b64"].as_str().unwrap()).unwrap();
        let mut request = flow.http.post(webhook_of(&flow, app)).body(body);
        if let Some(header) = vector["header"].as_str() {
            request = request.header(vector["header_name"].as_str().unwrap(), header);
        }
        let before = state(&flow).await;
        let (status, text) = refusal(within("an answer", request.send()).await.unwrap()).await;
        // On the wire the blanks around a value are no part of it (RFC 9110, 5.5).
        let accepted = vector["accept"] == true || vector["name"] == "whitespace";
        if accepted {
            assert_eq!((status, text.as_str()), (200, ""), "{}", vector["name"]);
        } else {
            assert_eq!(status, 401, "{}", vector["name"]);
            assert!(state(&flow).await == before, "{} left something", vector["name"]);
            refusals.push(text);
        }
    }
    assert!(refusals.len() > 5 && refusals.windows(2).all(|pair| pair[0] == pair[1]), "{refusals:?}");
    flow.finish().await;
}

#[actix::test]
async fn nothing_signs_for_an_empty_secret_and_no_signature_is_none() {
    let flow = Flow::start().await;
    let before = state(&flow).await;
    let body = messages(NUMBERS[0], "15550199001", &[("wamid.f", 1_790_000_000, "forged")]);
    let empty = sign(b"", &body);
    let mut refusals = Vec::new();
    for secrets in [&[][..], &[""][..]] {
        let app = meta_app(&flow, secrets, "token").await;
        for header in [Some(empty.as_str()), Some(""), None] {
            let mut request = flow.http.post(webhook_of(&flow, app)).body(body.clone());
            if let Some(header) = header {
                request = request.header("x-hub-signature-256", header);
            }
            refusals.push(refusal(within("an answer", request.send()).await.unwrap()).await);
        }
    }
    for header in [None, Some("sha256="), Some("sha1=00"), Some(empty.as_str())] {
        refusals.push(refusal(flow.post_signed(body.clone(), header).await).await);
    }
    // Two signatures, one of them right.
    let right = sign(SECRET.as_bytes(), &body);
    let doubled = flow.http.post(webhook_of(&flow, flow.meta_app)).body(body.clone());
    let doubled = doubled.header("x-hub-signature-256", &empty).header("x-hub-signature-256", &right);
    refusals.push(refusal(within("an answer", doubled.send()).await.unwrap()).await);
    assert!(refusals.iter().all(|refusal| refusal.0 == 401 && *refusal == refusals[0]), "{refusals:?}");
    assert!(state(&flow).await == before);
    flow.finish().await;
}

#[actix::test]
async fn every_verification_vector_over_http() {
    let flow = Flow::start().await;
    let vectors = vectors("verification_get.json");
    let app = meta_app(&flow, &["s"], vectors["verify_token"].as_str().unwrap()).await;
    for vector in vectors["vectors"].as_array().unwrap() {
        let url = format!("{}?{}", webhook_of(&flow, app), vector["query"].as_str().unwrap());
        let response = within("an answer", flow.http.get(url).send()).await.unwrap();
        assert_eq!(response.status().as_u16(), vector["status"], "{}", vector["name"]);
        if let Some(body) = vector["body"].as_str() {
            assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert_eq!(response.text().await.unwrap(), body, "{}", vector["name"]);
        }
    }
    let unset = meta_app(&flow, &["s"], "").await;
    let url = format!("{}?hub.mode=subscribe&hub.challenge=1&hub.verify_token=", webhook_of(&flow, unset));
    assert_eq!(within("an answer", flow.http.get(url).send()).await.unwrap().status(), 403);
    flow.finish().await;
}

/// A webhook of exactly this many bytes: 1,000 messages of ten contacts, and blanks.
fn large(bytes: usize) -> Vec<u8> {
    let words = "so much to say ".repeat(190);
    let entries: Vec<Value> = (0..10)
        .map(|contact| {
            let ids: Vec<String> = (0..100).map(|n| format!("wamid.large-{contact}-{n}")).collect();
            let said = ids.iter().zip(1_790_000_000..).map(|(id, at)| (id.as_str(), at, words.as_str()));
            let body = messages(NUMBERS[0], &format!("1555019910{contact}"), &said.collect::<Vec<_>>());
            serde_json::from_slice::<Value>(&body).unwrap()["entry"][0].clone()
        })
        .collect();
    let mut body =
        json!({ "object": "whatsapp_business_account", "entry": entries }).to_string().into_bytes();
    assert!(body.len() > bytes * 9 / 10 && body.len() <= bytes, "{}", body.len());
    body.resize(bytes, b' ');
    body
}

#[actix::test]
async fn a_thousand_messages_in_three_mebibytes_all_arrive_and_one_byte_more_is_too_much() {
    let flow = Flow::start().await;
    silence(&flow).await;
    let body = large(3 * MIB + 1);
    let (announced, chunk) = (body.len(), format!("{:x}\r\n", body.len()));
    let announced =
        [head(&flow, &body).as_bytes(), format!("Content-Length: {announced}\r\n\r\n").as_bytes()].concat();
    // Refused by what is announced, before any of it has come.
    let refused = raw(&flow, &announced).await;
    assert_eq!(status(&refused), 413, "{refused}");
    assert!(refused.contains("3145728 bytes"), "{refused}");
    let head = head(&flow, &body);
    let chunked =
        [head.as_bytes(), b"Transfer-Encoding: chunked\r\n\r\n", chunk.as_bytes(), &body, b"\r\n0\r\n\r\n"]
            .concat();
    let refused = raw(&flow, &chunked).await;
    assert_eq!(status(&refused), 413, "{refused}");
    assert_eq!(flow.count(0, "message.received").await, 0);
    assert_eq!(flow.post(large(3 * MIB)).await.status(), 200);
    flow.quiet(0).await;
    assert_eq!(flow.count(0, "message.received").await, 1_000);
    flow.finish().await;
}

#[actix::test]
async fn depth_bombs_go_off_in_nobodys_hands() {
    let flow = Flow::start().await;
    silence(&flow).await;
    let deep = 200_000;
    let nest = |open: &str, close: &str| format!("{}1{}", open.repeat(deep), close.repeat(deep));
    let (arrays, objects) = (nest("[", "]"), nest("{\"a\":", "}"));
    let within_text =
        String::from_utf8(messages(NUMBERS[0], "15550199001", &[("wamid.d", 1_790_000_000, "X")]));
    let within_text = within_text.unwrap().replace("\"X\"", &arrays);
    let bombs = [
        arrays.clone(),
        objects.clone(),
        "[".repeat(deep),
        "{\"a\":".repeat(deep),
        format!("{{\"object\":\"whatsapp_business_account\",\"entry\":{arrays}}}"),
        format!("{{\"object\":\"whatsapp_business_account\",\"entry\":[{objects}]}}"),
        format!("{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"changes\":[{objects}]}}]}}"),
        within_text,
    ];
    for (number, bomb) in bombs.into_iter().enumerate() {
        let status = flow.post(bomb).await.status();
        assert!(status == 200 || status.is_client_error(), "bomb {number}: {status}");
    }
    let body = messages(NUMBERS[0], "15550199001", &[("wamid.after", 1_790_000_000, "still here")]);
    assert_eq!(flow.post(body).await.status(), 200);
    flow.event(0, |event| event["message"]["content"]["body"] == "still here").await;
    // The administrative API parses too.
    let url = format!("http://{}/v1/tenants/{}/assistant", flow.address, flow.tenants[0]);
    let request = flow.http.put(url).bearer_auth(&flow.key).header("content-type", "application/json");
    let (status, text) =
        refusal(within("an answer", request.body("[".repeat(deep)).send()).await.unwrap()).await;
    assert!((400..500).contains(&status), "{status} {text}");
    flow.finish().await;
}

#[actix::test]
async fn a_body_that_trickles_in_is_cut_off_at_its_deadline() {
    // It would be cut off earlier for its pace.
    let settings = vec!["server.pace_window_ms=86400000"];
    let flow = Flow::with(Options { settings, ..Options::default() }).await;
    let body = messages(NUMBERS[0], "15550199001", &[("wamid.t", 1_790_000_000, "slow")]);
    let mut stream = TcpStream::connect(flow.address).await.unwrap();
    let begin = format!("{}Content-Length: {}\r\n\r\n", head(&flow, &body), body.len());
    stream.write_all(begin.as_bytes()).await.unwrap();
    let deadline = START.plus_millis(flow.app.settings.server.body_deadline_ms);
    within("the deadline to be set", async {
        while flow.clock.next_due() != Some(deadline) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stream.write_all(&body[..10]).await.unwrap();
    flow.clock.advance_millis(flow.app.settings.server.body_deadline_ms - 1);
    stream.write_all(&body[10..11]).await.unwrap();
    flow.clock.advance_millis(1);
    let refused = answer(&mut stream).await;
    assert_eq!(status(&refused), 408, "{refused}");
    assert!(refused.contains("too_slow"), "{refused}");
    // Nothing that comes afterwards is taken for the rest, or for another request.
    let _closed = stream.write_all(&body[11..]).await;
    assert_eq!(answer(&mut stream).await, "", "the connection is closed");
    assert_eq!(flow.count(0, "message.received").await, 0);
    flow.finish().await;
}

#[actix::test]
async fn what_breaks_off_leaves_nothing() {
    let flow = Flow::start().await;
    let body = messages(NUMBERS[0], "15550199001", &[("wamid.b", 1_790_000_000, "half")]);
    let mut stream = TcpStream::connect(flow.address).await.unwrap();
    let begin = format!("{}Content-Length: {}\r\n\r\n", head(&flow, &body), body.len());
    stream.write_all(begin.as_bytes()).await.unwrap();
    stream.write_all(&body[..body.len() / 2]).await.unwrap();
    stream.shutdown().await.unwrap();
    let said = answer(&mut stream).await;
    assert!(said.is_empty() || status(&said) == 400, "{said}");
    assert_eq!(flow.count(0, "message.received").await, 0);
    flow.finish().await;
}

#[actix::test]
async fn the_body_counts_and_not_what_it_is_called() {
    let flow = Flow::start().await;
    silence(&flow).await;
    let types = [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "\u{fffd}",
        "a/b; c=d",
    ];
    for (number, name) in types.into_iter().enumerate() {
        let id = format!("wamid.type-{number}");
        let body = messages(NUMBERS[0], "15550199001", &[(&id, 1_790_000_000, "typed")]);
        let signature = sign(SECRET.as_bytes(), &body);
        let mut request = flow.http.post(webhook_of(&flow, flow.meta_app)).body(body);
        request = request.header("x-hub-signature-256", signature);
        if !name.is_empty() {
            request = request.header("content-type", name.as_bytes());
        }
        assert_eq!(within("an answer", request.send()).await.unwrap().status(), 200, "{name:?}");
    }
    flow.quiet(0).await;
    assert_eq!(flow.count(0, "message.received").await, types.len());
    flow.finish().await;
}

#[actix::test]
async fn odd_requests_get_odd_looks_and_nothing_more() {
    let flow = Flow::start().await;
    let before = state(&flow).await;
    let body = messages(NUMBERS[0], "15550199001", &[("wamid.o", 1_790_000_000, "odd")]);
    let signature = sign(SECRET.as_bytes(), &body);
    for app in
        [MetaAppId::new(START, &SystemEntropy).to_string(), "x".into(), "%ff%00".into(), "a".repeat(5_000)]
    {
        let request = flow.http.post(webhook_of(&flow, &app)).header("x-hub-signature-256", &signature);
        let answered = within("an answer", request.body(body.clone()).send()).await.unwrap();
        assert_eq!(answered.status(), 404, "{app:.40}");
    }
    for method in ["PUT", "DELETE", "PATCH", "BREW"] {
        let request = flow.http.request(method.parse().unwrap(), webhook_of(&flow, flow.meta_app));
        let status = within("an answer", request.body("x").send()).await.unwrap().status();
        assert!(status == 404 || status == 405, "{method}: {status}");
    }
    assert_eq!(flow.post(Vec::new()).await.status(), 200, "signed nothing is nothing");
    assert_eq!(flow.post_signed(Vec::new(), None).await.status(), 401);
    let head = head(&flow, &body);
    let length = body.len();
    let garbage: [Vec<u8>; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\r\n\r\n\r\n\0\0\0\0\r\n\r\n".to_vec(),
        format!("{head}Content-Length: -1\r\n\r\n").into_bytes(),
        format!("{head}Content-Length: 99999999999999999999999\r\n\r\n").into_bytes(),
        format!("{head}Content-Length: {length}\r\nContent-Length: 1\r\n\r\n").into_bytes(),
        format!("{head}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        format!("{head}X-Long: {}\r\n\r\n", "x".repeat(300_000)).into_bytes(),
    ];
    for (number, bytes) in garbage.into_iter().enumerate() {
        let said = raw(&flow, &bytes).await;
        assert!(said.is_empty() || (400..500).contains(&status(&said)), "garbage {number}: {said}");
    }
    let after = state(&flow).await;
    assert_eq!(after.0[0].len(), before.0[0].len());
    let alive =
        within("an answer", flow.http.get(format!("http://{}/health/live", flow.address)).send()).await;
    assert_eq!(alive.unwrap().status(), 200);
    flow.finish().await;
}

#[actix::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let flow =
        Flow::with(Options { settings: vec!["server.head_deadline_ms=50"], ..Options::default() }).await;
    let mut stream = TcpStream::connect(flow.address).await.unwrap();
    stream.write_all(b"POST /webhooks/meta/x HTTP/1.1\r\nHost: ").await.unwrap();
    let said = answer(&mut stream).await;
    assert!(said.is_empty() || status(&said) == 408, "{said}");
    flow.finish().await;
}
