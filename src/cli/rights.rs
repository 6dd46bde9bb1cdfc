//! `iassistance rights`: what people ask about their own data, on the store itself. Codes are sent, and assistants
//! silenced, by the running server alone: by REST.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use iassistance_domain::account::Language;
use iassistance_domain::audit::Actor;
use iassistance_domain::id::{CaseId, ContactId, TenantId};
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::rights::{CaseState, Mark, Opened, RefusalGround, RightKind, RightsCase};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};

use super::{Failure, Output};
use crate::app::Vaulted;
use crate::keeping::Keeper;
use crate::rights::{Act, Registrar};

/// Cases that are listed at once.
const PAGE: usize = 200;

#[derive(Subcommand)]
pub enum RightsCommand {
    /// Lists cases, newest first.
    List {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Only those that are not over.
        #[arg(long)]
        open: bool,
        /// Only those whose time has passed.
        #[arg(long)]
        overdue: bool,
    },
    /// Opens a case: the law's time runs from now on.
    Open {
        /// Whose contact.
        #[arg(long)]
        tenant: TenantId,
        /// Who.
        contact: ContactId,
        /// What is asked: access, rectify, update, delete, confidential, object.
        #[arg(value_parser = right)]
        right: RightKind,
        /// Nobody asked: the error was noticed.
        #[arg(long)]
        noticed: bool,
    },
    /// Shows a case.
    Show {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        case: CaseId,
    },
    /// Does something with a case.
    Step {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        case: CaseId,
        /// What.
        #[command(subcommand)]
        step: StepCommand,
    },
    /// Writes all that is held about the person of a case into a file, as JSON.
    Data {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        case: CaseId,
        /// The file, which must not be there.
        #[arg(long)]
        to: PathBuf,
        /// In which language codes are explained.
        #[arg(long, default_value = "es", value_parser = language)]
        lang: Language,
    },
}

