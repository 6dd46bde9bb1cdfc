//! What the records of turns, money and knowledge are on disk, and that those from before are still read.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use iassistance_domain::Pii;
use iassistance_domain::budget::{Budgets, Cost, Day};
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::conversation::Conversation;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::ConversationId;
use iassistance_domain::knowledge::DocumentState;
use iassistance_domain::turn::{TurnEnd, Usage};
use iassistance_storage::{StorageError, SummaryChange};
use serde_json::{Value, json};
use support::rows::*;
use support::*;

const CONVERSATION: u8 = 4;
const TURN: u8 = 16;
const EVENT: u8 = 18;
const ASSISTANT: u8 = 19;
const PASSAGE: u8 = 26;

/// Takes these fields out of a record, wherever they are in it.
fn without(record: &mut Value, names: &[&str]) {
    match record {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|value| without(value, names));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| without(value, names)),
        _ => {}
    }
}

/// Puts records of a kind as a version that knew none of these fields left them.
fn as_before(sealed: &Sealed, kind: u8, schema: u16, names: &[&str], rows: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    for key in sealed.keys(kind) {
        let mut record = serde_json::from_slice(&sealed.open(&key)).unwrap();
        without(&mut record, names);
        // Turns were sealed with the tenant's key.
        let contact = iassistance_vault::subject_of(&sealed.rows[&key]).filter(|_| kind != TURN);
        rows.insert(key.clone(), sealed.seal(&key, schema, contact, &record));
    }
}

#[tokio::test]
async fn records_from_before_are_read() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut commit = step(&*tenant, id).await;
    begin_turn(&mut commit.conversation, world.now());
    let mut record = turn(id, 1, START);
    record.work = serde_json::from_value(json!({ "prompt_sha256": "ab", "history_messages": 3 })).unwrap();
    commit.turns.push(record.clone());
    let usage = Usage { input_tokens: 1, output_tokens: 2 };
    let ended = EventKind::TurnEnded {
        turn: record.id,
        end: TurnEnd::Answered,
        usage,
        cost: Cost(0),
        first_word_ms: None,
    };
    commit.events.push(ended.clone());
    let conversation = commit.conversation.clone();
    tenant.commit(commit).await.unwrap();
    tenant.put_assistant(settings("a"), None).await.unwrap();
    drop(tenant);

    let sealed = Sealed::of(&mut world, 1).await;
    let mut rows = BTreeMap::new();
    let of_turns = [
        "window_end",
        "summary_until",
        "images",
        "tool_calls",
        "citations",
        "judgements",
        "handover_reason",
        "problem",
        "control",
        "disclosed",
    ];
    let of_conversations = [
        "assigned",
        "person_acted_at",
        "disclosed_at",
        "disclosed_in",
        "said_at",
        "closed_said_at",
        "opted_out",
        "follow_up",
        "fragment",
        "window_end",
    ];
    let of_settings = [
        "published_at",
        "rolled_back_to",
        "languages",
        "fallback_models",
        "on_failure",
        "media_cap_ms",
        "disclosure",
        "people",
        "hours",
        "context",
        "moderation",
        "built_in",
        "tools",
        "tool_rounds_max",
        "budgets",
    ];
    as_before(&sealed, TURN, 1, &of_turns, &mut rows);
    as_before(&sealed, CONVERSATION, 2, &of_conversations, &mut rows);
    as_before(&sealed, ASSISTANT, 1, &of_settings, &mut rows);
    as_before(&sealed, EVENT, 1, &["cost"], &mut rows);
    assert_eq!(rows.len(), 3 + sealed.keys(EVENT).len());
    put_rows(&mut world, 1, &rows).await;

    world.reopen().await;
    let (_, bad) = unopened(&*world.store).await;
    assert!(bad.is_empty(), "{bad:?}");
    let tenant = world.open_tenant(1).await;
    assert!(tenant.turn(id, record.id).await.unwrap() == Some(record.clone()));
    let (stored, _) = tenant.conversation(id).await.unwrap().unwrap();
    let running = |conversation: &Conversation| conversation.running_turn().map(|turn| turn.id);
    assert!(running(&stored).is_some() && running(&stored) == running(&conversation));
    let version = tenant.assistant().await.unwrap().unwrap();
    assert_eq!((version.version, version.settings, version.published_at), (1, settings("a"), None));
    assert_eq!(tenant.roll_back_assistant(1, Some(1)).await.unwrap().version, 2);
    let log = tenant.events(EventSeq(0), 9).await.unwrap();
    assert!(log.iter().any(|event| event.kind == ended));
    let mut commit = step(&*tenant, id).await;
    record.ended_at = Some(START);
    commit.turns.push(record);
    tenant.commit(commit).await.unwrap();
}

