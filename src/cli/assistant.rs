//! `iassistance assistant`: the settings, on the store itself.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use iassistance_actors::settings::default_assistant;
use iassistance_domain::assistant::{AssistantSettings, AssistantSettingsVersion};
use iassistance_domain::budget::Day;
use iassistance_domain::id::TenantId;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::TenantStore;

use super::{Failure, Output};
use crate::app::Vaulted;
use crate::http::v1::SettingsView;
use crate::settings_check;

/// Versions that are listed.
const LISTED_MAX: usize = 200;

#[derive(Subcommand)]
pub enum AssistantCommand {
    /// Shows a tenant's settings, without secrets.
    Show {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// The draft, in place of those that count.
        #[arg(long)]
        draft: bool,
    },
    /// Stores the settings in a TOML file; what the file does not say is the platform's default.
    Set {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// As the draft: nothing counts until it is published.
        #[arg(long)]
        draft: bool,
        /// The file.
        file: PathBuf,
    },
    /// Lets the draft count.
    Publish {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
    },
    /// Lists the versions, newest first.
    Versions {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
    },
    /// Lets the settings of an earlier version count again, as a new version.
    Rollback {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        version: u64,
    },
}

pub async fn run(vaulted: &Vaulted, command: AssistantCommand, output: &Output) -> Result<(), Failure> {
    let open = |tenant| vaulted.store.tenant(TenantCtx::platform(tenant));
    match command {
        AssistantCommand::Show { tenant, draft } => show(&*open(tenant).await?, draft, output).await,
        AssistantCommand::Set { tenant, draft, file } => {
            let settings = over(default_assistant(&vaulted.settings.assistant), &file)?;
            settings_check::check(&settings, &vaulted.egress)?;
            let store = open(tenant).await?;
            if draft {
                let draft = store.put_assistant_draft(settings).await?;
                let text = format!("Saved as a draft, made from version {}.", draft.based_on);
                return output.answer(&text, &json!({ "based_on": draft.based_on }));
            }
            counts(&store.put_assistant(settings, None).await?, output)
        }
        AssistantCommand::Publish { tenant } => {
            let store = open(tenant).await?;
            let draft = store
                .assistant_draft()
                .await?
                .ok_or("there is no draft: `assistant set --draft` saves one")?;
            counts(&store.publish_assistant_draft(Some(draft.based_on)).await?, output)
        }
        AssistantCommand::Versions { tenant } => {
            let versions = open(tenant).await?.assistant_versions(None, LISTED_MAX).await?;
            let (lines, values): (Vec<_>, Vec<_>) = versions.iter().map(listed).unzip();
            output.answer(&lines.join("\n"), &values)
        }
        AssistantCommand::Rollback { tenant, version } => {
            counts(&open(tenant).await?.roll_back_assistant(version, None).await?, output)
        }
    }
}

async fn show(store: &dyn TenantStore, draft: bool, output: &Output) -> Result<(), Failure> {
    if draft {
        let draft = store.assistant_draft().await?.ok_or("there is no draft")?;
        let based_on = draft.based_on;
        let settings = SettingsView::from(draft.settings);
        let text =
            format!("draft, made from version {based_on}\n{}", serde_json::to_string_pretty(&settings)?);
        return output.answer(&text, &json!({ "based_on": based_on, "settings": settings }));
    }
    let Some(stored) = store.assistant().await? else {
        return output.answer("Nothing is set: the defaults count.", &json!({ "version": 0 }));
    };
    let version = stored.version;
    let settings = SettingsView::from(stored.settings);
    let text = format!("version {version}\n{}", serde_json::to_string_pretty(&settings)?);
    output.answer(&text, &json!({ "version": version, "settings": settings }))
}

fn counts(stored: &AssistantSettingsVersion, output: &Output) -> Result<(), Failure> {
    let version = stored.version;
    output.answer(&format!("Version {version} counts from now on."), &json!({ "version": version }))
}

fn listed(stored: &AssistantSettingsVersion) -> (String, Value) {
    let AssistantSettingsVersion { version, settings, published_at, rolled_back_to } = stored;
    let at = published_at.map_or_else(|| "-".to_owned(), |at| Day::of(at).to_string());
    let back = rolled_back_to.map_or_else(String::new, |to| format!("  as version {to}"));
    let model = settings.model.as_deref().unwrap_or("the platform's model");
    let text = format!("{version:>6}  {at}  {model}{back}");
    let value = json!({
        "version": version, "published_at": published_at, "rolled_back_to": rolled_back_to, "model": settings.model,
    });
    (text, value)
}

/// Settings with what a TOML file says in their place.
pub fn over(settings: AssistantSettings, file: &Path) -> Result<AssistantSettings, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let table: toml::Table =
        text.parse().map_err(|error| format!("{} is not TOML: {error}", file.display()))?;
    let (mut settings, said) = (serde_json::to_value(settings)?, serde_json::to_value(table)?);
    if let (Value::Object(settings), Value::Object(said)) = (&mut settings, said) {
        settings.extend(said);
    }
    serde_json::from_value(settings).map_err(|error| format!("{}: {error}", file.display()).into())
}
