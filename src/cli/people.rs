//! Accounts, agencies and the state of tenants, on the machine itself: what comes before anybody can sign in,
//! and what is left when nobody can. Each act is on the audit log before it is done.

use clap::Subcommand;
use serde_json::{Value, json};

use iassistance_domain::Pii;
use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, SecondFactors, normalised_email,
};
use iassistance_domain::agency::{Agency, AgencyState, NAME_CHARS_MAX};
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::id::{AccountId, AgencyId, TenantId};
use iassistance_domain::invitation::{TOKEN_MS, Token, TokenKind};
use iassistance_domain::pii::SignIn;
use iassistance_domain::tenant::{Tenant, TenantState};
use iassistance_identity::tokens;

use super::{Failure, Output};
use crate::app::Vaulted;

/// Accounts that are read at once.
const PAGE: usize = 500;

#[derive(Subcommand)]
pub enum AccountCommand {
    /// Makes an owner of the platform and prints, this once, the token with which they choose a password
    /// within 30 minutes.
    CreateOwner {
        /// Their e-mail address.
        email: String,
        /// What they are called.
        #[arg(long)]
        name: String,
        /// What they are written to in: es, pt, en.
        #[arg(long, default_value = "en", value_parser = parse_language)]
        language: Language,
    },
    /// Lists the accounts.
    List,
    /// Lets an account sign in no more, and ends its sessions.
    Disable {
        /// Its id or its e-mail address.
        account: String,
    },
    /// Lets a disabled account sign in again.
    Enable {
        /// Its id or its e-mail address.
        account: String,
    },
    /// Ends an account's sessions and prints, this once, a token with which its password is chosen anew
    /// within 30 minutes.
    Reset {
        /// Its id or its e-mail address.
        account: String,
        /// Takes its second factors off too: for who lost them and their recovery codes.
        #[arg(long)]
        second_factors: bool,
    },
}

#[derive(Subcommand)]
pub enum AgencyCommand {
    /// Creates an agency.
    Create {
        /// What people call it.
        name: String,
    },
    /// Lists the agencies.
    List,
}

/// What becomes of a tenant.
pub enum TenantChange {
    /// Nobody answers for it.
    Suspend { reason: String },
    /// It is served again.
    Resume,
    /// No address leads to it.
    Close,
}

fn parse_language(text: &str) -> Result<Language, String> {
    Language::from_code(text).ok_or_else(|| "one of es, pt, en".to_owned())
}

/// A name of 1 to 120 characters.
pub fn named(name: &str) -> Result<String, Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {NAME_CHARS_MAX} characters, on one line").into());
    }
    Ok(name.to_owned())
}

/// Puts an act on the platform's audit log, or the tenant's that it is about. What cannot be put there is
/// not done.
async fn record(vaulted: &Vaulted, entry: AuditEntry) -> Result<(), Failure> {
    let chain = entry.tenant;
    vaulted.store.trail().append_audit(chain, entry).await?;
    Ok(())
}

fn entry(vaulted: &Vaulted, act: &str) -> AuditEntry {
    AuditEntry::new(vaulted.clock.now(), Actor::CommandLine, act)
}

pub async fn account(vaulted: &Vaulted, command: AccountCommand, output: &Output) -> Result<(), Failure> {
    match command {
        AccountCommand::CreateOwner { email, name, language } => {
            create_owner(vaulted, &email, &name, language, output).await
        }
        AccountCommand::List => list_accounts(vaulted, output).await,
        AccountCommand::Disable { account } => {
            let account = found(vaulted, &account).await?;
            set_state(vaulted, account, AccountState::Disabled, output).await
        }
        AccountCommand::Enable { account } => {
            let account = found(vaulted, &account).await?;
            set_state(vaulted, account, AccountState::Active, output).await
        }
        AccountCommand::Reset { account, second_factors } => {
            let account = found(vaulted, &account).await?;
            reset(vaulted, account, second_factors, output).await
        }
    }
}

