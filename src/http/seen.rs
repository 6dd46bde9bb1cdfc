//! Every request goes into the access log, when it has been answered.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpMessage;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::USER_AGENT;
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};

use iassistance_domain::Pii;
use iassistance_domain::access::AccessRecord;
use iassistance_domain::id::{AccessId, TenantId};
use iassistance_identity::devices::agent;

use super::principal::Principal;
use super::reads::{Reads, Watched, records, shows_people};
use super::{State, cookies};

/// How much of a program's name is kept.
const PROGRAM_CHARS_MAX: usize = 64;

/// Notes every request, whoever sends it and however it ends. A path may hold an id and a query whatever
/// somebody wrote: what is kept is the route's pattern.
pub async fn note<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let came = came(&state, request.request());
    let answered = next.call(request).await;
    let ms = |record: &AccessRecord| {
        u32::try_from(state.clock().now().millis_since(record.at)).unwrap_or(u32::MAX)
    };
    let response = match answered {
        Ok(response) => response,
        Err(error) => {
            let status = error.as_response_error().status_code().as_u16();
            state.app.access.note(AccessRecord { status, ms: ms(&came), ..came }).await;
            return Err(error);
        }
    };
    let record = known(&state, came, response.request(), response.status().as_u16());
    let record = AccessRecord { ms: ms(&record), ..record };
    Ok(watched(&state, record, response).await)
}

/// Keeps the record of a request, with whose data its answer shows: at once where that is all there, and otherwise
/// piece by piece, each before it goes out.
async fn watched<B: MessageBody + 'static>(
    state: &State,
    record: AccessRecord,
    response: ServiceResponse<B>,
) -> ServiceResponse<EitherBody<B>> {
    let (log, entropy) = (&state.app.access, state.app.engine.entropy());
    if !(200..300).contains(&record.status) || !shows_people(&record.route) {
        log.note(record).await;
        return response.map_into_left_body();
    }
    let mut reads = Reads::default();
    reads.look(response.request().path().as_bytes());
    let (request, answer) = response.into_parts();
    let (answer, body) = answer.into_parts();
    let (body, streamed) = match body.try_into_bytes() {
        Ok(bytes) => {
            reads.look(&bytes);
            (BoxBody::new(bytes), false)
        }
        Err(body) => (body.boxed(), true),
    };
    let (contacts, conversations) = reads.take();
    for part in records(&record, (&contacts, &conversations), &**entropy) {
        log.note(part).await;
    }
    let body = if streamed {
        BoxBody::new(Watched::new(body, record, log.clone(), Arc::clone(entropy)))
    } else {
        body
    };
    ServiceResponse::new(request, answer.set_body(EitherBody::right(body)))
}

/// A record of what a live socket shows, but for when and whose.
pub fn of_live(state: &State, request: &HttpRequest, principal: &Principal) -> AccessRecord {
    let session = match principal {
        Principal::Person(person) => Some(person.session.id),
        Principal::Key(_) => None,
    };
    let route = "/v1/live".to_owned();
    AccessRecord { who: Some(principal.actor()), session, route, status: 101, ..came(state, request) }
}

/// What is known when a request comes.
fn came(state: &State, request: &HttpRequest) -> AccessRecord {
    let now = state.clock().now();
    let said = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    let address = state.door.ip(request).map(|ip| ip.to_string()).unwrap_or_default();
    AccessRecord {
        id: AccessId::new(now, &**state.app.engine.entropy()),
        at: now,
        address: Pii::new(address),
        agent: said.map(program).unwrap_or_default(),
        device: None,
        who: None,
        session: None,
        tenant: None,
        method: request.method().to_string(),
        route: "none".to_owned(),
        status: 0,
        ms: 0,
        contacts: Vec::new(),
        conversations: Vec::new(),
        part_of: None,
    }
}

/// It with what is known once it was answered: which route it took, and who sent it.
fn known(state: &State, came: AccessRecord, request: &HttpRequest, status: u16) -> AccessRecord {
    let principal = request.extensions().get::<Rc<Principal>>().cloned();
    let pattern = request.match_pattern();
    let tenant = pattern.as_deref().and_then(|pattern| tenant_in(pattern, request.path()));
    let tenant = tenant.filter(|tenant| concerns(principal.as_deref(), *tenant, status));
    let (session, account) = match principal.as_deref() {
        Some(Principal::Person(person)) => (Some(person.session.id), Some(person.account.id)),
        _ => (None, None),
    };
    AccessRecord {
        device: account.and_then(|account| cookies::devices(request)?.known(&state.app.keyring, account)),
        who: principal.map(|principal| principal.actor()),
        session,
        tenant,
        route: pattern.unwrap_or(came.route),
        status,
        ..came
    }
}

/// The tenant that a path names, also where it was refused before anybody looked at it.
fn tenant_in(pattern: &str, path: &str) -> Option<TenantId> {
    let place = pattern.split('/').position(|part| part == "{tenant}")?;
    path.split('/').nth(place)?.parse().ok()
}

/// Whether a request that names a tenant concerns it. Whoever does not belong there was told that there is
/// no such tenant, and the tenant learns nothing of them.
fn concerns(principal: Option<&Principal>, tenant: TenantId, status: u16) -> bool {
    match principal {
        None => true,
        Some(Principal::Key(key)) => key.tenant.is_none_or(|own| own == tenant),
        Some(Principal::Person(person)) => {
            let of_agency = person.agencies().next().is_some() && status != 404;
            person.account.owner || of_agency || person.tenants().any(|own| own == tenant)
        }
    }
}

/// Browser and system, or else the program by which somebody says that they come.
fn program(said: &str) -> String {
    let known = agent(said);
    if !known.is_empty() {
        return known;
    }
    let first = said.split_whitespace().next().unwrap_or_default();
    first.chars().filter(char::is_ascii_graphic).take(PROGRAM_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_tenant_where_its_pattern_does() {
        let tenant = TenantId::from_bytes([3; 16]);
        let path = format!("/v1/tenants/{tenant}/keys");
        assert_eq!(tenant_in("/v1/tenants/{tenant}/keys", &path), Some(tenant));
        assert_eq!(tenant_in("/v1/keys", &path), None);
        assert_eq!(tenant_in("/v1/tenants/{tenant}", "/v1/tenants/x"), None);
    }

    #[test]
    fn a_program_is_named_shortly() {
        assert_eq!(program("walker/1 (somewhere)"), "walker/1");
        assert_eq!(program(&format!("\u{7}{}", "x".repeat(500))).len(), PROGRAM_CHARS_MAX);
        assert!(
            program("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0")
                .contains("Firefox")
        );
        assert_eq!(program(""), "");
    }
}
