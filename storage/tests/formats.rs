//! Stores that earlier versions wrote open in this one, with everything in them.
//!
//! Each format that there was has a folder in `fixtures`: `store.tar.gz`, with the store, its keyring and
//! nothing else. The root key is the one that all tests here have. A fixture is written once, by the
//! version whose format it is, and never again:
//!
//! ```text
//! cargo test -p iassistance-storage --test formats -- --ignored write_a_fixture
//! ```
//!
//! leaves one in `target/tmp/format/store.tar.gz`.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::furnish::*;
use support::*;

fn tar(folder: &Path, arguments: &[&str]) {
    let ended = Command::new("tar").arg("-C").arg(folder).args(arguments).status().unwrap();
    assert!(ended.success(), "tar {arguments:?}");
}

#[tokio::test]
#[ignore = "writes a fixture, which is done once for each format"]
async fn write_a_fixture() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("format");
    drop(fs::remove_dir_all(&folder));
    let home = folder.join("home");
    fs::create_dir_all(&home).unwrap();
    furnish_folder(&home).await;
    tar(&home, &["-czf", folder.join("store.tar.gz").to_str().unwrap(), "keyring", "store"]);
}

#[tokio::test]
async fn a_store_has_every_kind_of_record() {
    let mut world = furnished().await;
    let kinds = kinds_of(&mut world, &[1; 16]).await;
    assert_eq!(kinds, TENANT_KINDS);
    assert_eq!(kinds_of(&mut world, b"platform").await, PLATFORM_KINDS);
}

async fn kinds_of(world: &mut World, tree: &[u8]) -> Vec<u8> {
    let kinds = std::sync::Mutex::new(std::collections::BTreeSet::new());
    support::rows::with_rows(world, tree, &[], |key, _| {
        kinds.lock().unwrap().insert(key[0]);
    })
    .await;
    kinds.into_inner().unwrap().into_iter().collect()
}
