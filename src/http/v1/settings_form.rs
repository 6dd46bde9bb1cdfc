//! The assistant's settings as REST shows and takes them: whole, without secrets on the way out, and
//! with secrets that stay when they are left out on the way in.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;

use iassistance_domain::assistant::{
    AssistantSettings, ContextSettings, Disclosure, Moderation, PeopleSettings, UnknownSends,
};
use iassistance_domain::budget::{Budgets, Instead};
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::hours::BusinessHours;
use iassistance_domain::tool::{BuiltInTools, HttpTool, ToolMethod, ToolSecret};
use iassistance_egress::Egress;

use super::input::{self, Given};
use crate::http::Problem;
use crate::settings_check;

/// How long a tool may take where nothing is said, milliseconds.
const TOOL_TIMEOUT_MS: u64 = 10_000;

/// The assistant's settings, without secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = Settings)]
pub struct SettingsView {
    /// Whether it answers at all.
    enabled: bool,
    /// The business task that it is bound to.
    task: String,
    /// How it should answer.
    instructions: String,
    /// The model; `null` for the platform's.
    model: Option<String>,
    /// Models that are asked, in order, when the one before gives no answer.
    fallback_models: Vec<String>,
    /// 0.0 to 2.0; `null` for the model's own.
    temperature: Option<f32>,
    /// The model server; `null` for the platform's.
    base_url: Option<String>,
    /// Whether there is a key of the tenant's own for that server.
    has_api_key: bool,
    /// The languages of the business, as BCP 47 tags.
    languages: Vec<String>,
    /// How long a contact must be quiet before they are answered, milliseconds.
    quiet_ms: u64,
    /// The longest that an answer is held back while more comes in, milliseconds.
    cap_ms: u64,
    /// The same while files are still fetched or listened to, milliseconds.
    media_cap_ms: u64,
    /// The longest answer, in tokens.
    output_tokens_max: u32,
    /// The longest prompt, in tokens.
    prompt_tokens_max: u32,
    /// What is sent when no answer could be had.
    fallback_text: String,
    /// What happens then.
    on_failure: Instead,
    /// That it is a machine.
    disclosure: Disclosure,
    /// How people and the assistant share conversations.
    people: PeopleSettings,
    /// When people are there; `null` for always.
    hours: Option<BusinessHours>,
    /// What of a conversation the model reads.
    context: ContextSettings,
    /// Whether the server's moderation looks at what is asked and answered.
    moderation: Moderation,
    /// The platform's own tools.
    built_in: BuiltInTools,
    /// The tenant's own tools.
    tools: Vec<ToolView>,
    /// How many rounds of tools a turn may have.
    tool_rounds_max: u32,
    /// How much may be spent, in millionths of the currency of `GET …/spending`.
    budgets: Budgets,
    /// What happens to a send whose fate the channel never told; `null` for the platform's choice.
    unknown_sends: Option<UnknownSends>,
}

/// A tool of the tenant's own, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Tool)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that the tenant says")]
pub struct ToolView {
    /// What the model calls it by.
    name: String,
    /// What it does and when to use it.
    description: String,
    /// How it is called.
    method: ToolMethod,
    /// Where.
    url: String,
    /// JSON Schema of its arguments.
    #[schema(value_type = Object)]
    parameters: Value,
    /// JSON Schema of its answer; `null` where that is not checked.
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
    /// The header that proves who calls; its value is never shown. `null` where there is none.
    secret_header: Option<String>,
    /// How long a call may take, milliseconds.
    timeout_ms: u64,
    /// Whether calling it twice does no harm.
    repeatable: bool,
    /// Whether a call changes something in the world.
    side_effects: bool,
    /// Whether it may be called with side effects after an outside server was read.
    after_untrusted: bool,
    /// Whether what it answers is the business's own word.
    trusted: bool,
}

impl From<HttpTool> for ToolView {
    fn from(tool: HttpTool) -> Self {
        Self {
            name: tool.name,
            description: tool.description,
            method: tool.method,
            url: tool.url,
            parameters: tool.parameters,
            answer: tool.answer,
            secret_header: tool.secret.map(|secret| secret.header),
            timeout_ms: tool.timeout_ms,
            repeatable: tool.repeatable,
            side_effects: tool.side_effects,
            after_untrusted: tool.after_untrusted,
            trusted: tool.trusted,
        }
    }
}

