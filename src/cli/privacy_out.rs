//! `iassistance subprocessors`, `order` and `incident`: to whom personal data goes, by whose order, and what got into
//! hands that it was not for.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use iassistance_config::Settings;
use iassistance_domain::account::Language;
use iassistance_domain::audit::Actor;
use iassistance_domain::id::{AccountId, ApiKeyId, ContactId, IncidentId, OrderId, TenantId};
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::{
    Class, Incident, IncidentFacts, IncidentScope, LegalOrder, OrderScope, Party, Suspect,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};

use super::{Failure, Output};
use crate::app::Vaulted;
use crate::incidents::{Incidents, NewIncident, dossier, drafts};
use crate::orders::{NewOrder, Orders, moment};
use crate::register::{Register, RegisterError};

#[derive(Subcommand)]
pub enum RegisterCommand {
    /// Looks whether what the law wants told is complete, as a server that others can reach needs it to start.
    Check,
    /// Lists the providers that the settings make use of.
    List,
}

/// The register of providers.
pub fn register(settings: &Settings, command: &RegisterCommand, output: &Output) -> Result<(), Failure> {
    let register = Register::load(settings)?;
    match command {
        RegisterCommand::Check => {
            let lacks = register.lacks(settings);
            if !lacks.is_empty() {
                return Err(RegisterError::Incomplete(lacks).into());
            }
            let text = format!("Complete (version {} of {}).", register.version, register.updated);
            output.answer(&text, &json!({ "complete": true, "version": register.version }))?;
        }
        RegisterCommand::List => {
            let used = register.in_use(settings);
            let mut text = String::new();
            for provider in &used {
                let (name, used_for) = (&provider.name, provider.used_for.join(", "));
                writeln!(text, "{name} ({used_for}): {}", provider.hosts.join(" "))?;
            }
            output.answer(text.trim_end(), &json!({ "providers": used }))?;
        }
    }
    Ok(())
}

/// What is covered, or asked for.
#[derive(Args)]
pub struct ScopeArguments {
    /// Of this contact; may be given several times. Of everybody, if nobody is named.
    #[arg(long = "contact")]
    contacts: Vec<ContactId>,
    /// Of this class: contact, message, execution, event; may be given several times.
    #[arg(long = "class", required = true, value_parser = class)]
    classes: Vec<Class>,
    /// From this moment on, as `2026-03-01T00:00:00Z`.
    #[arg(long, value_parser = moment)]
    from: Timestamp,
    /// Before this moment.
    #[arg(long, value_parser = moment)]
    until: Timestamp,
}

fn class(name: &str) -> Result<Class, String> {
    Class::from_name(name)
        .ok_or_else(|| format!("there is no class `{name}`: contact, message, execution, event"))
}

impl From<ScopeArguments> for OrderScope {
    fn from(scope: ScopeArguments) -> Self {
        let ScopeArguments { contacts, classes, from, until } = scope;
        Self { contacts, classes, from, until }
    }
}

#[derive(Subcommand)]
pub enum OrderCommand {
    /// Enters an order of an authority. An owner approves it, by REST, before anything is handed over.
    Enter {
        /// About whose data.
        #[arg(long)]
        tenant: TenantId,
        /// Who ordered it.
        #[arg(long)]
        authority: String,
        /// Its file, norm and date.
        #[arg(long)]
        reference: String,
        /// The document, and where it is kept.
        #[arg(long)]
        document: String,
        /// The client may not be told.
        #[arg(long)]
        barred: bool,
        #[command(flatten)]
        scope: ScopeArguments,
    },
    /// Approves an order that an owner entered by REST.
    Approve {
        /// About whose data.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        order: OrderId,
    },
    /// Hands over what an order covers, or a part of it, into a new file.
    Answer {
        /// About whose data.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        order: OrderId,
        /// The new file.
        #[arg(long)]
        to: PathBuf,
        #[command(flatten)]
        scope: ScopeArguments,
    },
    /// Tells the client of an order of which it was barred to tell until now.
    Tell {
        /// About whose data.
        #[arg(long)]
        tenant: TenantId,
        /// Which.
        order: OrderId,
    },
    /// Lists the orders about a tenant's data.
    List {
        /// Whose.
        #[arg(long)]
        tenant: TenantId,
    },
}

