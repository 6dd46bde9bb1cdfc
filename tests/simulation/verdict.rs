//! The last judgement: what became of everything that was said, when nothing is left to be done.

use std::collections::{BTreeMap, BTreeSet};

use iassistance_domain::assistant::UnknownSends;
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::{DeadLetter, DeadWork, Event, EventKind, EventSeq};
use iassistance_domain::id::{ConversationId, MessageId, TurnId};
use iassistance_domain::message::{Author, Message};
use iassistance_domain::pii::Deliver;
use iassistance_domain::turn::{TurnEnd, TurnRecord};

use crate::play::Play;

/// All of one tenant.
struct Told {
    messages: BTreeMap<MessageId, Message>,
    turns: BTreeMap<TurnId, TurnRecord>,
    dead: Vec<DeadLetter>,
    events: Vec<Event>,
}

/// How what was said ended.
#[derive(Debug, Default, Clone)]
pub struct Endings {
    pub answered: u64,
    pub told: u64,
    pub by_people: u64,
    pub silenced: u64,
    pub too_late: u64,
    pub resolved: u64,
    pub held: u64,
    pub resent: u64,
}

impl Play {
    /// Judges, and counts how everything ended.
    pub async fn judge(&self) -> Result<Endings, String> {
        let mut endings = Endings::default();
        for tenant in 0..2 {
            let told = self.told(tenant).await?;
            self.judge_messages(tenant, &told, &mut endings)?;
            self.judge_sends(tenant, &told, &mut endings)?;
            self.judge_promises(tenant, &told)?;
        }
        self.judge_order().await?;
        let (records, damaged) =
            self.life().store.check(&|_, _| {}).await.map_err(|error| error.to_string())?;
        if records == 0 || !damaged.is_empty() {
            return Err(format!("damage: of {records} records {damaged:?} do not open"));
        }
        Ok(endings)
    }

    async fn told(&self, tenant: usize) -> Result<Told, String> {
        let store = self.life().tenant(tenant);
        let failed = |error: iassistance_storage::StorageError| format!("the store cannot be read: {error}");
        let mut told = Told {
            messages: BTreeMap::new(),
            turns: BTreeMap::new(),
            dead: store.dead_letters(None, 10_000).await.map_err(failed)?,
            events: store.events(EventSeq(0), 1_000_000).await.map_err(failed)?,
        };
        for conversation in store.conversations(None, 1_000).await.map_err(failed)? {
            let messages = store.messages(conversation.id, None, 100_000).await.map_err(failed)?;
            told.messages.extend(messages.into_iter().map(|message| (message.id, message)));
            let turns = store.turns(conversation.id, None, 100_000).await.map_err(failed)?;
            told.turns.extend(turns.into_iter().map(|turn| (turn.id, turn)));
        }
        Ok(told)
    }

    /// Every message that was written is there once, and was answered, or is told of.
    fn judge_messages(&self, tenant: usize, told: &Told, endings: &mut Endings) -> Result<(), String> {
        let mut by_token: BTreeMap<String, Vec<&Message>> = BTreeMap::new();
        for message in told.messages.values().filter(|message| message.is_inbound()) {
            let id = message.provider_id.as_ref().map(|id| id.reveal(Deliver).clone()).unwrap_or_default();
            let token = id.split_once("in-").map(|(_, token)| token.to_owned()).unwrap_or_default();
            by_token.entry(token).or_default().push(message);
        }
        let mine = |contact: usize| self.around.world.contacts[contact].tenant() == tenant;
        for written in &self.written {
            let found = by_token.get(&written.token).map_or(&[][..], Vec::as_slice);
            match (mine(written.contact), found) {
                (true, [message]) => self.judge_message(written.silence, message, told, endings)?,
                (true, []) => return Err(format!("lost: {} is nowhere", written.token)),
                (true, _) => return Err(format!("twice: {} is there {} times", written.token, found.len())),
                (false, []) => {}
                (false, _) => return Err(format!("tenancy: {} is with the other tenant", written.token)),
            }
            if !written.acknowledged.get() {
                return Err(format!("{} was never acknowledged", written.token));
            }
        }
        if let Some(stranger) =
            by_token.keys().find(|token| !self.written.iter().any(|one| one.token == **token))
        {
            return Err(format!("nobody wrote {stranger}"));
        }
        Ok(())
    }

