//! What only a store on disk must do.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use iassistance_domain::channel::{Channel, ChannelHealth};
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::{Event, EventKind, EventSeq};
use iassistance_domain::inbound::InboundKind;
use iassistance_domain::message::Content;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{ManualClock, SeededEntropy};
use iassistance_storage::sled::disk::{Disk, Step};
use iassistance_storage::{Dispatch, Limits, OpenProblem, SledOptions, SledStore, StorageError};
use iassistance_vault::{Keyring, RootKey};
use support::rows::*;
use support::*;

/// A disk whose syncs fail, wait or pass, as a test says.
#[derive(Default)]
struct Trial {
    fails: AtomicBool,
    syncs: AtomicUsize,
    folders: AtomicUsize,
    held: Mutex<bool>,
    released: Condvar,
}

impl Trial {
    fn hold(&self) {
        *self.held.lock().unwrap() = true;
    }

    fn release(&self) {
        *self.held.lock().unwrap() = false;
        self.released.notify_all();
    }
}

impl Disk for Trial {
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        match step {
            Step::SyncData(_) => {
                self.syncs.fetch_add(1, Ordering::SeqCst);
                let held = self.held.lock().unwrap();
                drop(self.released.wait_while(held, |held| *held).unwrap());
                if self.fails.load(Ordering::SeqCst) {
                    return Err(io::Error::other("input/output error"));
                }
            }
            Step::SyncDir(_) => {
                self.folders.fetch_add(1, Ordering::SeqCst);
            }
            _ => return work(),
        }
        Ok(())
    }
}

fn on(disk: &Arc<Trial>) -> World {
    World::sled_with(small_limits(), Arc::clone(disk) as _)
}

#[tokio::test]
async fn nothing_personal_or_secret_is_readable_in_the_files() {
    let world = World::sled();
    let tenant = world.tenant(1).await;
    world.store.put_meta_app(meta_app(1)).await.unwrap();
    let event = wrote(both("5491155554444", "user-secret-id"), Some("Ada Lovelace"), "my-private-words");
    let id = tenant.accept(channel_id(1), &[event]).await.unwrap().conversations[0];
    let early = status("wamid.HBgNNTQ5MTE1NTU1", None, DeliveryStatus::Sent);
    tenant.accept(channel_id(1), &[early, kept(None, "raw-account-news")]).await.unwrap();
    world.store.keep_unrouted(Some(address(9)), kept(None, "raw-unrouted-news")).await.unwrap();
    let mut commit = step(&*tenant, id).await;
    commit.messages.push(outgoing(&commit.conversation, message_id(1), Some("wamid.OURS")));
    commit.outbox.push(entry(&commit.conversation, message_id(1), None));
    tenant.commit(commit).await.unwrap();
    world.store.close().await;
    let secrets = [
        "5491155554444",
        "user-secret-id",
        "Ada Lovelace",
        "my-private-words",
        "wamid.",
        "raw-account",
        "raw-unrouted",
        "an answer",
        "5491100000000",
        "EAA-access-token",
        "app-secret-text",
        "verify-token-text",
        "tenant 1",
        "100001",
        "message my",
    ];
    let files = files_of(&world.home.as_ref().unwrap().path());
    assert!(
        files.iter().any(|file| fs::metadata(file).unwrap().len() > 1_000),
        "there is something to look at"
    );
    for file in files {
        let bytes = fs::read(&file).unwrap();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is readable in {}", file.display());
        }
    }
}

