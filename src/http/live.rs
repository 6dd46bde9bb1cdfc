//! The live socket: a tenant's events as they happen, with bounded memory however slow the reader.
//!
//! This is the one file that knows the websocket crate. That crate keeps whatever an actor writes in
//! a buffer without a bound, so the bound is here: what was sent is counted until the client has
//! confirmed it, by answering a ping that was sent after it. A client that does not read does not
//! answer, and gets nothing more until it does; it is then told `lagged` and catches up from the log.

mod intake;
mod reading;
mod seats;
mod splice;
mod watcher;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, StreamHandler, WrapFuture};
use actix_http::ws::{OpCode, Parser};
use actix_web::http::header::SEC_WEBSOCKET_PROTOCOL;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use iassistance_config::LiveSettings;
use serde::{Deserialize, Serialize};

use iassistance_actors::hub::{Batch, Frames, Subscription};
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ConversationId, TenantId};
use iassistance_storage::TenantStore;

pub use self::seats::Sockets;

use self::intake::{Intake, TooLarge};
use self::reading::Reading;
use self::seats::{Seat, TenantSeat};
use self::splice::{MARK, Packs, Spliced};
use self::watcher::Watcher;
use super::principal::Principal;
use super::{Problem, State, access::Access, cookies, feed, mask};

/// The subprotocol that is spoken.
pub const PROTOCOL: &str = "iassistance.live.v1";
/// Before a ticket in the list of subprotocols, the one place where a browser can put it.
const TICKET: &str = "ticket.";
/// Subscriptions of one socket.
const SUBSCRIPTIONS_MAX: usize = 16;
/// How long a client waits at least until it comes again to a server that stops, milliseconds, and by how
/// much longer at most: all come again, and not at one moment.
const RETRY_MS: u64 = 1_000;
const RETRY_JITTER_MS: u64 = 4_000;
/// Events that are taken up at once.
const BATCH: usize = 256;

/// Adds the route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/v1/live").route(web::get().to(open)));
}

async fn open(
    state: web::Data<State>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    // A page of another origin must not watch with somebody's credentials. Programs send no Origin.
    cookies::check_origin(&state, &request, false)?;
    let from = state.door.ip(&request);
    let watcher = match ticket(&request) {
        Some(ticket) => {
            let redeemed = state.tickets.redeem(&ticket, state.clock().now());
            let (ctx, credential) = redeemed.ok_or_else(Problem::unauthorized)?;
            let principal = Principal::again(&state, credential, from).await?;
            Watcher::new(principal, Some(ctx.tenant()), from)
        }
        None => Watcher::new(Principal::of(&state, &request).await?, None, from),
    };
    let reading = Reading::new(&state, &request, &watcher.principal);
    let seat = state.sockets.take()?;
    let frame_bytes_max = state.app.settings.live.frame_bytes_max;
    let intake = Intake::new(payload, frame_bytes_max);
    let socket = Socket::new(state.get_ref().clone(), (watcher, reading), seat, intake.too_large());
    let packs = socket.packs.clone();
    let answer = ws::WsResponseBuilder::new(socket, &request, intake)
        .protocols(&[PROTOCOL])
        .frame_size(frame_bytes_max)
        .start()?;
    Ok(answer.map_body(|_, body| Spliced::new(body, packs)).map_into_boxed_body())
}

/// A text as a whole frame, as the crate itself writes it: a server masks nothing (RFC 6455, 5.1).
fn pack(bytes: &mut BytesMut, text: &str) {
    Parser::write_message(bytes, text, OpCode::Text, true, false);
}

fn ticket(request: &HttpRequest) -> Option<String> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    offered.find_map(|protocol| protocol.trim().strip_prefix(TICKET).map(str::to_owned))
}

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ClientFrame {
    Subscribe {
        tenant: TenantId,
        conversation: Option<ConversationId>,
        after_seq: Option<EventSeq>,
        /// Whether what a turn says is wanted while it is being written: it is in no log, and who reads
        /// too slowly does not get all of it.
        #[serde(default)]
        tokens: bool,
    },
    Unsubscribe {
        tenant: TenantId,
        conversation: Option<ConversationId>,
    },
    Ping {},
}

