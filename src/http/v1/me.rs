//! One's own account: who one is, one's sessions, and a proof anew.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_config::Secret;
use iassistance_domain::account::{Account, Language, MemberOf, Membership, Role};
use iassistance_domain::id::{AccountId, AgencyId, PasskeyId, SessionId, TenantId};
use iassistance_domain::pii::SignIn;
use iassistance_domain::session::{STEP_UP_MS, Session};
use iassistance_domain::{Pii, Timestamp};
use iassistance_identity::passwords::{Candidate, Cost, Verdict};

use super::input::{self, Body};
use super::proof::{self, Proof, QuestionView};
use super::tag::{self, IfMatch, IfNoneMatch};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State, cookies};

/// Where somebody belongs, and as what.
#[derive(Serialize, ToSchema)]
#[schema(as = Membership)]
pub struct MembershipView {
    /// The tenant, if it is one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    /// The agency, if it is one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    agency: Option<AgencyId>,
    /// As what.
    role: Role,
    /// Whether they see and act on conversations that are assigned to them alone.
    assigned_only: bool,
    /// Since when.
    #[schema(value_type = i64)]
    since: Timestamp,
}

impl From<&Membership> for MembershipView {
    fn from(membership: &Membership) -> Self {
        let (tenant, agency) = match membership.of {
            MemberOf::Tenant(tenant) => (Some(tenant), None),
            MemberOf::Agency(agency) => (None, Some(agency)),
        };
        let Membership { role, assigned_only, since, .. } = *membership;
        Self { tenant, agency, role, assigned_only, since }
    }
}

/// A passkey.
#[derive(Serialize, ToSchema)]
#[schema(as = Passkey)]
pub struct PasskeyView {
    /// Its id.
    #[schema(value_type = String)]
    pub(super) id: PasskeyId,
    /// What its owner calls it.
    pub(super) name: String,
    /// When it was added.
    #[schema(value_type = i64)]
    pub(super) added_at: Timestamp,
    /// When it was last used.
    #[schema(value_type = Option<i64>)]
    pub(super) used_at: Option<Timestamp>,
}

/// What somebody proves who they are with.
#[derive(Serialize, ToSchema)]
#[schema(as = Factors)]
pub struct FactorsView {
    /// Whether there is a password.
    password: bool,
    /// Whether there is an authenticator.
    totp: bool,
    /// Recovery codes that are left.
    recovery_codes: usize,
    /// Passkeys.
    passkeys: Vec<PasskeyView>,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub struct MeView {
    /// Their account.
    #[schema(value_type = String, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: AccountId,
    /// Their address.
    email: String,
    /// What they are called.
    name: String,
    /// What they are written to in.
    language: Language,
    /// Whether they own the platform.
    owner: bool,
    /// Where they belong.
    memberships: Vec<MembershipView>,
    /// What they prove who they are with.
    factors: FactorsView,
    /// Whether they must add a second factor before they may do anything else.
    must_add_second_factor: bool,
    /// Their session.
    #[schema(value_type = String)]
    session: SessionId,
    /// Until when what needs a proof anew may be done.
    #[schema(value_type = Option<i64>)]
    step_up_until: Option<Timestamp>,
    /// To be repeated in the header `X-CSRF-Token` with every change.
    csrf_token: String,
}

impl MeView {
    /// What is shown to somebody of themselves.
    pub(super) fn of(state: &State, account: &Account, session: &Session) -> Self {
        let factors = &account.second_factors;
        let passkeys = factors.passkeys.iter().map(|passkey| PasskeyView {
            id: passkey.id,
            name: passkey.name.clone(),
            added_at: passkey.added_at,
            used_at: passkey.used_at,
        });
        Self {
            id: account.id,
            email: account.email.reveal(SignIn).clone(),
            name: account.name.reveal(SignIn).clone(),
            language: account.language,
            owner: account.owner,
            memberships: account.memberships.iter().map(MembershipView::from).collect(),
            factors: FactorsView {
                password: account.password.is_some(),
                totp: factors.totp.as_ref().is_some_and(|totp| totp.confirmed_at.is_some()),
                recovery_codes: factors.recovery.len(),
                passkeys: passkeys.collect(),
            },
            must_add_second_factor: account.needs_second_factor() && !session.second_factor,
            session: session.id,
            step_up_until: session.step_up_until,
            csrf_token: cookies::csrf_token(&state.app.keyring, session),
        }
    }
}

/// What changes of one's account; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeChange {
    /// What they are called; 1 to 120 characters.
    name: Option<String>,
    /// What they are written to in.
    language: Option<Language>,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    /// Its id.
    #[schema(value_type = String, example = "ses_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: SessionId,
    /// Whether it is this one.
    current: bool,
    /// Browser and system, as far as they were told.
    agent: String,
    /// From which address it came last.
    address: String,
    /// When it began.
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// When something was last done with it, to the minute.
    #[schema(value_type = i64)]
    seen_at: Timestamp,
    /// When it ends at the latest.
    #[schema(value_type = i64)]
    expires_at: Timestamp,
}

