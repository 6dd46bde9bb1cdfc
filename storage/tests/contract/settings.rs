//! The assistant's settings: versions, draft, publishing, rolling back.

use iassistance_domain::event::EventSeq;
use iassistance_storage::{StorageError, TenantStore};

use crate::support::*;

async fn versions(tenant: &dyn TenantStore, before: Option<u64>, limit: usize) -> Vec<u64> {
    let versions = tenant.assistant_versions(before, limit).await.unwrap();
    versions.iter().map(|version| version.version).collect()
}

pub async fn settings_have_versions(mut world: World) {
    let tenant = world.tenant(1).await;
    assert_eq!(tenant.assistant().await.unwrap(), None);
    assert_eq!(tenant.put_assistant(settings("a"), None).await.unwrap().version, 1);
    world.clock.advance_millis(5);
    let second = tenant.put_assistant(settings("b"), Some(1)).await.unwrap();
    assert_eq!((second.version, second.published_at, second.rolled_back_to), (2, Some(world.now()), None));
    assert!(matches!(tenant.put_assistant(settings("c"), Some(1)).await, Err(StorageError::Stale)));
    let latest = tenant.assistant().await.unwrap().unwrap();
    assert_eq!((latest.version, latest.settings), (2, settings("b")));
    let events = tenant.events(EventSeq(0), 10).await.unwrap();
    assert!(events.iter().all(|event| event.kind.name() == "settings.changed") && events.len() == 2);

    let former = tenant.assistant_version(1).await.unwrap().unwrap();
    assert_eq!((former.settings, former.published_at), (settings("a"), Some(START)));
    assert_eq!(tenant.assistant_version(3).await.unwrap(), None);
    for number in 3..=205 {
        tenant.put_assistant(settings(&number.to_string()), None).await.unwrap();
    }
    drop(tenant);
    world.reopen().await;
    let tenant = &*world.open_tenant(1).await;
    assert_eq!(versions(tenant, None, 3).await, [205, 204, 203]);
    assert_eq!(versions(tenant, Some(8), 99).await, [7, 6], "the newest 200 are kept");
    assert_eq!(tenant.assistant_version(5).await.unwrap(), None);
    assert_eq!(tenant.put_assistant(settings("d"), Some(205)).await.unwrap().version, 206);
    assert_eq!(versions(tenant, Some(9), 99).await, [8, 7]);
}

pub async fn a_draft_counts_once_it_is_published(mut world: World) {
    let tenant = world.tenant(1).await;
    assert_eq!(tenant.assistant_draft().await.unwrap(), None);
    let none = tenant.publish_assistant_draft(None).await;
    assert!(matches!(none, Err(StorageError::NotFound("draft"))));
    assert!(!tenant.discard_assistant_draft().await.unwrap());

    let draft = tenant.put_assistant_draft(settings("first")).await.unwrap();
    assert_eq!((draft.based_on, draft.saved_at), (0, START));
    assert!(
        tenant.assistant().await.unwrap().is_none()
            && tenant.events(EventSeq(0), 9).await.unwrap().is_empty()
    );
    assert_eq!(tenant.publish_assistant_draft(Some(0)).await.unwrap().version, 1);
    assert_eq!(tenant.assistant_draft().await.unwrap(), None, "it is in force");

    tenant.put_assistant_draft(settings("second")).await.unwrap();
    world.clock.advance_millis(1);
    let draft = tenant.put_assistant_draft(settings("third")).await.unwrap();
    assert_eq!((draft.based_on, draft.saved_at), (1, world.now()));
    drop(tenant);
    world.reopen().await;
    let tenant = &*world.open_tenant(1).await;
    assert_eq!(tenant.assistant_draft().await.unwrap(), Some(draft));
    assert_eq!(tenant.assistant().await.unwrap().unwrap().settings, settings("first"));
    assert!(matches!(tenant.publish_assistant_draft(Some(9)).await, Err(StorageError::Stale)));
    tenant.put_assistant(settings("between"), Some(1)).await.unwrap();
    let overtaken = tenant.publish_assistant_draft(Some(2)).await;
    assert!(matches!(overtaken, Err(StorageError::Stale)), "it is based on what does not count any more");
    assert!(tenant.assistant_draft().await.unwrap().is_some(), "and is kept");
    assert_eq!(tenant.put_assistant_draft(settings("fourth")).await.unwrap().based_on, 2);
    let published = tenant.publish_assistant_draft(None).await.unwrap();
    assert_eq!((published.version, published.settings), (3, settings("fourth")));
    let told = tenant.events(EventSeq(0), 9).await.unwrap();
    assert_eq!(told.iter().filter(|event| event.kind.name() == "settings.changed").count(), 3);

    tenant.put_assistant_draft(settings("fifth")).await.unwrap();
    assert!(
        tenant.discard_assistant_draft().await.unwrap() && !tenant.discard_assistant_draft().await.unwrap()
    );
    assert_eq!(tenant.assistant_draft().await.unwrap(), None);
}

pub async fn settings_are_rolled_back(world: World) {
    let tenant = world.tenant(1).await;
    for task in ["a", "b"] {
        tenant.put_assistant(settings(task), None).await.unwrap();
    }
    world.clock.advance_millis(5);
    let again = tenant.roll_back_assistant(1, Some(2)).await.unwrap();
    assert_eq!((again.version, again.rolled_back_to, again.published_at), (3, Some(1), Some(world.now())));
    assert_eq!(again.settings, settings("a"));
    assert_eq!(tenant.assistant().await.unwrap(), Some(again));
    assert!(matches!(tenant.roll_back_assistant(1, Some(2)).await, Err(StorageError::Stale)));
    for unknown in [0, 9] {
        let refused = tenant.roll_back_assistant(unknown, None).await;
        assert!(matches!(refused, Err(StorageError::NotFound("version"))));
    }
    assert_eq!(versions(&*tenant, None, 9).await, [3, 2, 1]);
    assert_eq!(tenant.events(EventSeq(0), 9).await.unwrap().len(), 3);
    let other = world.tenant(2).await;
    assert!(other.assistant_version(1).await.unwrap().is_none());
}
