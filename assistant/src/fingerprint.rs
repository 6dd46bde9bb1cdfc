//! Which file it is, whatever it is called.

use sha2::{Digest, Sha256};

/// SHA-256 of these bytes, in hexadecimal.
pub fn fingerprint(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