    fn judge_message(
        &self,
        silence: bool,
        message: &Message,
        told: &Told,
        endings: &mut Endings,
    ) -> Result<(), String> {
        let token = message.provider_id.as_ref().map(|id| id.reveal(Deliver).clone()).unwrap_or_default();
        let received = told.events.iter().filter(
            |event| matches!(&event.kind, EventKind::MessageReceived { message: told, .. } if told.id == message.id),
        );
        let received: Vec<u64> = received.map(|event| event.seq.0).collect();
        let [at] = received[..] else {
            return Err(format!("twice: {token} was told of {} times", received.len()));
        };
        let covering: Vec<&TurnRecord> =
            told.turns.values().filter(|turn| turn.covers.contains(&message.id)).collect();
        let ended = |end: TurnEnd| covering.iter().filter(|turn| turn.end == Some(end)).count();
        if let Some(open) = covering.iter().find(|turn| turn.end.is_none()) {
            return Err(format!("rest: the turn {} that answers {token} never ended", open.id));
        }
        let answered = ended(TurnEnd::Answered);
        if answered > 1 {
            return Err(format!("twice: {token} was answered by {answered} turns"));
        }
        if answered == 1 {
            endings.answered += 1;
            return self.judge_answer(&token, message, &covering, told);
        }
        if silence {
            endings.silenced += 1;
            return Ok(());
        }
        if ended(TurnEnd::Failed) > 0 {
            let is_told = covering
                .iter()
                .any(|turn| told.dead.iter().any(|letter| letter.work == DeadWork::Turn { turn: turn.id }));
            endings.told += 1;
            return if is_told { Ok(()) } else { Err(format!("silent: {token} failed, and nobody is told")) };
        }
        if ended(TurnEnd::HandedOver) > 0 {
            endings.by_people += 1;
            return Ok(());
        }
        if ended(TurnEnd::OptedOut) > 0 {
            endings.silenced += 1;
            return Ok(());
        }
        if ended(TurnEnd::WindowClosed) > 0 {
            endings.too_late += 1;
            return Ok(());
        }
        // A person answered it, or its contact asked for silence, after it came.
        let settled = told.events.iter().filter(|event| event.conversation == Some(message.conversation));
        for event in settled.filter(|event| event.seq.0 > at) {
            match &event.kind {
                EventKind::MessageQueued { message } if matches!(message.author, Author::Operator { .. }) => {
                    endings.by_people += 1;
                    return Ok(());
                }
                EventKind::MessageEchoed { .. } => {
                    endings.by_people += 1;
                    return Ok(());
                }
                EventKind::ContactOptedOut => {
                    endings.silenced += 1;
                    return Ok(());
                }
                _ => {}
            }
        }
        let ends: Vec<_> = covering.iter().filter_map(|turn| turn.end).collect();
        Err(format!("lost: nobody answered {token}, and nothing tells why; its turns ended {ends:?}"))
    }

    /// An answer was sent, or it is told why not; and the model had read what it answers.
    fn judge_answer(
        &self,
        token: &str,
        message: &Message,
        covering: &[&TurnRecord],
        told: &Told,
    ) -> Result<(), String> {
        let Some(turn) = covering.iter().find(|turn| turn.end == Some(TurnEnd::Answered)) else {
            return Ok(());
        };
        if turn.sent.is_empty() {
            return Err(format!("lost: the answer to {token} has no message"));
        }
        if let Some(name) = Self::token_of(&message.content)
            && !self.read.lock().unwrap().contains(&name)
        {
            return Err(format!("lost: {token} is held to be answered, and the model never read it"));
        }
        for id in &turn.sent {
            if !told.messages.contains_key(id) {
                return Err(format!("lost: the answer {id} to {token} is nowhere"));
            }
        }
        Ok(())
    }

