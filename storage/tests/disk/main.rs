//! The disk fails at every step of a store's work, in every way; it is full; and files that have become
//! too large are rewritten.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are not seen as tests")]

#[path = "faulty.rs"]
mod faulty;
#[path = "room.rs"]
mod room;
#[path = "size.rs"]
mod size;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faulty::{FAULTS, Fault, Faulty, NoWait};
use iassistance_domain::id::ConversationId;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::{SledStore, StorageError, Store, TenantStore};
use support::rows::{database_folder, files_of};
use support::*;

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    tenants: Vec<u8>,
    texts: Vec<(u8, String)>,
    messages: Vec<(u8, u64)>,
    rewrites: u64,
}

/// Opens a store and works with it, until something fails.
async fn work(world: &World, disk: &Arc<Faulty>, done: &mut Acknowledged) -> Result<(), StorageError> {
    let store = world.open_on(Arc::clone(disk) as _)?;
    let worked = work_on(&store, done).await;
    store.close().await;
    worked
}

async fn work_on(store: &SledStore, done: &mut Acknowledged) -> Result<(), StorageError> {
    store.put_meta_app(meta_app(1)).await?;
    for number in [1, 2] {
        store.create_tenant(tenant(number)).await?;
        done.tenants.push(number);
        store.put_channel(channel(number)).await?;
        let tenant = store.tenant(TenantCtx::platform(tenant_id(number))).await?;
        hear_of(&*tenant, number, 0, done).await?;
        if number == 1 {
            store.rewrite().await?;
            done.rewrites += 1;
        }
        say(&*tenant, number, 1, done).await?;
    }
    let tenant = store.tenant(TenantCtx::platform(tenant_id(1))).await?;
    // As large as goes into a file of its own.
    let raw = "x".repeat(700_000);
    tenant.accept(channel_id(1), &[kept(Some(identity("large")), &raw)]).await?;
    done.texts.push((1, format!("kept:{raw}")));
    store.rewrite().await?;
    done.rewrites += 1;
    say(&*tenant, 1, 2, done).await
}

async fn hear_of(
    tenant: &dyn TenantStore,
    number: u8,
    round: u64,
    done: &mut Acknowledged,
) -> Result<ConversationId, StorageError> {
    let text = format!("{number} {round}");
    let accepted = tenant.accept(channel_id(number), &[wrote(identity("549"), None, &text)]).await?;
    done.texts.push((number, text));
    Ok(accepted.conversations[0])
}

/// A message that goes out: in one write with its place in the outbox.
async fn say(
    tenant: &dyn TenantStore,
    number: u8,
    round: u64,
    done: &mut Acknowledged,
) -> Result<(), StorageError> {
    let id = hear_of(tenant, number, round, done).await?;
    let mut commit = step(tenant, id).await;
    commit.messages.push(outgoing(&commit.conversation, message_id(round), None));
    commit.outbox.push(entry(&commit.conversation, message_id(round), None));
    tenant.commit(commit).await?;
    done.messages.push((number, round));
    Ok(())
}

/// Opens what is left, and finds all that was acknowledged, and nothing half.
async fn verify(world: &World, done: &Acknowledged, what: &str) {
    let store =
        world.open_on(Arc::new(NoWait)).unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
    for number in &done.tenants {
        let there = store.tenant(TenantCtx::platform(tenant_id(*number))).await;
        assert!(there.is_ok(), "{what}: the tenant {number} is lost");
    }
    for known in store.tenants().await.unwrap() {
        let tenant = store.tenant(TenantCtx::platform(known.id)).await.unwrap();
        let number = known.id.to_bytes()[0];
        let (mut heard, mut said, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for conversation in tenant.conversations(None, 9).await.unwrap() {
            heard.extend(told(&tenant.inbox(conversation.id, 99).await.unwrap()));
            let messages = tenant.messages(conversation.id, None, 99).await.unwrap();
            said.extend(messages.into_iter().map(|message| message.id));
            let outbox = tenant.outbox(conversation.id).await.unwrap();
            waiting.extend(outbox.into_iter().map(|entry| entry.message));
        }
        said.sort();
        waiting.sort();
        assert_eq!(said, waiting, "{what}: half of a write");
        for (_, round) in done.messages.iter().filter(|(of, _)| *of == number) {
            assert!(said.contains(&message_id(*round)), "{what}: the message {number} {round} is lost");
        }
        for (_, text) in done.texts.iter().filter(|(of, _)| *of == number) {
            assert!(heard.contains(text), "{what}: {number} {text:.20} is lost");
        }
    }
    let (_, bad) = store.check(&|_, _| {}).await.unwrap();
    assert!(bad.is_empty(), "{what}: {bad:?}");
    // It goes on from there.
    if let Some(first) = done.tenants.first() {
        store.put_channel(channel(*first)).await.unwrap();
        let tenant = store.tenant(TenantCtx::platform(tenant_id(*first))).await.unwrap();
        let event = wrote(identity("550"), None, "afterwards");
        assert_eq!(tenant.accept(channel_id(*first), &[event]).await.unwrap().new, [true], "{what}");
    }
    store.close().await;
    let generations = fs::read_dir(world.home.as_ref().unwrap().path()).unwrap();
    let generations = generations.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(generations, 1, "{what}: what was not finished is gone");
}

/// Works on a disk that fails so, and verifies what is left. Whether it came to the fault.
async fn trial(prepare: impl Fn(&Path), fault: Option<(usize, Fault)>) -> (bool, usize, Acknowledged) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::sled_in(folder.path(), small_limits(), Arc::new(NoWait));
    world.shut().await;
    let store = world.home.as_ref().unwrap().path();
    fs::remove_dir_all(&store).unwrap();
    fs::create_dir(&store).unwrap();
    prepare(&store);
    let left = folder.path().join("left");
    let disk = Arc::new(Faulty::new(store.clone(), left.join("store"), fault));
    let mut done = Acknowledged::default();
    let worked = work(&world, &disk, &mut done).await;
    if left.exists() {
        world.home.as_mut().unwrap().folder = left;
    }
    verify(&world, &done, &format!("{fault:?}, after which {worked:?}")).await;
    (disk.failed(), disk.steps(), done)
}

