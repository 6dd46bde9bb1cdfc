//! Signing in: a password and then a second factor, a passkey, or the users of Supabase; and signing out.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use iassistance_config::Secret;
use iassistance_domain::account::{Account, normalised_email};
use iassistance_domain::audit::Actor;
use iassistance_domain::id::SessionId;
use iassistance_domain::{Pii, Timestamp};
use iassistance_identity::mail::Letter;
use iassistance_identity::passkeys::SignInAnswer;
use iassistance_identity::passwords::{Candidate, Cost, Verdict};

use super::input::Body;
use super::me::MeView;
use super::proof::{self, Proof, QuestionView};
use super::view::Problems;
use crate::http::auth::{self, Allowed, acts};
use crate::http::sessions::{self, Anybody};
use crate::http::{Problem, State, cookies};
use crate::identity::recipient;

/// An address and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The e-mail address of the account.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Its password.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// The second step of signing in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondStep {
    /// The ticket of the first.
    #[schema(value_type = String)]
    ticket: Secret,
    /// The second factor.
    proof: Proof,
}

/// For whom a passkey is asked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticketed {
    /// The ticket of the first step.
    #[schema(value_type = String)]
    ticket: Secret,
}

/// A browser's answer to the question of a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyAnswer {
    /// The id of the question.
    question: String,
    /// What `navigator.credentials.get` gave, as JSON.
    #[schema(value_type = Object)]
    answer: Value,
}

/// A link that signs somebody in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkToken {
    /// What stands behind `#token=`.
    #[schema(value_type = String)]
    token: Secret,
}

/// A token of the Supabase project.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SupabaseToken {
    /// The access token that the project gave.
    #[schema(value_type = String, format = Password)]
    access_token: Secret,
}

/// Somebody signed in, or has a step to go.
#[derive(Serialize, ToSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum SignedInView {
    /// A session began; its cookie comes with this answer.
    SignedIn {
        /// The session.
        #[schema(value_type = String)]
        session: SessionId,
        /// When it ends at the latest.
        #[schema(value_type = i64)]
        expires_at: Timestamp,
        /// To be repeated in the header `X-CSRF-Token` with every change.
        csrf_token: String,
        /// Who it is.
        me: Box<MeView>,
    },
    /// A second factor is to be given at `/v1/auth/second-factor`, within five minutes.
    SecondFactor {
        /// For the second step.
        ticket: String,
        /// What can be given: `totp`, `recovery_code`, `passkey`.
        ways: Vec<&'static str>,
    },
}

/// What is the same for a wrong address, a wrong password and a disabled account.
fn wrong() -> Problem {
    Problem::wrong_credentials("no account has this address and this password")
}

/// Sign in with a password
///
/// Who has a second factor is asked for it in a second step. Who must have one and has none yet gets a session
/// with which one can be added, and nothing else. Throttled by address and by account; a device on which the
/// account has signed in before has tries of its own.
#[utoipa::path(post, path = "/auth/sign-in", tag = "signing in", operation_id = "sign_in", security(()),
    request_body = Credentials, responses((status = 200, body = SignedInView), Problems))]
pub async fn with_password(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<Credentials>,
) -> Result<HttpResponse, Problem> {
    let Credentials { email, password } = body.value;
    let email = normalised_email(&email).map_err(|error| Problem::invalid(format!("`email`: {error}")))?;
    let (people, identity) = (state.app.store.people(), &state.app.identity);
    let account = people.account_by_email(&email).await?.filter(Account::is_active);
    let known = account.as_ref().and_then(|it| anybody.devices.as_ref()?.known(&state.app.keyring, it.id));
    identity.throttles.password(anybody.ip, &email, known).map_err(proof::slower(&state))?;
    let candidate = match account.as_ref().and_then(|account| Some((account.password.as_ref()?, account))) {
        Some((kept, account)) => Candidate::Account { kept, cost: Cost::of(account.owner) },
        None => Candidate::Nobody { email: &email },
    };
    let verdict = identity.passwords.check(&password, candidate).await?;
    let (Some(mut account), Verdict::Right { rehashed }) = (account, verdict) else { return Err(wrong()) };
    if let Some(hash) = rehashed {
        account.password = Some(hash);
        account.revision = people.put_account(account.clone(), account.revision).await?;
    }
    step_or_session(&state, &anybody, account, false).await
}

