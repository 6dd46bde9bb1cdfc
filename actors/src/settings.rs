//! What the engine is made of and kept to, and what a tenant's settings mean for it.

use std::sync::Arc;

use iassistance_assistant::breaker::BreakerPolicy;
use iassistance_assistant::generate::{Generator, ModelServer};
use iassistance_assistant::money::Prices;
use iassistance_assistant::services::Services;
use iassistance_assistant::tools::http::HttpCaller;
use iassistance_channels::Sender;
use iassistance_config::{
    AccessSettings, ActorSettings, AssistantDefaults, DispatchSettings, HookSettings, KnowledgeSettings,
    LimitSettings, LiveSettings, MediaSettings, MetaSettings, ModelPrice, ModelSettings, PriceSettings,
    Settings, ToolSettings, WindowSettings,
};
use iassistance_domain::assistant::{
    AssistantSettings, ContextSettings, Disclosure, Moderation, PeopleSettings,
};
use iassistance_domain::budget::{Budgets, Instead, Price};
use iassistance_domain::channel::{ChannelKind, StoredSecret};
use iassistance_domain::conversation::TurnPolicy;
use iassistance_domain::tool::BuiltInTools;
use iassistance_domain::window::WindowPolicy;
use iassistance_domain::{Clock, Entropy};
use iassistance_hooks::HookCaller;
use iassistance_storage::Store;
use iassistance_storage::content::ContentStore;

const MINUTE_MS: u64 = 60 * 1_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What the actors need of the configuration.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Mailboxes, restarts and idleness.
    pub actors: ActorSettings,
    /// Rates.
    pub limits: LimitSettings,
    /// Sends.
    pub dispatch: DispatchSettings,
    /// The model server of tenants that name none.
    pub model: ModelSettings,
    /// What models cost.
    pub prices: PriceSettings,
    /// The tools that tenants name.
    pub tools: ToolSettings,
    /// Outgoing webhooks.
    pub hooks: HookSettings,
    /// The access log: how long what is in it is kept.
    pub access: AccessSettings,
    /// The documents that tenants give.
    pub knowledge: KnowledgeSettings,
    /// The assistant of tenants that set nothing.
    pub assistant: AssistantDefaults,
    /// The websocket.
    pub live: LiveSettings,
    /// Meta's side: how often channels are tested.
    pub meta: MetaSettings,
    /// How long channels let a business write.
    pub windows: WindowSettings,
    /// The files of messages.
    pub media: MediaSettings,
}

impl From<&Settings> for EngineSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            actors: settings.actors.clone(),
            limits: settings.limits.clone(),
            dispatch: settings.dispatch.clone(),
            model: settings.model.clone(),
            prices: settings.prices.clone(),
            tools: settings.tools.clone(),
            hooks: settings.hooks.clone(),
            access: settings.access.clone(),
            knowledge: settings.knowledge.clone(),
            assistant: settings.assistant.clone(),
            live: settings.live.clone(),
            meta: settings.meta.clone(),
            windows: settings.windows.clone(),
            media: settings.media.clone(),
        }
    }
}

/// What the engine is made of. Tests hand it a clock that they move, chance that they seed, a store
/// that fails and a model that is scripted.
#[derive(Clone)]
pub struct EngineParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The files of messages.
    pub content: ContentStore,
    /// The way out to the channels.
    pub sender: Arc<dyn Sender>,
    /// The model.
    pub generator: Arc<dyn Generator>,
    /// What the model's server does besides chatting.
    pub services: Arc<dyn Services>,
    /// The way out to the tools that tenants name.
    pub http: Arc<dyn HttpCaller>,
    /// The way out to the receivers of webhooks.
    pub hooks: Arc<dyn HookCaller>,
}

impl EngineSettings {
    /// What models cost.
    pub fn price_table(&self) -> Prices {
        let price = |price: &ModelPrice| Price {
            input: price.input_thousandths(),
            output: price.output_thousandths(),
        };
        let models = self.prices.models.iter().map(|(name, of)| (name.clone(), price(of))).collect();
        Prices { models, others: self.prices.others.as_ref().map(price) }
    }

