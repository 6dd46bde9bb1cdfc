//! `iassistance sandbox`: the whole system on this machine, with no account anywhere.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use iassistance_actors::settings::default_assistant;
use iassistance_config::{ModelPrice, Secret, Settings, Sources};
use iassistance_domain::Pii;
use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::budget::Cost;
use iassistance_domain::channel::{Channel, ChannelHealth, Connection, MetaApp, StoredSecret};
use iassistance_domain::id::{AccountId, ChannelId, MetaAppId, TenantId};
use iassistance_domain::key::Scope;
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_simulator::{Script, ScriptOutcome, Simulator};

use super::serve::serve_until;
use super::{Failure, Output, simulator};
use crate::app::{App, AppParts, Vaulted};
use crate::http::{State, auth, server};
use crate::telemetry::Metrics;

/// What the demo shop's assistant looks things up in.
const KNOWLEDGE: &str = include_str!("demo-shop.md");
/// What a million tokens of the simulated model cost, so that there is something to see.
const SIMULATED_PRICE: ModelPrice = ModelPrice { input: 0.40, output: 1.60 };
/// What the demo tenant may spend in a day, in millionths: 1.00.
const DEMO_DAY: u64 = 1_000_000;
/// The address of who owns the sandbox. No mail to it leaves this machine.
const OWNER: &str = "owner@sandbox.example";
/// How long a script waits for a reply, milliseconds.
const REPLY_LIMIT_MS: u64 = 20_000;

#[derive(Args)]
pub struct Arguments {
    /// Play this script and end: with 0 when the expected answers came.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Keep the data in this folder; without it, it is gone afterwards.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The port of the simulated Meta and of the phone; 0 takes a free one.
    #[arg(long, default_value_t = 8090)]
    simulator_port: u16,
}

/// What was set up.
struct Demo {
    tenant: TenantId,
    meta_app: MetaAppId,
    key: String,
    owner: AccountId,
    /// Whether there was nothing before.
    is_new: bool,
}

pub fn run(
    settings: Settings,
    sources: &Sources,
    arguments: Arguments,
    output: &Output,
) -> Result<(), Failure> {
    let script = match &arguments.script {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            Some(Script::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?)
        }
        None => None,
    };
    actix::System::new().block_on(play(settings, sources, arguments, script, output))
}

async fn play(
    mut settings: Settings,
    sources: &Sources,
    arguments: Arguments,
    script: Option<Script>,
    output: &Output,
) -> Result<(), Failure> {
    let mut parts = AppParts::default();
    let temporary = tempfile::tempdir()?;
    let folder = arguments.data.unwrap_or_else(|| temporary.path().to_path_buf());
    settings.storage.path = folder.join("store");
    settings.vault.keyring_file = folder.join("keyring.json");
    settings.vault.root_key_file = folder.join("root.key");
    settings.media.folder = folder.join("media");
    settings.privacy.trial = true;
    settings.mail.folder = folder.join("mail");
    // A script is a test: it takes free ports and does not wait as a person would like it.
    let (simulator_port, human) =
        if script.is_some() { (0, false) } else { (arguments.simulator_port, true) };
    if script.is_some() {
        settings.server.port = 0;
    }
    let seed = {
        let mut bytes = [0; 8];
        iassistance_domain::Entropy::fill(&iassistance_vault::SystemEntropy, &mut bytes);
        u64::from_le_bytes(bytes)
    };
    let simulated = simulator::settings(simulator_port, seed, 1);
    let simulated = if human { simulator::human(simulated) } else { simulated };
    let clock = Arc::new(iassistance_actors::kernel::SystemClock);
    let simulator = Simulator::start(simulated, clock).await?;
    settings.meta.graph_base_url = simulator.graph_url().parse()?;
    settings.meta.instagram_base_url = simulator.instagram_url().parse()?;
    let real_model = sources.variable("OPENAI_API_KEY").map(Secret::new);
    if let Some(key) = &real_model {
        settings.model.api_key = key.clone();
    } else {
        settings.model.base_url = simulator.model_url().parse()?;
        settings.model.api_key = Secret::new(simulator::MODEL_KEY);
        iassistance_simulator::MODEL_ID.clone_into(&mut settings.model.model);
        settings.prices.models.insert(iassistance_simulator::MODEL_ID.to_owned(), SIMULATED_PRICE);
    }
    let vaulted = Vaulted::open(settings, None, &mut parts)?;
    let demo = set_up(&vaulted, human).await?;
    let app = App::start(&vaulted, parts).await?;
    if demo.is_new {
        let document = KNOWLEDGE.as_bytes().into();
        let ctx = TenantCtx::platform(demo.tenant);
        app.engine.add_document(ctx, "What customers ask", "text/markdown", document).await?;
    }
    let state = State::new(app.clone(), Metrics::install()?);
    let token = state.links.issue(demo.owner, vaulted.clock.now(), &*vaulted.entropy);
    let listening = server::listen(state)?;
    let address = format!("http://{}", listening.address);
    let named = vaulted.settings.server.public_url.trim_end_matches('/');
    let people = if named.is_empty() { &address } else { named };
    let monitor = format!("{people}/sign-in#token={}", token.expose());
    simulator.set_callback(&format!("{address}/webhooks/meta/{}", demo.meta_app))?;
    simulator.set_monitor(people);
    match script {
        None => tell(&Doors { address, monitor }, &simulator, &demo, real_model.is_some(), output)?,
        Some(_) => output.note(&format!("Playing against {}", listening.address)),
    }
    let mut outcome = None;
    let ended = async {
        match script {
            Some(script) => outcome = Some(simulator.play(&script, REPLY_LIMIT_MS).await),
            None => std::future::pending().await,
        }
    };
    serve_until(&app, listening, ended, output).await?;
    simulator.stop().await;
    drop(temporary);
    outcome.map_or(Ok(()), |outcome| judge(&outcome, output))
}

