//! Documents, their passages, and golden questions.

use iassistance_domain::event::{Event, EventKind, EventSeq};
use iassistance_domain::knowledge::DocumentState;
use iassistance_storage::{StorageError, TenantStore};

use crate::support::*;

fn ready(passages: usize) -> DocumentState {
    DocumentState::Ready { passages, by_meaning: true }
}

async fn changes(tenant: &dyn TenantStore) -> Vec<(u8, bool)> {
    let change = |event: Event| match event.kind {
        EventKind::KnowledgeChanged { document, removed } => Some((document.to_bytes()[0], removed)),
        _ => None,
    };
    tenant.events(EventSeq(0), 99).await.unwrap().into_iter().filter_map(change).collect()
}

pub async fn documents_come_and_go(mut world: World) {
    let tenant = world.tenant(1).await;
    for number in [2, 1] {
        tenant.put_document(document(number, DocumentState::Indexing)).await.unwrap();
    }
    tenant.put_passages(document_id(2), passages(2, 70, 1)).await.unwrap();
    tenant.put_document(document(2, ready(70))).await.unwrap();
    let failed = DocumentState::Failed { reason: "no text".to_owned() };
    tenant.put_document(document(1, failed.clone())).await.unwrap();
    drop(tenant);
    world.reopen().await;
    let tenant = &*world.open_tenant(1).await;
    assert_eq!(tenant.documents().await.unwrap(), [document(1, failed), document(2, ready(70))]);
    assert_eq!(tenant.document(document_id(2)).await.unwrap(), Some(document(2, ready(70))));
    assert_eq!(tenant.document(document_id(3)).await.unwrap(), None);
    assert_eq!(tenant.passages().await.unwrap(), passages(2, 70, 1));

    assert!(tenant.remove_document(document_id(2)).await.unwrap());
    assert!(!tenant.remove_document(document_id(2)).await.unwrap());
    assert!(tenant.passages().await.unwrap().is_empty());
    assert_eq!(tenant.documents().await.unwrap().len(), 1);
    let expected = [(2, false), (1, false), (2, false), (1, false), (2, true)];
    assert_eq!(changes(tenant).await, expected);
    // What was removed while it was read does not come back.
    let late = tenant.put_passages(document_id(2), passages(2, 1, 2)).await;
    assert!(matches!(late, Err(StorageError::NotFound("document"))));
    let late = tenant.put_document(document(2, ready(1))).await;
    assert!(matches!(late, Err(StorageError::NotFound("document"))));
    assert_eq!(changes(tenant).await.len(), 5);
    tenant.put_document(document(2, DocumentState::Indexing)).await.unwrap();
    assert!(tenant.passages().await.unwrap().is_empty(), "nor do its passages");
    let other = world.tenant(2).await;
    assert!(
        other.documents().await.unwrap().is_empty() && !other.remove_document(document_id(1)).await.unwrap()
    );
}

pub async fn passages_are_replaced_as_a_whole(world: World) {
    let tenant = &*world.tenant(1).await;
    for number in [1, 2] {
        tenant.put_document(document(number, DocumentState::Indexing)).await.unwrap();
        tenant.put_passages(document_id(number), passages(number, 40, 1)).await.unwrap();
    }
    tenant.put_passages(document_id(1), passages(1, 3, 2)).await.unwrap();
    let expected = [passages(1, 3, 2), passages(2, 40, 1)].concat();
    assert_eq!(tenant.passages().await.unwrap(), expected, "fewer than before");
    tenant.put_passages(document_id(2), Vec::new()).await.unwrap();
    assert_eq!(tenant.passages().await.unwrap(), passages(1, 3, 2));
    let bare = |place| {
        let mut bare = passages(1, 1, 3).remove(0);
        (bare.place, bare.embedding, bare.embedding_model) = (place, Vec::new(), None);
        bare
    };
    tenant.put_passages(document_id(1), vec![bare(7), bare(2)]).await.unwrap();
    assert_eq!(tenant.passages().await.unwrap(), [bare(2), bare(7)], "without a meaning, and in their order");
}