fn order_line(order: &LegalOrder) -> String {
    let state = match (&order.approved, order.answers.len()) {
        (None, _) => "not approved".to_owned(),
        (Some(_), 0) => "approved".to_owned(),
        (Some(_), times) => format!("answered {times} times"),
    };
    let told = if order.told_at.is_some() { "the client was told" } else { "the client was not told" };
    format!("{} {} ({}): {state}, {told}", order.id, order.authority, order.reference)
}

/// Orders of authorities.
pub async fn order(vaulted: &Vaulted, command: OrderCommand, output: &Output) -> Result<(), Failure> {
    let orders = Orders::new(&vaulted.store, &vaulted.clock, &vaulted.entropy);
    let by = Actor::CommandLine;
    let found = match command {
        OrderCommand::Enter { tenant, authority, reference, document, barred, scope } => {
            let (document, scope) = (Pii::new(document), scope.into());
            let new = NewOrder { authority, reference, document, scope, may_tell: !barred };
            vec![orders.enter(tenant, new, by).await?]
        }
        OrderCommand::Approve { tenant, order } => vec![orders.approve(tenant, order, by).await?],
        OrderCommand::Tell { tenant, order } => vec![orders.tell(tenant, order, by).await?],
        OrderCommand::Answer { tenant, order, to, scope } => {
            if to.exists() {
                return Err(format!("{} is there already: name a new file", to.display()).into());
            }
            let (order, lines) = orders.answer(tenant, order, scope.into(), by).await?;
            std::fs::write(&to, lines).map_err(|error| format!("cannot write {}: {error}", to.display()))?;
            vec![order]
        }
        OrderCommand::List { tenant } => vaulted.store.leaving().orders(TenantCtx::platform(tenant)).await?,
    };
    let text: Vec<_> = found.iter().map(order_line).collect();
    let json: Vec<_> =
        found.iter().map(|order| json!({ "order": order.id, "told_at": order.told_at })).collect();
    output.answer(&text.join("\n"), &json!({ "orders": json }))
}

/// What is known of an incident.
#[derive(Args)]
pub struct IncidentArguments {
    /// What it is called.
    #[arg(long)]
    title: String,
    /// When it was known, as `2026-03-01T12:00:00Z`; now, if nothing is said.
    #[arg(long, value_parser = moment)]
    known_at: Option<Timestamp>,
    /// A key that may have been misused; may be given several times.
    #[arg(long = "key")]
    keys: Vec<ApiKeyId>,
    /// An account, likewise.
    #[arg(long = "account")]
    accounts: Vec<AccountId>,
    /// An address, likewise.
    #[arg(long = "address")]
    addresses: Vec<String>,
    /// Since when.
    #[arg(long, value_parser = moment)]
    from: Timestamp,
    /// Until when.
    #[arg(long, value_parser = moment)]
    until: Timestamp,
    /// What happened.
    #[arg(long, default_value = "")]
    what_happened: String,
}

#[derive(Subcommand)]
pub enum IncidentCommand {
    /// Opens an incident: its clocks run from when it was known.
    Open(IncidentArguments),
    /// Lists incidents with what is still to be told.
    List,
    /// Looks up in the logs whose data was reached.
    Scope {
        /// Which.
        incident: IncidentId,
    },
    /// Prints letters to each party.
    Draft {
        /// Which.
        incident: IncidentId,
        /// es, pt or en.
        #[arg(long, default_value = "es", value_parser = language)]
        language: Language,
    },
    /// Prints the file for the authority.
    Dossier {
        /// Which.
        incident: IncidentId,
    },
    /// Marks a party as told: meta, clients, authority or people.
    Told {
        /// Which.
        incident: IncidentId,
        /// Who.
        #[arg(value_parser = party)]
        party: Party,
        /// What proves it, and where that is kept.
        #[arg(long)]
        proof: String,
    },
    /// Closes an incident, once everybody was told.
    Close {
        /// Which.
        incident: IncidentId,
    },
}

