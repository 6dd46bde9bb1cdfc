//! How far somebody may go: what the table of permissions gives them in a place, with what that depends on.
//!
//! Nothing is allowed that the table does not give. Where somebody does not belong at all, the answer is that
//! of a place that is not there.

use actix_web::HttpResponse;

use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::agency::AgencyState;
use iassistance_domain::audit::Actor;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::id::{AgencyId, BreakGlassId, ConversationId, TenantId};
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::permission::{Act, Grant, Who, grant};
use iassistance_domain::tenant::{Tenant, TenantCtx, TenantState};

use iassistance_storage::TenantStore;
use serde::Serialize;

use super::principal::{Person, Principal};
use super::{Problem, State, mask};

/// Members that are looked through for an administrator at once.
const MEMBERS_PAGE: usize = 200;
/// Break-glass grants of a tenant that are looked through, newest first: more are not open at once.
const GRANTS_MAX: usize = 50;

/// What an address is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The platform.
    Platform,
    /// An agency.
    Agency(AgencyId),
    /// A tenant.
    Tenant(TenantId),
}

impl Place {
    /// The tenant, if it is one.
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::Platform | Self::Agency(_) => None,
        }
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Asked {
    /// What somebody wants to do.
    pub act: Act,
    /// Where.
    pub place: Place,
    /// Whether it is needed to add a second factor.
    pub enrols: bool,
    /// Whether it changes something: then some acts need a proof anew.
    pub changes: bool,
}

/// How far somebody may go in what they may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    masked: bool,
    metadata: bool,
    /// The account that a conversation must be assigned to. Names are not enough: people choose them.
    assigned_to: Option<String>,
    break_glass: Option<BreakGlassId>,
}

impl Access {
    /// Whether contacts and what people write are shown unrecognisable.
    pub const fn is_masked(&self) -> bool {
        self.masked
    }

    /// Whether they see that something was, and not what was said about it.
    pub const fn is_metadata(&self) -> bool {
        self.metadata
    }

    /// Whether they see conversations that are assigned to them alone.
    pub const fn is_limited(&self) -> bool {
        self.assigned_to.is_some()
    }

    /// The grant by which an owner of the platform looks into a tenant.
    pub const fn break_glass(&self) -> Option<BreakGlassId> {
        self.break_glass
    }

    /// Whether they see this conversation.
    pub fn sees(&self, conversation: &Conversation) -> bool {
        self.assigned_to.as_deref().is_none_or(|account| conversation.assigned() == Some(account))
    }

    /// Whether this is the account to which their conversations are assigned, where they see but those.
    pub fn is(&self, assigned: Option<&str>) -> bool {
        self.assigned_to.is_some() && self.assigned_to.as_deref() == assigned
    }

    /// Refuses what is about all conversations to who sees only some.
    ///
    /// # Errors
    /// [`Problem`] 403.
    pub fn must_see_all(&self) -> Result<(), Problem> {
        if self.is_limited() {
            return Err(Problem::forbidden(
                "you see the conversations that are assigned to you: look at them",
            ));
        }
        Ok(())
    }

    /// An answer with this in it, as far as they see it.
    ///
    /// # Errors
    /// [`Problem`] 500 where it cannot be written.
    pub fn show<T: Serialize>(&self, shown: &T) -> Result<HttpResponse, Problem> {
        let mut answer = HttpResponse::Ok();
        Ok(if self.masked { answer.json(mask::value(shown)?) } else { answer.json(shown) })
    }

    /// Refuses a conversation that they do not see as if it were not there.
    ///
    /// # Errors
    /// [`Problem`] 404.
    pub async fn must_see(&self, store: &dyn TenantStore, id: ConversationId) -> Result<(), Problem> {
        if !self.is_limited() {
            return Ok(());
        }
        let found = store.conversation(id).await?;
        if found.is_some_and(|(conversation, _)| self.sees(&conversation)) {
            Ok(())
        } else {
            Err(Problem::not_found())
        }
    }

    /// Who acts, for the record.
    pub fn actor(&self, principal: &Principal) -> Actor {
        match (self.break_glass, principal) {
            (Some(grant), Principal::Person(person)) => {
                Actor::BreakGlass { account: person.account.id, grant }
            }
            _ => principal.actor(),
        }
    }

    /// The further of two.
    fn or(self, other: Self) -> Self {
        let rank = |it: &Self| (it.metadata, it.masked, it.assigned_to.is_some(), it.break_glass.is_some());
        if rank(&other) < rank(&self) { other } else { self }
    }
}

/// Why somebody may not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    No,
    NotGranted,
    NoBreakGlass,
    StepUp,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::No => Self::forbidden("your role does not allow this"),
            Refusal::NotGranted => {
                Self::forbidden("the tenant's administrators have not let its agency read this")
            }
            Refusal::NoBreakGlass => Self::break_glass_needed(),
            Refusal::StepUp => Self::step_up_needed(),
        }
    }
}