/// What the server says, besides events.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerFrame<'a> {
    Subscribed {
        tenant: TenantId,
        conversation: Option<ConversationId>,
        after_seq: EventSeq,
    },
    Unsubscribed {
        tenant: TenantId,
        conversation: Option<ConversationId>,
    },
    Pong {},
    Lagged {
        tenant: TenantId,
        from: EventSeq,
        to: EventSeq,
    },
    Error {
        code: &'a str,
        detail: &'a str,
    },
    Bye {
        reason: &'a str,
        /// Where to go on, and how long to wait until then, milliseconds: where the server stops.
        #[serde(flatten)]
        resume: Option<Resume>,
    },
}

/// How a client goes on that is sent away.
#[derive(Serialize)]
struct Resume {
    retry_ms: u64,
    resume: Vec<Place>,
}

/// What a client watched, and the last event of it that it was sent.
#[derive(Serialize)]
struct Place {
    tenant: TenantId,
    conversation: Option<ConversationId>,
    after_seq: EventSeq,
}

type Watched = (TenantId, Option<ConversationId>);

/// One subscription of a socket.
struct Watch {
    number: u64,
    /// Shared by all that the socket watches of the same tenant.
    seat: Rc<TenantSeat>,
    /// The last event that is over for it: sent, or of a conversation that it does not watch.
    after: EventSeq,
    /// How far its reader sees.
    access: Rc<Access>,
    /// What says whose a conversation is.
    store: Arc<dyn TenantStore>,
    /// Not here while the next events are awaited.
    idle: Option<Subscription>,
}

struct Socket {
    state: State,
    watcher: Rc<Watcher>,
    /// Whose events it was sent.
    reading: Rc<Reading>,
    _seat: Seat,
    too_large: TooLarge,
    watches: HashMap<Watched, Watch>,
    /// The tenants that were ever watched, and how far.
    watched: Rc<RefCell<watcher::Watched>>,
    watch_numbers: u64,
    heard: bool,
    unconfirmed: Unconfirmed,
    /// What is put in where the crate was given a mark.
    packs: Packs,
    /// Frames that were handed on: looked up once, for it is counted at every batch.
    published: metrics::Counter,
}

/// What was sent and is not known to have been read.
#[derive(Default)]
struct Unconfirmed {
    since_ping: Load,
    pinged: VecDeque<(u64, Load)>,
    pings: u64,
}

#[derive(Default, Clone, Copy)]
struct Load {
    frames: usize,
    bytes: usize,
}

impl Unconfirmed {
    fn total(&self) -> Load {
        self.pinged.iter().fold(self.since_ping, |sum, (_, load)| Load {
            frames: sum.frames + load.frames,
            bytes: sum.bytes + load.bytes,
        })
    }

    fn confirmed(&mut self, ping: u64) {
        while self.pinged.front().is_some_and(|(number, _)| *number <= ping) {
            self.pinged.pop_front();
        }
    }
}

impl Socket {
    fn new(state: State, (watcher, reading): (Watcher, Reading), seat: Seat, too_large: TooLarge) -> Self {
        Self {
            state,
            watcher: Rc::new(watcher),
            reading: Rc::new(reading),
            _seat: seat,
            too_large,
            watches: HashMap::new(),
            watched: Rc::default(),
            watch_numbers: 0,
            heard: true,
            unconfirmed: Unconfirmed::default(),
            packs: Packs::default(),
            published: metrics::counter!("iassistance_publish_frames_total"),
        }
    }

    fn settings(&self) -> &LiveSettings {
        &self.state.app.settings.live
    }

    /// How many frames more may be on their way.
    fn room(&self) -> usize {
        let total = self.unconfirmed.total();
        let has_bytes = total.bytes < self.settings().bytes_in_flight_max;
        if has_bytes { self.settings().frames_in_flight_max.saturating_sub(total.frames) } else { 0 }
    }

    fn send(&mut self, text: ByteString, context: &mut ws::WebsocketContext<Self>) {
        let bytes = text.len();
        context.text(text);
        self.sent(Load { frames: 1, bytes }, context);
    }