impl From<AssistantSettings> for SettingsView {
    fn from(settings: AssistantSettings) -> Self {
        Self {
            enabled: settings.enabled,
            task: settings.task,
            instructions: settings.instructions,
            model: settings.model,
            fallback_models: settings.fallback_models,
            temperature: settings.temperature,
            base_url: settings.base_url,
            has_api_key: settings.api_key.is_some(),
            languages: settings.languages,
            quiet_ms: settings.quiet_ms,
            cap_ms: settings.cap_ms,
            media_cap_ms: settings.media_cap_ms,
            output_tokens_max: settings.output_tokens_max,
            prompt_tokens_max: settings.prompt_tokens_max,
            fallback_text: settings.fallback_text,
            on_failure: settings.on_failure,
            disclosure: settings.disclosure,
            people: settings.people,
            hours: settings.hours,
            context: settings.context,
            moderation: settings.moderation,
            built_in: settings.built_in,
            tools: settings.tools.into_iter().map(ToolView::from).collect(),
            tool_rounds_max: settings.tool_rounds_max,
            budgets: settings.budgets,
            unknown_sends: settings.unknown_sends,
        }
    }
}

/// The assistant's settings, whole: what has a default and is left out has that default then.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "enabled": true, "task": "Answer questions about orders.", "instructions": "Be short and kind.", "model": null,
    "temperature": 0.2, "base_url": null, "languages": ["en"], "quiet_ms": 3_000, "cap_ms": 20_000,
    "output_tokens_max": 800, "prompt_tokens_max": 8_000, "fallback_text": "We will be right back.",
}))]
pub struct NewAssistant {
    /// Whether it answers at all.
    enabled: bool,
    /// The business task that it is bound to, in a sentence; at most 500 characters. Without one it
    /// cannot be enabled.
    task: String,
    /// How it should answer; at most 20,000 characters.
    instructions: String,
    /// The model, as its server names it; `null` for the platform's. At most 120 characters.
    model: Option<String>,
    /// Models that are asked, in order, when the one before gives no answer; at most 3.
    #[serde(default)]
    fallback_models: Vec<String>,
    /// 0.0 to 2.0; `null` for the model's own.
    temperature: Option<f32>,
    /// An OpenAI-compatible server that the platform allows; `null` for the platform's.
    base_url: Option<String>,
    /// The key for that server. Left out, the former stays; `null` removes it. Never shown again.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    api_key: Given<String>,
    /// The languages of the business as BCP 47 tags (`es-AR`), at most 10. The platform's own
    /// sentences are said in the first that they exist in: `es`, `pt` or `en`.
    #[serde(default)]
    languages: Vec<String>,
    /// How long a contact must be quiet before they are answered, milliseconds, 0 to 60,000.
    quiet_ms: u64,
    /// The longest that an answer is held back while more comes in, milliseconds, up to 300,000.
    cap_ms: u64,
    /// The same while files are still fetched or listened to, milliseconds, up to 120,000.
    #[serde(default = "media_cap_ms")]
    #[schema(default = 20_000)]
    media_cap_ms: u64,
    /// The longest answer, in tokens, 1 to 16,000.
    output_tokens_max: u32,
    /// The longest prompt, in tokens, 500 to 1,000,000.
    prompt_tokens_max: u32,
    /// What is sent when no answer could be had; empty: nothing. At most 4,096 characters.
    fallback_text: String,
    /// What happens then: `text` sends `fallback_text`, `human` has the conversation wait for a
    /// person, `silence` says nothing.
    #[serde(default)]
    on_failure: Instead,
    /// That it is a machine: said the first time, after a long silence, and after a person.
    #[serde(default)]
    disclosure: Disclosure,
    /// How people and the assistant share conversations.
    #[serde(default)]
    people: PeopleSettings,
    /// When people are there; `null` for always.
    #[serde(default)]
    hours: Option<BusinessHours>,
    /// What of a conversation the model reads.
    #[serde(default)]
    context: ContextSettings,
    /// Whether the server's moderation looks at what is asked and answered.
    #[serde(default)]
    moderation: Moderation,
    /// The platform's own tools.
    #[serde(default)]
    built_in: BuiltInTools,
    /// The tenant's own tools; at most 32.
    #[serde(default)]
    tools: Vec<NewTool>,
    /// How many rounds of tools a turn may have, 1 to 20.
    #[serde(default = "tool_rounds_max")]
    #[schema(default = 6)]
    tool_rounds_max: u32,
    /// How much may be spent, in millionths of the currency of `GET …/spending`.
    #[serde(default)]
    budgets: Budgets,
    /// What happens to a send whose answer never came and of which the channel never told: `hold` asks
    /// a person by a dead letter (the contact may miss it), `resend` sends it again (the contact may
    /// get it twice); `null` for the platform's choice.
    #[serde(default)]
    unknown_sends: Option<UnknownSends>,
}

const fn media_cap_ms() -> u64 {
    20_000
}

const fn tool_rounds_max() -> u32 {
    6
}

const fn tool_timeout_ms() -> u64 {
    TOOL_TIMEOUT_MS
}

