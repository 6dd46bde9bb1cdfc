//! The audit log and the access log.

use iassistance_domain::access::{AccessOf, AccessRecord};
use iassistance_domain::audit::{Actor, AuditEntry, Checkpoint};
use iassistance_domain::id::{AccessId, AccountId, TenantId};
use iassistance_domain::pii::SignIn;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::trail::link;
use iassistance_storage::{StorageError, Trail};

use crate::support::*;

fn entry(number: u64) -> AuditEntry {
    let at = START.plus_millis(number);
    AuditEntry::new(at, Actor::CommandLine, "key.created").on(&number).with("number", &number)
}

/// Every link of a chain holds.
async fn is_whole(trail: &dyn Trail, chain: Option<TenantId>, entries: u64) {
    let sealed = trail.sealed_audit(chain, 0, usize::MAX).await.unwrap();
    let mut previous = [0; 32];
    for (place, it) in sealed.iter().enumerate() {
        assert_eq!((it.seq, it.previous), (place as u64 + 1, previous));
        assert_eq!(it.hash, link(chain, it.seq, &it.previous, &it.sealed));
        previous = it.hash;
    }
    assert_eq!(sealed.len() as u64, entries);
    let head = trail.audit_head(chain).await.unwrap();
    assert_eq!(head, (entries > 0).then_some((entries, previous)));
}

pub async fn each_chain_is_linked(mut world: World) {
    drop(world.tenant(1).await);
    drop(world.tenant(2).await);
    let chain = Some(tenant_id(1));
    let trail = world.store.trail();
    is_whole(trail, chain, 0).await;
    for number in 1..=3 {
        assert_eq!(trail.append_audit(chain, entry(number)).await.unwrap(), number);
    }
    assert_eq!(trail.append_audit(None, entry(7)).await.unwrap(), 1, "each chain counts for itself");
    world.reopen().await;
    let trail = world.store.trail();
    assert_eq!(trail.append_audit(chain, entry(4)).await.unwrap(), 4, "it goes on where it ended");
    for (chain, entries) in [(chain, 4), (None, 1), (Some(tenant_id(2)), 0)] {
        is_whole(trail, chain, entries).await;
    }
    let seqs = |entries: Vec<AuditEntry>| entries.iter().map(|entry| entry.seq).collect::<Vec<_>>();
    assert_eq!(seqs(trail.audit(chain, None, 2).await.unwrap()), [4, 3]);
    assert_eq!(seqs(trail.audit(chain, Some(3), 9).await.unwrap()), [2, 1]);
    assert_eq!(seqs(trail.audit_after(chain, 1, 2).await.unwrap()), [2, 3]);
    assert_eq!(trail.sealed_audit(chain, 3, 9).await.unwrap().len(), 1);
    assert!(trail.audit(chain, Some(2), 1).await.unwrap() == [AuditEntry { seq: 1, ..entry(1) }]);
    let nobody = trail.append_audit(Some(tenant_id(9)), entry(1)).await;
    assert!(matches!(nobody, Err(StorageError::NoSuchTenant(_))));
}

pub async fn many_at_once_make_one_chain(world: World) {
    drop(world.tenant(1).await);
    let chain = Some(tenant_id(1));
    let appends = (1..=200).map(|number| world.store.trail().append_audit(chain, entry(number)));
    let mut places: Vec<_> = futures_of(appends).await.into_iter().map(|place| place.unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, (1..=200).collect::<Vec<_>>());
    is_whole(world.store.trail(), chain, 200).await;
}

async fn futures_of<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures::future::join_all(futures).await
}

pub async fn checkpoints_are_kept(world: World) {
    drop(world.tenant(1).await);
    let trail = world.store.trail();
    let checkpoint = |tenant: Option<TenantId>, seq: u64| Checkpoint {
        tenant,
        seq,
        hash: [9; 32],
        at: START.plus_millis(seq),
        note: "a note\n".to_owned(),
        key_id: "k1".to_owned(),
    };
    let chain = Some(tenant_id(1));
    for seq in [1, 5, 9] {
        trail.put_checkpoint(checkpoint(chain, seq)).await.unwrap();
    }
    trail.put_checkpoint(checkpoint(None, 2)).await.unwrap();
    assert_eq!(
        trail.checkpoints(chain, None, 2).await.unwrap(),
        [checkpoint(chain, 9), checkpoint(chain, 5)]
    );
    assert_eq!(trail.checkpoints(chain, Some(5), 2).await.unwrap(), [checkpoint(chain, 1)]);
    assert_eq!(trail.checkpoints(None, None, 2).await.unwrap(), [checkpoint(None, 2)]);
}

