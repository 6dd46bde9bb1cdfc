//! Backups of a store on disk, and restoring them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

#[path = "../content/bucket.rs"]
#[allow(dead_code, missing_docs, reason = "another test uses the rest of it")]
mod bucket;
mod damage;
mod kills;
mod place;
mod setup;
#[path = "../support/mod.rs"]
mod support;
mod tenant;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use iassistance_config::Secret;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::backup::{BackupError, BackupKind, Place, Source, Which};
use iassistance_storage::{Limits, Store};

use bucket::egress;
use setup::*;
use support::*;

#[tokio::test]
async fn a_base_and_what_follows_give_the_store_of_each_moment() {
    let mut room = Room::new().await;
    let one = room.world.tenant(1).await;
    room.world.store.put_meta_app(meta_app(1)).await.unwrap();
    let conversation = hear(&*one, 1, "5491100000001", "first").await;
    room.keep_file(1, 1, b"a file").await;
    let backups = room.backups();
    let base = room.make(&backups).await;
    assert_eq!((base.kind, base.base, base.previous.is_none()), (BackupKind::Base, base.id, true));
    drop(one);
    // What it holds is compared below: reading the store needs it closed.
    let two = room.world.tenant(2).await;
    let one = room.world.open_tenant(1).await;
    one.commit(handled(&*one, conversation).await).await.unwrap();
    room.world.store.remove_channel(TenantCtx::platform(tenant_id(1)), channel_id(1)).await.unwrap();
    room.keep_file(2, 2, b"another").await;
    let second = room.make(&backups).await;
    assert_eq!(second.kind, BackupKind::Increment);
    assert_eq!(second.previous.as_ref().unwrap().id, base.id);
    assert!(second.records() < base.records() * 2, "what changed, not everything");
    hear(&*two, 2, "5491100000002", "in the third").await;
    let third = room.make(&backups).await;
    let nothing = room.make(&backups).await;
    assert_eq!((nothing.kind, nothing.records()), (BackupKind::Increment, 0), "nothing changed");
    drop((one, two, backups));
    let now = room.rows().await;

    assert_same(&room.restored(Which::Latest, 1).await, &now);
    assert_same(&room.restored(Which::Id(third.id), 2).await, &now);
    let then = room.restored(Which::At(second.at), 3).await;
    assert!(of_tenant(&then, tenant_id(2)).len() < of_tenant(&now, tenant_id(2)).len());
    assert_same(&of_tenant(&then, tenant_id(1)), &of_tenant(&now, tenant_id(1)));
    let first = room.restored(Which::Id(base.id), 4).await;
    assert!(of_tenant(&first, tenant_id(2)).is_empty());
    assert_ne!(of_tenant(&first, tenant_id(1)), of_tenant(&now, tenant_id(1)));
    for (number, tenants) in [(1, 2), (3, 2), (4, 1)] {
        let store = room.open_restored(number);
        assert_eq!(store.tenants().await.unwrap().len(), tenants);
        let (records, damaged) = store.check(&|_, _| {}).await.unwrap();
        assert!(records > 0 && damaged.is_empty(), "{damaged:?}");
        let files =
            content(&room.target(number).media.unwrap(), &(Arc::new(store.clone()) as Arc<dyn Store>));
        let file = files.get(tenant_id(1), iassistance_domain::id::MediaId::from_bytes([1; 16])).await;
        assert_eq!(file.unwrap().unwrap().read().await.unwrap(), b"a file");
        store.close().await;
    }
    let again = room.restore(Which::Latest, 1).await.unwrap_err();
    assert!(matches!(again, BackupError::Exists { .. }), "{again}");
}

