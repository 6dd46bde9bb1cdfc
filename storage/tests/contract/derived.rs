//! What is made of messages and goes with them; what is noted about contacts; notes.

use iassistance_domain::Pii;
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{ConversationId, MessageId};
use iassistance_domain::message::{Author, Content, Message};
use iassistance_domain::pii::TenantView;
use iassistance_domain::tool::ToolCallRecord;
use iassistance_domain::turn::TurnRecord;
use iassistance_storage::{StorageError, SummaryChange, TenantStore};

use crate::support::*;

async fn change(tenant: &dyn TenantStore, id: ConversationId, change: SummaryChange) {
    let mut commit = step(tenant, id).await;
    commit.summary = Some(change);
    tenant.commit(commit).await.unwrap();
}

/// Three messages that came in a second apart, committed.
async fn three(world: &World, tenant: &dyn TenantStore) -> (ConversationId, Vec<MessageId>) {
    let mut id = None;
    for text in ["one", "two", "three"] {
        world.clock.advance_millis(1_000);
        let mut event = wrote(identity("549"), None, text);
        event.occurred_at = world.now();
        id = tenant.accept(channel_id(1), &[event]).await.unwrap().conversations.pop();
    }
    let id = id.unwrap();
    tenant.commit(handled(tenant, id).await).await.unwrap();
    let mut messages: Vec<_> =
        tenant.messages(id, None, 9).await.unwrap().iter().map(|message| message.id).collect();
    messages.reverse();
    (id, messages)
}

fn has_words(turn: &TurnRecord) -> bool {
    let given = |call: &ToolCallRecord| !call.arguments.reveal(TenantView).is_empty();
    turn.work.tool_calls.iter().any(given) || turn.work.handover_reason.is_some()
}

pub async fn a_summary_is_kept_and_dropped(mut world: World) {
    let tenant = world.tenant(1).await;
    let (id, messages) = three(&world, &*tenant).await;
    assert!(tenant.summary(id).await.unwrap().is_none());
    let (first, second) = (summary(messages[0], world.now()), summary(messages[1], world.now()));
    for put in [first, second.clone()] {
        change(&*tenant, id, SummaryChange::Put(put)).await;
    }
    drop(tenant);
    world.reopen().await;
    let tenant = &*world.open_tenant(1).await;
    assert!(tenant.summary(id).await.unwrap() == Some(second.clone()));
    let mut stale = step(tenant, id).await;
    stale.revision -= 1;
    stale.summary = Some(SummaryChange::Drop);
    assert!(matches!(tenant.commit(stale).await, Err(StorageError::Stale)));
    tenant.commit(step(tenant, id).await).await.unwrap();
    assert!(tenant.summary(id).await.unwrap() == Some(second));
    change(tenant, id, SummaryChange::Drop).await;
    change(tenant, id, SummaryChange::Drop).await;
    assert!(tenant.summary(id).await.unwrap().is_none());
}

pub async fn a_summary_goes_with_what_it_tells_of(world: World) {
    let tenant = &*world.tenant(1).await;
    let (id, messages) = three(&world, tenant).await;
    let put = async |until: MessageId| {
        world.clock.advance_millis(1);
        change(tenant, id, SummaryChange::Put(summary(until, world.now()))).await;
        assert!(tenant.summary(id).await.unwrap().is_some());
        world.clock.advance_millis(1);
    };
    put(messages[1]).await;
    tenant.accept(channel_id(1), &[removed("wamid.three", 1)]).await.unwrap();
    tenant.commit(handled(tenant, id).await).await.unwrap();
    assert!(tenant.summary(id).await.unwrap().is_some(), "it does not tell of that one");
    tenant.accept(channel_id(1), &[removed("wamid.two", 1)]).await.unwrap();
    assert!(tenant.summary(id).await.unwrap().is_none(), "at once");

    // One that was made of the message before it was taken back comes too late.
    let late = summary(messages[1], world.now().minus_millis(1));
    change(tenant, id, SummaryChange::Put(late)).await;
    assert!(tenant.summary(id).await.unwrap().is_none());
    // So does one that read it between the webhook and the step that empties the message.
    world.clock.advance_millis(5);
    let between = summary(messages[1], world.now());
    change(tenant, id, SummaryChange::Put(between.clone())).await;
    assert!(tenant.summary(id).await.unwrap().is_some());
    tenant.commit(handled(tenant, id).await).await.unwrap();
    assert!(tenant.summary(id).await.unwrap().is_none(), "with the message itself");
    change(tenant, id, SummaryChange::Put(between)).await;
    assert!(tenant.summary(id).await.unwrap().is_none());
    put(messages[1]).await;

    // What was written before its last message is in it, whenever it came.
    let mut before = wrote(identity("549"), None, "late");
    before.occurred_at = START;
    tenant.accept(channel_id(1), &[before]).await.unwrap();
    tenant.commit(handled(tenant, id).await).await.unwrap();
    put(messages[2]).await;
    let mut commit = step(tenant, id).await;
    let mut gone = tenant.messages(id, None, 1).await.unwrap().remove(0);
    assert!(gone.id > messages[2]);
    gone.remove(world.now());
    commit.messages.push(gone);
    commit.summary = Some(SummaryChange::Put(summary(messages[2], world.now())));
    tenant.commit(commit).await.unwrap();
    assert!(tenant.summary(id).await.unwrap().is_none(), "also where it comes in the same write");
}

