//! Steps of a conversation, and what can be read of it.

use iassistance_domain::Pii;
use iassistance_domain::conversation::{Epoch, Input};
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind, EventSeq};
use iassistance_domain::id::{ConversationId, DeadLetterId};
use iassistance_domain::message::Content;
use iassistance_storage::{Letter, StorageError, TenantStore, TurnCommit};

use crate::support::*;

pub async fn letters_are_read_in_order_and_acknowledged(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "1").await;
    let other = hear(&*tenant, 1, "550", "other").await;
    for text in 2..=9 {
        assert_eq!(hear(&*tenant, 1, "549", &text.to_string()).await, id);
    }
    let letters = tenant.inbox(id, 3).await.unwrap();
    assert_eq!(told(&letters), ["1", "2", "3"]);
    assert!(letters.iter().all(|letter| letter.accepted_at == START));
    let ids: Vec<_> = letters
        .iter()
        .map(|letter| matches!(letter.letter, Letter::Inbound { message: Some(_), .. }))
        .collect();
    assert_eq!(ids, [true; 3], "each message has an id of its own");

    let mut commit = step(&*tenant, id).await;
    commit.acknowledge = vec![letters[0].seq, letters[2].seq, 999_999];
    tenant.commit(commit).await.unwrap();
    assert_eq!(told(&tenant.inbox(id, 2).await.unwrap()), ["2", "4"]);
    assert_eq!(told(&tenant.inbox(other, 9).await.unwrap()), ["other"]);
}

pub async fn few_letters_and_many_are_read_alike(world: World) {
    let tenant = world.tenant(1).await;
    let texts: Vec<String> = (0..40).map(|number| format!("text {number}")).collect();
    let events: Vec<_> = texts.iter().map(|text| wrote(identity("549"), None, text)).collect();
    let id = tenant.accept(channel_id(1), &events).await.unwrap().conversations[0];
    for limit in [0, 1, 5, 16, 17, 39, 40, 1_000] {
        let read = told(&tenant.inbox(id, limit).await.unwrap());
        assert!(read == texts[..limit.min(40)], "of {limit} at most");
    }
    let ids: Vec<_> = (0..40).map(message_id).collect();
    queue(&*tenant, id, &ids, None).await;
    let waiting: Vec<_> = tenant.outbox(id).await.unwrap().iter().map(|entry| entry.message).collect();
    assert_eq!(waiting, ids);
}

pub async fn only_the_revision_that_was_loaded_is_written(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let stale = step(&*tenant, id).await;
    let mut commit = stale.clone();
    commit.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, world.now());
    commit.events.push(EventKind::ChannelConnected { channel: channel_id(1) });
    tenant.commit(commit.clone()).await.unwrap();
    let mut late = stale;
    late.messages.push(outgoing(&late.conversation, message_id(5), None));
    late.acknowledge.push(tenant.inbox(id, 1).await.unwrap()[0].seq);
    assert!(matches!(tenant.commit(late).await, Err(StorageError::Stale)));
    let (stored, revision) = tenant.conversation(id).await.unwrap().unwrap();
    assert_eq!((stored.epoch(), revision), (commit.conversation.epoch(), commit.revision + 1));
    assert!(tenant.message(id, message_id(5)).await.unwrap().is_none(), "nothing of it was written");
    assert_eq!(tenant.inbox(id, 9).await.unwrap().len(), 1);
}

pub async fn a_turn_commits_only_in_its_epoch(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut begun = step(&*tenant, id).await;
    begin_turn(&mut begun.conversation, world.now());
    assert!(begun.conversation.running_turn().is_some());
    let epoch = begun.conversation.epoch();
    tenant.commit(begun).await.unwrap();
    let reply = async || {
        let mut commit = step(&*tenant, id).await;
        commit.messages.push(outgoing(&commit.conversation, message_id(5), None));
        commit.outbox.push(entry(&commit.conversation, message_id(5), Some(epoch.0)));
        commit
    };
    let turn = TurnCommit { epoch: Epoch(epoch.0 + 1), commit: reply().await };
    assert!(matches!(tenant.commit_turn(turn).await, Err(StorageError::Stale)));
    let late = TurnCommit { epoch, commit: reply().await };
    let mut taken = step(&*tenant, id).await;
    taken.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, world.now());
    tenant.commit(taken).await.unwrap();
    assert!(matches!(tenant.commit_turn(late).await, Err(StorageError::Stale)));
    let loaded_after = TurnCommit { epoch, commit: reply().await };
    assert!(matches!(tenant.commit_turn(loaded_after).await, Err(StorageError::Stale)), "its epoch is over");
    let present = step(&*tenant, id).await.conversation.epoch();
    tenant.commit_turn(TurnCommit { epoch: present, commit: reply().await }).await.unwrap();
    assert_eq!(tenant.outbox(id).await.unwrap().len(), 1);
}

