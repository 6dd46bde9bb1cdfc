//! Administration on the store itself: for setting up, and for machines without a running server.

use clap::Subcommand;
use serde_json::json;

use iassistance_actors::watch::Watcher;
use iassistance_channels::send::Check;
use iassistance_domain::channel::{Channel, ChannelHealth, Connection, MetaApp, StoredSecret};
use iassistance_domain::id::{AgencyId, ApiKeyId, ChannelId, MetaAppId, TenantId};
use iassistance_domain::key::Scope;
use iassistance_domain::tenant::TenantCtx;

use super::people::{self, TenantChange};
use super::{Failure, Output, keyring};
use crate::app::Vaulted;
use crate::http::auth;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[derive(Subcommand)]
pub enum TenantCommand {
    /// Creates a tenant.
    Create {
        /// What people call it.
        name: String,
        /// The agency that runs it.
        #[arg(long)]
        agency: Option<AgencyId>,
    },
    /// Lists the tenants.
    List,
    /// What comes in is kept, but nobody answers: neither the assistant nor an operator.
    Suspend {
        /// Which.
        tenant: TenantId,
        /// Why; its people are shown it.
        #[arg(long)]
        reason: String,
    },
    /// Serves a suspended or closed tenant again.
    Resume {
        /// Which.
        tenant: TenantId,
    },
    /// Nothing is accepted for it any more. Its data stays.
    Close {
        /// Which.
        tenant: TenantId,
    },
}

#[derive(Subcommand)]
pub enum MetaAppCommand {
    /// Creates a Meta app. The app secret is read from `IASSISTANCE_APP_SECRET`, the verify token from
    /// `IASSISTANCE_VERIFY_TOKEN`: flags can be seen by other users of this machine.
    Create {
        /// What people call it.
        name: String,
        /// Meta's id of it.
        #[arg(long)]
        app_id: Option<String>,
    },
    /// Lists the Meta apps.
    List,
}

#[derive(Subcommand)]
pub enum ChannelCommand {
    /// Connects a number, a page or an account: give one of `--phone-number-id`, `--page-id` and
    /// `--instagram-id`. Its access token is read from `IASSISTANCE_ACCESS_TOKEN`. Test it then.
    Connect {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// The Meta app that carries its webhooks.
        #[arg(long)]
        meta_app: MetaAppId,
        /// WhatsApp: Meta's `phone_number_id`.
        #[arg(long, group = "address")]
        phone_number_id: Option<String>,
        /// WhatsApp: the id of the business account, for its templates and what Meta says about it.
        #[arg(long, requires = "phone_number_id")]
        account_id: Option<String>,
        /// Messenger: the Page's id.
        #[arg(long, group = "address")]
        page_id: Option<String>,
        /// Instagram: the professional account's id.
        #[arg(long, group = "address")]
        instagram_id: Option<String>,
        /// Instagram through a Page: that Page's id. Without it the account is connected by
        /// Instagram Login.
        #[arg(long, requires = "instagram_id")]
        through_page: Option<String>,
        /// What people call it.
        #[arg(long)]
        name: String,
    },
    /// Tests a channel with Meta: its token, its permissions, its subscription; prints each check with
    /// what to do. Fails when the channel cannot send. The server must not be running on this store.
    Test {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        channel: ChannelId,
    },
    /// Lists a tenant's channels.
    List {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
    },
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Makes a key and prints it, this once.
    Create {
        /// What people call it.
        name: String,
        /// Whose it is; without one it is a key of the platform.
        #[arg(long)]
        tenant: Option<TenantId>,
        /// What it may do: read, operate, manage, dsar, audit, platform. May be given several times.
        #[arg(long = "scope", value_parser = parse_scope, required = true)]
        scopes: Vec<Scope>,
    },
    /// Copies the keyring into a file, sealed for age public keys. Without it no backup can be read.
    Backup {
        /// The file; it must not be there.
        #[arg(long, value_name = "FILE")]
        to: std::path::PathBuf,
        /// Who can open it, an age public key; `backup.recipients` without it.
        #[arg(long = "recipient", value_name = "AGE1…")]
        recipients: Vec<String>,
    },
    /// Puts the keyring back where there is none. It needs the root key that it had.
    Restore {
        /// The file that `key backup` wrote.
        #[arg(long, value_name = "FILE")]
        from: std::path::PathBuf,
        /// The file of the age identity.
        #[arg(long, value_name = "FILE")]
        identity: std::path::PathBuf,
    },
    /// Lists the keys, without what was handed out.
    List,
    /// Makes a key stop working at once.
    Revoke {
        /// Which.
        key: ApiKeyId,
    },
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Scope::ALL.into_iter().map(Scope::name).collect();
        format!("one of {}", names.join(", "))
    })
}

