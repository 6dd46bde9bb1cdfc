//! `iassistance backup`: makes a copy of the store, lists those that there are, looks whether one is whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use iassistance_config::Settings;
use iassistance_domain::Timestamp;
use iassistance_domain::id::{BackupId, TenantId};
use iassistance_storage::backup::{Identity, Manifest, Place, Source, Which};

use super::{Failure, Output};
use crate::app::{self, Vaulted};
use crate::copies;

/// Copies the store and the files of messages, sealed for age public keys; a running server makes its own
/// (`backup.to`, `POST /v1/backups`). The keyring is not in it: `key backup` keeps that, and both are needed.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<BackupCommand>,
    /// Where to: a folder, or `s3://bucket/prefix`; `backup.to` without it.
    #[arg(long, value_name = "PLACE")]
    to: Option<String>,
    /// Who can open it, an age public key; may be given several times. `backup.recipients` without it.
    #[arg(long = "recipient", value_name = "AGE1…")]
    recipients: Vec<String>,
    /// One tenant alone.
    #[arg(long)]
    tenant: Option<TenantId>,
}

#[derive(Subcommand)]
pub enum BackupCommand {
    /// Lists the backups at a place, newest first.
    List(From),
    /// Reads every file of a backup and compares its hash; with an identity, opens and counts it too.
    Verify {
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        which: Chosen,
        /// The file of the age identity.
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
}

/// Where backups are.
#[derive(Args)]
pub struct From {
    /// Where they are: a folder, or `s3://bucket/prefix`; `backup.to` without it.
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
}

/// Which backup; the newest, if nothing is said.
#[derive(Args)]
pub struct Chosen {
    /// This one.
    #[arg(long, conflicts_with = "at")]
    id: Option<BackupId>,
    /// The newest that is not younger than this moment, as 2026-11-24T09:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text).ok_or_else(|| "a moment as 2026-11-24T09:30:00Z".to_owned())
}

impl From {
    /// The place.
    pub fn open(&self, settings: &Settings) -> Result<Place, Failure> {
        open(self.from.as_deref(), settings)
    }
}

impl Chosen {
    /// Which.
    pub fn which(&self) -> Which {
        match (self.id, self.at) {
            (Some(id), _) => Which::Id(id),
            (None, Some(at)) => Which::At(at),
            (None, None) => Which::Latest,
        }
    }
}

fn open(place: Option<&str>, settings: &Settings) -> Result<Place, Failure> {
    let (egress, _) = app::way_out(settings)?;
    let place = place.unwrap_or(&settings.backup.to);
    Ok(Place::open(place, &settings.backup, &egress)?)
}

/// Makes one, of a store that no server has open.
pub async fn make(vaulted: &Vaulted, arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let store = vaulted.sled.as_ref().ok_or("a store in memory is not copied")?;
    let mut settings = vaulted.settings.backup.clone();
    if !arguments.recipients.is_empty() {
        settings.recipients = arguments.recipients;
    }
    let to = arguments.to.as_deref();
    if to.is_some_and(|to| to.starts_with("s3://")) && !settings.to.starts_with("s3://") {
        return Err("a copy goes to a bucket only where `backup.to` names one: who holds it is on the register of those \
                    who are handed data (`privacy.subprocessors_file`)"
            .into());
    }
    let place = open(to, &vaulted.settings)?;
    if let Some(tenant) = arguments.tenant {
        // Says so if there is no such tenant.
        vaulted.store.tenant(iassistance_domain::tenant::TenantCtx::platform(tenant)).await?;
    }
    output.note("Copying; it is listed once all of it was read back.");
    let backups = copies::backups(vaulted, place, store, &settings)?;
    let manifest = backups.make_of(arguments.tenant).await?;
    output.note("The keyring is not in it: keep a copy of that too, with `iassistance key backup`.");
    output.answer(&line(&manifest), &value(&manifest))
}

/// Lists or verifies, without the store.
pub fn look(settings: &Settings, command: BackupCommand, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            BackupCommand::List(from) => {
                let (all, unreadable) = Source::new(from.open(settings)?).list().await?;
                for name in unreadable {
                    output.note(&format!("{name} cannot be read"));
                }
                let lines: Vec<_> = all.iter().map(|manifest| line(manifest)).collect();
                let values: Vec<_> = all.iter().map(|manifest| value(manifest)).collect();
                output.answer(&lines.join("\n"), &values)
            }
            BackupCommand::Verify { from, which, identity } => {
                let source = Source::new(from.open(settings)?);
                let identity = identity.map(|file| Identity::load(&file)).transpose()?;
                let chain = source.chain_of_any(which.which()).await?;
                let progress = |files: u64, bytes: u64| {
                    if files.is_multiple_of(100) {
                        output.note(&format!("{files} files, {} MiB", bytes >> 20));
                    }
                };
                let found = source.verify(&chain, identity.as_ref(), &progress).await?;
                let opened = match identity {
                    Some(_) => format!(", {} records opened", found.records),
                    None => "; not opened, as no identity was given".to_owned(),
                };
                let text = format!("Whole: {} backups, {} files{opened}.", found.backups, found.files);
                let shown = json!({
                    "backup": chain.tip().map(|tip| tip.id), "backups": found.backups, "files": found.files,
                    "records": found.records,
                });
                output.answer(&text, &shown)
            }
        }
    })
}

fn line(manifest: &Manifest) -> String {
    let tenant = manifest.tenant.map_or_else(String::new, |tenant| format!("  {tenant}"));
    let (id, at) = (manifest.id, manifest.at.to_rfc3339());
    let kind = format!("{:?}", manifest.kind).to_lowercase();
    let (records, bytes) = (manifest.records(), manifest.bytes());
    format!("{id}  {at}  {kind}  {records} records  {bytes} bytes{tenant}")
}

fn value(manifest: &Manifest) -> serde_json::Value {
    json!({
        "id": manifest.id, "kind": manifest.kind, "base": manifest.base, "tenant": manifest.tenant,
        "at": manifest.at, "records": manifest.records(), "bytes": manifest.bytes(),
        "verified_at": manifest.verified_at,
    })
}
