//! Agencies: who runs tenants for others.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::Timestamp;
use crate::id::AgencyId;

/// Who runs many tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "contract", keep = "account")]
pub struct Agency {
    /// Its identifier.
    #[data(id)]
    pub id: AgencyId,
    /// What people call it; 1 to 120 characters.
    #[data(account)]
    pub name: String,
    /// When it was created.
    #[data(operational)]
    pub created_at: Timestamp,
    /// Whether its people may act.
    #[serde(default)]
    #[data(account)]
    pub state: AgencyState,
}

/// Whether an agency's people may act. Its tenants are served either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AgencyState {
    /// They may.
    #[default]
    Active,
    /// They may not: a membership of it gives no right.
    Suspended,
}

/// Characters of a name of an agency or a tenant, of a person or a subscription.
pub const NAME_CHARS_MAX: usize = 120;
