//! A sealed record: where it belongs, which key it needs, and how it is laid out.
//!
//! ```text
//! format u8 │ schema u16 │ kind u8 │ epoch u32 │ contact [16], kind 2 only │ nonce [24] │ ciphertext │ tag [16]
//! └───────────────────────── header, readable and authenticated ─────────┘
//! ```
//!
//! Numbers are big-endian. The header is authenticated together with the owner, the tree and the record's key,
//! so a record opens only where it was put, as what it was put there.

use iassistance_domain::id::{ContactId, TenantId};
use zeroize::Zeroizing;

use crate::crypto::length;
use crate::tenant::SubjectKey;

const FORMAT: u8 = 1;
const KIND_TENANT: u8 = 1;
const KIND_SUBJECT: u8 = 2;
const HEADER_BYTES: usize = 8;
const CONTACT_BYTES: usize = 16;

/// Whose keys they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The platform itself: what belongs to no tenant.
    Platform,
    /// One tenant.
    Tenant(TenantId),
}

impl Owner {
    /// 17 bytes that no other owner has.
    pub(crate) fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        if let Self::Tenant(tenant) = self {
            bytes[0] = 1;
            bytes[1..].copy_from_slice(&tenant.to_bytes());
        }
        bytes
    }
}

/// Where a record is stored. It is part of the seal.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The tree's name. Error messages show it, so nothing personal belongs in it.
    pub tree: &'a str,
    /// The record's key in that tree.
    pub key: &'a [u8],
    /// The schema of what is being sealed. When opening, the record's own schema counts, not this one.
    pub schema: u16,
}

/// Which key seals a record.
#[derive(Clone, Copy)]
pub enum KeyRef<'a> {
    /// The tenant's (or the platform's) own, in its newest epoch.
    Tenant,
    /// A contact's: what is sealed with it is gone when that key is.
    Subject(&'a SubjectKey),
}

/// What a record held.
pub struct Opened {
    /// The schema it was sealed with.
    pub schema: u16,
    /// The content, wiped when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
}

/// The schema that a sealed record names, without checking the seal: opening it tells it with certainty.
pub fn peek_schema(sealed: &[u8]) -> Option<u16> {
    Header::read(sealed).map(|(header, _)| header.schema)
}

/// Whose key a sealed record needs, without checking the seal. `None`: the tenant's own, or it is no sealed
/// record.
pub fn subject_of(sealed: &[u8]) -> Option<ContactId> {
    Header::read(sealed).and_then(|(header, _)| header.subject)
}

/// The tenant's newest epoch when the record was sealed, without checking the seal. A record sealed with a
/// contact's key outlives that epoch.
pub fn epoch_of(sealed: &[u8]) -> Option<u32> {
    Header::read(sealed).map(|(header, _)| header.epoch)
}

/// The readable beginning of a sealed record.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) schema: u16,
    pub(crate) epoch: u32,
    pub(crate) subject: Option<ContactId>,
}

impl Header {
    /// The header and what follows it.
    pub(crate) fn read(sealed: &[u8]) -> Option<(Self, &[u8])> {
        let ([format, s0, s1, kind, epoch @ ..], rest) = sealed.split_first_chunk::<HEADER_BYTES>()?;
        let (subject, rest) = match (*format, *kind) {
            (FORMAT, KIND_TENANT) => (None, rest),
            (FORMAT, KIND_SUBJECT) => {
                let (contact, rest) = rest.split_first_chunk::<CONTACT_BYTES>()?;
                (Some(ContactId::from_bytes(*contact)), rest)
            }
            _ => return None,
        };
        let schema = u16::from_be_bytes([*s0, *s1]);
        Some((Self { schema, epoch: u32::from_be_bytes(*epoch), subject }, rest))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.schema.to_be_bytes());
        out.push(if self.subject.is_some() { KIND_SUBJECT } else { KIND_TENANT });
        out.extend_from_slice(&self.epoch.to_be_bytes());
        if let Some(contact) = self.subject {
            out.extend_from_slice(&contact.to_bytes());
        }
    }

    pub(crate) fn len(&self) -> usize {
        HEADER_BYTES + if self.subject.is_some() { CONTACT_BYTES } else { 0 }
    }

    /// What is authenticated beside the ciphertext. Each part has a fixed length or its length before it.
    pub(crate) fn aad(&self, owner: Owner, place: Place<'_>) -> Vec<u8> {
        let owner = owner.to_bytes();
        let mut aad = Vec::with_capacity(owner.len() + self.len() + 16 + place.tree.len() + place.key.len());
        aad.extend_from_slice(&owner);
        self.write(&mut aad);
        for part in [place.tree.as_bytes(), place.key] {
            aad.extend_from_slice(&length(part));
            aad.extend_from_slice(part);
        }
        aad
    }
}
