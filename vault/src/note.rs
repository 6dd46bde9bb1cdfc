//! Signed notes, in the form of C2SP (<https://c2sp.org/signed-note>): a text, an empty line, and under it
//! the Ed25519 signature of the platform. Whoever has the verifier's key can check one, without us.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::Keyring;

/// Under which name the platform signs.
const NAME: &str = "iassistance";
/// The kind of signature: Ed25519.
const KIND: u8 = 1;
/// The label by which the key comes of the keyring.
const LABEL: &str = "audit-checkpoint-key";
const KEY_BYTES: usize = 32;
const HINT_BYTES: usize = 4;

/// A note that proves nothing, or a key that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// It is not in the form of a note.
    #[error("it is not a signed note")]
    Form,
    /// It bears no signature of this key.
    #[error("it bears no signature of this key")]
    OtherKey,
    /// The signature is not of this text.
    #[error("its signature is not of this text: it was altered")]
    Signature,
    /// The key cannot be read.
    #[error("the key is not in the form name+hash+base64, as `iassistance audit key` prints it")]
    Key,
    /// The cipher refuses.
    #[error("the note could not be signed")]
    Cipher,
}

/// Signs notes.
pub struct NoteSigner {
    pair: Ed25519KeyPair,
    verifier: NoteVerifier,
}

/// Checks notes. Its text form is what is handed to those who check.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    key: [u8; KEY_BYTES],
}

impl Keyring {
    /// What signs the checkpoints of the audit log. Its key comes of the platform's and is the same for as
    /// long as there is this keyring.
    ///
    /// # Errors
    /// [`BadNote::Cipher`]
    pub fn note_signer(&self) -> Result<NoteSigner, BadNote> {
        let seed = zeroize::Zeroizing::new(self.hash_secret(LABEL, b"ed25519"));
        NoteSigner::of_seed(&seed)
    }
}

impl NoteSigner {
    /// The one whose key comes of these bytes.
    ///
    /// # Errors
    /// [`BadNote::Cipher`]
    pub fn of_seed(seed: &[u8; KEY_BYTES]) -> Result<Self, BadNote> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadNote::Cipher)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| BadNote::Cipher)?;
        Ok(Self { pair, verifier: NoteVerifier { name: NAME.to_owned(), key } })
    }

    /// What checks its notes.
    pub const fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// A text, which ends with a line feed and has no empty line, with its signature.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = self.verifier.hint().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n\u{2014} {NAME} {}\n", STANDARD.encode(signature))
    }
}

impl NoteVerifier {
    /// The text of a note that this key signed.
    ///
    /// # Errors
    /// [`BadNote`]
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, BadNote> {
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(BadNote::Form)?;
        // The line feed that ends the text is signed with it.
        let text = note.get(..=text.len()).ok_or(BadNote::Form)?;
        for line in signatures.lines() {
            let (name, signature) =
                line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' ')).ok_or(BadNote::Form)?;
            let signature = STANDARD.decode(signature).map_err(|_| BadNote::Form)?;
            let (hint, signature) = signature.split_at_checked(HINT_BYTES).ok_or(BadNote::Form)?;
            if name == self.name && hint == self.hint() {
                let key = UnparsedPublicKey::new(&ED25519, self.key);
                return key.verify(text.as_bytes(), signature).map(|()| text).map_err(|_| BadNote::Signature);
            }
        }
        Err(BadNote::OtherKey)
    }

    /// The beginning of the hash of name and key, by which a signature names its key.
    fn hint(&self) -> [u8; HINT_BYTES] {
        let mut hash = Sha256::new();
        hash.update(self.name.as_bytes());
        hash.update([b'\n', KIND]);
        hash.update(self.key);
        let hash = hash.finalize();
        let mut hint = [0; HINT_BYTES];
        hint.copy_from_slice(&hash[..HINT_BYTES]);
        hint
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[KIND][..], &self.key].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.hint()), STANDARD.encode(key))
    }
}

impl fmt::Debug for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NoteVerifier {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hint), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadNote::Key);
        };
        let key = STANDARD.decode(key).map_err(|_| BadNote::Key)?;
        let key = match key.split_first() {
            Some((&KIND, key)) => key.try_into().map_err(|_| BadNote::Key)?,
            _ => return Err(BadNote::Key),
        };
        let verifier = Self { name: name.to_owned(), key };
        if hex::encode(verifier.hint()) == hint { Ok(verifier) } else { Err(BadNote::Key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_opens_by_its_key_alone_and_as_it_was_signed() {
        let (signer, other) =
            (NoteSigner::of_seed(&[7; 32]).unwrap(), NoteSigner::of_seed(&[8; 32]).unwrap());
        let text = "iassistance/audit\n5\nAAAA\n";
        let note = signer.sign(text);
        assert_eq!(signer.verifier().open(&note), Ok(text));
        let read: NoteVerifier = signer.verifier().to_string().parse().unwrap();
        assert_eq!(read.open(&note), Ok(text));
        assert_eq!(other.verifier().open(&note), Err(BadNote::OtherKey));
        assert_eq!(read.open(&note.replace("\n5\n", "\n6\n")), Err(BadNote::Signature));
        for broken in ["", "text", "text\n\n", "text\n\nno signature\n", "text\n\n\u{2014} iassistance AAA\n"]
        {
            assert!(read.open(broken).is_err(), "{broken:?}");
        }
        // Both may sign one note.
        let both = format!("{note}{}", other.sign(text).rsplit_once("\n\n").unwrap().1);
        assert_eq!((read.open(&both), other.verifier().open(&both)), (Ok(text), Ok(text)));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = NoteSigner::of_seed(&[7; 32]).unwrap().verifier().to_string();
        for bad in [
            "",
            "iassistance",
            "iassistance+00000000+AQ==",
            &good[..good.len() - 4],
            &good.replace("iassi", "other"),
        ] {
            assert!(bad.parse::<NoteVerifier>().is_err(), "{bad}");
        }
    }
}
