//! The vault as its users see it.

mod content;
mod keyring;
mod root;
mod sealing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iassistance_domain::id::{ContactId, TenantId};
use iassistance_domain::{Entropy, SeededEntropy, Timestamp};
use tempfile::TempDir;

use crate::{KeyRef, Keyring, Place, RootKey, TenantVault, VaultError};

/// A folder of its own, and chance that repeats.
struct Room {
    folder: TempDir,
    entropy: Arc<SeededEntropy>,
}

impl Room {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), entropy: Arc::new(SeededEntropy::new(1)) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keyring.json")
    }

    fn tenant(&self) -> TenantId {
        TenantId::new(Timestamp::EPOCH, &*self.entropy)
    }

    fn contact(&self) -> ContactId {
        ContactId::new(Timestamp::EPOCH, &*self.entropy)
    }

    fn try_open(&self, root: &RootKey, store_exists: bool) -> Result<Keyring, VaultError> {
        let entropy = Arc::clone(&self.entropy) as Arc<dyn Entropy>;
        Keyring::open(&self.path(), root, store_exists, entropy)
    }

    fn open(&self) -> Keyring {
        self.try_open(&root(1), false).unwrap()
    }
}

fn root(number: u8) -> RootKey {
    RootKey::from_text(&format!("{}{number:02x}", "ab".repeat(31))).unwrap()
}

const PLACE: Place<'static> = Place { tree: "messages", key: b"key", schema: 3 };

/// Seals with the tenant's own key, which must work.
fn sealed(vault: &TenantVault, plaintext: &[u8]) -> Vec<u8> {
    vault.seal(PLACE, KeyRef::Tenant, plaintext).unwrap()
}

/// Opens with the tenant's own key.
fn opened(vault: &TenantVault, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    vault.open(PLACE, KeyRef::Tenant, sealed).map(|opened| opened.plaintext.to_vec())
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
