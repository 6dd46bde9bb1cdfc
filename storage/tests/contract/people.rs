//! Accounts, agencies, sessions and what lets people in.

use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::agency::{Agency, AgencyState};
use iassistance_domain::answer::{KEPT_MS, StoredAnswer};
use iassistance_domain::audit::Actor;
use iassistance_domain::break_glass::BreakGlass;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{
    AccountId, AgencyId, ApiKeyId, BreakGlassId, DeviceId, InvitationId, SessionId, TenantId,
};
use iassistance_domain::invitation::{Invitation, TOKEN_MS, Token, TokenKind};
use iassistance_domain::key::{ApiKey, Scope};
use iassistance_domain::pii::SignIn;
use iassistance_domain::session::{ABSOLUTE_MS, IDLE_MS, SESSIONS_MAX, Session};
use iassistance_domain::tenant::{Tenant, TenantCtx, TenantState};
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{People, Revocation, StorageError};

use crate::support::*;

fn account_id(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

fn in_tenant(number: u8, role: Role) -> Membership {
    Membership { of: MemberOf::Tenant(tenant_id(number)), role, assigned_only: false, since: START }
}

fn account(number: u8) -> Account {
    Account {
        id: account_id(number),
        email: normalised_email(&format!("person{number}@example.com")).unwrap(),
        name: Pii::new(format!("Person {number}")),
        password: None,
        second_factors: SecondFactors::default(),
        owner: false,
        memberships: vec![in_tenant(1, Role::Operator)],
        supabase_subject: None,
        language: Language::Es,
        state: AccountState::Active,
        revision: 0,
        created_at: START,
        signed_in_at: None,
    }
}

fn session(account: u8, number: u8) -> Session {
    Session {
        id: SessionId::from_bytes([number; 16]),
        account: account_id(account),
        hash: format!("{number:064x}"),
        created_at: START,
        seen_at: START,
        expires_at: START.plus_millis(ABSOLUTE_MS),
        address: Pii::new("203.0.113.7".to_owned()),
        agent: "Firefox on Linux".to_owned(),
        device: DeviceId::from_bytes([1; 16]),
        step_up_until: None,
        second_factor: true,
        revoked_at: None,
    }
}

fn invitation(number: u8) -> Invitation {
    Invitation {
        id: InvitationId::from_bytes([number; 16]),
        email: normalised_email(&format!("person{number}@example.com")).unwrap(),
        name: Pii::new("Person".to_owned()),
        language: Language::Pt,
        memberships: vec![in_tenant(1, Role::Operator)],
        owner: false,
        hash: format!("{number:064x}"),
        by: Actor::CommandLine,
        created_at: START,
        expires_at: START.plus_millis(1_000),
        accepted_at: None,
        revoked_at: None,
    }
}

fn ids(accounts: &[Account]) -> Vec<AccountId> {
    accounts.iter().map(|account| account.id).collect()
}

fn told(revocations: &mut tokio::sync::broadcast::Receiver<Revocation>) -> Vec<Revocation> {
    std::iter::from_fn(|| revocations.try_recv().ok()).collect()
}

async fn conflicts(people: &dyn People, account: Account, what: &'static str) {
    let refused = people.create_account(account).await.unwrap_err();
    assert!(matches!(refused, StorageError::Conflict(said) if said == what), "{refused}");
}

pub async fn accounts_are_found_by_what_is_theirs_alone(mut world: World) {
    let people = world.store.people();
    let first = Account { supabase_subject: Some("sub-1".to_owned()), ..account(1) };
    people.create_account(first.clone()).await.unwrap();
    people.create_account(account(2)).await.unwrap();
    conflicts(people, account(1), "that account").await;
    conflicts(people, Account { id: account_id(3), ..account(2) }, "that e-mail address").await;
    let subject = Some("sub-1".to_owned());
    conflicts(people, Account { supabase_subject: subject, ..account(3) }, "that subject at Supabase").await;
    world.reopen().await;
    let people = world.store.people();
    assert!(people.account(account_id(3)).await.unwrap().is_none(), "what conflicts leaves nothing");
    assert!(people.account_by_email(&account(3).email).await.unwrap().is_none());
    assert!(people.account(account_id(1)).await.unwrap() == Some(first.clone()));
    assert!(people.account_by_email(&first.email).await.unwrap() == Some(first.clone()));
    assert!(people.account_by_subject("sub-1").await.unwrap() == Some(first));
    assert!(people.account_by_subject("sub-2").await.unwrap().is_none());
}

pub async fn an_account_is_changed_by_who_read_it(world: World) {
    let people = world.store.people();
    people.create_account(account(1)).await.unwrap();
    people.create_account(account(2)).await.unwrap();
    let renamed = Account { email: normalised_email("new@example.com").unwrap(), ..account(1) };
    assert_eq!(people.put_account(renamed.clone(), 0).await.unwrap(), 1);
    assert!(matches!(people.put_account(renamed.clone(), 0).await, Err(StorageError::Stale)));
    let taken = Account { email: account(2).email, ..renamed.clone() };
    assert!(matches!(people.put_account(taken, 1).await, Err(StorageError::Conflict(_))));
    assert!(matches!(people.put_account(account(9), 0).await, Err(StorageError::NotFound("account"))));
    let kept = people.account_by_email(&renamed.email).await.unwrap();
    assert!(kept == Some(Account { revision: 1, ..renamed }));
    let former = account(1).email;
    assert!(people.account_by_email(&former).await.unwrap().is_none(), "the former address is free");
    people.create_account(Account { email: former, ..account(3) }).await.unwrap();
    assert!(people.remove_account(account_id(3)).await.unwrap());
    assert!(!people.remove_account(account_id(3)).await.unwrap(), "once");
    assert!(people.account_by_email(&account(1).email).await.unwrap().is_none());
}

pub async fn accounts_are_listed_by_place(world: World) {
    let people = world.store.people();
    let agency = MemberOf::Agency(AgencyId::from_bytes([1; 16]));
    for number in 1..=6 {
        let place = in_tenant(1 + number % 2, Role::Viewer);
        people.create_account(Account { memberships: vec![place], ..account(number) }).await.unwrap();
    }
    let (one, two) = (MemberOf::Tenant(tenant_id(1)), MemberOf::Tenant(tenant_id(2)));
    let numbers = |numbers: &[u8]| numbers.iter().map(|number| account_id(*number)).collect::<Vec<_>>();
    assert_eq!(ids(&people.accounts(None, 9, None).await.unwrap()), numbers(&[6, 5, 4, 3, 2, 1]));
    assert_eq!(ids(&people.accounts(Some(account_id(5)), 2, None).await.unwrap()), numbers(&[4, 3]));
    assert_eq!(ids(&people.accounts(None, 2, Some(two)).await.unwrap()), numbers(&[5, 3]));
    assert_eq!(ids(&people.accounts(Some(account_id(3)), 2, Some(two)).await.unwrap()), numbers(&[1]));
    assert!(people.accounts(None, 9, Some(agency)).await.unwrap().is_empty());
    let moved = Account { memberships: vec![in_tenant(1, Role::Viewer)], ..account(5) };
    people.put_account(moved, 0).await.unwrap();
    assert_eq!(ids(&people.accounts(None, 9, Some(two)).await.unwrap()), numbers(&[3, 1]));
    assert_eq!(ids(&people.accounts(None, 9, Some(one)).await.unwrap()), numbers(&[6, 5, 4, 2]));
}

pub async fn what_is_another_s_is_as_if_it_were_not_there(mut world: World) {
    drop(world.tenant(1).await);
    let (one, two) = (MemberOf::Tenant(tenant_id(1)), MemberOf::Tenant(tenant_id(2)));
    let key = |number: u8, of| {
        let id = ApiKeyId::from_bytes([number; 16]);
        ApiKey::new(id, "k".to_owned(), of, vec![Scope::Read], "00".to_owned(), START)
    };
    let (own, platforms) = (key(5, Some(tenant_id(1))), key(6, None));
    let people = world.store.people();
    people.create_account(account(1)).await.unwrap();
    people.put_invitation(invitation(1)).await.unwrap();
    for key in [&own, &platforms] {
        world.store.put_api_key(key.clone()).await.unwrap();
    }
    for opened_again in [false, true] {
        if opened_again {
            world.reopen().await;
        }
        let (store, people) = (&world.store, world.store.people());
        assert_eq!(store.api_key_of(Some(tenant_id(1)), own.id).await.unwrap(), Some(own.clone()));
        assert_eq!(store.api_key_of(None, platforms.id).await.unwrap(), Some(platforms.clone()));
        for (of, id) in [(Some(tenant_id(2)), own.id), (None, own.id), (Some(tenant_id(1)), platforms.id)] {
            assert_eq!(store.api_key_of(of, id).await.unwrap(), None);
        }
        assert_eq!(store.api_key_of(None, ApiKeyId::from_bytes([9; 16])).await.unwrap(), None);
        assert!(people.member(one, account_id(1)).await.unwrap() == Some(account(1)));
        assert!(people.member(two, account_id(1)).await.unwrap().is_none());
        assert!(people.member(one, account_id(2)).await.unwrap().is_none());
        assert!(people.invitation_to(one, invitation(1).id).await.unwrap() == Some(invitation(1)));
        assert!(people.invitation_to(two, invitation(1).id).await.unwrap().is_none());
        assert!(people.invitation_to(one, invitation(2).id).await.unwrap().is_none());
    }
    let people = world.store.people();
    let moved = Account { memberships: vec![in_tenant(2, Role::Viewer)], ..account(1) };
    people.put_account(moved, 0).await.unwrap();
    assert!(people.member(one, account_id(1)).await.unwrap().is_none(), "they belong elsewhere now");
    assert!(people.member(two, account_id(1)).await.unwrap().is_some());
    world.store.keeping().destroy_tenant(tenant_id(1)).await.unwrap();
    assert_eq!(
        world.store.api_key_of(Some(tenant_id(1)), own.id).await.unwrap(),
        None,
        "it went with its tenant"
    );
}

pub async fn sessions_end_for_good(mut world: World) {
    let people = world.store.people();
    let nobodys = people.create_session(session(1, 1)).await;
    assert!(matches!(nobodys, Err(StorageError::NotFound("account"))));
    people.create_account(account(1)).await.unwrap();
    people.create_account(account(2)).await.unwrap();
    for (of, number) in [(1, 1), (1, 2), (1, 3), (2, 4)] {
        people.create_session(session(of, number)).await.unwrap();
    }
    let twice = Session { id: SessionId::from_bytes([9; 16]), ..session(1, 1) };
    assert!(matches!(people.create_session(twice).await, Err(StorageError::Conflict(_))));
    assert!(people.session_by_hash(&session(1, 2).hash).await.unwrap() == Some(session(1, 2)));
    let (at, soon) = (START.plus_millis(60_000), START.plus_millis(59_999));
    let there = || Pii::new("198.51.100.1".to_owned());
    people.touch_session(account_id(1), session(1, 2).id, soon, there()).await.unwrap();
    assert!(people.session_by_hash(&session(1, 2).hash).await.unwrap() == Some(session(1, 2)));
    people.touch_session(account_id(1), session(1, 2).id, at, there()).await.unwrap();
    let seen = people.session_by_hash(&session(1, 2).hash).await.unwrap().unwrap();
    assert!(seen.seen_at == at && seen.address.reveal(SignIn) == "198.51.100.1");
    let mut revocations = people.revocations();
    assert!(people.remove_session(account_id(1), session(1, 2).id).await.unwrap());
    assert!(!people.remove_session(account_id(1), session(1, 2).id).await.unwrap());
    assert_eq!(told(&mut revocations), [Revocation::Session(session(1, 2).id)]);
    assert!(matches!(people.put_session(seen).await, Err(StorageError::NotFound("session"))));
    people.touch_session(account_id(1), session(1, 2).id, at, there()).await.unwrap();
    assert!(people.session_by_hash(&session(1, 2).hash).await.unwrap().is_none(), "nothing brings it back");
    let stepped_up = Session { step_up_until: Some(at), hash: "other".to_owned(), ..session(1, 1) };
    people.put_session(stepped_up).await.unwrap();
    let kept = people.session_by_hash(&session(1, 1).hash).await.unwrap().unwrap();
    assert!(kept.is_stepped_up(START), "its hash stays");
    assert_eq!(people.sessions_of(account_id(1)).await.unwrap().len(), 2);
    assert_eq!(people.remove_sessions_of(account_id(1), Some(session(1, 3).id)).await.unwrap(), 1);
    world.reopen().await;
    let people = world.store.people();
    assert!(people.sessions_of(account_id(1)).await.unwrap() == [session(1, 3)]);
    assert!(people.remove_account(account_id(1)).await.unwrap());
    assert!(people.session_by_hash(&session(1, 3).hash).await.unwrap().is_none(), "they go with the account");
    assert!(people.sessions_of(account_id(2)).await.unwrap() == [session(2, 4)], "another's stay");
}

pub async fn an_account_has_so_many_sessions(world: World) {
    let people = world.store.people();
    people.create_account(account(1)).await.unwrap();
    let most = u8::try_from(SESSIONS_MAX).unwrap();
    for number in 1..=most + 2 {
        people.create_session(session(1, number)).await.unwrap();
    }
    let kept = people.sessions_of(account_id(1)).await.unwrap();
    assert_eq!(kept.len(), SESSIONS_MAX);
    assert_eq!(kept[0].id, session(1, 3).id, "the oldest ended");
    assert!(people.session_by_hash(&session(1, 2).hash).await.unwrap().is_none());
    // What is long over goes by itself.
    world.clock.advance_millis(IDLE_MS);
    world.store.forget_dedup_before(START).await.unwrap();
    assert!(people.sessions_of(account_id(1)).await.unwrap().is_empty());
}

pub async fn what_is_revoked_is_told(world: World) {
    drop(world.tenant(1).await);
    let people = world.store.people();
    people.create_account(account(1)).await.unwrap();
    let agency = Agency {
        id: AgencyId::from_bytes([4; 16]),
        name: "Agency".to_owned(),
        created_at: START,
        state: AgencyState::Active,
    };
    people.create_agency(agency.clone()).await.unwrap();
    let key = ApiKeyId::from_bytes([5; 16]);
    let key = ApiKey::new(key, "k".to_owned(), Some(tenant_id(1)), vec![Scope::Read], "00".to_owned(), START);
    world.store.put_api_key(key.clone()).await.unwrap();
    let mut revocations = people.revocations();

    people.put_account(Account { name: Pii::new("Ada".to_owned()), ..account(1) }, 0).await.unwrap();
    people.put_agency(Agency { name: "Renamed".to_owned(), ..agency.clone() }).await.unwrap();
    people.put_tenant(Tenant { name: "Renamed".to_owned(), ..tenant(1) }).await.unwrap();
    let from = "203.0.113.7".parse().unwrap();
    people.touch_key(key.id, START.plus_millis(1), from).await.unwrap();
    people.touch_key(key.id, START.plus_millis(2), "::1".parse().unwrap()).await.unwrap();
    assert_eq!(told(&mut revocations), [], "no right changed");
    let touched = world.store.api_key(key.id).await.unwrap().unwrap();
    assert_eq!((touched.last_used_at, touched.last_used_from), (Some(START.plus_millis(1)), Some(from)));

    people.put_account(Account { state: AccountState::Disabled, ..account(1) }, 1).await.unwrap();
    people.put_agency(Agency { state: AgencyState::Suspended, ..agency.clone() }).await.unwrap();
    people.put_tenant(Tenant { agency: Some(agency.id), ..tenant(1) }).await.unwrap();
    let revoked = ApiKey { revoked_at: Some(START), ..touched };
    world.store.put_api_key(revoked.clone()).await.unwrap();
    people.touch_key(key.id, START.plus_millis(90_000), from).await.unwrap();
    let expected = [
        Revocation::Account(account_id(1)),
        Revocation::Agency(agency.id),
        Revocation::Tenant(tenant_id(1)),
        Revocation::Key(key.id),
    ];
    assert_eq!(told(&mut revocations), expected);
    let kept = world.store.api_key(key.id).await.unwrap().unwrap();
    assert_eq!(kept.revoked_at, Some(START), "its use brings no right back");
    let nobody = Agency { id: AgencyId::from_bytes([9; 16]), ..agency.clone() };
    assert!(matches!(people.put_agency(nobody).await, Err(StorageError::NotFound("agency"))));
    assert!(matches!(people.create_agency(agency.clone()).await, Err(StorageError::Conflict(_))));
    assert_eq!(
        people.agencies().await.unwrap(),
        [Agency { state: AgencyState::Suspended, ..agency.clone() }]
    );
    assert_eq!(people.agency(agency.id).await.unwrap().map(|it| it.name), Some("Agency".to_owned()));
}

pub async fn a_closed_tenant_has_no_address(mut world: World) {
    let store = world.tenant(1).await;
    let people = world.store.people();
    let suspended = TenantState::Suspended { since: START, reason: "unpaid".to_owned() };
    people.put_tenant(Tenant { state: suspended, ..tenant(1) }).await.unwrap();
    hear(&*store, 1, "549", "hello").await;
    assert_eq!(world.store.routes(&address(1)).len(), 1, "what comes in is kept");
    let closed = Tenant { state: TenantState::Closed { since: START }, ..tenant(1) };
    people.put_tenant(closed.clone()).await.unwrap();
    let nobody = people.put_tenant(tenant(9)).await;
    assert!(matches!(nobody, Err(StorageError::NoSuchTenant(id)) if id == tenant_id(9)));
    let refused = store.accept(channel_id(1), &[wrote(identity("549"), None, "more")]).await;
    assert!(matches!(refused, Err(StorageError::NotFound("channel"))));
    drop(store);
    world.reopen().await;
    let people = world.store.people();
    assert!(world.store.routes(&address(1)).is_empty());
    assert_eq!(people.tenant_record(tenant_id(1)).await.unwrap(), Some(closed.clone()));
    assert_eq!(people.tenant_record(tenant_id(9)).await.unwrap(), None);
    assert_eq!(world.store.tenants().await.unwrap(), [closed]);
    people.put_tenant(tenant(1)).await.unwrap();
    let store = world.open_tenant(1).await;
    assert_eq!(world.store.routes(&address(1)).len(), 1);
    hear(&*store, 1, "549", "more").await;
}

pub async fn an_invitation_is_taken_up_once(world: World) {
    let people = world.store.people();
    people.put_invitation(invitation(1)).await.unwrap();
    let same = Invitation { id: InvitationId::from_bytes([9; 16]), ..invitation(1) };
    assert!(matches!(people.put_invitation(same).await, Err(StorageError::Conflict(_))));
    assert!(people.invitation_by_hash(&invitation(1).hash).await.unwrap() == Some(invitation(1)));
    let hash = invitation(1).hash;
    people.create_account(Account { id: account_id(8), ..account(1) }).await.unwrap();
    let taken = people.accept_invitation(&hash, START, account(1), None).await;
    assert!(matches!(taken, Err(StorageError::Conflict(_))), "the address is another's");
    assert!(people.invitation(invitation(1).id).await.unwrap() == Some(invitation(1)), "it is open still");
    assert!(people.remove_account(account_id(8)).await.unwrap());
    let accepted = people.accept_invitation(&hash, START, account(1), None).await.unwrap();
    assert!(accepted == Invitation { accepted_at: Some(START), ..invitation(1) });
    let again = people.accept_invitation(&hash, START, account(2), None).await;
    assert!(matches!(again, Err(StorageError::NotFound("open invitation"))));
    assert!(people.account(account_id(1)).await.unwrap() == Some(account(1)));
    assert!(people.account(account_id(2)).await.unwrap().is_none());

    people.put_invitation(invitation(2)).await.unwrap();
    let more = Account { memberships: vec![in_tenant(2, Role::Viewer)], ..account(1) };
    let late = START.plus_millis(1_000);
    let expired = people.accept_invitation(&invitation(2).hash, late, more.clone(), Some(0)).await;
    assert!(matches!(expired, Err(StorageError::NotFound(_))));
    people.accept_invitation(&invitation(2).hash, START, more, Some(0)).await.unwrap();
    assert_eq!(people.account(account_id(1)).await.unwrap().unwrap().revision, 1);

    let of = |number| MemberOf::Tenant(tenant_id(number));
    let elsewhere = Invitation { memberships: vec![in_tenant(2, Role::Viewer)], ..invitation(3) };
    people.put_invitation(elsewhere.clone()).await.unwrap();
    let revoked = Invitation { revoked_at: Some(START), hash: "x".to_owned(), ..elsewhere };
    people.put_invitation(revoked).await.unwrap();
    let refused = people.accept_invitation(&invitation(3).hash, START, account(3), None).await;
    assert!(matches!(refused, Err(StorageError::NotFound(_))), "it was taken back");
    assert_eq!(people.invitations(None, 9, None).await.unwrap().len(), 3);
    assert!(people.invitations(None, 9, Some(of(2))).await.unwrap()[0].id == invitation(3).id);
    let earlier = people.invitations(Some(invitation(2).id), 9, Some(of(1))).await.unwrap();
    assert!(earlier.len() == 1 && earlier[0].id == invitation(1).id);
    world.clock.advance_millis(91 * 24 * 60 * 60 * 1_000);
    world.store.forget_dedup_before(START).await.unwrap();
    assert!(people.invitations(None, 9, None).await.unwrap().is_empty(), "what is long over goes");
    assert!(people.invitations(None, 9, Some(of(2))).await.unwrap().is_empty());
    assert!(people.invitation_by_hash(&hash).await.unwrap().is_none());
}

pub async fn a_token_is_taken_once(world: World) {
    let people = world.store.people();
    let token = |hash: &str, kind| Token {
        kind,
        account: account_id(1),
        hash: hash.to_owned(),
        email: None,
        created_at: START,
        expires_at: START.plus_millis(TOKEN_MS),
    };
    let (reset, change) = (TokenKind::PasswordReset, TokenKind::EmailChange);
    assert!(matches!(people.put_token(token("a", reset)).await, Err(StorageError::NotFound("account"))));
    people.create_account(account(1)).await.unwrap();
    people.put_token(token("a", reset)).await.unwrap();
    people.put_token(token("b", change)).await.unwrap();
    assert!(people.take_token(change, "a", START).await.unwrap().is_none(), "it is of another kind");
    people.put_token(token("c", reset)).await.unwrap();
    assert!(people.take_token(reset, "a", START).await.unwrap().is_none(), "a newer one took its place");
    assert!(people.take_token(reset, "c", START).await.unwrap() == Some(token("c", reset)));
    assert!(people.take_token(reset, "c", START).await.unwrap().is_none(), "once");
    let late = START.plus_millis(TOKEN_MS);
    assert!(people.take_token(change, "b", late).await.unwrap().is_none(), "too late");
    assert!(people.take_token(change, "b", START).await.unwrap().is_none(), "it was taken all the same");
    people.put_token(token("d", reset)).await.unwrap();
    people.remove_account(account_id(1)).await.unwrap();
    assert!(people.take_token(reset, "d", START).await.unwrap().is_none(), "it went with the account");
}

pub async fn break_glass_is_told_in_the_same_write(world: World) {
    let tenant = world.tenant(1).await;
    drop(world.tenant(2).await);
    let (mine, foreign) = (TenantCtx::platform(tenant_id(1)), TenantCtx::platform(tenant_id(2)));
    let people = world.store.people();
    let grant = |number: u8| BreakGlass {
        id: BreakGlassId::from_bytes([number; 16]),
        tenant: tenant_id(1),
        asked_by: account_id(1),
        reason: Pii::new("an incident".to_owned()),
        asked_at: START,
        approved_by: None,
        minutes: 30,
        opened_at: None,
        ends_at: None,
        ended_at: None,
    };
    let asked = |grant: &BreakGlass| EventKind::BreakGlassAsked {
        grant: grant.id,
        account: grant.asked_by,
        reason: grant.reason.clone(),
        minutes: grant.minutes,
    };
    for number in 1..=3 {
        people.put_break_glass(mine, grant(number), asked(&grant(number))).await.unwrap();
    }
    let open = grant(2).opened(account_id(2), START).unwrap();
    let opened = EventKind::BreakGlassOpened {
        grant: open.id,
        account: open.asked_by,
        approved_by: account_id(2),
        ends_at: open.ends_at.unwrap(),
    };
    people.put_break_glass(mine, open.clone(), opened).await.unwrap();
    assert!(people.break_glass(mine, open.id).await.unwrap() == Some(open.clone()));
    assert!(people.break_glass(foreign, open.id).await.unwrap().is_none());
    assert!(people.break_glasses(mine, None, 2).await.unwrap() == [grant(3), open]);
    assert!(people.break_glasses(mine, Some(grant(2).id), 2).await.unwrap() == [grant(1)]);
    assert!(people.break_glasses(foreign, None, 2).await.unwrap().is_empty());
    let events = tenant.events(EventSeq(0), 9).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["break_glass.asked", "break_glass.opened"]);
    let nobody = TenantCtx::platform(TenantId::from_bytes([9; 16]));
    let refused = people.put_break_glass(nobody, grant(1), asked(&grant(1))).await;
    assert!(matches!(refused, Err(StorageError::NoSuchTenant(_))));
}

