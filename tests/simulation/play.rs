//! What happens, step by step, and what must be so after every step.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use iassistance_actors::conversation::ConversationKey;
use iassistance_actors::settings::default_assistant;
use iassistance_assistant::scripted::Scripted;
use iassistance_channels::parse;
use iassistance_channels::signature::{sign, verify};
use iassistance_domain::assistant::{AssistantSettings, Disclosure, UnknownSends};
use iassistance_domain::channel::{Channel, ChannelHealth, MetaApp, StoredSecret};
use iassistance_domain::content::Content;
use iassistance_domain::conversation::Control;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ChannelId, ConversationId, MessageId, MetaAppId, TenantId};
use iassistance_domain::pii::Deliver;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Clock, ManualClock, SeededEntropy, Timestamp};
use iassistance_storage::Store;

use crate::chance::Chance;
use crate::disk::{Ending, SimDisk};
use crate::life::{Dead, Life, Surroundings, open, settings};
use crate::meta::{Delivery, World};
use crate::model::{Read, behaviour};
use crate::people::{APP_ID, CHANNELS, Contact};

pub const START: Timestamp = Timestamp::from_secs(1_790_000_100);
const SECRET: &str = "simulated-app-secret";
const HOUR_MS: u64 = 3_600_000;
/// How often the clock stops on its way before it is set to where it is to go.
const STOPS_MAX: usize = 40;
/// How many lives may end while they begin, in a row.
const STILLBORN_MAX: usize = 20;

/// A message that somebody wrote.
pub struct Written {
    pub token: String,
    pub contact: usize,
    /// Whether it asks for silence.
    pub silence: bool,
    /// Whether a 200 was seen for it.
    pub acknowledged: Cell<bool>,
}

/// What is remembered of the log: it may only grow.
pub type Line = (u64, &'static str, Option<ConversationId>);

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Write,
    Pass,
    PassLong,
    Jump,
    TakeOver,
    HandBack,
    Reply,
    Replay,
    Elsewhere,
    Silence,
    Storm,
    Restart,
    Crash,
}

const DEEDS: [(u64, Deed); 13] = [
    (34, Deed::Write),
    (14, Deed::Pass),
    (7, Deed::PassLong),
    (2, Deed::Jump),
    (5, Deed::TakeOver),
    (5, Deed::HandBack),
    (4, Deed::Reply),
    (2, Deed::Replay),
    (2, Deed::Elsewhere),
    (2, Deed::Silence),
    (5, Deed::Storm),
    (4, Deed::Restart),
    (14, Deed::Crash),
];

/// What was counted in one run.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub steps: u64,
    pub messages: u64,
    pub kills: u64,
    pub power_cuts: u64,
    pub restarts: u64,
    pub points: u64,
    pub stillborn: u64,
    pub commands: u64,
    pub dropped_accepts: u64,
}

pub struct Play {
    pub around: Surroundings,
    pub life: Option<Life>,
    pub written: Vec<Written>,
    pub logs: [RefCell<Vec<Line>>; 2],
    pub read: Read,
    /// Replies of people that were acknowledged.
    pub promised: RefCell<BTreeSet<(usize, MessageId)>>,
    pub tally: RefCell<Tally>,
    pub settings: [AssistantSettings; 2],
    meta_app: MetaAppId,
    chance: Chance,
    lives: u64,
    conversations: RefCell<BTreeMap<usize, ConversationId>>,
}

