//! Who somebody is: passwords, second factors, passkeys, tokens, the users of Supabase, the mails that they
//! get, and the throttles before all of that.
//!
//! This room knows neither HTTP nor the store. It is handed what is kept of an account and says what to keep
//! instead; what may be used once (a time step, a recovery code, a passkey's count) counts when the account
//! is stored with the revision that was read. Time and chance are given in.

pub mod codes;
pub mod devices;
#[cfg(test)]
mod fakes;
pub mod mail;
pub mod passkeys;
pub mod passwords;
pub mod rate;
pub mod strength;
pub mod supabase;
pub mod throttle;
pub mod tokens;
