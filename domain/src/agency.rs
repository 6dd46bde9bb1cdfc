//! Agencies: who runs tenants for others.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::id::AgencyId;

/// Who runs many tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agency {
    /// Its identifier.
    pub id: AgencyId,
    /// What people call it; 1 to 120 characters.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Whether its people may act.
    #[serde(default)]
    pub state: AgencyState,
}

/// Whether an agency's people may act. Its tenants are served either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