impl Play {
    /// Two tenants with their channels, a few people, and a server that runs.
    pub async fn set_up(seed: u64) -> Result<Self, String> {
        let chance = Chance::of(seed, "play");
        let clock = ManualClock::at(START);
        let count = usize::try_from(chance.between(2, 5)).unwrap();
        let contacts = (0..count).map(|index| Contact::new(index, usize::try_from(chance.below(6)).unwrap()));
        let world = Arc::new(World::new(seed, contacts.collect()));
        let (folder, entropy) = (tempfile::tempdir().unwrap(), SeededEntropy::new(seed));
        let model = Scripted::new(Arc::new(clock.clone()), []);
        let read = Read::default();
        model.follow([behaviour(Arc::clone(&world), Arc::clone(&read))]);
        let around = Surroundings {
            seed,
            settings: settings(folder.path()),
            clock,
            world,
            model,
            tenants: [TenantId::new(START, &entropy), TenantId::new(START, &entropy)],
            folder,
        };
        let choices = [None, Some(UnknownSends::Hold), Some(UnknownSends::Resend)];
        let settings = [0, 1].map(|_| {
            let quiet_ms = chance.weighed(&[(50, 0), (50, 1_500)]);
            AssistantSettings {
                enabled: true,
                task: "Answer questions about the shop.".into(),
                quiet_ms,
                cap_ms: quiet_ms * 4,
                disclosure: Disclosure { enabled: chance.happens(500), ..Disclosure::default() },
                unknown_sends: choices[usize::try_from(chance.below(3)).unwrap()],
                ..default_assistant(&around.settings.assistant)
            }
        });
        let mut play = Self {
            around,
            life: None,
            written: Vec::new(),
            logs: Default::default(),
            read,
            promised: RefCell::default(),
            tally: RefCell::default(),
            settings,
            meta_app: MetaAppId::new(START, &entropy),
            chance,
            lives: 0,
            conversations: RefCell::default(),
        };
        play.furnish().await?;
        play.begin_life(None).await?;
        Ok(play)
    }

    /// Writes what a server has before anybody writes to it.
    async fn furnish(&self) -> Result<(), String> {
        let disk = Arc::new(SimDisk::new(Arc::default()));
        let path = self.folder(0);
        std::fs::create_dir_all(&path).unwrap();
        let store = open(&self.around, &path, Arc::clone(&disk), 0)?;
        let entropy = SeededEntropy::new(self.around.seed + 1);
        let app = MetaApp {
            id: self.meta_app,
            app_id: Some(APP_ID.into()),
            name: "app".into(),
            secrets: vec![StoredSecret::new(SECRET)],
            verify_token: StoredSecret::new("simulated-verify-token"),
            created_at: START,
        };
        store.put_meta_app(app).await.unwrap();
        for (index, id) in self.around.tenants.into_iter().enumerate() {
            let tenant = Tenant::new(id, format!("tenant {index}"), START);
            store.create_tenant(tenant).await.unwrap();
            let tenant = store.tenant(TenantCtx::platform(id)).await.unwrap();
            tenant.put_assistant(self.settings[index].clone(), None).await.unwrap();
        }
        for place in &CHANNELS {
            let channel = Channel {
                id: ChannelId::new(START, &entropy),
                tenant: self.around.tenants[place.tenant],
                meta_app: self.meta_app,
                connection: place.connection(),
                external_id: place.external_id.into(),
                name: place.external_id.into(),
                access_token: StoredSecret::new("simulated-token"),
                token_owner: None,
                health: ChannelHealth::connecting(START),
                created_at: START,
            };
            store.put_channel(channel).await.unwrap();
        }
        store.close().await;
        disk.leave(&path, &self.folder(1), Ending::Kill, &self.chance);
        Ok(())
    }

    fn folder(&self, life: u64) -> PathBuf {
        self.around.folder.path().join(format!("life-{life}"))
    }

    pub fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    fn world(&self) -> &World {
        &self.around.world
    }

    fn now(&self) -> Timestamp {
        self.around.clock.now()
    }

    pub fn ctx(&self, tenant: usize) -> TenantCtx {
        TenantCtx::platform(self.around.tenants[tenant])
    }

    /// Begins the next life in the folder that was left for it; it may die at a failpoint of that.
    async fn begin_life(&mut self, dies_in: Option<u64>) -> Result<(), String> {
        let mut dies_in = dies_in;
        for _ in 0..STILLBORN_MAX {
            self.lives += 1;
            let path = self.folder(self.lives);
            self.world().new_life();
            let dead = Arc::new(Dead::default());
            let disk = Arc::new(SimDisk::new(Arc::clone(&dead)));
            disk.find(&path);
            if let Some(points) = dies_in.take() {
                disk.die_in(points);
            }
            match Life::begin(&self.around, path.clone(), self.lives, &disk, &dead).await {
                Ok(life) => {
                    self.life = Some(life);
                    for (contact, conversation) in self.conversations.borrow().iter() {
                        let tenant = self.around.tenants[self.world().contacts[*contact].tenant()];
                        self.life().know(tenant, *conversation);
                    }
                    self.life().still().await;
                    return Ok(());
                }
                Err(_) if dead.is_dead() => {
                    self.tally.borrow_mut().stillborn += 1;
                    let ending = self.ending();
                    disk.leave(&path, &self.folder(self.lives + 1), ending, &self.chance);
                }
                Err(error) => return Err(format!("start: life {} does not begin: {error}", self.lives)),
            }
        }
        Err("start: no life begins any more".into())
    }

