//! A client, a server under test, and a simulator whose clock stands still until it is moved.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use iassistance_domain::{ManualClock, Timestamp};
use iassistance_simulator::{
    Account, AccountKind, Act, App, Deed, EventShape, Number, Simulator, SimulatorSettings,
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub const SECRET: &str = "example-app-secret";
pub const TOKEN: &str = "example-token";
pub const OTHER_TOKEN: &str = "example-token-of-another";
pub const MODEL_KEY: &str = "example-model-key";
pub const NUMBER: &str = "200000000000001";
pub const OTHER_NUMBER: &str = "200000000000002";
pub const ANA: &str = "15550199001";

pub fn settings() -> SimulatorSettings {
    let number = |id: &str, shown: &str, token: &str| Number {
        phone_number_id: id.into(),
        waba_id: "100000000000001".into(),
        display_phone_number: shown.into(),
        verified_name: "Example Shop".into(),
        access_token: token.into(),
    };
    SimulatorSettings {
        numbers: vec![
            number(NUMBER, "+1 555-010-0001", TOKEN),
            number(OTHER_NUMBER, "+1 555-010-0002", OTHER_TOKEN),
        ],
        app_secret: SECRET.into(),
        verify_token: "example-verify".into(),
        model_key: MODEL_KEY.into(),
        ..SimulatorSettings::default()
    }
}

pub const PAGE: &str = "900000000000001";
pub const IG: &str = "17840000000000001";
pub const IG_LOGIN: &str = "17840000000000002";
pub const IG_USER: &str = "26000000000000001";
pub const PAGE_TOKEN: &str = "example-page-token";
pub const IG_TOKEN: &str = "example-ig-token";
pub const OTHER_APP: &str = "1000000002";
pub const OTHER_SECRET: &str = "example-secret-of-another-app";

/// A number, a Page, an Instagram account through that Page and one by itself, which has an app of its own.
pub fn all_products() -> SimulatorSettings {
    let account = |kind, token: &str, app: Option<&str>| Account {
        kind,
        name: "Example Shop".into(),
        access_token: token.into(),
        app_id: app.map(str::to_owned),
        shape: EventShape::Messaging,
    };
    let (ig_id, page_id) = (IG.to_owned(), PAGE.to_owned());
    let accounts = vec![
        account(AccountKind::Messenger { page_id: page_id.clone() }, PAGE_TOKEN, None),
        account(AccountKind::InstagramPage { ig_id, page_id }, PAGE_TOKEN, None),
        account(
            AccountKind::InstagramLogin { ig_id: IG_LOGIN.into(), user_id: IG_USER.into() },
            IG_TOKEN,
            Some(OTHER_APP),
        ),
    ];
    let app = App { app_id: OTHER_APP.into(), secret: OTHER_SECRET.into(), callback_url: None };
    SimulatorSettings { accounts, apps: vec![app], ..settings() }
}

/// Asks Graph with a token; a null body is none.
pub async fn ask(simulator: &Simulator, method: &str, token: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    soon(call(simulator, method, &format!("/v24.0/{path}"), &headers, body)).await.unwrap()
}

pub async fn send_as(simulator: &Simulator, token: &str, node: &str, body: &Value) -> Answer {
    ask(simulator, "POST", token, &format!("{node}/messages"), body).await
}

/// An answer's HTTP status, Graph code and subcode; 0 for none.
pub fn refusal(answer: &Answer) -> (u16, u64, u64) {
    let error = answer.json()["error"].clone();
    let number = |key: &str| error[key].as_u64().unwrap_or(0);
    (answer.status, number("code"), number("error_subcode"))
}

/// Somebody writes; the id of the message.
pub fn says(simulator: &Simulator, who: &str, account: &str, text: &str) -> String {
    does(simulator, who, account, Act::Text { text: text.into() })
}

/// Somebody does something; the id of the message.
pub fn does(simulator: &Simulator, who: &str, account: &str, act: Act) -> String {
    simulator.act(Deed::of(who, Some(account), act)).unwrap().wamid.unwrap_or_default()
}

pub fn social_text(to: &str, text: &str) -> Value {
    json!({"recipient": {"id": to}, "messaging_type": "RESPONSE", "message": {"text": text}})
}

pub async fn start(settings: SimulatorSettings) -> (Simulator, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_secs(1_790_000_000));
    let simulator = Simulator::start(settings, Arc::new(clock.clone())).await.unwrap();
    (simulator, clock)
}