pub async fn deliveries_only_advance(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    queue(&*tenant, id, &[message_id(1)], None).await;
    let report = async |stage| {
        let mut commit = step(&*tenant, id).await;
        commit.deliveries.push((message_id(1), delivery(stage), None));
        commit.deliveries.push((message_id(99), delivery(stage), Some(Pii::new("wamid.99".to_owned()))));
        tenant.commit(commit).await.unwrap();
        tenant.message(id, message_id(1)).await.unwrap().unwrap().delivery.unwrap().status
    };
    assert_eq!(report(DeliveryStatus::Delivered).await, DeliveryStatus::Delivered);
    assert_eq!(report(DeliveryStatus::Sent).await, DeliveryStatus::Delivered);
    assert_eq!(report(DeliveryStatus::Read).await, DeliveryStatus::Read);
    assert!(tenant.message(id, message_id(99)).await.unwrap().is_none());
}

pub async fn what_is_unfinished_is_found(mut world: World) {
    let tenant = world.tenant(1).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        world.clock.advance_millis(1);
        ids.push(hear(&*tenant, 1, &format!("54{number}"), &format!("text {number}")).await);
    }
    let read_all = async |tenant: &dyn TenantStore, id| {
        let mut commit = step(tenant, id).await;
        commit.acknowledge = tenant.inbox(id, 99).await.unwrap().iter().map(|letter| letter.seq).collect();
        commit
    };
    let now = world.now();
    for (number, id) in ids.iter().enumerate() {
        let mut commit = read_all(&*tenant, *id).await;
        match number {
            0 => begin_turn(&mut commit.conversation, now),
            1 => commit.outbox.push(entry(&commit.conversation, message_id(1), None)),
            2 => commit.acknowledge.clear(),
            _ => {}
        }
        tenant.commit(commit).await.unwrap();
    }
    drop(tenant);
    world.reopen().await;
    let tenant = world.open_tenant(1).await;
    assert_eq!(tenant.unfinished(None, 99).await.unwrap(), ids[..3]);
    assert_eq!(tenant.unfinished(None, 2).await.unwrap(), ids[..2]);
    assert_eq!(tenant.unfinished(Some(ids[1]), 99).await.unwrap(), ids[2..3]);
    assert!(tenant.unfinished(Some(ids[2]), 99).await.unwrap().is_empty());
    let mut commit = step(&*tenant, ids[0]).await;
    commit.conversation.apply(Input::TakenOver { operator: "op".to_owned() }, now);
    tenant.commit(commit).await.unwrap();
    assert_eq!(tenant.unfinished(None, 99).await.unwrap(), ids[1..3], "the turn has ended");
}

