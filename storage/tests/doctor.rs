//! Whatever is wrong in a store is found, told and mended, or set aside; and nothing else suffers from it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::privacy::Place;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Entropy, SeededEntropy};
use iassistance_storage::sled::disk::SystemDisk;
use iassistance_storage::{
    Examination, Finding, Findings, OpenProblem, Outcome, Problem, SetAside, StorageError, TenantStore,
};
use support::furnish::*;
use support::rows::*;
use support::*;

const SUBJECT_KEY: u8 = 1;
const CONTACT: u8 = 2;
const CONVERSATION: u8 = 4;
const ADDRESS: u8 = 3;
const BUSY: u8 = 6;
const INBOX: u8 = 7;
const OUTBOX: u8 = 8;
const MESSAGE: u8 = 9;
const HOME: u8 = 10;
const PROVIDER: u8 = 11;
const PARKED: u8 = 12;
const PARKED_SINCE: u8 = 13;
const DEDUP: u8 = 14;
const TOMBSTONE: u8 = 20;
const TOMBSTONE_SINCE: u8 = 21;
const EVENT: u8 = 18;
const ASIDE: u8 = 32;
const TENANT: u8 = 64;
const CHANNEL_ADDRESS: u8 = 67;
const UNROUTED_SEEN: u8 = 70;

async fn examine(world: &World, repair: bool, put_back: bool) -> Findings {
    let how = Examination { repair, put_back, files: None };
    world.store.examine(&how, &|_| {}).await.unwrap()
}

async fn found(world: &World) -> Vec<Finding> {
    examine(world, false, false).await.findings
}

fn first() -> TenantCtx {
    TenantCtx::platform(tenant_id(1))
}

/// What of the first tenant is set aside, once it is so much.
async fn set_aside(world: &World, count: usize) -> Vec<SetAside> {
    loop {
        let aside = world.store.set_aside(Some(first()), None, 999).await.unwrap();
        if aside.len() >= count {
            return aside;
        }
        tokio::task::yield_now().await;
    }
}

/// The tree of the kind, of the first tenant or the platform.
fn tree_of(kind: u8) -> &'static [u8] {
    if kind < 64 { &[1; 16] } else { b"platform" }
}

/// The beginning of the keys that are damaged: of two tenants one, for where none opens the keys are others.
fn prefix_of(kind: u8) -> Vec<u8> {
    if kind == TENANT { vec![kind, 1] } else { vec![kind] }
}

/// Rows that say no more than that they are there.
const MARKS: [u8; 11] = [BUSY, PARKED_SINCE, TOMBSTONE_SINCE, UNROUTED_SEEN, 47, 48, 62, 83, 89, 93, 94];
/// What finds accounts, sessions, invitations and tokens.
const INDEXES_OF_PEOPLE: [u8; 5] = [81, 82, 85, 88, 91];

/// Kinds, with the indexes that lead to them.
const LEAD_TO: [(u8, u8); 4] =
    [(CONTACT, ADDRESS), (CONVERSATION, BUSY), (MESSAGE, HOME), (MESSAGE, PROVIDER)];

fn all_kinds() -> impl Iterator<Item = u8> {
    TENANT_KINDS.into_iter().chain(PLATFORM_KINDS)
}

/// What can be read of a tenant, each thing by itself.
async fn seen(tenant: &dyn TenantStore) -> Vec<String> {
    let (seen, refused) = readable(tenant).await;
    assert_eq!(refused, 0, "nothing that cannot be read keeps the rest from being read");
    seen
}

