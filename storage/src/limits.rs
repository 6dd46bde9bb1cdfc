//! What a store may hold and how much of it at once.

use iassistance_config::StorageSettings;

use crate::error::StorageError;

/// Documents of a tenant.
pub(crate) const DOCUMENTS_MAX: usize = 500;
/// Passages of a tenant, of all its documents.
pub(crate) const PASSAGES_MAX: usize = 20_000;
/// Golden questions of a tenant.
pub(crate) const GOLDEN_MAX: usize = 500;
/// Versions of the assistant's settings that are kept.
pub(crate) const SETTINGS_VERSIONS_MAX: u64 = 200;
/// Facts that are noted about a contact.
pub(crate) const ATTRIBUTES_MAX: usize = 50;
/// How many days the sums of a day are kept.
pub(crate) const SUMS_KEPT_DAYS: u64 = 400;
/// How many days money may be set aside: no turn takes as long.
pub(crate) const RESERVED_DAYS: u64 = 2;
/// Invitations to one place.
pub(crate) const INVITATIONS_MAX: usize = 1_000;
/// An invitation that is over is kept so long, milliseconds.
pub(crate) const INVITATIONS_KEPT_MS: u64 = 90 * 24 * 60 * 60 * 1_000;
/// The use of a session or a key is noted once in so long, milliseconds.
pub(crate) const TOUCH_MS: u64 = 60 * 1_000;
/// Answers to requests with a key of their own, of a tenant or the platform.
pub(crate) const ANSWERS_MAX: u64 = 10_000;
/// Subscriptions of a tenant.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 50;
/// Revocations that whoever listens may be behind.
pub(crate) const REVOCATIONS_MAX: usize = 1_024;
/// Records of a log, or deliveries, that one write goes through.
pub(crate) const LOG_ROWS: usize = 1_000;

/// What a store may hold and how much of it at once; every backend keeps to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Letters per tenant that nobody has read yet; with that many, nothing more is accepted.
    pub inbox_entries_max: u64,
    /// Letters of all tenants together that nobody has read yet. Beyond it only tenants are heard that have
    /// few, and beyond an eighth more nobody.
    pub letters_max: u64,
    /// Statuses and edits per tenant that wait for their message; beyond it the oldest are dropped.
    pub parked_max: u64,
    /// Events of unknown addresses that are kept, all in all; beyond it the oldest are dropped.
    pub unrouted_max: u64,
    /// Writes that may wait; beyond it they are refused. Of those that somebody outside waits for, and of
    /// conversations' steps, so many each: a backlog of steps refuses no acknowledgement.
    pub write_queue_max: usize,
    /// How many of them may be one tenant's.
    pub write_queue_per_tenant_max: usize,
    /// Writes that share one sync at most.
    pub group_max: usize,
    /// sled's page cache, bytes.
    pub cache_bytes: u64,
    /// Contacts' keys that are held unwrapped, over all tenants.
    pub contact_keys_max: usize,
    /// So many bytes of the disk must be free for anything new; a sixteenth of it for what was taken in
    /// already. 0 takes no look.
    pub free_bytes_min: u64,
    /// The store is rewritten when its files are so many times as large as what is alive in them; 0 never.
    pub rewrite_ratio: f64,
    /// Files that are smaller than this, bytes, are left as they are.
    pub rewrite_bytes_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbox_entries_max: 100_000,
            letters_max: 1_000_000,
            parked_max: 10_000,
            unrouted_max: 10_000,
            write_queue_max: 4_096,
            write_queue_per_tenant_max: 1_024,
            group_max: 512,
            cache_bytes: 64 * 1_024 * 1_024,
            contact_keys_max: 32_768,
            free_bytes_min: 256 * 1_024 * 1_024,
            rewrite_ratio: 2.5,
            rewrite_bytes_min: 64 * 1_024 * 1_024,
        }
    }
}

/// Who has fewer than this part of all letters that may be there is heard although there are too many: it
/// is not who filled the place.
const FEW_LETTERS: u64 = 128;

impl Limits {
    /// Whether a tenant with `own` letters may get more while there are `all` of them.
    ///
    /// # Errors
    /// [`StorageError::Backlog`] when it has too many, [`StorageError::Crowded`] when all have.
    pub(crate) fn room_for_letters(&self, own: u64, all: u64) -> Result<(), StorageError> {
        if own >= self.inbox_entries_max {
            return Err(StorageError::Backlog { entries: own });
        }
        let is_small = own <= self.letters_max / FEW_LETTERS;
        let most =
            if is_small { self.letters_max.saturating_add(self.letters_max / 8) } else { self.letters_max };
        if all < most { Ok(()) } else { Err(StorageError::Crowded { entries: all }) }
    }
}

impl From<&StorageSettings> for Limits {
    fn from(settings: &StorageSettings) -> Self {
        Self {
            inbox_entries_max: settings.inbox_entries_max,
            letters_max: settings.letters_max,
            parked_max: settings.parked_max as u64,
            unrouted_max: settings.unrouted_max as u64,
            write_queue_max: settings.write_queue_max,
            write_queue_per_tenant_max: settings.write_queue_per_tenant_max,
            group_max: settings.group_max,
            cache_bytes: settings.cache_bytes as u64,
            free_bytes_min: settings.free_bytes_min,
            rewrite_ratio: settings.rewrite_ratio,
            rewrite_bytes_min: settings.rewrite_bytes_min,
            ..Self::default()
        }
    }
}