pub async fn answers_are_kept_for_a_day(mut world: World) {
    drop(world.tenant(1).await);
    let of = Some(TenantCtx::platform(tenant_id(1)));
    let answer = |text: &str, at: Timestamp| StoredAnswer {
        fingerprint: "f".to_owned(),
        status: 201,
        location: None,
        body: Some(Pii::new(text.to_owned())),
        at,
    };
    let people = world.store.people();
    people.put_idempotent(of, "key one", answer("first", START)).await.unwrap();
    people.put_idempotent(None, "key one", answer("the platform's", START)).await.unwrap();
    people.put_idempotent(of, "key two", answer("second", START.plus_millis(1))).await.unwrap();
    people.put_idempotent(of, "key two", answer("anew", START.plus_millis(2))).await.unwrap();
    world.reopen().await;
    let people = world.store.people();
    let kept = people.idempotent(of, "key one").await.unwrap();
    assert!(kept == Some(answer("first", START)), "it outlasts a restart");
    assert!(people.idempotent(None, "key one").await.unwrap() == Some(answer("the platform's", START)));
    assert!(people.idempotent(of, "key").await.unwrap().is_none());
    world.clock.advance_millis(KEPT_MS);
    assert!(people.idempotent(of, "key one").await.unwrap().is_none(), "a day is past");
    world.store.forget_dedup_before(START).await.unwrap();
    assert!(people.idempotent(of, "key two").await.unwrap() == Some(answer("anew", START.plus_millis(2))));
    assert!(people.forget_idempotent(of).await.unwrap() >= 1);
    assert!(people.idempotent(of, "key two").await.unwrap().is_none());
    assert_eq!(people.forget_idempotent(of).await.unwrap(), 0);
    people.put_idempotent(of, "key three", answer("nothing came of it", world.now())).await.unwrap();
    assert!(people.remove_idempotent(of, "key three").await.unwrap());
    assert!(people.idempotent(of, "key three").await.unwrap().is_none());
    assert!(!people.remove_idempotent(of, "key three").await.unwrap());
    people.put_idempotent(of, "key two", answer("after", world.now())).await.unwrap();
    assert!(people.idempotent(of, "key two").await.unwrap().is_some());
}