#[tokio::test]
async fn what_a_kill_leaves_behind_does_not_keep_it_from_opening() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    drop(tenant);
    let folder = database_folder(&world.home.as_ref().unwrap().path());
    fs::write(folder.join("snap.00000000000FFFFF.generating"), "half a snapsh").unwrap();
    world.reopen().await;
    let left = files_of(&folder);
    assert!(!left.iter().any(|path| path.extension().is_some_and(|extension| extension == "generating")));
    assert_eq!(told(&world.open_tenant(1).await.inbox(id, 9).await.unwrap()), ["hello"]);

    world.shut().await;
    fs::write(folder.join("snap.7FFFFFFFFFFFFFFF"), "a snapshot that is no snapshot at all").unwrap();
    world.reopen().await;
    assert_eq!(told(&world.open_tenant(1).await.inbox(id, 9).await.unwrap()), ["hello"]);
}

#[tokio::test]
async fn a_damaged_record_is_reported_and_stops_nothing_else() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    hear(&*tenant, 1, "549", "second").await;
    queue(&*tenant, id, &[message_id(1)], None).await;
    drop(tenant);
    for kind in [2, 3, 7, 8, 9, 11, 18] {
        damage(&mut world, &[1; 16], kind, |value| flip_last(value)).await;
        world.reopen().await;
    }
    let (_, bad) = unopened(&*world.store).await;
    let kinds: Vec<_> = bad.iter().map(|line| line.split('`').nth(1).unwrap()).collect();
    let provider_id = "provider_id";
    let expected =
        ["contact", "address", "inbox", "inbox", "outbox", "message", provider_id, provider_id, "event"];
    assert_eq!(kinds, expected);
    assert!(bad.iter().all(|line| line.starts_with("ten_")));
    let tenant = world.open_tenant(1).await;
    let damaged = tenant.message(id, message_id(1)).await.err();
    assert!(matches!(damaged, Some(StorageError::Damaged { kind: "message" })));
    assert!(tenant.messages(id, None, 9).await.unwrap().is_empty());
    assert!(tenant.inbox(id, 9).await.unwrap().is_empty());
    assert!(
        tenant.begin_dispatch(id).await.unwrap() == Dispatch::Empty,
        "what cannot be sent holds nothing up"
    );
    // Who cannot be recognised any more is a new contact; nobody's event is refused for it.
    let anew = hear(&*tenant, 1, "549", "third").await;
    assert_eq!(told(&tenant.inbox(anew, 9).await.unwrap()), ["third"]);
    let log = tenant.events(EventSeq(0), 99).await.unwrap();
    assert!(log.iter().map(|event| event.seq.0).eq(1..=log.len() as u64), "without a gap");
    assert!(log[0].kind == EventKind::EventUnreadable);
    // What is set aside is told of by the way, before it or after it.
    let opened = |event: &&Event| matches!(event.kind, EventKind::ConversationOpened { .. });
    assert_eq!(log.iter().filter(opened).count(), 1);
}

#[tokio::test]
async fn nothing_of_what_was_taken_back_is_in_any_record() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    let says = |id: &str| {
        let mut event = wrote(identity("549"), None, id);
        if let InboundKind::MessageReceived { content, .. } = &mut event.kind {
            *content = Content::text(format!("words of {id}"));
        }
        event
    };
    let id = tenant.accept(channel_id(1), &[says("1"), says("2")]).await.unwrap().conversations[0];
    tenant.commit(handled(&*tenant, id).await).await.unwrap();
    let words = [
        edited("wamid.1", 1, "words edited"),
        says("3"),
        edited("wamid.3", 1, "words edited"),
        edited("wamid.4", 1, "words parked"),
    ];
    tenant.accept(channel_id(1), &words).await.unwrap();
    let decided_before = handled(&*tenant, id).await;
    drop(tenant);
    let with_words = |records: Vec<Vec<u8>>| {
        let said = |record: &&Vec<u8>| record.windows(6).any(|six| six == b"words ");
        records.iter().filter(said).count()
    };
    let records = plaintexts(&mut world, 1).await;
    assert_eq!(with_words(records), 6, "two messages, three letters, and what is parked");

    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    let removals = [1, 2, 3, 4].map(|number| removed(&format!("wamid.{number}"), 1));
    tenant.accept(channel_id(1), &removals).await.unwrap();
    tenant.commit(decided_before).await.unwrap();
    tenant.commit(handled(&*tenant, id).await).await.unwrap();
    let late = [
        says("4"),
        edited("wamid.4", 2, "words late"),
        edited("wamid.1", 2, "words late"),
        edited("wamid.3", 2, "words late"),
    ];
    tenant.accept(channel_id(1), &late).await.unwrap();
    let unread = told(&tenant.inbox(id, 99).await.unwrap());
    assert_eq!(unread, ["removed"]);
    tenant.commit(handled(&*tenant, id).await).await.unwrap();
    let messages = tenant.messages(id, None, 99).await.unwrap();
    assert!(messages.len() == 4 && messages.iter().all(|message| message.content == Content::Removed));
    for mut event in tenant.events(EventSeq(0), 99).await.unwrap() {
        assert!(event.kind.message_mut().is_none_or(|message| message.content == Content::Removed));
    }
    let (_, bad) = unopened(&*world.store).await;
    assert!(bad.is_empty(), "{bad:?}");
    drop(tenant);
    assert_eq!(with_words(plaintexts(&mut world, 1).await), 0);
}

