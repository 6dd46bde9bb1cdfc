//! Tokens: what a session's cookie, an invitation's link and a link to a new password hold.
//!
//! A token is 256 bits of chance, written as 64 hexadecimal digits. It is kept as its SHA-256 alone: it
//! cannot be guessed, so a plain hash is enough, and who reads the store cannot use what is there.

use iassistance_config::Secret;
use iassistance_domain::Entropy;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const BYTES: usize = 32;

/// A new token, to be handed out once, with the hash that is kept.
pub fn mint(entropy: &dyn Entropy) -> (Secret, String) {
    let mut bytes = Zeroizing::new([0; BYTES]);
    entropy.fill(bytes.as_mut_slice());
    let hash = hex::encode(Sha256::digest(bytes.as_slice()));
    (Secret::new(hex::encode(bytes.as_slice())), hash)
}

/// The hash under which `token` is kept; nothing for what cannot be a token.
///
/// Looking a hash up tells nothing about tokens by the time it takes; to compare two hashes use
/// [`same`].
pub fn hash(token: &str) -> Option<String> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    let well_written = token.len() == 2 * BYTES && !token.bytes().any(|byte| byte.is_ascii_uppercase());
    if !well_written || hex::decode_to_slice(token, bytes.as_mut_slice()).is_err() {
        return None;
    }
    Some(hex::encode(Sha256::digest(bytes.as_slice())))
}

/// Whether two hashes are the same, in a time that tells nothing about them.
pub fn same(a: &str, b: &str) -> bool {
    iassistance_vault::same(a.as_bytes(), b.as_bytes())
}

#[cfg(test)]
mod tests {
    use iassistance_domain::SeededEntropy;

    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash() {
        let entropy = SeededEntropy::new(1);
        let (token, kept) = mint(&entropy);
        assert_eq!(token.expose().len(), 64);
        assert_eq!(hash(token.expose()).as_deref(), Some(kept.as_str()));
        assert!(!kept.contains(token.expose()));
        let (other, other_kept) = mint(&entropy);
        assert!(token != other && !same(&kept, &other_kept) && same(&kept, &kept.clone()));
    }

    #[test]
    fn what_is_no_token_has_no_hash() {
        let (token, _) = mint(&SeededEntropy::new(2));
        let text = token.expose();
        for bad in ["", "0", &text[1..], &format!("{text}0"), &text.to_uppercase(), &"g".repeat(64)] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }
}