/// What can be read of a tenant, and how many things were refused as a whole.
async fn readable(tenant: &dyn TenantStore) -> (Vec<String>, usize) {
    let (mut seen, mut refused) = (Vec::new(), 0);
    let mut or_none = |failed: bool| refused += usize::from(failed);
    let conversations = tenant.conversations(None, 99).await;
    or_none(conversations.is_err());
    for id in conversations.unwrap_or_default().iter().map(|conversation| conversation.id) {
        let messages = tenant.messages(id, None, 99).await;
        or_none(messages.is_err());
        for message in messages.unwrap_or_default() {
            seen.push(format!("{id} {} {}", message.id, words(&message.content)));
        }
        let letters = tenant.inbox(id, 99).await;
        or_none(letters.is_err());
        seen.extend(told(&letters.unwrap_or_default()));
        let entries = tenant.outbox(id).await;
        or_none(entries.is_err());
        seen.extend(entries.unwrap_or_default().iter().map(|entry| format!("out {}", entry.message)));
        let turns = tenant.turns(id, None, 99).await;
        or_none(turns.is_err());
        seen.extend(turns.unwrap_or_default().iter().map(|turn| format!("turn {}", turn.id)));
    }
    let passages = tenant.passages().await;
    or_none(passages.is_err());
    seen.extend(passages.unwrap_or_default().into_iter().map(|passage| passage.text));
    let letters = tenant.dead_letters(None, 99).await;
    or_none(letters.is_err());
    seen.extend(letters.unwrap_or_default().into_iter().map(|letter| letter.reason));
    (seen, refused)
}

#[tokio::test]
async fn a_store_that_is_whole_has_no_findings() {
    let world = furnished().await;
    let found = examine(&world, false, false).await;
    assert_eq!(found.findings, []);
    assert!(found.records > 100, "{}", found.records);
    assert_eq!(examine(&world, true, true).await, found, "and nothing to repair");
}

#[tokio::test]
async fn damage_to_every_kind_is_found_and_stops_nothing_else() {
    let (mut records, mut kinds) = (0, 0);
    for kind in all_kinds() {
        let mut world = furnished().await;
        let neighbour = seen(&*world.open_tenant(2).await).await;
        let damaged =
            with_rows(&mut world, tree_of(kind), &prefix_of(kind), |_, value| flip_last(value)).await;
        world.reopen().await;
        let found = found(&world).await;
        let unopened = found.iter().filter(|finding| finding.problem == Problem::DoesNotOpen);
        // What is sealed with a contact's key does not open without it.
        let expected = |count: usize| if kind == SUBJECT_KEY { count > damaged } else { count == damaged };
        assert!(damaged > 0 && expected(unopened.clone().count()), "kind {kind}: {damaged}, {found:?}");
        assert!(found.iter().all(|finding| finding.outcome == Outcome::Left), "looking changes nothing");
        assert_eq!(seen(&*world.open_tenant(2).await).await, neighbour, "kind {kind}: the neighbour");
        seen(&*world.open_tenant(1).await).await;

        let repaired = examine(&world, true, false).await;
        let left = examine(&world, false, false).await;
        // Some are moved by the server as soon as it meets them: it may have come between two looks at one.
        assert!(repaired.total > 0 || repaired.set_aside + left.set_aside > 0, "kind {kind}");
        assert_eq!(left.unmended, 0, "kind {kind}: {:?}", left.findings);
        (records, kinds) = (records + damaged, kinds + 1);
    }
    println!("{records} records of {kinds} kinds were damaged, found and mended or set aside");
}

