//! Passwords: changing one's own, choosing one anew by mail, and choosing the first with an invitation.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use iassistance_config::Secret;
use iassistance_domain::account::{
    Account, AccountState, MEMBERSHIPS_MAX, PasswordHash, SecondFactors, normalised_email,
};
use iassistance_domain::audit::Actor;
use iassistance_domain::id::AccountId;
use iassistance_domain::invitation::{Invitation, TOKEN_MS, Token, TokenKind};
use iassistance_domain::{Pii, Timestamp};
use iassistance_identity::mail::Letter;
use iassistance_identity::passwords::Cost;
use iassistance_identity::tokens;
use iassistance_storage::StorageError;

use super::input::{self, Body};
use super::me::check_password;
use super::proof;
use super::view::Problems;
use crate::http::auth::{self, Allowed, acts};
use crate::http::sessions::Anybody;
use crate::http::{Problem, State};
use crate::identity::recipient;

/// A password in place of another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password until now; left out by who has none.
    #[schema(value_type = Option<String>, format = Password)]
    current: Option<Secret>,
    /// The new one: 8 to 256 characters, hard to guess.
    #[schema(value_type = String, format = Password)]
    new: Secret,
}

/// Whose password was forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forgotten {
    /// The e-mail address of the account.
    #[schema(example = "ada@example.com")]
    email: String,
}

/// A password chosen anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The token of the mail's link.
    #[schema(value_type = String)]
    token: Secret,
    /// The new password: 8 to 256 characters, hard to guess.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// An invitation that is taken up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The token of the mail's link.
    #[schema(value_type = String)]
    token: Secret,
    /// For who has no account yet: its password, 8 to 256 characters, hard to guess. Left out by who signs in
    /// by Supabase alone.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// For who has no account yet: what they are called, if not as the invitation says.
    name: Option<String>,
}

/// An account that belongs to more places than before.
#[derive(Serialize, ToSchema)]
pub struct Accepted {
    /// The account.
    #[schema(value_type = String)]
    account: AccountId,
    /// Whether it is new.
    created: bool,
}

async fn new_password(state: &State, account: &Account, password: &Secret) -> Result<PasswordHash, Problem> {
    let personal = [&account.email, &account.name];
    let cost = Cost::of(account.owner);
    Ok(state.app.identity.passwords.create(password, cost, &personal, account.language).await?)
}

/// Change your password
///
/// Your other sessions end.
#[utoipa::path(put, path = "/auth/password", tag = "your account", operation_id = "change_password",
    request_body = PasswordChange,
    responses((status = 204, description = "It is changed"), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
    body: Body<PasswordChange>,
) -> Result<HttpResponse, Problem> {
    let person = allowed.person()?;
    let mut account = person.account.clone();
    match (&body.value.current, &account.password) {
        (Some(current), Some(_)) => check_password(&state, &account, &person.session, current).await?,
        (None, Some(_)) => return Err(Problem::invalid("`current`: give the password until now")),
        (_, None) if person.session.is_stepped_up(state.clock().now()) => {}
        (_, None) => return Err(Problem::step_up_needed()),
    }
    account.password = Some(new_password(&state, &account, &body.value.new).await?);
    allowed.record(allowed.entry("account.password_changed").on(&account.id)).await?;
    let people = state.app.store.people();
    people.put_account(account.clone(), account.revision).await?;
    people.remove_sessions_of(account.id, Some(person.session.id)).await?;
    let link = state.app.identity.link("/account/sessions", "");
    state.app.identity.write(&recipient(&account), &Letter::CredentialsChanged { link: &link });
    Ok(HttpResponse::NoContent().finish())
}

/// Have a link sent to choose a password anew
///
/// The answer is the same whether there is such an account or not.
#[utoipa::path(post, path = "/auth/password/forgotten", tag = "signing in", operation_id = "forgot_password",
    security(()), request_body = Forgotten,
    responses((status = 202, description = "If there is such an account, a mail is on its way"), Problems))]
pub async fn forgotten(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<Forgotten>,
) -> Result<HttpResponse, Problem> {
    let email = normalised_email(&body.value.email);
    let email = email.map_err(|error| Problem::invalid(format!("`email`: {error}")))?;
    let identity = &state.app.identity;
    identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    identity.throttles.mail(&email).map_err(proof::slower(&state))?;
    // Aside: the time that the answer takes does not tell whether there is such an account.
    let asked = state.clone();
    identity.aside("password.forgotten", async move {
        if let Err(error) = send_reset(&asked, &email).await {
            tracing::error!(%error, "a link to choose a password anew was not sent");
        }
    });
    Ok(HttpResponse::Accepted().finish())
}

async fn send_reset(state: &State, email: &Pii<String>) -> Result<(), StorageError> {
    let (identity, people) = (&state.app.identity, state.app.store.people());
    let Some(account) = people.account_by_email(email).await?.filter(Account::is_active) else {
        return Ok(());
    };
    let now = state.clock().now();
    let (token, hash) = tokens::mint(&**state.app.engine.entropy());
    let kept = Token {
        kind: TokenKind::PasswordReset,
        account: account.id,
        hash,
        email: None,
        created_at: now,
        expires_at: now.plus_millis(TOKEN_MS),
    };
    people.put_token(kept).await?;
    let link = identity.link("/reset-password", token.expose());
    let letter = Letter::PasswordReset { link: &link, minutes: TOKEN_MS / 60_000 };
    identity.write(&recipient(&account), &letter);
    Ok(())
}

