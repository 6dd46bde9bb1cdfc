//! `iassistance root-key rotate`: the keyring is wrapped by a new root key.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;

use iassistance_config::{Settings, Sources};
use iassistance_vault::{Keyring, RootKey, SystemEntropy};

use super::{Failure, Output};

#[derive(Subcommand)]
pub enum RootKeyCommand {
    /// Wraps the keyring by another root key. The server must not be running. Data is not touched.
    Rotate {
        /// The file of the new key; created if it is not there.
        #[arg(long, value_name = "FILE")]
        new_key_file: PathBuf,
    },
}

pub fn run(
    settings: &Settings,
    sources: &Sources,
    command: RootKeyCommand,
    output: &Output,
) -> Result<(), Failure> {
    let RootKeyCommand::Rotate { new_key_file } = command;
    let vault = &settings.vault;
    if !vault.keyring_file.exists() {
        return Err(
            format!("there is no keyring at {}: nothing to rotate", vault.keyring_file.display()).into()
        );
    }
    let old = present(settings, sources)?;
    let keyring = Keyring::open(&vault.keyring_file, &old, true, Arc::new(SystemEntropy))?;
    let (new, created) = RootKey::load_or_create_file(&new_key_file, &SystemEntropy)?;
    keyring.rotate_root(&new)?;
    let file = new_key_file.display();
    let text = format!(
        "The keyring is wrapped by the key in {file}{}. Set vault.root_key_file to it (or IASSISTANCE_ROOT_KEY to its \
         content) before the next start, and destroy the old key.",
        if created { ", which was created" } else { "" }
    );
    output.answer(
        &text,
        &serde_json::json!({ "rotated": true, "new_key_file": new_key_file, "created": created }),
    )
}

/// The root key that counts now; none is made.
pub fn present(settings: &Settings, sources: &Sources) -> Result<RootKey, Failure> {
    let file = &settings.vault.root_key_file;
    match sources.root_key() {
        Some(text) => Ok(RootKey::from_text(text.expose())?),
        None if file.exists() => Ok(RootKey::load_or_create_file(file, &SystemEntropy)?.0),
        None => {
            let file = file.display();
            Err(format!("the present root key is neither in IASSISTANCE_ROOT_KEY nor in {file}").into())
        }
    }
}
