//! Messenger and Instagram, which share their messaging.

pub(crate) mod parse;
pub(crate) mod send;

/// What a webhook of Messenger calls its object.
pub(crate) const PAGE: &str = "page";
/// What a webhook of Instagram calls its object.
pub(crate) const INSTAGRAM: &str = "instagram";
