//! What settings must keep to, besides being of the right kind.

use url::Url;

use crate::turns::ModelPrice;
use crate::{ConfigError, Settings};

/// Whether it holds, the setting, and what would do.
pub(crate) type Rule = (bool, &'static str, &'static str);

impl Settings {
    /// Checks the ranges that the kinds of values do not say.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let rules = [
            (
                self.storage.dedup_days >= 8,
                "storage.dedup_days",
                "must be at least 8: Meta repeats for 7 days",
            ),
            (
                self.server.connections_per_address_max > 0,
                "server.connections_per_address_max",
                "must be at least 1",
            ),
            (
                (1_024..=131_072).contains(&self.server.head_bytes_max),
                "server.head_bytes_max",
                "must be 1024 to 131072",
            ),
            (self.server.pace_window_ms > 0, "server.pace_window_ms", "must be at least 1"),
            (self.storage.group_max > 0, "storage.group_max", "must be at least 1"),
            (self.storage.write_queue_max > 0, "storage.write_queue_max", "must be at least 1"),
            (
                self.storage.rewrite_ratio == 0.0 || self.storage.rewrite_ratio >= 1.5,
                "storage.rewrite_ratio",
                "must be 0 (never) or at least 1.5",
            ),
            (
                self.storage.write_queue_per_tenant_max > 0,
                "storage.write_queue_per_tenant_max",
                "must be at least 1",
            ),
            (self.storage.letters_max > 0, "storage.letters_max", "must be at least 1"),
            (
                self.actors.conversations_per_tenant_max > 0,
                "actors.conversations_per_tenant_max",
                "must be at least 1",
            ),
            (
                self.dispatch.concurrency_per_tenant > 0,
                "dispatch.concurrency_per_tenant",
                "must be at least 1",
            ),
            (
                self.backup.to.is_empty() || !self.backup.recipients.is_empty(),
                "backup.recipients",
                "must name at least one age public key (age1...) where backup.to is set",
            ),
            (
                self.backup.every_minutes == 0 || !self.backup.to.is_empty(),
                "backup.to",
                "must name a folder or a bucket where backup.every_minutes is set",
            ),
            (self.backup.keep > 0, "backup.keep", "must be at least 1"),
            (self.backup.base_hours > 0, "backup.base_hours", "must be at least 1"),
            (self.actors.tenant_mailbox > 0, "actors.tenant_mailbox", "must be at least 1"),
            (self.actors.conversation_mailbox > 0, "actors.conversation_mailbox", "must be at least 1"),
            (self.actors.letters_per_step > 0, "actors.letters_per_step", "must be at least 1"),
            (self.actors.sweep_ms > 0, "actors.sweep_ms", "must be at least 1"),
            (self.limits.tenant_steps_per_s > 0, "limits.tenant_steps_per_s", "must be at least 1"),
            (self.limits.tenant_burst > 0, "limits.tenant_burst", "must be at least 1"),
            (
                self.limits.conversation_turns_per_min > 0,
                "limits.conversation_turns_per_min",
                "must be at least 1",
            ),
            (self.limits.conversation_burst > 0, "limits.conversation_burst", "must be at least 1"),
            (self.limits.number_sends_per_s > 0, "limits.number_sends_per_s", "must be at least 1"),
            (self.limits.pair_interval_ms > 0, "limits.pair_interval_ms", "must be at least 1"),
            (self.limits.pair_burst > 0, "limits.pair_burst", "must be at least 1"),
            (self.dispatch.concurrency > 0, "dispatch.concurrency", "must be at least 1"),
            (self.dispatch.attempts_max > 0, "dispatch.attempts_max", "must be at least 1"),
            (self.windows.free_hours > 0, "windows.free_hours", "must be at least 1"),
            (self.media.file_bytes_max > 0, "media.file_bytes_max", "must be at least 1"),
            (self.media.fetch_concurrency > 0, "media.fetch_concurrency", "must be at least 1"),
            (self.media.fetch_attempts_max > 0, "media.fetch_attempts_max", "must be at least 1"),
            (self.model.attempts_max > 0, "model.attempts_max", "must be at least 1"),
            (self.model.turns_max > 0, "model.turns_max", "must be at least 1"),
            (self.model.turns_per_tenant_max > 0, "model.turns_per_tenant_max", "must be at least 1"),
            (self.model.turn_ms > 0, "model.turn_ms", "must be at least 1"),
            (self.model.breaker_failures_max > 0, "model.breaker_failures_max", "must be at least 1"),
            (self.model.breaker_window_ms > 0, "model.breaker_window_ms", "must be at least 1"),
            (self.model.breaker_open_ms > 0, "model.breaker_open_ms", "must be at least 1"),
            (self.live.frames_in_flight_max > 0, "live.frames_in_flight_max", "must be at least 1"),
            (self.live.tail_events > 0, "live.tail_events", "must be at least 1"),
        ];
        let rules = rules
            .into_iter()
            .chain(self.server.rules())
            .chain(self.rules_of_turns())
            .chain(self.rules_of_hooks())
            .chain(self.rules_of_identity())
            .chain(self.rules_of_privacy());
        match { rules }.find(|(holds, _, _)| !holds) {
            Some((_, key, rule)) => Err(ConfigError::OutOfRange { key, rule }),
            None => Ok(()),
        }
    }

    fn rules_of_turns(&self) -> [Rule; 11] {
        let (tools, knowledge, assistant) = (&self.tools, &self.knowledge, &self.assistant);
        [
            (
                (1..=16).contains(&self.prices.currency.trim().len()),
                "prices.currency",
                "must be a short name such as USD",
            ),
            (
                self.prices.all().all(ModelPrice::is_sound),
                "prices",
                "must be amounts of 0 to 1,000,000 for a million tokens",
            ),
            (
                tools.private_hosts.iter().all(|host| is_host(host)),
                "tools.private_hosts",
                "must be names like crm.internal or crm.internal:8080, without https:// and without a path",
            ),
            (tools.answer_bytes_max >= 1_024, "tools.answer_bytes_max", "must be at least 1024"),
            (tools.calls_per_turn_max > 0, "tools.calls_per_turn_max", "must be at least 1"),
            (tools.concurrency > 0, "tools.concurrency", "must be at least 1"),
            (
                knowledge.document_bytes_max > 0 && knowledge.characters_max > 0,
                "knowledge.document_bytes_max",
                "and knowledge.characters_max must be at least 1",
            ),
            ((1..=500).contains(&knowledge.documents_max), "knowledge.documents_max", "must be 1 to 500"),
            (
                knowledge.concurrency > 0 && knowledge.indexes_max > 0,
                "knowledge.concurrency",
                "and knowledge.indexes_max must be at least 1",
            ),
            (
                (50..=4_000).contains(&knowledge.passage_tokens) && (1..=20).contains(&knowledge.found_max),
                "knowledge.passage_tokens",
                "must be 50 to 4000, and knowledge.found_max 1 to 20",
            ),
            (
                (1..=20).contains(&assistant.tool_rounds_max) && assistant.media_cap_ms <= 120_000,
                "assistant.tool_rounds_max",
                "must be 1 to 20, and assistant.media_cap_ms at most 120000",
            ),
        ]
    }
}

