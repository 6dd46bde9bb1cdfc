//! Certificates: that all data of a client was destroyed.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::id::TenantId;
use iassistance_domain::privacy::{CertificateOf, DestructionCertificate, Finality, Receipt};

use super::audit::ActorView;
use super::input::Query;
use super::page::{Page, PageQuery};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// Whose certificate.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfDestroyed {
    /// The tenant that there was.
    #[param(value_type = String, example = "ten_0199a8a2c4007b3e8f5d6c1b2a390817")]
    destroyed: TenantId,
}

/// That a tenant's data was destroyed.
#[derive(Serialize, ToSchema)]
#[schema(as = DestructionCertificate)]
pub struct CertificateView {
    /// Whose data.
    #[schema(value_type = String)]
    tenant: TenantId,
    /// When it was closed.
    #[schema(value_type = Option<i64>)]
    closed_at: Option<Timestamp>,
    /// SHA-256 of the export that was handed out before.
    export_sha256: Option<String>,
    /// Who had it destroyed.
    by: ActorView,
    /// When all was gone; `null` while it is under way.
    #[schema(value_type = Option<i64>)]
    destroyed_at: Option<Timestamp>,
    /// How final that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    finality: Option<Finality>,
    /// What was destroyed, place by place, and what remains until when.
    receipt: Receipt,
    /// All this as a signed note (C2SP), to be handed to the client.
    note: Option<String>,
}

impl From<DestructionCertificate> for CertificateView {
    fn from(certificate: DestructionCertificate) -> Self {
        let (destroyed_at, finality) = match certificate.state {
            CertificateOf::Begun { .. } => (None, None),
            CertificateOf::Done { at, finality } => (Some(at), Some(finality)),
        };
        Self {
            tenant: certificate.tenant,
            closed_at: certificate.closed_at,
            export_sha256: certificate.export_sha256,
            by: certificate.by.into(),
            destroyed_at,
            finality,
            receipt: certificate.receipt,
            note: certificate.note,
        }
    }
}

/// Certificates of tenants that were destroyed
#[utoipa::path(get, path = "/certificates", tag = "privacy", operation_id = "list_certificates",
    params(PageQuery), responses((status = 200, body = Page<CertificateView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    _allowed: Allowed<acts::OperatePlatform>,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<CertificateView>>, Problem> {
    let all = state.app.store.keeping().certificates().await?;
    let page = query.of_all(all, |certificate| certificate.tenant)?;
    Ok(web::Json(page.map(CertificateView::from)))
}

/// The certificate of one tenant
#[utoipa::path(get, path = "/certificates/{destroyed}", tag = "privacy", operation_id = "show_certificate",
    params(OfDestroyed), responses((status = 200, body = CertificateView), Problems))]
pub async fn show(
    state: web::Data<State>,
    _allowed: Allowed<acts::OperatePlatform>,
    path: web::Path<OfDestroyed>,
) -> Result<web::Json<CertificateView>, Problem> {
    let certificate = state.app.store.keeping().certificate(path.destroyed).await?;
    Ok(web::Json(certificate.ok_or_else(Problem::not_found)?.into()))
}
