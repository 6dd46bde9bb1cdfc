//! Carrying the list of who was erased out anew: on every start, and after every restore.

use std::collections::BTreeSet;

use iassistance_domain::Pii;
use iassistance_domain::audit::Actor;
use iassistance_domain::id::{ContactId, ErasureId, HoldId, TenantId};
use iassistance_domain::privacy::{
    Class, Disclosures, Erasure, ErasureGround, ErasureState, HOLDS_MAX, HoldScope, LegalHold, Receipt,
    Suppression,
};
use iassistance_domain::tenant::TenantCtx;

use super::{DUE_MS, Keeper, Result};
use crate::erasures::Erased;

/// What a hold says that was laid again because its own is not in the backup.
const AGAIN_NORM: &str =
    "As of the hold that was in force at the erasure, which the restored backup does not have";
const AGAIN_DOCUMENT: &str = "The list of who was erased, beside the keyring: it says what was kept";

impl Keeper {
    /// Erases again who was erased, in a store that may have been restored since; of one tenant alone, where one
    /// is named. Before anything is woken. How many were there again.
    ///
    /// # Errors
    /// What the store, the files or the list say: nothing may be served then.
    pub async fn replay(&self, only: Option<TenantId>) -> Result<usize> {
        let erased = self.0.list.read()?;
        if erased.is_empty() {
            return Ok(0);
        }
        let tenants: BTreeSet<_> =
            self.0.store.tenants().await?.into_iter().map(|tenant| tenant.id).collect();
        let mut again = 0;
        for line in erased {
            if only.is_some_and(|only| only != line.tenant) || !tenants.contains(&line.tenant) {
                continue;
            }
            again += usize::from(self.erase_again(&line).await?);
        }
        if again > 0 {
            tracing::warn!(again, "who was erased had come back with a backup, and was erased again");
        }
        Ok(again)
    }

    async fn erase_again(&self, line: &Erased) -> Result<bool> {
        let Some(contact) = line.contact else {
            self.destroy_again(line.tenant).await?;
            return Ok(true);
        };
        let (ctx, keeping) = (TenantCtx::platform(line.tenant), self.0.store.keeping());
        let person = keeping.person(ctx, contact).await?;
        if person.contacts.is_empty() {
            return Ok(false);
        }
        let known = keeping.unfinished_erasures(ctx).await?;
        let now = self.now();
        let known = known.into_iter().find(|erasure| erasure.contacts.contains(&contact));
        // What a hold kept is there, and the rest of it goes by its erasure.
        if !line.keep.is_empty() && known.is_some() {
            return Ok(false);
        }
        self.hold_again(line, contact).await?;
        let erasure = known.map_or_else(
            || Erasure {
                id: ErasureId::new(now, &*self.0.entropy),
                contact,
                contacts: person.contacts.clone(),
                conversations: person.conversations.clone(),
                ground: ErasureGround::Restored,
                asked_at: now,
                due_at: now.plus_millis(DUE_MS),
                refused: line.refused,
                state: ErasureState::Begun,
                receipt: Receipt::default(),
                disclosures: Disclosures::default(),
            },
            |known| Erasure {
                contacts: person.contacts.clone(),
                conversations: person.conversations.clone(),
                refused: Suppression::together(known.refused.into_iter().chain(line.refused)),
                state: ErasureState::Begun,
                ..known
            },
        );
        keeping.put_erasure(ctx, erasure.clone()).await?;
        self.advance(line.tenant, erasure).await?;
        Ok(true)
    }

    /// A backup may be of a time before the hold that kept some of it: what was kept is kept on, until somebody has
    /// looked.
    async fn hold_again(&self, line: &Erased, contact: ContactId) -> Result<()> {
        let holds = self.holds_in_force(line.tenant).await?;
        let is_held = |class: &Class| holds.iter().any(|hold| hold.covers(contact, *class));
        if line.keep.iter().all(is_held) {
            return Ok(());
        }
        let now = self.now();
        let hold = LegalHold {
            id: HoldId::new(now, &*self.0.entropy),
            norm: AGAIN_NORM.to_owned(),
            // There is room for so many holds: where there are many, one is for everybody.
            scope: HoldScope {
                contact: (holds.len() < HOLDS_MAX / 2).then_some(contact),
                classes: line.keep.clone(),
            },
            document: Pii::new(AGAIN_DOCUMENT.to_owned()),
            review_at: now.plus_millis(DUE_MS),
            made_by: Actor::Platform,
            made_at: now,
            released: None,
        };
        tracing::warn!(tenant = %line.tenant, hold = %hold.id, "a hold was laid again after a restore: name its norm, or release it");
        self.0.store.keeping().put_hold(TenantCtx::platform(line.tenant), hold).await?;
        Ok(())
    }
}