pub async fn events_have_no_gaps_and_are_watched(world: World) {
    let tenant = world.tenant(1).await;
    let mut latest = tenant.latest_event();
    assert_eq!(*latest.borrow_and_update(), EventSeq(0));
    let id = hear(&*tenant, 1, "549", "hello").await;
    assert!(latest.has_changed().unwrap());
    assert_eq!(*latest.borrow_and_update(), EventSeq(1));
    let fact = || EventKind::ChannelConnected { channel: channel_id(1) };
    let mut commit = step(&*tenant, id).await;
    commit.events = vec![fact(), fact()];
    assert_eq!(tenant.commit(commit).await.unwrap(), EventSeq(3));
    assert_eq!(tenant.commit(step(&*tenant, id).await).await.unwrap(), EventSeq(3), "the latest there is");
    assert_eq!(tenant.append(None, vec![fact(), fact()]).await.unwrap(), EventSeq(5));
    assert_eq!(tenant.append(Some(id), vec![fact()]).await.unwrap(), EventSeq(6));
    let nowhere = ConversationId::from_bytes([8; 16]);
    assert!(matches!(
        tenant.append(Some(nowhere), vec![fact()]).await,
        Err(StorageError::NotFound("conversation"))
    ));
    assert_eq!(*latest.borrow_and_update(), EventSeq(6));
    assert_eq!(*tenant.latest_event().borrow(), EventSeq(6));
    let log = tenant.events(EventSeq(0), 99).await.unwrap();
    assert_eq!(log.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(
        log.iter().map(|event| event.conversation.is_some()).collect::<Vec<_>>(),
        [true, true, true, false, false, true]
    );
    assert!(
        log.iter().all(|event| event.at == START && event.contact.is_some() == event.conversation.is_some())
    );
    let some = tenant.events(EventSeq(2), 2).await.unwrap();
    assert_eq!(some.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [3, 4]);
    assert!(tenant.events(EventSeq(6), 9).await.unwrap().is_empty());
    assert!(tenant.events(EventSeq(u64::MAX), 9).await.unwrap().is_empty());
}

pub async fn lists_are_paged(world: World) {
    let tenant = world.tenant(1).await;
    let mut ids = Vec::new();
    for number in 0..7 {
        world.clock.advance_millis(1);
        ids.push(hear(&*tenant, 1, &format!("54{number}"), &format!("text {number}")).await);
    }
    let mut seen = Vec::new();
    loop {
        let page = tenant.conversations(seen.last().copied(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|conversation| conversation.id));
    }
    ids.reverse();
    assert_eq!(seen, ids);

    let (mine, other) = (ids[0], ids[1]);
    queue(&*tenant, mine, &[message_id(3), message_id(1), message_id(2)], None).await;
    queue(&*tenant, other, &[message_id(4)], None).await;
    let page = async |before, limit| {
        let messages = tenant.messages(mine, before, limit).await.unwrap();
        messages.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, [message_id(3), message_id(2)]);
    assert_eq!(page(Some(message_id(2)), 2).await, [message_id(1)]);
    assert!(page(Some(message_id(1)), 2).await.is_empty());
    assert!(page(None, 0).await.is_empty());
}

pub async fn dead_letters_and_turns(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let letter = |number: u8| DeadLetter {
        id: DeadLetterId::from_bytes([number; 16]),
        conversation: id,
        work: DeadWork::Conversation,
        reason: "failed".to_owned(),
        at: START,
        replayed_at: None,
    };
    let turn = |number: u64| turn(id, number, START);
    let mut commit = step(&*tenant, id).await;
    commit.dead_letters = vec![letter(1), letter(2)];
    commit.turns = vec![turn(1), turn(2)];
    tenant.commit(commit).await.unwrap();
    let mut replayed = letter(1);
    replayed.replayed_at = Some(START);
    let event = EventKind::DeadLetterReplayed { dead_letter: replayed.id };
    tenant.put_dead_letter(replayed.clone(), event).await.unwrap();
    assert_eq!(tenant.dead_letters(None, 9).await.unwrap(), [letter(2), replayed.clone()]);
    assert_eq!(tenant.dead_letters(Some(letter(2).id), 9).await.unwrap(), [replayed.clone()]);
    assert_eq!(tenant.dead_letter(replayed.id).await.unwrap(), Some(replayed));
    let last = tenant.events(EventSeq(1), 9).await.unwrap().pop().unwrap();
    assert!(last.kind.name() == "dead_letter.replayed" && last.conversation == Some(id));

    let mut ended = turn(2);
    ended.ended_at = Some(START);
    let mut commit = step(&*tenant, id).await;
    commit.turns = vec![ended.clone()];
    tenant.commit(commit).await.unwrap();
    assert!(tenant.turns(id, None, 1).await.unwrap() == [ended.clone()]);
    assert!(tenant.turns(id, Some(ended.id), 9).await.unwrap() == [turn(1)]);
    assert!(tenant.turn(id, ended.id).await.unwrap() == Some(ended));
}

pub async fn a_message_can_be_put_again(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    queue(&*tenant, id, &[message_id(1)], None).await;
    let put = async |content: &str, status, provider_id| {
        let mut commit = step(&*tenant, id).await;
        let mut message = outgoing(&commit.conversation, message_id(1), provider_id);
        message.content = Content::text(content);
        message.delivery = status;
        commit.messages.push(message);
        tenant.commit(commit).await.unwrap();
        tenant.message(id, message_id(1)).await.unwrap().unwrap()
    };
    let first = put("first", Some(delivery(DeliveryStatus::Delivered)), Some("wamid.one")).await;
    assert_eq!(words(&first.content), "first");
    assert_eq!(first.delivery, Some(delivery(DeliveryStatus::Delivered)));
    let again = put("second", Some(delivery(DeliveryStatus::Sent)), None).await;
    assert_eq!(words(&again.content), "second");
    assert_eq!(again.delivery, Some(delivery(DeliveryStatus::Delivered)), "it does not go back");
    assert!(again.provider_id == first.provider_id, "nor is Meta's id lost");
    assert_eq!(put("third", None, None).await.delivery, again.delivery);
    let read = put("fourth", Some(delivery(DeliveryStatus::Read)), Some("wamid.one")).await;
    assert_eq!(read.delivery, Some(delivery(DeliveryStatus::Read)));
    let mut commit = step(&*tenant, id).await;
    let mut gone = read.clone();
    gone.remove(START);
    commit.messages.extend([gone, read]);
    tenant.commit(commit).await.unwrap();
    let stored = tenant.message(id, message_id(1)).await.unwrap().unwrap();
    assert!(stored.content == Content::Removed && stored.removed_at == Some(START), "it stays taken back");
}

pub async fn the_log_shows_messages_as_they_are(mut world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut commit = handled(&*tenant, id).await;
    let never_put = outgoing(&commit.conversation, message_id(9), Some("wamid.nine"));
    commit.events.push(EventKind::MessageQueued { message: never_put.clone() });
    tenant.commit(commit).await.unwrap();
    let provider = "wamid.hello";
    let changes = [edited(provider, 1, "edited"), reacted(provider, identity("549"), "+")];
    tenant.accept(channel_id(1), &changes).await.unwrap();
    tenant.commit(handled(&*tenant, id).await).await.unwrap();
    let shown = async |tenant: &dyn TenantStore| {
        let log = tenant.events(EventSeq(1), 9).await.unwrap();
        log.into_iter().filter_map(|mut event| event.kind.message_mut().cloned()).collect::<Vec<_>>()
    };
    let messages = shown(&*tenant).await;
    let present = tenant.message(id, messages[0].id).await.unwrap().unwrap();
    assert!(words(&present.content) == "edited" && present.reactions.len() == 1);
    assert!(messages.len() == 3 && messages[0] == present && messages[2] == present, "as it is now");
    let bare = &messages[1];
    assert!(bare.id == never_put.id && bare.author == never_put.author && bare.sent_at == never_put.sent_at);
    assert!(bare.content == Content::Empty && bare.provider_id.is_none() && bare.delivery.is_none());

    tenant.accept(channel_id(1), &[removed(provider, 1)]).await.unwrap();
    tenant.commit(handled(&*tenant, id).await).await.unwrap();
    drop(tenant);
    world.reopen().await;
    let messages = shown(&*world.open_tenant(1).await).await;
    assert!(messages[0].content == Content::Removed && messages[2].reactions.is_empty());
}

pub async fn what_went_out_before_a_moment(world: World) {
    let tenant = world.tenant(1).await;
    let id = hear(&*tenant, 1, "549", "hello").await;
    let mut commit = step(&*tenant, id).await;
    for number in 0..210 {
        let mut message = outgoing(&commit.conversation, message_id(number), None);
        message.sent_at = START.plus_millis(number);
        if number % 2 == 1 {
            message.delivery = None;
        }
        commit.messages.push(message);
    }
    tenant.commit(commit).await.unwrap();
    let before = async |millis, limit| {
        let found = tenant.outbound_before(id, START.plus_millis(millis), limit).await.unwrap();
        found.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(before(20, 3).await, [20, 18, 16].map(message_id));
    assert_eq!(before(21, 1).await, [message_id(20)]);
    assert_eq!(before(14, 99).await, [14, 12, 10].map(message_id), "not further back than 200 messages");
    assert!(before(9, 99).await.is_empty() && before(99, 0).await.is_empty());
}