/// A tenant with all kinds of records that this is about, and its conversation.
async fn furnished(world: &World) -> ConversationId {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut commit = handled(&*tenant, id).await;
    let message = commit.messages[0].id;
    commit.summary = Some(SummaryChange::Put(summary(message, world.now())));
    commit.turns.push(turn(id, 1, world.now()));
    commit.attributes.push(("favourite-dish".to_owned(), Pii::new("milanesa napolitana".to_owned())));
    tenant.commit(commit).await.unwrap();
    let mut secret = settings("sell shoes");
    secret.api_key = Some(StoredSecret::new("sk-key-of-the-tenant"));
    tenant.put_assistant(secret.clone(), None).await.unwrap();
    tenant.put_assistant_draft(secret).await.unwrap();
    for number in [1, 2] {
        tenant.put_document(document(number, DocumentState::Indexing)).await.unwrap();
        tenant.put_passages(document_id(number), passages(number, 40, 1)).await.unwrap();
    }
    tenant.put_golden(golden(1, "What do shoes cost?")).await.unwrap();
    tenant.reserve(reservation(1, 1, 7, 9), Cost(1), Budgets::default()).await.unwrap();
    id
}

#[tokio::test]
async fn nothing_of_it_is_readable_in_the_files() {
    let world = World::sled();
    furnished(&world).await;
    world.store.close().await;
    let secrets = [
        "words of a summary",
        "words given",
        "words about",
        "favourite-dish",
        "milanesa",
        "sell shoes",
        "sk-key",
        "Prices of",
        "words of passage",
        "What do shoes",
        "Monday",
    ];
    for file in files_of(&world.home.as_ref().unwrap().path()) {
        let bytes = fs::read(&file).unwrap();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is readable in {}", file.display());
        }
    }
}

#[tokio::test]
async fn nothing_derived_from_what_was_taken_back_is_in_any_record() {
    let mut world = World::sled();
    furnished(&world).await;
    let with_words = |records: Vec<Vec<u8>>| {
        let said = |record: &&Vec<u8>| record.windows(6).any(|six| six == b"words ");
        records.iter().filter(said).count()
    };
    let of_passages = 80;
    assert_eq!(with_words(plaintexts(&mut world, 1).await), of_passages + 2, "the summary and the turn");
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    tenant.accept(channel_id(1), &[removed("wamid.hello", 1)]).await.unwrap();
    assert!(tenant.remove_document(document_id(1)).await.unwrap());
    drop(tenant);
    assert_eq!(with_words(plaintexts(&mut world, 1).await), of_passages / 2, "of the other document");
}

#[tokio::test]
async fn damage_to_it_is_reported_and_stops_nothing_else() {
    let mut world = World::sled();
    let id = furnished(&world).await;
    for kind in [16, 23, 24, 26, 27, 28, 29] {
        damage(&mut world, &[1; 16], kind, |value| flip_last(value)).await;
    }
    world.reopen().await;
    let (_, bad) = unopened(&*world.store).await;
    let kinds: BTreeSet<_> = bad.iter().map(|line| line.split('`').nth(1).unwrap()).collect();
    let expected =
        ["assistant_draft", "golden_question", "passage", "reservation", "spent_in_a_day", "summary", "turn"];
    assert_eq!(kinds, expected.into());
    assert_eq!(bad.len(), 86);
    let tenant = &*world.open_tenant(1).await;
    assert!(
        tenant.summary(id).await.unwrap().is_none() && tenant.turns(id, None, 9).await.unwrap().is_empty()
    );
    assert!(tenant.passages().await.unwrap().is_empty() && tenant.golden().await.unwrap().is_empty());
    assert_eq!(tenant.documents().await.unwrap().len(), 2);
    let unknown = tenant.spent(Day(7)).await;
    assert!(matches!(unknown, Err(StorageError::Damaged { kind: "spent_in_a_day" })));
    let refused = tenant.reserve(reservation(2, 1, 7, 9), Cost(1), Budgets::default()).await;
    assert!(refused.is_err(), "nobody knows what is left");
    let another_day = reservation(2, 1, 8, 9);
    assert!(tenant.reserve(another_day, Cost(1), Budgets::default()).await.unwrap().is_some());
    // What is made anew is whole again.
    let mut commit = step(tenant, id).await;
    commit.summary = Some(SummaryChange::Put(summary(message_id(1), world.now())));
    tenant.commit(commit).await.unwrap();
    assert!(tenant.summary(id).await.unwrap().is_some());
    tenant.put_assistant_draft(settings("b")).await.unwrap();
    tenant.put_passages(document_id(1), passages(1, 2, 2)).await.unwrap();
    assert_eq!(tenant.passages().await.unwrap(), passages(1, 2, 2));
    assert!(tenant.remove_document(document_id(2)).await.unwrap());
    let (_, bad) = unopened(&*world.store).await;
    let left: BTreeSet<_> = bad.iter().map(|line| line.split('`').nth(1).unwrap()).collect();
    // What was met may be out of the way already; a sum stays, so that nothing is spent.
    assert!(left.is_superset(&["reservation", "spent_in_a_day"].into()), "{bad:?}");
    assert!(left.is_subset(&["golden_question", "reservation", "spent_in_a_day", "turn"].into()), "{bad:?}");
}

