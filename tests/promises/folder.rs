//! A data folder with its keyring, that is opened, closed, copied and opened again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iassistance::app::{AppParts, Vaulted};
use iassistance::keeping::Keeper;
use iassistance_config::{Secret, Settings, Sources};
use iassistance_domain::{ManualClock, SeededEntropy};

use crate::support::START;

pub struct Place {
    pub folder: PathBuf,
    pub clock: ManualClock,
    pub seed: u64,
    _kept: Option<tempfile::TempDir>,
}

impl Place {
    pub fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        Self { folder: kept.path().to_owned(), clock: ManualClock::at(START), seed: 1, _kept: Some(kept) }
    }

    /// Another folder at the same time.
    pub fn at(&self, folder: PathBuf) -> Self {
        Self { folder, clock: self.clock.clone(), seed: self.seed + 1_000, _kept: None }
    }

    pub fn settings(&self) -> Settings {
        let of = |name: &str| self.folder.join(name).display().to_string();
        let flags = vec![
            format!("storage.path={}", of("store")),
            format!("vault.keyring_file={}", of("keyring.json")),
            format!("vault.root_key_file={}", of("root.key")),
            format!("media.folder={}", of("media")),
            format!("mail.folder={}", of("mail")),
            "storage.inbox_entries_max=1000000".to_owned(),
            "storage.letters_max=1000000".to_owned(),
        ];
        Sources { file: None, flags, environment: Vec::new() }.settings().unwrap()
    }

    pub fn open(&mut self) -> Vaulted {
        self.seed += 1;
        let mut parts = AppParts {
            clock: Some(Arc::new(self.clock.clone())),
            entropy: Some(Arc::new(SeededEntropy::new(self.seed))),
            ..AppParts::default()
        };
        Vaulted::open(self.settings(), Some(&Secret::new("7c".repeat(31) + "01")), &mut parts).unwrap()
    }
}

pub fn keeper(vaulted: &Vaulted) -> Keeper {
    Keeper::new(vaulted, None)
}

/// Closes a store and lets go of it.
pub async fn close(vaulted: Vaulted) {
    vaulted.store.close().await;
    drop(vaulted);
}

/// Copies a folder with everything in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Every file below a folder, with its bytes.
pub fn files(folder: &Path, mut look: impl FnMut(&Path, &[u8])) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                look(&path, &std::fs::read(&path).unwrap());
            }
        }
    }
}
