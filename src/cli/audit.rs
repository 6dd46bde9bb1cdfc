//! `iassistance audit`: is the audit log as it was written?

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use iassistance_domain::audit::Checkpoint;
use iassistance_domain::id::TenantId;
use iassistance_storage::chain::{ChainVerdict, check_exported, check_stored};
use iassistance_vault::NoteVerifier;

use super::{Failure, Output};
use crate::app::Vaulted;

/// What can be done with the audit log.
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Check the chains of the store, or a file that was exported. Ends with 1 when something is wrong.
    Verify(Verify),
    /// Print the key by which checkpoints are checked: for those who check an exported file.
    Key,
}

/// What is checked.
#[derive(clap::Args)]
pub struct Verify {
    /// This tenant's chain alone; otherwise all, and the platform's.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Checkpoints that were kept elsewhere (`audit.checkpoints_file`): with them a chain that was written
    /// anew, or cut, with its own checkpoints is found out.
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// A file that was exported by REST, instead of the store; needs neither store nor keyring.
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["tenant", "checkpoints"])]
    pub file: Option<PathBuf>,
    /// The platform's key, as `iassistance audit key` prints it. Have it from the platform beforehand: the one
    /// in the file proves nothing.
    #[arg(long, value_name = "KEY", requires = "file")]
    key: Option<String>,
}

/// Runs a command on the store.
pub async fn run(vaulted: &Vaulted, command: AuditCommand, output: &Output) -> Result<(), Failure> {
    let signer = vaulted.keyring.note_signer()?;
    let verifier = signer.verifier();
    match command {
        AuditCommand::Key => {
            let key = verifier.to_string();
            output.answer(&key, &json!({ "key": key }))
        }
        AuditCommand::Verify(what) => {
            let elsewhere = what.checkpoints.as_deref().map(read_checkpoints).transpose()?;
            let chains = match what.tenant {
                Some(tenant) => vec![Some(tenant)],
                None => {
                    let tenants = vaulted.store.tenants().await?;
                    std::iter::once(None).chain(tenants.iter().map(|tenant| Some(tenant.id))).collect()
                }
            };
            let mut verdicts = Vec::new();
            for chain in chains {
                let trail = vaulted.store.trail();
                verdicts.push(
                    check_stored(trail, chain, verifier, elsewhere.as_deref().unwrap_or_default()).await?,
                );
            }
            tell(&verdicts, output)
        }
    }
}

/// Checks an exported file, with nothing but the key.
pub fn offline(what: &Verify, file: &Path, output: &Output) -> Result<(), Failure> {
    let key = what.key.as_deref().unwrap_or_default();
    let verifier: NoteVerifier = key.parse().map_err(|error| format!("--key: {error}"))?;
    let opened = File::open(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    tell(&[check_exported(BufReader::new(opened), &verifier)?], output)
}

fn read_checkpoints(file: &Path) -> Result<Vec<Checkpoint>, Failure> {
    let opened = File::open(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let mut checkpoints = Vec::new();
    for (number, line) in BufReader::new(opened).lines().enumerate() {
        let line = line?;
        if !line.trim().is_empty() {
            let bad = |_| format!("line {} of {} is no checkpoint", number + 1, file.display());
            checkpoints.push(serde_json::from_str(&line).map_err(bad)?);
        }
    }
    Ok(checkpoints)
}

fn tell(verdicts: &[ChainVerdict], output: &Output) -> Result<(), Failure> {
    for verdict in verdicts {
        let chain = verdict.tenant.map_or_else(|| "platform".to_owned(), |tenant| tenant.to_string());
        for fault in &verdict.faults {
            output.note(&format!("{chain}: {fault}"));
        }
    }
    let (chains, faults) = (verdicts.len(), verdicts.iter().map(|verdict| verdict.total).sum::<u64>());
    let entries: u64 = verdicts.iter().map(|verdict| verdict.entries).sum();
    let unvouched: u64 = verdicts.iter().map(|it| it.entries.saturating_sub(it.vouched_to)).sum();
    let mut text = format!("{chains} chains with {entries} entries were checked");
    if unvouched > 0 {
        text = format!("{text}; the newest {unvouched} are not vouched for yet");
    }
    output.answer(&text, &json!({ "chains": verdicts, "faults": faults }))?;
    if faults == 0 { Ok(()) } else { Err(format!("{faults} faults were found in the audit log").into()) }
}