#[tokio::test]
async fn a_document_whose_record_is_damaged_can_be_read_in_again() {
    let mut world = World::sled();
    furnished(&world).await;
    damage(&mut world, &[1; 16], 25, |value| flip_last(value)).await;
    world.reopen().await;
    let tenant = &*world.open_tenant(1).await;
    assert!(tenant.documents().await.unwrap().is_empty() && tenant.passages().await.unwrap().is_empty());
    let unreadable = tenant.put_passages(document_id(1), passages(1, 2, 2)).await;
    assert!(matches!(unreadable, Err(StorageError::Damaged { kind: "document" })));
    tenant.put_document(document(1, DocumentState::Indexing)).await.unwrap();
    assert!(tenant.passages().await.unwrap().is_empty());
    tenant.put_passages(document_id(1), passages(1, 2, 2)).await.unwrap();
    assert_eq!(tenant.passages().await.unwrap(), passages(1, 2, 2));
    assert!(tenant.remove_document(document_id(2)).await.unwrap(), "it can be removed too");
}

#[tokio::test]
async fn what_a_crash_leaves_of_an_edition_counts_for_nothing() {
    let mut world = World::sled();
    furnished(&world).await;
    let sealed = Sealed::of(&mut world, 1).await;
    let left = json!({ "text": "words of a crash" });
    let of = |document: u8, edition: u64| {
        [&[PASSAGE][..], &[document; 16], &edition.to_be_bytes(), &3_u64.to_be_bytes()].concat()
    };
    // A later edition of a document, and one of a document that is gone.
    let keys = [of(1, 2), of(7, 1)];
    let rows = keys.iter().map(|key| (key.clone(), sealed.seal(key, 1, None, &left))).collect();
    put_rows(&mut world, 1, &rows).await;
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    assert_eq!(tenant.passages().await.unwrap(), [passages(1, 40, 1), passages(2, 40, 1)].concat());
    tenant.put_passages(document_id(1), passages(1, 3, 2)).await.unwrap();
    assert_eq!(tenant.passages().await.unwrap(), [passages(1, 3, 2), passages(2, 40, 1)].concat());
    world.store.forget_dedup_before(START).await.unwrap();
    drop(tenant);
    let sealed = Sealed::of(&mut world, 1).await;
    assert_eq!(sealed.keys(PASSAGE).len(), 43, "none but those that count");
}

#[tokio::test]
async fn a_turn_that_costs_money_is_three_sums() {
    let mut world = World::sled();
    let tenant = world.tenant(1).await;
    for round in 0..3 {
        let of = reservation(1, 1, 7, 100);
        tenant
            .reserve(of, Cost(1), Budgets { tenant_day: Some(Cost(1_000)), ..Budgets::default() })
            .await
            .unwrap();
        tenant.settle_reservation(of.turn, Cost(10 + round)).await.unwrap();
    }
    assert_eq!(tenant.spent(Day(7)).await.unwrap(), Cost(33));
    drop(tenant);
    let sealed = Sealed::of(&mut world, 1).await;
    let kinds: Vec<_> = sealed.rows.keys().map(|key| key[0]).collect();
    assert_eq!(kinds, [29, 30, 31], "nothing is set aside any more");
}
