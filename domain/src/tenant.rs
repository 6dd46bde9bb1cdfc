//! Agencies' clients, and the proof that somebody may act for one.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::id::{AgencyId, TenantId};

/// One client of the platform: the unit of isolation, limits and billing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "setting")]
pub struct Tenant {
    /// Its identifier.
    #[data(id)]
    pub id: TenantId,
    /// What people call it; 1 to 120 characters.
    #[data(setting)]
    pub name: String,
    /// When it was created.
    #[data(operational)]
    pub created_at: Timestamp,
    /// The agency that runs it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(id)]
    pub agency: Option<AgencyId>,
    /// Whether it is served.
    #[serde(default)]
    #[data(parts)]
    pub state: TenantState,
    /// Whether the agency may read what people write: the tenant's own administrators grant that.
    #[serde(default)]
    #[data(setting)]
    pub agency_reads: bool,
}

impl Tenant {
    /// One that is served and belongs to no agency.
    pub const fn new(id: TenantId, name: String, created_at: Timestamp) -> Self {
        Self { id, name, created_at, agency: None, state: TenantState::Active, agency_reads: false }
    }
}

/// Whether a tenant is served.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum TenantState {
    /// It is.
    #[default]
    Active,
    /// What comes in is accepted and kept, but nobody answers: neither the assistant nor an operator.
    Suspended {
        /// Since when.
        #[data(operational)]
        since: Timestamp,
        /// Why, in words that its people are shown.
        #[data(setting)]
        reason: String,
    },
    /// Nothing is accepted for it any more: no address leads to it.
    Closed {
        /// Since when.
        #[data(operational)]
        since: Timestamp,
    },
}

impl TenantState {
    /// Its name, as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended { .. } => "suspended",
            Self::Closed { .. } => "closed",
        }
    }

    /// Whether anything may be said in its name.
    pub const fn answers(&self) -> bool {
        matches!(self, Self::Active)
    }

    /// Whether what comes in is kept for it.
    pub const fn accepts(&self) -> bool {
        !matches!(self, Self::Closed { .. })
    }
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
