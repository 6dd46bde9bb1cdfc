//! What the database itself holds of people and of the record, and what damage does to a chain.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use iassistance_domain::Pii;
use iassistance_domain::account::{Account, AccountState, Language, SecondFactors, normalised_email};
use iassistance_domain::audit::{Actor, AuditEntry};
use iassistance_domain::id::AccountId;
use iassistance_domain::tenant::Tenant;
use iassistance_storage::StorageError;
use iassistance_storage::trail::link;
use iassistance_vault::{KeyRef, Place};
use serde_json::json;

use support::rows::{self, damage, flip_last, with_rows};
use support::*;

const AUDIT: u8 = 40;
const AUDIT_HEAD: u8 = 41;

fn entry(number: u64) -> AuditEntry {
    let reason = Pii::new("the canary sings".to_owned());
    AuditEntry { reason: Some(reason), ..AuditEntry::new(START, Actor::Platform, "key.created").on(&number) }
}

async fn with_three(world: &World) {
    for number in 1..=3 {
        world.store.trail().append_audit(Some(tenant_id(1)), entry(number)).await.unwrap();
    }
}

#[tokio::test]
async fn a_chain_goes_on_where_it_ended_though_its_head_is_lost() {
    let mut world = World::sled();
    drop(world.tenant(1).await);
    with_three(&world).await;
    let last = world.store.trail().audit_head(Some(tenant_id(1))).await.unwrap();
    assert_eq!(damage(&mut world, &[1; 16], AUDIT_HEAD, |value| flip_last(value)).await, 1);
    world.reopen().await;
    let trail = world.store.trail();
    assert_eq!(trail.audit_head(Some(tenant_id(1))).await.unwrap(), last);
    assert_eq!(trail.append_audit(Some(tenant_id(1)), entry(4)).await.unwrap(), 4);
    let sealed = trail.sealed_audit(Some(tenant_id(1)), 3, 9).await.unwrap();
    assert_eq!(sealed[0].previous, last.unwrap().1);
}

#[tokio::test]
async fn nothing_is_appended_to_a_chain_whose_end_is_lost() {
    let mut world = World::sled();
    drop(world.tenant(1).await);
    with_three(&world).await;
    damage(&mut world, &[1; 16], AUDIT_HEAD, |value| flip_last(value)).await;
    assert_eq!(damage(&mut world, &[1; 16], AUDIT, |value| flip_last(value)).await, 3);
    world.reopen().await;
    let refused = world.store.trail().append_audit(Some(tenant_id(1)), entry(4)).await;
    assert!(matches!(refused, Err(StorageError::Damaged { kind: "audit" })));
    assert!(world.store.trail().audit(Some(tenant_id(1)), None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_entry_that_was_written_over_shows() {
    let mut world = World::sled();
    drop(world.tenant(1).await);
    with_three(&world).await;
    // Somebody with the keys writes the second entry anew, as if it had been another.
    let keyring = world.home.as_ref().unwrap().keyring.clone();
    let vault = keyring.tenant(tenant_id(1)).unwrap();
    let tree = tenant_id(1).to_string();
    with_rows(&mut world, &[1; 16], &[AUDIT], |key, value| {
        if key[8] == 2 {
            let place = Place { tree: &tree, key, schema: 1 };
            let opened = vault.open(place, KeyRef::Tenant, value).unwrap();
            let mut record: serde_json::Value = serde_json::from_slice(&opened.plaintext).unwrap();
            record["sealed"] = json!("AAAA");
            let forged = serde_json::to_vec(&record).unwrap();
            *value = vault.seal(place, KeyRef::Tenant, &forged).unwrap();
        }
    })
    .await;
    world.reopen().await;
    let trail = world.store.trail();
    let broken: Vec<_> = trail.sealed_audit(Some(tenant_id(1)), 0, 9).await.unwrap();
    let holds = broken.iter().map(|it| it.hash == link(Some(tenant_id(1)), it.seq, &it.previous, &it.sealed));
    assert_eq!(holds.collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(
        trail.audit(Some(tenant_id(1)), None, 9).await.unwrap().len(),
        2,
        "what is no entry is left out"
    );
}

#[tokio::test]
async fn nothing_personal_lies_open_and_every_record_is_checked() {
    let mut world = World::sled();
    drop(world.tenant(1).await);
    with_three(&world).await;
    let account = Account {
        id: AccountId::from_bytes([1; 16]),
        email: normalised_email("canary@example.com").unwrap(),
        name: Pii::new("Canary Person".to_owned()),
        password: None,
        second_factors: SecondFactors::default(),
        owner: true,
        memberships: Vec::new(),
        supabase_subject: Some("canary-subject".to_owned()),
        language: Language::Es,
        state: AccountState::Active,
        revision: 0,
        created_at: START,
        signed_in_at: None,
    };
    world.store.people().create_account(account).await.unwrap();
    let (_, complaints) = world.store.check(&|_, _| {}).await.unwrap();
    assert_eq!(complaints, Vec::<String>::new());
    world.shut().await;
    for file in rows::files_of(&world.home.as_ref().unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap().to_ascii_lowercase();
        assert!(!bytes.windows(6).any(|part| part == b"canary"), "{}", file.display());
    }
}

#[tokio::test]
async fn a_tenant_of_before_is_read() {
    let mut world = World::sled();
    drop(world.tenant(1).await);
    let keyring = world.home.as_ref().unwrap().keyring.clone();
    let vault = keyring.platform();
    let old = json!({ "id": tenant_id(1), "name": "tenant 1", "created_at": START });
    let changed = with_rows(&mut world, b"platform", &[64], |key, value| {
        let place = Place { tree: "platform", key, schema: 1 };
        *value = vault.seal(place, KeyRef::Tenant, &serde_json::to_vec(&old).unwrap()).unwrap();
    })
    .await;
    assert_eq!(changed, 1);
    world.reopen().await;
    assert_eq!(
        world.store.tenants().await.unwrap(),
        [Tenant::new(tenant_id(1), "tenant 1".to_owned(), START)]
    );
}
