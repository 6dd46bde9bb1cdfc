//! Random commands on both backends: the same answers, and the same data at the end, with the one on
//! disk closed and opened again in between.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

#[path = "oracle/household.rs"]
mod household;
mod support;

use std::io;
use std::sync::Arc;

use household::{configure, household, learn, spend};
use iassistance_domain::channel::{Channel, ChannelAddress, ChannelHealth, ChannelKind, Connection, Notice};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::conversation::{Conversation, Epoch, Input};
use iassistance_domain::delivery::{DeliveryProblem, DeliveryStatus, ProblemClass};
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind, EventSeq};
use iassistance_domain::id::{ConversationId, DeadLetterId, MessageId};
use iassistance_domain::inbound::{InboundEvent, InboundKind, SeenMark, ThreadChange};
use iassistance_domain::message::Elsewhere;
use iassistance_domain::outbox::{SendOutcome, WithdrawnReason};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::sled::disk::{Disk, Step};
use iassistance_storage::{
    Dispatch, InboxEntry, Letter, SendReport, StorageError, SummaryChange, TenantStore, TurnCommit,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::*;

/// A disk that makes nothing lasting, and so is fast.
struct NoDisk;

impl Disk for NoDisk {
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if matches!(step, Step::SyncData(_) | Step::SyncDir(_)) { Ok(()) } else { work() }
    }
}

/// A command: which, on which tenant, and four numbers that choose everything else.
type Command = (u8, u8, [u8; 4]);

const MESSAGES: u8 = 8;
/// So few texts that what is said of a message often finds one.
const TEXTS: u8 = 12;

fn contact(choice: u8) -> ContactIdentity {
    let wa_ids = ["", "549", "550", "551"];
    let user_ids = ["", "user-a", "user-b"];
    let (wa_id, user_id) = (wa_ids[usize::from(choice % 4)], user_ids[usize::from(choice / 4 % 3)]);
    if wa_id.is_empty() && user_id.is_empty() { both("552", "") } else { both(wa_id, user_id) }
}

fn stage(choice: u8) -> DeliveryStatus {
    let stages =
        [DeliveryStatus::Sent, DeliveryStatus::Delivered, DeliveryStatus::Read, DeliveryStatus::Failed];
    stages[usize::from(choice % 4)]
}

/// One of Meta's ids: of a message that came in, was echoed, or goes out.
fn provider_id(choice: u8) -> String {
    match choice % 3 {
        0 => format!("wamid.{}", choice / 3 % TEXTS),
        1 => format!("wamid.e{}", choice / 3 % TEXTS),
        _ => format!("wamid.out.{}", choice / 3 % MESSAGES),
    }
}

/// What is said of a message, of a contact, or of the channel.
fn change([kind, who, text, more]: [u8; 4]) -> InboundEvent {
    let contact = contact(who);
    let provider = provider_id(text);
    let id = Pii::new(provider.clone());
    let label = format!("{who} {text} {more}");
    match kind % 12 {
        0 | 1 => removed(&provider, more % 2),
        2 | 3 => edited(&provider, more % 4, "another text"),
        4 => reacted(&provider, contact, ["+", "-"][usize::from(more % 2)]),
        5 => renamed(contact, self::contact(more), &label),
        6 => {
            let up_to = if more % 2 == 0 {
                SeenMark::Message { provider_id: id }
            } else {
                SeenMark::Moment { at: START }
            };
            said(&label, InboundKind::SeenUpTo { contact, up_to, status: DeliveryStatus::Read })
        }
        7 => said(&label, InboundKind::MarketingChanged { contact, allowed: more % 2 == 0 }),
        8 => {
            let change = ThreadChange::Taken;
            said(&label, InboundKind::ThreadControlChanged { contact, change, owner: None })
        }
        9 => {
            let notice = Notice::Account { event: format!("{text}") };
            said(&label, InboundKind::Noticed(notice))
        }
        10 => said(
            &label,
            InboundKind::ContactActed {
                contact,
                profile_name: (more % 2 == 0).then(|| Pii::new("Cy".to_owned())),
                what: "optin".to_owned(),
                referral: None,
                opens_window: true,
                raw: None,
            },
        ),
        _ => {
            let mut late = wrote(contact, None, &format!("{}", text % TEXTS));
            late.dedup = Pii::new(format!("late {label}"));
            late
        }
    }
}

