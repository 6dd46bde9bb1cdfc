//! Records that do not open, out of the way: as they were, at a key of their own, so that they can be put
//! back when what was wrong (a keyring from before, a byte that a backup still has) is right again.
//!
//! What of them is moved where the server meets it, and what only a person may have moved, is a question
//! of what its absence does. A message that is gone is a message that does not open. But the mark of
//! a webhook, absent, would let it in twice; a sum, absent, would let it be spent again; a
//! conversation, absent, would forget who has control. Those stay where they are, where they still stand
//! for something, until `doctor --repair` is told to.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use iassistance_domain::event::{DeadLetter, DeadWork, EventKind};
use iassistance_domain::id::{DeadLetterId, MessageId, TenantId};
use iassistance_domain::tenant::Tenant;
use iassistance_domain::{Clock, Entropy, Timestamp};
use iassistance_vault::Keyring;

use super::keys::{
    self, ADDRESS, ASSISTANT, ASSISTANT_DRAFT, CONTACT, DEAD_LETTER, EVENT, GOLDEN, HOME, INBOX, MESSAGE,
    OUTBOX, PARKED, PARKED_SINCE, PASSAGE, RESERVATION, SET_ASIDE, SUMMARY, TEMPLATES, TENANT, TURN,
    UNROUTED, aside, conversation_in, id_in, kind_name,
};
use super::space::{Page, Read, Result, Row, Space, Unopened};
use super::tx::{Owner, Tx};
use super::verify::opens;
use super::writer::ByTheWay;
use crate::findings::SetAside;

/// Records of one tree that are moved without a person, in the life of a process. More than that is no
/// damage to records but to something else, and a person is to look first.
const BY_ITSELF_MAX: usize = 1_000;
/// How a record is framed: this, when (8 bytes), the record.
const FRAME: u8 = 1;

/// What may be moved without a person: it is missed no more than it is now.
const BY_ITSELF: [u8; 19] = [
    CONTACT.code,
    ADDRESS.code,
    INBOX.code,
    OUTBOX.code,
    MESSAGE.code,
    HOME.code,
    PARKED.code,
    TURN.code,
    DEAD_LETTER.code,
    EVENT.code,
    ASSISTANT.code,
    TEMPLATES.code,
    ASSISTANT_DRAFT.code,
    SUMMARY.code,
    PASSAGE.code,
    GOLDEN.code,
    RESERVATION.code,
    UNROUTED.code,
    keys::UPGRADING.code,
];

/// What a move needs beside the tree.
#[derive(Clone)]
pub(super) struct Around {
    pub(super) now: Timestamp,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// Who is told of a record that was altered, and has it moved out of the way.
pub(super) struct Watchman {
    met: Mutex<HashSet<Vec<u8>>>,
    act: Box<dyn Fn(Vec<u8>) -> bool + Send + Sync>,
}

impl Watchman {
    /// The record at this key was altered. It is looked at again in the writing thread, and moved.
    pub(super) fn tell(&self, key: &[u8]) {
        if !key.first().is_some_and(|code| BY_ITSELF.contains(code)) {
            return;
        }
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.len() == BY_ITSELF_MAX && !met.contains(key) {
            tracing::error!(
                "more than {BY_ITSELF_MAX} records of a tree do not open: they are left where they are; run \
                 `iassistance doctor`"
            );
            return;
        }
        if met.insert(key.to_vec()) && !(self.act)(key.to_vec()) {
            met.remove(key);
        }
    }
}

/// Has records that are met and were altered moved out of the way, from now on.
pub(super) fn watch_over(
    space: &Arc<Space>,
    writer: ByTheWay,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) {
    let (weak, clock, entropy) = (Arc::downgrade(space), Arc::clone(clock), Arc::clone(entropy));
    let act = move |key: Vec<u8>| {
        let Some(space) = weak.upgrade() else { return false };
        let around = Around { now: clock.now(), entropy: Arc::clone(&entropy) };
        writer.write(space, move |tx| {
            let Some(sealed) = tx.sealed(&key)? else { return Ok(()) };
            match opens(tx, None, &key, &sealed) {
                Err(Unopened::Altered) => tx.set_aside(&around, &key, &sealed),
                _ => Ok(()),
            }
        })
    };
    let watchman = Watchman { met: Mutex::default(), act: Box::new(act) };
    // Set once, by who opens the tree.
    drop(space.watchman.set(watchman));
}

impl Tx<'_> {
    /// Moves a record out of the way, with the event that tells of it.
    pub(super) fn set_aside(&mut self, around: &Around, key: &[u8], sealed: &[u8]) -> Result<()> {
        let (kind, now) = (kind_name(key), around.now);
        let framed = [&[FRAME][..], &now.as_millis().to_be_bytes(), sealed].concat();
        self.overlay.insert(aside(key).into(), Some(framed.into()));
        self.overlay.insert(key.into(), None);
        match key.first() {
            Some(&code) if code == INBOX.code => {
                self.counters.letters = self.counters.letters.saturating_sub(1);
            }
            Some(&code) if code == UNROUTED.code => {
                self.counters.unrouted = self.counters.unrouted.saturating_sub(1);
            }
            Some(&code) if code == PARKED.code => self.forget_since_when(key)?,
            Some(&code) if code == OUTBOX.code => self.give_up_sending(around, key)?,
            Some(&code) if code == TENANT.code => self.stand_in(around, key)?,
            _ => {}
        }
        metrics::counter!("iassistance_storage_set_aside_total", "kind" => kind).increment(1);
        tracing::error!(
            kind,
            tree = self.space.name,
            "a record was set aside, as it does not open: run `iassistance doctor`; restore a backup to have it back"
        );
        self.tell_of_move(key, EventKind::RecordQuarantined { kind: kind.to_owned() }, now)
    }

