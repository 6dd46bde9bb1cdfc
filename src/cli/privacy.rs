//! `iassistance datamap`, `erase`, `hold` and `retention`: what is kept, for how long, and how it goes.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use iassistance_domain::Pii;
use iassistance_domain::Timestamp;
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::id::{ContactId, ConversationId, HoldId, TenantId};
use iassistance_domain::privacy::{Class, Erasure, ErasureGround, HoldScope, LegalHold};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::keeping::MappedKind;

use super::{Failure, Output};
use crate::app::Vaulted;
use crate::http::v1::DataMapView;
use crate::keeping::{Explanation, Keeper};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Five days: no business day more than Argentine law gives, whatever the calendar.
const DUE_DAYS: u64 = 5;

/// The data map: what every stored field is, what it is kept for, on which basis and for how long.
#[derive(Args)]
pub struct DataMapArguments {
    /// Open every record of the store and hold it against the map. The server must not be running on it.
    #[arg(long)]
    pub scan: bool,
}

#[derive(Subcommand)]
pub enum HoldCommand {
    /// Lays a hold on a tenant's data: it stays until the hold is released.
    Lay {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// The norm that demands it.
        #[arg(long)]
        norm: String,
        /// What proves it, and where it is kept.
        #[arg(long)]
        document: String,
        /// When somebody must look whether it still stands, as `2027-03-01T00:00:00Z`.
        #[arg(long)]
        review_at: String,
        /// Of one contact alone.
        #[arg(long)]
        contact: Option<ContactId>,
        /// Of one class alone; may be given several times. Classes: contact, message, execution, event, webhook,
        /// `dead_letter`.
        #[arg(long = "class", value_parser = class)]
        classes: Vec<Class>,
    },
    /// Releases a hold, and erases what it kept that was to be erased.
    Release {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        hold: HoldId,
    },
    /// Lists a tenant's holds.
    List {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
    },
}

#[derive(Subcommand)]
pub enum RetentionCommand {
    /// Shows for how long a tenant's data is kept, and the latest sweep of each class.
    Show {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
    },
    /// Chooses a period for a class, within the platform's floor and ceiling.
    Set {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Which class.
        #[arg(value_parser = class)]
        class: Class,
        /// Days.
        days: u32,
    },
    /// Tells why something is still there, and until when.
    Explain {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// The id of anything that is kept: a contact, a conversation, a message …
        id: String,
        /// The conversation of a message, a turn or a file.
        #[arg(long)]
        conversation: Option<ConversationId>,
    },
    /// Removes now what is over its period.
    Sweep {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
    },
}

/// Erases a contact, with all who proved to be the same person, and prints the receipt.
#[derive(Args)]
pub struct EraseArguments {
    /// Whose contact.
    #[arg(long)]
    tenant: TenantId,
    /// Who.
    contact: ContactId,
    /// Turn the tenant's keys at once, which makes it final.
    #[arg(long)]
    now: bool,
}

#[derive(Subcommand)]
pub enum EndingCommand {
    /// Writes all that a tenant has into a new folder, for it to take along.
    Export {
        /// Which.
        tenant: TenantId,
        /// The new folder.
        #[arg(long)]
        to: PathBuf,
    },
    /// Destroys all that there is of a tenant, keys last, and prints the certificate. There is no way back.
    Destroy {
        /// Which.
        tenant: TenantId,
        /// The same id once more.
        #[arg(long)]
        confirm: TenantId,
        /// SHA-256 of the export that it was given, as `export` printed it.
        #[arg(long)]
        export_sha256: Option<String>,
    },
}

fn class(text: &str) -> Result<Class, String> {
    let known = || Class::CHOSEN.map(Class::name).join(", ");
    Class::from_name(text).filter(|class| class.is_chosen()).ok_or_else(|| format!("one of: {}", known()))
}

/// Puts on a tenant's audit log what is about to be done.
async fn record(
    vaulted: &Vaulted,
    tenant: TenantId,
    act: &str,
    on: &(impl ToString + Sync),
) -> Result<(), Failure> {
    let entry = AuditEntry::new(vaulted.clock.now(), Actor::CommandLine, act).on(on).of(tenant);
    vaulted.store.trail().append_audit(Some(tenant), entry).await?;
    Ok(())
}

/// The data map of this version, which needs no store.
pub fn data_map(output: &Output) -> Result<(), Failure> {
    let map = iassistance_storage::keeping::data_map();
    output.answer(&shown(&map)?, &DataMapView::of_this_version())
}

