//! Erasing one of many contacts: how much work it is, and what live traffic feels of it.
//!
//! A store with a hundred thousand contacts, each with what they wrote, what was answered and its record. Callers
//! take webhooks in all the time, each durable before the next, at the same rate in every phase; in every second
//! phase contacts are erased one after the other meanwhile. What counts are the ratios of the phases of one run.
#![allow(clippy::unwrap_used, reason = "a bench that fails has no result")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it found")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below what a float holds exactly")]

#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use iassistance_domain::Pii;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, MessageId};
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::message::{Author, Content, Message};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Clock, Timestamp};
use iassistance_storage::keeping::Person;
use iassistance_storage::{ConversationCommit, Letter, Limits, SledStore, Store, TenantStore};
use iassistance_vault::SystemEntropy;
use serde_json::json;
use support::{folder, rounded, store, tenant, wamid};

/// Contacts that are made in one go.
const BATCH: u64 = 500;
const CALLERS: u64 = 8;

struct Options {
    contacts: u64,
    erasures: u64,
    seconds: u64,
    rounds: u64,
    rate: u64,
}

fn main() {
    let options = options();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = folder();
    let limits = Limits { inbox_entries_max: u64::MAX, letters_max: u64::MAX, ..Limits::default() };
    let store = store(folder.path(), limits);
    runtime.block_on(async {
        let (ctx, channel, _) = tenant(&*store).await;
        let own = store.tenant(ctx).await.unwrap();
        let people = furnish(&*own, channel, options.contacts).await;
        eprintln!("{} contacts", people.len());
        let scene = Scene {
            store: Arc::clone(&store),
            own,
            ctx,
            channel,
            next: AtomicU64::new(options.contacts * 4),
        };
        scene.measure(&options, people).await;
    });
    runtime.block_on(store.close());
}

fn options() -> Options {
    let mut options = Options { contacts: 100_000, erasures: 200, seconds: 8, rounds: 3, rate: 200 };
    let mut given = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let (Some(name), Some(value)) = (given.next(), given.next()) {
        let value = value.parse().unwrap();
        match name.as_str() {
            "--contacts" => options.contacts = value,
            "--erasures" => options.erasures = value,
            "--seconds" => options.seconds = value,
            "--rounds" => options.rounds = value,
            "--rate" => options.rate = value,
            other => {
                eprintln!("there is no option {other}: --contacts --erasures --seconds --rounds --rate");
                std::process::exit(2);
            }
        }
    }
    options
}

fn event(number: u64, contact: u64) -> InboundEvent {
    let kind = InboundKind::MessageReceived {
        provider_id: Pii::new(wamid(number)),
        from: ContactIdentity {
            wa_id: Some(Pii::new(format!("1555{contact:07}"))),
            ..ContactIdentity::default()
        },
        profile_name: Some(Pii::new("Ada Example".to_owned())),
        content: Content::text("Do you have it in blue?"),
        context: None,
        referral: None,
        arrival: Arrival::Live,
    };
    let occurred_at = Timestamp::from_secs(1_790_000_000);
    InboundEvent { dedup: Pii::new(format!("m:{}", wamid(number))), occurred_at, kind }
}

/// Contacts with what they wrote and what was answered.
async fn furnish(own: &dyn TenantStore, channel: ChannelId, count: u64) -> Vec<(ContactId, ConversationId)> {
    let mut people = Vec::with_capacity(usize::try_from(count).unwrap());
    for first in (0..count).step_by(usize::try_from(BATCH).unwrap()) {
        let events: Vec<_> =
            (first..(first + BATCH).min(count)).map(|number| event(number, number)).collect();
        let accepted = own.accept(channel, &events).await.unwrap();
        people.extend(join_all(accepted.conversations.iter().map(|id| answer(own, *id))).await);
        if first % 20_000 == 0 {
            eprintln!("{first} of {count}");
        }
    }
    people
}

