#![allow(clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::print_stdout)]
mod support;
use support::*;
use std::sync::Arc;
use std::time::Instant;
use iassistance_storage::*;
use iassistance_storage::sled::disk::Disk;
use iassistance_domain::event::EventKind;
struct NoDisk;
impl Disk for NoDisk {
    fn sync_data(&self, _: &std::fs::File) -> std::io::Result<()> { Ok(()) }
    fn sync_dir(&self, _: &std::path::Path) -> std::io::Result<()> { Ok(()) }
}
#[tokio::test]
async fn perf() {
    for (name, disk) in [("nosync", Arc::new(NoDisk) as Arc<dyn Disk>), ("sync", Arc::new(iassistance_storage::sled::disk::SystemDisk))] {
        let limits = Limits { inbox_entries_max: 10_000_000, ..Limits::default() };
        let world = World::sled_with(limits, disk);
        let tenant = world.tenant(1).await;
        for n in 0..1000 { hear(&*tenant, 1, &format!("54911{n}"), &format!("first {n}")).await; }
        let n = 5000u32;
        let t = Instant::now();
        for i in 0..n { hear(&*tenant, 1, &format!("54911{}", i % 1000), &format!("m {i}")).await; }
        println!("{name}: serial accept {:?}", t.elapsed() / n);
        for batch in [64u32, 512] {
        let t = Instant::now();
        let rounds = 5120 / batch;
        for r in 0..rounds {
            let all = (0..batch).map(|i| { let tenant = tenant.clone(); async move {
                tenant.accept(channel_id(1), &[wrote(identity(&format!("54911{i}")), Some("Ada"), &format!("c {batch} {r} {i}"))]).await.unwrap(); }});
            futures::future::join_all(all).await;
        }
        println!("{name}: {batch} concurrent accept {:?} each", t.elapsed() / (rounds * batch));
        }
        let ids: Vec<_> = tenant.unfinished(None, 1000).await.unwrap();
        let t = Instant::now();
        for (i, id) in ids.iter().enumerate() {
            let mut c = step(&*tenant, *id).await;
            let letters = tenant.inbox(*id, 10).await.unwrap();
            c.acknowledge = letters.iter().map(|l| l.seq).collect();
            for k in 0..3 { let m = outgoing(&c.conversation, message_id((i * 10 + k) as u64), None); c.events.push(EventKind::MessageQueued { message: m.clone() }); c.messages.push(m); }
            c.outbox.push(entry(&c.conversation, message_id((i * 10) as u64), None));
            tenant.commit(c).await.unwrap();
        }
        println!("{name}: load+inbox+commit {:?}", t.elapsed() / ids.len() as u32);
        let t = Instant::now();
        for id in &ids { tenant.begin_dispatch(*id).await.unwrap(); }
        println!("{name}: begin_dispatch {:?}", t.elapsed() / ids.len() as u32);
        let t = Instant::now();
        for id in &ids { tenant.messages(*id, None, 20).await.unwrap(); }
        println!("{name}: messages {:?}", t.elapsed() / ids.len() as u32);
        let size: u64 = std::fs::metadata(world.home.as_ref().unwrap().path().join("db")).unwrap().len();
        println!("{name}: db {} MiB", size >> 20);
    }
}
