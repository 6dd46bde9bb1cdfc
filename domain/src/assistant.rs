//! What a tenant decides about its assistant.

use serde::{Deserialize, Serialize};

use crate::channel::StoredSecret;

/// The assistant's configuration, as one tenant set it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssistantSettings {
    /// Whether it answers at all.
    pub enabled: bool,
    /// The business task that it is bound to, in a sentence; at most 500 characters. An assistant
    /// without one does not answer: Meta's terms bar general-purpose assistants.
    pub task: String,
    /// How it should answer; at most 20,000 characters.
    pub instructions: String,
    /// The model, as its server names it.
    pub model: Option<String>,
    /// 0.0 (always the likeliest word) to 2.0.
    pub temperature: Option<f32>,
    /// The base address of an OpenAI-compatible server, if not the platform's. Its host must be one
    /// of those that the platform's configuration allows.
    pub base_url: Option<String>,
    /// The key for that server, if not the platform's. Write-only: never shown again.
    #[serde(default)]
    pub api_key: Option<StoredSecret>,
    /// How long a contact must be quiet before they are answered, milliseconds, 0 to 60,000.
    pub quiet_ms: u64,
    /// The longest that an answer is held back while more comes in, milliseconds, up to 300,000.
    pub cap_ms: u64,
    /// The longest answer, in tokens, 1 to 16,000.
    pub output_tokens_max: u32,
    /// The longest prompt, in tokens, 500 to 1,000,000; older history is left out.
    pub prompt_tokens_max: u32,
    /// What is sent when no answer could be had; nothing is sent where it is empty.
    pub fallback_text: String,
}

/// Settings, and which version of them these are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssistantSettingsVersion {
    /// Counts up from 1 with every change; 0 for the defaults.
    pub version: u64,
    /// The settings.
    pub settings: AssistantSettings,
}

/// Why settings were refused: which of them, and what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {rule}")]
pub struct BadSettings {
    /// The setting.
    pub field: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl AssistantSettings {
    /// Checks every range.
    pub fn validate(&self) -> Result<(), BadSettings> {
        let rules = [
            (self.task.chars().count() <= 500, "task", "must have at most 500 characters"),
            (
                !self.enabled || !self.task.trim().is_empty(),
                "task",
                "must say in a sentence which business task the assistant has, or it cannot be enabled",
            ),
            (
                self.instructions.chars().count() <= 20_000,
                "instructions",
                "must have at most 20,000 characters",
            ),
            (self.quiet_ms <= 60_000, "quiet_ms", "must be 0 to 60,000 milliseconds"),
            (
                self.cap_ms <= 300_000 && self.cap_ms >= self.quiet_ms,
                "cap_ms",
                "must be at least quiet_ms and at most 300,000 milliseconds",
            ),
            ((1..=16_000).contains(&self.output_tokens_max), "output_tokens_max", "must be 1 to 16,000"),
            (
                (500..=1_000_000).contains(&self.prompt_tokens_max),
                "prompt_tokens_max",
                "must be 500 to 1,000,000",
            ),
            (
                self.temperature.is_none_or(|temperature| (0.0..=2.0).contains(&temperature)),
                "temperature",
                "must be 0.0 to 2.0",
            ),
            (
                self.fallback_text.chars().count() <= 4_096,
                "fallback_text",
                "must have at most 4,096 characters",
            ),
        ];
        match rules.into_iter().find(|(holds, _, _)| !holds) {
            Some((_, field, rule)) => Err(BadSettings { field, rule }),
            None => Ok(()),
        }
    }
}
