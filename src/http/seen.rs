//! Every request goes into the access log, when it has been answered.

use std::rc::Rc;

use actix_web::HttpMessage;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::USER_AGENT;
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};

use iassistance_domain::Pii;
use iassistance_domain::access::AccessRecord;
use iassistance_domain::id::{AccessId, TenantId};
use iassistance_identity::devices::agent;

use super::principal::Principal;
use super::{State, cookies};

/// Notes every request, whoever sends it and however it ends. A path may hold an id and a query whatever
/// somebody wrote: what is kept is the route's pattern.
pub async fn note(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return next.call(request).await;
    };
    let came = came(&state, request.request());
    let answered = next.call(request).await;
    let record = match &answered {
        Ok(response) => known(&state, came, response.request(), response.status().as_u16()),
        Err(error) => AccessRecord { status: error.as_response_error().status_code().as_u16(), ..came },
    };
    let ms = u32::try_from(state.clock().now().millis_since(record.at)).unwrap_or(u32::MAX);
    state.app.access.note(AccessRecord { ms, ..record }).await;
    answered
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
        agent: said.map(agent).unwrap_or_default(),
        device: None,
        who: None,
        session: None,
        tenant: None,
        method: request.method().to_string(),
        route: "none".to_owned(),
        status: 0,
        ms: 0,
    }
}

/// It with what is known once it was answered: which route it took, and who sent it.
fn known(state: &State, came: AccessRecord, request: &HttpRequest, status: u16) -> AccessRecord {
    let principal = request.extensions().get::<Rc<Principal>>().cloned();
    let (session, account) = match principal.as_deref() {
        Some(Principal::Person(person)) => (Some(person.session.id), Some(person.account.id)),
        _ => (None, None),
    };
    AccessRecord {
        device: account.and_then(|account| cookies::devices(request)?.known(&state.app.keyring, account)),
        who: principal.map(|principal| principal.actor()),
        session,
        tenant: request.match_info().get("tenant").and_then(|text| text.parse::<TenantId>().ok()),
        route: request.match_pattern().unwrap_or(came.route),
        status,
        ..came
    }
}