    /// Every message of ours ended, and left no more often than it may.
    fn judge_sends(&self, tenant: usize, told: &Told, endings: &mut Endings) -> Result<(), String> {
        let state = self.around.world.state();
        let mut accepted: BTreeMap<MessageId, u32> = BTreeMap::new();
        for one in &state.accepted {
            *accepted.entry(one.message).or_default() += 1;
        }
        let resends = self.settings[tenant].unknown_sends == Some(UnknownSends::Resend);
        for message in told.messages.values() {
            let (Author::Assistant { .. } | Author::Operator { .. }) = &message.author else { continue };
            let id = message.id;
            let status = message.delivery.as_ref().map(|delivery| delivery.status);
            let times = accepted.get(&id).copied().unwrap_or_default();
            let given_up = state.given_up.get(&id).copied().unwrap_or_default();
            let was_unknown = Self::was_unknown(told, id) || state.unknown.contains(&id);
            // Told of in the log each time: see what it says of being sent again.
            let again = told.events.iter().filter(
                |event| matches!(&event.kind, EventKind::MessagePostponed { message, .. } if *message == id),
            );
            let again = u32::try_from(again.count()).unwrap_or(u32::MAX);
            let may = 1 + given_up + if resends && was_unknown { again } else { 0 };
            if times > may {
                return Err(format!("twice: {id} was accepted {times} times, and {may} may be"));
            }
            let has_letter = told.dead.iter().any(|letter| letter.work == DeadWork::Send { message: id });
            match status {
                Some(DeliveryStatus::Sent | DeliveryStatus::Delivered | DeliveryStatus::Read)
                    if times > 0 => {}
                Some(DeliveryStatus::Failed) if has_letter => {}
                Some(DeliveryStatus::Withdrawn) => {
                    let is_told = |event: &Event| matches!(&event.kind, EventKind::MessageWithdrawn { message, .. } if *message == id);
                    if !told.events.iter().any(is_told) {
                        return Err(format!("silent: {id} was withdrawn, and the log does not tell"));
                    }
                }
                other => {
                    return Err(format!(
                        "rest: {id} is {other:?}, accepted {times} times, letter {has_letter}"
                    ));
                }
            }
            if was_unknown {
                match (has_letter, times > 1) {
                    (true, _) => endings.held += 1,
                    (false, true) => endings.resent += 1,
                    (false, false) => endings.resolved += 1,
                }
            }
            Self::judge_author(message, told)?;
        }
        if let Some(letter) = told.dead.iter().find(|letter| letter.work == DeadWork::Conversation) {
            return Err(format!("a conversation failed again and again: {}", letter.conversation));
        }
        Ok(())
    }

    fn was_unknown(told: &Told, id: MessageId) -> bool {
        told.events.iter().any(|event| {
            matches!(&event.kind, EventKind::MessageStatusChanged { message, delivery }
                if *message == id && delivery.status == DeliveryStatus::Unknown)
        })
    }

    /// What the assistant said belongs to a turn that had the say.
    fn judge_author(message: &Message, told: &Told) -> Result<(), String> {
        let Author::Assistant { turn } = &message.author else { return Ok(()) };
        let Some(record) = told.turns.get(turn) else {
            return Err(format!("lost: {} is of a turn that is nowhere", message.id));
        };
        match record.end {
            Some(TurnEnd::Superseded | TurnEnd::TakenOver | TurnEnd::OptedOut | TurnEnd::WindowClosed)
            | None => Err(format!("control: {} is of a turn that ended {:?}", message.id, record.end)),
            Some(_) => Ok(()),
        }
    }

    fn judge_promises(&self, tenant: usize, told: &Told) -> Result<(), String> {
        for (_, message) in self.promised.borrow().iter().filter(|(whose, _)| *whose == tenant) {
            if !told.messages.contains_key(message) {
                return Err(format!(
                    "lost: the reply {message} of a person was acknowledged, and is nowhere"
                ));
            }
        }
        Ok(())
    }

    /// In each conversation messages left in the order in which they were queued.
    async fn judge_order(&self) -> Result<(), String> {
        let mut queued: BTreeMap<MessageId, u64> = BTreeMap::new();
        for tenant in 0..2 {
            let events = self.life().tenant(tenant).events(EventSeq(0), 1_000_000).await;
            for event in events.map_err(|error| error.to_string())? {
                if let EventKind::MessageQueued { message } = &event.kind {
                    queued.entry(message.id).or_insert(event.seq.0);
                }
            }
        }
        let (mut latest, mut seen) = (BTreeMap::<ConversationId, u64>::new(), BTreeSet::new());
        for one in &self.around.world.state().accepted {
            let Some(place) = queued.get(&one.message).copied() else {
                return Err(format!("{} was sent, and the log knows nothing of it", one.message));
            };
            if !seen.insert(one.message) {
                continue;
            }
            let latest = latest.entry(one.conversation).or_default();
            if place < *latest {
                let who = &self.around.world.contacts[one.contact].name;
                return Err(format!("order: to {who} left {} after what was queued later", one.text));
            }
            *latest = place;
        }
        Ok(())
    }
}
