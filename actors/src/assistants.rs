//! A tenant's settings of its assistant: which count, and how they come to count.

use std::sync::Arc;

use dashmap::mapref::entry::Entry;

use iassistance_domain::assistant::{AssistantDraft, AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::id::TenantId;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::window::WindowPolicy;
use iassistance_storage::{StorageError, TenantStore};

use crate::engine::{Engine, Shared};
use crate::settings::default_assistant;

impl Engine {
    /// The assistant's settings that count for a tenant now.
    pub async fn assistant(&self, ctx: TenantCtx) -> Result<Arc<AssistantSettingsVersion>, StorageError> {
        let store = self.shared.parts.store.tenant(ctx).await?;
        self.shared.assistant(ctx.tenant(), &*store).await
    }

    /// Stores new settings, which count at once; running turns keep theirs.
    pub async fn put_assistant(
        &self,
        ctx: TenantCtx,
        settings: AssistantSettings,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion, StorageError> {
        let store = self.shared.parts.store.tenant(ctx).await?;
        let stored = store.put_assistant(settings, expected).await?;
        Ok(self.shared.put_in_force(ctx.tenant(), stored))
    }

    /// Keeps settings that do not count yet; there is one draft, and this replaces it.
    pub async fn save_assistant_draft(
        &self,
        ctx: TenantCtx,
        settings: AssistantSettings,
    ) -> Result<AssistantDraft, StorageError> {
        self.shared.parts.store.tenant(ctx).await?.put_assistant_draft(settings).await
    }

    /// The draft, if there is one.
    pub async fn assistant_draft(&self, ctx: TenantCtx) -> Result<Option<AssistantDraft>, StorageError> {
        self.shared.parts.store.tenant(ctx).await?.assistant_draft().await
    }

    /// Throws the draft away. Says whether there was one.
    pub async fn discard_assistant_draft(&self, ctx: TenantCtx) -> Result<bool, StorageError> {
        self.shared.parts.store.tenant(ctx).await?.discard_assistant_draft().await
    }

    /// Lets the draft count from now on; running turns keep the settings that they began with.
    pub async fn publish_assistant_draft(
        &self,
        ctx: TenantCtx,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion, StorageError> {
        let store = self.shared.parts.store.tenant(ctx).await?;
        let stored = store.publish_assistant_draft(expected).await?;
        Ok(self.shared.put_in_force(ctx.tenant(), stored))
    }

    /// Lets the settings of an earlier version count again, as a new version.
    pub async fn roll_back_assistant(
        &self,
        ctx: TenantCtx,
        version: u64,
        expected: Option<u64>,
    ) -> Result<AssistantSettingsVersion, StorageError> {
        let store = self.shared.parts.store.tenant(ctx).await?;
        let stored = store.roll_back_assistant(version, expected).await?;
        Ok(self.shared.put_in_force(ctx.tenant(), stored))
    }

    /// How long a product's channels let a business write.
    pub fn window_policy(&self, kind: ChannelKind) -> WindowPolicy {
        self.shared.settings.window_policy(kind)
    }
}

impl Shared {
    pub(crate) async fn assistant(
        &self,
        tenant: TenantId,
        store: &dyn TenantStore,
    ) -> Result<Arc<AssistantSettingsVersion>, StorageError> {
        if let Some(cached) = self.assistants.get(&tenant) {
            return Ok(Arc::clone(&cached));
        }
        let stored = store.assistant().await?.unwrap_or_else(|| AssistantSettingsVersion {
            version: 0,
            settings: default_assistant(&self.settings.assistant),
            published_at: None,
            rolled_back_to: None,
        });
        // Another may have stored newer settings meanwhile: those stay.
        Ok(Arc::clone(&self.assistants.entry(tenant).or_insert_with(|| Arc::new(stored))))
    }

    /// Whether the assistant may speak for a tenant: not for one that is suspended or closed.
    pub(crate) async fn is_served(&self, tenant: TenantId) -> Result<bool, StorageError> {
        match self.parts.store.people().tenant_record(tenant).await {
            Ok(record) => Ok(record.is_none_or(|record| record.state.answers())),
            // Its people go on being answered when its record is damaged.
            Err(StorageError::Damaged { .. } | StorageError::NewerRecord { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// From now on these settings count, unless newer ones do.
    fn put_in_force(&self, tenant: TenantId, stored: AssistantSettingsVersion) -> AssistantSettingsVersion {
        match self.assistants.entry(tenant) {
            Entry::Occupied(cached) if cached.get().version >= stored.version => {}
            Entry::Occupied(mut cached) => drop(cached.insert(Arc::new(stored.clone()))),
            Entry::Vacant(vacant) => drop(vacant.insert(Arc::new(stored.clone()))),
        }
        stored
    }
}