fn shown(map: &[MappedKind]) -> Result<String, Failure> {
    let mut text = String::new();
    for kind in map {
        writeln!(text, "{} ({})", kind.kind, kind.tree)?;
        for line in &kind.fields {
            writeln!(
                text,
                "  {:<52} {:<12} {:<12} {:<11} {}",
                line.path,
                line.category.name(),
                line.purpose.name(),
                line.basis.name(),
                line.class
            )?;
        }
    }
    for class in Class::ALL {
        writeln!(text, "{:<12} is kept: {}", class.name(), class.rule())?;
    }
    Ok(text.trim_end().to_owned())
}

/// Opens every record of the store and holds it against the map.
pub async fn scan(vaulted: &Vaulted, output: &Output) -> Result<(), Failure> {
    let scan = vaulted.store.keeping().scan_map().await?;
    let unknown: Vec<_> = scan.unknown.iter().map(String::as_str).collect();
    let mut text = format!(
        "{} records of {} kinds were opened, {} did not open; {} fields were found.",
        scan.records,
        scan.kinds.len(),
        scan.unreadable,
        scan.seen.len()
    );
    if !unknown.is_empty() {
        write!(text, "\nThe map does not know:\n  {}", unknown.join("\n  "))?;
    }
    output.answer(&text, &scan)?;
    if unknown.is_empty() {
        Ok(())
    } else {
        Err("the store has fields that the data map does not know".into())
    }
}

pub async fn erase(vaulted: &Vaulted, arguments: EraseArguments, output: &Output) -> Result<(), Failure> {
    let EraseArguments { tenant, contact, now } = arguments;
    let keeper = Keeper::new(vaulted, None);
    let due = vaulted.clock.now().plus_millis(DUE_DAYS * DAY_MS);
    let ground = ErasureGround::Asked { by: Actor::CommandLine };
    let mut erasure = keeper.erase(tenant, contact, ground, due).await?;
    if now {
        keeper.make_final(tenant).await?;
        let kept = vaulted.store.keeping().erasure(TenantCtx::platform(tenant), erasure.id).await?;
        erasure = kept.unwrap_or(erasure);
    }
    output.answer(&receipt(&erasure)?, &erasure)
}

fn receipt(erasure: &Erasure) -> Result<String, Failure> {
    let mut text = format!("{}: {} contacts, {}", erasure.id, erasure.contacts.len(), erasure.state.name());
    for destroyed in &erasure.receipt.destroyed {
        let (place, how) = (serde_json::to_value(destroyed.place)?, serde_json::to_value(destroyed.how)?);
        let place = place.as_str().unwrap_or_default().to_owned();
        write!(text, "\n  {:<14} {:>8}  {}", place, destroyed.count, how.as_str().unwrap_or_default())?;
    }
    for remains in &erasure.receipt.remains {
        let until = remains.until.map_or_else(|| "no moment is set".to_owned(), Timestamp::to_rfc3339);
        write!(text, "\n  remains: {} until {until}", serde_json::to_value(&remains.what)?)?;
    }
    Ok(text)
}

pub async fn hold(vaulted: &Vaulted, command: HoldCommand, output: &Output) -> Result<(), Failure> {
    let keeper = Keeper::new(vaulted, None);
    match command {
        HoldCommand::Lay { tenant, norm, document, review_at, contact, classes } => {
            let now = vaulted.clock.now();
            let review_at = Timestamp::from_rfc3339(&review_at)
                .ok_or("--review-at: expected a moment like 2027-03-01T00:00:00Z")?;
            let hold = LegalHold {
                id: HoldId::new(now, &*vaulted.entropy),
                norm,
                scope: HoldScope { contact, classes },
                document: Pii::new(document),
                review_at,
                made_by: Actor::CommandLine,
                made_at: now,
                released: None,
            };
            record(vaulted, tenant, "hold.laid", &hold.id).await?;
            let hold = keeper.lay_hold(tenant, hold).await?;
            output.answer(&format!("{} is laid: {}", hold.id, hold.norm), &hold)
        }
        HoldCommand::Release { tenant, hold } => {
            record(vaulted, tenant, "hold.released", &hold).await?;
            let hold = keeper.release_hold(tenant, hold, Actor::CommandLine).await?;
            output.answer(&format!("{} is released; what waited for it is erased.", hold.id), &hold)
        }
        HoldCommand::List { tenant } => {
            let holds = vaulted.store.keeping().holds(TenantCtx::platform(tenant)).await?;
            let now = vaulted.clock.now();
            let mut text = String::new();
            for hold in &holds {
                let state = match hold.released {
                    Some(_) => "released",
                    None if hold.is_due_for_review(now) => "in force, to be reviewed",
                    None => "in force",
                };
                writeln!(text, "{}  {state}  {}", hold.id, hold.norm)?;
            }
            output.answer(text.trim_end(), &holds)
        }
    }
}

