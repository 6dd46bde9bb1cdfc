//! What the tests of this room share.

use std::sync::Arc;

use iassistance_config::{IdentitySettings, MailSettings, Sources};
use iassistance_domain::account::{Account, AccountState, Language, SecondFactors};
use iassistance_domain::id::AccountId;
use iassistance_domain::{Pii, SeededEntropy, Timestamp};
use iassistance_vault::{Keyring, RootKey};
use tempfile::TempDir;

/// A keyring in a folder of its own, which lives as long as the folder.
pub fn keyring() -> (TempDir, Arc<Keyring>) {
    keyring_of(7)
}

/// One with other keys for each seed.
pub fn keyring_of(seed: u64) -> (TempDir, Arc<Keyring>) {
    let folder = tempfile::tempdir().unwrap();
    let root = RootKey::from_text(&("71".repeat(31) + "72")).unwrap();
    let entropy = Arc::new(SeededEntropy::new(seed));
    let keyring = Keyring::open(&folder.path().join("keyring.json"), &root, false, entropy).unwrap();
    (folder, Arc::new(keyring))
}

/// The settings that the product has by default.
pub fn settings() -> IdentitySettings {
    Sources::default().settings().unwrap().identity
}

/// The settings of mails that the product has by default.
pub fn mail_settings() -> MailSettings {
    Sources::default().settings().unwrap().mail
}

/// An account that has nothing yet, another for each number.
pub fn account(number: u8) -> Account {
    Account {
        id: AccountId::from_bytes([number; 16]),
        email: Pii::new(format!("person{number}@example.com")),
        name: Pii::new(format!("Person {number}")),
        password: None,
        second_factors: SecondFactors::default(),
        owner: false,
        memberships: Vec::new(),
        supabase_subject: None,
        language: Language::En,
        state: AccountState::Active,
        revision: 0,
        created_at: Timestamp::EPOCH,
        signed_in_at: None,
    }
}