#[tokio::test]
async fn what_was_set_aside_is_put_back_when_it_opens_again() {
    // Marks are made anew, and are not set aside; what leaves is sent again by its dead letter.
    let not_set_aside = [OUTBOX, PROVIDER, 14, TOMBSTONE];
    // They are made anew from what they are of.
    let indexes = [ADDRESS, HOME, CHANNEL_ADDRESS];
    let made_anew = [&not_set_aside[..], &indexes, &MARKS, &INDEXES_OF_PEOPLE].concat();
    for kind in all_kinds().filter(|kind| !made_anew.contains(kind)) {
        let mut world = furnished().await;
        let tree = tree_of(kind);
        let before = rows_of(&mut world, tree, &prefix_of(kind)).await;
        with_rows(&mut world, tree, &prefix_of(kind), |_, value| flip_last(value)).await;
        world.reopen().await;
        examine(&world, true, false).await;
        let tenant = (kind < 64).then(first);
        let aside = world.store.set_aside(tenant, None, 999).await.unwrap();
        assert!(aside.len() >= before.len(), "kind {kind}");
        assert_eq!(examine(&world, false, true).await.put_back, 0, "kind {kind}: it does not open yet");
        // As if what was wrong were right again.
        let right = |key: &[u8], value: &mut Vec<u8>| {
            if let Some(sealed) = before.get(&key[1..]) {
                value.truncate(9);
                value.extend(sealed);
            }
        };
        with_rows(&mut world, tree, &[ASIDE, kind], right).await;
        world.reopen().await;
        let back = examine(&world, false, true).await;
        let kept = if kind == SUBJECT_KEY { 2 } else { 0 };
        assert!(back.put_back >= before.len() as u64 && back.set_aside == kept, "kind {kind}: {back:?}");
        assert_eq!(back.unmended, 0, "kind {kind}: {:?}", back.findings);
        let after = rows_of(&mut world, tree, &[kind]).await;
        assert!(before.iter().all(|(key, sealed)| after.get(key) == Some(sealed)), "kind {kind}");
        world.reopen().await;
        assert_eq!(found(&world).await, [], "kind {kind}");
    }
}

#[tokio::test]
async fn what_is_gone_is_missed_and_indexes_are_made_anew() {
    let indexes = [&[ADDRESS, HOME, PROVIDER, CHANNEL_ADDRESS][..], &MARKS, &INDEXES_OF_PEOPLE].concat();
    // Nothing refers to these.
    let unnoticed =
        [INBOX, OUTBOX, PARKED, 14, 17, EVENT, 19, TOMBSTONE, 22, 23, 24, 27, 28, 29, 30, 31, 68, 69, 71]
            .into_iter()
            .chain([35, 41, 42, 43, 49, 50, 51, 52, 53, 54, 55, 57, 58, 59, 60, 61, 72, 73, 75, 95, 96])
            .collect::<Vec<_>>();
    for kind in all_kinds() {
        let mut world = furnished().await;
        let before = rows_of(&mut world, tree_of(kind), &[kind]).await;
        take_rows(&mut world, tree_of(kind), &[kind]).await;
        world.reopen().await;
        let missed = found(&world).await;
        if indexes.contains(&kind) {
            assert!(missed.len() >= before.len(), "kind {kind}: {missed:?}");
            examine(&world, true, false).await;
            assert_eq!(found(&world).await, [], "kind {kind}");
            let after = rows_of(&mut world, tree_of(kind), &[kind]).await;
            assert!(after.keys().eq(before.keys()) || kind == TOMBSTONE_SINCE, "kind {kind}");
        } else if !unnoticed.contains(&kind) {
            assert!(!missed.is_empty(), "kind {kind}");
        }
        // What leads to it says so by itself, whatever else does.
        for (_, index) in LEAD_TO.into_iter().filter(|(to, _)| *to == kind) {
            let key = format!("{index:02x}");
            assert!(missed.iter().any(|finding| finding.key.starts_with(&key)), "{index} leads to {kind}");
        }
    }
}