/// The sessions of an account.
#[derive(Serialize, ToSchema)]
pub struct Sessions {
    /// All of them, oldest first.
    items: Vec<SessionView>,
}

/// Which session.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InSession {
    /// The session.
    #[param(value_type = String, example = "ses_0199a8a2c4007b3e8f5d6c1b2a390817")]
    session: SessionId,
}

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
pub struct SessionsEnded {
    /// How many.
    ended: usize,
}

/// A proof anew: the password, or a second factor. Who has a second factor gives that.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "proof": { "by": "totp", "code": "123456" } }))]
pub struct StepUp {
    /// The password, for who has no second factor.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
    /// A second factor.
    proof: Option<Proof>,
}

/// Who you are
#[utoipa::path(get, path = "/auth/me", tag = "your account", operation_id = "show_me",
    responses((status = 200, body = MeView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::Enrol>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let person = allowed.person()?;
    let (tag, view) = shown(&state, &person.account, &person.session)?;
    Ok(has.show(&tag, &view))
}

/// Who somebody is, with its tag.
fn shown(state: &State, account: &Account, session: &Session) -> Result<(String, MeView), Problem> {
    tag::whole(state, &(&account.name, account.language), MeView::of(state, account, session))
}

/// Correct your account
#[utoipa::path(put, path = "/auth/me", tag = "your account", operation_id = "change_me",
    request_body = MeChange, responses((status = 200, body = MeView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
    seen: IfMatch,
    body: Body<MeChange>,
) -> Result<HttpResponse, Problem> {
    let person = allowed.person()?;
    let mut account = person.account.clone();
    seen.check_set(&state, &(&account.name, account.language))?;
    if let Some(name) = &body.value.name {
        account.name = Pii::new(input::name("name", name)?);
    }
    account.language = body.value.language.unwrap_or(account.language);
    allowed.record(allowed.entry("account.changed").on(&account.id)).await?;
    account.revision = state.app.store.people().put_account(account.clone(), account.revision).await?;
    let (tag, view) = shown(&state, &account, &person.session)?;
    Ok(tag::tagged(&tag, &view))
}

/// Your sessions
#[utoipa::path(get, path = "/auth/sessions", tag = "your account", operation_id = "list_sessions",
    responses((status = 200, body = Sessions), Problems))]
pub async fn sessions(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
) -> Result<web::Json<Sessions>, Problem> {
    let (person, now) = (allowed.person()?, state.clock().now());
    let mut sessions = state.app.store.people().sessions_of(person.account.id).await?;
    sessions.retain(|session| session.is_live(now));
    let shown = sessions.into_iter().map(|session| SessionView {
        id: session.id,
        current: session.id == person.session.id,
        agent: session.agent,
        address: session.address.into_inner(SignIn),
        created_at: session.created_at,
        seen_at: session.seen_at,
        expires_at: session.expires_at,
    });
    Ok(web::Json(Sessions { items: shown.collect() }))
}