    fn ending(&self) -> Ending {
        let ending = self.chance.weighed(&[(40, Ending::Kill), (30, Ending::Power), (30, Ending::Torn)]);
        let mut tally = self.tally.borrow_mut();
        match ending {
            Ending::Kill => tally.kills += 1,
            Ending::Power | Ending::Torn => tally.power_cuts += 1,
        }
        ending
    }

    /// The life ends badly, and the next one begins.
    async fn next_life(&mut self, ending: Ending) -> Result<(), String> {
        let target = self.folder(self.lives + 1);
        let life = self.life.take().unwrap();
        self.tally.borrow_mut().points += life.disk.points();
        life.crash(&target, ending, &self.chance).await;
        let dies_in = self.chance.happens(300).then(|| self.chance.below(12));
        self.begin_life(dies_in).await?;
        let checked = self.check_after_a_start().await;
        // The new one may die meanwhile: what comes after it is looked at then.
        if self.life().is_dead() { Ok(()) } else { checked }
    }

    /// One step.
    pub async fn step(&mut self) -> Result<(), String> {
        self.tally.borrow_mut().steps += 1;
        // Each step has its own: how much was drawn in one of them decides nothing in the next.
        let purpose = format!("step {}", self.tally.borrow().steps);
        self.chance = Chance::of(self.around.seed, &purpose);
        let deed = self.chance.weighed(&DEEDS);
        self.world()
            .state()
            .trace
            .push(format!("-- {deed:?} at {}", self.now().as_millis() - START.as_millis()));
        match deed {
            Deed::Crash => self.crash().await?,
            Deed::Restart => {
                let target = self.folder(self.lives + 1);
                let life = self.life.take().unwrap();
                let points = life.disk.points();
                self.tally.borrow_mut().points += points;
                self.tally.borrow_mut().restarts += 1;
                life.stop(&target, &self.chance).await;
                let down_ms = self.chance.weighed(&[(60, 0), (30, 30_000), (10, 2 * HOUR_MS)]);
                self.around.clock.advance_millis(down_ms);
                self.begin_life(None).await?;
                self.check_after_a_start().await?;
            }
            other => self.perform(other).await,
        }
        loop {
            self.deliver_due().await;
            self.life().still().await;
            let checked = self.check().await;
            if !self.life().is_dead() {
                return checked;
            }
            let ending = self.ending();
            self.next_life(ending).await?;
        }
    }

    /// The machine dies at some failpoint of what is done next, or right after it.
    async fn crash(&mut self) -> Result<(), String> {
        let ending = self.ending();
        match self.chance.below(10) {
            0..=6 => self.life().disk.die_in(self.chance.below(16)),
            7 => self.world().state().deadly = Some(false),
            8 => self.world().state().deadly = Some(true),
            _ => {}
        }
        let deeds =
            [(60, Deed::Write), (10, Deed::Pass), (10, Deed::Storm), (10, Deed::TakeOver), (10, Deed::Reply)];
        let deed = self.chance.weighed(&deeds);
        self.world().state().trace.push(format!("   {deed:?} until it ends by {ending:?}"));
        self.perform(deed).await;
        if !self.life().is_dead() && self.chance.happens(500) {
            self.pass(10_000).await;
        }
        self.next_life(ending).await
    }

    async fn perform(&mut self, deed: Deed) {
        let somebody = usize::try_from(self.chance.below(self.world().contacts.len() as u64)).unwrap();
        match deed {
            Deed::Write => {
                self.write(somebody, false);
                self.deliver_due().await;
            }
            Deed::Silence => {
                self.write(somebody, true);
                self.deliver_due().await;
            }
            Deed::Pass => self.pass(self.chance.between(1, 30_000)).await,
            Deed::PassLong => self.pass(self.chance.between(60_000, 1_200_000)).await,
            Deed::Jump => self.pass(self.chance.between(HOUR_MS, 30 * HOUR_MS)).await,
            Deed::Elsewhere => {
                let who = &self.world().contacts[somebody];
                let token = format!("o-{}-{}", who.name, self.world().state().counts.webhooks);
                let words = format!("{token} from the owner");
                let body = who.was_written_to(&token, &words, self.now());
                self.world().deliver(self.now(), &body, Vec::new(), somebody);
                // Whoever has control then is not known here.
                self.world().state().held.remove(&somebody);
                self.deliver_due().await;
            }
            Deed::TakeOver | Deed::HandBack | Deed::Reply | Deed::Replay => {
                let is_held = self.command(deed, somebody).await;
                self.life().still().await;
                if let Some(true) = is_held {
                    self.world().state().held.insert(somebody);
                }
            }
            Deed::Storm => self.storm().await,
            Deed::Restart | Deed::Crash => {}
        }
    }