#[tokio::test]
async fn a_record_that_is_met_is_moved_out_of_the_way_and_told() {
    let mut world = furnished().await;
    for kind in [MESSAGE, INBOX, OUTBOX] {
        damage(&mut world, &[1; 16], kind, |value| flip_last(value)).await;
    }
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    let letters = tenant.dead_letters(None, 99).await.unwrap().len();
    for conversation in tenant.conversations(None, 9).await.unwrap() {
        assert!(tenant.messages(conversation.id, None, 99).await.unwrap().is_empty());
        assert!(tenant.inbox(conversation.id, 99).await.unwrap().is_empty());
        assert!(tenant.outbox(conversation.id).await.unwrap().is_empty());
    }
    // Each is moved by a write that who met it does not wait for.
    for _ in 0..100 {
        if set_aside(&world, 9).await.len() == 10 {
            break;
        }
        tenant.put_golden(golden(9, "Since when?")).await.unwrap();
    }
    let aside = set_aside(&world, 9).await;
    let kinds: Vec<_> = aside.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, [["inbox"; 2].as_slice(), &["outbox"; 2], &["message"; 6]].concat());
    assert!(aside.iter().all(|record| record.bytes > 40 && record.at == world.now()));
    let rest = world.store.set_aside(Some(first()), Some(aside[6].key.clone()), 99).await.unwrap();
    assert_eq!(rest, aside[7..]);
    // A write that comes after them is durable: so are they.
    tenant.put_golden(golden(9, "Since when?")).await.unwrap();
    let log = tenant.events(EventSeq(0), 999).await.unwrap();
    let told = log.iter().filter(|event| matches!(event.kind, EventKind::RecordQuarantined { .. }));
    assert!(told.clone().all(|event| event.conversation.is_some()) && told.count() == 10);
    let letters = tenant.dead_letters(None, 99).await.unwrap().len() - letters;
    assert_eq!(letters, 2, "a person is told of what may have left or not");
    assert_eq!(examine(&world, false, false).await.unmended, 0);
    // The limits on what waits count what is there.
    drop(tenant);
    world.reopen().await;
    assert_eq!(found(&world).await, []);
}

#[tokio::test]
async fn what_is_set_aside_of_who_is_erased_goes_with_them() {
    let mut world = furnished().await;
    for kind in [MESSAGE, INBOX, OUTBOX] {
        damage(&mut world, &[1; 16], kind, |value| flip_last(value)).await;
    }
    world.reopen().await;
    examine(&world, true, false).await;
    let tenant = world.open_tenant(1).await;
    let erased = tenant.conversations(None, 9).await.unwrap().pop().unwrap();
    let digits = hex::encode(erased.id.to_bytes());
    let aside = world.store.set_aside(Some(first()), None, 999).await.unwrap();
    let (theirs, others): (Vec<_>, Vec<_>) = aside.into_iter().partition(|it| it.key.contains(&digits));
    assert!(!theirs.is_empty() && !others.is_empty());
    let keeping = world.store.keeping();
    let person = keeping.person(first(), erased.contact).await.unwrap();
    let counts = keeping.erase(first(), person, Vec::new()).await.unwrap();
    assert_eq!(counts.get(&Place::Quarantine), Some(&(theirs.len() as u64)));
    let left = world.store.set_aside(Some(first()), None, 999).await.unwrap();
    assert_eq!(left, others, "what is set aside of others stays");
    keeping.turn_epoch(first(), &|| Ok(())).await.unwrap();
    drop(tenant);
    world.reopen().await;
    assert_eq!(found(&world).await, []);
}