/// An id of Meta's.
fn digits(flag: &str, id: String) -> Result<String, Failure> {
    if !id.is_empty() && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(id)
    } else {
        Err(format!("{flag} takes an id of Meta's: 1 to 32 digits; a telephone number or a name is none")
            .into())
    }
}

/// A secret from the environment, where other users of the machine do not see it.
fn secret(name: &str) -> Result<StoredSecret, Failure> {
    let sources = iassistance_config::Sources::of_process(None, Vec::new());
    let text = sources
        .variable(name)
        .ok_or_else(|| format!("set {name} in the environment: it must not be empty"))?;
    Ok(StoredSecret::new(text))
}

pub async fn tenant(vaulted: &Vaulted, command: TenantCommand, output: &Output) -> Result<(), Failure> {
    match command {
        TenantCommand::Create { name, agency } => people::create_tenant(vaulted, &name, agency, output).await,
        TenantCommand::Suspend { tenant, reason } => {
            people::change_tenant(vaulted, tenant, TenantChange::Suspend { reason }, output).await
        }
        TenantCommand::Resume { tenant } => {
            people::change_tenant(vaulted, tenant, TenantChange::Resume, output).await
        }
        TenantCommand::Close { tenant } => {
            people::change_tenant(vaulted, tenant, TenantChange::Close, output).await
        }
        TenantCommand::List => {
            let tenants = vaulted.store.tenants().await?;
            let lines: Vec<_> = tenants
                .iter()
                .map(|tenant| format!("{}  {}  {}", tenant.id, tenant.state.name(), tenant.name))
                .collect();
            output.answer(&lines.join("\n"), &tenants)
        }
    }
}

pub async fn meta_app(vaulted: &Vaulted, command: MetaAppCommand, output: &Output) -> Result<(), Failure> {
    let shown = |app: &MetaApp| {
        let webhook = format!("/webhooks/meta/{}", app.id);
        (
            format!("{}  {}  webhook: {webhook}", app.id, app.name),
            json!({ "id": app.id, "name": app.name, "webhook": webhook }),
        )
    };
    match command {
        MetaAppCommand::Create { name, app_id } => {
            let now = vaulted.clock.now();
            let app = MetaApp {
                id: MetaAppId::new(now, &*vaulted.entropy),
                name,
                app_id: app_id.map(|id| digits("--app-id", id)).transpose()?,
                secrets: vec![secret("IASSISTANCE_APP_SECRET")?],
                verify_token: secret("IASSISTANCE_VERIFY_TOKEN")?,
                created_at: now,
            };
            vaulted.store.put_meta_app(app.clone()).await?;
            let (text, value) = shown(&app);
            output.answer(&text, &value)
        }
        MetaAppCommand::List => {
            let (lines, values): (Vec<_>, Vec<_>) =
                vaulted.store.meta_apps().await?.iter().map(shown).unzip();
            output.answer(&lines.join("\n"), &values)
        }
    }
}

