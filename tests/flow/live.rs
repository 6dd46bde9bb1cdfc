//! The live socket: everything seen as it happens, by those who may, at the reader's own pace.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use iassistance_actors::hub::Batch;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Pii;
use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::event::EventKind;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::harness::{Flow, Options, SignedIn, assistant, within};

/// A client of the live socket.
pub struct Live {
    socket: WebSocketStream<TcpStream>,
}

/// What a client was told next.
#[derive(Debug, PartialEq)]
enum Told {
    Frame(Value),
    Closed(Option<CloseCode>),
}

impl Live {
    /// A socket opened with these headers, or the status of the refusal.
    async fn open(flow: &Flow, headers: &[(&'static str, String)]) -> Result<Self, u16> {
        let mut request = format!("ws://{}/v1/live", flow.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(flow.address).await.unwrap();
        match within("the handshake", client_async(request, stream)).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn with_key(flow: &Flow) -> Self {
        Self::open(flow, &[("authorization", format!("Bearer {}", flow.key))]).await.unwrap()
    }

    /// As a page of ours, in somebody's session.
    pub async fn with_session(flow: &Flow, who: &SignedIn) -> Self {
        let own = format!("http://{}", flow.address);
        Self::open(flow, &[("cookie", who.cookie.clone()), ("origin", own)]).await.unwrap()
    }

    /// Whether the server sent it away with these words.
    pub async fn is_sent_away(&mut self, words: &str) -> bool {
        // All of it together, for the server says that it is there as long as it is.
        within("the end of the socket", async {
            loop {
                match self.next().await {
                    Told::Frame(frame) if frame["type"] == "bye" => {
                        return frame["reason"].as_str().unwrap().contains(words)
                            && self.next().await == Told::Closed(Some(CloseCode::Policy));
                    }
                    Told::Frame(_) => {}
                    Told::Closed(_) => return false,
                }
            }
        })
        .await
    }

    pub async fn say(&mut self, message: impl Into<Message>) {
        within("the frame to be sent", self.socket.send(message.into())).await.unwrap();
    }

    async fn next(&mut self) -> Told {
        loop {
            match within("a frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Told::Frame(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(reason))) => return Told::Closed(reason.map(|reason| reason.code)),
                Some(Ok(other)) => panic!("{other}"),
                Some(Err(_)) | None => return Told::Closed(None),
            }
        }
    }

    pub async fn frame(&mut self) -> Value {
        match self.next().await {
            Told::Frame(frame) => frame,
            closed => panic!("{closed:?}"),
        }
    }

    /// The next event, whatever is said in between.
    pub async fn event(&mut self) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == "event" {
                assert_eq!(frame["seq"], frame["event"]["seq"]);
                return frame["event"].clone();
            }
            assert_eq!(frame["type"], "lagged", "{frame}");
        }
    }

    pub async fn subscribe(&mut self, frame: Value) -> Value {
        self.say(frame.to_string()).await;
        self.frame().await
    }

    /// Watches the first tenant.
    pub async fn watch(&mut self, flow: &Flow, after: Option<u64>) {
        let mut frame = json!({ "type": "subscribe", "tenant": flow.tenants[0] });
        if let Some(after) = after {
            frame["after_seq"] = after.into();
        }
        let subscribed = self.subscribe(frame).await;
        assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
    }
}

async fn ticket(flow: &Flow) -> String {
    let (status, body) = flow.api("POST", &format!("/tenants/{}/live-tickets", flow.tenants[0]), None).await;
    assert_eq!(status, 201, "{body}");
    body["ticket"].as_str().unwrap().to_owned()
}

fn offering(ticket: &str) -> [(&'static str, String); 1] {
    [("sec-websocket-protocol", format!("iassistance.live.v1, ticket.{ticket}"))]
}

/// Adds this many events to the first tenant's log.
async fn produce(flow: &Flow, count: u64) {
    let store = flow.store(0).await;
    for begin in (0..count).step_by(100) {
        let events = (begin..count.min(begin + 100)).map(|version| EventKind::SettingsChanged { version });
        store.append(None, events.collect()).await.unwrap();
    }
}

async fn silence(flow: &Flow) {
    let quiet = iassistance_domain::assistant::AssistantSettings { enabled: false, ..assistant() };
    flow.app.engine.put_assistant(flow.ctx(), quiet, None).await.unwrap();
}

#[actix::test]
async fn every_step_of_a_message_is_seen_as_it_happens_and_in_order() {
    let flow = Flow::start().await;
    let mut live = Live::with_key(&flow).await;
    live.watch(&flow, None).await;
    flow.simulator.say("ana", "are you open?").unwrap();
    let (mut seen, mut steps) = (Vec::new(), Vec::new());
    while !steps.contains(&"message.status_changed read".to_owned()) {
        let event = live.event().await;
        let status = event["delivery"]["status"].as_str().unwrap_or_default();
        steps.push(format!("{} {status}", event["type"].as_str().unwrap()).trim().to_owned());
        seen.push(event);
    }
    let at = |step: &str| {
        steps.iter().position(|seen| seen == step).unwrap_or_else(|| panic!("{step}: {steps:?}"))
    };
    let order = [
        "conversation.opened",
        "message.received",
        "turn.started",
        "message.queued",
        "message.status_changed sent",
        "message.status_changed delivered",
        "message.status_changed read",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{steps:?}");
    assert!(at("turn.started") < at("turn.ended"), "{steps:?}");
    // What was seen is the log, from where the watching began. The log shows a message as it is now:
    // how far it got has changed since.
    let log = flow.events(0).await;
    let as_written = |event: &Value| {
        let mut event = event.clone();
        if let Some(message) = event["message"].as_object_mut() {
            message.remove("delivery");
            message.remove("provider_id");
        }
        event
    };
    let (seen, log): (Vec<_>, Vec<_>) = (
        seen.iter().map(as_written).collect(),
        log[log.len() - seen.len()..].iter().map(as_written).collect(),
    );
    assert_eq!(seen, log);
    flow.finish().await;
}

#[actix::test]
async fn a_ticket_opens_one_socket_once_and_in_time() {
    let flow = Flow::start().await;
    let first = ticket(&flow).await;
    let mut live = Live::open(&flow, &offering(&first)).await.unwrap();
    live.watch(&flow, None).await;
    // It is for its tenant alone.
    let foreign = live.subscribe(json!({ "type": "subscribe", "tenant": flow.tenants[1] })).await;
    assert_eq!((foreign["type"].as_str(), foreign["code"].as_str()), (Some("error"), Some("not_found")));
    assert_eq!(Live::open(&flow, &offering(&first)).await.err(), Some(401), "used");
    let second = ticket(&flow).await;
    flow.clock.advance_millis(flow.app.settings.live.ticket_ms);
    assert_eq!(Live::open(&flow, &offering(&second)).await.err(), Some(401), "expired");
    assert_eq!(Live::open(&flow, &offering("tkt_00")).await.err(), Some(401), "never issued");
    flow.finish().await;
}

#[actix::test]
async fn nobody_watches_without_a_credential_or_from_a_foreign_page() {
    let flow = Flow::start().await;
    let key = ("authorization", format!("Bearer {}", flow.key));
    let origin = |origin: &str| ("origin", origin.to_owned());
    assert_eq!(Live::open(&flow, &[]).await.err(), Some(401));
    assert_eq!(Live::open(&flow, &[("authorization", "Bearer iak_x".into())]).await.err(), Some(401));
    for foreign in ["https://evil.example", "null", "", "http://127.0.0.1", "file://"] {
        assert_eq!(Live::open(&flow, &[key.clone(), origin(foreign)]).await.err(), Some(403), "{foreign:?}");
    }
    // A page of another origin does not spend a ticket.
    let ticket = ticket(&flow).await;
    let [offered] = offering(&ticket);
    assert_eq!(Live::open(&flow, &[offered.clone(), origin("https://evil.example")]).await.err(), Some(403));
    assert!(Live::open(&flow, &[offered, origin(&format!("http://{}", flow.address))]).await.is_ok());
    // What is no websocket at all.
    let request = flow.http.get(format!("http://{}/v1/live", flow.address)).bearer_auth(&flow.key);
    assert!(within("an answer", request.send()).await.unwrap().status().is_client_error());
    flow.finish().await;
}

#[actix::test]
async fn behind_a_public_address_only_its_own_pages_watch() {
    let settings = vec!["server.public_url=https://live.example/"];
    let flow = Flow::with(Options { settings, ..Options::default() }).await;
    let key = ("authorization", format!("Bearer {}", flow.key));
    let own = ("origin", format!("http://{}", flow.address));
    assert_eq!(Live::open(&flow, &[key.clone(), own]).await.err(), Some(403));
    assert!(Live::open(&flow, &[key, ("origin", "https://live.example".into())]).await.is_ok());
    flow.finish().await;
}

#[actix::test]
async fn an_unknown_tenant_and_anothers_are_answered_alike() {
    let flow = Flow::start().await;
    let mut live = Live::with_key(&flow).await;
    let unknown = live.subscribe(json!({ "type": "subscribe", "tenant": flow.meta_app })).await;
    let garbled = live.subscribe(json!({ "type": "subscribe", "tenant": "nobody" })).await;
    let foreign = live.subscribe(json!({ "type": "subscribe", "tenant": flow.tenants[1] })).await;
    assert_eq!(foreign["code"], "not_found", "{foreign}");
    assert!(unknown["code"] == "not_found" || unknown["code"] == "bad_frame", "{unknown}");
    assert_eq!(garbled["code"], "bad_frame", "{garbled}");
    // And it goes on.
    live.watch(&flow, None).await;
    produce(&flow, 1).await;
    live.event().await;
    flow.finish().await;
}

#[actix::test]
async fn a_ticket_is_for_one_tenant_also_where_its_owner_has_two() {
    let flow = Flow::start().await;
    let of = |tenant: usize| (MemberOf::Tenant(flow.tenants[tenant]), Role::Operator);
    let who = flow.sign_in(false, &[of(0), of(1)]).await;
    let watches = |tenant: usize| json!({ "type": "subscribe", "tenant": flow.tenants[tenant] });
    let mut both = Live::with_session(&flow, &who).await;
    for tenant in [0, 1] {
        assert_eq!(both.subscribe(watches(tenant)).await["type"], "subscribed", "{tenant}");
    }
    let path = format!("/tenants/{}/live-tickets", flow.tenants[0]);
    let (status, body) = flow.api_as(&who, "POST", &path, None).await;
    assert_eq!(status, 201, "{body}");
    let mut one = Live::open(&flow, &offering(body["ticket"].as_str().unwrap())).await.unwrap();
    assert_eq!(one.subscribe(watches(1)).await["code"], "not_found", "it is for the first");
    assert_eq!(one.subscribe(watches(0)).await["type"], "subscribed");
    flow.finish().await;
}

#[actix::test]
async fn garbage_is_answered_and_what_is_no_protocol_ends_with_the_right_code() {
    let flow = Flow::start().await;
    let mut live = Live::with_key(&flow).await;
    let deep = "[".repeat(60_000);
    for garbage in
        ["", "garbage", "{}", "null", "[]", "{\"type\":\"shout\"}", "{\"type\":\"ping\",\"x\":1}", &deep]
    {
        let told = live.subscribe_raw(garbage).await;
        assert_eq!(
            (told["type"].as_str(), told["code"].as_str()),
            (Some("error"), Some("bad_frame")),
            "{garbage:.40}"
        );
    }
    live.say(json!({ "type": "ping" }).to_string()).await;
    assert_eq!(live.frame().await["type"], "pong");
    live.say(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(live.frame().await["type"], "bye");
    assert_eq!(live.next().await, Told::Closed(Some(CloseCode::Unsupported)));
    let too_large = vec![0x81, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    let wires: [(Vec<u8>, CloseCode); 5] = [
        (too_large, CloseCode::Size),
        (vec![0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe], CloseCode::Invalid),
        (vec![0x81, 0x02, b'{', b'}'], CloseCode::Protocol),
        (vec![0x83, 0x80, 0, 0, 0, 0], CloseCode::Protocol),
        (vec![0x80, 0x80, 0, 0, 0, 0], CloseCode::Protocol),
    ];
    for (wire, code) in wires {
        let mut live = Live::with_key(&flow).await;
        live.socket.get_mut().write_all(&wire).await.unwrap();
        let told = live.frame().await;
        assert_eq!(told["type"], "bye", "{wire:?}: {told}");
        assert_eq!(live.next().await, Told::Closed(Some(code)), "{wire:?}");
    }
    flow.finish().await;
}

impl Live {
    async fn subscribe_raw(&mut self, text: &str) -> Value {
        self.say(text).await;
        self.frame().await
    }
}

#[actix::test]
async fn many_small_frames_at_once_are_each_answered() {
    let flow = Flow::start().await;
    let mut live = Live::with_key(&flow).await;
    let ping = json!({ "type": "ping" }).to_string();
    for _ in 0..200 {
        live.socket.feed(Message::text(ping.clone())).await.unwrap();
    }
    within("them to be sent", live.socket.flush()).await.unwrap();
    for _ in 0..200 {
        assert_eq!(live.frame().await["type"], "pong");
    }
    flow.finish().await;
}

#[actix::test]
async fn who_asks_without_reading_is_sent_away() {
    let flow =
        Flow::with(Options { settings: vec!["live.frames_in_flight_max=4"], ..Options::default() }).await;
    let mut live = Live::with_key(&flow).await;
    let ping = json!({ "type": "ping" }).to_string();
    for _ in 0..500 {
        if live.socket.feed(Message::text(ping.clone())).await.is_err() {
            break;
        }
    }
    let _closed = live.socket.flush().await;
    let mut answers = 0;
    let ended = loop {
        match live.next().await {
            Told::Frame(frame) if frame["type"] == "pong" => answers += 1,
            Told::Frame(frame) => {
                assert_eq!(frame["type"], "bye");
                assert!(frame["reason"].as_str().unwrap().contains("without reading"), "{frame}");
            }
            ended => break ended,
        }
    };
    assert!(answers <= 20, "{answers}");
    assert!(matches!(ended, Told::Closed(Some(CloseCode::Policy) | None)), "{ended:?}");
    flow.finish().await;
}

#[actix::test]
async fn who_comes_back_misses_nothing_and_sees_nothing_twice() {
    let flow = Flow::start().await;
    silence(&flow).await;
    produce(&flow, 300).await;
    let latest = flow.events(0).await.len() as u64;
    let mut live = Live::with_key(&flow).await;
    live.watch(&flow, Some(0)).await;
    let mut last = 0;
    while last < 150 {
        let seq = live.event().await["seq"].as_u64().unwrap();
        assert_eq!(seq, last + 1);
        last = seq;
    }
    drop(live);
    produce(&flow, 200).await;
    let mut live = Live::with_key(&flow).await;
    live.watch(&flow, Some(last)).await;
    let more = async {
        produce(&flow, 100).await;
    };
    let reading = async {
        while last < latest + 300 {
            let seq = live.event().await["seq"].as_u64().unwrap();
            assert_eq!(seq, last + 1);
            last = seq;
        }
    };
    tokio::join!(more, reading);
    // A number from the future is taken for now.
    let subscribed = live
        .subscribe(json!({ "type": "subscribe", "tenant": flow.tenants[0], "after_seq": 1_000_000 }))
        .await;
    assert_eq!(subscribed["after_seq"], latest + 300);
    flow.finish().await;
}

#[actix::test]
async fn a_conversation_is_watched_by_itself_beside_the_whole() {
    let flow = Flow::start().await;
    silence(&flow).await;
    flow.simulator.say("ana", "first of ana").unwrap();
    let event = flow.event(0, |event| event["message"]["content"]["body"] == "first of ana").await;
    let conversation = event["conversation"].clone();
    let (mut one, mut both) = (Live::with_key(&flow).await, Live::with_key(&flow).await);
    let only = json!({ "type": "subscribe", "tenant": flow.tenants[0], "conversation": conversation });
    assert_eq!(one.subscribe(only.clone()).await["conversation"], conversation);
    both.watch(&flow, None).await;
    assert_eq!(both.subscribe(only).await["type"], "subscribed");
    for name in ["bruno", "ana", "bruno", "ana"] {
        flow.simulator.say(name, &format!("again {name}")).unwrap();
        flow.quiet(0).await;
        within("the webhooks", flow.simulator.until(|state| state.webhooks.pending == 0)).await;
    }
    flow.quiet(0).await;
    let log: Vec<Value> = flow
        .events(0)
        .await
        .into_iter()
        .filter(|later| later["seq"].as_u64() > event["seq"].as_u64())
        .collect();
    let anas: Vec<Value> =
        log.iter().filter(|event| event["conversation"] == conversation).cloned().collect();
    assert_eq!(anas.len(), 2);
    assert!(log.len() >= anas.len() + 3);
    for event in &anas {
        assert_eq!(one.event().await, *event);
    }
    // Both subscriptions of the other socket are served: hers come twice, the others once.
    let mut seen = Vec::new();
    for _ in 0..log.len() + anas.len() {
        seen.push(both.event().await);
    }
    for event in &log {
        let times = if anas.contains(event) { 2 } else { 1 };
        assert_eq!(seen.iter().filter(|seen| *seen == event).count(), times, "{event}");
    }
    // What is unsubscribed is silent.
    let unsubscribe =
        json!({ "type": "unsubscribe", "tenant": flow.tenants[0], "conversation": conversation });
    assert_eq!(one.subscribe(unsubscribe).await["type"], "unsubscribed");
    flow.simulator.say("ana", "unseen").unwrap();
    flow.event(0, |event| event["message"]["content"]["body"] == "unseen").await;
    one.say(json!({ "type": "ping" }).to_string()).await;
    assert_eq!(one.frame().await["type"], "pong");
    flow.finish().await;
}

#[actix::test]
async fn who_does_not_read_is_not_sent_more_and_catches_up_later() {
    let settings = vec!["live.frames_in_flight_max=8", "live.tail_events=128"];
    let flow = Flow::with(Options { settings, ..Options::default() }).await;
    silence(&flow).await;
    let (mut idle, mut busy) = (Live::with_key(&flow).await, Live::with_key(&flow).await);
    // Who is behind from the start asked for it, and is not told.
    let begun = flow.events(0).await.len() as u64;
    idle.watch(&flow, Some(begun)).await;
    busy.watch(&flow, Some(0)).await;
    let producing = produce(&flow, 2_000);
    let reading = async {
        for seq in 1..=2_000 {
            assert_eq!(busy.event().await["seq"], seq);
        }
    };
    tokio::join!(producing, reading);
    // It reads again: what was on its way, the news that it is behind, and then everything.
    let latest = flow.events(0).await.len() as u64;
    let (mut before_lag, mut last) = (None, begun);
    while last < latest {
        let frame = idle.frame().await;
        if frame["type"] == "lagged" {
            assert_eq!(frame["from"], last + 1);
            before_lag.get_or_insert(last - begun);
        } else {
            assert_eq!(frame["seq"], last + 1, "no gap and no repetition");
            last += 1;
        }
    }
    assert!(before_lag.is_some_and(|seen| seen <= 8), "{before_lag:?}");
    flow.finish().await;
}

#[actix::test]
async fn who_says_nothing_at_all_is_taken_for_gone() {
    let flow = Flow::with(Options { settings: vec!["live.silence_ms=60"], ..Options::default() }).await;
    let live = Live::with_key(&flow).await;
    // Its stack answers no ping while nobody reads.
    let stream = live.socket.get_ref();
    let mut seen = vec![0; 4_096];
    within("the goodbye", async {
        loop {
            let length = stream.peek(&mut seen).await.unwrap();
            if String::from_utf8_lossy(&seen[..length]).contains("nothing was heard") {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.finish().await;
}

#[actix::test]
async fn sockets_are_counted_in_all_and_per_tenant() {
    let settings = vec!["live.sockets_max=3", "live.sockets_per_tenant_max=1"];
    let flow = Flow::with(Options { settings, ..Options::default() }).await;
    let mut first = Live::with_key(&flow).await;
    let mut second = Live::with_key(&flow).await;
    first.watch(&flow, None).await;
    let whole = json!({ "type": "subscribe", "tenant": flow.tenants[0] });
    let refused = second.subscribe(whole.clone()).await;
    assert_eq!(
        (refused["type"].as_str(), refused["code"].as_str()),
        (Some("error"), Some("too_many")),
        "{refused}"
    );
    // The same socket may watch more of the same tenant, up to 16 subscriptions.
    for number in 0..16_u8 {
        let conversation = format!("{}", iassistance_domain::id::ConversationId::from_bytes([number; 16]));
        let more = json!({ "type": "subscribe", "tenant": flow.tenants[0], "conversation": conversation });
        let answer = first.subscribe(more).await;
        let wanted = if number < 15 { "subscribed" } else { "error" };
        assert_eq!(answer["type"], wanted, "{answer}");
    }
    let _third = Live::with_key(&flow).await;
    let key = ("authorization", format!("Bearer {}", flow.key));
    assert_eq!(Live::open(&flow, std::slice::from_ref(&key)).await.err(), Some(503));
    // Its place is free when it is gone.
    drop(first);
    within("the place", async {
        while second.subscribe(whole.clone()).await["type"] != "subscribed" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    within("the seat", async {
        while Live::open(&flow, std::slice::from_ref(&key)).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.finish().await;
}

#[actix::test]
async fn a_server_that_stops_says_goodbye() {
    let flow = Flow::start().await;
    let (mut live, mut idle) = (Live::with_key(&flow).await, Live::with_key(&flow).await);
    live.watch(&flow, None).await;
    produce(&flow, 3).await;
    let mut last = Value::Null;
    for _ in 0..3 {
        last = live.event().await["seq"].clone();
    }
    flow.app.engine.close_live();
    let bye = live.frame().await;
    assert_eq!(bye["type"], "bye", "{bye}");
    assert!(bye["reason"].as_str().unwrap().contains("stopping"), "{bye}");
    let place = json!({ "tenant": flow.tenants[0], "conversation": null, "after_seq": last });
    assert_eq!(bye["resume"], json!([place]), "it is told where to go on");
    assert!((1_000..=5_000).contains(&bye["retry_ms"].as_u64().unwrap()), "{bye}");
    assert_eq!(live.next().await, Told::Closed(Some(CloseCode::Restart)));
    let bye = idle.frame().await;
    assert_eq!((&bye["type"], &bye["resume"]), (&json!("bye"), &json!([])), "also who watches nothing");
    assert_eq!(idle.next().await, Told::Closed(Some(CloseCode::Restart)));
    flow.finish().await;
}

#[actix::test]
async fn words_are_heard_while_they_are_written_by_who_asked_and_by_nobody_else() {
    let says = Behaviour::Say("It leaves today.".to_owned());
    let flow = Flow::with(Options { model: Some(vec![says]), ..Options::default() }).await;
    let (mut listens, mut watches) = (Live::with_key(&flow).await, Live::with_key(&flow).await);
    watches.watch(&flow, None).await;
    let subscribe = json!({ "type": "subscribe", "tenant": flow.tenants[0], "tokens": true });
    assert_eq!(listens.subscribe(subscribe).await["type"], "subscribed");
    flow.simulator.say("ana", "Where is my parcel?").unwrap();
    let (mut heard, mut turn) = (String::new(), Value::Null);
    loop {
        let frame = listens.frame().await;
        match frame["type"].as_str().unwrap() {
            "turn.token" => {
                assert_eq!(frame["at"].as_u64().unwrap(), heard.chars().count() as u64, "{frame}");
                assert!(frame.get("seq").is_none() && frame["conversation"].is_string(), "{frame}");
                heard.push_str(frame["text"].as_str().unwrap());
                turn = frame["turn"].clone();
            }
            "event" if frame["event"]["type"] == "turn.ended" => {
                assert_eq!(frame["event"]["turn"], turn);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(heard, "It leaves today.");
    // The other one hears of the same in events alone.
    while watches.event().await["type"] != "turn.ended" {}
    flow.sends(1).await;
    flow.finish().await;
}

#[actix::test]
async fn who_watches_one_conversation_hears_no_other_being_written() {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..Options::default() }).await;
    flow.simulator.say("ana", "first").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;
    let conversation = flow.conversation(0).await;
    let mut live = Live::with_key(&flow).await;
    let tenant = flow.tenants[0];
    let subscribe =
        json!({ "type": "subscribe", "tenant": tenant, "conversation": conversation, "tokens": true });
    assert_eq!(live.subscribe(subscribe).await["type"], "subscribed");
    flow.simulator.say("bruno", "secret words of another").unwrap();
    flow.sends(2).await;
    flow.simulator.say("ana", "second").unwrap();
    loop {
        let frame = live.frame().await;
        assert!(!frame.to_string().contains("another"), "{frame}");
        let of = frame["conversation"].as_str().or(frame["event"]["conversation"].as_str());
        assert_eq!(of, Some(conversation.to_string().as_str()), "{frame}");
        if frame["event"]["type"] == "turn.ended" {
            break;
        }
    }
    flow.sends(3).await;
    flow.finish().await;
}

#[actix::test]
async fn a_batch_has_so_many_bytes_and_no_event_is_left_out() {
    let flow = Flow::start().await;
    let store = flow.store(0).await;
    let mut watching = flow.app.engine.hub().subscribe(flow.tenants[0], Arc::clone(&store), None);
    let first = watching.position().0 + 1;
    let said = |emoji: usize| EventKind::MessageReacted {
        message: None,
        by_contact: true,
        emoji: Some(Pii::new("x".repeat(emoji))),
    };
    // Two that fit into one batch, with a third no more, and one that is larger than a batch.
    let last = store.append(None, [25_000, 25_000, 25_000, 100_000, 10].map(said).to_vec()).await.unwrap();
    let (mut seqs, mut counts) = (Vec::new(), Vec::new());
    within("all of them", async {
        while watching.position() < last {
            let Batch::Events(frames) = watching.next(256).await.unwrap() else { continue };
            counts.push(frames.len());
            seqs.extend(frames.iter().map(|frame| frame.seq.0));
        }
    })
    .await;
    assert_eq!(seqs, (first..=last.0).collect::<Vec<_>>());
    assert_eq!(counts, [2, 1, 1, 1]);
    drop(store);
    flow.finish().await;
}
