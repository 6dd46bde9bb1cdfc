//! What Meta's ids stand for: messages that are known by them, what waits for those that are not, and
//! those that were taken back.

use iassistance_domain::id::ChannelId;
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::pii::Deliver;
use iassistance_domain::{Pii, Timestamp};

use super::accept::{Circumstances, about};
use super::keys::{
    self, DEDUP, Hash, Known, PARKED, PARKED_SINCE, PROVIDER, Parked, TOMBSTONE, TOMBSTONE_SINCE, id_in,
    moment_in, number_in,
};
use super::space::{Page, Read, Result, Row, Space};
use super::tx::{Owner, Tx};
use crate::commit::Letter;
use crate::rules::unsay;

impl Tx<'_> {
    /// The message that one of Meta's ids stands for, unless nothing can be said of it any more.
    pub(super) fn known(&self, hash: Hash) -> Result<Option<Known>> {
        let known = self.get_readable(&PROVIDER.key().id(hash))?;
        Ok(known.filter(|known| self.is_reachable(known.contact)))
    }

    /// From now on a message can be found by Meta's id; what was parked for it arrives.
    pub(super) fn know(&mut self, hash: Hash, known: Known) -> Result<()> {
        let before = self.known(hash)?;
        let known = match before {
            Some(ours) if ours.ours && !known.ours => ours,
            _ => known,
        };
        if before != Some(known) {
            self.put(&PROVIDER.key().id(hash), Owner::Tenant, &known)?;
        }
        if self.counters.parked == 0 {
            return Ok(());
        }
        for (key, parked) in self.list(&PARKED.key().id(hash), usize::MAX)? {
            self.unpark(&parked_since(&key, hash, &parked))?;
            let place = (known.conversation, known.contact);
            self.put_letter(place, parked.accepted_at, about(known.message, parked.event))?;
        }
        Ok(())
    }

    /// Keeps what is said of a message until that is known.
    pub(super) fn park(&mut self, around: &Circumstances<'_>, hash: Hash, event: InboundEvent) -> Result<()> {
        self.counters.seq += 1;
        self.counters.parked += 1;
        let seq = self.counters.seq;
        let parked = Parked { accepted_at: around.now, event };
        self.put(&PARKED.key().id(hash).number(seq), Owner::Tenant, &parked)?;
        self.put(&PARKED_SINCE.key().moment(around.now).number(seq).id(hash), Owner::Tenant, &())?;
        while self.counters.parked > around.limits.parked_max {
            let Some((oldest, _)) = self.rows(PARKED_SINCE.key().bytes(), 1)?.pop() else { break };
            self.unpark(&oldest)?;
        }
        Ok(())
    }

    /// Removes what is parked, by the key that tells since when.
    pub(super) fn unpark(&mut self, since: &[u8]) -> Result<()> {
        if let (Some(seq), Some(hash)) = (number_in(since, 9), id_in(since, 17)) {
            self.remove(&PARKED.key().id(hash).number(seq))?;
        }
        self.remove_row(since)?;
        self.counters.parked = self.counters.parked.saturating_sub(1);
        Ok(())
    }

    /// When the message of one of Meta's ids was taken back, if it was.
    pub(super) fn removed_at(&self, hash: Hash) -> Result<Option<Timestamp>> {
        let key = TOMBSTONE.key().id(hash);
        if !self.has(&key)? {
            return Ok(None);
        }
        // A mark that does not open marks all the same.
        self.get_readable(&key).map(|at| Some(at.unwrap_or_default()))
    }

    /// Marks a message as taken back, and takes its content out of all that waits to be read and of what
    /// was made of it. The message, if it is known.
    pub(super) fn take_back(
        &mut self,
        around: &Circumstances<'_>,
        provider_id: &Pii<String>,
        at: Timestamp,
    ) -> Result<Option<Known>> {
        let hash = provider_hash(self.space, around.channel, provider_id);
        let tombstone = TOMBSTONE.key().id(hash);
        if !self.has(&tombstone)? {
            self.put(&tombstone, Owner::Tenant, &at)?;
            self.put(&TOMBSTONE_SINCE.key().moment(around.now).id(hash), Owner::Tenant, &())?;
        }
        if self.counters.parked > 0 {
            for (key, parked) in self.list(&PARKED.key().id(hash), usize::MAX)? {
                if matches!(parked.event.kind, InboundKind::MessageEdited { .. }) {
                    self.unpark(&parked_since(&key, hash, &parked))?;
                }
            }
        }
        let Some(known) = self.known(hash)? else { return Ok(None) };
        for (key, mut stored) in self.list(&keys::letters(known.conversation), usize::MAX)? {
            if let Letter::Inbound { event, .. } = &mut stored.letter
                && unsay(&mut event.kind, provider_id)
            {
                let seq = number_in(&key, 17).unwrap_or_default();
                let key = keys::letter(known.conversation, seq);
                self.put(&key, Owner::Contact(known.contact), &stored)?;
            }
        }
        if let Some(message) = self.get_readable(&keys::message(known.conversation, known.message))?
            && message.removed_at.is_none()
        {
            self.unsay(&message, known.contact, around.now)?;
        }
        Ok(Some(known))
    }

    /// Removes these dedup keys, if they are still from before a moment; says how many.
    pub(super) fn forget_dedup(&mut self, hashes: &[Hash], before: Timestamp) -> Result<u64> {
        let mut forgotten = 0;
        for hash in hashes {
            let key = DEDUP.key().id(*hash);
            // It may have been removed, and been set anew, since it was looked for.
            if self.get_readable(&key)?.is_some_and(|at| at < before) {
                self.remove(&key)?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    /// Removes at most `limit` pieces of what is parked from before a moment, and as many marks of what
    /// was taken back; says whether there may be more.
    pub(super) fn forget_before(&mut self, before: Timestamp, limit: usize) -> Result<bool> {
        let is_old = |(key, _): &Row| moment_in(key, 1).is_none_or(|at| at < before);
        let old = |prefix: &[u8]| -> Result<Vec<Row>> {
            let mut rows = self.rows(prefix, limit)?;
            rows.retain(is_old);
            Ok(rows)
        };
        let parked = old(PARKED_SINCE.key().bytes())?;
        let tombstones = old(TOMBSTONE_SINCE.key().bytes())?;
        for (since, _) in &parked {
            self.unpark(since)?;
        }
        for (since, _) in &tombstones {
            if let Some(hash) = id_in(since, 9) {
                self.remove(&TOMBSTONE.key().id(hash))?;
            }
            self.remove_row(since)?;
        }
        Ok(parked.len() == limit || tombstones.len() == limit)
    }
}

impl Space {
    /// Of the `limit` dedup keys after `after`, those from before a moment, and the last of all, if there
    /// may be more. Which are old is not in their keys, so that each is one record and not two; the walk
    /// is off the writing thread. Blocking.
    pub(super) fn old_dedup(
        &self,
        before: Timestamp,
        after: Option<Hash>,
        limit: usize,
    ) -> Result<(Vec<Hash>, Option<Hash>)> {
        let after = after.map(|hash| DEDUP.key().id(hash));
        let page = after.as_ref().map_or(Page::First, |key| Page::After(key.bytes()));
        let rows = self.rows(DEDUP.key().bytes(), page, limit)?;
        let last = rows.last().filter(|_| rows.len() == limit).and_then(|(key, _)| id_in(key, 1));
        let mut moments = Vec::with_capacity(rows.len());
        self.open_all(DEDUP, rows, &mut moments)?;
        moments.retain(|(_, at)| *at < before);
        Ok((moments.iter().filter_map(|(key, _)| id_in(key, 1)).collect(), last))
    }
}

/// The key that tells since when something is parked.
pub(super) fn parked_since(key: &[u8], hash: Hash, parked: &Parked) -> Vec<u8> {
    let seq = number_in(key, 17).unwrap_or_default();
    PARKED_SINCE.key().moment(parked.accepted_at).number(seq).id(hash).bytes().to_vec()
}

pub(super) fn provider_hash(space: &Space, channel: ChannelId, provider_id: &Pii<String>) -> Hash {
    space.hash("provider id", &[&channel.to_bytes(), provider_id.reveal(Deliver).as_bytes()])
}
