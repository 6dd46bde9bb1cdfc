//! The assistant's settings: every version that was published, and the draft.

use iassistance_domain::Timestamp;
use iassistance_domain::assistant::{AssistantDraft, AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::event::EventKind;

use super::keys::{self, ASSISTANT, ASSISTANT_DRAFT, number_in};
use super::space::{Read, Result};
use super::tx::{Owner, Tx};
use crate::error::StorageError;
use crate::limits::SETTINGS_VERSIONS_MAX;

/// Former versions that one write removes at most; a store that has more loses them with later ones.
const FORMER_ROWS: usize = 16;

impl Tx<'_> {
    /// Publishes new settings as the next version, and the fact in the log.
    pub(super) fn put_assistant(
        &mut self,
        settings: AssistantSettings,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantSettingsVersion> {
        self.must_count(expected)?;
        self.publish(settings, None, now)
    }

    pub(super) fn put_draft(
        &mut self,
        settings: AssistantSettings,
        now: Timestamp,
    ) -> Result<AssistantDraft> {
        let draft = AssistantDraft { settings, based_on: self.counters.settings, saved_at: now };
        self.put(&ASSISTANT_DRAFT.key(), Owner::Tenant, &draft)?;
        Ok(draft)
    }

    pub(super) fn publish_draft(
        &mut self,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantSettingsVersion> {
        let draft = self.get(&ASSISTANT_DRAFT.key())?.ok_or(StorageError::NotFound("draft"))?;
        self.must_count(expected)?;
        self.must_count(Some(draft.based_on))?;
        self.remove(&ASSISTANT_DRAFT.key())?;
        self.publish(draft.settings, None, now)
    }

    pub(super) fn roll_back(
        &mut self,
        version: u64,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantSettingsVersion> {
        let former = self.get(&keys::assistant(version))?.ok_or(StorageError::NotFound("version"))?;
        self.must_count(expected)?;
        self.publish(former.settings, Some(version), now)
    }

    fn must_count(&self, expected: Option<u64>) -> Result<()> {
        match expected {
            Some(expected) if expected != self.counters.settings => Err(StorageError::Stale),
            _ => Ok(()),
        }
    }

    fn publish(
        &mut self,
        settings: AssistantSettings,
        rolled_back_to: Option<u64>,
        now: Timestamp,
    ) -> Result<AssistantSettingsVersion> {
        self.counters.settings += 1;
        let version = self.counters.settings;
        let published =
            AssistantSettingsVersion { version, settings, published_at: Some(now), rolled_back_to };
        self.put(&keys::assistant(version), Owner::Tenant, &published)?;
        for (key, _) in self.rows(ASSISTANT.key().bytes(), FORMER_ROWS)? {
            if number_in(&key, 1).is_some_and(|former| former + SETTINGS_VERSIONS_MAX <= version) {
                self.remove_row(&key)?;
            }
        }
        self.record(None, EventKind::SettingsChanged { version }, now)?;
        Ok(published)
    }
}
