//! Keys: the keyring file outside the database, sealing and opening of records, keyed hashes.
//!
//! ```text
//! root key ──wraps──▶ tenant's data key (one per epoch) ──wraps──▶ contact's key ──seals──▶ record
//!    │                        └──────────────────────────seals──▶ record of no contact
//!    └──────wraps──▶ tenant's index key ──▶ keyed hashes, the same in every epoch
//! ```
//!
//! The database does not erase what it deletes, so destroying a key is what deletes data. Hence the tenants'
//! keys live in a small file of their own ([`Keyring`]), which is rewritten whole and backed up apart.
//!
//! Files are sealed part by part with a [`ContentKey`], which comes of a contact's key and goes with it.
//!
//! * A tenant leaves: [`Keyring::destroy_tenant`].
//! * A contact is erased: its wrapped key is deleted, and to finish it for good the tenant turns an epoch:
//!   [`Keyring::rotate_tenant_epoch`], then every surviving contact key through
//!   [`TenantVault::rewrap_subject_key`] and every record sealed with the tenant's own key through
//!   [`TenantVault::reseal`], then [`Keyring::retire_epoch`]. What a deleted record left on the disk cannot be
//!   opened after that. Records sealed with contact keys are not touched: only keys are wrapped anew.
//!
//! Checkpoints of the audit log are signed with a key that comes of the platform's
//! ([`Keyring::note_signer`]).
//!
//! A limit that stays: the medium that holds the keyring may keep bytes of its former versions. Rotating the
//! root key ([`Keyring::rotate_root`]) and destroying the former one closes that too.

mod content;
mod crypto;
mod entropy;
mod error;
mod file;
mod keyring;
mod note;
mod record;
mod root;
mod tenant;
#[cfg(test)]
mod tests;
mod wire;

pub use content::{ContentKey, MARK_BYTES, PART_OVERHEAD_BYTES, Part, PartKind, WRITE_BYTES};
pub use crypto::same;
pub use entropy::SystemEntropy;
pub use error::VaultError;
pub use keyring::Keyring;
pub use note::{BadNote, NoteSigner, NoteVerifier};
pub use record::{KeyRef, Opened, Owner, Place, epoch_of, peek_schema, subject_of};
pub use root::RootKey;
pub use tenant::{SubjectKey, TenantVault, wrapped_epoch};
