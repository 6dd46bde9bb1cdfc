//! A write that is being put together: it sees what the writes before it in its group did, and is
//! taken into the group whole or not at all.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use ::sled::IVec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use iassistance_domain::Timestamp;
use iassistance_domain::event::{Event, EventKind, EventSeq};
use iassistance_domain::id::{ContactId, ConversationId};
use iassistance_domain::privacy::rights::{Consent, ConsentKind};
use iassistance_vault::KeyRef;

use super::keys::{self, KEPT_RAW, Key};
use super::space::{Counters, Read, Result, Row, Space, broken, seal, vault_error, within};
use crate::rules::strip;

/// Records put and removed (`None`) and not applied yet.
pub(super) type Overlay = BTreeMap<IVec, Option<IVec>>;

/// Something to do once the write is durable, before it is answered.
pub(super) type Afterwards = Box<dyn FnOnce() + Send>;

/// A write in the making, on one tree.
pub(super) struct Tx<'a> {
    pub(super) space: &'a Arc<Space>,
    below: &'a Overlay,
    pub(super) counters: Counters,
    pub(super) overlay: Overlay,
    pub(super) afterwards: Vec<Afterwards>,
    pub(super) new_trees: Vec<Vec<u8>>,
}

/// Whose key seals a record.
#[derive(Clone, Copy)]
pub(super) enum Owner {
    /// The tenant's (or the platform's).
    Tenant,
    /// A contact's.
    Contact(ContactId),
}

impl From<Option<ContactId>> for Owner {
    fn from(contact: Option<ContactId>) -> Self {
        contact.map_or(Self::Tenant, Self::Contact)
    }
}

impl<'a> Tx<'a> {
    pub(super) fn new(space: &'a Arc<Space>, below: &'a Overlay) -> Self {
        Self {
            space,
            below,
            counters: *space.counters(),
            overlay: Overlay::new(),
            afterwards: Vec::new(),
            new_trees: Vec::new(),
        }
    }

    /// Seals a record and puts it at its key.
    pub(super) fn put<T: Serialize>(&mut self, key: &Key<T>, owner: Owner, record: &T) -> Result<()> {
        let space = self.space;
        let sealed = match owner {
            Owner::Tenant => seal(&space.vault, &space.name, key, KeyRef::Tenant, record)?,
            Owner::Contact(contact) => {
                let subject = self.subject_key(contact)?;
                seal(&space.vault, &space.name, key, KeyRef::Subject(&subject), record)?
            }
        };
        self.put_sealed(key, sealed);
        Ok(())
    }

    /// Puts what is sealed already at its key.
    pub(super) fn put_sealed<T>(&mut self, key: &Key<T>, sealed: impl Into<IVec>) {
        self.overlay.insert(key.bytes().into(), Some(sealed.into()));
    }

    /// Makes a contact's key.
    pub(super) fn new_subject_key(&mut self, contact: ContactId) -> Result<()> {
        let (_, wrapped) = self.space.vault.new_subject_key(contact).map_err(vault_error)?;
        self.put_sealed(&keys::subject_key(contact), wrapped);
        Ok(())
    }

    /// Removes the record at a key; says whether there was one.
    pub(super) fn remove<T>(&mut self, key: &Key<T>) -> Result<bool> {
        self.remove_row(key.bytes())
    }

    pub(super) fn remove_row(&mut self, key: &[u8]) -> Result<bool> {
        let was_there = self.sealed(key)?.is_some();
        if was_there {
            self.overlay.insert(key.into(), None);
        }
        Ok(was_there)
    }

    /// The first rows whose keys begin with `prefix`, at most `limit`.
    pub(super) fn rows(&self, prefix: &[u8], limit: usize) -> Result<Vec<Row>> {
        self.rows_from(prefix, prefix, limit)
    }

    /// The first rows at or after `start` whose keys begin with `prefix`, at most `limit`.
    pub(super) fn rows_from(&self, start: &[u8], prefix: &[u8], limit: usize) -> Result<Vec<Row>> {
        let mut pending: BTreeMap<&[u8], &Option<IVec>> = BTreeMap::new();
        for overlay in [self.below, &self.overlay] {
            let from = overlay.range::<[u8], _>((Bound::Included(start), Bound::Unbounded));
            pending.extend(
                from.take_while(|(key, _)| key.starts_with(prefix)).map(|(key, change)| (&**key, change)),
            );
        }
        let mut pending = pending.into_iter().peekable();
        let mut stored = within(self.space.tree()?.range(start..), prefix).peekable();
        let mut rows = Vec::new();
        while rows.len() < limit {
            let changed_first = match (pending.peek(), stored.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (Some((changed, _)), Some(Ok((key, _)))) => **changed <= **key,
                (None | Some(_), Some(_)) => false,
            };
            if !changed_first {
                rows.extend(stored.next().transpose().map_err(broken("reading"))?);
                continue;
            }
            let Some((key, change)) = pending.next() else { break };
            stored.next_if(|row| row.as_ref().is_ok_and(|(stored, _)| **stored == *key));
            rows.extend(change.as_ref().map(|sealed| (IVec::from(key), sealed.clone())));
        }
        Ok(rows)
    }

    /// The first records whose keys begin with `prefix`, at most `limit`. Those that do not open are
    /// left out and counted.
    pub(super) fn list<T: DeserializeOwned>(&self, prefix: &Key<T>, limit: usize) -> Result<Vec<(IVec, T)>> {
        let mut found = Vec::new();
        self.open_all(prefix.kind, self.rows(prefix.bytes(), limit)?, &mut found)?;
        Ok(found)
    }

    /// Appends a fact to the log, without the contents of messages.
    pub(super) fn record(
        &mut self,
        about: Option<(ConversationId, ContactId)>,
        kind: EventKind,
        at: Timestamp,
    ) -> Result<()> {
        let (conversation, contact) = about.unzip();
        self.record_of(conversation, contact, kind, at)
    }

    /// The same where the contact may not be known: their conversation's record does not open.
    pub(super) fn record_of(
        &mut self,
        conversation: Option<ConversationId>,
        contact: Option<ContactId>,
        mut kind: EventKind,
        at: Timestamp,
    ) -> Result<()> {
        if let Some(message) = kind.message_mut() {
            strip(message);
        }
        self.counters.event += 1;
        let seq = self.counters.event;
        if contact.is_none() && matches!(kind, EventKind::WebhookKept { .. }) {
            // It may speak of somebody, and is looked through when they are erased.
            self.put(&KEPT_RAW.key().number(seq), Owner::Tenant, &())?;
        }
        if let (Some(contact), Some(kind)) = (contact, ConsentKind::of(&kind)) {
            let consent = Consent { contact, seq, at, kind };
            self.put(&keys::consents(contact).number(seq), Owner::Contact(contact), &consent)?;
        }
        let event = Event { seq: EventSeq(seq), at, conversation, contact, kind };
        self.put(&keys::event(seq), contact.into(), &event)
    }
}

impl Read for Tx<'_> {
    fn space(&self) -> &Space {
        self.space
    }

    fn sealed(&self, key: &[u8]) -> Result<Option<IVec>> {
        match self.overlay.get(key).or_else(|| self.below.get(key)) {
            Some(change) => Ok(change.clone()),
            None => self.space.sealed(key),
        }
    }

    fn first_rows(&self, prefix: &[u8], limit: usize) -> Result<Vec<Row>> {
        self.rows(prefix, limit)
    }
}
