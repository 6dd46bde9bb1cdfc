//! The assistant's settings: every version that was published, and the draft.

use iassistance_domain::Timestamp;
use iassistance_domain::assistant::{AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::event::EventKind;

use super::Result;
use super::tenant::TenantData;
use crate::error::StorageError;
use crate::limits::SETTINGS_VERSIONS_MAX;

impl TenantData {
    /// The version that counts.
    pub(super) fn settings_version(&self) -> u64 {
        self.settings.last_key_value().map_or(0, |(version, _)| *version)
    }

    /// Publishes settings as the next version, if each version that is expected is the one that counts.
    pub(super) fn publish_settings(
        &mut self,
        settings: AssistantSettings,
        expected: &[Option<u64>],
        rolled_back_to: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantSettingsVersion> {
        let present = self.settings_version();
        if expected.iter().flatten().any(|expected| *expected != present) {
            return Err(StorageError::Stale);
        }
        let version = present + 1;
        let published =
            AssistantSettingsVersion { version, settings, published_at: Some(now), rolled_back_to };
        self.settings.insert(version, published.clone());
        self.settings.retain(|former, _| former + SETTINGS_VERSIONS_MAX > version);
        self.record(None, EventKind::SettingsChanged { version }, now);
        self.publish();
        Ok(published)
    }

    pub(super) fn publish_draft(
        &mut self,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantSettingsVersion> {
        let draft = self.draft.clone().ok_or(StorageError::NotFound("draft"))?;
        let published =
            self.publish_settings(draft.settings, &[expected, Some(draft.based_on)], None, now)?;
        self.draft = None;
        Ok(published)
    }
}