#[tokio::test]
async fn a_channel_that_does_not_open_can_be_removed() {
    let mut world = World::sled();
    drop((world.tenant(1).await, world.tenant(2).await));
    damage(&mut world, b"platform", 66, |value| flip_last(value)).await;
    world.reopen().await;
    assert!(world.store.routes(&address(1)).is_empty(), "it is not connected");
    let other = Channel { id: channel_id(7), ..channel(1) };
    let taken = world.store.put_channel(other.clone()).await;
    assert!(matches!(taken, Err(StorageError::Conflict("channel address"))));
    let tenant = TenantCtx::platform(tenant_id(1));
    let health = ChannelHealth::connecting(START);
    let damaged = world.store.set_channel_health(tenant, channel_id(1), health).await;
    assert!(matches!(damaged, Err(StorageError::Damaged { kind: "channel" })));
    assert!(world.store.remove_channel(tenant, channel_id(1)).await.unwrap());
    world.store.put_channel(other).await.unwrap();
    assert_eq!(world.store.routes(&address(1))[0].channel, channel_id(7));
}

#[tokio::test]
async fn a_contact_whose_key_is_gone_becomes_a_new_one() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut commit = step(&*tenant, id).await;
    commit.messages.push(outgoing(&commit.conversation, message_id(1), Some("wamid.one")));
    tenant.commit(commit).await.unwrap();
    drop(tenant);
    assert_eq!(damage(&mut world, &[1; 16], 1, |value| flip_last(value)).await, 1);
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    let events = [
        status("wamid.one", Some(message_id(1)), DeliveryStatus::Sent),
        wrote(identity("549"), None, "again"),
        wrote(identity("550"), None, "somebody else"),
    ];
    let accepted = tenant.accept(channel_id(1), &events).await.unwrap();
    assert_eq!(accepted.new, [true; 3]);
    assert!(accepted.conversations.len() == 2 && !accepted.conversations.contains(&id));
}

