//! Who was erased, kept beside the keyring, so that no backup brings them back.
//!
//! A line for each: `{"tenant":"ten_…","contact":"con_…","keep":["execution"]}`, after a first line that says the
//! format; a later line of the same contact counts in place of an earlier one. A tenant that was destroyed has a
//! line without a contact. It holds ids alone. A line is on stable storage before anything is erased by it, so
//! that what is interrupted goes on at the next start; the list is read and carried out anew before anything is
//! woken and before the port opens.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use iassistance_domain::id::{ContactId, TenantId};
use iassistance_domain::privacy::{Class, Suppression};

/// The first format was one JSON document, which nothing ever wrote.
const FORMAT: u32 = 2;
/// What the list is called, beside the keyring.
const FILE: &str = "erasures.json";
const PRIVATE: u32 = 0o600;

/// Why the list could not be used.
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
    /// It cannot be written.
    #[error("cannot write the list of who was erased, {}: {reason}; nothing was erased", path.display())]
    Unwritable {
        /// The list.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// One who was erased, or a tenant that was destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erased {
    /// Of which tenant.
    pub tenant: TenantId,
    /// Who; without one, the whole tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactId>,
    /// What was kept of them, for a legal hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<Class>,
    /// What they had refused: a backup may be of a time before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Suppression>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
}

/// The list, open for writing.
pub struct ErasureList {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl ErasureList {
    /// The one beside a keyring. It is created when somebody is erased.
    pub fn beside(keyring_file: &Path) -> Self {
        Self { path: keyring_file.with_file_name(FILE), file: Mutex::new(None) }
    }

    /// Who is on it, each once, as it was said last; nobody where there is none. A last line that was cut short
    /// was never carried out, and counts for nothing.
    ///
    /// # Errors
    /// [`ErasureError::Unreadable`].
    pub fn read(&self) -> Result<Vec<Erased>, ErasureError> {
        let unreadable = |reason: String| ErasureError::Unreadable { path: self.path.clone(), reason };
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let Some((head, rest)) = text.split_once('\n') else {
            return if text.is_empty() {
                Ok(Vec::new())
            } else {
                Err(unreadable("its first line is cut short".into()))
            };
        };
        let head: Head = serde_json::from_str(head).map_err(|error| unreadable(error.to_string()))?;
        if head.format != FORMAT {
            return Err(unreadable(format!("it has format {} and this version knows {FORMAT}", head.format)));
        }
        let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut erased = BTreeMap::new();
        for (number, line) in whole.lines().enumerate() {
            let line: Erased = serde_json::from_str(line)
                .map_err(|error| unreadable(format!("line {}: {error}", number + 2)))?;
            erased.insert((line.tenant, line.contact), line);
        }
        Ok(erased.into_values().collect())
    }

    /// What is said when it is not known whether lines were written.
    pub fn lost(&self) -> ErasureError {
        let reason = "the writing task was stopped".to_owned();
        ErasureError::Unwritable { path: self.path.clone(), reason }
    }

    /// Adds lines, on stable storage when this returns. Blocking.
    ///
    /// # Errors
    /// [`ErasureError::Unwritable`].
    pub fn add(&self, erased: &[Erased]) -> Result<(), ErasureError> {
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.append(&mut open, erased);
        if written.is_err() {
            // What the file holds now is not known: the next one opens it anew, behind a line of its own.
            *open = None;
        }
        written
            .map_err(|error| ErasureError::Unwritable { path: self.path.clone(), reason: error.to_string() })
    }

    fn append(&self, open: &mut Option<File>, erased: &[Erased]) -> io::Result<()> {
        let file = match open {
            Some(file) => file,
            None => open.insert(self.open()?),
        };
        let mut lines = Vec::new();
        for line in erased {
            serde_json::to_writer(&mut lines, line)?;
            lines.push(b'\n');
        }
        file.write_all(&lines)?;
        file.sync_data()
    }

    fn open(&self) -> io::Result<File> {
        let mut file =
            OpenOptions::new().create(true).append(true).read(true).mode(PRIVATE).open(&self.path)?;
        let text = std::fs::read(&self.path)?;
        if text.is_empty() {
            serde_json::to_writer(&mut file, &Head { format: FORMAT })?;
            file.write_all(b"\n")?;
        } else if let Some(cut) =
            text.iter().rposition(|byte| *byte == b'\n').filter(|last| last + 1 < text.len())
        {
            // A line that was cut short was never acted upon.
            file.set_len(cut as u64 + 1)?;
        }
        file.sync_all()?;
        let above =
            self.path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(above)?.sync_all()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_of_somebody_counts() {
        let folder = tempfile::tempdir().unwrap();
        let list = ErasureList::beside(&folder.path().join("keyring.json"));
        assert_eq!(list.read().unwrap(), []);
        let tenant = TenantId::from_bytes([1; 16]);
        let line = |contact: u8, keep: &[Class]| Erased {
            tenant,
            contact: Some(ContactId::from_bytes([contact; 16])),
            keep: keep.to_vec(),
            refused: None,
        };
        list.add(&[line(2, &[Class::Execution]), line(3, &[])]).unwrap();
        list.add(&[line(2, &[])]).unwrap();
        assert_eq!(list.read().unwrap(), [line(2, &[]), line(3, &[])]);
        list.add(&[Erased { tenant, contact: None, keep: Vec::new(), refused: None }]).unwrap();
        assert_eq!(list.read().unwrap().len(), 3);
    }

    #[test]
    fn a_line_that_was_cut_short_counts_for_nothing_and_one_that_was_altered_stops() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = folder.path().join("keyring.json");
        let (tenant, contact) = (TenantId::from_bytes([1; 16]), ContactId::from_bytes([2; 16]));
        let line = Erased { tenant, contact: Some(contact), keep: Vec::new(), refused: None };
        ErasureList::beside(&keyring).add(std::slice::from_ref(&line)).unwrap();
        let path = folder.path().join(FILE);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{}", &whole[whole.len() - 40..whole.len() - 5])).unwrap();
        let list = ErasureList::beside(&keyring);
        assert_eq!(list.read().unwrap(), std::slice::from_ref(&line));
        let other = Erased { contact: Some(ContactId::from_bytes([3; 16])), ..line.clone() };
        list.add(std::slice::from_ref(&other)).unwrap();
        assert_eq!(list.read().unwrap(), [line, other]);
        for bad in [whole.replace(":2}", ":3}"), whole.replace("ten_", "tan_"), "{}".to_owned()] {
            std::fs::write(&path, bad).unwrap();
            assert!(list.read().is_err());
        }
    }
}
