//! What a tenant decides about its assistant.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::budget::{Budgets, Instead};
use crate::channel::StoredSecret;
use crate::hours::BusinessHours;
use crate::tool::{BuiltInTools, HttpTool};

/// What the platform's own tools are called; a tenant's tool may not be called so.
pub const BUILT_IN_NAMES: [&str; 6] = [
    "handover_to_human",
    "search_knowledge",
    "set_contact_attribute",
    "send_buttons",
    "send_list",
    "schedule_follow_up",
];

/// The assistant's configuration, as one tenant set it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(deny_unknown_fields)]
pub struct AssistantSettings {
    /// Whether it answers at all.
    #[data(setting)]
    pub enabled: bool,
    /// The business task that it is bound to, in a sentence; at most 500 characters. An assistant
    /// without one does not answer: Meta's terms bar general-purpose assistants.
    #[data(setting)]
    pub task: String,
    /// How it should answer; at most 20,000 characters.
    #[data(setting)]
    pub instructions: String,
    /// The model, as its server names it.
    #[data(setting)]
    pub model: Option<String>,
    /// 0.0 (always the likeliest word) to 2.0.
    #[data(setting)]
    pub temperature: Option<f32>,
    /// The base address of an OpenAI-compatible server, if not the platform's. Its host must be one
    /// of those that the platform's configuration allows.
    #[data(setting)]
    pub base_url: Option<String>,
    /// The key for that server, if not the platform's. Write-only: never shown again.
    #[serde(default)]
    #[data(setting)]
    pub api_key: Option<StoredSecret>,
    /// How long a contact must be quiet before they are answered, milliseconds, 0 to 60,000.
    #[data(setting)]
    pub quiet_ms: u64,
    /// The longest that an answer is held back while more comes in, milliseconds, up to 300,000.
    #[data(setting)]
    pub cap_ms: u64,
    /// The longest answer, in tokens, 1 to 16,000.
    #[data(setting)]
    pub output_tokens_max: u32,
    /// The longest prompt, in tokens, 500 to 1,000,000; older history is left out.
    #[data(setting)]
    pub prompt_tokens_max: u32,
    /// What is sent when no answer could be had; nothing is sent where it is empty.
    #[data(setting)]
    pub fallback_text: String,
    /// The languages of the business as BCP 47 tags (`es-AR`), the first one first; at most 10. The
    /// platform's own sentences are said in the first that they exist in: `es`, `pt` or `en`.
    #[serde(default)]
    #[data(setting)]
    pub languages: Vec<String>,
    /// Models that are asked, in order, when the one before gives no answer; at most 3.
    #[serde(default)]
    #[data(setting)]
    pub fallback_models: Vec<String>,
    /// What happens when no answer could be had.
    #[serde(default)]
    #[data(setting)]
    pub on_failure: Instead,
    /// How long an answer is held back for files that are still fetched or listened to,
    /// milliseconds, up to 120,000.
    #[serde(default = "media_cap_ms")]
    #[data(setting)]
    pub media_cap_ms: u64,
    /// That it is a machine.
    #[serde(default)]
    #[data(parts)]
    pub disclosure: Disclosure,
    /// People.
    #[serde(default)]
    #[data(parts)]
    pub people: PeopleSettings,
    /// When people are there; always, if nothing is said.
    #[serde(default)]
    #[data(parts)]
    pub hours: Option<BusinessHours>,
    /// What of a conversation the model reads.
    #[serde(default)]
    #[data(parts)]
    pub context: ContextSettings,
    /// What may be asked and answered.
    #[serde(default)]
    #[data(parts)]
    pub moderation: Moderation,
    /// The platform's own tools.
    #[serde(default)]
    #[data(parts)]
    pub built_in: BuiltInTools,
    /// The tenant's own tools; at most 32.
    #[serde(default)]
    #[data(parts)]
    pub tools: Vec<HttpTool>,
    /// How many rounds of tools a turn may have, 1 to 20.
    #[serde(default = "tool_rounds_max")]
    #[data(setting)]
    pub tool_rounds_max: u32,
    /// Money.
    #[serde(default)]
    #[data(parts)]
    pub budgets: Budgets,
    /// What happens to a send whose fate the channel never told; nothing for the platform's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(setting)]
    pub unknown_sends: Option<UnknownSends>,
}

