//! The end of a tenant: what was destroyed, and the certificate of it.

use serde::{Deserialize, Serialize};

use super::erasure::{Finality, Receipt};
use crate::Mapped;
use crate::Timestamp;
use crate::audit::Actor;
use crate::id::TenantId;

/// That a tenant's data was destroyed. Kept by the platform, as proof; it names the tenant by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct DestructionCertificate {
    /// Whose data.
    #[data(id)]
    pub tenant: TenantId,
    /// When it was closed, if it was before.
    #[data(operational)]
    pub closed_at: Option<Timestamp>,
    /// SHA-256 of the export that was handed out before, if one was.
    #[data(operational)]
    pub export_sha256: Option<String>,
    /// Who asked for it.
    #[data(parts)]
    pub by: Actor,
    /// How far it is.
    #[data(parts)]
    pub state: CertificateOf,
    /// What was destroyed, and what remains.
    #[data(parts)]
    pub receipt: Receipt,
    /// The certificate as a signed note (C2SP), once all is gone.
    #[data(operational)]
    pub note: Option<String>,
}

/// How far the destruction of a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CertificateOf {
    /// It is under way, and goes on at the next start if it is interrupted.
    Begun {
        /// Since when.
        #[data(operational)]
        at: Timestamp,
    },
    /// All is gone.
    Done {
        /// When.
        #[data(operational)]
        at: Timestamp,
        /// How final that is.
        #[data(operational)]
        finality: Finality,
    },
}