/// What somebody may do, and how far; or why not.
///
/// # Errors
/// [`Problem`]: 404 where they do not belong, 403 where they do and may not, 409 where the tenant is suspended.
pub async fn authorise(state: &State, principal: &Principal, asked: Asked) -> Result<Access, Problem> {
    let access = match principal {
        Principal::Key(key) => of_key(state, key, asked).await?,
        Principal::Person(person) => of_person(state, person, asked).await?,
    };
    if let (Place::Tenant(tenant), Act::Send | Act::ReplayDeadLetter) = (asked.place, asked.act) {
        let record = state.app.store.people().tenant_record(tenant).await?.ok_or_else(Problem::not_found)?;
        if !record.state.answers() {
            return Err(Problem::not_served(&record.state));
        }
    }
    Ok(access)
}

/// Whether somebody may do an act, leaving aside a proof anew.
pub async fn may(state: &State, principal: &Principal, act: Act, place: Place) -> Result<bool, Problem> {
    let asked = Asked { act, place, enrols: false, changes: false };
    let access = match principal {
        Principal::Key(key) => of_key(state, key, asked).await.map(drop),
        Principal::Person(person) => match rights_of(state, person, asked).await {
            Ok(Err(Refusal::StepUp)) => Ok(()),
            Ok(other) => other.map(drop).map_err(Problem::from),
            Err(problem) => Err(problem),
        },
    };
    match access {
        Ok(()) => Ok(true),
        Err(problem) if problem.is_refusal() => Ok(false),
        Err(problem) => Err(problem),
    }
}

async fn of_key(state: &State, key: &ApiKey, asked: Asked) -> Result<Access, Problem> {
    if let Place::Tenant(tenant) = asked.place {
        match key.tenant {
            Some(own) if own != tenant => return Err(Problem::not_found()),
            Some(_) => {}
            // What is the platform's own may be about a tenant that is not there any more.
            None if asked.act.is_of_platform() => {}
            None => {
                found(state, tenant).await?;
            }
        }
    }
    let Grant::Scope(scopes) = grant(asked.act, Who::Key) else {
        return Err(Problem::forbidden("this is not for keys: sign in"));
    };
    let has = |scope: &Scope| key.scopes.contains(scope);
    let fits = match key.tenant {
        Some(_) => scopes.iter().any(|scope| *scope != Scope::Platform && has(scope)),
        None => scopes.contains(&Scope::Platform) && has(&Scope::Platform),
    };
    if fits {
        return Ok(Access::default());
    }
    let names = scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join("` or `");
    Err(Problem::forbidden(format!("a key with the scope `{names}` is needed")))
}

async fn of_person(state: &State, person: &Person, asked: Asked) -> Result<Access, Problem> {
    if person.lacks_second_factor() && !asked.enrols {
        return Err(Problem::second_factor_needed());
    }
    rights_of(state, person, asked).await?.map_err(Problem::from)
}

async fn found(state: &State, tenant: TenantId) -> Result<Tenant, Problem> {
    state.app.store.people().tenant_record(tenant).await?.ok_or_else(Problem::not_found)
}

/// As what somebody may come: each with what limits them to conversations of their own.
type Roles = Vec<(Who, bool)>;

async fn rights_of(state: &State, person: &Person, asked: Asked) -> Result<Result<Access, Refusal>, Problem> {
    let (record, roles) = match asked.place {
        Place::Tenant(tenant) => {
            // Before anything is looked up: one that is there takes as long as one that is not.
            let roles = roles_in(state, person, tenant).await?;
            if roles.is_empty() {
                return Err(Problem::not_found());
            }
            let record = state.app.store.people().tenant_record(tenant).await?;
            // What is the platform's own may be about a tenant that is not there any more.
            if record.is_none() && !asked.act.is_of_platform() {
                return Err(Problem::not_found());
            }
            (record, roles)
        }
        Place::Agency(agency) => {
            let roles = roles_in_agency(state, person, agency).await?;
            if roles.is_empty() || state.app.store.people().agency(agency).await?.is_none() {
                return Err(Problem::not_found());
            }
            (None, roles)
        }
        Place::Platform => (None, roles_anywhere(state, person).await?),
    };
    let mut best: Result<Access, Refusal> = Err(Refusal::No);
    for (who, limited) in roles {
        let given = outcome(state, person, asked, record.as_ref(), who, limited).await?;
        best = match (best, given) {
            (Ok(one), Ok(other)) => Ok(one.or(other)),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
            (Err(one), Err(other)) => Err(one.max(other)),
        };
    }
    Ok(best)
}

async fn is_active(state: &State, agency: AgencyId) -> Result<bool, Problem> {
    let agency = state.app.store.people().agency(agency).await?;
    Ok(agency.is_some_and(|agency| agency.state == AgencyState::Active))
}

/// The agencies whose people somebody is one of, and which are not suspended.
pub async fn active_agencies(state: &State, person: &Person) -> Result<Vec<AgencyId>, Problem> {
    let mut active = Vec::new();
    for agency in person.agencies() {
        if is_active(state, agency).await? {
            active.push(agency);
        }
    }
    Ok(active)
}