async fn answer(own: &dyn TenantStore, id: ConversationId) -> (ContactId, ConversationId) {
    let (conversation, revision) = own.conversation(id).await.unwrap().unwrap();
    let contact = conversation.contact;
    let mut commit = ConversationCommit::new(conversation, revision);
    for letter in own.inbox(id, 8).await.unwrap() {
        commit.acknowledge.push(letter.seq);
        let Letter::Inbound { message: Some(message), event } = letter.letter else { continue };
        let InboundKind::MessageReceived { provider_id, content, .. } = event.kind else { continue };
        let received = Message {
            provider_id: Some(provider_id),
            ..Message::new(message, id, Author::Contact, content, event.occurred_at)
        };
        commit.events.push(EventKind::MessageReceived { message: received.clone(), arrival: Arrival::Live });
        commit.messages.push(received);
    }
    let now = iassistance_actors::kernel::SystemClock.now();
    for _ in 0..3 {
        let id_of = MessageId::new(now, &SystemEntropy);
        let author = Author::Operator { name: "Ada".to_owned() };
        let said = Message::new(id_of, id, author, Content::text("It comes in blue too."), now);
        commit.events.push(EventKind::MessageQueued { message: said.clone() });
        commit.messages.push(said);
    }
    own.commit(commit).await.unwrap();
    (contact, id)
}

struct Scene {
    store: Arc<SledStore>,
    own: Arc<dyn TenantStore>,
    ctx: TenantCtx,
    channel: ChannelId,
    next: AtomicU64,
}

impl Scene {
    async fn measure(&self, options: &Options, people: Vec<(ContactId, ConversationId)>) {
        let time = Duration::from_secs(options.seconds);
        let mut chosen =
            people.iter().step_by((people.len() / usize::try_from(options.erasures).unwrap()).max(1));
        let (mut quiet, mut busy, mut erasures) = (Vec::new(), Vec::new(), Vec::new());
        let each = options.erasures.div_ceil(options.rounds);
        for round in 0..options.rounds {
            quiet.extend(self.traffic(time, options.rate, &AtomicBool::new(false)).await);
            let ended = AtomicBool::new(false);
            let some: Vec<_> = chosen.by_ref().take(usize::try_from(each).unwrap()).copied().collect();
            let erasing = async {
                let pause = time / u32::try_from(some.len().max(1)).unwrap();
                for (contact, _) in some {
                    let began = Instant::now();
                    let person = self.store.keeping().person(self.ctx, contact).await.unwrap();
                    assert_eq!(person.contacts, [contact]);
                    let gone = Person { files: Vec::new(), ..person };
                    let counts = self.store.keeping().erase(self.ctx, gone, Vec::new()).await.unwrap();
                    assert!(!counts.is_empty());
                    let took = began.elapsed();
                    erasures.push(took);
                    tokio::time::sleep(pause.saturating_sub(took)).await;
                }
                ended.store(true, Ordering::Relaxed);
            };
            let (during, ()) = tokio::join!(self.traffic(time, options.rate, &ended), erasing);
            busy.extend(during);
            eprintln!("round {} of {}", round + 1, options.rounds);
        }
        report(options, &mut quiet, &mut busy, &mut erasures);
    }

    /// Webhooks at a rate, for some time: how long each took from when it was due.
    async fn traffic(&self, time: Duration, rate: u64, ended: &AtomicBool) -> Vec<Duration> {
        let began = Instant::now();
        let turn = Duration::from_secs_f64(CALLERS as f64 / rate as f64);
        let callers = (0..CALLERS).map(|caller| async move {
            let mut took = Vec::new();
            let mut due = began + turn.mul_f64(caller as f64 / CALLERS as f64);
            while began.elapsed() < time && !(ended.load(Ordering::Relaxed) && began.elapsed() >= time) {
                tokio::time::sleep_until(due.into()).await;
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                self.own.accept(self.channel, &[event(number, 9_000_000 + number % 500)]).await.unwrap();
                took.push(due.elapsed());
                due += turn;
            }
            took
        });
        join_all(callers).await.into_iter().flatten().collect()
    }
}

fn at(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among them")]
    let place = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
    times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

fn report(options: &Options, quiet: &mut [Duration], busy: &mut [Duration], erasures: &mut [Duration]) {
    let ratio = |share| rounded(at(&mut busy.to_vec(), share) / at(&mut quiet.to_vec(), share));
    let result = json!({
        "bench": "erasure",
        "contacts": options.contacts,
        "erasures": erasures.len(),
        "erase_p50_ms": rounded(at(&mut erasures.to_vec(), 0.5)),
        "erase_p99_ms": rounded(at(&mut erasures.to_vec(), 0.99)),
        "live_p50_ms": rounded(at(&mut quiet.to_vec(), 0.5)),
        "live_p99_ms": rounded(at(&mut quiet.to_vec(), 0.99)),
        "live_p50_ratio": ratio(0.5),
        "live_p99_ratio": ratio(0.99),
        "live_webhooks": [quiet.len(), busy.len()],
    });
    println!("{result}");
}