pub async fn whoever_reads_passages_sees_whole_editions(world: World) {
    let tenant = world.tenant(1).await;
    tenant.put_document(document(1, DocumentState::Indexing)).await.unwrap();
    tenant.put_passages(document_id(1), passages(1, 100, 1)).await.unwrap();
    let put = |edition: u16| {
        let tenant = std::sync::Arc::clone(&tenant);
        let count = u32::from(edition) * 100;
        async move { tenant.put_passages(document_id(1), passages(1, count, edition)).await.unwrap() }
    };
    let read = async {
        for _ in 0..20 {
            let seen = tenant.passages().await.unwrap();
            let edition = u16::try_from(seen.len() / 100).unwrap();
            assert!(
                seen == passages(1, u32::try_from(seen.len()).unwrap(), edition),
                "{} passages",
                seen.len()
            );
            tokio::task::yield_now().await;
        }
    };
    futures::future::join4(put(2), put(3), put(4), read).await;
    let last = tenant.passages().await.unwrap();
    assert!([200, 300, 400].contains(&last.len()));
    assert!(tenant.remove_document(document_id(1)).await.unwrap());
    let (_, bad) = unopened(&*world.store).await;
    assert!(bad.is_empty(), "{bad:?}");
}

pub async fn there_is_a_limit_to_knowledge(world: World) {
    let tenant = &*world.tenant(1).await;
    let numbered = |number: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let mut document = document(1, DocumentState::Indexing);
        document.id = iassistance_domain::id::DocumentId::from_bytes(id);
        document
    };
    for number in 0..500 {
        tenant.put_document(numbered(number)).await.unwrap();
    }
    let refused = tenant.put_document(numbered(500)).await.err();
    assert!(matches!(refused, Some(StorageError::Full { what: "documents", most: 500 })));
    assert_eq!(refused.unwrap().to_string(), "there may be at most 500 documents: remove some first");
    tenant.put_document(numbered(499)).await.unwrap();
    assert!(tenant.remove_document(numbered(0).id).await.unwrap());
    tenant.put_document(numbered(500)).await.unwrap();

    let few = |count| {
        let mut few = passages(1, count, 1);
        for passage in &mut few {
            passage.embedding.clear();
        }
        few
    };
    tenant.put_passages(numbered(1).id, few(1)).await.unwrap();
    let refused = tenant.put_passages(numbered(2).id, few(20_000)).await;
    assert!(matches!(refused, Err(StorageError::Full { most: 20_000, .. })));
    assert_eq!(tenant.passages().await.unwrap().len(), 1);
}

pub async fn golden_questions_are_kept(mut world: World) {
    let tenant = world.tenant(1).await;
    for number in [2, 1] {
        tenant.put_golden(golden(number, "When?")).await.unwrap();
    }
    tenant.put_golden(golden(2, "Where?")).await.unwrap();
    drop(tenant);
    world.reopen().await;
    let tenant = &*world.open_tenant(1).await;
    assert_eq!(tenant.golden().await.unwrap(), [golden(1, "When?"), golden(2, "Where?")]);
    assert!(tenant.remove_golden(golden(1, "").id).await.unwrap());
    assert!(!tenant.remove_golden(golden(1, "").id).await.unwrap());
    assert!(world.tenant(2).await.golden().await.unwrap().is_empty());
    let numbered = |number: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let mut question = golden(1, "What?");
        question.id = iassistance_domain::id::GoldenId::from_bytes(id);
        question
    };
    for number in 0..499 {
        tenant.put_golden(numbered(number)).await.unwrap();
    }
    let refused = tenant.put_golden(numbered(499)).await;
    assert!(matches!(refused, Err(StorageError::Full { what: "golden questions", most: 500 })));
    tenant.put_golden(golden(2, "Why?")).await.unwrap();
}