    /// When a server that fails is spared.
    pub const fn breaker_policy(&self) -> BreakerPolicy {
        let model = &self.model;
        BreakerPolicy {
            failures_max: model.breaker_failures_max,
            window_ms: model.breaker_window_ms,
            open_ms: model.breaker_open_ms,
        }
    }

    /// When conversations of a channel of this product are answered.
    pub fn policy(&self, settings: &AssistantSettings, kind: ChannelKind) -> TurnPolicy {
        let handback = settings.people.handback_minutes;
        let lapse_hours = u64::from(settings.disclosure.lapse_hours);
        TurnPolicy {
            enabled: settings.enabled,
            quiet_ms: settings.quiet_ms,
            cap_ms: settings.cap_ms,
            media_cap_ms: settings.media_cap_ms,
            handback_ms: handback.map(|minutes| u64::from(minutes) * MINUTE_MS),
            disclose: settings.disclosure.enabled,
            disclosure_lapse_ms: (lapse_hours > 0).then_some(lapse_hours * HOUR_MS),
            window: self.window_policy(kind),
        }
    }

    /// How long a product's channels let a business write.
    pub fn window_policy(&self, kind: ChannelKind) -> WindowPolicy {
        let windows = &self.windows;
        let free_ms = windows.free_hours * HOUR_MS;
        match kind {
            ChannelKind::Whatsapp => {
                WindowPolicy { free_ms, ad_ms: free_ms, human_ms: free_ms, comment_ms: 0 }
            }
            ChannelKind::Messenger | ChannelKind::Instagram => WindowPolicy {
                free_ms,
                ad_ms: windows.page_ad_hours * HOUR_MS,
                human_ms: windows.page_human_hours * HOUR_MS,
                comment_ms: windows.page_comment_hours * HOUR_MS,
            },
        }
    }

    /// The model server that answers for these settings.
    pub fn model_server(&self, settings: &AssistantSettings) -> ModelServer {
        let platform = &self.model;
        let own = settings.base_url.as_deref().and_then(|text| text.parse().ok());
        let platform_key = || StoredSecret::new(platform.api_key.expose());
        ModelServer {
            // The platform's key goes to the platform's server alone.
            api_key: match (&settings.api_key, &own) {
                (Some(key), _) => key.clone(),
                (None, None) => platform_key(),
                (None, Some(_)) => StoredSecret::new(""),
            },
            base_url: own.unwrap_or_else(|| platform.base_url.clone()),
            model: settings.model.clone().unwrap_or_else(|| platform.model.clone()),
            covers: settings.context.pseudonyms,
        }
    }

    /// The same server for one of its services; nothing where the platform names no model for it.
    pub fn service_server(&self, settings: &AssistantSettings, model: &str) -> Option<ModelServer> {
        (!model.is_empty()).then(|| self.model_server(settings).with_model(model))
    }
}

/// What a tenant has before it sets anything.
pub fn default_assistant(defaults: &AssistantDefaults) -> AssistantSettings {
    let defaults = defaults.clone();
    AssistantSettings {
        enabled: defaults.enabled,
        task: defaults.task,
        instructions: defaults.instructions,
        model: None,
        temperature: Some(defaults.temperature),
        base_url: None,
        api_key: None,
        quiet_ms: defaults.quiet_ms,
        cap_ms: defaults.cap_ms,
        output_tokens_max: defaults.output_tokens_max,
        prompt_tokens_max: defaults.prompt_tokens_max,
        fallback_text: defaults.fallback_text,
        languages: defaults.languages,
        fallback_models: defaults.fallback_models,
        on_failure: Instead::default(),
        media_cap_ms: defaults.media_cap_ms,
        disclosure: Disclosure::default(),
        people: PeopleSettings::default(),
        hours: None,
        context: ContextSettings::default(),
        moderation: Moderation::default(),
        built_in: BuiltInTools::default(),
        tools: Vec::new(),
        tool_rounds_max: defaults.tool_rounds_max,
        budgets: Budgets::default(),
        unknown_sends: None,
    }
}
