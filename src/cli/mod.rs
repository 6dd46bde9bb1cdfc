//! The command line.

mod admin;
mod assistant;
mod audit;
mod backup;
mod doctor;
mod keyring;
mod knowledge;
mod live;
mod output;
mod people;
mod privacy;
mod privacy_out;
mod replay;
mod restore;
mod rights;
mod root_key;
mod sandbox;
mod serve;
mod simulator;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use iassistance_actors::Engine;
use iassistance_actors::kernel::SystemClock;
use iassistance_config::{DEFAULTS, Settings, Sources};

use self::output::Output;
use crate::app::{self, AppParts, Vaulted};
use crate::{http, telemetry};

/// What a command may fail with: something that is shown to the person who gave it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A conversational infrastructure platform for WhatsApp, Instagram and Messenger.
#[derive(Parser)]
#[command(name = "iassistance", version, about)]
struct Arguments {
    /// The settings file; without it `iassistance.toml` in this folder is read if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, over the file and the environment; may be given several times.
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Answer in JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve,
    /// Run the whole system on this machine with no account anywhere, and a phone to chat from.
    Sandbox(sandbox::Arguments),
    /// Run the stand-in for Meta and the model alone.
    Simulator(simulator::Arguments),
    /// The people who sign in: create-owner, list, disable, enable, reset.
    #[command(subcommand)]
    Account(people::AccountCommand),
    /// Agencies: create, list.
    #[command(subcommand)]
    Agency(people::AgencyCommand),
    /// Tenants: create, list, suspend, resume, close.
    #[command(subcommand)]
    Tenant(admin::TenantCommand),
    /// Meta apps: create, list.
    #[command(subcommand)]
    MetaApp(admin::MetaAppCommand),
    /// Channels: connect, test, list.
    #[command(subcommand)]
    Channel(admin::ChannelCommand),
    /// The assistant's settings: show, set, publish, versions, rollback.
    #[command(subcommand)]
    Assistant(assistant::AssistantCommand),
    /// What the assistant looks things up in: add, list, remove.
    #[command(subcommand)]
    Knowledge(knowledge::KnowledgeCommand),
    Replay(replay::Arguments),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    /// API keys: create, list, revoke. The keyring: backup, restore.
    #[command(subcommand)]
    Key(admin::KeyCommand),
    Doctor(doctor::Arguments),
    /// The audit log: verify, key.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The data map: what every stored field is, what for, on which basis, for how long.
    Datamap(privacy::DataMapArguments),
    Erase(privacy::EraseArguments),
    /// Legal holds: lay, release, list.
    #[command(subcommand)]
    Hold(privacy::HoldCommand),
    /// For how long data is kept: show, set, sweep, explain.
    #[command(subcommand)]
    Retention(privacy::RetentionCommand),
    /// What people ask about their own data: list, open, show, step, data.
    #[command(subcommand)]
    Rights(rights::RightsCommand),
    /// The end of a tenant: export, destroy.
    #[command(subcommand)]
    Ending(privacy::EndingCommand),
    /// The register of providers: check, list.
    #[command(subcommand)]
    Subprocessors(privacy_out::RegisterCommand),
    /// Orders of authorities: enter, approve, answer, tell, list.
    #[command(subcommand)]
    Order(privacy_out::OrderCommand),
    /// Incidents: open, list, scope, draft, dossier, told, close.
    #[command(subcommand)]
    Incident(privacy_out::IncidentCommand),
    /// Follow a tenant's events in the terminal, over the live socket of a running server.
    Live(live::Arguments),
    /// The root key: rotate.
    #[command(subcommand)]
    RootKey(root_key::RootKeyCommand),
    /// Webhooks: explain.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Print the OpenAPI document.
    Openapi,
    /// Print every setting with its default and what it means.
    Config,
    /// Verify and parse webhooks without keeping anything: what `scripts/bench ingress` compares with.
    #[command(hide = true)]
    BareIngress,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    match run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&*failure);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let sources = Sources::of_process(arguments.config, arguments.set);
    let command = match arguments.command {
        Command::Openapi => return output::raw(&http::openapi::pretty()),
        Command::Config => return output::raw(DEFAULTS),
        Command::Datamap(arguments) if !arguments.scan => return privacy::data_map(output),
        Command::Webhook(command) => return webhook::run(command, &SystemClock),
        Command::Audit(audit::AuditCommand::Verify(what)) if what.file.is_some() => {
            let file = what.file.clone().unwrap_or_default();
            return audit::offline(&what, &file, output);
        }
        command => command,
    };
    let settings = sources.settings()?;
    telemetry::init(&settings.log)?;
    match command {
        Command::Serve => serve::run(settings, &sources, output),
        Command::Sandbox(arguments) => sandbox::run(settings, &sources, arguments, output),
        Command::Simulator(arguments) => simulator::run(arguments, output),
        Command::BareIngress => serve::bare(&settings, output),
        Command::Live(arguments) => live::run(&settings, &sources, &arguments, output),
        Command::Subprocessors(command) => privacy_out::register(&settings, &command, output),
        Command::RootKey(command) => root_key::run(&settings, &sources, command, output),
        Command::Doctor(arguments) => match arguments.server.clone() {
            Some(server) => doctor::on_server(&settings, &sources, &arguments, &server, output),
            None => {
                let offline = async |vaulted: &Vaulted| doctor::run(vaulted, &arguments, output).await;
                on_store(settings, &sources, output, offline).map_err(doctor::hint)
            }
        },
        Command::Audit(command) => {
            on_store(settings, &sources, output, async |v| audit::run(v, command, output).await)
        }
        Command::Datamap(_) => on_store(settings, &sources, output, async |v| privacy::scan(v, output).await),
        Command::Erase(arguments) => {
            on_store(settings, &sources, output, async |v| privacy::erase(v, arguments, output).await)
        }
        Command::Hold(command) => {
            on_store(settings, &sources, output, async |v| privacy::hold(v, command, output).await)
        }
        Command::Retention(command) => {
            on_store(settings, &sources, output, async |v| privacy::retention(v, command, output).await)
        }
        Command::Ending(command) => {
            on_store(settings, &sources, output, async |v| privacy::ending(v, command, output).await)
        }
        Command::Rights(command) => {
            on_store(settings, &sources, output, async |v| rights::run(v, command, output).await)
        }
        Command::Order(command) => {
            on_store(settings, &sources, output, async |v| privacy_out::order(v, command, output).await)
        }
        Command::Incident(command) => {
            on_store(settings, &sources, output, async |v| privacy_out::incident(v, command, output).await)
        }
        Command::Account(command) => {
            on_store(settings, &sources, output, async |v| people::account(v, command, output).await)
        }
        Command::Agency(command) => {
            on_store(settings, &sources, output, async |v| people::agency(v, command, output).await)
        }
        Command::Tenant(command) => {
            on_store(settings, &sources, output, async |v| admin::tenant(v, command, output).await)
        }
        Command::MetaApp(command) => {
            on_store(settings, &sources, output, async |v| admin::meta_app(v, command, output).await)
        }
        Command::Channel(command) => {
            on_store(settings, &sources, output, async |v| admin::channel(v, command, output).await)
        }
        Command::Assistant(command) => {
            on_store(settings, &sources, output, async |v| assistant::run(v, command, output).await)
        }
        Command::Knowledge(command) => on_engine(settings, &sources, output, async |vaulted, engine| {
            knowledge::run(vaulted, engine, command, output).await
        }),
        Command::Replay(arguments) => on_engine(settings, &sources, output, async |vaulted, engine| {
            replay::run(vaulted, engine, &arguments, output).await
        }),
        Command::Backup(backup::Arguments { command: Some(command), .. }) => {
            backup::look(&settings, command, output)
        }
        Command::Backup(arguments) => {
            on_store(settings, &sources, output, async |v| backup::make(v, arguments, output).await)
        }
        Command::Restore(arguments) => restore::run(&settings, &sources, &arguments, output),
        // They need the keyring's file alone, and no store.
        Command::Key(admin::KeyCommand::Backup { to, recipients }) => {
            keyring::backup(&settings, &to, &recipients, output)
        }
        Command::Key(admin::KeyCommand::Restore { from, identity }) => {
            keyring::restore(&settings, &from, &identity, output)
        }
        Command::Key(command) => {
            on_store(settings, &sources, output, async |v| admin::key(v, command, output).await)
        }
        Command::Openapi | Command::Config | Command::Webhook(_) => Ok(()),
    }
}