    /// Sends frames that are packed already.
    fn send_packed(&mut self, frames: usize, packed: Bytes, context: &mut ws::WebsocketContext<Self>) {
        let bytes = packed.len();
        self.packs.push(packed);
        context.binary(MARK);
        self.sent(Load { frames, bytes }, context);
    }

    fn sent(&mut self, load: Load, context: &mut ws::WebsocketContext<Self>) {
        self.unconfirmed.since_ping.frames += load.frames;
        self.unconfirmed.since_ping.bytes += load.bytes;
        // Half of the room is the most that waits for a ping; the rest is on its way.
        let since = self.unconfirmed.since_ping;
        let (frames, bytes) =
            (self.settings().frames_in_flight_max / 2, self.settings().bytes_in_flight_max / 2);
        if since.frames >= frames.max(1) || since.bytes >= bytes {
            self.ping(context);
        }
    }

    fn ping(&mut self, context: &mut ws::WebsocketContext<Self>) {
        let unconfirmed = &mut self.unconfirmed;
        unconfirmed.pings += 1;
        unconfirmed.pinged.push_back((unconfirmed.pings, std::mem::take(&mut unconfirmed.since_ping)));
        context.ping(&unconfirmed.pings.to_be_bytes());
    }

    fn say(&mut self, frame: &ServerFrame<'_>, context: &mut ws::WebsocketContext<Self>) {
        // A client may ask without end and never read: answers count as much as events.
        if self.unconfirmed.total().frames > 4 * self.settings().frames_in_flight_max {
            Self::bye("you ask without reading the answers", ws::CloseCode::Policy, context);
            return;
        }
        if let Ok(text) = serde_json::to_string(frame) {
            self.send(text.into(), context);
        }
    }

    fn bye(reason: &str, code: ws::CloseCode, context: &mut ws::WebsocketContext<Self>) {
        Self::bye_with(reason, None, code, context);
    }

    /// The server stops: where to go on is said.
    fn bye_for_now(&mut self, context: &mut ws::WebsocketContext<Self>) {
        let jitter_ms = self.state.app.engine.entropy().up_to(RETRY_JITTER_MS);
        let places = self.watches.iter().map(|((tenant, conversation), watch)| Place {
            tenant: *tenant,
            conversation: *conversation,
            after_seq: watch.after,
        });
        let resume = Resume { retry_ms: RETRY_MS + jitter_ms, resume: places.collect() };
        let reason = "the server is stopping: connect again";
        Self::bye_with(reason, Some(resume), ws::CloseCode::Restart, context);
    }

    fn bye_with(
        reason: &str,
        resume: Option<Resume>,
        code: ws::CloseCode,
        context: &mut ws::WebsocketContext<Self>,
    ) {
        if let Ok(text) = serde_json::to_string(&ServerFrame::Bye { reason, resume }) {
            context.text(text);
        }
        context.close(Some(ws::CloseReason { code, description: Some(reason.to_owned()) }));
        context.stop();
    }

    fn obey(&mut self, text: &str, context: &mut ws::WebsocketContext<Self>) {
        match serde_json::from_str(text) {
            Ok(ClientFrame::Ping {}) => self.say(&ServerFrame::Pong {}, context),
            Ok(ClientFrame::Subscribe { tenant, conversation, after_seq, tokens }) => {
                self.subscribe((tenant, conversation), after_seq, tokens, context);
            }
            Ok(ClientFrame::Unsubscribe { tenant, conversation }) => {
                self.watches.remove(&(tenant, conversation));
                self.say(&ServerFrame::Unsubscribed { tenant, conversation }, context);
            }
            Err(_) => {
                let detail = "not a frame of this protocol: subscribe {tenant, conversation?, after_seq?, tokens?}, \
                              unsubscribe {tenant, conversation?} and ping are understood";
                self.say(&ServerFrame::Error { code: "bad_frame", detail }, context);
            }
        }
    }

