//! Backups: copies of the store and of the files of messages, sealed for public keys, at a place of their
//! own, while everything runs.
//!
//! ```text
//! backups/<backup>.json            the manifest: what it consists of, hashes, the one before; written last
//! chunks/<backup>-<number>.age     records as they are stored, in the order in which they count
//! chunks/<backup>-media.txt        the files of messages that came with it
//! media/<tenant>.<file>.age        a file of a message
//! ```
//!
//! A base holds everything, an increment what changed since the one before. Each is the state of one
//! moment. Records stay sealed with the keys of their tenants and contacts: what was erased by destroying
//! a key stays erased in every backup. The keyring is never part of one.

mod chunk;
mod error;
mod make;
mod manifest;
mod media;
mod place;
mod read;
mod restore;
mod seal;

pub use error::BackupError;
pub use make::{Backups, Parts};
pub use manifest::{BackupFile, BackupKind, Link, Manifest};
pub use place::Place;
pub use read::{Chain, Source, Verified, Which};
pub use restore::{Restored, Target};
pub use seal::{Identity, Recipients, new_identity};

pub use crate::sled::replace::Replaced;