/// Runs a command on the store itself, which no server may have open meanwhile.
fn on_store(
    settings: Settings,
    sources: &Sources,
    output: &Output,
    work: impl AsyncFnOnce(&Vaulted) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let vaulted = Vaulted::open(settings, sources.root_key().as_ref(), &mut AppParts::default())?;
        output.root_key_created(vaulted.root_key_created.as_deref());
        let done = work(&vaulted).await;
        vaulted.store.close().await;
        done
    })
}

/// Runs a command on the store with an engine that answers nobody. When the process is asked to stop,
/// what is under way is ended first: what it cost is written down.
fn on_engine(
    settings: Settings,
    sources: &Sources,
    output: &Output,
    work: impl AsyncFnOnce(&Vaulted, &Engine) -> Result<(), Failure>,
) -> Result<(), Failure> {
    actix::System::new().block_on(async {
        let vaulted = Vaulted::open(settings, sources.root_key().as_ref(), &mut AppParts::default())?;
        output.root_key_created(vaulted.root_key_created.as_deref());
        let engine = app::engine(&vaulted, AppParts::default())?;
        let done = tokio::select! {
            done = work(&vaulted, &engine) => done,
            stopped = serve::stop_signal() => stopped.and(Err("stopped before the end".into())),
        };
        if let Err(late) = engine.stop(vaulted.settings.server.shutdown_ms).await {
            tracing::warn!(%late, "not everything ended in time");
        }
        vaulted.store.close().await;
        done
    })
}