/// What happens to a send whose answer never came and of which the channel never told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnknownSends {
    /// A person is asked: a dead letter that may be replayed. The contact may miss the message.
    Hold,
    /// It is sent again, and the log tells. The contact may get it twice.
    Resend,
}

const fn media_cap_ms() -> u64 {
    20_000
}

const fn tool_rounds_max() -> u32 {
    6
}

/// That the contact is told that a machine answers: the first time, after a long silence, and when it
/// answers again after a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Disclosure {
    /// Whether it is said.
    #[data(setting)]
    pub enabled: bool,
    /// The words, at most 300 characters; empty for the platform's own.
    #[data(setting)]
    pub text: String,
    /// After how long a silence of the assistant it is said again, hours; 0 is never.
    #[data(setting)]
    pub lapse_hours: u32,
}

impl Default for Disclosure {
    fn default() -> Self {
        Self { enabled: true, text: String::new(), lapse_hours: 24 * 7 }
    }
}

/// How people and the assistant share conversations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PeopleSettings {
    /// What is said to who waits for a person, at most 1,000 characters; empty for the platform's own.
    #[data(setting)]
    pub waiting_text: String,
    /// After how long a silence of the person the assistant answers again, minutes, up to 10,080;
    /// nothing is never.
    #[data(setting)]
    pub handback_minutes: Option<u32>,
    /// Words with which a contact asks for silence, besides the usual ones; at most 20. Whoever writes
    /// one and nothing else is not answered until they write something else.
    #[data(setting)]
    pub opt_out_words: Vec<String>,
    /// Answers that people give again and again, at hand where they write; at most 100.
    #[data(parts)]
    pub canned: Vec<CannedReply>,
}

/// An answer that people give again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CannedReply {
    /// By what it is found: 1 to 40 characters.
    #[data(setting)]
    pub name: String,
    /// What it says: 1 to 2,000 characters.
    #[data(setting)]
    pub text: String,
}

/// What of a conversation the model reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct ContextSettings {
    /// Whether pictures are shown to the model.
    #[data(setting)]
    pub images: bool,
    /// Whether voice messages are written down for it.
    #[data(setting)]
    pub voice: bool,
    /// Whether the text of documents is shown to it.
    #[data(setting)]
    pub documents: bool,
    /// Whether what is too old to be read whole is summed up.
    #[data(setting)]
    pub summary: bool,
    /// Whether phone numbers, cards and national ids (DNI, CUIT, CPF, CNPJ) are covered before the model reads them,
    /// and put back in what it says.
    #[data(setting)]
    pub pseudonyms: bool,
}

impl Default for ContextSettings {
    fn default() -> Self {
        Self { images: true, voice: true, documents: true, summary: true, pseudonyms: false }
    }
}

/// Whether the server's moderation looks at what is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Moderation {
    /// At what the contact wrote, before the model reads it.
    #[data(setting)]
    pub before: bool,
    /// At what the model wrote, before it is sent.
    #[data(setting)]
    pub after: bool,
    /// What happens when it objects.
    #[data(setting)]
    pub on_objection: Instead,
}

/// Settings that are not in force: they are tried and published, or thrown away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Mapped)]
#[data(purpose = "reply", basis = "contract", keep = "setting")]
pub struct AssistantDraft {
    /// The settings.
    #[data(parts)]
    pub settings: AssistantSettings,
    /// The version that they were made from; publishing is refused when another counts by then.
    #[data(setting)]
    pub based_on: u64,
    /// When they were saved.
    #[data(operational)]
    pub saved_at: Timestamp,
}