#[tokio::test]
async fn a_record_opens_only_at_its_own_key() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    queue(&*tenant, id, &[message_id(1), message_id(2)], None).await;
    drop(tenant);
    let first = Mutex::new(None);
    damage(&mut world, &[1; 16], 9, |value| {
        let mut first = first.lock().unwrap();
        value.clone_from(first.get_or_insert_with(|| value.clone()));
    })
    .await;
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    assert!(tenant.message(id, message_id(1)).await.unwrap().is_some());
    let moved = tenant.message(id, message_id(2)).await.err();
    assert!(matches!(moved, Some(StorageError::Damaged { kind: "message" })));
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged() {
    let disk = Arc::new(Trial::default());
    let world = on(&disk);
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    disk.fails.store(true, Ordering::SeqCst);
    let lost = tenant.accept(channel_id(1), &[wrote(identity("550"), None, "lost")]).await;
    assert!(matches!(lost, Err(StorageError::Disk { doing: "syncing", .. })));
    disk.fails.store(false, Ordering::SeqCst);
    let syncs = disk.syncs.load(Ordering::SeqCst);
    let later = tenant.accept(channel_id(1), &[wrote(identity("549"), None, "later")]).await;
    assert!(matches!(&later, Err(StorageError::Disk { reason, .. }) if reason.contains("input/output")));
    assert!(!later.unwrap_err().is_transient());
    assert!(matches!(tenant.inbox(id, 9).await, Err(StorageError::Disk { .. })));
    assert!(matches!(world.store.health(), Err(StorageError::Disk { .. })));
    assert_eq!(*tenant.latest_event().borrow(), EventSeq(1), "what was not kept is not told");
    assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs, "nothing is tried again");
}

#[tokio::test]
async fn writes_that_wait_share_one_sync() {
    let disk = Arc::new(Trial::default());
    let world = on(&disk);
    let tenant = world.tenant(1).await;
    let before = disk.syncs.load(Ordering::SeqCst);
    disk.hold();
    let accepts = (0..64).map(|number| {
        let tenant = Arc::clone(&tenant);
        async move {
            let event = wrote(identity(&format!("54{number}")), None, &format!("text {number}"));
            tenant.accept(channel_id(1), &[event]).await.map(|accepted| accepted.new)
        }
    });
    let all = futures::future::join_all(accepts);
    let watch = async {
        // The first write is in the disk's hands; all others have been put into the queue by now.
        while disk.syncs.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        assert_eq!(*tenant.latest_event().borrow(), EventSeq(0), "told only once it is durable");
        assert!(tenant.events(EventSeq(0), 9).await.unwrap().is_empty());
        disk.release();
    };
    let (answers, ()) = futures::future::join(all, watch).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == [true]));
    let groups = disk.syncs.load(Ordering::SeqCst) - before;
    // The platform was written to just before, so that a group has no more than a tenant's part.
    assert!((1..=3).contains(&groups), "{groups} groups");
    let log = tenant.events(EventSeq(0), 100).await.unwrap();
    assert_eq!(log.iter().map(|event| event.seq.0).collect::<Vec<_>>(), (1..=64).collect::<Vec<_>>());
}

/// Who reads the first of them does not wait for the last.
#[tokio::test]
async fn a_great_many_rows_that_wait_are_made_durable_in_parts() {
    const WRITES: usize = 4;
    const EVENTS: usize = 512;
    let disk = Arc::new(Trial::default());
    let world = on(&disk);
    let tenant = world.tenant(1).await;
    let before = disk.syncs.load(Ordering::SeqCst);
    disk.hold();
    let said = || EventKind::MessageReacted { message: None, by_contact: true, emoji: None };
    let all = futures::future::try_join_all(
        (0..WRITES).map(|_| tenant.append(None, std::iter::repeat_with(said).take(EVENTS).collect())),
    );
    let watch = async {
        while disk.syncs.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        disk.release();
    };
    let (written, ()) = futures::future::join(all, watch).await;
    assert_eq!(written.unwrap().len(), WRITES);
    assert_eq!(disk.syncs.load(Ordering::SeqCst) - before, WRITES, "a part each");
    assert_eq!(tenant.latest_event().borrow().0, (WRITES * EVENTS) as u64);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let disk = Arc::new(Trial::default());
    let limits = Limits { write_queue_max: 2, group_max: 1, ..small_limits() };
    let world = World::sled_with(limits, Arc::clone(&disk) as _);
    let tenant = world.tenant(1).await;
    let before = disk.syncs.load(Ordering::SeqCst);
    disk.hold();
    let accept = |text: &'static str| {
        let tenant = Arc::clone(&tenant);
        async move { tenant.accept(channel_id(1), &[wrote(identity("549"), None, text)]).await }
    };
    let rest = async {
        while disk.syncs.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        let others = ["b", "c", "d"].map(accept);
        let watch = async { disk.release() };
        futures::future::join(futures::future::join_all(others), watch).await.0
    };
    let (first, rest) = futures::future::join(accept("a"), rest).await;
    assert!(first.is_ok());
    let refused = rest.iter().filter(|answer| matches!(answer, Err(StorageError::Overloaded))).count();
    assert_eq!((refused, rest.iter().filter(|answer| answer.is_ok()).count()), (1, 2));
}

