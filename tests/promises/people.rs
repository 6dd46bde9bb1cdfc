//! People who write, with everything that is kept of them.

use iassistance::app::Vaulted;
use iassistance_domain::Pii;
use iassistance_domain::answer::StoredAnswer;
use iassistance_domain::audit::Actor;
use iassistance_domain::budget::{Budgets, Cost, Day, Reservation};
use iassistance_domain::content::{Content, Media, MediaKind, MediaSource};
use iassistance_domain::delivery::{Delivery, DeliveryStatus};
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind};
use iassistance_domain::id::{
    CaseId, ChannelId, ContactId, ConversationId, DeadLetterId, MediaId, MessageId, TenantId, TurnId,
};
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::message::{Author, Message};
use iassistance_domain::privacy::rights::{Amendment, CaseState, Challenge, Opened, RightKind, RightsCase};
use iassistance_domain::privacy::{Handed, Recipient};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::turn::TurnRecord;
use iassistance_storage::rights::CaseCommit;
use iassistance_storage::{ContentOwner, Letter, SummaryChange, TenantStore};

use crate::support::{channel, channel_id, tenant_id};
use crate::support::{entry, identity, known_by_id, meta_app, outgoing, step, summary, tenant, turn, wrote};

/// Somebody who writes.
#[derive(Clone)]
pub struct Somebody {
    pub number: String,
    pub secret: String,
    pub contact: ContactId,
    pub conversation: ConversationId,
    pub file: Option<MediaId>,
}

pub async fn tenants(vaulted: &Vaulted, count: u8) {
    vaulted.store.put_meta_app(meta_app(1)).await.unwrap();
    for number in 1..=count {
        vaulted.store.create_tenant(tenant(number)).await.unwrap();
        let mut channel = channel(number);
        channel.meta_app = meta_app(1).id;
        vaulted.store.put_channel(channel).await.unwrap();
    }
}

pub async fn of(vaulted: &Vaulted, number: u8) -> std::sync::Arc<dyn TenantStore> {
    vaulted.store.tenant(TenantCtx::platform(tenant_id(number))).await.unwrap()
}

/// Words that nobody else has.
pub fn secret(tenant: u8, number: usize) -> String {
    format!("q7{tenant}x{:08x}zv", (number as u64 * 2_654_435_761) & 0xFFFF_FFFF)
}

/// What somebody writes first, as Meta tells it.
pub fn first(of_tenant: u8, number: usize) -> InboundEvent {
    let secret = secret(of_tenant, number);
    let from = identity(&phone(of_tenant, number));
    known_by_id(wrote(from, Some(&format!("name {secret}")), &format!("words {secret}")))
}

pub fn phone(of_tenant: u8, number: usize) -> String {
    format!("5491{of_tenant}{number:07}")
}