    /// Somebody writes, once or several times in a row.
    fn write(&mut self, contact: usize, silence: bool) {
        let who = self.world().contacts[contact].clone();
        let count = if silence { 1 } else { self.chance.weighed(&[(60, 1), (25, 2), (15, 3)]) };
        let mut said = Vec::new();
        for _ in 0..count {
            let token = format!("t-{}-{}", who.name, self.written.len());
            let words =
                if silence { "STOP".to_owned() } else { format!("{token} is what I would like to know.") };
            let acknowledged = Cell::new(false);
            self.written.push(Written { token: token.clone(), contact, silence, acknowledged });
            said.push((token, words));
        }
        self.tally.borrow_mut().messages += said.len() as u64;
        let (now, in_one) = (self.now(), self.chance.happens(400));
        let webhooks: Vec<_> =
            if in_one { vec![said] } else { said.into_iter().map(|one| vec![one]).collect() };
        for said in webhooks {
            let tokens = said.iter().map(|(token, _)| token.clone()).collect();
            self.world().deliver(now, &who.wrote(&said, now), tokens, contact);
        }
    }

    /// Delivers every webhook that is due.
    async fn deliver_due(&self) {
        while let Some(delivery) = self.world().next(self.now()) {
            if self.life().is_dead() {
                return self.world().again(self.now(), delivery, false);
            }
            let silenced = self.deliver(delivery).await;
            self.life().still().await;
            if let Some(contact) = silenced {
                self.world().state().silent.insert(contact);
            }
        }
    }

