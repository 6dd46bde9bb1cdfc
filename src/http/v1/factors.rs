//! One's second factors: an authenticator, recovery codes, passkeys.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use iassistance_config::Secret;
use iassistance_domain::account::Account;
use iassistance_domain::id::PasskeyId;
use iassistance_identity::codes;
use iassistance_identity::mail::Letter;

use super::input::{self, Body};
use super::me::{MeView, PasskeyView};
use super::proof::{self, QuestionView};
use super::view::Problems;
use crate::http::auth::{Allowed, Person, Right, acts};
use crate::http::{Problem, State};
use crate::identity::recipient;

/// A new authenticator. What is here is shown once.
#[derive(Serialize, ToSchema)]
pub struct NewTotpView {
    /// The secret as people type it, base32.
    secret: String,
    /// For a QR code: `otpauth://totp/…`.
    uri: String,
}

/// A first code of a new authenticator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstCode {
    /// Six digits.
    #[schema(value_type = String, example = "123456")]
    code: Secret,
}

/// Recovery codes. They are shown once; each stands in for a second factor once.
#[derive(Serialize, ToSchema)]
pub struct RecoveryCodes {
    /// All of them. Former ones do not work any more.
    recovery_codes: Vec<String>,
}

/// Which passkey.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InPasskey {
    /// The passkey.
    #[param(value_type = String, example = "pky_0199a8a2c4007b3e8f5d6c1b2a390817")]
    passkey: PasskeyId,
}

/// A passkey that a browser made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// The id of the question.
    question: String,
    /// What `navigator.credentials.create` gave, as JSON.
    #[schema(value_type = Object)]
    answer: Value,
    /// What you call it; 1 to 120 characters.
    #[schema(example = "Laptop")]
    name: String,
}

/// A passkey that was added.
#[derive(Serialize, ToSchema)]
pub struct AddedPasskey {
    /// The passkey.
    passkey: PasskeyView,
    /// Recovery codes, if it is the first second factor. Shown once.
    recovery_codes: Vec<String>,
}

/// Who has a second factor proves anew who they are before they change what it is.
fn must_be_sure(state: &State, person: &Person) -> Result<(), Problem> {
    let sure = !person.account.second_factors.any() || person.session.is_stepped_up(state.clock().now());
    if sure { Ok(()) } else { Err(Problem::step_up_needed()) }
}

/// Keeps the account as it is now; its owner is told of it by mail.
async fn keep<R: Right>(
    state: &State,
    allowed: &Allowed<R>,
    act: &str,
    account: &mut Account,
) -> Result<(), Problem> {
    allowed.record(allowed.entry(act).on(&account.id)).await?;
    account.revision = state.app.store.people().put_account(account.clone(), account.revision).await?;
    let link = state.app.identity.link("/account/sessions", "");
    state.app.identity.write(&recipient(account), &Letter::CredentialsChanged { link: &link });
    Ok(())
}

/// From now on this session was signed in to with a second factor: it has just been shown. The others end.
async fn note_factor(state: &State, person: &Person) -> Result<(), Problem> {
    let mut session = person.session.clone();
    session.second_factor = true;
    let people = state.app.store.people();
    people.remove_sessions_of(person.account.id, Some(session.id)).await?;
    people.put_session(session).await?;
    Ok(())
}

/// New codes, where there are none yet.
fn first_codes(state: &State, account: &mut Account) -> Vec<String> {
    if account.second_factors.recovery.is_empty() { new_codes(state, account) } else { Vec::new() }
}

fn new_codes(state: &State, account: &mut Account) -> Vec<String> {
    let entropy = &**state.app.engine.entropy();
    let (codes, hashes) = codes::new_recovery_codes(&state.app.keyring, entropy, account.id);
    account.second_factors.recovery = hashes;
    codes.iter().map(|code| code.expose().to_owned()).collect()
}

/// Add an authenticator
///
/// It counts once a first code of it was given. One that counts already stays until then.
#[utoipa::path(post, path = "/auth/totp", tag = "your account", operation_id = "add_totp",
    responses((status = 200, body = NewTotpView), Problems))]
pub async fn add_totp(
    state: web::Data<State>,
    allowed: Allowed<acts::Enrol>,
) -> Result<web::Json<NewTotpView>, Problem> {
    let person = allowed.person()?;
    must_be_sure(&state, person)?;
    if person.account.second_factors.totp.as_ref().is_some_and(|totp| totp.confirmed_at.is_some()) {
        return Err(Problem::conflict("there is an authenticator already: take it off first"));
    }
    let mut account = person.account.clone();
    let platform = &state.app.settings.identity.name;
    let new = codes::new_totp(&**state.app.engine.entropy(), platform, &account.email);
    account.second_factors.totp = Some(new.stored);
    state.app.store.people().put_account(account.clone(), account.revision).await?;
    Ok(web::Json(NewTotpView { secret: new.secret.expose().to_owned(), uri: new.uri.expose().to_owned() }))
}

/// Give the first code of an authenticator
///
/// From now on it counts. With the first second factor come recovery codes.
#[utoipa::path(post, path = "/auth/totp/confirm", tag = "your account", operation_id = "confirm_totp",
    request_body = FirstCode, responses((status = 200, body = RecoveryCodes), Problems))]
