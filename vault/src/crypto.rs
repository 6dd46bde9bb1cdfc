//! The three primitives: a key, sub-keys by HMAC, and sealing with XChaCha20-Poly1305.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use iassistance_domain::Entropy;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub(crate) const KEY_BYTES: usize = 32;
pub(crate) const NONCE_BYTES: usize = 24;
pub(crate) const TAG_BYTES: usize = 16;
const HMAC_BLOCK_BYTES: usize = 64;

/// Compares secrets in a time that depends on their lengths only.
///
/// ```
/// assert!(iassistance_vault::same(b"token", b"token"));
/// assert!(!iassistance_vault::same(b"token", b"taken"));
/// ```
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// 32 secret bytes, wiped when dropped.
pub(crate) struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    pub(crate) fn random(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        entropy.fill(bytes.as_mut_slice());
        Self(bytes)
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; KEY_BYTES]>::try_from(bytes).ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The sub-key for one use: RFC 5869 (HKDF) section 2.3 with a single block; section 3.3 lets a key that is
    /// already uniformly random go without the extracting step.
    pub(crate) fn derive(&self, label: &str) -> Self {
        let mac = self.hmac().chain_update(b"iassistance/vault/1/").chain_update(label).chain_update([1]);
        Self(Zeroizing::new(mac.finalize().into_bytes().into()))
    }

    /// HMAC-SHA256 with its key schedule done. Padding the key to a block is what HMAC itself does (RFC 2104).
    pub(crate) fn hmac(&self) -> Hmac<Sha256> {
        let mut block = Zeroizing::new([0; HMAC_BLOCK_BYTES]);
        block[..KEY_BYTES].copy_from_slice(self.0.as_slice());
        <Hmac<Sha256> as KeyInit>::new((&*block).into())
    }

    pub(crate) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

/// A keyed hash of `bytes` under `label`. The label's length goes first, so no two pairs hash alike.
pub(crate) fn keyed_hash(key: &Hmac<Sha256>, label: &str, bytes: &[u8]) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(&length(label.as_bytes()));
    mac.update(label.as_bytes());
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// The length as 8 bytes, to go before a part whose end could otherwise be mistaken.
pub(crate) fn length(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}

/// Appends nonce ‖ ciphertext ‖ tag to `out`. `None` if the plaintext is more than the cipher takes
/// (256 GiB).
pub(crate) fn seal_into(
    out: &mut Vec<u8>,
    cipher: &XChaCha20Poly1305,
    entropy: &dyn Entropy,
    aad: &[u8],
    plaintext: &[u8],
) -> Option<()> {
    // Reserved at once: a buffer that moved would leave a copy of the plaintext behind.
    out.reserve_exact(NONCE_BYTES + plaintext.len() + TAG_BYTES);
    let mut nonce = [0; NONCE_BYTES];
    entropy.fill(&mut nonce);
    out.extend_from_slice(&nonce);
    let start = out.len();
    out.extend_from_slice(plaintext);
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), aad, (&mut out[start..]).into())
        .inspect_err(|_| out.truncate(start))
        .ok()?;
    out.extend_from_slice(&tag);
    Some(())
}

/// The plaintext of nonce ‖ ciphertext ‖ tag, or `None` if any of it, or `aad`, is not what was sealed.
pub(crate) fn open(cipher: &XChaCha20Poly1305, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    cipher
        .decrypt_inout_detached(&XNonce::from(*nonce), aad, plaintext.as_mut_slice().into(), &Tag::from(*tag))
        .ok()?;
    Some(plaintext)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 1: HMAC pads a short key with zeros, so its 20 bytes padded to 32 are the same key.
    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let mut padded = [0; KEY_BYTES];
        padded[..20].fill(0x0b);
        let key = Key::from_slice(&padded).unwrap();
        let mac: [u8; 32] = key.hmac().chain_update(b"Hi There").finalize().into_bytes().into();
        assert_eq!(hex::encode(mac), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn sealing_agrees_with_the_published_vector() {
        struct Fixed;
        impl Entropy for Fixed {
            fn fill(&self, bytes: &mut [u8]) {
                for (byte, value) in bytes.iter_mut().zip(0x40..) {
                    *byte = value;
                }
            }
        }
        let key: Vec<u8> = (0x80..0xa0).collect();
        let cipher = Key::from_slice(&key).unwrap().cipher();
        let aad = hex::decode("50515253c0c1c2c3c4c5c6c7").unwrap();
        let plaintext = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
            the future, sunscreen would be it.";
        let mut sealed = Vec::new();
        seal_into(&mut sealed, &cipher, &Fixed, &aad, plaintext).unwrap();
        assert_eq!(hex::encode(&sealed[NONCE_BYTES..NONCE_BYTES + 16]), "bd6d179d3e83d43b9576579493c0e939");
        assert_eq!(hex::encode(&sealed[sealed.len() - TAG_BYTES..]), "c0875924c1c7987947deafd8780acf49");
        assert!(open(&cipher, &aad, &sealed).unwrap().as_slice() == plaintext);
    }

    #[test]
    fn labels_and_bytes_do_not_run_together() {
        let key = Key::from_slice(&[7; KEY_BYTES]).unwrap().hmac();
        assert_ne!(keyed_hash(&key, "ab", b"c"), keyed_hash(&key, "a", b"bc"));
    }
}
