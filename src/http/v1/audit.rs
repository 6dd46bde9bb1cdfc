//! The audit log: what needed a right, who did it, and proof that nothing of it was rewritten.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use futures::stream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::audit::{Actor, AuditEntry, AuditResult, Checkpoint};
use iassistance_domain::id::{AccountId, ApiKeyId, TenantId};
use iassistance_domain::pii::TenantView;
use iassistance_storage::StorageError;
use iassistance_storage::chain::{ExportLine, FORMAT};

use super::input::Query;
use super::page::{self, Page};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Access, Allowed, acts};
use crate::http::{Problem, State};

/// Entries, or checkpoints, that are read at once for an export.
const PAGE: usize = 500;
/// No act has a longer name that is asked for.
const ACT_CHARS_MAX: usize = 64;

/// Who acted.
#[derive(Serialize, ToSchema)]
pub struct ActorView {
    /// `account`, `key`, `command_line`, `platform` or `break_glass`.
    who: &'static str,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The break-glass grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
}

impl From<Actor> for ActorView {
    fn from(actor: Actor) -> Self {
        let (who, account, key, grant) = match actor {
            Actor::Account { account } => ("account", Some(account.to_string()), None, None),
            Actor::Key { key } => ("key", None, Some(key.to_string()), None),
            Actor::CommandLine => ("command_line", None, None, None),
            Actor::Platform => ("platform", None, None, None),
            Actor::BreakGlass { account, grant } => {
                ("break_glass", Some(account.to_string()), None, Some(grant.to_string()))
            }
        };
        Self { who, account, key, grant }
    }
}

/// One act that needed a right.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditView {
    /// Its place in the log, from 1.
    seq: u64,
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// Who.
    actor: ActorView,
    /// What: a code that stays.
    #[schema(example = "key.created")]
    act: String,
    /// What it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    /// For which tenant.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// How it ended. What is allowed stands here before it is done.
    result: AuditResult,
    /// Why, in the words of who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What else is to be known: ids, versions, names of fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, String>,
}

impl AuditView {
    /// The entry, or that it was, for who may see no more.
    fn of(entry: AuditEntry, access: &Access) -> Self {
        let whole = !access.is_metadata();
        let AuditEntry { seq, at, actor, act, object, tenant, address, result, reason, details } = entry;
        Self {
            seq,
            at,
            actor: actor.into(),
            act,
            object: object.filter(|_| whole),
            tenant,
            address: address.filter(|_| whole).map(|address| address.into_inner(TenantView)),
            result,
            reason: reason.filter(|_| whole).map(|reason| reason.into_inner(TenantView)),
            details: if whole { details } else { BTreeMap::new() },
        }
    }
}

/// A place in the log that the platform vouches for.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditCheckpoint)]
pub struct CheckpointView {
    /// The last entry that it vouches for.
    seq: u64,
    /// That entry's hash, in hexadecimal.
    hash: String,
    /// When it was made.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// The signed note (C2SP).
    note: String,
    /// The key that signed it, as `iassistance audit verify --key` takes it.
    key: String,
}

impl From<Checkpoint> for CheckpointView {
    fn from(checkpoint: Checkpoint) -> Self {
        let Checkpoint { seq, hash, at, note, key_id, .. } = checkpoint;
        Self { seq, hash: hex::encode(hash), at, note, key: key_id }
    }
}

/// Which checkpoints.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CheckpointsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those about this act: `key.created`.
    #[param(max_length = 64, example = "key.created")]
    act: Option<String>,
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

impl AuditQuery {
    fn wants(&self, entry: &AuditEntry) -> bool {
        let (account, key) = match entry.actor {
            Actor::Account { account } | Actor::BreakGlass { account, .. } => (Some(account), None),
            Actor::Key { key } => (None, Some(key)),
            Actor::CommandLine | Actor::Platform => (None, None),
        };
        self.act.as_deref().is_none_or(|act| entry.act == act)
            && self.account.is_none_or(|wanted| account == Some(wanted))
            && self.key.is_none_or(|wanted| key == Some(wanted))
            && page::within(entry.at, self.from, self.until)
    }
}

async fn entries(
    state: &State,
    chain: Option<TenantId>,
    query: &AuditQuery,
    access: &Access,
) -> Result<web::Json<Page<AuditView>>, Problem> {
    page::period(query.from, query.until)?;
    page::words("act", query.act.as_deref(), ACT_CHARS_MAX)?;
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let trail = state.app.store.trail();
    let fetch = async |before, limit| Ok(trail.audit(chain, before, limit).await?);
    let page = page::scan(before, limit, |entry: &AuditEntry| entry.seq, |it| query.wants(it), fetch).await?;
    Ok(web::Json(page.map(|entry| AuditView::of(entry, access))))
}

/// A tenant's audit log, newest first
#[utoipa::path(get, path = "/tenants/{tenant}/audit", tag = "audit", operation_id = "list_audit",
    params(InTenant, AuditQuery), responses((status = 200, body = Page<AuditView>), Problems))]
pub async fn of_tenant(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadAudit>,
    path: web::Path<InTenant>,
    query: Query<AuditQuery>,
) -> Result<web::Json<Page<AuditView>>, Problem> {
    let chain = allowed.ctx(path.tenant)?.tenant();
    entries(&state, Some(chain), &query, allowed.access()).await
}

/// The platform's audit log, newest first
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "list_platform_audit",
    params(AuditQuery), responses((status = 200, body = Page<AuditView>), Problems))]
pub async fn of_platform(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadPlatformLogs>,
    query: Query<AuditQuery>,
) -> Result<web::Json<Page<AuditView>>, Problem> {
    entries(&state, None, &query, allowed.access()).await
}