fn judge(outcome: &ScriptOutcome, output: &Output) -> Result<(), Failure> {
    let text = format!("{} steps, {} replies in {} ms", outcome.steps_done, outcome.replies, outcome.took_ms);
    output.answer(&text, outcome)?;
    match &outcome.failure {
        None => Ok(()),
        Some(failure) => Err(format!("line {}: {}", failure.line, failure.reason).into()),
    }
}

/// A demo tenant with a number and an assistant, and a key for it. Done once per data folder.
async fn set_up(vaulted: &Vaulted, human: bool) -> Result<Demo, Failure> {
    let (now, entropy, store) = (vaulted.clock.now(), &*vaulted.entropy, &vaulted.store);
    let mut is_new = false;
    let (tenant, meta_app) = match (store.tenants().await?.first(), store.meta_apps().await?.first()) {
        (Some(tenant), Some(app)) => (tenant.id, app.id),
        _ => {
            is_new = true;
            let tenant = Tenant::new(TenantId::new(now, entropy), "Demo Shop".into(), now);
            let app = MetaApp {
                id: MetaAppId::new(now, entropy),
                name: "Simulated Meta app".into(),
                app_id: Some(simulator::APP_ID.into()),
                secrets: vec![StoredSecret::new(simulator::APP_SECRET)],
                verify_token: StoredSecret::new(simulator::VERIFY_TOKEN),
                created_at: now,
            };
            let channel = |connection, external_id: &str, name: &str, token: &str| Channel {
                id: ChannelId::new(now, entropy),
                tenant: tenant.id,
                meta_app: app.id,
                connection,
                external_id: external_id.into(),
                name: name.into(),
                access_token: StoredSecret::new(token),
                token_owner: None,
                health: ChannelHealth::connecting(now),
                created_at: now,
            };
            let number = Connection::CloudApi { account_id: Some(simulator::WABA_ID.into()), number: None };
            let through_page = Connection::InstagramPage { page_id: simulator::PAGE_ID.into() };
            let login = Connection::InstagramLogin { user_id: None };
            let channels = [
                channel(
                    number,
                    simulator::PHONE_NUMBER_ID,
                    simulator::DISPLAY_NUMBER,
                    simulator::ACCESS_TOKEN,
                ),
                channel(Connection::Page, simulator::PAGE_ID, "Demo Shop's page", simulator::PAGE_TOKEN),
                channel(login, simulator::INSTAGRAM_ID, "demo.shop", simulator::INSTAGRAM_TOKEN),
                channel(through_page, simulator::PAGE_INSTAGRAM_ID, "demo.shop.page", simulator::PAGE_TOKEN),
            ];
            let ids = (tenant.id, app.id);
            store.create_tenant(tenant).await?;
            store.put_meta_app(app).await?;
            for channel in channels {
                store.put_channel(channel).await?;
            }
            let mut assistant = default_assistant(&vaulted.settings.assistant);
            assistant.enabled = true;
            assistant.task =
                "Answer questions about the Demo Shop: opening hours, orders and returns.".into();
            assistant.instructions =
                "Look things up before you answer. Hand over to a human when somebody asks \
                                      for one, is angry, or wants something that you cannot do."
                    .into();
            assistant.languages = vec!["en".into()];
            assistant.built_in.attributes = true;
            assistant.built_in.choices = true;
            assistant.budgets.tenant_day = Some(Cost(DEMO_DAY));
            assistant.quiet_ms = if human { assistant.quiet_ms } else { 50 };
            store.tenant(TenantCtx::platform(ids.0)).await?.put_assistant(assistant, None).await?;
            ids
        }
    };
    let scopes = vec![Scope::Read, Scope::Operate, Scope::Manage];
    let clock = &*vaulted.clock;
    let (key, plain) =
        auth::mint(&vaulted.keyring, entropy, clock, "sandbox".into(), Some(tenant), scopes, None)?;
    store.put_api_key(key).await?;
    let owner = owner(vaulted, tenant).await?;
    Ok(Demo { tenant, meta_app, key: plain.expose().to_owned(), owner, is_new })
}

