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

use iassistance_domain::budget::{Cost, Day};
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_storage::Examination;
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
async fn a_store_of_format_1_opens_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let archive = fixtures.join("format-1/store.tar.gz");
    tar(folder.path(), &["-xzf", archive.to_str().unwrap()]);
    let mut world = World::open_in(folder.path(), small_limits()).unwrap();
    world.store.upgrade_records().await.unwrap();
    let found = world.store.examine(&Examination::default(), &|_| {}).await.unwrap();
    assert_eq!(found.findings, [], "every record opens and agrees");
    assert!(found.records >= 140, "{}", found.records);
    let mut said = Vec::new();
    for number in [1, 2] {
        let tenant = world.open_tenant(number).await;
        for conversation in tenant.conversations(None, 9).await.unwrap() {
            let messages = tenant.messages(conversation.id, None, 9).await.unwrap();
            said.extend(messages.iter().map(|message| words(&message.content)));
            said.extend(told(&tenant.inbox(conversation.id, 9).await.unwrap()));
            assert_eq!(tenant.outbox(conversation.id).await.unwrap().len(), 1);
            assert!(tenant.summary(conversation.id).await.unwrap().is_some());
            assert!(tenant.contact(conversation.contact).await.unwrap().is_some());
        }
        let log = tenant.events(EventSeq(0), 99).await.unwrap();
        assert!(log.iter().all(|event| event.kind != EventKind::EventUnreadable) && !log.is_empty());
        assert_eq!(tenant.passages().await.unwrap(), passages(number, 3, 1));
        assert!(tenant.assistant().await.unwrap().unwrap().settings == settings("b"));
        assert_eq!(tenant.spent(Day(7)).await.unwrap(), Cost(8));
    }
    said.sort();
    let heard = ["hello from 549", "hello from 549", "hello from 551", "hello from 551", "unread", "unread"];
    assert_eq!(said, [&["an answer"; 8][..], &heard].concat());
    // And goes on as any other.
    hear(&*world.open_tenant(1).await, 1, "560", "a new one").await;
    world.reopen().await;
    let found = world.store.examine(&Examination::default(), &|_| {}).await.unwrap();
    assert_eq!(found.findings, []);
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
        // That it was closed is not what it was filled with.
        if key[0] != 34 {
            kinds.lock().unwrap().insert(key[0]);
        }
    })
    .await;
    kinds.into_inner().unwrap().into_iter().collect()
}