/// Checkpoints of a tenant's audit log, newest first
///
/// Keep them: with one that was had before, a log that was written anew is found out.
#[utoipa::path(get, path = "/tenants/{tenant}/audit/checkpoints", tag = "audit",
    operation_id = "list_audit_checkpoints", params(InTenant, CheckpointsQuery),
    responses((status = 200, body = Page<CheckpointView>), Problems))]
pub async fn checkpoints(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadAudit>,
    path: web::Path<InTenant>,
    query: Query<CheckpointsQuery>,
) -> Result<web::Json<Page<CheckpointView>>, Problem> {
    let chain = allowed.ctx(path.tenant)?.tenant();
    vouched(&state, Some(chain), &query).await
}

/// Checkpoints of the platform's audit log, newest first
#[utoipa::path(get, path = "/audit/checkpoints", tag = "audit", operation_id = "list_platform_checkpoints",
    params(CheckpointsQuery), responses((status = 200, body = Page<CheckpointView>), Problems))]
pub async fn checkpoints_of_platform(
    state: web::Data<State>,
    _allowed: Allowed<acts::ReadPlatformLogs>,
    query: Query<CheckpointsQuery>,
) -> Result<web::Json<Page<CheckpointView>>, Problem> {
    vouched(&state, None, &query).await
}

async fn vouched(
    state: &State,
    chain: Option<TenantId>,
    query: &CheckpointsQuery,
) -> Result<web::Json<Page<CheckpointView>>, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let found = state.app.store.trail().checkpoints(chain, before, limit + 1).await?;
    let page = Page::cut(found, limit, |checkpoint| checkpoint.seq);
    Ok(web::Json(page.map(CheckpointView::from)))
}

/// A tenant's audit log to be checked elsewhere
///
/// Lines of JSON: a header, the checkpoints, the entries in their sealed form and an end.
/// `iassistance audit verify --file FILE --key KEY` checks it without the platform, by the key that it had
/// from it before. The sealed entries tell nothing but that they are there.
#[utoipa::path(get, path = "/tenants/{tenant}/audit/export", tag = "audit", operation_id = "export_audit",
    params(InTenant),
    responses((status = 200, body = String, content_type = "application/x-ndjson"), Problems))]
pub async fn export_tenant(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadAudit>,
    path: web::Path<InTenant>,
) -> Result<HttpResponse, Problem> {
    let chain = allowed.ctx(path.tenant)?.tenant();
    allowed.record(allowed.entry("audit.exported")).await?;
    export(&state, Some(chain)).await
}

/// The platform's audit log to be checked elsewhere
#[utoipa::path(get, path = "/audit/export", tag = "audit", operation_id = "export_platform_audit",
    responses((status = 200, body = String, content_type = "application/x-ndjson"), Problems))]
pub async fn export_platform(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadPlatformLogs>,
) -> Result<HttpResponse, Problem> {
    allowed.record(allowed.entry("audit.exported")).await?;
    export(&state, None).await
}

/// How far an export is.
enum Exporting {
    Header,
    Checkpoints(Option<u64>),
    Entries(u64),
    Over,
}

/// An export under way: what it goes up to was settled when it began.
struct Export {
    state: State,
    chain: Option<TenantId>,
    last: u64,
    told: u64,
    next: Exporting,
}

async fn export(state: &State, chain: Option<TenantId>) -> Result<HttpResponse, Problem> {
    // Vouched for up to its end, so that all of it can be checked.
    let last = state.app.notary.vouch(chain).await?.map_or(0, |checkpoint| checkpoint.seq);
    let export = Export { state: state.clone(), chain, last, told: 0, next: Exporting::Header };
    let parts = stream::try_unfold(export, |mut export| async move {
        let part = export.part().await.inspect_err(|error| {
            tracing::error!(%error, "an export of the audit log broke off");
        })?;
        Ok::<_, StorageError>(part.map(|part| (part, export)))
    });
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header(("Content-Disposition", "attachment; filename=\"audit.ndjson\""))
        .streaming(parts))
}

impl Export {
    /// The next lines; nothing after the last.
    async fn part(&mut self) -> Result<Option<Bytes>, StorageError> {
        let trail = self.state.app.store.trail();
        let lines = match self.next {
            Exporting::Over => return Ok(None),
            Exporting::Header => {
                self.next = Exporting::Checkpoints(self.last.checked_add(1));
                let key = self.state.app.notary.verifier().to_string();
                let at = self.state.clock().now();
                vec![ExportLine::Header { format: FORMAT.to_owned(), tenant: self.chain, at, key }]
            }
            Exporting::Checkpoints(before) => {
                let page = trail.checkpoints(self.chain, before, PAGE).await?;
                self.next = match page.last() {
                    Some(last) if page.len() == PAGE => Exporting::Checkpoints(Some(last.seq)),
                    _ => Exporting::Entries(0),
                };
                page.into_iter().map(ExportLine::Checkpoint).collect()
            }
            Exporting::Entries(after) => {
                let mut page = trail.sealed_audit(self.chain, after, PAGE).await?;
                let is_full = page.len() == PAGE;
                page.retain(|entry| entry.seq <= self.last);
                self.told += page.len() as u64;
                let at = page.last().map_or(after, |entry| entry.seq);
                let mut lines: Vec<_> = page.into_iter().map(ExportLine::Entry).collect();
                if is_full && at > after && at < self.last {
                    self.next = Exporting::Entries(at);
                } else {
                    self.next = Exporting::Over;
                    lines.push(ExportLine::End { entries: self.told });
                }
                lines
            }
        };
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, &line).map_err(|_| StorageError::Damaged { kind: "audit" })?;
            text.push(b'\n');
        }
        Ok(Some(Bytes::from(text)))
    }
}