#[tokio::test]
async fn marks_stay_where_they_are_until_they_are_made_anew() {
    let mut world = furnished().await;
    let marks = [PROVIDER, DEDUP, TOMBSTONE];
    for kind in marks {
        damage(&mut world, &[1; 16], kind, |value| flip_last(value)).await;
    }
    world.reopen().await;
    let again = [
        wrote(identity("549"), None, "unread"),
        status("wamid.unknown", None, iassistance_domain::delivery::DeliveryStatus::Sent),
        removed("wamid.gone", 1),
    ];
    for repaired in [false, true] {
        let tenant = world.open_tenant(1).await;
        let accepted = tenant.accept(channel_id(1), &again).await.unwrap();
        assert_eq!(accepted.new, [false; 3], "nothing takes effect twice; repaired: {repaired}");
        let late = tenant.accept(channel_id(1), &[wrote(identity("549"), None, "gone")]).await.unwrap();
        for id in late.conversations {
            let letters = told(&tenant.inbox(id, 99).await.unwrap());
            assert!(!letters.contains(&"gone".to_owned()), "what was taken back stays so");
        }
        examine(&world, true, false).await;
    }
    assert_eq!(found(&world).await, []);
    assert!(world.store.set_aside(Some(first()), None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_conversation_whose_record_is_damaged_forgets_nothing_and_can_be_told_of() {
    let mut world = furnished().await;
    let id = world.open_tenant(1).await.conversations(None, 9).await.unwrap()[0].id;
    let key = [&[4][..], &id.to_bytes()].concat();
    with_rows(&mut world, &[1; 16], &key, |_, value| flip_last(value)).await;
    world.reopen().await;
    for repaired in [false, true] {
        let tenant = world.open_tenant(1).await;
        let read = tenant.conversation(id).await;
        assert!(if repaired { matches!(read, Ok(None)) } else { read.is_err() });
        assert!(tenant.begin_dispatch(id).await.is_err(), "who has control is not known: nothing leaves");
        let letter = iassistance_domain::event::DeadLetter {
            id: iassistance_domain::id::DeadLetterId::from_bytes([u8::from(repaired); 16]),
            conversation: id,
            work: iassistance_domain::event::DeadWork::Conversation,
            reason: "it does not open".to_owned(),
            at: world.now(),
            replayed_at: None,
        };
        let event = EventKind::ConversationQuarantined { dead_letter: letter.id };
        tenant.put_dead_letter(letter.clone(), event).await.unwrap();
        assert_eq!(tenant.dead_letter(letter.id).await.unwrap(), Some(letter));
        let accepted = tenant.accept(channel_id(1), &[wrote(identity("551"), None, "more")]).await;
        assert!(accepted.is_ok(), "what comes in waits");
        examine(&world, true, false).await;
    }
    assert_eq!(examine(&world, false, false).await.unmended, 0);
}

#[tokio::test]
async fn a_gap_in_the_log_is_found_and_shown_as_one() {
    let mut world = furnished().await;
    let key = [&[EVENT][..], &3_u64.to_be_bytes()].concat();
    take_rows(&mut world, &[1; 16], &key).await;
    world.reopen().await;
    let found = found(&world).await;
    assert!(matches!(&found[..], [Finding { problem: Problem::Disagrees { .. }, .. }]), "{found:?}");
    let log = world.open_tenant(1).await.events(EventSeq(1), 3).await.unwrap();
    let seen: Vec<_> = log.iter().map(|event| (event.seq.0, event.kind.name())).collect();
    assert_eq!(seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(seen[1].1 == "event.unreadable" && seen[0].1 != seen[1].1);
}

#[tokio::test]
async fn a_record_of_a_later_version_is_refused_and_left_alone() {
    let mut world = furnished().await;
    let id = world.open_tenant(1).await.conversations(None, 9).await.unwrap()[0].id;
    let sealed = Sealed::of(&mut world, 1).await;
    let later: std::collections::BTreeMap<_, _> = [MESSAGE, EVENT, PROVIDER]
        .into_iter()
        .flat_map(|kind| sealed.keys(kind))
        .map(|key| {
            let record = serde_json::json!({ "of": "another time" });
            let record = sealed.seal(&key, 9, None, &record);
            (key, record)
        })
        .collect();
    put_rows(&mut world, 1, &later).await;
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    let message = later.keys().find(|key| key[0] == MESSAGE && key[1..17] == id.to_bytes()).unwrap();
    let message = iassistance_domain::id::MessageId::from_bytes(message[17..33].try_into().unwrap());
    let refused = tenant.message(id, message).await.err().unwrap();
    assert!(matches!(refused, StorageError::NewerRecord { kind: "message", found: 9, known: 1 }));
    assert!(refused.to_string().ends_with("start the version that wrote it"));
    assert!(tenant.messages(id, None, 9).await.unwrap().is_empty(), "what can be read is");
    assert!(!tenant.events(EventSeq(0), 9).await.unwrap().is_empty());
    drop(tenant);
    let found = examine(&world, true, true).await;
    let newer = found.findings.iter().filter(|finding| matches!(finding.problem, Problem::Newer { .. }));
    assert!(
        newer.clone().count() == later.len() && newer.clone().all(|newer| newer.outcome == Outcome::Left)
    );
    let rows = rows_of(&mut world, &[1; 16], &[]).await;
    assert!(later.iter().all(|(key, sealed)| rows.get(key) == Some(sealed)), "not a byte of it is changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examination_beside_live_traffic_finds_nothing() {
    let world = furnished().await;
    let tenant = world.open_tenant(1).await;
    let (ended, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let traffic = async {
        while !ended.load(Ordering::SeqCst) {
            let number = rounds.fetch_add(1, Ordering::SeqCst);
            let from = format!("6{}", number % 7);
            let id = hear(&*tenant, 1, &from, &format!("text {number}")).await;
            tenant.commit(handled(&*tenant, id).await).await.unwrap();
            let events = [
                removed(&format!("wamid.text {number}"), 1),
                status(
                    &format!("wamid.later {number}"),
                    None,
                    iassistance_domain::delivery::DeliveryStatus::Sent,
                ),
            ];
            tenant.accept(channel_id(1), &events).await.unwrap();
            tenant.commit(handled(&*tenant, id).await).await.unwrap();
            world.store.keep_unrouted(Some(address(9)), kept(None, &format!("{number}"))).await.unwrap();
        }
    };
    let examined = async {
        let mut times = 0;
        while times < 20 || rounds.load(Ordering::SeqCst) < 30 {
            assert_eq!(examine(&world, false, false).await.findings, []);
            times += 1;
        }
        ended.store(true, Ordering::SeqCst);
        times
    };
    let ((), times) = tokio::join!(traffic, examined);
    println!("{times} examinations beside {} rounds of traffic found nothing", rounds.into_inner());
}

/// A number from chance below a limit.
fn below(entropy: &SeededEntropy, limit: usize) -> usize {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    usize::try_from(u64::from_be_bytes(bytes) % limit as u64).unwrap()
}

#[tokio::test]
async fn a_byte_that_flips_anywhere_in_a_record_is_noticed() {
    const ROUNDS: usize = 8;
    let entropy = SeededEntropy::new(11);
    let mut flipped = 0;
    let mut world = furnished().await;
    for kind in all_kinds().filter(|kind| *kind != TENANT) {
        let whole = rows_of(&mut world, tree_of(kind), &[kind]).await;
        for _ in 0..ROUNDS {
            let flip = |_: &[u8], value: &mut Vec<u8>| {
                let (at, bit) = (below(&entropy, value.len()), below(&entropy, 8));
                value[at] ^= 1 << bit;
            };
            let changed = with_rows(&mut world, tree_of(kind), &[kind], flip).await;
            world.reopen().await;
            let found = found(&world).await;
            let unread = |finding: &&Finding| {
                matches!(finding.problem, Problem::DoesNotOpen | Problem::Newer { .. })
                    && finding.kind == kind_names(&found, kind)
            };
            assert!(found.iter().filter(unread).count() >= changed, "kind {kind}: {found:?}");
            flipped += changed;
            with_rows(&mut world, tree_of(kind), &[kind], |key, value| value.clone_from(&whole[key])).await;
        }
    }
    println!("{flipped} bits were flipped in records, and {flipped} were noticed");
}

/// The name of a kind among findings, by their keys.
fn kind_names(found: &[Finding], kind: u8) -> String {
    let prefix = format!("{kind:02x}");
    found
        .iter()
        .find(|finding| finding.key.starts_with(&prefix))
        .map_or_else(String::new, |one| one.kind.clone())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Flips bits in the files of the database itself. It may refuse to open, in words; if it opens, everything
/// that is read was written. A flip at the end of its log may cost it what came last: the database takes
/// that for a write that was cut short, and is as it was before. That is told, too.
#[tokio::test]
async fn bytes_that_flip_in_the_files_give_no_wrong_data() {
    const TRIALS: usize = 60;
    const FLIPS: usize = 4;
    let entropy = SeededEntropy::new(23);
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    fs::create_dir(&whole).unwrap();
    furnish_folder(&whole).await;
    let mut before = World::sled_in(&whole, small_limits(), Arc::new(SystemDisk));
    let expected = seen(&*before.open_tenant(1).await).await;
    before.shut().await;
    let was_written = |line: &String| expected.contains(line) || line.starts_with("hello from 5");
    let (mut refused, mut same, mut told_of) = (0, 0, 0);
    for trial in 0..TRIALS {
        let home = folder.path().join(format!("trial-{trial}"));
        copy(&whole, &home);
        flip_bits(&home.join("store"), FLIPS, &entropy);
        let opened = catch_unwind(AssertUnwindSafe(|| World::open_in(&home, small_limits())));
        match opened.expect("no panic on opening") {
            Err(StorageError::Open(OpenProblem::Corrupt { .. } | OpenProblem::WrongKeyring { .. })) => {
                refused += 1;
            }
            Err(StorageError::Disk { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
            Ok(mut world) => {
                let mut now = None;
                if let Ok(tenant) = world.store.tenant(first()).await {
                    let (lines, refused) = readable(&*tenant).await;
                    let wrong = lines.iter().find(|line| !was_written(line) && !line.contains("way out"));
                    assert!(wrong.is_none(), "{wrong:?}");
                    now = (refused == 0).then_some(lines);
                }
                let found = world.store.examine(&Examination::default(), &|_| {}).await;
                let is_told = now.is_none() || found.is_err() || found.is_ok_and(|found| found.total > 0);
                assert!(is_told || now.as_ref() == Some(&expected), "nothing is missing untold");
                told_of += usize::from(is_told);
                same += usize::from(!is_told);
                world.shut().await;
            }
        }
        fs::remove_dir_all(&home).unwrap();
    }
    println!(
        "{} bits flipped in {TRIALS} stores: {refused} did not open, in words; {told_of} opened, and what is damaged \
         or lost was told; {same} were whole all the same; no wrong data",
        TRIALS * FLIPS
    );
    assert!(refused + told_of > 0);
}

#[tokio::test]
async fn an_end_of_the_log_that_is_lost_is_told_until_it_is_accepted() {
    let mut world = furnished().await;
    world.reopen().await;
    assert_eq!(found(&world).await, [], "closed in good order");
    // As the database is after it lost its end: without the record that was written last.
    take_rows(&mut world, b"platform", &[34]).await;
    for _ in 0..2 {
        world.reopen().await;
        let found = found(&world).await;
        assert!(
            matches!(&found[..], [lost] if lost.to_string().contains("the end of the log is lost")),
            "{found:?}"
        );
    }
    assert_eq!(examine(&world, true, false).await.unmended, 0);
    for _ in 0..2 {
        assert_eq!(found(&world).await, []);
        world.reopen().await;
    }
}

/// Flips bits in the used parts of a store's files.
fn flip_bits(store: &Path, count: usize, entropy: &SeededEntropy) {
    let is_database = |file: &std::path::PathBuf| {
        file.file_name()
            .is_some_and(|name| !["LOCK", "FORMAT", "CURRENT", "CLOSED"].iter().any(|other| name == *other))
            && fs::metadata(file).is_ok_and(|file| file.len() > 0)
    };
    let mut files: Vec<_> = files_of(store).into_iter().filter(is_database).collect();
    files.sort();
    for _ in 0..count {
        let file = &files[below(entropy, files.len())];
        let mut bytes = fs::read(file).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        bytes[below(entropy, used)] ^= 1 << below(entropy, 8);
        fs::write(file, bytes).unwrap();
    }
}