    /// Puts a record back that opens now; says whether it did. One whose place was taken stays, and so does
    /// work on its way out: its message is sent again by its dead letter, and not by both.
    pub(super) fn put_back(&mut self, keyring: &Keyring, key: &[u8], now: Timestamp) -> Result<bool> {
        let Some(framed) = self.sealed(&aside(key))? else { return Ok(false) };
        let Some((_, sealed)) = unframe(&framed) else { return Ok(false) };
        let code = key.first().copied();
        let is_taken = self.sealed(key)?.is_some() && code != Some(TENANT.code);
        if is_taken || code == Some(OUTBOX.code) || opens(self, Some(keyring), key, sealed).is_err() {
            return Ok(false);
        }
        self.overlay.insert(key.into(), Some(sealed.into()));
        self.overlay.insert(aside(key).into(), None);
        match code {
            Some(code) if code == INBOX.code => self.counters.letters += 1,
            Some(code) if code == UNROUTED.code => self.counters.unrouted += 1,
            _ => {}
        }
        let kind = kind_name(key).to_owned();
        self.tell_of_move(key, EventKind::RecordRestored { kind }, now)?;
        Ok(true)
    }

    fn tell_of_move(&mut self, key: &[u8], event: EventKind, now: Timestamp) -> Result<()> {
        match self.space.id {
            Some(_) => self.record_of(conversation_in(key), None, event, now),
            // The platform has no log.
            None => Ok(()),
        }
    }

    /// What is parked is found by since when it is, too.
    fn forget_since_when(&mut self, parked: &[u8]) -> Result<()> {
        let since = self.rows(PARKED_SINCE.key().bytes(), usize::MAX)?;
        let is_its = |(since, _): &&Row| {
            since.get(9..17) == parked.get(17..25) && since.get(17..33) == parked.get(1..17)
        };
        let Some((since, _)) = since.iter().find(is_its) else { return Ok(()) };
        self.counters.parked = self.counters.parked.saturating_sub(1);
        self.remove_row(since).map(drop)
    }

    /// Nobody sends it any more: a person is told.
    fn give_up_sending(&mut self, around: &Around, key: &[u8]) -> Result<()> {
        let (Some(conversation), Some(message)) = (conversation_in(key), id_in(key, 25)) else {
            return Ok(());
        };
        let id = DeadLetterId::new(around.now, &*around.entropy);
        let reason = "its place on the way out was damaged: it may have left or not; a replay sends it";
        let letter = DeadLetter {
            id,
            conversation,
            work: DeadWork::Send { message: MessageId::from_bytes(message) },
            reason: reason.to_owned(),
            at: around.now,
            replayed_at: None,
        };
        self.put(&keys::dead_letter(id), Owner::Tenant, &letter)?;
        let event = EventKind::DeadLetterAdded { dead_letter: id, reason: reason.to_owned() };
        self.record_of(Some(conversation), None, event, around.now)
    }

    /// A tenant whose record is lost goes on under another name: served, and of no agency.
    fn stand_in(&mut self, around: &Around, key: &[u8]) -> Result<()> {
        let Some(id) = id_in(key, 1).map(TenantId::from_bytes) else { return Ok(()) };
        let name = "(name lost: the tenant's record was damaged)".to_owned();
        self.put(&keys::tenant(id), Owner::Tenant, &Tenant::new(id, name, around.now))
    }
}

impl Space {
    /// What is set aside, after that key. Blocking.
    pub(super) fn list_set_aside(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<SetAside>> {
        let after = after.map(aside);
        let page = after.as_deref().map_or(Page::First, Page::After);
        let rows = self.rows(&[SET_ASIDE.code], page, limit)?;
        let shown = rows.iter().filter_map(|(key, framed)| {
            let (key, (at, sealed)) = (key.get(1..)?, unframe(framed)?);
            Some(SetAside { key: hex(key), kind: kind_name(key).to_owned(), bytes: sealed.len() as u64, at })
        });
        Ok(shown.collect())
    }
}

/// When a record was set aside, and it.
pub(super) fn unframe(framed: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (at, sealed) = framed.strip_prefix(&[FRAME])?.split_first_chunk()?;
    Some((Timestamp::from_millis(i64::from_be_bytes(*at)), sealed))
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        // Writing to a text cannot fail.
        let _written = write!(digits, "{byte:02x}");
        digits
    })
}

/// Hexadecimal as bytes.
pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.as_bytes().chunks(2).map(byte).collect())?
}
