//! Agencies' clients, and the proof that somebody may act for one.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::TenantId;

/// One client of the platform: the unit of isolation, limits and billing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its identifier.
    pub id: TenantId,
    /// What people call it; 1 to 120 characters.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Says which tenant an act is for and where that is known from. Storage opens a tenant's data for
/// one of these alone, so a bare identifier out of a request body opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantCtx {
    tenant: TenantId,
    origin: Origin,
}

/// Where a [`TenantCtx`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A credential that was checked.
    Authentication,
    /// The channel directory: a signed webhook named an address that this tenant connected.
    Routing,
    /// The platform's own work on a tenant: its actors, recovery, the command line on this machine.
    Platform,
}

impl TenantCtx {
    /// For a tenant whose credential was checked.
    pub const fn authenticated(tenant: TenantId) -> Self {
        Self { tenant, origin: Origin::Authentication }
    }

    /// For the tenant that a signed webhook was routed to.
    pub const fn routed(tenant: TenantId) -> Self {
        Self { tenant, origin: Origin::Routing }
    }

    /// For the platform's own work.
    pub const fn platform(tenant: TenantId) -> Self {
        Self { tenant, origin: Origin::Platform }
    }

    /// The tenant.
    pub const fn tenant(self) -> TenantId {
        self.tenant
    }

    /// Where it is known from.
    pub const fn origin(self) -> Origin {
        self.origin
    }
}
