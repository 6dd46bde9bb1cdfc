//! The settings of what is on the record: the audit log and the access log.

use std::path::PathBuf;

use serde::Deserialize;

/// The audit log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// So long after something came to it, the log is vouched for by a signed checkpoint, milliseconds.
    pub checkpoint_ms: u64,
    /// The file to which each checkpoint is written too; empty: none.
    pub checkpoints_file: PathBuf,
}

/// The access log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessSettings {
    /// Addresses are kept whole for so many days, then shortened to their network.
    pub whole_days: u64,
    /// Records are kept for so many days.
    pub kept_days: u64,
    /// Records that wait to be kept; one more waits for room, and its answer with it.
    pub queue_max: usize,
    /// Records that are kept in one write.
    pub group_max: usize,
}