/// End one of your sessions
#[utoipa::path(delete, path = "/auth/sessions/{session}", tag = "your account", operation_id = "end_session",
    params(InSession), responses((status = 204, description = "It ended"), Problems))]
pub async fn end_session(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
    path: web::Path<InSession>,
) -> Result<HttpResponse, Problem> {
    let (id, people) = (allowed.person()?.account.id, state.app.store.people());
    if !people.sessions_of(id).await?.iter().any(|session| session.id == path.session) {
        return Err(Problem::not_found());
    }
    allowed.record(allowed.entry("session.ended").on(&path.session)).await?;
    people.remove_session(id, path.session).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// End all your other sessions
#[utoipa::path(delete, path = "/auth/sessions", tag = "your account", operation_id = "end_other_sessions",
    responses((status = 200, body = SessionsEnded), Problems))]
pub async fn end_other_sessions(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
) -> Result<web::Json<SessionsEnded>, Problem> {
    let person = allowed.person()?;
    allowed.record(allowed.entry("session.others_ended").on(&person.account.id)).await?;
    let people = state.app.store.people();
    let ended = people.remove_sessions_of(person.account.id, Some(person.session.id)).await?;
    Ok(web::Json(SessionsEnded { ended }))
}

/// Ask for a passkey as the proof anew
#[utoipa::path(post, path = "/auth/step-up/passkey", tag = "your account", operation_id = "ask_step_up_passkey",
    responses((status = 200, body = QuestionView), Problems))]
pub async fn step_up_passkey(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
) -> Result<web::Json<QuestionView>, Problem> {
    Ok(web::Json(proof::passkeys(&state)?.start_proof(&allowed.person()?.account)?.into()))
}

/// Prove anew who you are
///
/// For ten minutes then what needs it may be done: exporting, erasing, keys, people and roles.
#[utoipa::path(post, path = "/auth/step-up", tag = "your account", operation_id = "step_up",
    request_body = StepUp, responses((status = 200, body = MeView), Problems))]
pub async fn step_up(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
    body: Body<StepUp>,
) -> Result<web::Json<MeView>, Problem> {
    let person = allowed.person()?;
    let (mut account, mut session) = (person.account.clone(), person.session.clone());
    match (body.value.proof, body.value.password) {
        (Some(proof), None) => proof::take(&state, &mut account, Some(session.device), proof).await?,
        (None, Some(password)) if !account.second_factors.any() => {
            check_password(&state, &account, &session, &password).await?;
        }
        (None, Some(_)) => {
            return Err(Problem::invalid("`proof`: you have a second factor, so give that"));
        }
        _ => return Err(Problem::invalid("give either `proof` or `password`")),
    }
    allowed.record(allowed.entry("session.stepped_up").on(&session.id)).await?;
    session.step_up_until = Some(state.clock().now().plus_millis(STEP_UP_MS));
    state.app.store.people().put_session(session.clone()).await?;
    Ok(web::Json(MeView::of(&state, &account, &session)))
}

/// Checks the password of somebody who is signed in, at the rate of their device.
pub(super) async fn check_password(
    state: &State,
    account: &Account,
    session: &Session,
    password: &Secret,
) -> Result<(), Problem> {
    let identity = &state.app.identity;
    identity.throttles.second_factor(account.id, Some(session.device)).map_err(proof::slower(state))?;
    let candidate = match &account.password {
        Some(kept) => Candidate::Account { kept, cost: Cost::of(account.owner) },
        None => Candidate::Nobody { email: &account.email },
    };
    match identity.passwords.check(password, candidate).await? {
        Verdict::Right { .. } => Ok(()),
        Verdict::Wrong => Err(Problem::wrong_credentials("this is not your password")),
    }
}
