//! `WhatsApp` Cloud API.

mod interactive;
pub(crate) mod parse;
pub(crate) mod send;
mod template;

/// What a webhook of this product calls its object.
pub(crate) const OBJECT: &str = "whatsapp_business_account";
