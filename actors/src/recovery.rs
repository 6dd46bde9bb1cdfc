//! What was unfinished when the process ended is taken up again; what was forgotten is found.

use std::sync::Arc;

use iassistance_domain::Timestamp;
use iassistance_storage::StorageError;

use crate::engine::{Engine, Shared};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

impl Engine {
    /// Wakes every tenant that has unfinished work, brings records of earlier versions to the present one,
    /// and from then on looks for forgotten work, idle
    /// conversations every `sweep_ms`, and once a day for what is not kept any more. Returns the number of tenants.
    pub async fn recover(&self, dedup_days: u32) -> Result<usize, StorageError> {
        let tenants = self.store().tenants().await?;
        for tenant in &tenants {
            self.shared.doorbell(tenant.id).ring_all();
            self.shared.wake_tenant(tenant.id);
        }
        self.resume_reading();
        self.resume_hooks(tenants.iter().map(|tenant| tenant.id).collect());
        let store = Arc::clone(self.store());
        self.shared.tasks.spawn("recovery.upgrade", async move {
            match store.upgrade_records().await {
                Ok(0) | Err(StorageError::Closed) => {}
                Ok(upgraded) => tracing::info!(upgraded, "records of an earlier version were written anew"),
                Err(error) => {
                    tracing::warn!(%error, "records of an earlier version could not be written anew; the next start goes on");
                }
            }
        });
        let weak = Arc::downgrade(&self.shared);
        let (clock, sweep_ms) = (Arc::clone(self.clock()), self.shared.settings.actors.sweep_ms);
        let stopping = self.shared.dispatcher.stopping();
        self.shared.tasks.spawn("recovery.sweep", async move {
            let mut forgotten_at = None;
            loop {
                let sleep = clock.sleep_millis(sweep_ms);
                if stopping.run_until_cancelled(sleep).await.is_none() {
                    return;
                }
                let Some(shared) = weak.upgrade() else { return };
                shared.sweep().await;
                // The store reads all of them for it: they are kept a day longer rather than that often.
                let now = clock.now();
                if forgotten_at.is_none_or(|at| now.millis_since(at) >= DAY_MS) {
                    forgotten_at = Some(now);
                    shared.forget(now, now.minus_millis(u64::from(dedup_days) * DAY_MS)).await;
                }
                Engine { shared }.look_after_channels().await;
            }
        });
        Ok(tenants.len())
    }
}

impl Shared {
    async fn sweep(self: &Arc<Self>) {
        self.passivate_idle();
        self.find_lost_couriers();
        let tenants = match self.parts.store.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                tracing::warn!(%error, "the sweep could not read the tenants; the next one tries again");
                return;
            }
        };
        for tenant in tenants {
            self.doorbell(tenant.id).ring_all();
            self.wake_tenant(tenant.id);
        }
    }

    /// Shortens addresses of the access log and removes its oldest records, a part at a time.
    async fn forget_access(&self, now: Timestamp) {
        let (trail, access) = (self.parts.store.trail(), &self.settings.access);
        let ago = |days: u64| now.minus_millis(days.saturating_mul(DAY_MS));
        let forget = async {
            while trail.remove_access(ago(access.kept_days)).await? > 0 {}
            while trail.shorten_access(ago(access.whole_days)).await? > 0 {}
            Ok::<_, StorageError>(())
        };
        if let Err(error) = forget.await {
            tracing::warn!(%error, "the access log could not be shortened; the next day's sweep tries again");
        }
    }

    async fn forget(&self, now: Timestamp, before: Timestamp) {
        self.forget_access(now).await;
        for tenant in self.parts.store.tenants().await.unwrap_or_default() {
            self.forget_deliveries(tenant.id, now).await;
        }
        match self.parts.store.forget_dedup_before(before).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "expired dedup keys were removed"),
            Err(error) => {
                tracing::warn!(%error, "expired dedup keys could not be removed; the next day's sweep tries again");
            }
        }
    }
}
