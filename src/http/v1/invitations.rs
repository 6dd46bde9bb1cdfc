//! Invitations: to a tenant, to an agency, to own the platform. Each is a mail with a link that works once.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::account::{Language, MemberOf, Membership, Role, normalised_email};
use iassistance_domain::id::{AgencyId, InvitationId, TenantId};
use iassistance_domain::invitation::{INVITATION_MS, Invitation};
use iassistance_domain::pii::TenantView;
use iassistance_domain::{Pii, Timestamp};
use iassistance_identity::mail::{Letter, Recipient};
use iassistance_identity::tokens;

use super::agencies::InAgency;
use super::input::{self, Body, Query};
use super::members::membership;
use super::page::{self, Page};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, Right, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Who is invited to a tenant, and as what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada@example.com", "name": "Ada", "language": "en", "role": "operator" }))]
pub struct NewInvitation {
    /// Their e-mail address.
    #[schema(example = "ada@example.com")]
    email: String,
    /// What they are called; 1 to 120 characters.
    #[schema(example = "Ada")]
    name: String,
    /// What they are written to in; `en` if left out.
    #[serde(default)]
    language: Language,
    /// `tenant_admin`, `operator` or `viewer`.
    role: Role,
    /// Operators and viewers: whether they see and act on conversations that are assigned to them alone.
    #[serde(default)]
    assigned_only: bool,
}

/// Who is invited to an agency or to own the platform.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewColleague {
    /// Their e-mail address.
    #[schema(example = "ada@example.com")]
    email: String,
    /// What they are called; 1 to 120 characters.
    #[schema(example = "Ada")]
    name: String,
    /// What they are written to in; `en` if left out.
    #[serde(default)]
    language: Language,
}

/// An invitation, without its link.
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
pub struct InvitationView {
    /// Its id.
    #[schema(value_type = String, example = "inv_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: InvitationId,
    /// Whom it was sent to.
    email: String,
    /// What they are called.
    name: String,
    /// What they become, and where.
    memberships: Vec<super::me::MembershipView>,
    /// Whether they come to own the platform.
    owner: bool,
    /// When it was sent.
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// Until when it can be taken up.
    #[schema(value_type = i64)]
    expires_at: Timestamp,
    /// When it was taken up.
    #[schema(value_type = Option<i64>)]
    accepted_at: Option<Timestamp>,
    /// When it was taken back.
    #[schema(value_type = Option<i64>)]
    revoked_at: Option<Timestamp>,
}

impl From<Invitation> for InvitationView {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id,
            email: invitation.email.into_inner(TenantView),
            name: invitation.name.into_inner(TenantView),
            memberships: invitation.memberships.iter().map(Into::into).collect(),
            owner: invitation.owner,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            accepted_at: invitation.accepted_at,
            revoked_at: invitation.revoked_at,
        }
    }
}

/// Which invitation to a tenant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InInvitation {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The invitation.
    #[param(value_type = String, example = "inv_0199a8a2c4007b3e8f5d6c1b2a390817")]
    invitation: InvitationId,
}

/// Which invitation to an agency.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InAgencyInvitation {
    /// The agency.
    #[param(value_type = String)]
    agency: AgencyId,
    /// The invitation.
    #[param(value_type = String, example = "inv_0199a8a2c4007b3e8f5d6c1b2a390817")]
    invitation: InvitationId,
}

/// What an invitation is to.
struct To<'a> {
    colleague: NewColleague,
    memberships: Vec<Membership>,
    owner: bool,
    place: Option<&'a str>,
}

/// Keeps an invitation, on the record first, and sends it.
async fn invite<R: Right>(state: &State, allowed: &Allowed<R>, to: To<'_>) -> Result<Created, Problem> {
    let To { colleague: NewColleague { email, name, language }, memberships, owner, place } = to;
    let email = normalised_email(&email).map_err(|error| Problem::invalid(format!("`email`: {error}")))?;
    let name = Pii::new(input::name("name", &name)?);
    let (now, entropy) = (state.clock().now(), &**state.app.engine.entropy());
    let (token, hash) = tokens::mint(entropy);
    let invitation = Invitation {
        id: InvitationId::new(now, entropy),
        email,
        name,
        language,
        memberships,
        owner,
        hash,
        by: allowed.access().actor(allowed.principal()),
        created_at: now,
        expires_at: now.plus_millis(INVITATION_MS),
        accepted_at: None,
        revoked_at: None,
    };
    let mut entry = allowed.entry("account.invited").on(&invitation.id).with("owner", &owner);
    if let Some(membership) = invitation.memberships.first() {
        entry = entry.with("role", &membership.role.name());
        if let MemberOf::Agency(agency) = membership.of {
            entry = entry.with("agency", &agency);
        }
    }
    allowed.record(entry).await?;
    state.app.store.people().put_invitation(invitation.clone()).await?;
    let link = state.app.identity.link("/invitation", token.expose());
    let recipient = Recipient { email: invitation.email.clone(), name: invitation.name.clone(), language };
    let by = Some(&allowed.person()?.account.name);
    let letter = Letter::Invitation { by, place, link: &link, days: INVITATION_MS / DAY_MS };
    state.app.identity.write(&recipient, &letter);
    Created::at(None, &InvitationView::from(invitation))
}