fn used_up() -> Problem {
    Problem::wrong_credentials("the link was used already or is too old: ask for a new one")
}

fn said(
    account: AccountId,
    act: &str,
    now: Timestamp,
    from: &Anybody,
) -> iassistance_domain::audit::AuditEntry {
    let address = Pii::new(from.ip.to_string());
    auth::entry(act, Actor::Account { account }, now, None, Some(address)).on(&account)
}

/// Choose a password anew
///
/// With the token of the mail's link, which works once and for 30 minutes. All sessions end. A second factor
/// stays.
#[utoipa::path(post, path = "/auth/password/reset", tag = "signing in", operation_id = "reset_password",
    security(()), request_body = Reset,
    responses((status = 204, description = "It is changed: sign in with it"), Problems))]
pub async fn reset(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<Reset>,
) -> Result<HttpResponse, Problem> {
    state.app.identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    let (people, now) = (state.app.store.people(), state.clock().now());
    let hash = tokens::hash(body.value.token.expose()).ok_or_else(used_up)?;
    let token = people.take_token(TokenKind::PasswordReset, &hash, now).await?.ok_or_else(used_up)?;
    let account = people.account(token.account).await?.filter(Account::is_active);
    let mut account = account.ok_or_else(used_up)?;
    match new_password(&state, &account, &body.value.password).await {
        Ok(password) => account.password = Some(password),
        Err(problem) => {
            // What was wrong was the password, not the token: it may be tried again.
            people.put_token(token).await?;
            return Err(problem);
        }
    }
    auth::record(&state, said(account.id, "account.password_reset", now, &anybody)).await?;
    people.put_account(account.clone(), account.revision).await?;
    people.remove_sessions_of(account.id, None).await?;
    let link = state.app.identity.link("/account/sessions", "");
    state.app.identity.write(&recipient(&account), &Letter::CredentialsChanged { link: &link });
    Ok(HttpResponse::NoContent().finish())
}

/// Accept an invitation
///
/// Who has an account with that address belongs to more places from now on; who has none gets one.
#[utoipa::path(post, path = "/auth/invitations/accept", tag = "signing in", operation_id = "accept_invitation",
    security(()), request_body = Acceptance, responses((status = 200, body = Accepted), Problems))]
pub async fn accept(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<Acceptance>,
) -> Result<web::Json<Accepted>, Problem> {
    state.app.identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    let (people, now) = (state.app.store.people(), state.clock().now());
    let hash = tokens::hash(body.value.token.expose()).ok_or_else(used_up)?;
    let invitation = people.invitation_by_hash(&hash).await?.filter(|it| it.is_open(now));
    let invitation = invitation.ok_or_else(used_up)?;
    let existing = people.account_by_email(&invitation.email).await?;
    let (account, expected) = match existing {
        Some(account) if account.is_active() => {
            let revision = account.revision;
            (joined(account, &invitation)?, Some(revision))
        }
        Some(_) => return Err(used_up()),
        None => (new_account(&state, &invitation, &body.value, now).await?, None),
    };
    let entry = said(account.id, "invitation.accepted", now, &anybody).with("invitation", &invitation.id);
    auth::record(&state, entry).await?;
    let (id, created) = (account.id, expected.is_none());
    people.accept_invitation(&hash, now, account, expected).await.map_err(|error| match error {
        StorageError::NotFound(_) => used_up(),
        other => other.into(),
    })?;
    Ok(web::Json(Accepted { account: id, created }))
}

/// The account with what the invitation adds to it. A role that it has in a place becomes the one that it is
/// invited to.
fn joined(mut account: Account, invitation: &Invitation) -> Result<Account, Problem> {
    for membership in &invitation.memberships {
        account.memberships.retain(|held| held.of != membership.of);
        account.memberships.push(membership.clone());
    }
    if account.memberships.len() > MEMBERSHIPS_MAX {
        return Err(Problem::conflict(format!("an account belongs to at most {MEMBERSHIPS_MAX} places")));
    }
    account.owner |= invitation.owner;
    Ok(account)
}

async fn new_account(
    state: &State,
    invitation: &Invitation,
    given: &Acceptance,
    now: Timestamp,
) -> Result<Account, Problem> {
    let name = match &given.name {
        Some(name) => Pii::new(input::name("name", name)?),
        None => invitation.name.clone(),
    };
    let mut account = Account {
        id: AccountId::new(now, &**state.app.engine.entropy()),
        email: invitation.email.clone(),
        name,
        password: None,
        second_factors: SecondFactors::default(),
        owner: invitation.owner,
        memberships: invitation.memberships.clone(),
        supabase_subject: None,
        language: invitation.language,
        state: AccountState::Active,
        revision: 0,
        created_at: now,
        signed_in_at: None,
    };
    match &given.password {
        Some(password) => account.password = Some(new_password(state, &account, password).await?),
        None if state.app.identity.supabase.is_some() => {}
        None => return Err(Problem::invalid("`password`: choose one for the new account")),
    }
    Ok(account)
}
