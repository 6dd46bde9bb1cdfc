//! What goes because its period is over.

use iassistance_domain::id::TenantId;
use iassistance_domain::privacy::{Class, ErasureGround, SweepRecord};
use iassistance_domain::tenant::TenantCtx;

use super::{DAY_MS, DUE_MS, Keeper, KeepingError, Result};

/// Conversations that are looked through at once for contacts who have been silent.
const CONVERSATIONS: usize = 256;

impl Keeper {
    /// Sweeps the classes of a tenant that were not swept lately.
    pub(super) async fn sweep(&self, tenant: TenantId) -> Result<()> {
        let (ctx, now) = (TenantCtx::platform(tenant), self.now());
        let known = self.0.store.keeping().sweeps(ctx).await?;
        for class in Class::CHOSEN {
            let last = known.iter().find(|sweep| sweep.class == class);
            if last.is_none_or(|sweep| now >= sweep.at.plus_millis(self.0.sweep_ms)) {
                self.sweep_class(tenant, class).await?;
            }
        }
        Ok(())
    }

    /// Removes what of a class is over its period and no hold keeps, and writes down that it did.
    ///
    /// # Errors
    /// What the store or the files say: the next round goes on.
    pub async fn sweep_class(&self, tenant: TenantId, class: Class) -> Result<SweepRecord> {
        let (ctx, keeping) = (TenantCtx::platform(tenant), self.0.store.keeping());
        let chosen = keeping.retention(ctx).await?;
        let now = self.now();
        let days = self
            .0
            .rules
            .days(&chosen, class)
            .ok_or(iassistance_domain::privacy::RetentionProblem::NotChosen(class))?;
        let before = now.minus_millis(u64::from(days) * DAY_MS);
        let mut sweep = SweepRecord { class, at: now, before, removed: 0, files: 0, held: 0 };
        if class == Class::Contact {
            self.sweep_contacts(tenant, &mut sweep).await?;
        } else {
            let mut from = None;
            loop {
                // Anew for each part: one may have been laid meanwhile.
                let holds = self.holds_in_force(tenant).await?;
                let swept = keeping.sweep(ctx, class, before, holds, from).await?;
                sweep.removed += swept.removed;
                sweep.held += swept.held;
                for file in swept.files {
                    sweep.files += u64::from(self.0.content.delete(tenant, file).await?);
                }
                from = swept.next;
                if from.is_none() {
                    break;
                }
            }
        }
        sweep.at = self.now();
        keeping.put_sweep(ctx, sweep.clone()).await?;
        if sweep.removed > 0 || sweep.held > 0 {
            let (removed, files, held) = (sweep.removed, sweep.files, sweep.held);
            tracing::info!(%tenant, class = class.name(), removed, files, held, "what was over its period was removed");
            metrics::counter!("iassistance_retention_removed_total", "class" => class.name())
                .increment(removed);
        }
        Ok(sweep)
    }

    /// Who has been silent for the period goes whole.
    async fn sweep_contacts(&self, tenant: TenantId, sweep: &mut SweepRecord) -> Result<()> {
        let (ctx, keeping) = (TenantCtx::platform(tenant), self.0.store.keeping());
        let holds = self.holds_in_force(tenant).await?;
        let mut after = None;
        loop {
            let (silent, next) = keeping.silent_contacts(ctx, sweep.before, after, CONVERSATIONS).await?;
            for contact in silent {
                if holds.iter().any(|hold| Class::CHOSEN.iter().any(|class| hold.covers(contact, *class))) {
                    sweep.held += 1;
                    continue;
                }
                let due = self.now().plus_millis(DUE_MS);
                match self.erase(tenant, contact, ErasureGround::Retention, due).await {
                    Ok(erasure) => sweep.removed += erasure.contacts.len() as u64,
                    // Gone with somebody whom they had proved to be.
                    Err(KeepingError::NoSuchContact) => {}
                    Err(error) => return Err(error),
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