pub async fn a_turn_loses_the_words_of_what_was_taken_back(world: World) {
    let tenant = &*world.tenant(1).await;
    let (id, _) = three(&world, tenant).await;
    let before = turn(id, 1, START.plus_millis(1_500));
    let after = turn(id, 2, world.now());
    let mut commit = step(tenant, id).await;
    commit.turns = vec![before.clone(), after.clone()];
    tenant.commit(commit).await.unwrap();
    let words = async |of: &TurnRecord| has_words(&tenant.turn(id, of.id).await.unwrap().unwrap());
    assert!(words(&before).await && words(&after).await);
    world.clock.advance_millis(1);
    tenant.accept(channel_id(1), &[removed("wamid.two", 1)]).await.unwrap();
    assert!(words(&before).await, "it ended before there was that message");
    assert!(!words(&after).await);
    let mut commit = step(tenant, id).await;
    let late = turn(id, 4, world.now().plus_millis(1));
    commit.turns = vec![after.clone(), turn(id, 3, START.plus_millis(3_000)), late.clone()];
    tenant.commit(commit).await.unwrap();
    assert!(
        !words(&after).await && !words(&turn(id, 3, START.plus_millis(3_000))).await,
        "nor are they put again"
    );
    assert!(words(&late).await, "it began after that");
}

pub async fn facts_are_noted_about_contacts(mut world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let contact = tenant.conversation(id).await.unwrap().unwrap().0.contact;
    let facts = |from: u8, count: u8, value: &str| {
        let fact = |number: u8| (format!("fact {number}"), Pii::new(value.to_owned()));
        (from..from + count).map(fact).collect::<Vec<_>>()
    };
    let noted = async |facts: Vec<(String, Pii<String>)>| {
        let mut commit = step(&*tenant, id).await;
        let names = facts.iter().map(|(name, _)| name.clone()).collect();
        commit.events.push(EventKind::ContactAttributesChanged { names });
        commit.attributes = facts;
        tenant.commit(commit).await.unwrap();
        tenant.contact(contact).await.unwrap().unwrap().attributes
    };
    assert_eq!(noted(facts(0, 2, "a")).await.len(), 2);
    let merged = noted(facts(1, 2, "b")).await;
    let values: Vec<_> = merged.values().map(|value| value.reveal(TenantView).as_str()).collect();
    assert_eq!(values, ["a", "b", "b"]);
    let full = noted(facts(3, 60, "c")).await;
    assert!(full.len() == 50 && full.contains_key("fact 49") && !full.contains_key("fact 50"));
    let replaced = noted([facts(0, 1, "d"), facts(60, 1, "e")].concat()).await;
    assert!(replaced.len() == 50 && replaced["fact 0"] == Pii::new("d".to_owned()));

    let mut stale = step(&*tenant, id).await;
    stale.revision -= 1;
    stale.attributes = facts(0, 1, "z");
    assert!(matches!(tenant.commit(stale).await, Err(StorageError::Stale)));
    world.clock.advance_millis(1);
    // What is known of one of two who prove to be the same person is known of both.
    let other =
        tenant.accept(channel_id(1), &[wrote(both("", "user-a"), None, "hi")]).await.unwrap().conversations
            [0];
    let mut commit = step(&*tenant, other).await;
    commit.attributes = facts(0, 1, "theirs");
    tenant.commit(commit).await.unwrap();
    tenant.accept(channel_id(1), &[wrote(both("549", "user-a"), Some("Ada"), "it is me")]).await.unwrap();
    drop(tenant);
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    let kept = tenant.contact(contact).await.unwrap().unwrap();
    assert!(kept.merged.len() == 1 && kept.attributes == replaced);
}

pub async fn a_note_never_leaves(world: World) {
    let tenant = &*world.tenant(1).await;
    let id = hear(tenant, 1, "549", "hello").await;
    let mut commit = handled(tenant, id).await;
    let author = Author::Operator { name: "Ada".to_owned() };
    let content = Content::Note { body: Pii::new("call them back".to_owned()) };
    let note = Message::new(message_id(5), id, author, content, world.now());
    commit.messages.push(note.clone());
    commit.events.push(EventKind::NoteAdded { message: note.clone() });
    tenant.commit(commit).await.unwrap();
    assert!(tenant.message(id, note.id).await.unwrap() == Some(note.clone()));
    assert!(tenant.outbound_before(id, world.now(), 9).await.unwrap().is_empty());
    assert!(tenant.outbox(id).await.unwrap().is_empty());
    // No report can be about it.
    let report = status("wamid.x", Some(note.id), DeliveryStatus::Sent);
    assert!(tenant.accept(channel_id(1), &[report]).await.unwrap().conversations.is_empty());
    let mut told = tenant.events(EventSeq(0), 9).await.unwrap();
    let shown = told.iter_mut().find(|event| event.kind.name() == "note.added").unwrap();
    assert!(shown.kind.message_mut().is_some_and(|shown| *shown == note));
}
