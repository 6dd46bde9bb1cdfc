//! Files of a backup are age files: made for public keys, opened with an identity that need not be
//! where they are made.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamWriter;
use age::x25519;
use age::{DecryptError, Decryptor, Encryptor};

use super::error::BackupError;

/// Whom files are made for.
#[derive(Clone)]
pub struct Recipients(Vec<x25519::Recipient>);

/// What opens files that were made for it. Shown nowhere.
#[derive(Clone)]
pub struct Identity(Vec<x25519::Identity>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Recipients {
    /// Reads age public keys (`age1…`).
    ///
    /// # Errors
    /// [`BackupError::Settings`] when there is none, or one is no such key.
    pub fn read(texts: &[String]) -> Result<Self, BackupError> {
        let keys: Result<Vec<_>, _> = texts
            .iter()
            .map(|text| {
                text.trim().parse().map_err(|reason| {
                    BackupError::Settings(format!("`{text}` is no age public key (age1…): {reason}"))
                })
            })
            .collect();
        match keys? {
            none if none.is_empty() => Err(BackupError::Settings(
                "name at least one recipient, an age public key (age1…): `age-keygen` makes one".to_owned(),
            )),
            keys => Ok(Self(keys)),
        }
    }

    /// The keys as they are written.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// A file with this in it.
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, BackupError> {
        let mut sealing = self.begin()?;
        let mut sealed = sealing.write(plaintext)?;
        sealed.extend(sealing.finish()?);
        Ok(sealed)
    }

    /// A file that is written piece by piece.
    pub(super) fn begin(&self) -> Result<Sealing, BackupError> {
        let each = self.0.iter().map(|key| key as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(each).map_err(|error| failed(&error))?;
        let out = Out::default();
        let writer = encryptor.wrap_output(out.clone()).map_err(|error| failed(&error))?;
        Ok(Sealing { writer, out })
    }
}

/// What is said when sealing fails, which writes into memory.
fn failed(error: &dyn fmt::Display) -> BackupError {
    BackupError::Place { doing: "sealing a file", reason: error.to_string() }
}

/// Where a file goes while it is being written: what is there is taken out now and then.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Out {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is being written.
pub(super) struct Sealing {
    writer: StreamWriter<Out>,
    out: Out,
}

impl Sealing {
    /// Seals a piece; gives what there is of the file to be written.
    pub(super) fn write(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, BackupError> {
        self.writer.write_all(plaintext).map_err(|error| failed(&error))?;
        Ok(self.out.take())
    }

    /// The end of the file.
    pub(super) fn finish(self) -> Result<Vec<u8>, BackupError> {
        let Self { writer, out } = self;
        writer.finish().map_err(|error| failed(&error))?;
        Ok(out.take())
    }
}

impl Identity {
    /// Reads an identity: lines of `AGE-SECRET-KEY-1…`, with comments, as `age-keygen` writes them.
    ///
    /// # Errors
    /// [`BackupError::Settings`] when there is none in it. The text is not repeated.
    pub fn read(text: &str) -> Result<Self, BackupError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Result<Vec<_>, _> = lines
            .map(|line| {
                line.parse().map_err(|reason| {
                    BackupError::Settings(format!(
                        "the identity is none of age's (AGE-SECRET-KEY-1…): {reason}"
                    ))
                })
            })
            .collect();
        match keys? {
            none if none.is_empty() => {
                Err(BackupError::Settings("the identity file holds no key".to_owned()))
            }
            keys => Ok(Self(keys)),
        }
    }

    /// Reads an identity's file.
    ///
    /// # Errors
    /// [`BackupError::Folder`], [`BackupError::Settings`].
    pub fn load(path: &Path) -> Result<Self, BackupError> {
        let text = fs::read_to_string(path)
            .map_err(|error| BackupError::Folder { path: path.to_owned(), reason: error.to_string() })?;
        Self::read(&text)
    }

    /// Opens a file, called `name` in errors, that was made for `recipients`.
    ///
    /// # Errors
    /// [`BackupError::WrongIdentity`], [`BackupError::Damaged`].
    pub fn open(&self, name: &str, recipients: &[String], sealed: &[u8]) -> Result<Vec<u8>, BackupError> {
        let damaged = |reason: &str| BackupError::Damaged {
            file: name.to_owned(),
            reason: format!("does not open ({reason})"),
        };
        let opened = Decryptor::new_buffered(sealed)
            .and_then(|file| file.decrypt(self.0.iter().map(|key| key as &dyn age::Identity)));
        let mut reader = opened.map_err(|error| match error {
            DecryptError::NoMatchingKeys => {
                BackupError::WrongIdentity { file: name.to_owned(), recipients: recipients.to_vec() }
            }
            other => damaged(&other.to_string()),
        })?;
        let mut plaintext = Vec::with_capacity(sealed.len());
        reader.read_to_end(&mut plaintext).map_err(|error| damaged(&error.to_string()))?;
        Ok(plaintext)
    }
}

/// A new identity and its public key, as texts.
#[must_use]
pub fn new_identity() -> (iassistance_config::Secret, String) {
    use age::secrecy::ExposeSecret as _;
    let identity = x25519::Identity::generate();
    let public = identity.to_public().to_string();
    (iassistance_config::Secret::new(identity.to_string().expose_secret()), public)
}