#[tokio::test]
async fn whatever_step_fails_nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    let (_, steps, done) = trial(|_| {}, None).await;
    assert_eq!((done.tenants.len(), done.messages.len(), done.rewrites), (2, 3, 2), "it works at all");
    assert!(steps > 80, "{steps} steps");
    let mut faults = 0;
    for fault in FAULTS {
        for at in 0..steps {
            let (failed, ..) = trial(|_| {}, Some((at, fault))).await;
            faults += usize::from(failed);
        }
    }
    // A look at the files now and then makes a step more or less.
    assert!(faults > steps * FAULTS.len() * 9 / 10, "{faults} faults");
    println!("{{\"disk_steps\":{steps},\"faults\":{faults},\"lost\":0,\"half\":0}}");
}

/// Makes of a store one of format 1, as it was before there were generations.
fn as_format_1(store: &Path) {
    let database = database_folder(store);
    for name in fs::read_dir(&database).unwrap().map(|entry| entry.unwrap().file_name()) {
        fs::rename(database.join(&name), store.join(&name)).unwrap();
    }
    fs::remove_dir(database).unwrap();
    fs::remove_file(store.join("CURRENT")).unwrap();
    fs::write(store.join("FORMAT"), "1\n").unwrap();
}

#[tokio::test]
async fn a_store_of_the_first_format_is_moved_whatever_interrupts_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::sled_in(folder.path(), small_limits(), Arc::new(NoWait));
    let mut done = Acknowledged::default();
    let store = world.store.clone();
    store.put_meta_app(meta_app(1)).await.unwrap();
    store.create_tenant(tenant(1)).await.unwrap();
    done.tenants.push(1);
    store.put_channel(channel(1)).await.unwrap();
    hear_of(&*world.open_tenant(1).await, 1, 0, &mut done).await.unwrap();
    world.shut().await;
    let home = world.home.as_ref().unwrap().path();
    as_format_1(&home);
    let old = folder.path().join("old");
    faulty::copy(&home, &old);
    let (mut at, mut interrupted) = (0, 0);
    loop {
        let mut came = false;
        for fault in [Fault::Refused, Fault::DoneAndFailed, Fault::Kill] {
            fs::remove_dir_all(&home).unwrap();
            faulty::copy(&old, &home);
            let left: PathBuf = folder.path().join(format!("left-{at}-{fault:?}"));
            let disk = Arc::new(Faulty::new(home.clone(), left.join("store"), Some((at, fault))));
            let opened = world.open_on(Arc::clone(&disk) as _);
            if let Ok(opened) = opened {
                opened.close().await;
            }
            came |= disk.failed();
            interrupted += usize::from(disk.failed());
            if left.exists() {
                fs::remove_dir_all(&home).unwrap();
                faulty::copy(&left.join("store"), &home);
            }
            verify(&world, &done, &format!("{fault:?} at {at}")).await;
            assert!(!home.join("db").exists() && database_folder(&home).join("db").exists());
        }
        if !came {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "{at} steps");
    println!("{{\"migration_steps\":{at},\"interrupted\":{interrupted},\"lost\":0}}");
}

#[tokio::test]
async fn after_a_disk_failed_everything_is_written_anew_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::sled_in(folder.path(), small_limits(), Arc::new(NoWait));
    let mut done = Acknowledged::default();
    let home = world.home.as_ref().unwrap().path();
    world.store.put_meta_app(meta_app(1)).await.unwrap();
    world.store.create_tenant(tenant(1)).await.unwrap();
    done.tenants.push(1);
    world.store.put_channel(channel(1)).await.unwrap();
    hear_of(&*world.open_tenant(1).await, 1, 0, &mut done).await.unwrap();
    world.shut().await;
    // The next sync of the database fails; it is the one after the first batch.
    let counting = Arc::new(Faulty::new(home.clone(), folder.path().join("no"), None));
    let opened = world.open_on(Arc::clone(&counting) as _).unwrap();
    let fault = Some((counting.steps() + 2, Fault::DoneAndFailed));
    opened.close().await;
    let disk = Arc::new(Faulty::new(home.clone(), folder.path().join("no"), fault));
    let store = world.open_on(Arc::clone(&disk) as _).unwrap();
    let tenant = store.tenant(TenantCtx::platform(tenant_id(1))).await.unwrap();
    let lost = hear_of(&*tenant, 1, 1, &mut done).await;
    assert!(matches!(lost, Err(StorageError::Disk { doing: "syncing", .. })), "{lost:?}");
    assert!(home.join("UNSYNCED").exists(), "it is noted");
    drop(tenant);
    store.close().await;
    verify(&world, &done, "after a failed sync").await;
    assert!(!home.join("UNSYNCED").exists());
    let files = files_of(&home);
    assert!(files.iter().any(|file| file.starts_with(home.join("gen-2"))), "{files:?}");
}
