//! Keys of files. What is too large for the database is sealed in parts, each by itself, so that it can be
//! written and read without ever being whole in memory.

use std::sync::Arc;

use chacha20poly1305::XChaCha20Poly1305;
use iassistance_domain::Entropy;
use iassistance_domain::id::{MediaId, TenantId};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::crypto::{self, Key, NONCE_BYTES, TAG_BYTES};

const LABEL: &[u8] = b"iassistance/content/1";
const PLACE: &str = "content store";

/// What sealing adds to a part, bytes.
pub const PART_OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;
/// The length of [`ContentKey::mark`].
pub const MARK_BYTES: usize = 16;
/// The length of [`Part::write`].
pub const WRITE_BYTES: usize = 16;

/// Seals and opens the parts of one owner's files. It comes of a contact's key and cannot be had any more when
/// that is gone. Cheap to clone; wiped when the last clone is dropped.
#[derive(Clone)]
pub struct ContentKey(Arc<Inner>);

struct Inner {
    tenant: TenantId,
    cipher: XChaCha20Poly1305,
    mark: [u8; MARK_BYTES],
    entropy: Arc<dyn Entropy>,
}

/// Which part of which file: it opens as that and as nothing else.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The file.
    pub media: MediaId,
    /// Another one each time the file is written: parts of two writes do not go together.
    pub write: [u8; WRITE_BYTES],
    /// Which part of it.
    pub kind: PartKind<'a>,
}

/// Which part of a file.
#[derive(Clone, Copy)]
pub enum PartKind<'a> {
    /// What the file is, with what stands readable before it.
    Header(&'a [u8]),
    /// Some of its bytes.
    Frame {
        /// How many come before it.
        index: u64,
        /// Whether the file ends with it: so that a file that was cut short is known for that.
        last: bool,
    },
}

impl ContentKey {
    pub(crate) fn new(tenant: TenantId, key: &Key, entropy: Arc<dyn Entropy>) -> Self {
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&crypto::keyed_hash(&key.derive("mark").hmac(), "mark", &[])[..MARK_BYTES]);
        Self(Arc::new(Inner { tenant, cipher: key.derive("parts").cipher(), mark, entropy }))
    }

    /// A key out of nothing, for a store that keeps nothing: what it seals is gone with it.
    pub fn fleeting(tenant: TenantId, entropy: Arc<dyn Entropy>) -> Self {
        let key = Key::random(&*entropy);
        Self::new(tenant, &key, entropy)
    }

    /// What tells this key from others and says nothing about it: with it beside a file, a wrong key is told
    /// from a damaged file.
    pub fn mark(&self) -> [u8; MARK_BYTES] {
        self.0.mark
    }

    /// A new [`Part::write`].
    pub fn new_write(&self) -> [u8; WRITE_BYTES] {
        let mut write = [0; WRITE_BYTES];
        self.0.entropy.fill(&mut write);
        write
    }

    /// Seals a part: [`PART_OVERHEAD_BYTES`] more than it has.
    ///
    /// # Errors
    /// [`VaultError::TooLong`] over 256 GiB.
    pub fn seal(&self, part: Part<'_>, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut out = Vec::new();
        crypto::seal_into(&mut out, &self.0.cipher, &*self.0.entropy, &self.aad(part), plaintext)
            .ok_or(VaultError::TooLong { bytes: plaintext.len() })?;
        Ok(out)
    }

    /// Opens what was sealed as this part.
    ///
    /// # Errors
    /// [`VaultError::NotAuthentic`] if anything differs from what was sealed.
    pub fn open(&self, part: Part<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        crypto::open(&self.0.cipher, &self.aad(part), sealed)
            .ok_or_else(|| VaultError::NotAuthentic { place: PLACE.to_owned() })
    }

    /// Every part of it has a fixed length, but the last.
    fn aad(&self, part: Part<'_>) -> Vec<u8> {
        let mut aad = [LABEL, &self.0.tenant.to_bytes(), &part.media.to_bytes(), &part.write].concat();
        match part.kind {
            PartKind::Header(readable) => {
                aad.push(0);
                aad.extend_from_slice(readable);
            }
            PartKind::Frame { index, last } => {
                aad.push(if last { 2 } else { 1 });
                aad.extend_from_slice(&index.to_be_bytes());
            }
        }
        aad
    }
}