#[tokio::test]
async fn writes_that_change_nothing_cost_no_sync_and_a_new_tree_syncs_the_folders() {
    let disk = Arc::new(Trial::default());
    let world = on(&disk);
    let folders = disk.folders.load(Ordering::SeqCst);
    world.store.create_tenant(tenant(1)).await.unwrap();
    assert_eq!(disk.folders.load(Ordering::SeqCst) - folders, 2);
    world.store.put_channel(channel(1)).await.unwrap();
    let tenant = world.open_tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let syncs = disk.syncs.load(Ordering::SeqCst);
    assert!(tenant.begin_dispatch(id).await.unwrap() == Dispatch::Empty);
    tenant.accept(channel_id(1), &[wrote(identity("549"), None, "hello")]).await.unwrap();
    assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs);
}

#[tokio::test]
async fn large_records_are_kept() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    let raw = "x".repeat(700_000);
    let id =
        tenant.accept(channel_id(1), &[kept(Some(identity("549")), &raw)]).await.unwrap().conversations[0];
    assert!(
        fs::read_dir(database_folder(&world.home.as_ref().unwrap().path()).join("blobs")).unwrap().count()
            > 0
    );
    drop(tenant);
    world.reopen().await;
    assert!(told(&world.open_tenant(1).await.inbox(id, 9).await.unwrap()) == [format!("kept:{raw}")]);
}

#[tokio::test]
async fn a_folder_that_is_not_ours_is_refused_and_left_alone() {
    let mut world = World::sled();
    let folder = world.home.as_ref().unwrap().path();
    let in_use = world.open_again().err();
    assert!(matches!(in_use, Some(StorageError::Open(OpenProblem::InUse { .. }))));
    world.shut().await;
    let said = |text: &str| {
        fs::write(folder.join("FORMAT"), text).unwrap();
        let problem = world.open_again().err().unwrap();
        assert_eq!(fs::read_to_string(folder.join("FORMAT")).unwrap(), text);
        problem
    };
    let newer = said("3\n");
    assert!(matches!(newer, StorageError::Open(OpenProblem::Newer { found: 3, known: 2, .. })));
    assert!(newer.to_string().ends_with("start the version that wrote it"));
    assert!(matches!(said("one"), StorageError::Open(OpenProblem::Foreign { .. })));
    fs::remove_file(folder.join("FORMAT")).unwrap();
    assert!(matches!(world.open_again(), Err(StorageError::Open(OpenProblem::Foreign { .. }))));
    fs::write(folder.join("FORMAT"), "2\n").unwrap();
    assert!(world.open_again().is_ok());
}

#[tokio::test]
async fn another_keyring_is_refused() {
    let mut world = World::sled();
    world.tenant(1).await;
    world.shut().await;
    let home = world.home.unwrap();
    let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
    let other = home.folder.join("other");
    let keyring = Keyring::open(&other, &root, false, Arc::new(SeededEntropy::new(5))).unwrap();
    let opened = SledStore::open(
        SledOptions::new(home.path(), small_limits()),
        Arc::new(keyring),
        Arc::new(ManualClock::at(START)),
        Arc::new(SeededEntropy::new(7)),
    );
    assert!(matches!(opened, Err(StorageError::Open(OpenProblem::WrongKeyring { records: 1, .. }))));
}