fn inbound([kind, who, text, more]: [u8; 4]) -> InboundEvent {
    let number = more % MESSAGES;
    match kind % 16 {
        6 | 7 => {
            let through = [Elsewhere::Unnamed, Elsewhere::Phone][usize::from(more / 2 % 2)].clone();
            let ours = (who % 4 == 3).then(|| message_id(number.into()));
            let content = ["an answer", "another answer"][usize::from(text / 8 % 2)];
            let mut echo = echo(contact(who), &format!("e{}", text % TEXTS), content, ours, through);
            echo.dedup = Pii::new(format!("echo {text} {more}"));
            echo
        }
        8.. => change([kind / 16, who, text, more]),
        of @ (0 | 1) => {
            let name = [None, Some("Ada"), Some("Bo")][usize::from(more % 3)];
            let message = wrote(contact(who), name, &format!("{}", text % TEXTS));
            if of == 0 { message } else { known_by_id(message) }
        }
        2 => status(&format!("wamid.out.{number}"), None, stage(text)),
        3 => status(&format!("wamid.out.{number}"), Some(message_id(number.into())), stage(text)),
        4 => kept(Some(contact(who)), &format!("{text}")),
        _ => kept(None, &format!("{text}")),
    }
}

fn outcome(choice: u8, number: u8, now: Timestamp) -> SendOutcome {
    let problem = || DeliveryProblem { class: ProblemClass::Request, code: 1, title: "x".to_owned() };
    let uncounted = number.is_multiple_of(2);
    match choice % 5 {
        0 => SendOutcome::Sent { provider_id: Pii::new(format!("wamid.out.{number}")) },
        1 => SendOutcome::Postponed { not_before: now.plus_millis(5), uncounted, problem: problem() },
        2 => SendOutcome::Refused { problem: problem() },
        3 => SendOutcome::Unknown,
        _ => SendOutcome::Withdrawn { reason: WithdrawnReason::WindowClosed },
    }
}

fn answer<T>(result: Result<T, StorageError>, show: impl FnOnce(T) -> Value) -> Value {
    result.map_or_else(|error| json!(format!("{error:?}")), show)
}

/// Without the ids of messages that came in, which are made of their letters' numbers: those begin
/// anew when all letters are read and the store is opened again.
fn without_ids(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("msg_") && !text.starts_with("msg_0909") => json!("msg"),
        Value::Array(values) => values.into_iter().map(without_ids).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, without_ids(value))).collect(),
        other => other,
    }
}

/// A letter without its number.
fn letter(entry: &InboxEntry) -> Value {
    json!([entry.accepted_at, entry.letter])
}

async fn known(tenant: &dyn TenantStore) -> Vec<Conversation> {
    tenant.conversations(None, 100).await.unwrap()
}

/// The conversation that has a message already, as ids are given once; or else any.
async fn choose(tenant: &dyn TenantStore, choice: u8, message: MessageId) -> Option<ConversationId> {
    let known = known(tenant).await;
    for conversation in &known {
        if tenant.message(conversation.id, message).await.unwrap().is_some() {
            return Some(conversation.id);
        }
    }
    (!known.is_empty()).then(|| known[usize::from(choice) % known.len()].id)
}

async fn run(world: &mut World, (kind, number, choices): Command) -> Value {
    let tenant_number = number % 2 + 1;
    let now = world.now();
    if kind == 10 {
        world.reopen().await;
        world.clock.advance_millis(1);
        return Value::Null;
    }
    if kind == 16 {
        return change_channel(world, tenant_number, choices).await;
    }
    let tenant = world.open_tenant(tenant_number).await;
    let tenant = &*tenant;
    match kind {
        13 => {
            let before = now.minus_millis(u64::from(choices[1]));
            return answer(world.store.forget_dedup_before(before).await, |forgotten| json!(forgotten));
        }
        14 => {
            let kept = world.store.keep_unrouted(Some(address(9)), inbound(choices)).await;
            return answer(kept, |()| Value::Null);
        }
        18 => return spend(tenant, choices).await,
        19 => return learn(tenant, choices).await,
        20 => return configure(tenant, choices).await,
        _ => {}
    }
    let [a, b, c, d] = choices;
    if kind < 3 {
        let events: Vec<_> = (0..=d % 3).map(|more| inbound([a.wrapping_add(more), b, c, d / 3])).collect();
        let accepted = tenant.accept(channel_id(tenant_number), &events).await;
        return answer(accepted, |accepted| json!([accepted.new, accepted.conversations]));
    }
    let message = message_id(u64::from(b % MESSAGES));
    match choose(tenant, a, message).await {
        Some(id) => converse(tenant, (kind, tenant_number, choices), (id, message), now).await,
        None => Value::Null,
    }
}