impl Settings {
    fn rules_of_hooks(&self) -> [Rule; 14] {
        let (hooks, access) = (&self.hooks, &self.access);
        let retention = &self.retention;
        let classes = [
            retention.contact,
            retention.message,
            retention.execution,
            retention.event,
            retention.webhook,
            retention.dead_letter,
        ];
        [
            (
                classes.into_iter().all(crate::ClassDays::are_sound),
                "retention",
                "must have floor <= default <= ceiling for each class, from 1 to 36500 days",
            ),
            (
                (15..=1_440).contains(&retention.sweep_minutes)
                    && (15..=2_880).contains(&retention.keys_turn_minutes),
                "retention.sweep_minutes",
                "must be 15 to 1440, and retention.keys_turn_minutes 15 to 2880",
            ),
            (
                self.rights.are_sound(),
                "rights",
                "must name a law, and have code_digits of 6 to 12, code_minutes of 1 to 60, code_tries of 1 to 10, \
                 codes_per_day of 1 to 50, link_minutes of 1 to 120, unproven_days of 1 to 365, repeat_days of at most \
                 3650, page_burst and page_interval_ms of at least 1 and page_per_hour of 1 to 100000",
            ),
            (self.vault.copies_days <= 7, "vault.copies_days", "must be at most 7"),
            (self.audit.checkpoint_ms > 0, "audit.checkpoint_ms", "must be at least 1"),
            (
                access.whole_days <= access.kept_days && (1..=3_650).contains(&access.kept_days),
                "access.kept_days",
                "must be 1 to 3650, and access.whole_days no more than that",
            ),
            (
                (1..=1_000_000).contains(&access.queue_max) && (1..=1_000).contains(&access.group_max),
                "access.queue_max",
                "must be 1 to 1000000, and access.group_max 1 to 1000",
            ),
            (
                hooks.private_hosts.iter().all(|host| is_host(host)),
                "hooks.private_hosts",
                "must be names like crm.internal or crm.internal:8080, without https:// and without a path",
            ),
            (
                (1_000..=60_000).contains(&hooks.timeout_ms) && hooks.answer_bytes_max <= 1_048_576,
                "hooks.timeout_ms",
                "must be 1000 to 60000, and hooks.answer_bytes_max at most 1048576",
            ),
            (
                hooks.concurrency > 0 && hooks.concurrency_per_tenant > 0,
                "hooks.concurrency",
                "and hooks.concurrency_per_tenant must be at least 1",
            ),
            ((1..=1_000_000).contains(&hooks.waiting_max), "hooks.waiting_max", "must be 1 to 1000000"),
            (
                hooks.retry_ms > 0 && hooks.retry_max_ms >= hooks.retry_ms,
                "hooks.retry_ms",
                "must be at least 1, and hooks.retry_max_ms at least as much",
            ),
            (
                hooks.give_up_hours > 0 && hooks.kept_days > 0,
                "hooks.give_up_hours",
                "and hooks.kept_days must be at least 1",
            ),
            (
                hooks.dead_days.saturating_mul(24) > hooks.give_up_hours,
                "hooks.dead_days",
                "must be more than hooks.give_up_hours: what is given up is to be seen for a while",
            ),
        ]
    }
}

/// A host's name or address, with a port or without.
fn is_host(text: &str) -> bool {
    let plain = !text.is_empty() && !text.contains(['/', '@', '?', '#', ' ']);
    plain && Url::parse(&format!("http://{text}")).is_ok_and(|url| url.host().is_some())
}