/// Goes on to the second step where there is one.
async fn step_or_session(
    state: &State,
    anybody: &Anybody,
    account: Account,
    second_factor: bool,
) -> Result<HttpResponse, Problem> {
    if second_factor || !account.second_factors.any() {
        return signed_in(state, anybody, account, second_factor).await;
    }
    let ticket = state.pending.issue(account.id, state.clock().now(), &**state.app.engine.entropy());
    let ways = proof::ways(state, &account);
    let step = SignedInView::SecondFactor { ticket: ticket.expose().to_owned(), ways };
    Ok(HttpResponse::Ok().json(step))
}

/// Begins a session, on the record.
async fn signed_in(
    state: &State,
    anybody: &Anybody,
    mut account: Account,
    second_factor: bool,
) -> Result<HttpResponse, Problem> {
    let (now, entropy) = (state.clock().now(), &**state.app.engine.entropy());
    let people = state.app.store.people();
    let before = anybody.device(now, entropy);
    let is_new = before.known(&state.app.keyring, account.id).is_none() && account.signed_in_at.is_some();
    let devices = before.with(&state.app.keyring, account.id);
    let address = Pii::new(anybody.ip.to_string());
    let actor = Actor::Account { account: account.id };
    let said = auth::entry("session.began", actor, now, None, Some(address.clone()));
    auth::record(state, said.on(&account.id).with("second_factor", &second_factor)).await?;
    account.signed_in_at = Some(now);
    account.revision = people.put_account(account.clone(), account.revision).await?;
    let origin = anybody.origin(&devices);
    let (token, session) = sessions::begin(people, entropy, now, &account, origin, second_factor).await?;
    if is_new {
        let link = state.app.identity.link("/account/sessions", "");
        let letter = Letter::NewDevice { agent: &session.agent, address: &address, link: &link };
        state.app.identity.write(&recipient(&account), &letter);
    }
    let view = SignedInView::SignedIn {
        session: session.id,
        expires_at: session.expires_at,
        csrf_token: cookies::csrf_token(&state.app.keyring, &session),
        me: Box::new(MeView::of(state, &account, &session)),
    };
    let cookies = (cookies::keep_session(&token), cookies::keep_devices(&devices));
    Ok(HttpResponse::Ok().cookie(cookies.0).cookie(cookies.1).json(view))
}

/// Give the second factor
///
/// The code of an authenticator, a recovery code, or a passkey's answer to the question that
/// `/v1/auth/second-factor/passkey` asked.
#[utoipa::path(post, path = "/auth/second-factor", tag = "signing in", operation_id = "give_second_factor",
    security(()), request_body = SecondStep, responses((status = 200, body = SignedInView), Problems))]
pub async fn second_factor(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<SecondStep>,
) -> Result<HttpResponse, Problem> {
    let SecondStep { ticket, proof } = body.value;
    let mut account = ticketed(&state, &ticket).await?;
    let known = anybody.devices.as_ref().and_then(|it| it.known(&state.app.keyring, account.id));
    proof::take(&state, &mut account, known, proof).await?;
    if !state.pending.end(ticket.expose(), state.clock().now()) {
        return Err(over());
    }
    signed_in(&state, &anybody, account, true).await
}

fn over() -> Problem {
    Problem::wrong_credentials("the first step is too long ago: sign in again")
}

async fn ticketed(state: &State, ticket: &Secret) -> Result<Account, Problem> {
    let id = state.pending.whose(ticket.expose(), state.clock().now()).ok_or_else(over)?;
    let account = state.app.store.people().account(id).await?;
    account.filter(Account::is_active).ok_or_else(over)
}

/// Ask for a passkey as the second factor
#[utoipa::path(post, path = "/auth/second-factor/passkey", tag = "signing in",
    operation_id = "ask_second_factor_passkey", security(()), request_body = Ticketed,
    responses((status = 200, body = QuestionView), Problems))]
pub async fn second_factor_passkey(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<Ticketed>,
) -> Result<web::Json<QuestionView>, Problem> {
    state.app.identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    let account = ticketed(&state, &body.value.ticket).await?;
    Ok(web::Json(proof::passkeys(&state)?.start_proof(&account)?.into()))
}

/// Ask for a passkey to sign in with
#[utoipa::path(post, path = "/auth/passkey", tag = "signing in", operation_id = "ask_passkey", security(()),
    responses((status = 200, body = QuestionView), Problems))]