/// A command on a conversation.
async fn converse(
    tenant: &dyn TenantStore,
    (kind, tenant_number, [a, b, c, d]): Command,
    (id, message): (ConversationId, MessageId),
    now: Timestamp,
) -> Value {
    match kind {
        3 | 4 => {
            let mut commit = step(tenant, id).await;
            let epoch = (c % 3 > 0).then_some(u64::from(c % 3));
            commit.messages.push(outgoing(&commit.conversation, message, None));
            if !tenant.outbox(id).await.unwrap().iter().any(|entry| entry.message == message) {
                commit.outbox.push(entry(&commit.conversation, message, epoch));
            }
            commit.events.push(EventKind::MessageQueued { message: commit.messages[0].clone() });
            answer(tenant.commit(commit).await, |seq| json!(seq))
        }
        5 => {
            let mut commit = step(tenant, id).await;
            let letters = tenant.inbox(id, usize::from(c % 4)).await.unwrap();
            commit.acknowledge = letters.iter().map(|letter| letter.seq).collect();
            match d % 4 {
                0 => drop(commit.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, now)),
                1 => drop(commit.conversation.apply(Input::HandedBack, now)),
                2 if commit.conversation.running_turn().is_none() => {
                    begin_turn(&mut commit.conversation, now);
                }
                _ => {}
            }
            let provider_id = (c % 2 == 0).then(|| Pii::new(format!("wamid.out.{}", b % MESSAGES)));
            commit.deliveries.push((message, delivery(stage(d)), provider_id));
            if c % 5 == 0 {
                commit.outbox_done.push(message);
            }
            commit.revision -= u64::from(commit.revision > 0 && d % 16 == 15);
            answer(tenant.commit(commit).await, |seq| json!(seq))
        }
        6 => {
            let mut commit = step(tenant, id).await;
            commit.events.push(EventKind::ChannelConnected { channel: channel_id(1) });
            let turn = TurnCommit { epoch: Epoch(u64::from(b % 4)), commit };
            answer(tenant.commit_turn(turn).await, |seq| json!(seq))
        }
        7 => answer(tenant.begin_dispatch(id).await, |dispatch| match dispatch {
            Dispatch::Go(entry) => json!(["go", entry]),
            Dispatch::NotYet(entry) => json!(["not yet", entry]),
            Dispatch::Withdraw(message, reason) => json!(["withdraw", message, reason]),
            Dispatch::Empty => json!("empty"),
        }),
        8 => {
            let report = SendReport { message, at: now, outcome: outcome(c, b % MESSAGES, now) };
            answer(tenant.settle(id, report).await, |()| Value::Null)
        }
        12 => {
            let letter = dead_letter(id, [b % 4; 16], message, format!("reason {c}"), now);
            let event = EventKind::DeadLetterAdded { dead_letter: letter.id, reason: letter.reason.clone() };
            answer(tenant.put_dead_letter(letter, event).await, |()| Value::Null)
        }
        15 => {
            let commit = handled(tenant, id).await;
            // Decided now and written later: what was said in between counts.
            if d % 2 == 0 {
                let events = [change([c, a, b, d])];
                drop(tenant.accept(channel_id(tenant_number), &events).await);
            }
            answer(tenant.commit(commit).await, |seq| json!(seq))
        }
        17 => {
            let mut commit = step(tenant, id).await;
            let known = tenant.messages(id, None, 9).await.unwrap();
            let until = known.get(usize::from(b % 4)).map_or(message, |message| message.id);
            commit.summary = match c % 4 {
                0 => None,
                1 => Some(SummaryChange::Drop),
                ago => Some(SummaryChange::Put(summary(until, now.minus_millis(u64::from(ago - 2))))),
            };
            commit.turns.push(turn(id, u64::from(d % 4), now.minus_millis(u64::from(c % 3))));
            let fact = (format!("fact {}", d % 60), Pii::new(format!("{c}")));
            commit.attributes.push(fact);
            answer(tenant.commit(commit).await, |seq| json!(seq))
        }
        _ => Value::Null,
    }
}