#[derive(Subcommand)]
pub enum StepCommand {
    /// A document was seen that proves who they are. Only that is kept.
    SeeDocument {
        /// What kind of document, without its number.
        kind: String,
    },
    /// Corrects a field: `profile_name`, or the name of a note.
    Correct {
        /// Which.
        field: String,
        /// What it says from now on; nothing takes it away.
        value: Option<String>,
    },
    /// Keeps the record under review, or blocked, while it is in dispute.
    Dispute {
        /// How.
        mark: MarkWord,
    },
    /// Keeps what is known of them from all but who exports it.
    Restrict,
    /// Erases all that there is of them.
    Erase,
    /// It is done.
    Answer {
        /// What they are told.
        text: Option<String>,
    },
    /// It is not done.
    Refuse {
        /// Why.
        ground: GroundWord,
        /// What they are told.
        text: String,
    },
    /// They took it back.
    Withdraw,
    /// It takes longer, where the laws in force let it.
    Extend,
    /// A recipient was told by hand.
    Told {
        /// Who, as the case names them.
        recipient: String,
        /// What proves it.
        proof: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum MarkWord {
    /// Shown and used, with that said of it.
    UnderReview,
    /// Neither shown nor used.
    Blocked,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum GroundWord {
    /// It was not proven who asks.
    Identity,
    /// A law demands that it be kept.
    DutyToKeep,
    /// It would harm the rights of others.
    OthersRights,
    /// What is stored is right.
    NotWrong,
    /// Nothing is held.
    NothingHeld,
    /// The service that was agreed needs it.
    NeededForService,
}

impl From<StepCommand> for Act {
    fn from(step: StepCommand) -> Self {
        match step {
            StepCommand::SeeDocument { kind } => Self::SeeDocument(kind),
            StepCommand::Correct { field, value } => Self::Correct(vec![(field, value.map(Pii::new))]),
            StepCommand::Dispute { mark: MarkWord::UnderReview } => Self::Dispute(Mark::UnderReview),
            StepCommand::Dispute { mark: MarkWord::Blocked } => Self::Dispute(Mark::Blocked),
            StepCommand::Restrict => Self::Restrict(true),
            StepCommand::Erase => Self::Erase,
            StepCommand::Answer { text } => Self::Answer(text.map(Pii::new)),
            StepCommand::Refuse { ground, text } => {
                let ground = match ground {
                    GroundWord::Identity => RefusalGround::Identity,
                    GroundWord::DutyToKeep => RefusalGround::DutyToKeep,
                    GroundWord::OthersRights => RefusalGround::OthersRights,
                    GroundWord::NotWrong => RefusalGround::NotWrong,
                    GroundWord::NothingHeld => RefusalGround::NothingHeld,
                    GroundWord::NeededForService => RefusalGround::NeededForService,
                };
                Self::Refuse(ground, Pii::new(text))
            }
            StepCommand::Withdraw => Self::Withdraw,
            StepCommand::Extend => Self::Extend,
            StepCommand::Told { recipient, proof } => Self::Told(recipient, proof),
        }
    }
}

fn right(text: &str) -> Result<RightKind, String> {
    let known = || RightKind::ALL.map(RightKind::name).join(", ");
    RightKind::from_name(text).ok_or_else(|| format!("one of: {}", known()))
}

fn language(text: &str) -> Result<Language, String> {
    Language::from_code(text).ok_or_else(|| "one of: es, pt, en".to_owned())
}

pub async fn run(vaulted: &Vaulted, command: RightsCommand, output: &Output) -> Result<(), Failure> {
    let registrar = Registrar::new(vaulted, &Keeper::new(vaulted, None), None, None)?;
    let by = Actor::CommandLine;
    match command {
        RightsCommand::List { tenant, open, overdue } => {
            let now = vaulted.clock.now();
            let (mut found, mut before) = (Vec::new(), None);
            loop {
                let ctx = TenantCtx::platform(tenant);
                let cases = vaulted.store.rights().cases(ctx, before, PAGE).await?;
                before = cases.last().map(|case| case.id);
                let is_last = cases.len() < PAGE;
                let wants = |case: &RightsCase| {
                    (!open || case.state.is_open())
                        && (!overdue || (case.state.is_open() && now > case.due_at))
                };
                found.extend(cases.into_iter().filter(wants));
                if is_last {
                    break;
                }
            }
            let mut text = String::new();
            for case in &found {
                writeln!(text, "{}", line(case, now))?;
            }
            output.answer(text.trim_end(), &found.iter().map(as_json).collect::<Vec<_>>())
        }
        RightsCommand::Open { tenant, contact, right, noticed } => {
            let opened = if noticed { Opened::Noticed { by } } else { Opened::Staff { by } };
            let case = registrar.open(tenant, contact, right, opened).await?;
            output.answer(&line(&case, vaulted.clock.now()), &as_json(&case))
        }
        RightsCommand::Show { tenant, case } => {
            let case = registrar.case(tenant, case).await?;
            let mut text = line(&case, vaulted.clock.now());
            for step in &case.steps {
                write!(text, "\n  {}  {}", step.at.to_rfc3339(), step.what)?;
            }
            for told in &case.told {
                let at = told.told_at.map_or_else(|| "not told yet".to_owned(), Timestamp::to_rfc3339);
                write!(text, "\n  {}: {at}, by {}", told.recipient, told.due_at.to_rfc3339())?;
            }
            output.answer(&text, &as_json(&case))
        }
        RightsCommand::Step { tenant, case, step } => {
            let case = registrar.act(tenant, case, step.into(), by).await?;
            output.answer(&line(&case, vaulted.clock.now()), &as_json(&case))
        }
        RightsCommand::Data { tenant, case, to, lang } => {
            let case = registrar.case(tenant, case).await?;
            let bundle = registrar.bundle(tenant, case.contact, lang).await?.json();
            let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&to);
            let file = file.map_err(|error| format!("cannot write {}: {error}", to.display()))?;
            serde_json::to_writer_pretty(file, &bundle)?;
            output.answer(&format!("All that is held is in {}.", to.display()), &json!({ "file": to }))
        }
    }
}

fn line(case: &RightsCase, now: Timestamp) -> String {
    let late = if case.state.is_open() && now > case.due_at { ", overdue" } else { "" };
    let (kind, state, due) = (case.kind.name(), case.state.name(), case.due_at.to_rfc3339());
    format!("{}  {kind:<12} {state:<9} due {due} ({}){late}  {}", case.id, case.law, case.contact)
}

/// As REST shows it, as far as the command line needs it: no hash of a code.
fn as_json(case: &RightsCase) -> Value {
    let text = match &case.state {
        CaseState::Answered { text: Some(text), .. } | CaseState::Refused { text, .. } => {
            Some(text.reveal(Rights))
        }
        _ => None,
    };
    json!({
        "id": case.id, "right": case.kind, "contact": case.contact, "received_at": case.received_at,
        "verified_at": case.verified_at, "due_at": case.due_at, "law": case.law, "state": case.state.name(),
        "text": text, "repeated": case.repeated, "erasure": case.erasure, "told": case.told, "steps": case.steps,
    })
}