/// Clients write to two tenants, one after the other, while backups are made: whatever moment one shows,
/// the second tenant has all of what the first has but for what was on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_the_state_of_one_moment() {
    const CLIENTS: u8 = 4;
    // A slow machine restores less often; this keeps it short.
    const WRITES_MAX: u64 = 2_000;
    let mut room =
        Room::with(Limits { inbox_entries_max: 1_000_000, letters_max: 1_000_000, ..small_limits() }).await;
    let tenants = [room.world.tenant(1).await, room.world.tenant(2).await];
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let (stop, all, tenants) = (Arc::clone(&stop), Arc::clone(&written), tenants.clone());
        clients.spawn(async move {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) && written < WRITES_MAX {
                for (number, tenant) in (1..).zip(&tenants) {
                    hear(&**tenant, number, &format!("549110000000{client}"), &format!("{client}-{written}"))
                        .await;
                }
                written += 1;
                all.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let backups = room.backups();
    let mut made = Vec::new();
    for number in 1..=12 {
        made.push(room.make(&backups).await);
        // However busy the machine is, something was written between any two.
        while written.load(Ordering::Relaxed) < number {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await;
    drop(tenants);
    let last = room.make(&backups).await;
    for (number, manifest) in (1..).zip(&made) {
        room.restore(Which::Id(manifest.id), number).await.unwrap();
        let store = room.open_restored(number);
        let (_, damaged) = store.check(&|_, _| {}).await.unwrap();
        assert_eq!(damaged, Vec::<String>::new());
        let mut counts = Vec::new();
        for tenant in [1, 2] {
            let tenant = store.tenant(TenantCtx::platform(tenant_id(tenant))).await.unwrap();
            let mut letters = 0;
            for conversation in tenant.unfinished(None, 100).await.unwrap() {
                letters += tenant.inbox(conversation, 1_000_000).await.unwrap().len();
            }
            counts.push(letters);
        }
        assert!(counts[1] <= counts[0] && counts[0] - counts[1] <= CLIENTS.into(), "{number}: {counts:?}");
        store.close().await;
    }
    drop(backups);
    let now = room.rows().await;
    assert_same(&room.restored(Which::Id(last.id), 20).await, &now);
}

#[tokio::test]
async fn what_cannot_be_kept_in_mind_makes_a_base() {
    let mut room = Room::new().await;
    room.settings.changed_bytes_max = 4_000;
    let tenant = room.world.tenant(1).await;
    let backups = room.backups();
    room.make(&backups).await;
    hear(&*tenant, 1, "5491100000001", "little").await;
    assert_eq!(room.make(&backups).await.kind, BackupKind::Increment);
    for number in 0..20 {
        hear(&*tenant, 1, &format!("54911000001{number}"), &format!("much {number}")).await;
    }
    assert_eq!(room.make(&backups).await.kind, BackupKind::Base);
    tenant.append(None, vec![EventKind::ContactOptedOut]).await.unwrap();
    assert_eq!(room.make(&backups).await.kind, BackupKind::Increment);
    room.world.clock.advance_millis(25 * 60 * 60 * 1_000);
    assert_eq!(room.make(&backups).await.kind, BackupKind::Base, "a day has passed");
    let restarted = room.backups();
    assert_eq!(room.make(&restarted).await.kind, BackupKind::Base, "another process knows of no change");
    assert!(tenant.events(EventSeq(0), 10).await.unwrap().len() > 1);
    drop((tenant, backups, restarted));
    let now = room.rows().await;
    assert_same(&room.restored(Which::Latest, 1).await, &now);
}

#[tokio::test]
async fn only_so_many_bases_are_kept_with_what_follows_them() {
    let mut room = Room::new().await;
    let tenant = room.world.tenant(1).await;
    room.settings.keep = 2;
    room.keep_file(1, 1, b"kept").await;
    room.keep_file(1, 2, b"removed later").await;
    let mut bases = Vec::new();
    for round in 0..4 {
        // Each as another process, which begins with a base.
        let backups = room.backups();
        bases.push(room.make(&backups).await);
        hear(&*tenant, 1, "5491100000001", &format!("round {round}")).await;
        room.make(&backups).await;
        if round == 0 {
            let removed = iassistance_domain::id::MediaId::from_bytes([2; 16]);
            assert!(room.content.delete(tenant_id(1), removed).await.unwrap());
        }
    }
    let (all, unreadable) = room.backups().list().await.unwrap();
    assert_eq!((all.len(), unreadable.len()), (4, 0), "two bases and what follows them");
    assert!(all.iter().all(|manifest| manifest.base == bases[2].id || manifest.base == bases[3].id));
    let files = |folder: &str| std::fs::read_dir(room.place_folder().join(folder)).unwrap().count();
    assert_eq!(files("media"), 1, "what only former ones had is gone");
    let named: usize = all.iter().map(|one| one.chunks.len() + usize::from(one.media.is_some())).sum();
    assert_eq!(files("chunks"), named);
    assert_eq!(bases[1].media_bytes, 0, "a file of a message is copied once");
    drop(tenant);
    let now = room.rows().await;
    assert_same(&room.restored(Which::Latest, 1).await, &now);
}

#[tokio::test]
async fn a_bucket_holds_backups_too() {
    let mut room = Room::new().await;
    let tenant = room.world.tenant(1).await;
    hear(&*tenant, 1, "5491100000001", "words").await;
    room.keep_file(1, 1, b"a file").await;
    drop(tenant);
    let server = bucket::Bucket::start().await;
    room.settings.s3_endpoint = server.address();
    room.settings.s3_access_key_id = "key".to_owned();
    let open = |room: &Room| Place::open("s3://files/of/this", &room.settings, &egress());
    let refused = open(&room).err().unwrap().to_string();
    assert_eq!(refused, "`backup.s3_secret_access_key` is needed when there is a bucket");
    room.settings.s3_secret_access_key = Secret::new("secret");
    let place = open(&room).unwrap();
    let backups = room.backups_at(place.clone());
    room.make(&backups).await;
    room.make(&backups).await;
    assert_eq!(backups.list().await.unwrap().0.len(), 2);
    let source = Source::new(place);
    let chain = source.chain(Which::Latest, None).await.unwrap();
    let verified = source.verify(&chain, Some(&room.identity), &|_, _| {}).await.unwrap();
    assert_eq!((verified.backups, verified.files), (2, 3), "records, a list and a file");
    drop(backups);
    let now = room.rows().await;
    source.restore(&chain, &room.identity, &room.target(1), None, &|_| {}).await.unwrap();
    assert_same(&rows_in(&room.target(1).store), &now);
    assert!(
        server.seen().iter().all(|line| line.contains("of/this") || line.contains("of%2Fthis")),
        "{:?}",
        server.seen()
    );
}