    fn subscribe(
        &mut self,
        watched: Watched,
        after: Option<EventSeq>,
        tokens: bool,
        context: &mut ws::WebsocketContext<Self>,
    ) {
        if self.watches.len() >= SUBSCRIPTIONS_MAX && !self.watches.contains_key(&watched) {
            let detail = "one connection holds at most 16 subscriptions: unsubscribe, or open another";
            self.say(&ServerFrame::Error { code: "too_many", detail }, context);
            return;
        }
        let Some(seat) = self.seat_for(watched.0) else {
            let detail = "as many connections watch this tenant as may: close one, or raise live.sockets_per_tenant_max";
            self.say(&ServerFrame::Error { code: "too_many", detail }, context);
            return;
        };
        let (state, watcher) = (self.state.clone(), Rc::clone(&self.watcher));
        let opened = async move {
            let (ctx, access) = watcher.begin(&state, watched.0).await?;
            let store = state.app.store.tenant(ctx).await?;
            let hub = state.app.engine.hub();
            let mut subscription = hub.subscribe(ctx.tenant(), Arc::clone(&store), after);
            subscription.listen(tokens && !access.is_masked());
            Ok::<_, Problem>((subscription, store, access))
        };
        context.wait(opened.into_actor(self).map(move |opened, socket, context| match opened {
            Ok((subscription, store, access)) => {
                let (tenant, conversation) = watched;
                let after_seq = subscription.position();
                socket.watch_numbers += 1;
                let (number, idle) = (socket.watch_numbers, Some(subscription));
                // How they saw it first counts, until all begins anew.
                socket.watched.borrow_mut().entry(tenant).or_insert_with(|| access.clone());
                let access = Rc::new(access);
                let watch = Watch { number, seat, after: after_seq, access, store, idle };
                socket.watches.insert(watched, watch);
                socket.say(&ServerFrame::Subscribed { tenant, conversation, after_seq }, context);
                socket.watch_on(context);
            }
            Err(_) => socket.unknown_tenant(context),
        }));
    }

    /// This socket's place among those who watch a tenant: the one that it has, or a new one.
    fn seat_for(&self, tenant: TenantId) -> Option<Rc<TenantSeat>> {
        let mut own = self.watches.iter().filter(|((watched, _), _)| *watched == tenant);
        match own.next() {
            Some((_, watch)) => Some(Rc::clone(&watch.seat)),
            None => self.state.sockets.take_for(tenant).map(Rc::new),
        }
    }

    /// Ends it as soon as what opened it does not open it any more.
    fn look_after(&mut self, context: &mut ws::WebsocketContext<Self>) {
        let (state, watcher) = (self.state.clone(), Rc::clone(&self.watcher));
        let revocations = state.app.store.people().revocations();
        let watched = Rc::clone(&self.watched);
        let over = async move { watcher.until_over(&state, revocations, &watched).await };
        context.spawn(over.into_actor(self).map(|(), _, context| {
            Self::bye("what you signed in with does not open this any more", ws::CloseCode::Policy, context);
        }));
    }

    fn unknown_tenant(&mut self, context: &mut ws::WebsocketContext<Self>) {
        let detail = "there is no such tenant, or the credential is not for it";
        self.say(&ServerFrame::Error { code: "not_found", detail }, context);
    }

