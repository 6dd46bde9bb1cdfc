//! What is kept of people and for how long, and how it goes: classes of data, retention, legal holds,
//! erasures with their receipts, and the destruction of a tenant. What people may ask about their own data, and when
//! the law wants it answered.

mod closing;
mod erasure;
mod hold;
pub mod law;
mod retention;
pub mod rights;
mod suppression;

pub use closing::{CertificateOf, DestructionCertificate};
pub use erasure::{
    Destroyed, Erasure, ErasureGround, ErasureState, Finality, How, Place, Receipt, Remainder, Remains,
};
pub use hold::{
    DOCUMENT_CHARS_MAX, HOLDS_MAX, HoldProblem, HoldRelease, HoldScope, LegalHold, NORM_CHARS_MAX,
};
pub use retention::{Class, ClassBounds, Retention, RetentionProblem, RetentionRules, SweepRecord};
pub use suppression::Suppression;