pub async fn retention(vaulted: &Vaulted, command: RetentionCommand, output: &Output) -> Result<(), Failure> {
    let keeper = Keeper::new(vaulted, None);
    let keeping = vaulted.store.keeping();
    match command {
        RetentionCommand::Show { tenant } => {
            let ctx = TenantCtx::platform(tenant);
            let (chosen, sweeps) = (keeping.retention(ctx).await?, keeping.sweeps(ctx).await?);
            let (mut text, mut all) = (String::new(), Vec::new());
            for (class, bounds) in keeper.rules().all() {
                let days = keeper.rules().days(&chosen, class);
                let sweep = sweeps.iter().find(|sweep| sweep.class == class);
                let last = sweep.map_or_else(
                    || "never swept".to_owned(),
                    |it| format!("swept {}: {} went, {} held", it.at.to_rfc3339(), it.removed, it.held),
                );
                let days_shown = days.unwrap_or_default();
                let (floor, ceiling) = (bounds.floor, bounds.ceiling);
                writeln!(text, "{class:<12} {days_shown:>5} days ({floor} to {ceiling})  {last}")?;
                all.push(json!({ "class": class, "days": days, "bounds": bounds, "sweep": sweep }));
            }
            output.answer(text.trim_end(), &all)
        }
        RetentionCommand::Set { tenant, class, days } => {
            let ctx = TenantCtx::platform(tenant);
            let mut chosen = keeping.retention(ctx).await?;
            chosen.days.insert(class, days);
            record(vaulted, tenant, "retention.changed", &class).await?;
            keeper.choose_periods(tenant, chosen.clone()).await?;
            output.answer(&format!("{class} is kept for {days} days."), &chosen)
        }
        RetentionCommand::Explain { tenant, id, conversation } => {
            let found = keeper.explain(tenant, &id, conversation).await?;
            let found = found.ok_or("there is nothing of that id, and no erasure tells of it")?;
            output.answer(&explained(&found)?, &found)
        }
        RetentionCommand::Sweep { tenant } => {
            let mut sweeps = Vec::new();
            let mut text = String::new();
            for class in Class::CHOSEN {
                let sweep = keeper.sweep_class(tenant, class).await?;
                writeln!(text, "{class:<12} {} went, {} held", sweep.removed, sweep.held)?;
                sweeps.push(sweep);
            }
            output.answer(text.trim_end(), &sweeps)
        }
    }
}

fn explained(found: &Explanation) -> Result<String, Failure> {
    let mut text = format!("{} (class {}): kept {}", found.what, found.class, found.rule);
    if let Some(erasure) = found.erased_by {
        return Ok(format!("{text}\nIt was taken by the erasure {erasure}."));
    }
    if let (Some(days), Some(from), Some(until)) = (found.days, found.counts_from, found.goes_at) {
        let whose = if found.chosen { "the tenant's choice" } else { "the platform's default" };
        let (from, until) = (from.to_rfc3339(), until.to_rfc3339());
        write!(text, "\nThe period is {days} days ({whose}): from {from} until {until}.")?;
    }
    if let Some(silent) = found.goes_with_contact_at.filter(|silent| Some(*silent) != found.goes_at) {
        write!(
            text,
            "\nWhere nothing more is said it goes with its contact, from {} on.",
            silent.to_rfc3339()
        )?;
    }
    for hold in &found.holds {
        write!(text, "\nThe legal hold {hold} keeps it until that is released.")?;
    }
    Ok(text)
}

pub async fn ending(vaulted: &Vaulted, command: EndingCommand, output: &Output) -> Result<(), Failure> {
    let keeper = Keeper::new(vaulted, None);
    match command {
        EndingCommand::Export { tenant, to } => {
            let exported = keeper.export_tenant(tenant, &to).await?;
            let text = format!(
                "{} records and {} files are in {}; SHA-256 of records.jsonl: {}",
                exported.records,
                exported.files,
                to.display(),
                exported.sha256
            );
            output.answer(&text, &exported)
        }
        EndingCommand::Destroy { tenant, confirm, export_sha256 } => {
            if tenant != confirm {
                return Err("--confirm names another tenant: nothing was destroyed".into());
            }
            let certificate = keeper.destroy_tenant(tenant, Actor::CommandLine, export_sha256).await?;
            let text = certificate.note.clone().unwrap_or_default();
            output.answer(text.trim_end(), &certificate)
        }
    }
}
