//! Account data is kept for the relationship and a period after it: a tenant that was closed is destroyed when
//! `retention.closed_days` are over, not earlier and no more than a day later, with a certificate that is signed.

use iassistance::app::Vaulted;
use iassistance_domain::Pii;
use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::id::{AccountId, TenantId};
use iassistance_domain::privacy::{CertificateOf, Place as Where};
use iassistance_domain::tenant::{Tenant, TenantState};
use iassistance_storage::StorageError;

use crate::book::Proof;
use crate::folder::{Place, close, files, keeper};
use crate::people::{of, readable, tenant_of, tenants, writes};

const DAY_MS: u64 = 24 * 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_13() {
    let proof = Proof::of(13);
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 2).await;
    let leaver = writes(&vaulted, 1, 10).await;
    let stays = writes(&vaulted, 2, 20).await;
    let member = belongs_to_both(&vaulted).await;
    let days = u64::from(vaulted.settings.retention.closed_days);
    let id: TenantId = tenant_of(1);
    let record = vaulted.store.people().tenant_record(id).await.unwrap().unwrap();
    let since = vaulted.clock.now();
    vaulted
        .store
        .people()
        .put_tenant(Tenant { state: TenantState::Closed { since }, ..record })
        .await
        .unwrap();

    place.clock.advance_millis(days * DAY_MS - 1);
    keeper(&vaulted).round().await;
    let store = of(&vaulted, 1).await;
    assert!(readable(&*store, &leaver).await.contains(&leaver.secret), "it went early");
    drop(store);
    place.clock.advance_millis(DAY_MS);
    keeper(&vaulted).round().await;
    let gone = vaulted.store.tenant(iassistance_domain::tenant::TenantCtx::platform(id)).await;
    assert!(matches!(gone, Err(StorageError::NoSuchTenant(_))), "it stayed too long");
    assert!(vaulted.keyring.tenant(id).is_err(), "its keys are there");
    let certificate = vaulted.store.keeping().certificate(id).await.unwrap().unwrap();
    assert!(matches!(certificate.state, CertificateOf::Done { .. }));
    assert_eq!(certificate.receipt.count(Where::TenantKeys), 1);
    assert!(certificate.receipt.count(Where::Messages) > 0 && certificate.receipt.count(Where::Files) == 1);
    let note = certificate.note.clone().unwrap();
    let verifier = vaulted.keyring.note_signer().unwrap().verifier().clone();
    assert!(verifier.open(&note).unwrap().contains(&id.to_string()));
    assert!(
        verifier.open(&note.replace("Messages", "messages").replace("\"count\":1", "\"count\":2")).is_err()
    );
    let member = vaulted.store.people().account(member).await.unwrap().unwrap();
    let left: Vec<_> = member.memberships.iter().map(|membership| membership.of).collect();
    assert_eq!(left, [MemberOf::Tenant(tenant_of(2))], "nobody belongs to what is gone");
    let store = of(&vaulted, 2).await;
    assert!(readable(&*store, &stays).await.contains(&stays.secret), "another tenant was harmed");
    drop(store);
    assert_eq!(vaulted.store.check(&|_, _| ()).await.unwrap().1, Vec::<String>::new());
    close(vaulted).await;

    // The next start knows it too, and a backup would be told again.
    let vaulted = place.open();
    assert_eq!(keeper(&vaulted).replay(None).await.unwrap(), 0);
    assert_eq!(vaulted.store.tenants().await.unwrap().len(), 1);
    close(vaulted).await;
    let mut searched = 0;
    files(&place.folder, |path, bytes| {
        searched += bytes.len();
        assert!(memchr::memmem::find(bytes, leaver.secret.as_bytes()).is_none(), "{}", path.display());
    });
    proof.kept(format!("destroyed within a day after {days} days; {searched} bytes searched"));
}

async fn belongs_to_both(vaulted: &Vaulted) -> AccountId {
    let now = vaulted.clock.now();
    let of = |number| Membership {
        of: MemberOf::Tenant(tenant_of(number)),
        role: Role::Operator,
        assigned_only: false,
        since: now,
    };
    let account = Account {
        id: AccountId::new(now, &*vaulted.entropy),
        email: normalised_email("bea@example.com").unwrap(),
        name: Pii::new("Bea".to_owned()),
        password: None,
        second_factors: SecondFactors::default(),
        owner: false,
        memberships: vec![of(1), of(2)],
        supabase_subject: None,
        language: Language::En,
        state: AccountState::Active,
        revision: 0,
        created_at: now,
        signed_in_at: None,
    };
    let id = account.id;
    vaulted.store.people().create_account(account).await.unwrap();
    id
}
