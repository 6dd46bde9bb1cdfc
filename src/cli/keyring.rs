//! `iassistance key backup` and `key restore`: the keyring, apart from the data.

use std::path::Path;

use serde_json::json;

use iassistance_config::Settings;
use iassistance_storage::backup::{Identity, Recipients};
use iassistance_vault::Keyring;

use super::{Failure, Output};

/// Copies the keyring into a file, sealed for age public keys. A server may be running.
pub fn backup(settings: &Settings, to: &Path, recipients: &[String], output: &Output) -> Result<(), Failure> {
    let recipients = if recipients.is_empty() { &settings.backup.recipients } else { recipients };
    let recipients = Recipients::read(recipients)?;
    let keyring = Keyring::export(&settings.vault.keyring_file)?;
    Keyring::write_private(to, &recipients.seal(&keyring)?)?;
    let text = format!(
        "The keyring was copied to {}, sealed for {}. The root key that opens it is not in it: keep that apart. \
         Copy it again after every new tenant.",
        to.display(),
        recipients.texts().join(", ")
    );
    output.answer(&text, &json!({ "to": to, "recipients": recipients.texts() }))
}

/// Puts the keyring back where there is none.
pub fn restore(settings: &Settings, from: &Path, identity: &Path, output: &Output) -> Result<(), Failure> {
    let identity = Identity::load(identity)?;
    let sealed = std::fs::read(from).map_err(|error| format!("cannot read {}: {error}", from.display()))?;
    let name = from.display().to_string();
    let keyring = identity.open(&name, &["another public key".to_owned()], &sealed)?;
    let to = &settings.vault.keyring_file;
    Keyring::import(to, &keyring)?;
    let text = format!("The keyring is at {} again. It needs the root key that it had.", to.display());
    output.answer(&text, &json!({ "keyring": to }))
}