/// Somebody writes, is answered, an answer waits, a file is there, and all else that may be of them.
pub async fn writes(vaulted: &Vaulted, of_tenant: u8, number: usize) -> Somebody {
    let store = of(vaulted, of_tenant).await;
    let (phone, secret) = (phone(of_tenant, number), secret(of_tenant, number));
    let accepted = store.accept(channel_id(of_tenant), &[first(of_tenant, number)]).await.unwrap();
    let id = accepted.conversations[0];
    let file = number.is_multiple_of(10).then(|| media_id(of_tenant, number));
    let contact = answer(&*store, id, (of_tenant, number), &secret, file, vaulted).await;
    if let Some(file) = file {
        let bytes = format!("picture {secret} ").repeat(300).into_bytes();
        let owner = ContentOwner::Contact(contact);
        let content = &vaulted.content;
        content
            .put_bytes(tenant_id(of_tenant), owner, file, "image/png", Some(&secret), bytes.into())
            .await
            .unwrap();
    }
    let body = format!(r#"{{"conversation":"{id}","text":"again {secret}"}}"#);
    let stored = StoredAnswer {
        fingerprint: "f".to_owned(),
        status: 202,
        location: None,
        body: Some(Pii::new(body)),
        at: vaulted.clock.now(),
    };
    let ctx = Some(TenantCtx::platform(tenant_id(of_tenant)));
    vaulted.store.people().put_idempotent(ctx, &format!("key {number}"), stored).await.unwrap();
    if file.is_some() {
        more(vaulted, of_tenant, &phone, &secret, (contact, id)).await;
    }
    Somebody { number: phone, secret, contact, conversation: id, file }
}

/// What few have: a letter that waits, a report on a message that is not known, a webhook that was kept as it came,
/// spending, what was handed over, a correction, a consent.
async fn more(vaulted: &Vaulted, of_tenant: u8, phone: &str, secret: &str, of: (ContactId, ConversationId)) {
    let (store, (contact, conversation)) = (self::of(vaulted, of_tenant).await, of);
    let (ctx, now) = (TenantCtx::platform(tenant_id(of_tenant)), vaulted.clock.now());
    let kept = |kind, dedup: &str| InboundEvent {
        dedup: Pii::new(format!("{dedup} {secret}")),
        occurred_at: now,
        kind,
    };
    let unknown = InboundKind::StatusChanged {
        provider_id: Pii::new(format!("wamid.unknown {secret}")),
        message: None,
        recipient: Some(identity(phone)),
        delivery: Delivery::new(DeliveryStatus::Sent, now),
    };
    let raw = Pii::new(format!("of {phone}: {secret}"));
    let raw = InboundKind::Kept { kind: "message.new".to_owned(), contact: None, raw };
    let waits = known_by_id(wrote(identity(phone), None, &format!("waits {secret}")));
    let events = [waits, kept(unknown, "status"), kept(raw, "raw")];
    store.accept(channel_id(of_tenant), &events).await.unwrap();

    let day = Day::of(now);
    store.spend(conversation, contact, day, Cost(3)).await.unwrap();
    let turn = TurnId::of(conversation, 10, now);
    let reservation = Reservation { turn, conversation, contact, day, amount: Cost(5) };
    let budgets = Budgets { tenant_day: Some(Cost(u64::MAX)), ..Budgets::default() };
    store.reserve(reservation, Cost(1), budgets).await.unwrap().unwrap();
    vaulted.store.leaving().disclose(ctx, contact, Recipient::META, Handed::Message).await.unwrap();
    let case = RightsCase {
        id: CaseId::new(now, &*vaulted.entropy),
        revision: 0,
        kind: RightKind::Rectify,
        contact,
        conversation,
        opened: Opened::Staff { by: Actor::CommandLine },
        received_at: now,
        verified_at: None,
        proof: None,
        challenge: Some(Challenge::new("of a code".to_owned(), now, 1_000, 5)),
        due_at: now,
        law: "AR".to_owned(),
        state: CaseState::Withdrawn { at: now },
        repeated: false,
        erasure: None,
        told: Vec::new(),
        alerted: 0,
        steps: Vec::new(),
    };
    let fields = vec![("city".to_owned(), Some(Pii::new(format!("town {secret}"))))];
    let amendment = Amendment { fields, ..Amendment::default() };
    let commit = CaseCommit { amendment: Some((amendment, Actor::CommandLine)), ..CaseCommit::new(case) };
    vaulted.store.rights().commit_case(ctx, commit).await.unwrap();
    let mut commit = step(&*store, conversation).await;
    commit.events.push(EventKind::ContactMarketingChanged { allowed: true });
    store.commit(commit).await.unwrap();
}

fn media_id(of_tenant: u8, number: usize) -> MediaId {
    let mut bytes = [of_tenant; 16];
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    MediaId::from_bytes(bytes)
}

async fn answer(
    store: &dyn TenantStore,
    id: ConversationId,
    place: (u8, usize),
    secret: &str,
    file: Option<MediaId>,
    vaulted: &Vaulted,
) -> ContactId {
    let now = vaulted.clock.now();
    let made = |_: u64| MessageId::new(now, &*vaulted.entropy);
    let mut commit = step(store, id).await;
    let contact = commit.conversation.contact;
    let mut last = None;
    for letter in store.inbox(id, 9).await.unwrap() {
        commit.acknowledge.push(letter.seq);
        let Letter::Inbound { message: Some(message), event } = letter.letter else { continue };
        let InboundKind::MessageReceived { provider_id, content, .. } = event.kind else { continue };
        let message = Message {
            provider_id: Some(provider_id),
            ..Message::new(message, id, Author::Contact, content, event.occurred_at)
        };
        let received = EventKind::MessageReceived { message: message.clone(), arrival: Arrival::Live };
        commit.events.push(received);
        last = Some(message.id);
        commit.messages.push(message);
    }
    if let Some(file) = file {
        let content = Content::Media { items: vec![media(file, secret)], caption: None };
        commit.messages.push(Message::new(made(7), id, Author::Contact, content, now));
    }
    let answered = outgoing(&commit.conversation, made(1), Some(&format!("wamid.{}.{}", place.0, place.1)));
    let waiting = outgoing(&commit.conversation, made(2), None);
    commit.outbox.push(entry(&commit.conversation, waiting.id, None));
    let answered_id = answered.id;
    commit.messages.extend([answered, waiting]);
    commit.attributes.push(("city".to_owned(), Pii::new(format!("town {secret}"))));
    if let Some(last) = last {
        let mut made = summary(last, now);
        made.text = Pii::new(format!("sum {secret}"));
        commit.summary = Some(SummaryChange::Put(made));
    }
    let mut record = TurnRecord { covers: Vec::from_iter(last), sent: vec![answered_id], ..turn(id, 9, now) };
    record.work.handover_reason = Some(Pii::new(format!("wants {secret}")));
    commit.turns.push(record);
    let letter = DeadLetter {
        id: DeadLetterId::new(now, &*vaulted.entropy),
        conversation: id,
        work: DeadWork::Send { message: answered_id },
        reason: "the channel refused".to_owned(),
        at: now,
        replayed_at: None,
    };
    commit.dead_letters.push(letter);
    store.commit(commit).await.unwrap();
    contact
}

fn media(id: MediaId, secret: &str) -> Media {
    Media {
        kind: MediaKind::Image,
        mime: Some("image/png".to_owned()),
        filename: Some(Pii::new(secret.to_owned())),
        sha256: None,
        source: MediaSource::Stored { id, bytes: 1 },
        text: Some(Pii::new(format!("written {secret}"))),
    }
}

/// Everything of somebody that can still be read in their conversation, as text.
pub async fn readable(store: &dyn TenantStore, somebody: &Somebody) -> String {
    let mut text = String::new();
    let mut add = |json: Result<String, serde_json::Error>| text.push_str(&json.unwrap());
    if let Ok(Some(contact)) = store.contact(somebody.contact).await {
        add(serde_json::to_string(&contact));
    }
    if let Ok(messages) = store.messages(somebody.conversation, None, 100).await {
        add(serde_json::to_string(&messages));
    }
    if let Ok(turns) = store.turns(somebody.conversation, None, 100).await {
        add(serde_json::to_string(&turns));
    }
    if let Ok(Some(summary)) = store.summary(somebody.conversation).await {
        add(serde_json::to_string(&summary));
    }
    if let Ok(outbox) = store.outbox(somebody.conversation).await {
        add(serde_json::to_string(&outbox));
    }
    if let Ok(letters) = store.inbox(somebody.conversation, 100).await {
        for letter in &letters {
            add(serde_json::to_string(&letter.letter));
        }
    }
    text
}

pub fn tenant_of(number: u8) -> TenantId {
    tenant_id(number)
}

pub fn channel_of(number: u8) -> ChannelId {
    channel_id(number)
}