/// How far an invitation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitationState {
    /// It can be taken up.
    Open,
    /// It was taken up.
    Accepted,
    /// It was taken back.
    Revoked,
    /// Nobody took it up in time.
    Expired,
}

impl InvitationState {
    fn of(invitation: &Invitation, now: Timestamp) -> Self {
        match invitation {
            it if it.accepted_at.is_some() => Self::Accepted,
            it if it.revoked_at.is_some() => Self::Revoked,
            it if now >= it.expires_at => Self::Expired,
            _ => Self::Open,
        }
    }
}

/// Which invitations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct InvitationsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that are so far.
    #[param(inline)]
    state: Option<InvitationState>,
}

/// Invitations to a place, or (`None`) to own the platform.
async fn list(
    state: &State,
    place: Option<MemberOf>,
    query: &InvitationsQuery,
) -> Result<Page<InvitationView>, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let (people, now) = (state.app.store.people(), state.clock().now());
    let wants = |it: &Invitation| {
        (place.is_some() || it.owner)
            && query.state.is_none_or(|wanted| InvitationState::of(it, now) == wanted)
    };
    let fetch = async |before, limit| Ok(people.invitations(before, limit, place).await?);
    Ok(page::scan(before, limit, |it: &Invitation| it.id, wants, fetch).await?.map(InvitationView::from))
}

/// One invitation to a place, or (`None`) to own the platform.
async fn found(state: &State, place: Option<MemberOf>, id: InvitationId) -> Result<Invitation, Problem> {
    let people = state.app.store.people();
    let found = match place {
        Some(place) => people.invitation_to(place, id).await?,
        None => people.invitation(id).await?.filter(|it| it.owner),
    };
    found.ok_or_else(Problem::not_found)
}

async fn take_back<R: Right>(
    state: &State,
    allowed: &Allowed<R>,
    place: Option<MemberOf>,
    id: InvitationId,
) -> Result<HttpResponse, Problem> {
    let mut invitation = found(state, place, id).await?;
    let now = state.clock().now();
    if invitation.accepted_at.is_some() {
        return Err(Problem::conflict("it was taken up already: let them go instead"));
    }
    if invitation.revoked_at.is_none() {
        allowed.record(allowed.entry("invitation.revoked").on(&id)).await?;
        invitation.revoked_at = Some(now);
        state.app.store.people().put_invitation(invitation).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Invitations to a tenant, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/invitations", tag = "people", operation_id = "list_invitations",
    params(InTenant, InvitationsQuery), responses((status = 200, body = Page<InvitationView>), Problems))]
pub async fn to_tenant(
    state: web::Data<State>,
    allowed: Allowed<acts::SeePeople>,
    path: web::Path<InTenant>,
    query: Query<InvitationsQuery>,
) -> Result<web::Json<Page<InvitationView>>, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    Ok(web::Json(list(&state, Some(place), &query).await?))
}

/// One invitation to a tenant
#[utoipa::path(get, path = "/tenants/{tenant}/invitations/{invitation}", tag = "people",
    operation_id = "show_invitation", params(InInvitation),
    responses((status = 200, body = InvitationView), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::SeePeople>,
    path: web::Path<InInvitation>,
) -> Result<web::Json<InvitationView>, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    Ok(web::Json(found(&state, Some(place), path.invitation).await?.into()))
}

/// Invite somebody to a tenant
///
/// They get a mail with a link that works once and for seven days.
#[utoipa::path(post, path = "/tenants/{tenant}/invitations", tag = "people", operation_id = "invite_member",
    params(InTenant), request_body = NewInvitation,
    responses((status = 201, body = InvitationView), Problems))]
pub async fn invite_to_tenant(
    state: web::Data<State>,
    allowed: Allowed<acts::ManagePeople>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewInvitation>,
) -> Result<HttpResponse, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let record = state.app.store.people().tenant_record(tenant).await?.ok_or_else(Problem::not_found)?;
    let Body { value: NewInvitation { email, name, language, role, assigned_only }, raw } = body;
    let of = MemberOf::Tenant(tenant);
    let memberships = vec![membership(of, role, assigned_only, state.clock().now())?];
    let colleague = NewColleague { email, name, language };
    let to = To { colleague, memberships, owner: false, place: Some(&record.name) };
    once.run(&state, &raw, invite(&state, &allowed, to)).await
}

