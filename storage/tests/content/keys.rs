//! Where the keys of files come from.

use std::sync::Arc;

use bytes::Bytes;

use iassistance_domain::channel::{Channel, ChannelHealth, Connection, StoredSecret};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::Content;
use iassistance_domain::id::{ChannelId, MetaAppId, TenantId};
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{ManualClock, Pii, SeededEntropy, Timestamp};
use iassistance_storage::{
    ContentError, ContentOwner, ContentStore, Examination, Limits, MemoryStore, Problem, SledOptions,
    SledStore, StorageError, Store,
};
use iassistance_vault::{ContentKey, Keyring, RootKey, SystemEntropy};

use super::{BOB, MAX, ONE, TWO, content, media, put, read};

/// What every store of records must do for the keys of files.
async fn hands_out_keys(store: Arc<dyn Store>) -> (ContentStore, ContentOwner) {
    let files = ContentStore::memory(MAX, Arc::clone(&store));
    for tenant in [ONE, TWO] {
        let record = Tenant::new(tenant, "a tenant".to_owned(), Timestamp::EPOCH);
        store.create_tenant(record).await.unwrap();
        store.put_channel(channel(tenant)).await.unwrap();
    }
    let tenant = store.tenant(TenantCtx::platform(ONE)).await.unwrap();
    let accepted = tenant.accept(channel(ONE).id, &[written()]).await.unwrap();
    let (conversation, _) = tenant.conversation(accepted.conversations[0]).await.unwrap().unwrap();
    let ada = ContentOwner::Contact(conversation.contact);
    assert!(matches!(tenant.content_key(BOB).await, Err(StorageError::NotFound(_))));
    for (number, owner) in [(1, ada), (2, ContentOwner::Tenant)] {
        let key = tenant.content_key(owner).await.unwrap();
        assert_eq!(key.mark(), tenant.content_key(owner).await.unwrap().mark(), "it stays");
        put(&files, owner, media(number), content(10)).await.unwrap();
        assert!(read(&files, ONE, media(number)).await.unwrap() == content(10));
    }
    let mark = |key: ContentKey| key.mark();
    let tenants = mark(tenant.content_key(ContentOwner::Tenant).await.unwrap());
    assert_ne!(mark(tenant.content_key(ada).await.unwrap()), tenants);
    let other = store.tenant(TenantCtx::platform(TWO)).await.unwrap();
    assert_ne!(mark(other.content_key(ContentOwner::Tenant).await.unwrap()), tenants);
    assert!(matches!(other.content_key(ada).await, Err(StorageError::NotFound(_))));
    let late = files.put_bytes(TWO, ada, media(3), "image/png", None, Bytes::new()).await;
    assert!(matches!(late, Err(ContentError::KeyGone { .. })));
    (files, ada)
}

fn channel(tenant: TenantId) -> Channel {
    Channel {
        id: ChannelId::from_bytes(tenant.to_bytes()),
        tenant,
        meta_app: MetaAppId::from_bytes([1; 16]),
        connection: Connection::Page,
        external_id: tenant.to_string(),
        name: "a page".to_owned(),
        access_token: StoredSecret::new("token"),
        token_owner: None,
        health: ChannelHealth::connecting(Timestamp::EPOCH),
        created_at: Timestamp::EPOCH,
    }
}

fn written() -> InboundEvent {
    let kind = InboundKind::MessageReceived {
        provider_id: Pii::new("m_1".to_owned()),
        from: ContactIdentity::scoped(Some("1".to_owned())).unwrap(),
        profile_name: None,
        content: Content::text("hello"),
        context: None,
        referral: None,
        arrival: Arrival::Live,
    };
    InboundEvent { dedup: Pii::new("m_1".to_owned()), occurred_at: Timestamp::EPOCH, kind }
}

#[tokio::test]
async fn a_store_in_memory_has_keys_for_files() {
    let (clock, entropy) = (ManualClock::at(Timestamp::EPOCH), SeededEntropy::new(1));
    let store = MemoryStore::new(Limits::default(), Arc::new(clock), Arc::new(entropy));
    hands_out_keys(Arc::new(store)).await;
}

#[tokio::test]
async fn keys_for_files_outlive_the_process_and_go_with_the_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
    let keyring = Keyring::open(&folder.path().join("keyring"), &root, false, Arc::new(SystemEntropy));
    let keyring = Arc::new(keyring.unwrap());
    let open = || -> Arc<dyn Store> {
        let (clock, entropy) = (ManualClock::at(Timestamp::EPOCH), SeededEntropy::new(1));
        let options = SledOptions::new(folder.path().join("store"), Limits::default());
        let (clock, entropy) = (Arc::new(clock), Arc::new(entropy));
        Arc::new(SledStore::open(options, Arc::clone(&keyring), clock, entropy).unwrap())
    };
    let store = open();
    let (files, ada) = hands_out_keys(Arc::clone(&store)).await;
    let marks = async |store: &Arc<dyn Store>| {
        let tenant = store.tenant(TenantCtx::platform(ONE)).await.unwrap();
        let tenants = tenant.content_key(ContentOwner::Tenant).await.unwrap().mark();
        (tenant.content_key(ada).await.unwrap().mark(), tenants)
    };
    let before = marks(&store).await;
    store.close().await;
    drop((store, files));
    let store = open();
    assert!(marks(&store).await == before);
    let found = store.examine(&Examination::default(), &|_| {}).await.unwrap();
    assert!(found.findings.iter().all(|finding| finding.problem != Problem::DoesNotOpen));
    let tenant = store.tenant(TenantCtx::platform(ONE)).await.unwrap();
    keyring.destroy_tenant(ONE).unwrap();
    assert!(matches!(tenant.content_key(ada).await, Err(StorageError::NoSuchTenant(ONE))));
}