pub async fn channel(vaulted: &Vaulted, command: ChannelCommand, output: &Output) -> Result<(), Failure> {
    let shown = |channel: &Channel| {
        let Channel { id, external_id, name, health, .. } = channel;
        let (kind, state) = (channel.kind().name(), health.state.name());
        let reason = health.reason.as_deref().map_or_else(String::new, |reason| format!("  {reason}"));
        let text = format!("{id}  {kind}  {external_id}  {name}  {state}{reason}");
        (text, json!({ "id": id, "kind": kind, "external_id": external_id, "name": name, "health": health }))
    };
    match command {
        ChannelCommand::Connect {
            tenant,
            meta_app,
            phone_number_id,
            account_id,
            page_id,
            instagram_id,
            through_page,
            name,
        } => {
            let (external_id, connection) = match (phone_number_id, page_id, instagram_id) {
                (Some(id), ..) => {
                    let account_id = account_id.map(|id| digits("--account-id", id)).transpose()?;
                    (digits("--phone-number-id", id)?, Connection::CloudApi { account_id, number: None })
                }
                (_, Some(id), _) => (digits("--page-id", id)?, Connection::Page),
                (.., Some(id)) => {
                    let connection = match through_page {
                        Some(page_id) => {
                            Connection::InstagramPage { page_id: digits("--through-page", page_id)? }
                        }
                        None => Connection::InstagramLogin { user_id: None },
                    };
                    (digits("--instagram-id", id)?, connection)
                }
                (None, None, None) => {
                    return Err("give one of --phone-number-id, --page-id and --instagram-id".into());
                }
            };
            if vaulted.store.meta_app(meta_app).await?.is_none() {
                return Err(format!("there is no Meta app {meta_app}: create it first").into());
            }
            let now = vaulted.clock.now();
            let channel = Channel {
                id: ChannelId::new(now, &*vaulted.entropy),
                tenant,
                meta_app,
                connection,
                external_id,
                name,
                access_token: secret("IASSISTANCE_ACCESS_TOKEN")?,
                token_owner: None,
                health: ChannelHealth::connecting(now),
                created_at: now,
            };
            vaulted.store.put_channel(channel.clone()).await?;
            let (text, value) = shown(&channel);
            output.answer(&text, &value)
        }
        ChannelCommand::Test { tenant, channel } => {
            let watcher = Watcher {
                store: &*vaulted.store,
                sender: &*vaulted.sender,
                now: vaulted.clock.now(),
                token_notice_ms: vaulted.settings.meta.token_notice_days * DAY_MS,
            };
            let report = watcher.test(TenantCtx::platform(tenant), channel).await?;
            let line = |check: &Check| {
                let mark = if check.ok { "ok" } else { "no" };
                format!("{mark}  {}  {}", check.name, check.detail)
            };
            let lines: Vec<_> = report.checks.iter().map(line).collect();
            let checks: Vec<_> = report
                .checks
                .iter()
                .map(|check| json!({ "name": check.name, "ok": check.ok, "detail": check.detail }))
                .collect();
            output.answer(&lines.join("\n"), &json!({ "state": report.state, "checks": checks }))?;
            match report.state {
                Some(state) if state.sends() => Ok(()),
                Some(_) => Err(report.reason().unwrap_or_default().into()),
                None => Err("Meta could not be asked: the channel stays as it was".into()),
            }
        }
        ChannelCommand::List { tenant } => {
            let store = vaulted.store.tenant(TenantCtx::platform(tenant)).await?;
            let (lines, values): (Vec<_>, Vec<_>) = store.channels().await?.iter().map(shown).unzip();
            output.answer(&lines.join("\n"), &values)
        }
    }
}

pub async fn key(vaulted: &Vaulted, command: KeyCommand, output: &Output) -> Result<(), Failure> {
    match command {
        KeyCommand::Create { name, tenant, scopes } => {
            let (key, plain) =
                auth::mint(&vaulted.keyring, &*vaulted.entropy, &*vaulted.clock, name, tenant, scopes, None)?;
            if let Some(tenant) = tenant {
                // Says so if there is no such tenant.
                vaulted.store.tenant(TenantCtx::platform(tenant)).await?;
            }
            vaulted.store.put_api_key(key.clone()).await?;
            output.note("This key is shown once; keep it like a password:");
            output.answer(plain.expose(), &json!({ "id": key.id, "key": plain.expose() }))
        }
        KeyCommand::List => {
            let keys = vaulted.store.api_keys().await?;
            let line = |key: &iassistance_domain::key::ApiKey| {
                let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.name()).collect();
                let owner = key.tenant.map_or_else(|| "platform".to_owned(), |tenant| tenant.to_string());
                let state = if key.is_live(vaulted.clock.now()) { "live" } else { "ended" };
                format!("{}  {state}  {owner}  {}  {}", key.id, scopes.join(","), key.name)
            };
            let lines: Vec<_> = keys.iter().map(line).collect();
            let values: Vec<_> = keys
                .iter()
                .map(|key| json!({ "id": key.id, "name": key.name, "tenant": key.tenant, "scopes": key.scopes, "revoked_at": key.revoked_at }))
                .collect();
            output.answer(&lines.join("\n"), &values)
        }
        KeyCommand::Backup { to, recipients } => keyring::backup(&vaulted.settings, &to, &recipients, output),
        KeyCommand::Restore { from, identity } => {
            keyring::restore(&vaulted.settings, &from, &identity, output)
        }
        KeyCommand::Revoke { key: id } => {
            let mut key = vaulted.store.api_key(id).await?.ok_or_else(|| format!("there is no key {id}"))?;
            key.revoked_at.get_or_insert(vaulted.clock.now());
            vaulted.store.put_api_key(key).await?;
            output.answer("It does not work any more.", &json!({ "revoked": id }))
        }
    }
}
