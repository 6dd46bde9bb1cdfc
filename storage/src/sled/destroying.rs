//! The end of a tenant: its records, what the platform has of it, and its keys.

use std::sync::{Arc, PoisonError};

use iassistance_domain::account::MemberOf;
use iassistance_domain::id::{ChannelId, TenantId};
use iassistance_domain::privacy::Place;

use super::disk::Step;
use super::erasing::{Counts, add};
use super::keys::{
    self, ACCESS_OF_TENANT, ADDRESS, ANSWER, API_KEY, AUDIT, CONTACT, CONVERSATION, DEAD_LETTER, DELIVERY,
    DISCLOSURES, EVENT, INBOX, INVITED, MEMBER, MESSAGE, OUTBOX, PARKED, SET_ASIDE, SUBJECT_KEY, SUMMARY,
    TURN, id_in,
};
use super::open::failed;
use super::space::{Counters, Page, Result, vault_error};
use super::tx::Tx;
use super::{Core, blocking};
use crate::error::StorageError;

/// Records that go in one write.
const STEP_ROWS: usize = 1_000;

/// Where a record of a tenant's tree is, as a certificate says it.
fn place_of(key: &[u8]) -> Place {
    match key.first().copied().unwrap_or_default() {
        code if code == SUBJECT_KEY.code => Place::SubjectKey,
        code if code == CONTACT.code || code == ADDRESS.code => Place::Contacts,
        code if code == CONVERSATION.code => Place::Conversations,
        code if code == MESSAGE.code => Place::Messages,
        code if code == INBOX.code => Place::Inbox,
        code if code == OUTBOX.code => Place::Outbox,
        code if code == TURN.code => Place::Executions,
        code if code == SUMMARY.code => Place::Summaries,
        code if code == DISCLOSURES.code => Place::Disclosures,
        code if code == EVENT.code => Place::Events,
        code if code == DEAD_LETTER.code => Place::DeadLetters,
        code if code == DELIVERY.code => Place::Webhooks,
        code if code == ANSWER.code => Place::Answers,
        code if code == PARKED.code => Place::Parked,
        code if code == SET_ASIDE.code => Place::Quarantine,
        code if code == AUDIT.code => Place::AuditLog,
        _ => Place::Settings,
    }
}

impl Tx<'_> {
    /// Removes the first records of the tree; says which.
    fn remove_first(&mut self, limit: usize) -> Result<(Counts, bool)> {
        let rows = self.rows(&[], limit)?;
        let more = rows.len() == limit;
        let mut counts = Counts::new();
        for (key, _) in rows {
            *counts.entry(place_of(&key)).or_default() += 1;
            self.overlay.insert(key, None);
        }
        self.counters = Counters { event: self.counters.event, ..Counters::default() };
        Ok((counts, more))
    }

    /// Removes what the platform has of a tenant, but for its record and its channels.
    fn remove_of_platform(&mut self, tenant: TenantId) -> Result<u64> {
        let mut removed = 0;
        let place = MemberOf::Tenant(tenant);
        let prefixes = [
            keys::of_place(MEMBER, place).bytes().to_vec(),
            keys::of_place(INVITED, place).bytes().to_vec(),
            keys::access_of_tenant(tenant).bytes().to_vec(),
        ];
        for prefix in prefixes {
            for (key, _) in self.rows(&prefix, usize::MAX)? {
                // Who asked for what is in the access log itself, by ids, for its own period.
                removed += u64::from(key.first() != Some(&ACCESS_OF_TENANT.code));
                self.remove_row(&key)?;
            }
        }
        for (key, api_key) in self.list(&API_KEY.key(), usize::MAX)? {
            if api_key.tenant == Some(tenant) {
                self.remove_row(&key)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl Core {
    pub(super) async fn destroy_tenant(self: &Arc<Self>, tenant: TenantId) -> Result<Counts> {
        let mut counts = Counts::new();
        match self.space(tenant).await {
            Ok(space) => {
                let removed = self.remove_channels_of(tenant).await?;
                *counts.entry(Place::Settings).or_default() += removed;
                loop {
                    let (step, more) = self.writer.write(&space, |tx| tx.remove_first(STEP_ROWS)).await?;
                    add(&mut counts, step);
                    if !more {
                        break;
                    }
                }
            }
            // Its keys are gone already: it goes on from there.
            Err(StorageError::NoSuchTenant(_)) => {}
            Err(error) => return Err(error),
        }
        let of_platform = self.writer.write(&self.platform, move |tx| tx.remove_of_platform(tenant)).await?;
        *counts.entry(Place::Settings).or_default() += of_platform;
        *counts.entry(Place::TenantKeys).or_default() += u64::from(self.destroy_keys(tenant).await?);
        let (records, homes) = (Arc::clone(&self.tenant_records), Arc::clone(&self.key_homes));
        let last = move |tx: &mut Tx<'_>| {
            let was_there = tx.remove(&keys::tenant(tenant))?;
            tx.afterwards.push(Box::new(move || {
                records.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
                let mut homes = homes.write().unwrap_or_else(PoisonError::into_inner);
                homes.retain(|_, home| *home != Some(tenant));
            }));
            Ok(was_there)
        };
        self.writer.write(&self.platform, last).await?;
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
        Ok(counts)
    }

    async fn remove_channels_of(self: &Arc<Self>, tenant: TenantId) -> Result<u64> {
        let platform = Arc::clone(&self.platform);
        let rows =
            blocking(move || platform.rows(keys::channels(tenant).bytes(), Page::First, usize::MAX)).await?;
        let mut removed = 0;
        for channel in rows.iter().filter_map(|(key, _)| id_in(key, 17)).map(ChannelId::from_bytes) {
            removed += u64::from(self.remove_channel(tenant, channel).await?);
        }
        Ok(removed)
    }

    /// Destroys the tenant's keys; says whether it had any.
    async fn destroy_keys(&self, tenant: TenantId) -> Result<bool> {
        let (keyring, disk) = (Arc::clone(&self.keyring), Arc::clone(&self.home.disk));
        let destroy = move || {
            let had = keyring.tenant(tenant).is_ok();
            let mut done = Ok(());
            let kept = disk.run(Step::Keyring, &mut || {
                done = keyring.destroy_tenant(tenant).map_err(vault_error);
                Ok(())
            });
            kept.map_err(failed("destroying a tenant's keys")).and(done).map(|()| had)
        };
        blocking(destroy).await
    }
}
