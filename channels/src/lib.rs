//! Meta's channels: verify, parse, send, classify errors.

pub mod signature;