async fn create_owner(
    vaulted: &Vaulted,
    email: &str,
    name: &str,
    language: Language,
    output: &Output,
) -> Result<(), Failure> {
    let (email, name) = (normalised_email(email)?, named(name)?);
    let people = vaulted.store.people();
    if people.account_by_email(&email).await?.is_some() {
        return Err("that e-mail address has an account already: see `account list`".into());
    }
    let now = vaulted.clock.now();
    let account = Account {
        id: AccountId::new(now, &*vaulted.entropy),
        email,
        name: Pii::new(name),
        password: None,
        second_factors: SecondFactors::default(),
        owner: true,
        memberships: Vec::new(),
        supabase_subject: None,
        language,
        state: AccountState::Active,
        revision: 0,
        created_at: now,
        signed_in_at: None,
    };
    record(vaulted, entry(vaulted, "account.created").on(&account.id).with("owner", &true)).await?;
    people.create_account(account.clone()).await?;
    hand_out_token(vaulted, &account, output).await
}

/// Prints a token with which the account's password is chosen.
async fn hand_out_token(vaulted: &Vaulted, account: &Account, output: &Output) -> Result<(), Failure> {
    let now = vaulted.clock.now();
    let (plain, hash) = tokens::mint(&*vaulted.entropy);
    let token = Token {
        kind: TokenKind::PasswordReset,
        account: account.id,
        hash,
        email: None,
        created_at: now,
        expires_at: now.plus_millis(TOKEN_MS),
    };
    let expires_at = token.expires_at;
    vaulted.store.people().put_token(token).await?;
    output.note(&format!("{}  With this token its password is chosen within 30 minutes:", account.id));
    output.answer(
        plain.expose(),
        &json!({ "account": account.id, "token": plain.expose(), "expires_at": expires_at }),
    )
}

async fn list_accounts(vaulted: &Vaulted, output: &Output) -> Result<(), Failure> {
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    let mut before = None;
    loop {
        let page = vaulted.store.people().accounts(before, PAGE, None).await?;
        for account in &page {
            let (line, value) = shown(account);
            lines.push(line);
            values.push(value);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => before = Some(last.id),
            _ => return output.answer(&lines.join("\n"), &values),
        }
    }
}

/// An account as this machine's administrator sees it.
fn shown(account: &Account) -> (String, Value) {
    let state = match account.state {
        AccountState::Active => "active",
        AccountState::Disabled => "disabled",
    };
    let mut roles: Vec<_> = account.owner.then(|| "owner".to_owned()).into_iter().collect();
    roles.extend(account.memberships.iter().map(|membership| match membership.of {
        MemberOf::Agency(agency) => format!("{} of {agency}", membership.role.name()),
        MemberOf::Tenant(tenant) => format!("{} of {tenant}", membership.role.name()),
    }));
    let (email, name) = (account.email.reveal(SignIn), account.name.reveal(SignIn));
    let factor = if account.second_factors.any() { "second factor" } else { "no second factor" };
    let text = format!("{}  {state}  {email}  {name}  {factor}  {}", account.id, roles.join(", "));
    let value = json!({
        "id": account.id,
        "state": account.state,
        "email": email,
        "name": name,
        "owner": account.owner,
        "memberships": account.memberships,
        "second_factor": account.second_factors.any(),
        "signed_in_at": account.signed_in_at,
    });
    (text, value)
}

/// The account of an id or an e-mail address.
async fn found(vaulted: &Vaulted, which: &str) -> Result<Account, Failure> {
    let people = vaulted.store.people();
    let account = match which.parse::<AccountId>() {
        Ok(id) => people.account(id).await?,
        Err(_) => people.account_by_email(&normalised_email(which)?).await?,
    };
    account.ok_or_else(|| "there is no such account: see `account list`".into())
}

