//! Backups: which there are, making one now, and putting one tenant back from them.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::audit::AuditEntry;
use iassistance_domain::id::{BackupId, TenantId};
use iassistance_storage::backup::{BackupError, BackupKind, Manifest, Which};

use super::input::{Body, Query};
use super::page::{Page, PageQuery};
use super::tenants::InTenant;
use super::view::Problems;
use crate::copies::{Copies, TenantRestored};
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// Whether a backup is whole in itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BackupKind)]
pub enum KindView {
    /// It is.
    Base,
    /// It holds what changed since the one before.
    Increment,
}

/// A backup.
#[derive(Serialize, ToSchema)]
#[schema(as = Backup)]
pub struct BackupView {
    /// Its id.
    #[schema(value_type = String, example = "bak_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: BackupId,
    /// Whether it is whole in itself.
    kind: KindView,
    /// The base that it goes back to; itself, if it is one.
    #[schema(value_type = String)]
    base: BackupId,
    /// Whose records alone are in it; all, if `null`.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// The moment whose state it is.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// What it takes, bytes.
    bytes: u64,
    /// Records in it, and marks of those that are gone.
    records: u64,
    /// When all of it was read back and compared.
    #[schema(value_type = i64)]
    verified_at: Timestamp,
}

impl From<&Manifest> for BackupView {
    fn from(manifest: &Manifest) -> Self {
        Self {
            id: manifest.id,
            kind: match manifest.kind {
                BackupKind::Base => KindView::Base,
                BackupKind::Increment => KindView::Increment,
            },
            base: manifest.base,
            tenant: manifest.tenant,
            at: manifest.at,
            bytes: manifest.bytes(),
            records: manifest.records(),
            verified_at: manifest.verified_at,
        }
    }
}

/// A try that failed.
#[derive(Serialize, ToSchema)]
#[schema(as = BackupFailure)]
pub struct FailureView {
    /// When.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// Why, and what to do.
    reason: String,
}

/// The backups, and how making them goes.
#[derive(Serialize, ToSchema)]
#[schema(as = Backups)]
pub struct BackupsView {
    /// Those that are there, newest first.
    #[serde(flatten)]
    page: Page<BackupView>,
    /// Whether one is being made.
    busy: bool,
    /// The latest try, if it failed.
    failure: Option<FailureView>,
    /// Files that should be manifests and cannot be read.
    unreadable: Vec<String>,
}

/// A backup that was begun.
#[derive(Serialize, ToSchema)]
#[schema(as = BackupBegun)]
pub struct BegunView {
    /// `true`: one is being made.
    busy: bool,
}

/// From what a tenant is restored: the newest backup, if nothing is said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "backup": "bak_0199a8a2c4007b3e8f5d6c1b2a390817" }))]
pub struct NewRestore {
    /// This backup.
    #[schema(value_type = Option<String>)]
    backup: Option<BackupId>,
    /// The newest that is not younger than this moment.
    #[schema(value_type = Option<i64>)]
    at: Option<Timestamp>,
    /// The file of the age identity, on the server's machine; `backup.identity_file` without it.
    identity_file: Option<String>,
}

/// A tenant that was restored.
#[derive(Serialize, ToSchema)]
#[schema(as = Restored)]
pub struct RestoredView {
    /// From which backup.
    #[schema(value_type = String)]
    backup: BackupId,
    /// The moment whose state it is.
    #[schema(value_type = i64)]
    at: Timestamp,
    /// Records that it has now.
    records: u64,
    /// Whether it was not there any more.
    created: bool,
    /// Channels that were missing and are connected again.
    channels: u64,
    /// Channels that were missing and whose address is another's now.
    channels_taken: u64,
    /// Messages that waited to be sent and may have left since: they are reconciled, not sent again.
    held: u64,
    /// Files of messages that were missing.
    media: u64,
}

impl From<TenantRestored> for RestoredView {
    fn from(restored: TenantRestored) -> Self {
        let TenantRestored { backup, at, replaced, media } = restored;
        Self {
            backup,
            at,
            records: replaced.records,
            created: replaced.created,
            channels: replaced.channels,
            channels_taken: replaced.channels_taken,
            held: replaced.held,
            media,
        }
    }
}

fn copies(state: &State) -> Result<&Copies, Problem> {
    state.app.copies.as_ref().ok_or_else(|| {
        Problem::conflict("no backups are made here: set backup.to and backup.recipients, and start again")
    })
}

/// Backups, newest first
#[utoipa::path(get, path = "/backups", tag = "backups", operation_id = "list_backups", params(PageQuery),
    responses((status = 200, body = BackupsView), Problems))]
