//! `WhatsApp` Cloud API.

pub(crate) mod parse;
pub(crate) mod send;

/// What a webhook of this product calls its object.
pub(crate) const OBJECT: &str = "whatsapp_business_account";