async fn set_state(
    vaulted: &Vaulted,
    account: Account,
    state: AccountState,
    output: &Output,
) -> Result<(), Failure> {
    let (id, expected) = (account.id, account.revision);
    let (act, words) = match state {
        AccountState::Active => ("account.enabled", "It may sign in again."),
        AccountState::Disabled => ("account.disabled", "It may not sign in any more; its sessions ended."),
    };
    record(vaulted, entry(vaulted, act).on(&id)).await?;
    let people = vaulted.store.people();
    people.put_account(Account { state, ..account }, expected).await?;
    if state == AccountState::Disabled {
        people.remove_sessions_of(id, None).await?;
    }
    output.answer(words, &json!({ "id": id, "state": state }))
}

async fn reset(
    vaulted: &Vaulted,
    account: Account,
    second_factors: bool,
    output: &Output,
) -> Result<(), Failure> {
    let id = account.id;
    let said = entry(vaulted, "account.reset").on(&id).with("second_factors", &second_factors);
    record(vaulted, said).await?;
    let people = vaulted.store.people();
    people.remove_sessions_of(id, None).await?;
    if second_factors {
        let bare = Account { second_factors: SecondFactors::default(), ..account.clone() };
        people.put_account(bare, account.revision).await?;
    }
    hand_out_token(vaulted, &account, output).await
}

pub async fn agency(vaulted: &Vaulted, command: AgencyCommand, output: &Output) -> Result<(), Failure> {
    match command {
        AgencyCommand::Create { name } => {
            let (name, now) = (named(&name)?, vaulted.clock.now());
            let id = AgencyId::new(now, &*vaulted.entropy);
            let agency = Agency { id, name, created_at: now, state: AgencyState::Active };
            record(vaulted, entry(vaulted, "agency.created").on(&id)).await?;
            vaulted.store.people().create_agency(agency.clone()).await?;
            output.answer(&id.to_string(), &agency)
        }
        AgencyCommand::List => {
            let agencies = vaulted.store.people().agencies().await?;
            let lines: Vec<_> =
                agencies.iter().map(|agency| format!("{}  {}", agency.id, agency.name)).collect();
            output.answer(&lines.join("\n"), &agencies)
        }
    }
}

/// Creates a tenant, of an agency if one is given.
pub async fn create_tenant(
    vaulted: &Vaulted,
    name: &str,
    agency: Option<AgencyId>,
    output: &Output,
) -> Result<(), Failure> {
    if let Some(agency) = agency
        && vaulted.store.people().agency(agency).await?.is_none()
    {
        return Err(format!("there is no agency {agency}: see `agency list`").into());
    }
    let now = vaulted.clock.now();
    let tenant = Tenant { agency, ..Tenant::new(TenantId::new(now, &*vaulted.entropy), named(name)?, now) };
    let said = entry(vaulted, "tenant.created").on(&tenant.id);
    let said = agency.map_or_else(|| said.clone(), |agency| said.clone().with("agency", &agency));
    // It has no log of its own yet.
    record(vaulted, said).await?;
    vaulted.store.create_tenant(tenant.clone()).await?;
    output.answer(&tenant.id.to_string(), &tenant)
}

/// Suspends a tenant, resumes it or closes it.
pub async fn change_tenant(
    vaulted: &Vaulted,
    id: TenantId,
    change: TenantChange,
    output: &Output,
) -> Result<(), Failure> {
    let people = vaulted.store.people();
    let tenant = people.tenant_record(id).await?.ok_or_else(|| format!("there is no tenant {id}"))?;
    let since = vaulted.clock.now();
    let (act, state, reason) = match change {
        TenantChange::Suspend { reason } => {
            let reason = named(&reason)?;
            ("tenant.suspended", TenantState::Suspended { since, reason: reason.clone() }, Some(reason))
        }
        TenantChange::Resume => ("tenant.resumed", TenantState::Active, None),
        TenantChange::Close => ("tenant.closed", TenantState::Closed { since }, None),
    };
    let said = AuditEntry { reason: reason.map(Pii::new), ..entry(vaulted, act).on(&id).of(id) };
    record(vaulted, said).await?;
    let tenant = Tenant { state, ..tenant };
    people.put_tenant(tenant.clone()).await?;
    output.answer(&format!("{id}  {}", tenant.state.name()), &tenant)
}
