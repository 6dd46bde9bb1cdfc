//! The access log: a record for each request, in the order of time, and where it was an account's or about
//! a tenant a row that says so. It waits for nobody, so it gives way to what somebody waits for.

use iassistance_domain::Timestamp;
use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::id::AccessId;

use super::Core;
use super::keys::{self, ACCESS, ACCESS_SHORTENED, Key};
use super::line::Urgency;
use super::space::{Page, Read, Result};
use super::tx::{Owner, Tx};
use crate::limits::LOG_ROWS;

/// The rows by which a request is found.
pub(super) fn indexes(record: &AccessRecord) -> impl Iterator<Item = Key<()>> {
    let id = record.id.to_bytes();
    let account = record.account().map(keys::access_of_account);
    let tenant = record.tenant.map(keys::access_of_tenant);
    account.into_iter().chain(tenant).map(move |key| key.id(id))
}

impl Tx<'_> {
    fn append_access(&mut self, records: &[AccessRecord]) -> Result<()> {
        for record in records {
            self.put(&keys::access(record.id), Owner::Tenant, record)?;
            for index in indexes(record) {
                self.put(&index, Owner::Tenant, &())?;
            }
        }
        Ok(())
    }

    fn shorten_access(&mut self, older_than: Timestamp) -> Result<usize> {
        let done = self.get_readable(&ACCESS_SHORTENED.key())?;
        let mut start = done.map_or_else(|| ACCESS.key(), keys::access).bytes().to_vec();
        if done.is_some() {
            start.push(0);
        }
        let rows = self.rows_from(&start, ACCESS.key().bytes(), LOG_ROWS)?;
        let mut last = None;
        let mut records = Vec::new();
        self.open_all(ACCESS, rows, &mut records)?;
        let old: Vec<_> = records
            .into_iter()
            .map(|(_, record)| record)
            .take_while(|record| record.at < older_than)
            .collect();
        let count = old.len();
        for record in old {
            last = Some(record.id);
            self.put(&keys::access(record.id), Owner::Tenant, &record.shortened())?;
        }
        if let Some(last) = last {
            self.put(&ACCESS_SHORTENED.key(), Owner::Tenant, &last)?;
        }
        Ok(count)
    }

    fn remove_access(&mut self, older_than: Timestamp) -> Result<usize> {
        let records = self.list(&ACCESS.key(), LOG_ROWS)?;
        let mut removed = 0;
        for (_, record) in records.into_iter().take_while(|(_, record)| record.at < older_than) {
            for index in indexes(&record) {
                self.remove(&index)?;
            }
            self.remove(&keys::access(record.id))?;
            removed += 1;
        }
        Ok(removed)
    }
}

impl Core {
    pub(super) async fn append_access(&self, records: Vec<AccessRecord>) -> Result<()> {
        let append = move |tx: &mut Tx<'_>| tx.append_access(&records);
        self.writer.write_as(Urgency::Patient, &self.platform, append).await
    }

    pub(super) async fn access(
        &self,
        of: AccessOf,
        before: Option<AccessId>,
        limit: usize,
    ) -> Result<Vec<AccessRecord>> {
        self.scan(move |space| {
            let index = match of {
                AccessOf::All => None,
                AccessOf::Account(account) => Some(keys::access_of_account(account)),
                AccessOf::Tenant(tenant) => Some(keys::access_of_tenant(tenant)),
            };
            let record = |id| ACCESS.key().id(id);
            if let Some(index) = index {
                return space.through(&index, before.map(AccessId::to_bytes), limit, record);
            }
            let before = before.map(keys::access);
            let page = before.as_ref().map_or(Page::Last, |before| Page::Before(before.bytes()));
            Ok(space.list(&ACCESS.key(), page, limit)?.into_iter().map(|(_, record)| record).collect())
        })
        .await
    }

    pub(super) async fn shorten_access(&self, older_than: Timestamp) -> Result<usize> {
        let shorten = move |tx: &mut Tx<'_>| tx.shorten_access(older_than);
        self.writer.write_as(Urgency::Patient, &self.platform, shorten).await
    }

    pub(super) async fn remove_access(&self, older_than: Timestamp) -> Result<usize> {
        let remove = move |tx: &mut Tx<'_>| tx.remove_access(older_than);
        self.writer.write_as(Urgency::Patient, &self.platform, remove).await
    }
}