pub async fn ask_passkey(
    state: web::Data<State>,
    anybody: Anybody,
) -> Result<web::Json<QuestionView>, Problem> {
    state.app.identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    Ok(web::Json(proof::passkeys(&state)?.start_sign_in()?.into()))
}

/// Sign in with a passkey
///
/// It stands for both factors.
#[utoipa::path(post, path = "/auth/passkey/sign-in", tag = "signing in", operation_id = "sign_in_with_passkey",
    security(()), request_body = PasskeyAnswer, responses((status = 200, body = SignedInView), Problems))]
pub async fn with_passkey(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<PasskeyAnswer>,
) -> Result<HttpResponse, Problem> {
    let passkeys = proof::passkeys(&state)?;
    state.app.identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    let PasskeyAnswer { question, answer } = body.value;
    let answer = SignInAnswer::read(answer)?;
    let refused = || Problem::wrong_credentials("the passkey does not prove who this is");
    let id = answer.account().ok_or_else(refused)?;
    let account = state.app.store.people().account(id).await?;
    let mut account = account.filter(Account::is_active).ok_or_else(refused)?;
    passkeys.finish_sign_in(&mut account, &question, &answer)?;
    signed_in(&state, &anybody, account, true).await
}

/// Sign in with a link
///
/// Links are made by who runs the server alone, as the sandbox does where it starts; each works once. It stands
/// for both factors.
#[utoipa::path(post, path = "/auth/link", tag = "signing in", operation_id = "sign_in_with_link", security(()),
    request_body = LinkToken, responses((status = 200, body = SignedInView), Problems))]
pub async fn with_link(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<LinkToken>,
) -> Result<HttpResponse, Problem> {
    state.app.identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    let used_up = || Problem::wrong_credentials("the link was used already, or is too old");
    let id = state.links.redeem(body.value.token.expose(), state.clock().now()).ok_or_else(used_up)?;
    let account = state.app.store.people().account(id).await?;
    signed_in(&state, &anybody, account.filter(Account::is_active).ok_or_else(used_up)?, true).await
}

/// Sign in as a user of the Supabase project
///
/// Their account is found by their subject there, or once by their confirmed address; nobody gets an account
/// by this who was not invited. Second factors that were given there count.
#[utoipa::path(post, path = "/auth/supabase", tag = "signing in", operation_id = "sign_in_with_supabase",
    security(()), request_body = SupabaseToken, responses((status = 200, body = SignedInView), Problems))]
pub async fn with_supabase(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<SupabaseToken>,
) -> Result<HttpResponse, Problem> {
    let none = || Problem::conflict("nobody signs in here by Supabase: set identity.supabase_url");
    let supabase = state.app.identity.supabase.as_ref().ok_or_else(none)?;
    state.app.identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    let user = supabase.user(&body.value.access_token).await?;
    let people = state.app.store.people();
    let unknown = || Problem::wrong_credentials("no account belongs to this user: ask for an invitation");
    let account = match people.account_by_subject(&user.subject).await? {
        Some(account) => account,
        None => {
            let email = supabase.confirmed_email(&user).await?;
            let found = people.account_by_email(&email).await?.filter(Account::is_active);
            let mut account = found.ok_or_else(unknown)?;
            if account.supabase_subject.is_some() {
                return Err(unknown());
            }
            let (now, actor) = (state.clock().now(), Actor::Account { account: account.id });
            auth::record(&state, auth::entry("account.linked", actor, now, None, None).on(&account.id))
                .await?;
            account.supabase_subject = Some(user.subject.clone());
            account.revision = people.put_account(account.clone(), account.revision).await?;
            account
        }
    };
    if !account.is_active() {
        return Err(unknown());
    }
    step_or_session(&state, &anybody, account, user.second_factor).await
}

/// Sign out
///
/// The session ends, and what it holds open within a second.
#[utoipa::path(post, path = "/auth/sign-out", tag = "signing in", operation_id = "sign_out",
    responses((status = 204, description = "The session ended"), Problems))]
pub async fn sign_out(
    state: web::Data<State>,
    allowed: Allowed<acts::Enrol>,
) -> Result<HttpResponse, Problem> {
    let person = allowed.person()?;
    allowed.record(allowed.entry("session.ended").on(&person.session.id)).await?;
    state.app.store.people().remove_session(person.account.id, person.session.id).await?;
    Ok(HttpResponse::NoContent().cookie(cookies::forget_session()).finish())
}
