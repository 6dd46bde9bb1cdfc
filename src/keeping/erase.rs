//! Erasing a person, and making it final.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use iassistance_domain::Timestamp;
use iassistance_domain::audit::Actor;
use iassistance_domain::id::{ContactId, ErasureId, HoldId, TenantId};
use iassistance_domain::privacy::{
    Class, Disclosures, Erasure, ErasureGround, ErasureState, How, LegalHold, Place, Receipt, Remainder,
    Remains, Suppression,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::StorageError;
use iassistance_storage::keeping::Person;

use super::{DAY_MS, Keeper, KeepingError, Result};
use crate::erasures::Erased;

/// Before the legal deadline by so much, keys are turned whatever the hour.
const BEFORE_DUE_MS: u64 = DAY_MS;
/// What a contact has, class by class; what is kept of it by a hold is among these.
const OF_CONTACT: [Class; 6] = Class::CHOSEN;

impl Keeper {
    /// Erases a person: all contacts who proved to be them, but for what a legal hold keeps. When this returns,
    /// nothing of it is served any more and its key is gone; it becomes final when the epoch is turned, before
    /// `due_at`. Asked again while it is under way, it goes on.
    ///
    /// # Errors
    /// [`KeepingError::NoSuchContact`], [`KeepingError::Busy`], and what the store, the files or the list say:
    /// then it goes on in the next round.
    pub async fn erase(
        &self,
        tenant: TenantId,
        contact: ContactId,
        ground: ErasureGround,
        due_at: Timestamp,
    ) -> Result<Erasure> {
        let asked = self.ask_erasure(tenant, contact, ground, due_at).await?;
        self.carry_out(tenant, asked).await
    }

    /// The same, waiting for it no longer than `wait_ms`: what takes longer goes on by itself. The erasure as far
    /// as it is then.
    ///
    /// # Errors
    /// [`KeepingError::NoSuchContact`], and what the store says before the erasure is written down.
    pub async fn erase_soon(
        &self,
        tenant: TenantId,
        contact: ContactId,
        ground: ErasureGround,
        due_at: Timestamp,
        wait_ms: u64,
    ) -> Result<Erasure> {
        let asked = self.ask_erasure(tenant, contact, ground, due_at).await?;
        let (done, carried) = oneshot::channel();
        let (own, begun) = (self.clone(), asked.clone());
        self.0.background.spawn("keeper.erase", async move {
            let carried = own.carry_out(tenant, begun).await.inspect_err(|error| {
                tracing::warn!(%tenant, %error, "an erasure was not carried out; the next round tries again");
            });
            // Whoever asked may have stopped waiting.
            drop(done.send(carried.ok()));
        });
        tokio::select! {
            carried = carried => Ok(carried.ok().flatten().unwrap_or(asked)),
            () = self.0.clock.sleep_millis(wait_ms) => Ok(asked),
        }
    }

    /// Writes an erasure down, from when on it is carried out whatever happens. Asked again while one is under
    /// way, it is that one.
    async fn ask_erasure(
        &self,
        tenant: TenantId,
        contact: ContactId,
        ground: ErasureGround,
        due_at: Timestamp,
    ) -> Result<Erasure> {
        let _one = self.0.asking.lock().await;
        let (ctx, keeping) = (TenantCtx::platform(tenant), self.0.store.keeping());
        let under_way = keeping.unfinished_erasures(ctx).await?;
        if let Some(known) = under_way.into_iter().find(|erasure| erasure.contacts.contains(&contact)) {
            return Ok(known);
        }
        let person = keeping.person(ctx, contact).await?;
        if person.contacts.is_empty() {
            return Err(KeepingError::NoSuchContact);
        }
        let now = self.now();
        let erasure = Erasure {
            id: ErasureId::new(now, &*self.0.entropy),
            contact,
            contacts: person.contacts,
            conversations: person.conversations,
            ground,
            asked_at: now,
            due_at,
            refused: None,
            state: ErasureState::Begun,
            receipt: Receipt::default(),
            disclosures: Disclosures::default(),
        };
        let by = match ground {
            ErasureGround::Asked { by } => by,
            _ => Actor::Platform,
        };
        self.audit(tenant, by, "contact.erased", &contact).await?;
        keeping.put_erasure(ctx, erasure.clone()).await?;
        Ok(erasure)
    }

    async fn carry_out(&self, tenant: TenantId, asked: Erasure) -> Result<Erasure> {
        let _one = self.0.doing.lock().await;
        // A round may have been there before.
        let known = self.0.store.keeping().erasure(TenantCtx::platform(tenant), asked.id).await?;
        let erasure = known.unwrap_or(asked);
        match erasure.state {
            ErasureState::Begun | ErasureState::Held { .. } => self.advance(tenant, erasure).await,
            _ => Ok(erasure),
        }
    }

    /// Carries an erasure as far as holds let it.
    pub(super) async fn advance(&self, tenant: TenantId, mut erasure: Erasure) -> Result<Erasure> {
        let (ctx, keeping) = (TenantCtx::platform(tenant), self.0.store.keeping());
        let refused = self.refused(tenant, &erasure).await?;
        if refused != erasure.refused {
            // Before anything goes: afterwards nobody knows.
            erasure.refused = refused;
            keeping.put_erasure(ctx, erasure.clone()).await?;
        }
        let holds = self.holds_in_force(tenant).await?;
        let (keep, by_hold) = kept_by(&holds, &erasure.contacts);
        let line =
            |contact: &ContactId| Erased { tenant, contact: Some(*contact), keep: keep.clone(), refused };
        let lines: Vec<_> = erasure.contacts.iter().map(line).collect();
        self.write_down(lines).await?;
        let held = match &self.0.engine {
            Some(engine) => {
                let held = engine.hold_conversations(tenant, &erasure.conversations, self.0.aside_ms).await;
                Some(held.ok_or(KeepingError::Busy)?)
            }
            None => None,
        };
        let files = self.files_of(tenant, &erasure, &keep).await?;
        let person = Person {
            contacts: erasure.contacts.clone(),
            conversations: erasure.conversations.clone(),
            files: Vec::new(),
            refused,
        };
        if keep.is_empty() {
            // It goes with their keys; who is to be told of the erasure must still be known.
            let mut told = Disclosures::default();
            for contact in &erasure.contacts {
                told.merge(self.0.store.leaving().disclosures(ctx, *contact).await?);
            }
            if !told.lines.is_empty() {
                erasure.disclosures = told;
            }
        }
        let counts = keeping.erase(ctx, person, keep.clone()).await?;
        if let Some(held) = &held {
            held.forget_what_is_shown();
        }
        drop(held);
        write_receipt(&mut erasure, &counts, files);
        let now = self.now();
        erasure.receipt.remains = self.remains(&keep, by_hold, refused.is_some(), now);
        erasure.state = match by_hold {
            Some(hold) => ErasureState::Held { hold, since: now },
            None => ErasureState::Erased { at: now },
        };
        keeping.put_erasure(ctx, erasure.clone()).await?;
        Ok(erasure)
    }

    /// Removes the files of their messages; how many there were.
    async fn files_of(&self, tenant: TenantId, erasure: &Erasure, keep: &[Class]) -> Result<u64> {
        if keep.contains(&Class::Message) {
            return Ok(0);
        }
        let mut removed = 0;
        for contact in &erasure.contacts {
            let person = self.0.store.keeping().person(TenantCtx::platform(tenant), *contact).await?;
            for file in person.files {
                removed += u64::from(self.0.content.delete(tenant, file).await?);
            }
        }
        Ok(removed)
    }

    /// What they refused, as far as their conversations or the erasure say it.
    async fn refused(&self, tenant: TenantId, erasure: &Erasure) -> Result<Option<Suppression>> {
        let (store, now) = (self.0.store.tenant(TenantCtx::platform(tenant)).await?, self.now());
        let mut known = Vec::from_iter(erasure.refused);
        for id in &erasure.conversations {
            let found = store.conversation(*id).await?;
            known.extend(found.and_then(|(conversation, _)| Suppression::of(&conversation, now)));
        }
        Ok(Suppression::together(known))
    }

    fn remains(
        &self,
        keep: &[Class],
        by_hold: Option<HoldId>,
        has_refused: bool,
        now: Timestamp,
    ) -> Vec<Remains> {
        let mut remains = Vec::new();
        let mut add = |what, until| remains.push(Remains { what, until });
        if let Some(hold) = by_hold {
            add(Remainder::Hold { hold, classes: keep.to_vec() }, None);
        } else {
            add(Remainder::KeyEpoch, Some(now.plus_millis(self.0.turn_ms)));
        }
        if self.0.has_backups {
            add(Remainder::Backups, None);
        }
        if self.0.copies.days() > 0 {
            let until = now.plus_millis(self.0.turn_ms + self.0.copies.days() * DAY_MS);
            add(Remainder::KeyCopies, Some(until));
        }
        add(Remainder::Marks, Some(now.plus_millis((self.0.dedup_days + 1) * DAY_MS)));
        if has_refused {
            add(Remainder::Suppression, None);
        }
        add(Remainder::Ids, None);
        remains
    }

    pub(super) async fn write_down(&self, lines: Vec<Erased>) -> Result<()> {
        let own = self.clone();
        let written = tokio::task::spawn_blocking(move || own.0.list.add(&lines)).await;
        written.unwrap_or_else(|_| Err(self.0.list.lost()))?;
        Ok(())
    }

    /// Erasures that were interrupted go on, and so do those whose hold was released.
    pub(super) async fn go_on_with_erasures(&self, tenant: TenantId) -> Result<()> {
        let _one = self.0.doing.lock().await;
        let ctx = TenantCtx::platform(tenant);
        let mut in_force = None;
        for erasure in self.0.store.keeping().unfinished_erasures(ctx).await? {
            let goes_on = match erasure.state {
                ErasureState::Begun => true,
                ErasureState::Held { .. } => {
                    if in_force.is_none() {
                        in_force = Some(self.holds_in_force(tenant).await?);
                    }
                    let (keep, _) = kept_by(in_force.as_deref().unwrap_or_default(), &erasure.contacts);
                    let held: Option<&Vec<Class>> =
                        erasure.receipt.remains.iter().find_map(|remains| match &remains.what {
                            Remainder::Hold { classes, .. } => Some(classes),
                            _ => None,
                        });
                    held != Some(&keep)
                }
                _ => false,
            };
            if goes_on {
                self.advance(tenant, erasure).await?;
            }
        }
        Ok(())
    }

    /// Turns the tenant's keys where erasures wait for it for long enough, one is due, or a turn was begun.
    pub(super) async fn turn_if_due(&self, tenant: TenantId) -> Result<()> {
        let (ctx, now) = (TenantCtx::platform(tenant), self.now());
        let waiting = self.0.store.keeping().unfinished_erasures(ctx).await?;
        let is_due = waiting.iter().any(|erasure| match erasure.state {
            ErasureState::Erased { at } => {
                now >= at.plus_millis(self.0.turn_ms) || now.plus_millis(BEFORE_DUE_MS) >= erasure.due_at
            }
            _ => false,
        });
        if is_due || self.0.store.keeping().is_turning(ctx).await? {
            self.make_final(tenant).await?;
        }
        Ok(())
    }

    /// Turns the tenant's keys now, which makes final what is erased: how many erasures.
    ///
    /// # Errors
    /// What the store, the files or the keyring say: it goes on in the next round.
    pub async fn make_final(&self, tenant: TenantId) -> Result<usize> {
        let _one = self.0.doing.lock().await;
        let (ctx, keeping) = (TenantCtx::platform(tenant), self.0.store.keeping());
        let waiting = keeping.unfinished_erasures(ctx).await?;
        let erased = |erasure: &Erasure| match erasure.state {
            ErasureState::Erased { at } => Some(at),
            _ => None,
        };
        let waiting: Vec<_> = waiting.into_iter().filter_map(|it| erased(&it).map(|at| (at, it))).collect();
        let contacts: Vec<_> = waiting.iter().flat_map(|(_, erasure)| erasure.contacts.clone()).collect();
        let late = if contacts.is_empty() {
            0
        } else {
            self.0.content.delete_of_contacts(tenant, &contacts).await?
        };
        let now = self.now();
        let copy = || {
            let copied = self.0.copies.make(now);
            copied.map_err(|error| StorageError::Vault(error.to_string()))
        };
        let turned = keeping.turn_epoch(ctx, &copy).await?;
        tracing::info!(
            %tenant,
            erasures = waiting.len(),
            rewrapped = turned.rewrapped,
            resealed = turned.resealed,
            removed = turned.removed,
            files = late,
            "a tenant's keys were turned: what was erased is final"
        );
        let count = waiting.len();
        for (erased_at, mut erasure) in waiting {
            erasure.receipt.remains.retain(|remains| remains.what != Remainder::KeyEpoch);
            erasure.state = ErasureState::Final { erased_at, at: self.now(), finality: self.0.finality };
            keeping.put_erasure(ctx, erasure).await?;
        }
        Ok(count)
    }
}

fn write_receipt(erasure: &mut Erasure, counts: &BTreeMap<Place, u64>, files: u64) {
    for (place, count) in counts {
        let how = if *place == Place::SubjectKey { How::Shredded } else { How::Removed };
        erasure.receipt.add(*place, how, *count);
    }
    erasure.receipt.add(Place::Files, How::Removed, files);
    // None are made of what end users write.
    erasure.receipt.add(Place::Embeddings, How::Removed, 0);
    if counts.contains_key(&Place::SubjectKey) {
        // They are not looked for one by one: their key is gone, and so are they when the epoch is turned.
        erasure.receipt.add(Place::Events, How::Shredded, 0);
    }
}

/// The classes that holds keep of these contacts, and the first hold that does.
fn kept_by(holds: &[LegalHold], contacts: &[ContactId]) -> (Vec<Class>, Option<HoldId>) {
    let covering = |class: Class| {
        holds
            .iter()
            .find(|hold| contacts.iter().any(|contact| hold.covers(*contact, class)))
            .map(|hold| hold.id)
    };
    let kept: Vec<_> = OF_CONTACT.into_iter().filter_map(|class| Some((class, covering(class)?))).collect();
    (kept.iter().map(|(class, _)| *class).collect(), kept.first().map(|(_, hold)| *hold))
}