fn dead_letter(
    conversation: ConversationId,
    id: [u8; 16],
    message: MessageId,
    reason: String,
    at: Timestamp,
) -> DeadLetter {
    let (id, work) = (DeadLetterId::from_bytes(id), DeadWork::Send { message });
    DeadLetter { id, conversation, work, reason, at, replayed_at: None }
}

/// Changes, removes or brings back a tenant's channel.
async fn change_channel(world: &World, number: u8, [a, b, ..]: [u8; 4]) -> Value {
    let tenant = TenantCtx::platform(tenant_id(number));
    match a % 4 {
        0 => answer(world.store.remove_channel(tenant, channel_id(number)).await, Value::Bool),
        1 => {
            let health = ChannelHealth::connecting(START.plus_millis(b.into()));
            let set = world.store.set_channel_health(tenant, channel_id(number), health).await;
            answer(set, |()| Value::Null)
        }
        _ => {
            let account_id = (b % 3 > 0).then(|| format!("waba {}", b % 3));
            let connection = Connection::CloudApi { account_id, number: None };
            let put = world.store.put_channel(Channel { connection, ..channel(number) }).await;
            answer(put, |()| Value::Null)
        }
    }
}

/// All that there is.
async fn everything(world: &World) -> Value {
    let mut all = Vec::new();
    for address in [address(1), address(2)]
        .into_iter()
        .chain((1..3).map(|waba| ChannelAddress::account(ChannelKind::Whatsapp, format!("waba {waba}"))))
    {
        let routes = world.store.routes(&address);
        all.push(routes.iter().map(|route| json!([route.tenant, route.channel])).collect());
    }
    for number in [1, 2] {
        let tenant = world.open_tenant(number).await;
        let tenant = &*tenant;
        all.push(json!([
            tenant.events(EventSeq(0), 10_000).await.unwrap(),
            *tenant.latest_event().borrow(),
            tenant.channels().await.unwrap(),
            tenant.dead_letters(None, 100).await.unwrap(),
            tenant.unfinished(None, 100).await.unwrap(),
            household(tenant).await,
        ]));
        for conversation in known(tenant).await {
            let id = conversation.id;
            let letters = tenant.inbox(id, 1_000).await.unwrap();
            assert!(letters.is_sorted_by_key(|entry| entry.seq));
            all.push(json!([
                tenant.conversation(id).await.unwrap(),
                tenant.contact(conversation.contact).await.unwrap(),
                letters.iter().map(letter).collect::<Vec<_>>(),
                tenant.outbox(id).await.unwrap(),
                tenant.messages(id, None, 100).await.unwrap(),
                tenant.outbound_before(id, START.plus_millis(5), 3).await.unwrap(),
                tenant.summary(id).await.unwrap(),
                tenant.turns(id, None, 999).await.unwrap(),
            ]));
            let names_ours = |entry: &InboxEntry| match &entry.letter {
                Letter::Inbound { event, .. } => {
                    !matches!(event.kind, InboundKind::StatusChanged { message: None, .. })
                }
                Letter::Dispatched(_) => true,
            };
            assert!(letters.iter().all(names_ours));
        }
    }
    let unrouted = world.store.unrouted(100).await.unwrap();
    all.push(json!(unrouted));
    without_ids(Value::Array(all))
}

async fn compare(commands: Vec<Command>) {
    let (mut memory, mut sled) = (World::memory(), World::sled_with(small_limits(), Arc::new(NoDisk)));
    for world in [&memory, &sled] {
        world.tenant(1).await;
        world.tenant(2).await;
    }
    for (at, command) in commands.iter().enumerate() {
        for world in [&memory, &sled] {
            world.clock.advance_millis(u64::from(command.2[3] % 3));
        }
        let (expected, found) = (run(&mut memory, *command).await, run(&mut sled, *command).await);
        assert_eq!(expected, found, "command {at}: {command:?}");
    }
    let expected = everything(&memory).await;
    assert_eq!(expected, everything(&sled).await);
    sled.reopen().await;
    assert_eq!(expected, everything(&sled).await, "opened again");
    let bad = unsound(&*sled.store).await;
    assert!(bad.is_empty(), "{bad:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sled_does_what_memory_does(
        commands in prop::collection::vec((0..21_u8, any::<u8>(), any::<[u8; 4]>()), 1..120),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(compare(commands));
    }
}
