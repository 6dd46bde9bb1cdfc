//! One tenant put back into the store that runs.

use std::sync::Arc;

use bytes::Bytes;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::MediaId;
use iassistance_domain::outbox::OutboxState;
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::backup::{BackupError, Replaced, Which};
use iassistance_storage::{Dispatch, SledOptions, SledStore, Store};

use crate::setup::*;
use crate::support::*;

async fn put_back(room: &Room, bytes_max: usize) -> Result<(Replaced, u64), BackupError> {
    let source = room.source();
    let chain = source.chain(Which::Latest, Some(tenant_id(1))).await?;
    let to = (&room.sled, &room.content);
    let ready = async { Ok(()) };
    source.restore_tenant(&chain, &room.identity, to, (tenant_id(1), bytes_max), ready).await
}

#[tokio::test]
async fn one_tenant_is_put_back_and_the_others_stay() {
    let mut room = Room::new().await;
    let (one, two) = (room.world.tenant(1).await, room.world.tenant(2).await);
    let conversation = hear(&*one, 1, "5491100000001", "kept").await;
    one.commit(handled(&*one, conversation).await).await.unwrap();
    queue(&*one, conversation, &[message_id(7)], None).await;
    room.keep_file(1, 1, b"lost later").await;
    let seq = *one.latest_event().borrow();
    room.make(&room.backups()).await;
    drop((one, two));
    let then = room.rows().await;

    let (one, two) = (room.world.open_tenant(1).await, room.world.open_tenant(2).await);
    // What came after is lost with the tenant's damage; the other tenant goes on.
    for number in 0..5 {
        hear(&*one, 1, &format!("54911000009{number}"), &format!("after {number}")).await;
        hear(&*two, 2, &format!("54911000009{number}"), &format!("after {number}")).await;
    }
    let Dispatch::Go(entry) = one.begin_dispatch(conversation).await.unwrap() else { panic!("it waits") };
    one.settle(conversation, sent(entry.message, "wamid.GONE", room.world.now())).await.unwrap();
    one.append(None, vec![EventKind::ContactOptedOut]).await.unwrap();
    let mut latest = one.latest_event();
    latest.mark_unchanged();
    room.world.store.remove_channel(TenantCtx::platform(tenant_id(1)), channel_id(1)).await.unwrap();
    room.content.delete(tenant_id(1), MediaId::from_bytes([1; 16])).await.unwrap();
    drop(two);
    let before = room.world.open_tenant(2).await.unfinished(None, 100).await.unwrap();

    let small = put_back(&room, 100).await.unwrap_err();
    assert!(matches!(small, BackupError::TooLarge { .. }), "{small}");
    let (replaced, media) = put_back(&room, usize::MAX).await.unwrap();
    assert_eq!((replaced.created, replaced.channels, replaced.held, media), (false, 1, 1, 1));
    assert_eq!(*latest.borrow_and_update(), seq, "who follows the log hears of it");
    assert_eq!(one.conversations(None, 10).await.unwrap().len(), 1, "those of after are gone");
    assert_eq!(one.messages(conversation, None, 10).await.unwrap().len(), 2);
    // The message had left; nobody here knows, so it is not sent again.
    let Dispatch::NotYet(entry) = one.begin_dispatch(conversation).await.unwrap() else { panic!("held") };
    assert!(matches!(entry.state, OutboxState::Unknown { .. }));
    let next = one.append(None, vec![EventKind::ContactOptedOut]).await.unwrap();
    assert_eq!(next, EventSeq(seq.0 + 1), "the log goes on without a gap");
    hear(&*one, 1, "5491100000044", "later").await;
    assert_eq!(room.world.store.routes(&address(1)).len(), 1, "the channel is connected again");
    let file = room.content.get(tenant_id(1), MediaId::from_bytes([1; 16])).await.unwrap().unwrap();
    assert_eq!(file.read().await.unwrap(), b"lost later");
    assert_eq!(room.world.open_tenant(2).await.unfinished(None, 100).await.unwrap(), before);
    let (_, damaged) = room.world.store.check(&|_, _| {}).await.unwrap();
    assert_eq!(damaged, Vec::<String>::new());
    drop((one, latest));
    let now = room.rows().await;
    let kept = |(key, sealed): (&(Vec<u8>, Vec<u8>), &Vec<u8>)| now.get(key) == Some(sealed);
    let of_one = of_tenant(&then, tenant_id(1));
    // All but the entry of the outbox, and what the conversation and its channel became since.
    assert!(of_one.iter().filter(|row| !kept(*row)).count() <= 1, "records are as they were stored");
}

/// The keyring has the tenant's keys, and its record and its tree are in another store.
#[tokio::test]
async fn a_tenant_that_is_not_there_any_more_comes_back() {
    let mut room = Room::new().await;
    let one = room.world.tenant(1).await;
    let conversation = hear(&*one, 1, "5491100000001", "kept").await;
    room.keep_file(1, 1, b"a file").await;
    room.make(&room.backups()).await;
    drop(one);
    let home = room.world.home.as_ref().unwrap();
    let empty = SledStore::open(
        SledOptions::new(room.folder.path().join("empty"), small_limits()),
        Arc::clone(&home.keyring),
        Arc::new(room.world.clock.clone()),
        Arc::new(iassistance_domain::SeededEntropy::new(5)),
    )
    .unwrap();
    room.world.store.close().await;
    room.sled = empty;
    room.world.store = Arc::new(room.sled.clone());
    room.content = content(&room.folder.path().join("empty-media"), &room.world.store);
    let (replaced, media) = put_back(&room, usize::MAX).await.unwrap();
    assert_eq!((replaced.created, replaced.channels, media), (true, 1, 1));
    let one = room.world.open_tenant(1).await;
    assert_eq!(told(&one.inbox(conversation, 10).await.unwrap()), ["kept"]);
    assert_eq!(room.world.store.routes(&address(1)).len(), 1);
    let id = MediaId::from_bytes([9; 16]);
    let new = iassistance_storage::ContentOwner::Tenant;
    room.content
        .put_bytes(tenant_id(1), new, id, "text/plain", None, Bytes::from_static(b"new"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_tenant_without_keys_is_refused() {
    let room = Room::new().await;
    drop(room.world.tenant(1).await);
    room.make(&room.backups()).await;
    room.world.home.as_ref().unwrap().keyring.destroy_tenant(tenant_id(1)).unwrap();
    let refused = put_back(&room, usize::MAX).await.unwrap_err();
    assert!(matches!(refused, BackupError::NoKeys(_)), "{refused}");
}

/// A store that was restored does not send again what may have left since the backup.
#[tokio::test]
async fn a_restored_store_doubts_what_waits_to_be_sent() {
    let room = Room::new().await;
    let one = room.world.tenant(1).await;
    let conversation = hear(&*one, 1, "5491100000001", "words").await;
    queue(&*one, conversation, &[message_id(1), message_id(2)], None).await;
    room.make(&room.backups()).await;
    assert_eq!(room.sled.settle_restored().await.unwrap(), None, "it was never restored");
    room.restore(Which::Latest, 1).await.unwrap();
    let store = room.open_restored(1);
    assert_eq!(store.settle_restored().await.unwrap(), Some(2));
    assert_eq!(store.settle_restored().await.unwrap(), None, "once");
    let tenant = store.tenant(TenantCtx::platform(tenant_id(1))).await.unwrap();
    let entries = tenant.outbox(conversation).await.unwrap();
    assert!(entries.iter().all(|entry| matches!(entry.state, OutboxState::Unknown { .. })));
    store.close().await;
}