fn request(number: u16, account: Option<u8>, tenant: Option<u8>) -> AccessRecord {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    AccessRecord {
        id: AccessId::from_bytes(id),
        at: START.plus_millis(number.into()),
        address: Pii::new("203.0.113.77".to_owned()),
        agent: "curl".to_owned(),
        device: None,
        who: account.map(|number| Actor::Account { account: AccountId::from_bytes([number; 16]) }),
        session: None,
        tenant: tenant.map(tenant_id),
        method: "GET".to_owned(),
        route: "/v1/tenants/{tenant}".to_owned(),
        status: 200,
        ms: 3,
        contacts: Vec::new(),
        conversations: Vec::new(),
        part_of: None,
    }
}

fn places(records: &[AccessRecord]) -> Vec<i64> {
    records.iter().map(|record| record.at.as_millis() - START.as_millis()).collect()
}

pub async fn requests_are_on_the_record(world: World) {
    let trail = world.store.trail();
    let records = [
        request(1, None, None),
        request(2, Some(1), Some(1)),
        request(3, Some(2), Some(1)),
        request(4, Some(1), None),
    ];
    trail.append_access(records.to_vec()).await.unwrap();
    trail.append_access(vec![request(5, Some(1), Some(2))]).await.unwrap();
    let account = AccessOf::Account(AccountId::from_bytes([1; 16]));
    let of_tenant = AccessOf::Tenant(tenant_id(1));
    assert!(trail.access(AccessOf::All, None, 1).await.unwrap() == [request(5, Some(1), Some(2))]);
    assert_eq!(places(&trail.access(AccessOf::All, None, 9).await.unwrap()), [5, 4, 3, 2, 1]);
    assert_eq!(places(&trail.access(account, None, 2).await.unwrap()), [5, 4]);
    assert_eq!(places(&trail.access(account, Some(request(4, None, None).id), 2).await.unwrap()), [2]);
    assert_eq!(places(&trail.access(of_tenant, None, 9).await.unwrap()), [3, 2]);
}

pub async fn addresses_are_shortened_then_requests_go(mut world: World) {
    let trail = world.store.trail();
    let records: Vec<_> = (1..=1_500).map(|number| request(number, Some(1), Some(1))).collect();
    trail.append_access(records).await.unwrap();
    let before = |number: u64| START.plus_millis(number);
    let whole = |records: Vec<AccessRecord>| {
        records.iter().filter(|record| record.address.reveal(SignIn) == "203.0.113.77").count()
    };
    assert_eq!(trail.shorten_access(before(1_201)).await.unwrap(), 1_000, "so many at once");
    assert_eq!(trail.shorten_access(before(1_201)).await.unwrap(), 200);
    assert_eq!(trail.shorten_access(before(1_201)).await.unwrap(), 0, "all are done");
    assert_eq!(whole(trail.access(AccessOf::All, None, 9_999).await.unwrap()), 300);
    world.reopen().await;
    let trail = world.store.trail();
    assert_eq!(trail.shorten_access(before(1_301)).await.unwrap(), 100, "none is gone through again");
    let last = trail.access(AccessOf::All, Some(request(1_301, None, None).id), 1).await.unwrap();
    assert_eq!(last[0].address.reveal(SignIn), "203.0.113.0/24");
    assert_eq!(trail.remove_access(before(1_001)).await.unwrap(), 1_000);
    assert_eq!(trail.remove_access(before(1_001)).await.unwrap(), 0);
    for of in
        [AccessOf::All, AccessOf::Account(AccountId::from_bytes([1; 16])), AccessOf::Tenant(tenant_id(1))]
    {
        assert_eq!(trail.access(of, None, 9_999).await.unwrap().len(), 500);
    }
    assert_eq!(trail.remove_access(Timestamp::MAX).await.unwrap(), 500);
    assert_eq!(trail.shorten_access(Timestamp::MAX).await.unwrap(), 0);
}
