//! Copies of the keyring from before keys were destroyed, for a few days: with them a backup from before can be
//! restored. After that nothing opens what was erased.

use std::fs;
use std::path::{Path, PathBuf};

use iassistance_config::VaultSettings;
use iassistance_domain::Timestamp;
use iassistance_vault::Keyring;

use super::{DAY_MS, KeepingError};

const ENDING: &str = "keyring";
const BESIDE: &str = "keyring-copies";

/// Where they are, and for how long.
pub struct KeyCopies {
    keyring: PathBuf,
    folder: PathBuf,
    days: u64,
}

impl KeyCopies {
    /// As the settings want them.
    pub fn of(settings: &VaultSettings) -> Self {
        Self {
            keyring: settings.keyring_file.clone(),
            folder: if settings.copies_folder.as_os_str().is_empty() {
                settings.keyring_file.with_file_name(BESIDE)
            } else {
                settings.copies_folder.clone()
            },
            days: u64::from(settings.copies_days),
        }
    }

    /// For how many days there are any; none if 0.
    pub const fn days(&self) -> u64 {
        self.days
    }

    /// Copies the keyring as it is. Blocking.
    pub(super) fn make(&self, now: Timestamp) -> Result<(), KeepingError> {
        if self.days == 0 {
            return Ok(());
        }
        let failed = |reason: String| KeepingError::KeyCopy { path: self.folder.clone(), reason };
        let exported = Keyring::export(&self.keyring).map_err(|error| failed(error.to_string()))?;
        fs::create_dir_all(&self.folder).map_err(|error| failed(error.to_string()))?;
        let path = self.folder.join(format!("{:016}.{ENDING}", now.as_millis()));
        if path.exists() {
            return Ok(());
        }
        Keyring::write_private(&path, &exported).map_err(|error| failed(error.to_string()))
    }

    /// Removes those whose days are over. Blocking, and quickly done.
    pub(super) fn prune(&self, now: Timestamp) {
        let before = now.minus_millis(self.days.saturating_mul(DAY_MS));
        for (at, path) in self.all() {
            if (at < before || self.days == 0)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "a copy of the keyring could not be removed");
            }
        }
    }

    /// Takes into a keyring what the copies have that it has not any more: for a store that was restored. Those
    /// that do not open are told of.
    pub fn readmit(&self, keyring: &Keyring) {
        for (_, path) in self.all() {
            let taken = fs::read(&path).map_err(|error| error.to_string());
            let taken = taken.and_then(|copy| keyring.readmit(&copy).map_err(|error| error.to_string()));
            match taken {
                Ok(0) => {}
                Ok(tenants) => {
                    tracing::info!(tenants, path = %path.display(), "keys from before were taken in again");
                }
                Err(reason) => {
                    tracing::warn!(path = %path.display(), reason, "a copy of the keyring does not open: it is passed over");
                }
            }
        }
    }

    /// All, newest first.
    fn all(&self) -> Vec<(Timestamp, PathBuf)> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut all: Vec<_> = entries.flatten().filter_map(|entry| dated(&entry.path())).collect();
        all.sort_by(|a, b| b.cmp(a));
        all
    }
}

fn dated(path: &Path) -> Option<(Timestamp, PathBuf)> {
    let is_ours = path.extension().is_some_and(|ending| ending == ENDING);
    let millis: i64 = path.file_stem()?.to_str()?.parse().ok()?;
    is_ours.then(|| (Timestamp::from_millis(millis), path.to_owned()))
}
