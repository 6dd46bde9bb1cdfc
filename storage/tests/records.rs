//! Which records a message touches: what each costs is most of what accepting and applying cost.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::collections::BTreeMap;

use support::*;

const INBOX: u8 = 7;
const MESSAGE: u8 = 9;
const PROVIDER_ID: u8 = 11;
const EVENT: u8 = 18;

/// How many records of each kind a tenant has. Closes the store.
async fn records(world: &mut World) -> BTreeMap<u8, i64> {
    world.shut().await;
    let folder = support::rows::database_folder(&world.home.as_ref().unwrap().path());
    let db = loop {
        match sled::Config::new().path(&folder).open() {
            Err(sled::Error::Io(_)) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let mut counts = BTreeMap::new();
    for key in db.open_tree([1; 16]).unwrap().iter().keys() {
        *counts.entry(key.unwrap()[0]).or_default() += 1;
    }
    counts
}

fn added(after: &BTreeMap<u8, i64>, before: &BTreeMap<u8, i64>) -> BTreeMap<u8, i64> {
    let change = |(kind, count): (&u8, &i64)| (*kind, count - before.get(kind).unwrap_or(&0));
    after.iter().map(change).filter(|(_, count)| *count != 0).collect()
}

#[tokio::test]
async fn a_message_is_two_records_when_accepted_and_three_when_applied() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    let message = |text: &str| known_by_id(wrote(identity("549"), None, text));
    let first = tenant.accept(channel_id(1), &[message("first")]).await.unwrap();
    let id = first.conversations[0];
    drop(tenant);
    let known = records(&mut world).await;

    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    tenant.accept(channel_id(1), &[message("second")]).await.unwrap();
    drop(tenant);
    let accepted = records(&mut world).await;
    assert_eq!(added(&accepted, &known), BTreeMap::from([(INBOX, 1), (PROVIDER_ID, 1)]));

    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    tenant.commit(handled(&*tenant, id).await).await.unwrap();
    drop(tenant);
    let applied = records(&mut world).await;
    assert_eq!(added(&applied, &known), BTreeMap::from([(MESSAGE, 2), (EVENT, 2), (PROVIDER_ID, 1)]));
    assert!(!applied.contains_key(&INBOX));
}

#[tokio::test]
async fn the_data_map_agrees_with_a_store_that_has_everything() {
    let world = support::furnish::furnished().await;
    let map = iassistance_storage::keeping::data_map();
    let unsaid: Vec<_> =
        map.iter().flat_map(|kind| &kind.fields).filter(|line| line.path.starts_with("UNSAID")).collect();
    assert!(unsaid.is_empty(), "{unsaid:?}");
    let scan = world.store.keeping().scan_map().await.unwrap();
    assert_eq!(scan.unknown, std::collections::BTreeSet::new(), "stored, and not in the map");
    assert_eq!(scan.unreadable, 0);
    assert!(scan.kinds.len() > 40, "{}", scan.kinds.len());
    for kind in scan.kinds.keys() {
        assert!(map.iter().any(|mapped| mapped.kind == *kind), "{kind}");
    }
}
