//! The end of a tenant: what was destroyed, and the certificate of it.

use serde::{Deserialize, Serialize};

use super::erasure::{Finality, Receipt};
use crate::Timestamp;
use crate::audit::Actor;
use crate::id::TenantId;

/// That a tenant's data was destroyed. Kept by the platform, as proof; it names the tenant by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestructionCertificate {
    /// Whose data.
    pub tenant: TenantId,
    /// When it was closed, if it was before.
    pub closed_at: Option<Timestamp>,
    /// SHA-256 of the export that was handed out before, if one was.
    pub export_sha256: Option<String>,
    /// Who asked for it.
    pub by: Actor,
    /// How far it is.
    pub state: CertificateOf,
    /// What was destroyed, and what remains.
    pub receipt: Receipt,
    /// The certificate as a signed note (C2SP), once all is gone.
    pub note: Option<String>,
}

/// How far the destruction of a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CertificateOf {
    /// It is under way, and goes on at the next start if it is interrupted.
    Begun {
        /// Since when.
        at: Timestamp,
    },
    /// All is gone.
    Done {
        /// When.
        at: Timestamp,
        /// How final that is.
        finality: Finality,
    },
}
