//! Examinations of the store: begun here, run beside everything else, told of when asked.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_actors::checks::Check;
use iassistance_domain::Timestamp;
use iassistance_domain::id::CheckId;
use iassistance_storage::Finding;

use super::input::Body;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

/// Findings that one answer shows; all are counted.
const SHOWN_MAX: usize = 1_000;

/// Which examination.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InCheck {
    /// The examination.
    #[param(value_type = String, example = "chk_0199a8a2c4007b3e8f5d6c1b2a390817")]
    check: CheckId,
}

/// What is to be done.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewCheck {
    /// Whether what is found is mended: indexes are made anew, a record that does not open is set aside.
    repair: bool,
    /// Whether what was set aside and opens now is put back first.
    put_back: bool,
}

/// How far an examination is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It is under way.
    Running,
    /// It has ended: see the findings.
    Ended,
    /// It did not come to its end: see `problem`.
    Failed,
}

/// An examination of the store.
#[derive(Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckView {
    /// Its id.
    #[schema(value_type = String)]
    id: CheckId,
    /// How far it is.
    state: CheckState,
    /// Whether it mends.
    repair: bool,
    /// Whether it puts back what opens again.
    put_back: bool,
    /// When it began.
    #[schema(value_type = i64)]
    started_at: Timestamp,
    /// When it ended, if it did.
    #[schema(value_type = Option<i64>)]
    ended_at: Option<Timestamp>,
    /// Which tenant is being examined, from 1; 0 while it is the platform.
    tenant: usize,
    /// How many tenants there are.
    tenants: usize,
    /// How many records have been read.
    records: u64,
    /// Records that are set aside.
    set_aside: u64,
    /// Records that were put back.
    restored: u64,
    /// How many findings there are.
    findings_total: u64,
    /// How many of them are as they were found, and mean that something is lost.
    unmended: u64,
    /// The first 1,000: `tenant` (nothing for the platform's), `kind`, `key` in hexadecimal, `problem`
    /// (`does_not_open`, `missing`, `disagrees`, …) and `outcome` (`left`, `set_aside`, `mended`).
    #[schema(value_type = Vec<Object>)]
    findings: Vec<Finding>,
    /// Why it did not come to its end.
    problem: Option<String>,
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        let (state, found, problem) = match check.came_to {
            None => (CheckState::Running, None, None),
            Some(Ok(found)) => (CheckState::Ended, Some(found), None),
            Some(Err(problem)) => (CheckState::Failed, None, Some(problem)),
        };
        let found = found.as_deref();
        Self {
            id: check.id,
            state,
            repair: check.repair,
            put_back: check.put_back,
            started_at: check.started_at,
            ended_at: check.ended_at,
            tenant: check.progress.tenant,
            tenants: check.progress.tenants,
            records: found.map_or(check.progress.records, |found| found.records),
            set_aside: found.map_or(0, |found| found.set_aside),
            restored: found.map_or(0, |found| found.put_back),
            findings_total: found.map_or(0, |found| found.total),
            unmended: found.map_or(0, |found| found.unmended),
            findings: found
                .map_or_else(Vec::new, |found| found.findings.iter().take(SHOWN_MAX).cloned().collect()),
            problem,
        }
    }
}

/// Examine the store
///
/// Every record, what it refers to, and every index, beside everything else. One at a time: while one
/// runs, another is a conflict.
#[utoipa::path(post, path = "/checks", tag = "checks", operation_id = "begin_check",
    request_body = NewCheck,
    responses((status = 201, body = CheckView), Problems))]
pub async fn begin(
    state: web::Data<State>,
    allowed: Allowed<acts::OperatePlatform>,
    once: Once,
    body: Body<NewCheck>,
) -> Result<HttpResponse, Problem> {
    let NewCheck { repair, put_back } = body.value;
    once.run(&state, &body.raw, async {
        let entry = allowed.entry("store.examined").with("repair", &repair).with("put_back", &put_back);
        allowed.record(entry).await?;
        let begun = state.app.engine.begin_check(repair, put_back);
        let check = begun.map_err(|runs| Problem::conflict(runs.to_string()))?;
        tracing::info!(check = %check.id, repair, put_back, "the store is being examined");
        Created::at(format!("/v1/checks/{}", check.id), &CheckView::from(check))
    })
    .await
}

/// The latest examinations.
#[derive(Serialize, ToSchema)]
pub struct Checks {
    /// The latest 16, newest first.
    items: Vec<CheckView>,
}

/// The latest examinations, newest first
#[utoipa::path(get, path = "/checks", tag = "checks", operation_id = "list_checks",
    responses((status = 200, body = Checks), Problems))]
pub async fn list(state: web::Data<State>, _allowed: Allowed<acts::OperatePlatform>) -> web::Json<Checks> {
    web::Json(Checks { items: state.app.engine.checks().into_iter().map(CheckView::from).collect() })
}

/// How an examination is going, or what it came to
///
/// The latest 16 are remembered, until the server ends.
#[utoipa::path(get, path = "/checks/{check}", tag = "checks", operation_id = "show_check", params(InCheck),
    responses((status = 200, body = CheckView), Problems))]
pub async fn show(
    state: web::Data<State>,
    _allowed: Allowed<acts::OperatePlatform>,
    path: web::Path<InCheck>,
) -> Result<web::Json<CheckView>, Problem> {
    let check = state.app.engine.check(path.check).ok_or_else(Problem::not_found)?;
    Ok(web::Json(check.into()))
}
