//! The settings of outgoing webhooks.

use serde::Deserialize;

/// Outgoing webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// Hosts that webhooks may reach although they are private, over plain http too.
    pub private_hosts: Vec<String>,
    /// How long a receiver has for its answer, milliseconds.
    pub timeout_ms: u64,
    /// How much of the answer is read, bytes.
    pub answer_bytes_max: usize,
    /// Deliveries under way at once.
    pub concurrency: usize,
    /// How many of them may be one tenant's.
    pub concurrency_per_tenant: usize,
    /// Deliveries of a tenant that wait; what comes beyond it waits in its log.
    pub waiting_max: usize,
    /// The pause before the second try, milliseconds; it doubles, with jitter.
    pub retry_ms: u64,
    /// The longest pause between two tries, milliseconds.
    pub retry_max_ms: u64,
    /// A delivery is given up so long after its first try, hours.
    pub give_up_hours: u64,
    /// A webhook whose receiver took nothing for so long is paused, hours; 0 never.
    pub pause_hours: u64,
    /// Deliveries that arrived are shown for so many days.
    pub kept_days: u64,
    /// Deliveries that were given up are kept for so many days after their events.
    pub dead_days: u64,
}
