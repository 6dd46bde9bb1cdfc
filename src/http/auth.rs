//! Permission: it stands in a handler's signature, [`Allowed`], and is looked up in one table.

use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, ResponseError, web};

use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::id::{AgencyId, TenantId};
use iassistance_domain::key::Scope;
use iassistance_domain::permission::{Act, Grant, MATRIX};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};

pub use super::access::{Access, Place};
pub use super::acts::{self, Right};
pub use super::api_keys::{BadKey, PlainKey, mint};
pub use super::principal::{Credential, Person, Principal};
use super::refusals::{self, Refused};
use super::{Problem, State, access, cookies};

/// Notes who sends a request, for the handlers behind it. Lets nobody pass without a credential that works.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    match looked_at(&request).await {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(problem) => Ok(request.into_response(problem.error_response()).map_into_right_body()),
    }
}

/// The same where there are doors for those who have no credential yet: who has none that works, or whose page
/// is not ours, is nobody, and each handler says by its signature whether that is enough.
pub async fn recognise(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    match looked_at(&request).await {
        Err(problem) if !problem.is_refusal() => {
            Ok(request.into_response(problem.error_response()).map_into_right_body())
        }
        Err(problem) => {
            request.extensions_mut().insert(Rc::new(problem));
            Ok(next.call(request).await?.map_into_left_body())
        }
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
    }
}

async fn looked_at(request: &ServiceRequest) -> Result<(), Problem> {
    let state = request.app_data::<web::Data<State>>().ok_or_else(Problem::internal)?;
    let principal = Principal::of(state, request.request()).await?;
    if let Principal::Person(person) = &principal {
        cookies::check_page(state, request.request(), &person.session)?;
    }
    request.extensions_mut().insert(Rc::new(principal));
    Ok(())
}

/// Who asks, and that they may do act `R` in the place that the address names.
pub struct Allowed<R: Right> {
    state: web::Data<State>,
    principal: Rc<Principal>,
    place: Place,
    access: Access,
    address: Option<Pii<String>>,
    act: PhantomData<R>,
}

impl<R: Right> Allowed<R> {
    /// Proof of the right for the tenant of the address; 404 for every other, whether it is there or not.
    pub fn ctx(&self, tenant: TenantId) -> Result<TenantCtx, Problem> {
        match self.place {
            Place::Tenant(own) if own == tenant => Ok(TenantCtx::authenticated(tenant)),
            _ => Err(Problem::not_found()),
        }
    }

    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The person who asks.
    ///
    /// # Errors
    /// [`Problem`] 403 for a program.
    pub fn person(&self) -> Result<&Person, Problem> {
        match &*self.principal {
            Principal::Person(person) => Ok(person),
            Principal::Key(_) => Err(Problem::forbidden("this is for people: sign in")),
        }
    }

    /// How far they may go.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Where they come from.
    pub fn address(&self) -> Option<&Pii<String>> {
        self.address.as_ref()
    }

    /// Whether they may do another act in the same place, at this moment.
    pub async fn may(&self, act: Act) -> Result<bool, Problem> {
        access::may(&self.state, &self.principal, act, self.place).await
    }

    /// Whether they may give a tenant's key this scope: nobody hands out what they may not do, all of it.
    pub async fn may_hand_out(&self, scope: Scope) -> Result<bool, Problem> {
        if scope == Scope::Platform {
            return Ok(false);
        }
        let opens = |grant: Grant| matches!(grant, Grant::Scope(scopes) if scopes.contains(&scope));
        for (act, _) in MATRIX.iter().filter(|(_, grants)| opens(grants.key)) {
            if !self.may(*act).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An entry of the audit log about what they are about to do: its code, who, when, from where, for which
    /// tenant. It is put there by [`Allowed::record`].
    pub fn entry(&self, act: &str) -> AuditEntry {
        let (actor, at) = (self.access.actor(&self.principal), self.state.clock().now());
        entry(act, actor, at, self.place.tenant(), self.address.clone())
    }

    /// Puts what is about to be done on the record. It is done after that and not otherwise: whoever gets an
    /// error from this does nothing.
    pub async fn record(&self, entry: AuditEntry) -> Result<(), Problem> {
        record(&self.state, entry).await
    }
}

/// An entry of the audit log.
pub fn entry(
    act: &str,
    actor: Actor,
    at: Timestamp,
    tenant: Option<TenantId>,
    address: Option<Pii<String>>,
) -> AuditEntry {
    AuditEntry { tenant, address, ..AuditEntry::new(at, actor, act) }
}

/// Puts an entry on the log of its tenant, or on the platform's. What cannot be put there is not done.
pub async fn record(state: &State, entry: AuditEntry) -> Result<(), Problem> {
    let (chain, is_weighty) = (entry.tenant, entry.is_weighty());
    state.app.store.trail().append_audit(chain, entry).await?;
    if is_weighty {
        state.app.notary.hurry(chain);
    }
    Ok(())
}

impl<R: Right> FromRequest for Allowed<R> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = request.app_data::<web::Data<State>>().cloned().ok_or_else(Problem::internal)?;
            let principal = Principal::known(&request)?;
            let place = place(&request)?;
            let asked = access::Asked {
                act: R::ACT,
                place,
                enrols: R::ENROLS,
                changes: cookies::changes(request.method()),
            };
            let address = state.door.ip(&request).map(|ip| Pii::new(ip.to_string()));
            let access = match access::authorise(&state, &principal, asked).await {
                Ok(access) => access,
                Err(problem) => {
                    let route = request.match_pattern().unwrap_or_default();
                    let refused = Refused { principal: &principal, asked, route, address };
                    refusals::note(&state, refused, &problem).await;
                    return Err(problem);
                }
            };
            let allowed = Self { state, principal, place, access, address, act: PhantomData };
            if let Some(grant) = allowed.access.break_glass() {
                // Every look by break-glass is on the tenant's record before anything is shown.
                let route = request.match_pattern().unwrap_or_default();
                let seen = allowed.entry("break_glass.used").on(&grant).with("route", &route);
                allowed.record(seen).await?;
            }
            Ok(allowed)
        })
    }
}

/// The place that an address names.
fn place(request: &HttpRequest) -> Result<Place, Problem> {
    let named = request.match_info();
    if let Some(tenant) = named.get("tenant") {
        return tenant.parse::<TenantId>().map(Place::Tenant).map_err(|_| Problem::not_found());
    }
    match named.get("agency") {
        Some(agency) => agency.parse::<AgencyId>().map(Place::Agency).map_err(|_| Problem::not_found()),
        None => Ok(Place::Platform),
    }
}
