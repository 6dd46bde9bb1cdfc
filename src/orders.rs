//! Orders of authorities: entered, approved by somebody else, answered within their scope and no further, and the
//! client told of them unless that is barred. Each step is on the audit log before it is done: of an order that the
//! client may not know of, on the platform's alone.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use iassistance_domain::audit::{Actor, AuditEntry, AuditResult};
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{ContactId, OrderId, TenantId};
use iassistance_domain::message::Message;
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::{
    Class, Handed, LegalOrder, OrderAnswer, OrderProblem, OrderScope, OrderStep, Recipient, RecipientKind,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::turn::TurnRecord;
use iassistance_domain::{Clock, Entropy, Pii, Timestamp};
use iassistance_storage::{StorageError, Store, TenantStore};

/// Records that are read at once.
const PAGE: usize = 200;
/// What is handed over at once, bytes; more is asked for in parts.
const BYTES_MAX: usize = 64 << 20;

/// Why something about an order was not done.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is no such order.
    #[error("there is no such order")]
    NoSuchOrder,
    /// It does not say what it must, or does not allow it.
    #[error(transparent)]
    Problem(#[from] OrderProblem),
    /// It is barred to tell the client, or they were told.
    #[error("the client may not be told of the order, or was told already")]
    NotToTell,
    /// It is too much at once.
    #[error("it is more than 64 MiB: ask for a shorter period or fewer contacts, several times")]
    TooLarge,
    /// A record could not be written as JSON.
    #[error("a record could not be written down: {0}")]
    Json(#[from] serde_json::Error),
    /// The store refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

type Result<T> = std::result::Result<T, OrderError>;

/// What is to be entered.
pub struct NewOrder {
    /// Who ordered it.
    pub authority: String,
    /// Its file, norm and date.
    pub reference: String,
    /// The document, and where it is kept.
    pub document: Pii<String>,
    /// What it covers.
    pub scope: OrderScope,
    /// Whether the client may be told.
    pub may_tell: bool,
}

/// Takes orders, and answers them. Clones are the same.
#[derive(Clone)]
pub struct Orders {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// What is handed over: JSON records, one a line.
struct Out {
    bytes: Vec<u8>,
    records: u64,
}

impl Out {
    fn put(&mut self, kind: &str, record: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.bytes, &json!({ "kind": kind, "record": record }))?;
        self.bytes.push(b'\n');
        self.records += 1;
        if self.bytes.len() > BYTES_MAX { Err(OrderError::TooLarge) } else { Ok(()) }
    }
}

impl Orders {
    /// Of an open store.
    pub fn new(store: &Arc<dyn Store>, clock: &Arc<dyn Clock>, entropy: &Arc<dyn Entropy>) -> Self {
        Self { store: Arc::clone(store), clock: Arc::clone(clock), entropy: Arc::clone(entropy) }
    }

    /// Enters an order about a tenant's data. Nothing is handed over before somebody else approves it.
    ///
    /// # Errors
    /// [`OrderError::Problem`], [`OrderError::Storage`]
    pub async fn enter(&self, tenant: TenantId, new: NewOrder, by: Actor) -> Result<LegalOrder> {
        let now = self.clock.now();
        let NewOrder { authority, reference, document, scope, may_tell } = new;
        let order = LegalOrder {
            id: OrderId::new(now, &*self.entropy),
            authority,
            reference,
            document,
            scope,
            may_tell,
            entered: OrderStep { at: now, by },
            approved: None,
            told_at: None,
            answers: Vec::new(),
        };
        order.check(order.document.reveal(Rights).chars().count())?;
        self.audit(tenant, &order, by, "order.entered", AuditResult::Allowed).await?;
        self.store.leaving().put_order(TenantCtx::platform(tenant), order.clone()).await?;
        Ok(order)
    }

    /// One order.
    ///
    /// # Errors
    /// [`OrderError::NoSuchOrder`], [`OrderError::Storage`]
    pub async fn order(&self, tenant: TenantId, id: OrderId) -> Result<LegalOrder> {
        let found = self.store.leaving().order(TenantCtx::platform(tenant), id).await?;
        found.ok_or(OrderError::NoSuchOrder)
    }

    /// Approves an order that somebody else entered; the client is told of it, unless that is barred.
    ///
    /// # Errors
    /// [`OrderError`]
    pub async fn approve(&self, tenant: TenantId, id: OrderId, by: Actor) -> Result<LegalOrder> {
        let order = self.order(tenant, id).await?.approve(by, self.clock.now())?;
        self.audit(tenant, &order, by, "order.approved", AuditResult::Allowed).await?;
        self.store.leaving().put_order(TenantCtx::platform(tenant), order.clone()).await?;
        if order.may_tell { self.tell_now(tenant, order).await } else { Ok(order) }
    }

    /// Tells the client of an order of which it was barred to tell until now.
    ///
    /// # Errors
    /// [`OrderError`]
    pub async fn tell(&self, tenant: TenantId, id: OrderId, by: Actor) -> Result<LegalOrder> {
        let mut order = self.order(tenant, id).await?;
        if order.told_at.is_some() || order.approved.is_none() {
            return Err(OrderError::NotToTell);
        }
        order.may_tell = true;
        self.audit(tenant, &order, by, "order.bar_lifted", AuditResult::Allowed).await?;
        for answer in &order.answers {
            self.disclose(tenant, &order, &answer.scope).await?;
        }
        self.tell_now(tenant, order).await
    }

    async fn tell_now(&self, tenant: TenantId, mut order: LegalOrder) -> Result<LegalOrder> {
        let ctx = TenantCtx::platform(tenant);
        let event = EventKind::OrderReceived {
            order: order.id,
            authority: order.authority.clone(),
            reference: order.reference.clone(),
        };
        self.store.tenant(ctx).await?.append(None, vec![event]).await?;
        order.told_at = Some(self.clock.now());
        self.store.leaving().put_order(ctx, order.clone()).await?;
        Ok(order)
    }

    /// Hands over what is asked for, if all of it is in the order's scope: the records as JSON, one a line. What goes
    /// beyond it is refused whole, and that is on the record.
    ///
    /// # Errors
    /// [`OrderError`]
    pub async fn answer(
        &self,
        tenant: TenantId,
        id: OrderId,
        asked: OrderScope,
        by: Actor,
    ) -> Result<(LegalOrder, Vec<u8>)> {
        let mut order = self.order(tenant, id).await?;
        if let Err(problem) = order.allows(&asked) {
            self.audit(tenant, &order, by, "order.answered", AuditResult::Refused).await?;
            return Err(problem.into());
        }
        self.audit(tenant, &order, by, "order.answered", AuditResult::Allowed).await?;
        let mut out = Out { bytes: Vec::new(), records: 0 };
        let store = self.store.tenant(TenantCtx::platform(tenant)).await?;
        self.people(&*store, &asked, &mut out).await?;
        if asked.classes.contains(&Class::Event) {
            Self::events(&*store, &asked, &mut out).await?;
        }
        if order.may_tell {
            self.disclose(tenant, &order, &asked).await?;
        }
        let (at, sha256) = (self.clock.now(), hex::encode(Sha256::digest(&out.bytes)));
        let step = OrderStep { at, by };
        order.answers.push(OrderAnswer { step, scope: asked, records: out.records, sha256 });
        self.store.leaving().put_order(TenantCtx::platform(tenant), order.clone()).await?;
        Ok((order, out.bytes))
    }

    /// Contacts, messages and execution records of those whom it names.
    async fn people(&self, store: &dyn TenantStore, asked: &OrderScope, out: &mut Out) -> Result<()> {
        let mut before = None;
        loop {
            let conversations = store.conversations(before, PAGE).await?;
            for conversation in &conversations {
                before = Some(conversation.id);
                let contact = conversation.contact;
                if !asked.names(contact) {
                    continue;
                }
                let known_within = conversation.opened_at < asked.until
                    && conversation.last_inbound_at().unwrap_or(conversation.opened_at) >= asked.from;
                if asked.classes.contains(&Class::Contact)
                    && known_within
                    && let Some(record) = store.contact(contact).await?
                {
                    out.put("contact", &record)?;
                }
                if asked.classes.contains(&Class::Message) {
                    let fetch = async |before| store.messages(conversation.id, before, PAGE).await;
                    let within = |message: &Message| asked.has(contact, Class::Message, message.sent_at);
                    pages(out, "message", fetch, |message: &Message| message.id, within).await?;
                }
                if asked.classes.contains(&Class::Execution) {
                    let fetch = async |before| store.turns(conversation.id, before, PAGE).await;
                    let within = |turn: &TurnRecord| asked.has(contact, Class::Execution, turn.started_at);
                    pages(out, "execution", fetch, |turn: &TurnRecord| turn.id, within).await?;
                }
            }
            if conversations.len() < PAGE {
                return Ok(());
            }
        }
    }

    async fn events(store: &dyn TenantStore, asked: &OrderScope, out: &mut Out) -> Result<()> {
        let mut after = EventSeq::default();
        loop {
            let events = store.events(after, PAGE).await?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.seq;
            for event in &events {
                // What is about nobody belongs to no named person.
                let within = match event.contact {
                    Some(contact) => asked.has(contact, Class::Event, event.at),
                    None => asked.contacts.is_empty() && event.at >= asked.from && event.at < asked.until,
                };
                if within {
                    // The log shows messages as they are now: what they say is of another class.
                    let mut shown = serde_json::to_value(event)?;
                    if !asked.classes.contains(&Class::Message) {
                        without_messages(&mut shown);
                    }
                    out.put("event", &shown)?;
                }
            }
        }
    }

    /// Each person whose data was handed over can be told to whom.
    async fn disclose(&self, tenant: TenantId, order: &LegalOrder, scope: &OrderScope) -> Result<()> {
        let ctx = TenantCtx::platform(tenant);
        let to = Recipient::at(RecipientKind::Authority, order.authority.clone());
        for contact in self.named(tenant, scope).await? {
            match self.store.leaving().disclose(ctx, contact, to.clone(), Handed::Order).await {
                Ok(()) | Err(StorageError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn named(&self, tenant: TenantId, scope: &OrderScope) -> Result<Vec<ContactId>> {
        if !scope.contacts.is_empty() {
            return Ok(scope.contacts.clone());
        }
        let store = self.store.tenant(TenantCtx::platform(tenant)).await?;
        let (mut before, mut all) = (None, Vec::new());
        loop {
            let page = store.conversations(before, PAGE).await?;
            before = page.last().map(|conversation| conversation.id);
            all.extend(page.iter().map(|conversation| conversation.contact));
            if page.len() < PAGE {
                return Ok(all);
            }
        }
    }

    async fn audit(
        &self,
        tenant: TenantId,
        order: &LegalOrder,
        by: Actor,
        act: &str,
        result: AuditResult,
    ) -> Result<()> {
        let entry = AuditEntry::new(self.clock.now(), by, act).on(&order.id).of(tenant);
        let entry = AuditEntry { result, ..entry };
        self.store.trail().append_audit(None, entry.clone()).await?;
        if order.may_tell {
            self.store.trail().append_audit(Some(tenant), entry).await?;
        }
        Ok(())
    }
}

/// Takes out what messages say.
fn without_messages(value: &mut Value) {
    if let Value::Object(entries) = value {
        entries.remove("message");
    }
}

/// Puts what is within of all pages of a list.
async fn pages<T: Serialize, C: Copy>(
    out: &mut Out,
    kind: &str,
    fetch: impl AsyncFn(Option<C>) -> std::result::Result<Vec<T>, StorageError>,
    id: impl Fn(&T) -> C,
    within: impl Fn(&T) -> bool,
) -> Result<()> {
    let mut before = None;
    loop {
        let page = fetch(before).await?;
        before = page.last().map(&id);
        page.iter().filter(|record| within(record)).try_for_each(|record| out.put(kind, record))?;
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

/// A moment that is written as `2026-03-01T00:00:00Z`.
pub fn moment(text: &str) -> std::result::Result<Timestamp, String> {
    Timestamp::from_rfc3339(text)
        .ok_or_else(|| format!("`{text}` is no moment: write it like 2026-03-01T00:00:00Z"))
}
