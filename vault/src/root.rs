//! The root key: 32 bytes that open the keyring, and so everything.

use std::path::Path;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use iassistance_domain::Entropy;
use zeroize::Zeroizing;

use crate::crypto::{KEY_BYTES, Key};
use crate::{VaultError, file};

const PADDED_OR_NOT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const FILE_BYTES_MAX: u64 = 1024;

/// The key that wraps all others. Wiped when dropped, shown nowhere.
pub struct RootKey(pub(crate) Key);

impl RootKey {
    /// Reads 32 bytes written as 64 hexadecimal digits or as base64 (standard or URL-safe, padded or not);
    /// whitespace around them is ignored.
    ///
    /// # Errors
    /// [`VaultError::BadRootKeyText`] for anything else, and for 32 times the same byte: a placeholder, not a
    /// key.
    pub fn from_text(text: &str) -> Result<Self, VaultError> {
        let text = text.trim();
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let read = if text.len() == 2 * KEY_BYTES {
            hex::decode_to_slice(text, bytes.as_mut_slice()).is_ok()
        } else {
            [STANDARD, URL_SAFE].iter().any(|alphabet| {
                let engine = GeneralPurpose::new(alphabet, PADDED_OR_NOT);
                let decoded = engine.decode(text).map(Zeroizing::new);
                decoded.is_ok_and(|decoded| {
                    decoded.len() == KEY_BYTES && {
                        bytes.copy_from_slice(&decoded);
                        true
                    }
                })
            })
        };
        let placeholder = bytes.iter().all(|byte| *byte == bytes[0]);
        if !read || placeholder {
            return Err(VaultError::BadRootKeyText);
        }
        Key::from_slice(bytes.as_slice()).map(Self).ok_or(VaultError::BadRootKeyText)
    }

    /// The root key in the file at `path`; if there is none, makes one there (mode 0600, as 64 hexadecimal
    /// digits). Tells whether it was made now: then is the time to back it up.
    ///
    /// # Errors
    /// [`VaultError::PermissionsTooOpen`] if others than the owner may use the file,
    /// [`VaultError::BadRootKeyFile`] if it holds no key, [`VaultError::InUse`] if another process is making it,
    /// [`VaultError::Io`].
    pub fn load_or_create_file(path: &Path, entropy: &dyn Entropy) -> Result<(Self, bool), VaultError> {
        if let Some(key) = Self::load_file(path)? {
            return Ok((key, false));
        }
        let _lock = file::lock(path)?;
        // Looked at again: another process may have made it before the lock was taken.
        if let Some(key) = Self::load_file(path)? {
            return Ok((key, false));
        }
        let key = Self(Key::random(entropy));
        let mut text = Zeroizing::new([0; 2 * KEY_BYTES + 1]);
        text[2 * KEY_BYTES] = b'\n';
        hex::encode_to_slice(key.0.bytes(), &mut text[..2 * KEY_BYTES])
            .map_err(|_| VaultError::BadRootKeyFile { path: path.to_owned() })?;
        file::replace(path, text.as_slice())?;
        Ok((key, true))
    }

    fn load_file(path: &Path) -> Result<Option<Self>, VaultError> {
        let Some(bytes) = file::read_private(path, FILE_BYTES_MAX)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| VaultError::BadRootKeyText);
        let key = text.and_then(Self::from_text);
        key.map(Some).map_err(|_| VaultError::BadRootKeyFile { path: path.to_owned() })
    }
}