    /// Awaits events for every subscription that is idle, while there is room for them.
    fn watch_on(&mut self, context: &mut ws::WebsocketContext<Self>) {
        let room = self.room().min(BATCH);
        if room == 0 {
            return;
        }
        let idle = self.watches.iter_mut().filter_map(|(watched, watch)| {
            let (access, store) = (Rc::clone(&watch.access), Arc::clone(&watch.store));
            Some((*watched, watch.number, watch.idle.take()?, access, store))
        });
        let idle: Vec<_> = idle.collect();
        for (watched, number, mut subscription, access, store) in idle {
            let reading = Rc::clone(&self.reading);
            let next = async move {
                let batch = subscription.next(room).await;
                let batch = match batch {
                    Ok(batch) => feed::seen(&access, &*store, batch).await,
                    Err(error) => Err(error),
                };
                if let Ok(Some(batch)) = &batch {
                    reading.note(watched, batch).await;
                }
                (subscription, batch)
            };
            context.spawn(next.into_actor(self).map(move |(subscription, batch), socket, context| {
                let Some(watch) = socket.watches.get_mut(&watched).filter(|watch| watch.number == number)
                else {
                    return;
                };
                watch.after = subscription.position();
                watch.idle = Some(subscription);
                let masked = watch.access.is_masked();
                match batch {
                    Ok(Some(Batch::Events(frames))) => socket.forward(watched.1, masked, &frames, context),
                    Ok(None) => {}
                    Ok(Some(Batch::Whisper(whisper))) => {
                        if watched.1.is_none_or(|only| only == whisper.conversation) {
                            socket.send(whisper.json, context);
                        }
                    }
                    Ok(Some(Batch::Lagged { from, to })) => {
                        metrics::counter!("iassistance_publish_lagged_total").increment(1);
                        socket.say(&ServerFrame::Lagged { tenant: watched.0, from, to }, context);
                    }
                    Ok(Some(Batch::Closed)) => {
                        // Said once for all, see `started`. There is nothing more to wait for.
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(tenant = %watched.0, %error, "a live feed ended");
                        return Self::bye(
                            "the log cannot be read: connect again later",
                            ws::CloseCode::Error,
                            context,
                        );
                    }
                }
                socket.watch_on(context);
            }));
        }
    }

    fn forward(
        &mut self,
        only: Option<ConversationId>,
        masked: bool,
        frames: &Frames,
        context: &mut ws::WebsocketContext<Self>,
    ) {
        if only.is_none() && !masked {
            self.published.increment(frames.len() as u64);
            return self.send_packed(frames.len(), frames.packed(pack), context);
        }
        let wanted = frames.iter().filter(|frame| only.is_none() || frame.conversation == only);
        let mut published = 0;
        for frame in wanted {
            let shown = if masked { mask::frame(&frame.json).into() } else { frame.json.clone() };
            self.send(shown, context);
            published += 1;
        }
        self.published.increment(published);
    }
}

impl Actor for Socket {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let half = Duration::from_millis((self.settings().silence_ms / 2).max(1));
        context.run_interval(half, |socket, context| {
            if !std::mem::take(&mut socket.heard) && socket.unconfirmed.pinged.len() > 1 {
                return Self::bye("nothing was heard for too long", ws::CloseCode::Away, context);
            }
            socket.ping(context);
        });
        let hub = self.state.app.engine.hub().clone();
        let closed = async move { hub.closed().await };
        context.spawn(closed.into_actor(self).map(|(), socket, context| socket.bye_for_now(context)));
        self.look_after(context);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Socket {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, context: &mut Self::Context) {
        self.heard = true;
        match message {
            Ok(ws::Message::Text(text)) => self.obey(&text, context),
            Ok(ws::Message::Pong(payload)) => {
                if let Ok(number) = <[u8; 8]>::try_from(payload.as_ref()) {
                    self.unconfirmed.confirmed(u64::from_be_bytes(number));
                    self.watch_on(context);
                }
            }
            Ok(ws::Message::Ping(payload)) => {
                self.unconfirmed.since_ping.frames += 1;
                if self.unconfirmed.total().frames > 4 * self.settings().frames_in_flight_max {
                    return Self::bye("you ping without reading the answers", ws::CloseCode::Policy, context);
                }
                context.pong(&payload);
            }
            Ok(ws::Message::Close(reason)) => {
                context.close(reason);
                context.stop();
            }
            Ok(ws::Message::Binary(_) | ws::Message::Continuation(_)) => {
                Self::bye("only text frames are understood", ws::CloseCode::Unsupported, context);
            }
            Ok(ws::Message::Nop) => {}
            Err(_) if self.too_large.is() => {
                Self::bye("the frame is too large", ws::CloseCode::Size, context);
            }
            // This is how the crate tells of a text that is not UTF-8.
            Err(ws::ProtocolError::Io(error)) if error.kind() == ErrorKind::Other => {
                Self::bye("a text must be UTF-8", ws::CloseCode::Invalid, context);
            }
            Err(_) => Self::bye("not a websocket frame", ws::CloseCode::Protocol, context),
        }
    }
}