pub async fn confirm_totp(
    state: web::Data<State>,
    allowed: Allowed<acts::Enrol>,
    body: Body<FirstCode>,
) -> Result<web::Json<RecoveryCodes>, Problem> {
    let person = allowed.person()?;
    state
        .app
        .identity
        .throttles
        .second_factor(person.account.id, Some(person.session.device))
        .map_err(proof::slower(&state))?;
    let mut account = person.account.clone();
    let totp = account.second_factors.totp.as_mut().filter(|totp| totp.confirmed_at.is_none());
    let totp = totp.ok_or_else(|| Problem::conflict("no authenticator waits for a first code: add one"))?;
    codes::take_totp(totp, body.value.code.expose(), state.clock().now())?;
    let recovery_codes = first_codes(&state, &mut account);
    keep(&state, &allowed, "account.totp_added", &mut account).await?;
    note_factor(&state, person).await?;
    Ok(web::Json(RecoveryCodes { recovery_codes }))
}

/// Take the authenticator off
///
/// Who must have a second factor keeps one.
#[utoipa::path(delete, path = "/auth/totp", tag = "your account", operation_id = "remove_totp",
    responses((status = 200, body = MeView), Problems))]
pub async fn remove_totp(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
) -> Result<web::Json<MeView>, Problem> {
    let person = allowed.person()?;
    must_be_sure(&state, person)?;
    let mut account = person.account.clone();
    account.second_factors.totp.take().ok_or_else(Problem::not_found)?;
    removed(&state, &allowed, account).await
}

async fn removed(
    state: &State,
    allowed: &Allowed<acts::OwnAccount>,
    mut account: Account,
) -> Result<web::Json<MeView>, Problem> {
    if !account.second_factors.any() {
        if account.needs_second_factor() {
            return Err(Problem::conflict("who administers has a second factor: add another first"));
        }
        // They stand in for what is not there any more.
        account.second_factors.recovery.clear();
    }
    keep(state, allowed, "account.factor_removed", &mut account).await?;
    Ok(web::Json(MeView::of(state, &account, &allowed.person()?.session)))
}

/// New recovery codes
///
/// Former ones do not work any more.
#[utoipa::path(post, path = "/auth/recovery-codes", tag = "your account", operation_id = "make_recovery_codes",
    responses((status = 200, body = RecoveryCodes), Problems))]
pub async fn recovery_codes(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
) -> Result<web::Json<RecoveryCodes>, Problem> {
    let person = allowed.person()?;
    must_be_sure(&state, person)?;
    let mut account = person.account.clone();
    if !account.second_factors.any() {
        return Err(Problem::conflict("they stand in for a second factor: add one first"));
    }
    let recovery_codes = new_codes(&state, &mut account);
    keep(&state, &allowed, "account.recovery_codes_made", &mut account).await?;
    Ok(web::Json(RecoveryCodes { recovery_codes }))
}

/// Ask a browser to make a passkey
#[utoipa::path(post, path = "/auth/passkeys/question", tag = "your account", operation_id = "ask_new_passkey",
    responses((status = 200, body = QuestionView), Problems))]
pub async fn ask_passkey(
    state: web::Data<State>,
    allowed: Allowed<acts::Enrol>,
) -> Result<web::Json<QuestionView>, Problem> {
    let person = allowed.person()?;
    must_be_sure(&state, person)?;
    Ok(web::Json(proof::passkeys(&state)?.start_adding(&person.account)?.into()))
}

/// Add a passkey
#[utoipa::path(post, path = "/auth/passkeys", tag = "your account", operation_id = "add_passkey",
    request_body = NewPasskey, responses((status = 201, body = AddedPasskey), Problems))]
pub async fn add_passkey(
    state: web::Data<State>,
    allowed: Allowed<acts::Enrol>,
    body: Body<NewPasskey>,
) -> Result<HttpResponse, Problem> {
    let person = allowed.person()?;
    must_be_sure(&state, person)?;
    let NewPasskey { question, answer, name } = body.value;
    let (mut account, name) = (person.account.clone(), input::name("name", &name)?);
    let passkey = proof::passkeys(&state)?.finish_adding(&account, &question, answer, &name)?;
    let shown = PasskeyView {
        id: passkey.id,
        name: passkey.name.clone(),
        added_at: passkey.added_at,
        used_at: passkey.used_at,
    };
    account.second_factors.passkeys.push(passkey);
    let recovery_codes = first_codes(&state, &mut account);
    keep(&state, &allowed, "account.passkey_added", &mut account).await?;
    note_factor(&state, person).await?;
    Ok(HttpResponse::Created().json(AddedPasskey { passkey: shown, recovery_codes }))
}

/// Take a passkey off
///
/// Who must have a second factor keeps one.
#[utoipa::path(delete, path = "/auth/passkeys/{passkey}", tag = "your account", operation_id = "remove_passkey",
    params(InPasskey), responses((status = 200, body = MeView), Problems))]
pub async fn remove_passkey(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
    path: web::Path<InPasskey>,
) -> Result<web::Json<MeView>, Problem> {
    let person = allowed.person()?;
    let mut account = person.account.clone();
    let before = account.second_factors.passkeys.len();
    account.second_factors.passkeys.retain(|passkey| passkey.id != path.passkey);
    if account.second_factors.passkeys.len() == before {
        return Err(Problem::not_found());
    }
    must_be_sure(&state, person)?;
    removed(&state, &allowed, account).await
}
