//! Who was erased, kept beside the keyring, so that no backup brings them back.
//!
//! The list names contacts by their ids, tenant by tenant:
//! `{"format":1,"erased":[{"tenant":"ten_…","contact":"con_…"}]}`. It is read and handed to
//! [`replay_erasures`] before anything is woken and before the port opens. What is erased by it is not
//! settled yet, and nothing writes the list yet: a list that names somebody stops the start, rather than
//! being passed over.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use iassistance_domain::id::{ContactId, TenantId};

use crate::app::Vaulted;

const FORMAT: u32 = 1;
/// What the list is called, beside the keyring.
const FILE: &str = "erasures.json";

/// Why the list could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// It cannot be read.
    #[error("cannot read the list of who was erased, {}: {reason}", path.display())]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It names somebody, and this version cannot erase.
    #[error(
        "{} names {erased} contacts who were erased, and this version cannot erase them from what was restored: \
         start the version that wrote it",
        path.display()
    )]
    NotYet {
        /// The list.
        path: PathBuf,
        /// How many it names.
        erased: usize,
    },
}

/// One who was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// Of which tenant.
    pub tenant: TenantId,
    /// Who.
    pub contact: ContactId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    format: u32,
    erased: Vec<Erased>,
}

/// Reads the list beside the keyring; empty where there is none.
///
/// # Errors
/// [`ErasureError::Unreadable`].
pub fn read(keyring_file: &Path) -> Result<Vec<Erased>, ErasureError> {
    let path = keyring_file.with_file_name(FILE);
    let unreadable = |reason: String| ErasureError::Unreadable { path: path.clone(), reason };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let list: List = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    if list.format == FORMAT {
        Ok(list.erased)
    } else {
        Err(unreadable(format!("it has format {} and this version knows {FORMAT}", list.format)))
    }
}

/// Erases again who was erased, in a store that may have been restored since.
///
/// # Errors
/// [`ErasureError`].
pub fn replay_erasures(vaulted: &Vaulted) -> Result<(), ErasureError> {
    let keyring_file = &vaulted.settings.vault.keyring_file;
    match read(keyring_file)?.len() {
        0 => Ok(()),
        erased => Err(ErasureError::NotYet { path: keyring_file.with_file_name(FILE), erased }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_from_beside_the_keyring() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = folder.path().join("keyring.json");
        assert_eq!(read(&keyring).unwrap(), []);
        let (tenant, contact) = (TenantId::from_bytes([1; 16]), ContactId::from_bytes([2; 16]));
        let list = folder.path().join(FILE);
        let text = format!(r#"{{"format":1,"erased":[{{"tenant":"{tenant}","contact":"{contact}"}}]}}"#);
        std::fs::write(&list, &text).unwrap();
        assert_eq!(read(&keyring).unwrap(), [Erased { tenant, contact }]);
        for bad in [text.replace(":1,", ":2,"), text.replace("ten_", "tan_"), String::new()] {
            std::fs::write(&list, bad).unwrap();
            assert!(read(&keyring).is_err());
        }
    }
}