    /// Delivers a webhook. The contact whose first word for silence this was, if it was that.
    async fn deliver(&self, delivery: Delivery) -> Option<usize> {
        let chance = Chance::of(self.around.seed, &format!("deliver {} {}", delivery.number, delivery.tries));
        let way =
            if self.world().state().calm { 0 } else { chance.weighed(&[(85, 0), (4, 1), (5, 2), (6, 3)]) };
        let first = delivery.tries == 0;
        if way == 1 {
            self.world().again(self.now(), delivery, false);
            return None;
        }
        if let Some(contact) = delivery.contact {
            // Whoever writes may be answered again.
            self.world().state().silent.remove(&contact);
        }
        let body = Bytes::from(delivery.body.clone());
        let signature = sign(SECRET.as_bytes(), &body);
        let verified = verify(&[StoredSecret::new(SECRET)], Some(signature.as_bytes()), body);
        let Ok(verified) = verified else {
            self.world().violation("a webhook's signature is refused".into());
            return None;
        };
        let elements = parse(verified, self.now());
        let accept = self.life().engine.accept(self.meta_app, elements);
        if way == 2 {
            // The connection goes while it is being taken in.
            self.tally.borrow_mut().dropped_accepts += 1;
            let mut accept = Box::pin(accept);
            for _ in 0..chance.below(4) {
                if futures::poll!(&mut accept).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(accept);
            self.world().again(self.now(), delivery, false);
            return None;
        }
        let accepted = self.life().carried_out(accept).await;
        let seen = matches!(accepted, Some(Ok(_))) && way == 0;
        if let Some(Err(error)) = &accepted
            && !self.life().is_dead()
        {
            self.world().violation(format!("a good webhook is refused: {error}"));
        }
        let mut silenced = None;
        if seen {
            for written in self.written.iter().filter(|written| delivery.tokens.contains(&written.token)) {
                written.acknowledged.set(true);
                silenced = silenced.or((written.silence && first).then_some(written.contact));
            }
        }
        self.world().again(self.now(), delivery, seen);
        silenced
    }

    /// Time passes, and what is due in it happens in order.
    pub async fn pass(&self, ms: u64) {
        let end = self.now().plus_millis(ms);
        for _ in 0..STOPS_MAX {
            if self.life().is_dead() {
                return;
            }
            let next = [self.around.clock.next_due(), self.world().next_at()].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.around.clock.advance_to(at);
            self.deliver_due().await;
            self.life().still().await;
        }
        self.around.clock.advance_to(end);
        self.deliver_due().await;
        self.life().still().await;
    }

    /// The conversation of a contact, if there is one.
    pub async fn conversation(&self, contact: usize) -> Option<ConversationId> {
        if let Some(known) = self.conversations.borrow().get(&contact) {
            return Some(*known);
        }
        let who = &self.world().contacts[contact];
        let store = self.life().tenant(who.tenant());
        let channels = store.channels().await.ok()?;
        for conversation in store.conversations(None, 100).await.ok()? {
            let channel = channels.iter().find(|channel| channel.id == conversation.channel)?;
            let known = store.contact(conversation.contact).await.ok()??;
            if self.world().contact(channel, &known.identity) == Some(contact) {
                self.life().know(self.around.tenants[who.tenant()], conversation.id);
                self.conversations.borrow_mut().insert(contact, conversation.id);
                return Some(conversation.id);
            }
        }
        None
    }

    /// A person does something. Whether the conversation is in their hands then, where that is known.
    async fn command(&self, deed: Deed, contact: usize) -> Option<bool> {
        let conversation = self.conversation(contact).await?;
        let tenant = self.world().contacts[contact].tenant();
        let (ctx, life, operator) = (self.ctx(tenant), self.life(), "Bea".to_owned());
        self.tally.borrow_mut().commands += 1;
        match deed {
            Deed::TakeOver => {
                let done = life.carried_out(life.engine.take_over(ctx, conversation, operator)).await?;
                done.is_ok().then_some(true)
            }
            Deed::HandBack => {
                self.world().state().held.remove(&contact);
                life.carried_out(life.engine.hand_back(ctx, conversation)).await?.ok().map(|_| false)
            }
            Deed::Reply => {
                let words = format!("a person says {}", self.tally.borrow().commands);
                let reply = life.engine.reply(ctx, conversation, operator, Content::text(words), None);
                if let Some(message) = life.carried_out(reply).await?.ok()?.message {
                    self.promised.borrow_mut().insert((tenant, message));
                }
                None
            }
            _ => {
                let letters = life.tenant(tenant).dead_letters(None, 20).await.ok()?;
                let letter = letters.into_iter().find(|letter| letter.replayed_at.is_none())?;
                let _may_be_too_late = life.carried_out(life.engine.replay(ctx, letter.id)).await;
                None
            }
        }
    }

    /// Much at once: people write while others take over, hand back and answer.
    async fn storm(&mut self) {
        let contacts = self.world().contacts.len();
        for contact in 0..contacts {
            if self.chance.happens(600) {
                self.write(contact, false);
            }
        }
        self.world().state().held.clear();
        let mut due = Vec::new();
        while let Some(delivery) = self.world().next(self.now()) {
            due.push(delivery);
        }
        let play = &*self;
        let mut deeds: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
        for delivery in due {
            deeds.push(play.deliver(delivery).map(drop).boxed_local());
        }
        for contact in 0..contacts {
            let deed = play.chance.weighed(&[
                (4, None),
                (1, Some(Deed::TakeOver)),
                (1, Some(Deed::HandBack)),
                (1, Some(Deed::Reply)),
            ]);
            if let Some(deed) = deed {
                deeds.push(play.command(deed, contact).map(drop).boxed_local());
            }
        }
        join_all(deeds).await;
        self.life().still().await;
    }

    /// What must be so after every step.
    async fn check(&self) -> Result<(), String> {
        for contact in 0..self.world().contacts.len() {
            self.conversation(contact).await;
        }
        for (tenant, log) in self.logs.iter().enumerate() {
            let store = self.life().tenant(tenant);
            let latest = store.latest_event().borrow().0;
            let after = log.borrow().len() as u64;
            let events =
                store.events(EventSeq(after), 100_000).await.map_err(|error| format!("log: {error}"))?;
            let mut log = log.borrow_mut();
            for event in events {
                if event.seq.0 != log.len() as u64 + 1 {
                    return Err(format!(
                        "log: after event {} comes {} in tenant {tenant}",
                        log.len(),
                        event.seq.0
                    ));
                }
                log.push((event.seq.0, event.kind.name(), event.conversation));
            }
            if latest > log.len() as u64 {
                return Err(format!(
                    "log: tenant {tenant} has events up to {latest}, and {} can be read",
                    log.len()
                ));
            }
        }
        match self.world().state().violations.first() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    /// What must be so when a life has begun in what another one left.
    async fn check_after_a_start(&self) -> Result<(), String> {
        for (tenant, log) in self.logs.iter().enumerate() {
            let store = self.life().tenant(tenant);
            let seen = log.borrow().clone();
            let events =
                store.events(EventSeq(0), seen.len()).await.map_err(|error| format!("log: {error}"))?;
            let again: Vec<Line> =
                events.iter().map(|event| (event.seq.0, event.kind.name(), event.conversation)).collect();
            if again != seen {
                return Err(format!("lost: tenant {tenant} had {} events, and others now", seen.len()));
            }
        }
        let held = self.world().state().held.clone();
        for contact in held {
            let Some(conversation) = self.conversation(contact).await else { continue };
            let tenant = self.world().contacts[contact].tenant();
            let stored =
                self.life().tenant(tenant).conversation(conversation).await.map_err(|e| e.to_string())?;
            if !stored.is_some_and(|(stored, _)| matches!(stored.control(), Control::Operator { .. })) {
                return Err(format!("lost: a person had taken {conversation} over, and has it no more"));
            }
        }
        Ok(())
    }

    /// Lets time pass until all is done: nothing goes wrong any more, and people give back what they
    /// had taken over.
    pub async fn come_to_rest(&mut self) -> Result<(), String> {
        self.life().disk.live_on();
        {
            let mut state = self.world().state();
            (state.calm, state.deadly) = (true, None);
            state.trace.push("-- calm".into());
        }
        for _ in 0..ROUNDS_MAX {
            self.deliver_due().await;
            self.life().still().await;
            self.check().await?;
            if let Some(next) = self.world().next_at() {
                let due = self.around.clock.next_due().unwrap_or(next).min(next);
                // The sweep comes every hour; days are not waited for so.
                let at = if next.millis_since(self.now()) > 2 * HOUR_MS { next } else { due };
                self.around.clock.advance_to(at);
                continue;
            }
            if self.give_back().await || self.is_busy().await? {
                let due = self.around.clock.next_due();
                self.around.clock.advance_to(due.unwrap_or(self.now()));
                continue;
            }
            return Ok(());
        }
        Err(format!("rest: it does not come to rest: {}", self.unfinished().await))
    }

    async fn give_back(&self) -> bool {
        let mut any = false;
        self.world().state().held.clear();
        for contact in 0..self.world().contacts.len() {
            let Some(conversation) = self.conversation(contact).await else { continue };
            let tenant = self.world().contacts[contact].tenant();
            let stored = self.life().tenant(tenant).conversation(conversation).await;
            let Ok(Some((stored, _))) = stored else { continue };
            if *stored.control() != Control::Assistant {
                any = true;
                let back = self.life().engine.hand_back(self.ctx(tenant), conversation);
                let _done = self.life().carried_out(back).await;
            }
        }
        any
    }

    async fn is_busy(&self) -> Result<bool, String> {
        for tenant in 0..2 {
            let unfinished = self.life().tenant(tenant).unfinished(None, 1).await;
            if !unfinished.map_err(|error| error.to_string())?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn unfinished(&self) -> String {
        let mut all = Vec::new();
        for tenant in 0..2 {
            for id in self.life().tenant(tenant).unfinished(None, 10).await.unwrap_or_default() {
                let store = self.life().tenant(tenant);
                let inbox = store.inbox(id, 10).await.map_or(0, |letters| letters.len());
                let outbox = store.outbox(id).await.unwrap_or_default();
                let outbox: Vec<_> = outbox.iter().map(|entry| entry.state).collect();
                let key = ConversationKey { tenant: self.around.tenants[tenant], conversation: id };
                let actor = self.life().shown(key).await;
                all.push(format!("{id}: {inbox} letters, outbox {outbox:?}, actor {actor:?}"));
            }
        }
        all.join("; ")
    }

    /// What a message says, by its name here.
    pub fn token_of(content: &Content) -> Option<String> {
        match content {
            Content::Text { body, .. } => crate::model::tokens(body.reveal(Deliver)).into_iter().next(),
            _ => None,
        }
    }
}

/// How often time moves on at the end before that is taken for never coming to rest.
const ROUNDS_MAX: usize = 3_000;