async fn roles_in(state: &State, person: &Person, tenant: TenantId) -> Result<Roles, Problem> {
    let mut roles = Roles::new();
    if person.account.owner {
        roles.push((Who::Owner, false));
    }
    if let Some(agency) = state.app.store.people().agency_of(tenant)
        && person.account.membership(MemberOf::Agency(agency)).is_some()
        && is_active(state, agency).await?
    {
        roles.push((Who::Agency, false));
    }
    if let Some(membership) = person.account.membership(MemberOf::Tenant(tenant)) {
        roles.extend(who(membership.role).map(|who| (who, membership.assigned_only)));
    }
    Ok(roles)
}

async fn roles_in_agency(state: &State, person: &Person, agency: AgencyId) -> Result<Roles, Problem> {
    let mut roles = Roles::new();
    if person.account.owner {
        roles.push((Who::Owner, false));
    }
    if person.account.membership(MemberOf::Agency(agency)).is_some() && is_active(state, agency).await? {
        roles.push((Who::Agency, false));
    }
    Ok(roles)
}

/// What somebody is wherever they belong; who belongs nowhere looks on as a viewer.
async fn roles_anywhere(state: &State, person: &Person) -> Result<Roles, Problem> {
    let mut roles = Roles::new();
    if person.account.owner {
        roles.push((Who::Owner, false));
    }
    if !active_agencies(state, person).await?.is_empty() {
        roles.push((Who::Agency, false));
    }
    let held = person.account.memberships.iter().filter_map(|membership| who(membership.role));
    roles.extend(held.map(|who| (who, false)));
    if roles.is_empty() {
        roles.push((Who::Viewer, false));
    }
    Ok(roles)
}

const fn who(role: Role) -> Option<Who> {
    match role {
        // That of its agency, which is looked at apart: it may be suspended.
        Role::Agency => None,
        Role::TenantAdmin => Some(Who::TenantAdmin),
        Role::Operator => Some(Who::Operator),
        Role::Viewer => Some(Who::Viewer),
    }
}

/// What the table gives to somebody who comes as `who`.
async fn outcome(
    state: &State,
    person: &Person,
    asked: Asked,
    record: Option<&Tenant>,
    who: Who,
    limited: bool,
) -> Result<Result<Access, Refusal>, Problem> {
    let given = grant(asked.act, who);
    let mut access = Access::default();
    if limited && matches!(given, Grant::Own | Grant::Masked) {
        access.assigned_to = Some(person.account.id.to_string());
    }
    match given {
        Grant::No | Grant::Scope(_) => return Ok(Err(Refusal::No)),
        // A proof anew is looked at below.
        Grant::Yes | Grant::StepUp => {}
        Grant::Own => {
            if who == Who::Owner && !owner_may_help(state, record).await? {
                return Ok(Err(Refusal::No));
            }
        }
        Grant::IfGranted => {
            if !record.is_some_and(|record| record.agency_reads) {
                return Ok(Err(Refusal::NotGranted));
            }
        }
        Grant::BreakGlass => match open_grant(state, person, record).await? {
            Some(open) => access.break_glass = Some(open),
            None => return Ok(Err(Refusal::NoBreakGlass)),
        },
        Grant::Masked => access.masked = true,
        Grant::Metadata => access.metadata = true,
    }
    let needs_proof = given == Grant::StepUp || (asked.changes && asked.act.needs_step_up());
    if needs_proof && !person.session.is_stepped_up(state.clock().now()) {
        return Ok(Err(Refusal::StepUp));
    }
    Ok(Ok(access))
}

/// An owner of the platform helps with a tenant's people where nobody else can: it has no agency, and no
/// administrator yet.
async fn owner_may_help(state: &State, record: Option<&Tenant>) -> Result<bool, Problem> {
    let Some(record) = record else { return Ok(true) };
    if record.agency.is_some() {
        return Ok(false);
    }
    let (place, mut before) = (MemberOf::Tenant(record.id), None);
    loop {
        let members = state.app.store.people().accounts(before, MEMBERS_PAGE, Some(place)).await?;
        let administers = |role: Role| role == Role::TenantAdmin;
        if members.iter().any(|member| {
            member.is_active() && member.membership(place).is_some_and(|it| administers(it.role))
        }) {
            return Ok(false);
        }
        match members.last() {
            Some(last) if members.len() == MEMBERS_PAGE => before = Some(last.id),
            _ => return Ok(true),
        }
    }
}

async fn open_grant(
    state: &State,
    person: &Person,
    record: Option<&Tenant>,
) -> Result<Option<BreakGlassId>, Problem> {
    let Some(record) = record else { return Ok(None) };
    let ctx = TenantCtx::authenticated(record.id);
    let now = state.clock().now();
    let grants = state.app.store.people().break_glasses(ctx, None, GRANTS_MAX).await?;
    Ok(grants.into_iter().find(|grant| grant.is_open(person.account.id, now)).map(|grant| grant.id))
}

impl Problem {
    /// 409: the tenant is not served.
    fn not_served(state: &TenantState) -> Self {
        match state {
            TenantState::Suspended { reason, .. } => {
                Self::conflict(format!("the tenant is suspended, and nothing is sent for it: {reason}"))
            }
            _ => Self::conflict("the tenant is closed: nothing is sent for it"),
        }
    }
}
