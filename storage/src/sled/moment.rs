//! Reading the records as they are stored, for a backup, while writes go on.
//!
//! ```text
//! begin ─▶ every tree, page by page ─▶ what changed meanwhile, again and again while that is much
//!       ─▶ the rest, in the writing thread: from there on it is the state of that moment
//! ```
//!
//! A record that changes after it was read is among the changed ones and is read again; so only the
//! last few are read where everybody waits for them.

use std::sync::Arc;

use ::sled::IVec;

use iassistance_domain::Timestamp;
use iassistance_domain::id::TenantId;
use iassistance_vault::{KeyRef, TenantVault};

use super::changes::Taken;
use super::keys::{API_KEY, CHANNEL, CHANNEL_ADDRESS, TENANT, id_in};
use super::space::{PLATFORM, Page, Read, Result, Row, Space, SpaceId, open};
use super::{SledStore, blocking};

/// Records that are read at once.
const PAGE_ROWS: usize = 256;
/// Of so many changed records a backup may end: they are read in the writing thread.
pub(crate) const LAST_ROWS_MAX: usize = 1_000;

/// A record as it is stored, or that there is none any more.
pub(crate) struct Copied {
    pub(crate) space: SpaceId,
    pub(crate) key: IVec,
    pub(crate) sealed: Option<IVec>,
}

/// The end of a copy.
pub(crate) struct Last {
    pub(crate) taken: Taken,
    pub(crate) records: Vec<Copied>,
    /// The moment whose state the copy is.
    pub(crate) at: Timestamp,
}

impl SledStore {
    /// Remembers from now on which records change. See [`Changes::begin`](super::changes::Changes::begin).
    pub(crate) fn begin_copy(&self, bytes_max: usize) {
        self.0.changes.begin(bytes_max);
    }

    /// Whether it is known what changed since the last copy.
    pub(crate) fn knows_changes(&self) -> bool {
        self.0.changes.is_known()
    }

    /// Puts back what was taken for a copy that failed.
    pub(crate) fn put_back(&self, taken: &Taken) {
        self.0.changes.put_back(taken);
    }

    /// What changed since it was taken last.
    pub(crate) fn take_changes(&self) -> Option<Taken> {
        self.0.changes.take()
    }

    /// The tenants whose records can be read: those that have keys.
    pub(crate) async fn readable_tenants(&self) -> Result<Vec<TenantId>> {
        self.0.writer.health()?;
        let platform = Arc::clone(&self.0.platform);
        let rows = blocking(move || platform.rows(TENANT.key().bytes(), Page::First, usize::MAX)).await?;
        let ids = rows.iter().filter_map(|(key, _)| id_in(key, 1)).map(TenantId::from_bytes);
        Ok(ids.filter(|tenant| self.0.keyring.tenant(*tenant).is_ok()).collect())
    }

    /// Whether a tenant has keys.
    pub(crate) fn has_keys(&self, tenant: TenantId) -> bool {
        self.0.keyring.tenant(tenant).is_ok()
    }

    /// The next records of a tree after a key.
    pub(crate) async fn page(&self, space: SpaceId, after: Option<IVec>) -> Result<Vec<Row>> {
        self.0.writer.health()?;
        let space = self.space_of(space).await?;
        blocking(move || {
            let page = after.as_ref().map_or(Page::First, |key| Page::After(key));
            space.rows(&[], page, PAGE_ROWS)
        })
        .await
    }

    /// The records of what was taken as they are now, a page at a time: those from the `from`-th on.
    pub(crate) async fn changed(&self, taken: &Taken, from: usize) -> Result<Vec<Copied>> {
        let keys = taken.spaces().flat_map(|(space, keys)| keys.iter().map(move |key| (space, key)));
        let page: Vec<_> =
            keys.skip(from).take(PAGE_ROWS).map(|(space, key)| (Arc::clone(space), key.clone())).collect();
        blocking(move || page.into_iter().map(|(space, key)| copied(&space, key)).collect()).await
    }

    /// Takes what changed and reads it in the writing thread: nothing is written meanwhile. Nothing
    /// when it is not known any more what changed.
    pub(crate) async fn last(&self) -> Result<Option<Last>> {
        let core = Arc::clone(&self.0);
        let read = move |_: &mut super::tx::Tx<'_>| {
            let Some(taken) = core.changes.take() else { return Ok(None) };
            let records: Result<Vec<_>> = taken
                .spaces()
                .flat_map(|(space, keys)| keys.iter().map(move |key| copied(space, key.clone())))
                .collect();
            Ok(Some(Last { records: records?, taken, at: core.clock.now() }))
        };
        self.0.writer.write(&self.0.platform, read).await
    }

    /// Whether a record of the platform's is a tenant's. See [`is_of`].
    pub(crate) fn is_of(&self, tenant: TenantId, key: &[u8], sealed: &[u8]) -> bool {
        is_of(&self.0.keyring.platform(), tenant, key, sealed)
    }

    async fn space_of(&self, space: SpaceId) -> Result<Arc<Space>> {
        match space {
            None => Ok(Arc::clone(&self.0.platform)),
            Some(tenant) => self.0.space(tenant).await,
        }
    }
}

fn copied(space: &Space, key: IVec) -> Result<Copied> {
    let sealed = space.sealed(&key)?;
    Ok(Copied { space: space.id, key, sealed })
}

/// Whether a record of the platform's is a tenant's: it itself, its channels, their addresses, its API
/// keys. One that does not open is nobody's.
pub(crate) fn is_of(platform: &TenantVault, tenant: TenantId, key: &[u8], sealed: &[u8]) -> bool {
    match key.first() {
        Some(&code) if code == TENANT.code || code == CHANNEL.code => {
            id_in(key, 1) == Some(tenant.to_bytes())
        }
        Some(&code) if code == CHANNEL_ADDRESS.code => {
            let owner = open(platform, PLATFORM, CHANNEL_ADDRESS, key, KeyRef::Tenant, sealed);
            owner.is_ok_and(|owner| owner.tenant == tenant)
        }
        Some(&code) if code == API_KEY.code => {
            let key = open(platform, PLATFORM, API_KEY, key, KeyRef::Tenant, sealed);
            key.is_ok_and(|key| key.tenant == Some(tenant))
        }
        _ => false,
    }
}