pub async fn list(
    state: web::Data<State>,
    _allowed: Allowed<acts::OperatePlatform>,
    query: Query<PageQuery>,
) -> Result<web::Json<BackupsView>, Problem> {
    let (before, limit) = query.read::<BackupId>()?;
    let backups = copies(&state)?.backups();
    let (mut all, unreadable) = backups.list().await?;
    all.retain(|manifest| before.is_none_or(|before| manifest.id < before));
    let page = Page::cut(all, limit, |manifest| manifest.id).map(|manifest| BackupView::from(&*manifest));
    let failure = backups.failure().map(|(at, reason)| FailureView { at, reason });
    Ok(web::Json(BackupsView { page, busy: backups.is_busy(), failure, unreadable }))
}

/// Which backup.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InBackup {
    /// The backup.
    #[param(value_type = String, example = "bak_0199a8a2c4007b3e8f5d6c1b2a390817")]
    backup: BackupId,
}

/// One backup
#[utoipa::path(get, path = "/backups/{backup}", tag = "backups", operation_id = "show_backup",
    params(InBackup), responses((status = 200, body = BackupView), Problems))]
pub async fn show(
    state: web::Data<State>,
    _allowed: Allowed<acts::OperatePlatform>,
    path: web::Path<InBackup>,
) -> Result<web::Json<BackupView>, Problem> {
    let (all, _) = copies(&state)?.backups().list().await?;
    let found = all.iter().find(|manifest| manifest.id == path.backup);
    Ok(web::Json(BackupView::from(&**found.ok_or_else(Problem::not_found)?)))
}

/// Make a backup now
///
/// It is listed once all of it was read back. While one is made, another is a conflict.
#[utoipa::path(post, path = "/backups", tag = "backups", operation_id = "make_backup",
    responses((status = 202, body = BegunView), Problems))]
pub async fn make(
    state: web::Data<State>,
    allowed: Allowed<acts::OperatePlatform>,
) -> Result<HttpResponse, Problem> {
    let copies = copies(&state)?;
    allowed.record(allowed.entry("backup.made")).await?;
    copies.begin()?;
    Ok(HttpResponse::Accepted().json(BegunView { busy: true }))
}

/// Put a tenant back as it was in a backup
///
/// Everything that came after that moment is gone. Its conversations stand aside and go on from there; who
/// watches it is disconnected. What waited to be sent may have left since, and is not sent again but
/// reconciled. The channels and API keys that it has now stay. For who runs the platform.
#[utoipa::path(post, path = "/tenants/{tenant}/restore", tag = "backups", operation_id = "restore_tenant",
    params(InTenant), request_body = NewRestore,
    responses((status = 200, body = RestoredView), Problems))]
pub async fn restore(
    state: web::Data<State>,
    allowed: Allowed<acts::OperatePlatform>,
    path: web::Path<InTenant>,
    body: Body<NewRestore>,
) -> Result<web::Json<RestoredView>, Problem> {
    let tenant = allowed.ctx(path.tenant)?.tenant();
    let NewRestore { backup, at, identity_file } = body.value;
    let which = match (backup, at) {
        (Some(_), Some(_)) => return Err(Problem::invalid("give `backup` or `at`, not both")),
        (Some(id), None) => Which::Id(id),
        (None, Some(at)) => Which::At(at),
        (None, None) => Which::Latest,
    };
    let file = identity_file.map(std::path::PathBuf::from);
    let copies = copies(&state)?;
    // The tenant may have to be made anew: its own log is part of what is put back.
    let said = AuditEntry { tenant: None, ..allowed.entry("tenant.restored").on(&tenant) };
    allowed.record(said).await?;
    let restored = copies.restore_tenant(tenant, which, file.as_deref()).await?;
    Ok(web::Json(restored.into()))
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Settings(_)
            | BackupError::Folder { .. }
            | BackupError::WrongIdentity { .. }
            | BackupError::NoKeys(_) => Self::invalid(error.to_string()),
            BackupError::NotFound(_) => Self::not_found().detail(error.to_string()),
            BackupError::Busy
            | BackupError::Missing { .. }
            | BackupError::Damaged { .. }
            | BackupError::Newer { .. }
            | BackupError::Exists { .. }
            | BackupError::TooLarge { .. } => Self::conflict(error.to_string()),
            BackupError::Place { .. } | BackupError::TooMuchChanged => {
                Self::unavailable(30, error.to_string())
            }
            BackupError::Running(_) => Self::unavailable(5, error.to_string()),
            BackupError::Storage(error) => error.into(),
            BackupError::Content(error) => error.into(),
        }
    }
}
