//! Whoever makes a backup may be killed at any step: the last whole one counts.

use std::path::Path;
use std::sync::atomic::Ordering;

use iassistance_storage::backup::{BackupKind, Which};

use crate::place::Killed;
use crate::setup::*;
use crate::support::*;

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, is_folder) =
            entry.map(|entry| (entry.path(), entry.file_type().unwrap().is_dir())).unwrap();
        let target = to.join(entry.file_name().unwrap());
        if is_folder {
            copy_tree(&entry, &target);
        } else {
            std::fs::copy(&entry, &target).unwrap();
        }
    }
}

#[tokio::test]
async fn killed_at_any_step_the_last_whole_one_stays() {
    let mut room = Room::new().await;
    let tenant = room.world.tenant(1).await;
    room.keep_file(1, 1, b"a file").await;
    room.make(&room.backups()).await;
    let first = room.folder.path().join("first");
    copy_tree(&room.place_folder(), &first);
    let mut steps = 0;
    loop {
        // Another life of the process, on what was there at first, which is killed after so many steps.
        std::fs::remove_dir_all(room.place_folder()).unwrap();
        copy_tree(&first, &room.place_folder());
        let (place, _) = Killed::after(&room.place_folder(), steps);
        hear(&*tenant, 1, "5491100000001", &format!("life {steps}")).await;
        room.world.clock.advance_millis(1_000);
        let before = room.backups().list().await.unwrap().0;
        let made = room.backups_at(place).make().await;
        let (after, unreadable) = room.backups().list().await.unwrap();
        assert!(unreadable.is_empty(), "after {steps} steps");
        let newest = room.chain(Which::Latest).await;
        room.source().verify(&newest, Some(&room.identity), &|_, _| {}).await.unwrap();
        if made.is_ok() {
            assert_ne!(after[0].id, before[0].id);
            break;
        }
        // It may have been put and not heard of; then it is whole all the same.
        assert!(after.iter().any(|manifest| manifest.id == before[0].id), "after {steps} steps");
        steps += 1;
    }
    assert!(steps > 8, "{steps}");
    drop(tenant);
    let now = room.rows().await;
    assert_same(&room.restored(Which::Latest, 1).await, &now);
}

/// The place fails and comes back, in one life: what changed is in the next one.
#[tokio::test]
async fn an_increment_that_fails_loses_no_change() {
    let mut room = Room::new().await;
    let tenant = room.world.tenant(1).await;
    let (place, left) = Killed::after(&room.place_folder(), i64::MAX);
    let backups = room.backups_at(place);
    let base = room.make(&backups).await;
    let mut failed = 0;
    for steps in 0..12 {
        hear(&*tenant, 1, "5491100000001", &format!("try {steps}")).await;
        left.store(steps, Ordering::SeqCst);
        room.world.clock.advance_millis(1_000);
        let made = backups.make().await;
        failed += u32::from(made.is_err());
        assert_eq!(backups.failure().is_some(), made.is_err());
        left.store(i64::MAX, Ordering::SeqCst);
        if steps % 3 == 2 {
            let made = room.make(&backups).await;
            assert_eq!((made.kind, made.base), (BackupKind::Increment, base.id));
        }
    }
    assert!(failed >= 5, "{failed}");
    room.make(&backups).await;
    drop((tenant, backups));
    let now = room.rows().await;
    assert_same(&room.restored(Which::Latest, 1).await, &now);
}

/// A restore that was cut short leaves nothing that looks like a store, and is simply begun again.
#[tokio::test]
async fn a_restore_that_was_killed_is_begun_again() {
    let mut room = Room::new().await;
    let tenant = room.world.tenant(1).await;
    hear(&*tenant, 1, "5491100000001", "words").await;
    room.make(&room.backups()).await;
    drop(tenant);
    for steps in 0..20 {
        let source = iassistance_storage::backup::Source::new(Killed::after(&room.place_folder(), steps).0);
        let target = room.target(1);
        let done = match source.chain(Which::Latest, None).await {
            Ok(chain) => source.restore(&chain, &room.identity, &target, None, &|_| {}).await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(target.store.exists(), done);
        if done {
            let now = room.rows().await;
            assert_same(&rows_in(&target.store), &now);
            return;
        }
    }
    panic!("it never came to its end");
}