/// Take an invitation to a tenant back
#[utoipa::path(delete, path = "/tenants/{tenant}/invitations/{invitation}", tag = "people",
    operation_id = "revoke_invitation", params(InInvitation),
    responses((status = 204, description = "Its link does not work any more"), Problems))]
pub async fn take_back_from_tenant(
    state: web::Data<State>,
    allowed: Allowed<acts::ManagePeople>,
    path: web::Path<InInvitation>,
) -> Result<HttpResponse, Problem> {
    let place = MemberOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    take_back(&state, &allowed, Some(place), path.invitation).await
}

/// Invitations to an agency, newest first
#[utoipa::path(get, path = "/agencies/{agency}/invitations", tag = "agencies",
    operation_id = "list_agency_invitations", params(InAgency, InvitationsQuery),
    responses((status = 200, body = Page<InvitationView>), Problems))]
pub async fn to_agency(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageAgencyPeople>,
    path: web::Path<InAgency>,
    query: Query<InvitationsQuery>,
) -> Result<web::Json<Page<InvitationView>>, Problem> {
    Ok(web::Json(list(&state, Some(MemberOf::Agency(path.agency)), &query).await?))
}

/// Invite somebody to an agency
#[utoipa::path(post, path = "/agencies/{agency}/invitations", tag = "agencies",
    operation_id = "invite_agency_member", params(InAgency),
    request_body = NewColleague, responses((status = 201, body = InvitationView), Problems))]
pub async fn invite_to_agency(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageAgencyPeople>,
    path: web::Path<InAgency>,
    once: Once,
    body: Body<NewColleague>,
) -> Result<HttpResponse, Problem> {
    let agency = state.app.store.people().agency(path.agency).await?.ok_or_else(Problem::not_found)?;
    let of = MemberOf::Agency(path.agency);
    let memberships =
        vec![Membership { of, role: Role::Agency, assigned_only: false, since: state.clock().now() }];
    let to = To { colleague: body.value, memberships, owner: false, place: Some(&agency.name) };
    once.run(&state, &body.raw, invite(&state, &allowed, to)).await
}

/// Take an invitation to an agency back
#[utoipa::path(delete, path = "/agencies/{agency}/invitations/{invitation}", tag = "agencies",
    operation_id = "revoke_agency_invitation", params(InAgencyInvitation),
    responses((status = 204, description = "Its link does not work any more"), Problems))]
pub async fn take_back_from_agency(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageAgencyPeople>,
    path: web::Path<InAgencyInvitation>,
) -> Result<HttpResponse, Problem> {
    take_back(&state, &allowed, Some(MemberOf::Agency(path.agency)), path.invitation).await
}

/// Which invitation to own the platform.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InOwnerInvitation {
    /// The invitation.
    #[param(value_type = String, example = "inv_0199a8a2c4007b3e8f5d6c1b2a390817")]
    invitation: InvitationId,
}

/// Invitations to own the platform, newest first
#[utoipa::path(get, path = "/owners/invitations", tag = "people", operation_id = "list_owner_invitations",
    params(InvitationsQuery), responses((status = 200, body = Page<InvitationView>), Problems))]
pub async fn to_own(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageOwners>,
    query: Query<InvitationsQuery>,
) -> Result<web::Json<Page<InvitationView>>, Problem> {
    Ok(web::Json(list(&state, None, &query).await?))
}

/// Take an invitation to own the platform back
#[utoipa::path(delete, path = "/owners/invitations/{invitation}", tag = "people",
    operation_id = "revoke_owner_invitation", params(InOwnerInvitation),
    responses((status = 204, description = "Its link does not work any more"), Problems))]
pub async fn take_back_owner(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageOwners>,
    path: web::Path<InOwnerInvitation>,
) -> Result<HttpResponse, Problem> {
    take_back(&state, &allowed, None, path.invitation).await
}

/// Invite somebody to own the platform
#[utoipa::path(post, path = "/owners/invitations", tag = "people", operation_id = "invite_owner",
    request_body = NewColleague,
    responses((status = 201, body = InvitationView), Problems))]
pub async fn invite_owner(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageOwners>,
    once: Once,
    body: Body<NewColleague>,
) -> Result<HttpResponse, Problem> {
    let to = To { colleague: body.value, memberships: Vec::new(), owner: true, place: None };
    once.run(&state, &body.raw, invite(&state, &allowed, to)).await
}
