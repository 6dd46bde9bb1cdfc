//! What is another's is refused unopened: records that do not open any more are told of where they belong, and
//! are as if they were not there for everybody else.

use std::sync::Arc;

use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::audit::Actor;
use iassistance_domain::id::{AccountId, ApiKeyId, InvitationId, TenantId};
use iassistance_domain::invitation::Invitation;
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::{ManualClock, Pii, SeededEntropy, Timestamp};
use iassistance_vault::{Keyring, RootKey, SystemEntropy};

use super::super::{SledOptions, SledStore};
use super::*;
use crate::{Limits, Store};

const AT: Timestamp = Timestamp::EPOCH;

fn tenant(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

fn place(number: u8) -> MemberOf {
    MemberOf::Tenant(tenant(number))
}

fn memberships() -> Vec<Membership> {
    vec![Membership { of: place(1), role: Role::Viewer, assigned_only: false, since: AT }]
}

fn account() -> Account {
    Account {
        id: AccountId::from_bytes([3; 16]),
        email: normalised_email("a@example.com").unwrap(),
        name: Pii::new("A".to_owned()),
        password: None,
        second_factors: SecondFactors::default(),
        owner: false,
        memberships: memberships(),
        supabase_subject: None,
        language: Language::En,
        state: AccountState::Active,
        revision: 0,
        created_at: AT,
        signed_in_at: None,
    }
}

fn invitation() -> Invitation {
    Invitation {
        id: InvitationId::from_bytes([4; 16]),
        email: normalised_email("b@example.com").unwrap(),
        name: Pii::new("B".to_owned()),
        language: Language::En,
        memberships: memberships(),
        owner: false,
        hash: "00".to_owned(),
        by: Actor::CommandLine,
        created_at: AT,
        expires_at: AT.plus_millis(1),
        accepted_at: None,
        revoked_at: None,
    }
}

/// Alters a record of the platform, so that whoever opens it is told.
async fn alter<T: 'static>(store: &SledStore, key: Key<T>) {
    let at = key.bytes().to_vec();
    let alter = move |tx: &mut Tx<'_>, _: &Revocations| {
        let mut sealed = tx.sealed(&at)?.unwrap().to_vec();
        *sealed.last_mut().unwrap() ^= 1;
        tx.overlay.insert(at.into(), Some(sealed.into()));
        Ok(())
    };
    store.0.write(alter).await.unwrap();
}

#[tokio::test]
async fn what_is_another_s_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
    let keyring = Keyring::open(&folder.path().join("keyring"), &root, false, Arc::new(SystemEntropy));
    let options = SledOptions::new(folder.path().join("store"), Limits::default());
    let clock = Arc::new(ManualClock::at(AT));
    let store =
        SledStore::open(options, Arc::new(keyring.unwrap()), clock, Arc::new(SeededEntropy::new(3))).unwrap();
    let id = ApiKeyId::from_bytes([5; 16]);
    let key = ApiKey::new(id, "k".to_owned(), Some(tenant(1)), vec![Scope::Read], "00".to_owned(), AT);
    store.put_api_key(key).await.unwrap();
    store.create_account(account()).await.unwrap();
    store.put_invitation(invitation()).await.unwrap();
    alter(&store, keys::api_key(id)).await;
    alter(&store, keys::account(account().id)).await;
    alter(&store, keys::invitation(invitation().id)).await;

    let damaged = |error: Option<StorageError>| matches!(error, Some(StorageError::Damaged { .. }));
    assert!(damaged(store.api_key_of(Some(tenant(1)), id).await.err()));
    assert!(damaged(store.member(place(1), account().id).await.err()));
    assert!(damaged(store.invitation_to(place(1), invitation().id).await.err()));
    assert!(store.api_key_of(Some(tenant(2)), id).await.unwrap().is_none());
    assert!(store.api_key_of(None, id).await.unwrap().is_none());
    assert!(store.member(place(2), account().id).await.unwrap().is_none());
    assert!(store.invitation_to(place(2), invitation().id).await.unwrap().is_none());
    store.close().await;
}