/// Who owns the sandbox and administers the demo tenant. They have no password: a link signs them in.
async fn owner(vaulted: &Vaulted, tenant: TenantId) -> Result<AccountId, Failure> {
    let (now, people, email) = (vaulted.clock.now(), vaulted.store.people(), normalised_email(OWNER)?);
    if let Some(account) = people.account_by_email(&email).await? {
        return Ok(account.id);
    }
    let administers = Membership {
        of: MemberOf::Tenant(tenant),
        role: Role::TenantAdmin,
        assigned_only: false,
        since: now,
    };
    let account = Account {
        id: AccountId::new(now, &*vaulted.entropy),
        email,
        name: Pii::new("Sandbox owner".to_owned()),
        password: None,
        second_factors: SecondFactors::default(),
        owner: true,
        memberships: vec![administers],
        supabase_subject: None,
        language: Language::default(),
        state: AccountState::Active,
        revision: 0,
        created_at: now,
        signed_in_at: None,
    };
    let id = account.id;
    let entry = AuditEntry::new(now, Actor::CommandLine, "account.created").on(&id).with("owner", &true);
    vaulted.store.trail().append_audit(None, entry).await?;
    people.create_account(account).await?;
    Ok(id)
}

/// Where the server can be reached.
struct Doors {
    address: String,
    /// Signs the owner in, once.
    monitor: String,
}

fn tell(
    Doors { address, monitor }: &Doors,
    simulator: &Simulator,
    demo: &Demo,
    real_model: bool,
    output: &Output,
) -> Result<(), Failure> {
    let Demo { tenant, key, .. } = demo;
    let monitor_line =
        if cfg!(feature = "dashboard") { format!("Monitor   {monitor}\n  ") } else { String::new() };
    let phone = simulator.phone_url();
    let model =
        if real_model { "OpenAI answers (OPENAI_API_KEY is set)" } else { "a simulated model answers" };
    let program = std::env::args().next().unwrap_or_else(|| "iassistance".into());
    let text = format!(
        "\n  IAssistance sandbox: nothing leaves this machine; {model}.\n\n  \
         {monitor_line}Phone     {phone}\n  \
         Server    {address}    API reference: {address}/docs\n\n  \
         Try       \"How long can I return shoes?\" is looked up; \"I want to talk to a human\" waits for one.\n\n  \
         Watch every step live, in another terminal:\n\n    \
         IASSISTANCE_API_KEY={key} \\\n    \
         {program} live --url {address} --tenant {tenant}\n\n  \
         Stop with Ctrl-C.\n",
    );
    output.answer(
        &text,
        &serde_json::json!({ "phone": phone, "server": address, "monitor": monitor, "tenant": tenant, "key": key }),
    )
}
