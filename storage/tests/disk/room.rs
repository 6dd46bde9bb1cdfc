//! A disk that is nearly full, and one that is full.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::sled::disk::{Disk, Step, SystemDisk, probe};
use iassistance_storage::{Limits, StorageError, Store};

use crate::support::*;

const MIB: u64 = 1_024 * 1_024;

struct Shrinking(AtomicU64);

impl Disk for Shrinking {
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_nothing_new_and_works_off_what_it_has() {
    let disk = Arc::new(Shrinking(AtomicU64::new(300 * MIB)));
    let limits = Limits { free_bytes_min: 256 * MIB, ..small_limits() };
    let world = World::sled_with(limits, Arc::clone(&disk) as _);
    let tenant = world.tenant(1).await;
    let say = |text: &'static str| {
        let tenant = Arc::clone(&tenant);
        async move { tenant.accept(channel_id(1), &[wrote(identity("549"), None, text)]).await }
    };
    let id = say("before").await.unwrap().conversations[0];
    disk.0.store(200 * MIB, Ordering::SeqCst);
    assert!(say("within the second").await.is_ok(), "it looks once a second");
    world.clock.advance_millis(1_000);
    let refused = say("refused").await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    assert!(refused.to_string().contains("200 MiB left and 256 MiB must be free"), "{refused}");
    assert!(matches!(world.store.health(), Err(StorageError::NoRoom { .. })), "and says so");
    assert!(matches!(world.store.create_tenant(super::tenant(2)).await, Err(StorageError::NoRoom { .. })));
    // What was taken in goes on, while there is any room.
    tenant.commit(handled(&*tenant, id).await).await.unwrap();
    disk.0.store(15 * MIB, Ordering::SeqCst);
    world.clock.advance_millis(1_000);
    let refused = tenant.commit(step(&*tenant, id).await).await.unwrap_err();
    assert!(matches!(refused, StorageError::NoRoom { .. }), "{refused}");
    disk.0.store(300 * MIB, Ordering::SeqCst);
    world.clock.advance_millis(1_000);
    assert!(world.store.health().is_ok(), "it goes on by itself");
    say("afterwards").await.unwrap();
    assert_eq!(told(&tenant.inbox(id, 9).await.unwrap()), ["afterwards"]);
}

/// A disk without any room for what the database writes out.
struct Full(AtomicU64);

impl Disk for Full {
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let is_full = self.0.load(Ordering::SeqCst) > 0;
        let needs_room = matches!(step, Step::Flush | Step::Write(_) | Step::CreateDir(_));
        if is_full && needs_room { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { work() }
    }
}

#[tokio::test]
async fn a_full_disk_is_told_by_a_probe_and_loses_nothing() {
    let disk = Arc::new(Full(AtomicU64::new(0)));
    let mut world = World::sled_with(small_limits(), Arc::clone(&disk) as _);
    let tenant = world.tenant(1).await;
    let hear = |text: &'static str| {
        let tenant = Arc::clone(&tenant);
        async move { tenant.accept(channel_id(1), &[wrote(identity("549"), None, text)]).await }
    };
    let id = hear("kept").await.unwrap().conversations[0];
    disk.0.store(1, Ordering::SeqCst);
    assert!(matches!(hear("refused").await, Err(StorageError::Disk { .. })));
    disk.0.store(0, Ordering::SeqCst);
    assert!(hear("not before it was opened anew").await.is_err());
    let folder = world.home.as_ref().unwrap().path();
    disk.0.store(1, Ordering::SeqCst);
    assert_eq!(probe(&folder, &*disk).unwrap_err().kind(), io::ErrorKind::StorageFull);
    disk.0.store(0, Ordering::SeqCst);
    probe(&folder, &*disk).unwrap();
    drop(tenant);
    world.shut().await;
    let store = world.open_suspect().unwrap();
    let tenant = store.tenant(TenantCtx::platform(tenant_id(1))).await.unwrap();
    assert_eq!(told(&tenant.inbox(id, 9).await.unwrap())[0], "kept");
    tenant.accept(channel_id(1), &[wrote(identity("549"), None, "goes on")]).await.unwrap();
}

/// A small volume of its own, if this process may have one.
struct Volume(tempfile::TempDir);

impl Volume {
    fn mount(mib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={mib}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(folder))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: what is still open in it goes later.
        let _unmounted = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test]
async fn a_volume_that_is_really_full_loses_nothing_and_goes_on_when_there_is_room() {
    let Some(volume) = Volume::mount(32) else {
        println!("skipped: this process may not mount a volume of its own");
        return;
    };
    let ballast = volume.0.path().join("ballast");
    fs::write(&ballast, vec![0; 20 * 1_024 * 1_024]).unwrap();
    let limits = Limits { free_bytes_min: 0, inbox_entries_max: 100_000, ..small_limits() };
    let mut world = World::sled_in(volume.0.path(), limits.clone(), Arc::new(SystemDisk));
    let tenant = world.tenant(1).await;
    let body = "y".repeat(60_000);
    let mut acknowledged = Vec::new();
    let why = loop {
        let text = format!("{} {body}", acknowledged.len());
        match tenant.accept(channel_id(1), &[wrote(identity("549"), None, &text)]).await {
            Ok(_) => acknowledged.push(text),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1_000, "it is never full");
    };
    assert!(matches!(why, StorageError::Disk { .. }), "{why}");
    assert!(world.store.health().is_err(), "it still takes what is new after: {why}");
    drop(tenant);
    world.store.close().await;
    let home = world.home.as_ref().unwrap().path();
    assert!(probe(&home, &SystemDisk).is_err(), "there is still no room");
    fs::remove_file(ballast).unwrap();
    probe(&home, &SystemDisk).unwrap();
    let store = world.open_suspect().unwrap();
    let tenant = store.tenant(TenantCtx::platform(tenant_id(1))).await.unwrap();
    for text in &acknowledged {
        let again = tenant.accept(channel_id(1), &[wrote(identity("549"), None, text)]).await.unwrap();
        assert_eq!(again.new, [false], "it was acknowledged");
    }
    let id = tenant.conversations(None, 1).await.unwrap()[0].id;
    let heard = told(&tenant.inbox(id, 10_000).await.unwrap());
    assert!(heard.starts_with(&acknowledged), "{} of {}", heard.len(), acknowledged.len());
    println!("{{\"really_full\":true,\"acknowledged\":{},\"lost\":0}}", acknowledged.len());
    drop(tenant);
    store.close().await;
    world.shut().await;
}