/// A tool of the tenant's own: an address that the model may have called.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that the tenant says")]
pub struct NewTool {
    /// What the model calls it by: 1 to 64 of `a-z`, `0-9` and `_`, and none of the platform's own.
    #[schema(example = "find_order")]
    name: String,
    /// What it does and when to use it, for the model; at most 1,000 characters.
    description: String,
    /// How it is called: by `GET` the arguments are the query, by `POST` the body, as JSON.
    #[serde(default)]
    method: ToolMethod,
    /// Where: https and a public host. No redirect is followed.
    url: String,
    /// JSON Schema of its arguments: an object. What does not fit is not sent.
    #[schema(value_type = Object)]
    parameters: Value,
    /// JSON Schema of its answer, if that is to be checked. What does not fit is not read.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    answer: Option<Value>,
    /// The header that proves who calls. Left out, the former stays; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<NewToolSecret>)]
    secret: Given<NewToolSecret>,
    /// How long a call may take, milliseconds, 100 to 60,000.
    #[serde(default = "tool_timeout_ms")]
    #[schema(default = 10_000)]
    timeout_ms: u64,
    /// Whether calling it twice does no harm: only then is it called again when an answer is missing.
    #[serde(default)]
    repeatable: bool,
    /// Whether a call changes something in the world.
    #[serde(default)]
    side_effects: bool,
    /// Whether it may be called with side effects in a turn that has already read what an outside
    /// server said: such words may try to give orders.
    #[serde(default)]
    after_untrusted: bool,
    /// Whether what it answers is written by the business itself, so that it can give no orders.
    #[serde(default)]
    trusted: bool,
}

/// A header that proves to a tool's server who calls.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToolSecret {
    /// Its name: `Authorization`.
    header: String,
    /// Its value. Never shown again.
    value: String,
}

impl NewAssistant {
    /// The settings that these make of the former ones, checked.
    pub fn over(self, former: &AssistantSettings, egress: &Egress) -> Result<AssistantSettings, Problem> {
        let moved = self.base_url != former.base_url;
        let api_key = match self.api_key {
            Given::Value(key) => Some(input::secret("api_key", key)?),
            Given::Null => None,
            // A key that can be sent somewhere else unseen can be read there.
            Given::Absent if moved && former.api_key.is_some() => {
                return Err(Problem::invalid(
                    "`api_key` must be given again, or be null, when `base_url` changes: the former key was for the \
                     former server",
                ));
            }
            Given::Absent => former.api_key.clone(),
        };
        let tools = self.tools.into_iter().map(|tool| tool.over(&former.tools));
        let settings = AssistantSettings {
            enabled: self.enabled,
            task: self.task,
            instructions: self.instructions,
            model: self.model.map(|model| input::name("model", &model)).transpose()?,
            temperature: self.temperature,
            base_url: self.base_url,
            api_key,
            quiet_ms: self.quiet_ms,
            cap_ms: self.cap_ms,
            output_tokens_max: self.output_tokens_max,
            prompt_tokens_max: self.prompt_tokens_max,
            fallback_text: self.fallback_text,
            languages: self.languages,
            fallback_models: self.fallback_models,
            on_failure: self.on_failure,
            media_cap_ms: self.media_cap_ms,
            disclosure: self.disclosure,
            people: self.people,
            hours: self.hours,
            context: self.context,
            moderation: self.moderation,
            built_in: self.built_in,
            tools: tools.collect::<Result<_, _>>()?,
            tool_rounds_max: self.tool_rounds_max,
            budgets: self.budgets,
            unknown_sends: self.unknown_sends,
        };
        settings_check::check(&settings, egress).map_err(Problem::invalid)?;
        Ok(settings)
    }
}

impl NewTool {
    fn over(self, former: &[HttpTool]) -> Result<HttpTool, Problem> {
        let kept = former.iter().find(|tool| tool.name == self.name);
        let secret = match self.secret {
            Given::Null => None,
            Given::Value(NewToolSecret { header, value }) => {
                Some(ToolSecret { header, value: StoredSecret::new(value) })
            }
            // As for the model's key: it does not follow to another server by itself.
            Given::Absent => match kept.filter(|kept| kept.secret.is_some()) {
                Some(kept) if !same_server(&kept.url, &self.url) => {
                    return Err(Problem::invalid(
                        "a tool's `secret` must be given again, or be null, when its `url` names another server: the \
                         former one was for the former server",
                    ));
                }
                kept => kept.and_then(|kept| kept.secret.clone()),
            },
        };
        Ok(HttpTool {
            name: self.name,
            description: self.description,
            method: self.method,
            url: self.url,
            parameters: self.parameters,
            answer: self.answer,
            secret,
            timeout_ms: self.timeout_ms,
            repeatable: self.repeatable,
            side_effects: self.side_effects,
            after_untrusted: self.after_untrusted,
            trusted: self.trusted,
        })
    }
}

fn same_server(former: &str, now: &str) -> bool {
    let origin = |text: &str| text.parse::<Url>().map(|url| url.origin());
    matches!((origin(former), origin(now)), (Ok(former), Ok(now)) if former == now)
}

#[cfg(test)]
#[path = "settings_form_tests.rs"]
mod tests;
