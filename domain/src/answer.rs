//! What was answered to a request that may be repeated (`Idempotency-Key`).

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::{Pii, Timestamp};

/// An answer is kept so long.
pub const KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// What was answered to a request that carried a key of its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "operate", basis = "contract", keep = "answer")]
pub struct StoredAnswer {
    /// The SHA-256 of the request, in hexadecimal: another request with the same key is refused.
    #[data(operational)]
    pub fingerprint: String,
    /// The status.
    #[data(operational)]
    pub status: u16,
    /// Where what was created is found.
    #[serde(default)]
    #[data(operational)]
    pub location: Option<String>,
    /// The body; nothing where it showed a secret, which is not kept.
    #[serde(default)]
    #[data(content)]
    pub body: Option<Pii<String>>,
    /// When it was answered.
    #[data(operational)]
    pub at: Timestamp,
}
