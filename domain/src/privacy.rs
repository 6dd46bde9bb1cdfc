//! What is kept of people and for how long, and how it goes: classes of data, retention, legal holds,
//! erasures with their receipts, and the destruction of a tenant.

mod closing;
mod disclosure;
mod erasure;
mod hold;
mod incident;
mod order;
mod retention;
mod suppression;

pub use closing::{CertificateOf, DestructionCertificate};
pub use disclosure::{Disclosure, Disclosures, Handed, LINES_MAX, OTHERS, Recipient, RecipientKind};
pub use erasure::{
    Destroyed, Erasure, ErasureGround, ErasureState, Finality, How, Place, Receipt, Remainder, Remains,
};
pub use hold::{
    DOCUMENT_CHARS_MAX, HOLDS_MAX, HoldProblem, HoldRelease, HoldScope, LegalHold, NORM_CHARS_MAX,
};
pub use incident::{
    Duty, FACT_CHARS_MAX, Incident, IncidentFacts, IncidentHours, IncidentProblem, IncidentScope, Party,
    REACHED_MAX, REMINDERS, Reached, SUSPECTS_MAX, Suspect, Told,
};
pub use order::{
    ANSWERS_MAX, AUTHORITY_CHARS_MAX, LegalOrder, ORDER_CONTACTS_MAX, OrderAnswer, OrderProblem, OrderScope,
    OrderStep,
};
pub use retention::{Class, ClassBounds, Retention, RetentionProblem, RetentionRules, SweepRecord};
pub use suppression::Suppression;