/// Settings, and which version of them these are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Mapped)]
#[data(purpose = "reply", basis = "contract", keep = "setting")]
pub struct AssistantSettingsVersion {
    /// Counts up from 1 with every change; 0 for the defaults.
    #[data(setting)]
    pub version: u64,
    /// The settings.
    #[data(parts)]
    pub settings: AssistantSettings,
    /// When they were published; nothing for the defaults, and for what is older than this field.
    #[serde(default)]
    #[data(operational)]
    pub published_at: Option<Timestamp>,
    /// The version whose settings these are again, if they were rolled back to.
    #[serde(default)]
    #[data(setting)]
    pub rolled_back_to: Option<u64>,
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
        let rules = rules.into_iter().chain(self.later_rules());
        match { rules }.find(|(holds, _, _)| !holds) {
            Some((_, field, rule)) => Err(BadSettings { field, rule }),
            None => self.validate_tools(),
        }
    }

    fn later_rules(&self) -> [(bool, &'static str, &'static str); 12] {
        let characters = |text: &str, max| text.chars().count() <= max;
        let tag = |tag: &String| {
            (2..=35).contains(&tag.len())
                && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let name = |name: &String| !name.trim().is_empty() && characters(name, 120);
        let word = |word: &String| !word.trim().is_empty() && characters(word, 60);
        let hours = self.hours.as_ref().and_then(BusinessHours::problem);
        let people = &self.people;
        let canned = |reply: &CannedReply| {
            let said = |text: &str, max| !text.trim().is_empty() && characters(text, max);
            said(&reply.name, 40) && said(&reply.text, 2_000)
        };
        [
            (
                people.canned.len() <= 100 && people.canned.iter().all(canned),
                "people.canned",
                "must be at most 100 answers with a name of 1 to 40 characters and a text of 1 to 2,000",
            ),
            (
                self.languages.len() <= 10 && self.languages.iter().all(tag),
                "languages",
                "must be at most 10 tags like es or pt-BR",
            ),
            (
                self.fallback_models.len() <= 3 && self.fallback_models.iter().all(name),
                "fallback_models",
                "must be at most 3 names",
            ),
            (self.media_cap_ms <= 120_000, "media_cap_ms", "must be 0 to 120,000 milliseconds"),
            (characters(&self.disclosure.text, 300), "disclosure.text", "must have at most 300 characters"),
            (self.disclosure.lapse_hours <= 24 * 365, "disclosure.lapse_hours", "must be 0 to 8,760 hours"),
            (
                characters(&people.waiting_text, 1_000),
                "people.waiting_text",
                "must have at most 1,000 characters",
            ),
            (
                people.handback_minutes.is_none_or(|minutes| (1..=10_080).contains(&minutes)),
                "people.handback_minutes",
                "must be 1 to 10,080 minutes, or null for never",
            ),
            (
                people.opt_out_words.len() <= 20 && people.opt_out_words.iter().all(word),
                "people.opt_out_words",
                "must be at most 20 words of at most 60 characters",
            ),
            (hours.is_none(), "hours", hours.unwrap_or("must be right")),
            ((1..=20).contains(&self.tool_rounds_max), "tool_rounds_max", "must be 1 to 20"),
            (self.tools.len() <= 32, "tools", "must be at most 32"),
        ]
    }

    fn validate_tools(&self) -> Result<(), BadSettings> {
        for (index, tool) in self.tools.iter().enumerate() {
            let letters = tool.name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            let taken = BUILT_IN_NAMES.contains(&tool.name.as_str())
                || self.tools[..index].iter().any(|other| other.name == tool.name);
            let rules = [
                (
                    letters && (1..=64).contains(&tool.name.len()) && !taken,
                    "tools.name",
                    "must be 1 to 64 of a-z, 0-9 and _, and unlike every other tool's",
                ),
                (
                    !tool.description.trim().is_empty() && tool.description.chars().count() <= 1_000,
                    "tools.description",
                    "must say in at most 1,000 characters what the tool does",
                ),
                (
                    // Plain http is for hosts that the platform's operator names: that is egress's to say.
                    tool.url.len() <= 2_000
                        && (tool.url.starts_with("https://") || tool.url.starts_with("http://")),
                    "tools.url",
                    "must be an https address of at most 2,000 characters",
                ),
                (
                    (100..=60_000).contains(&tool.timeout_ms),
                    "tools.timeout_ms",
                    "must be 100 to 60,000 milliseconds",
                ),
                (tool.parameters.is_object(), "tools.parameters", "must be a JSON Schema of an object"),
            ];
            if let Some((_, field, rule)) = rules.into_iter().find(|(holds, _, _)| !holds) {
                return Err(BadSettings { field, rule });
            }
        }
        Ok(())
    }
}
