//! Meta's channels: verify, parse, send, classify errors.

pub mod errors;
pub mod signature;
pub mod verification;