/// Bounds a wait, so that a broken test fails instead of hanging.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it should have happened long ago")
}

/// A whole answer.
pub struct Answer {
    pub status: u16,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }
}

/// Sends a request and reads the head of the answer; an error when the connection was cut before it.
pub async fn open(
    simulator: &Simulator,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Response<Incoming>, hyper::Error> {
    let stream = TcpStream::connect(simulator.address()).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    let mut request =
        Request::builder().method(method).uri(path).header("host", simulator.address().to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await;
    // The connection goes on with the body; it ends with it.
    tasks.detach_all();
    response
}

/// Sends a request and reads the whole answer; an error when the connection was cut.
pub async fn call(
    simulator: &Simulator,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, hyper::Error> {
    let response = open(simulator, method, path, headers, body).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

pub async fn get(simulator: &Simulator, path: &str) -> Answer {
    soon(call(simulator, "GET", path, &[], String::new())).await.unwrap()
}

pub async fn post(simulator: &Simulator, path: &str, body: &Value) -> Answer {
    soon(call(simulator, "POST", path, &[], body.to_string())).await.unwrap()
}

/// Posts to the number's messages, as a server would.
pub async fn graph(simulator: &Simulator, body: &Value) -> Result<Answer, hyper::Error> {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    soon(call(simulator, "POST", &format!("/v23.0/{NUMBER}/messages"), &headers, body.to_string())).await
}

pub fn text_to(to: &str, body: &str) -> Value {
    json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "text",
           "text": {"body": body}})
}

/// A webhook that arrived.
pub struct Arrived {
    pub signature: String,
    pub body: Bytes,
}

impl Arrived {
    pub fn value(&self) -> Value {
        let whole: Value = serde_json::from_slice(&self.body).unwrap();
        whole["entry"][0]["changes"][0]["value"].clone()
    }

    /// All of it, once it is known to be signed with the secret.
    pub fn signed(&self, secret: &str) -> Value {
        assert_eq!(self.signature, iassistance_channels::signature::sign(secret.as_bytes(), &self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The word of the status in it, if it brings one.
    pub fn status(&self) -> Option<String> {
        self.value()["statuses"][0]["status"].as_str().map(str::to_owned)
    }
}

/// A server under test: keeps what arrives, answers with the statuses that it was told to, then with 200.
pub struct Receiver {
    pub url: String,
    pub arrived: mpsc::Receiver<Arrived>,
    _tasks: tokio::task::JoinSet<()>,
}

impl Receiver {
    pub async fn start(statuses: impl IntoIterator<Item = u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks/meta/app", listener.local_addr().unwrap());
        let (sender, arrived) = mpsc::channel(1_000);
        let statuses: Arc<Mutex<VecDeque<u16>>> = Arc::new(Mutex::new(statuses.into_iter().collect()));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, statuses) = (sender.clone(), Arc::clone(&statuses));
                let service = service_fn(move |request: Request<Incoming>| {
                    take(request, sender.clone(), Arc::clone(&statuses))
                });
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    http.serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        Self { url, arrived, _tasks: tasks }
    }

    pub async fn next(&mut self) -> Arrived {
        soon(self.arrived.recv()).await.expect("the receiver runs")
    }
}

async fn take(
    request: Request<Incoming>,
    sender: mpsc::Sender<Arrived>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    if head.method == hyper::Method::GET {
        let query = head.uri.query().unwrap_or_default().to_owned();
        let pairs: std::collections::HashMap<_, _> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let right = pairs.get("hub.verify_token").is_some_and(|token| token == "example-verify");
        let echo = if right { pairs["hub.challenge"].clone() } else { "no".to_owned() };
        return Ok(Response::new(Full::new(Bytes::from(echo))));
    }
    let signature = head.headers["x-hub-signature-256"].to_str().unwrap().to_owned();
    let arrived = Arrived { signature, body: body.collect().await?.to_bytes() };
    let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
    sender.send(arrived).await.ok();
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
    Ok(response)
}
