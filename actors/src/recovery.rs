//! What was unfinished when the process ended is taken up again; what was forgotten is found.

use std::sync::Arc;

use iassistance_storage::StorageError;

use crate::engine::{Engine, Shared};

impl Engine {
    /// Wakes every tenant that has unfinished work, and from then on looks for forgotten work, idle
    /// conversations and expired dedup keys every `sweep_ms`. Returns the number of tenants.
    pub async fn recover(&self, dedup_days: u32) -> Result<usize, StorageError> {
        let tenants = self.store().tenants().await?;
        for tenant in &tenants {
            self.shared.doorbell(tenant.id).ring_all();
            self.shared.wake_tenant(tenant.id);
        }
        let weak = Arc::downgrade(&self.shared);
        let (clock, sweep_ms) = (Arc::clone(self.clock()), self.shared.settings.actors.sweep_ms);
        let stopping = self.shared.dispatcher.stopping();
        self.shared.tasks.spawn("recovery.sweep", async move {
            loop {
                let sleep = clock.sleep_millis(sweep_ms);
                if stopping.run_until_cancelled(sleep).await.is_none() {
                    return;
                }
                let Some(shared) = weak.upgrade() else { return };
                shared.sweep(dedup_days).await;
                Engine { shared }.look_after_channels().await;
            }
        });
        Ok(tenants.len())
    }
}

impl Shared {
    async fn sweep(&self, dedup_days: u32) {
        self.passivate_idle();
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
        let kept_ms = u64::from(dedup_days) * 24 * 60 * 60 * 1_000;
        let before = self.parts.clock.now().minus_millis(kept_ms);
        match self.parts.store.forget_dedup_before(before).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "expired dedup keys were removed"),
            Err(error) => {
                tracing::warn!(%error, "expired dedup keys could not be removed; the next sweep tries again");
            }
        }
    }
}
