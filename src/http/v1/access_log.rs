//! The access log: every request, with who, from where and how it ended.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::audit::Actor;
use iassistance_domain::id::{AccessId, AccountId, ApiKeyId, DeviceId, SessionId, TenantId};
use iassistance_domain::pii::SignIn;

use super::audit::ActorView;
use super::input::Query;
use super::page::{self, Page};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// One request.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessRecord)]
pub struct AccessView {
    /// Its id.
    #[schema(value_type = String, example = "acl_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: AccessId,
    /// When it came.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// From which address; after a while, from which network.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Browser and system, or program, as far as they were told.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// The browser, where it is known.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    /// Who, where they proved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<ActorView>,
    /// Their session.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    /// Which tenant it was about.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    /// Its method.
    method: String,
    /// The route's pattern.
    #[schema(example = "/v1/tenants/{tenant}/events")]
    route: String,
    /// How it was answered.
    status: u16,
    /// How long that took, milliseconds.
    ms: u32,
}

impl AccessView {
    /// The record, or that it was, for who may see no more.
    fn of(record: AccessRecord, whole: bool) -> Self {
        Self {
            id: record.id,
            at: record.at,
            address: whole.then(|| record.address.into_inner(SignIn)),
            agent: whole.then_some(record.agent),
            device: record.device.filter(|_| whole),
            who: record.who.map(ActorView::from),
            session: record.session.filter(|_| whole),
            tenant: record.tenant,
            method: record.method,
            route: record.route,
            status: record.status,
            ms: record.ms,
        }
    }
}

const METHOD_CHARS_MAX: usize = 16;

/// Which requests.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AccessQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those of this method: `GET`.
    #[param(max_length = 16, example = "GET")]
    method: Option<String>,
    /// Only those that were answered with this status, from 100 to 599.
    #[param(minimum = 100, maximum = 599)]
    status: Option<u16>,
    /// Only those of this account.
    #[param(value_type = Option<String>)]
    account: Option<AccountId>,
    /// Only those of this key.
    #[param(value_type = Option<String>)]
    key: Option<ApiKeyId>,
    /// Only those from this moment on.
    #[param(value_type = Option<i64>, minimum = 0)]
    from: Option<Timestamp>,
    /// Only those before this moment.
    #[param(value_type = Option<i64>, minimum = 0)]
    until: Option<Timestamp>,
}

impl AccessQuery {
    fn wants(&self, record: &AccessRecord) -> bool {
        let by_key = |wanted| matches!(record.who, Some(Actor::Key { key }) if key == wanted);
        self.method.as_deref().is_none_or(|method| record.method.eq_ignore_ascii_case(method))
            && self.status.is_none_or(|status| record.status == status)
            && self.account.is_none_or(|wanted| record.account() == Some(wanted))
            && self.key.is_none_or(by_key)
            && page::within(record.at, self.from, self.until)
    }
}

async fn records(
    state: &State,
    of: AccessOf,
    query: &AccessQuery,
    whole: bool,
) -> Result<web::Json<Page<AccessView>>, Problem> {
    page::period(query.from, query.until)?;
    if query.status.is_some_and(|status| !(100..=599).contains(&status)) {
        return Err(Problem::invalid("`status` must be 100 to 599"));
    }
    page::words("method", query.method.as_deref(), METHOD_CHARS_MAX)?;
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let trail = state.app.store.trail();
    let fetch = async |before, limit| Ok(trail.access(of, before, limit).await?);
    let page = page::scan(before, limit, |it: &AccessRecord| it.id, |it| query.wants(it), fetch).await?;
    Ok(web::Json(page.map(|record| AccessView::of(record, whole))))
}

/// Requests about a tenant, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/access-log", tag = "audit", operation_id = "list_access",
    params(InTenant, AccessQuery), responses((status = 200, body = Page<AccessView>), Problems))]
pub async fn of_tenant(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadAccessLog>,
    path: web::Path<InTenant>,
    query: Query<AccessQuery>,
) -> Result<web::Json<Page<AccessView>>, Problem> {
    let of = AccessOf::Tenant(allowed.ctx(path.tenant)?.tenant());
    records(&state, of, &query, !allowed.access().is_metadata()).await
}

/// All requests, newest first
#[utoipa::path(get, path = "/access-log", tag = "audit", operation_id = "list_all_access",
    params(AccessQuery), responses((status = 200, body = Page<AccessView>), Problems))]
pub async fn of_platform(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadPlatformLogs>,
    query: Query<AccessQuery>,
) -> Result<web::Json<Page<AccessView>>, Problem> {
    records(&state, AccessOf::All, &query, !allowed.access().is_metadata()).await
}

/// One's own requests, newest first
#[utoipa::path(get, path = "/me/access-log", tag = "audit", operation_id = "list_own_access",
    params(AccessQuery), responses((status = 200, body = Page<AccessView>), Problems))]
pub async fn own(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
    query: Query<AccessQuery>,
) -> Result<web::Json<Page<AccessView>>, Problem> {
    records(&state, AccessOf::Account(allowed.person()?.account.id), &query, true).await
}