fn language(code: &str) -> Result<Language, String> {
    Language::from_code(code).ok_or_else(|| "es, pt or en".to_owned())
}

fn party(name: &str) -> Result<Party, String> {
    Party::from_name(name).ok_or_else(|| "meta, clients, authority or people".to_owned())
}

fn incident_text(incident: &Incident) -> String {
    let title = format!("{} {}", incident.id, incident.title.reveal(Rights));
    let scope = incident
        .scope
        .as_ref()
        .map(|scope| format!("  {} people of {} clients were reached", scope.people(), scope.tenants.len()));
    let duties = incident.duties.iter().map(|duty| {
        let told = duty.told.as_ref().map_or_else(
            || format!("to be told by {}", duty.due_at.to_rfc3339()),
            |told| format!("told at {}", told.at.to_rfc3339()),
        );
        format!("  {}: {told}", duty.party.name())
    });
    [title].into_iter().chain(scope).chain(duties).collect::<Vec<_>>().join("\n")
}

/// Incidents.
pub async fn incident(vaulted: &Vaulted, command: IncidentCommand, output: &Output) -> Result<(), Failure> {
    let settings = &vaulted.settings.privacy;
    let incidents = Incidents::new(&vaulted.store, &vaulted.clock, &vaulted.entropy, settings);
    let by = Actor::CommandLine;
    let found = match command {
        IncidentCommand::Open(arguments) => {
            vec![incidents.open(known(arguments, vaulted.clock.now()), by).await?]
        }
        IncidentCommand::List => vaulted.store.leaving().incidents(None, usize::MAX).await?,
        IncidentCommand::Scope { incident } => vec![incidents.look_up(incident, by).await?],
        IncidentCommand::Told { incident, party, proof } => {
            vec![incidents.tell(incident, party, Pii::new(proof), by).await?]
        }
        IncidentCommand::Close { incident } => vec![incidents.close(incident, by).await?],
        IncidentCommand::Draft { incident, language } => {
            let all = drafts(&incidents.incident(incident).await?, language);
            let texts = all.iter().map(|draft| {
                let tenant = draft.tenant.map(|tenant| format!(" {tenant}")).unwrap_or_default();
                format!("== {}{tenant}\n{}\n\n{}\n", draft.party, draft.subject, draft.text)
            });
            let text = texts.collect::<Vec<_>>().join("\n");
            return output.answer(text.trim_end(), &json!({ "drafts": all }));
        }
        IncidentCommand::Dossier { incident } => {
            let file = dossier(&incidents.incident(incident).await?);
            return output.answer(&format!("{file:#}"), &file);
        }
    };
    let text: Vec<_> = found.iter().map(incident_text).collect();
    let json: Vec<_> = found
        .iter()
        .map(|incident| {
            let people = incident.scope.as_ref().map(IncidentScope::people);
            json!({ "incident": incident.id, "people": people, "scope": incident.scope, "closed_at": incident.closed_at })
        })
        .collect();
    output.answer(&text.join("\n"), &json!({ "incidents": json }))
}

fn known(arguments: IncidentArguments, now: Timestamp) -> NewIncident {
    let IncidentArguments { title, known_at, keys, accounts, addresses, from, until, what_happened } =
        arguments;
    let keys = keys.into_iter().map(|key| Suspect::Key { key });
    let accounts = accounts.into_iter().map(|account| Suspect::Account { account });
    let addresses = addresses.into_iter().map(|address| Suspect::Address { address: Pii::new(address) });
    NewIncident {
        title: Pii::new(title),
        known_at: known_at.unwrap_or(now),
        suspects: keys.chain(accounts).chain(addresses).collect(),
        from,
        until,
        facts: IncidentFacts { what_happened: Pii::new(what_happened), ..IncidentFacts::default() },
    }
}
