//! The people of a store that has every kind of record, what is on the record, and what leaves for others.

use iassistance_domain::Pii;
use iassistance_domain::access::AccessRecord;
use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::agency::{Agency, AgencyState};
use iassistance_domain::answer::StoredAnswer;
use iassistance_domain::audit::{Actor, AuditEntry, Checkpoint};
use iassistance_domain::break_glass::BreakGlass;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{
    AccessId, AccountId, AgencyId, BreakGlassId, DeliveryId, DeviceId, InvitationId, MailId, SessionId,
    SubscriptionId,
};
use iassistance_domain::invitation::{Invitation, Token, TokenKind};
use iassistance_domain::mail::Mail;
use iassistance_domain::session::{ABSOLUTE_MS, Session};
use iassistance_domain::subscription::{Delivery, DeliveryState, Subscription, SubscriptionState};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::{People, Store};

use super::*;

const ACCOUNT: AccountId = AccountId::from_bytes([1; 16]);
const AGENCY: AgencyId = AgencyId::from_bytes([1; 16]);

/// Adds the people of the platform, and what is kept of each tenant beside its talk.
pub async fn furnish_people(store: &dyn Store) {
    let people = store.people();
    let agency =
        Agency { id: AGENCY, name: "agency".to_owned(), created_at: START, state: AgencyState::Active };
    people.create_agency(agency).await.unwrap();
    furnish_account(people).await;
    let request = AccessRecord {
        id: AccessId::from_bytes([1; 16]),
        at: START,
        address: Pii::new("203.0.113.7".to_owned()),
        agent: "curl".to_owned(),
        device: None,
        who: Some(Actor::Account { account: ACCOUNT }),
        session: None,
        tenant: Some(tenant_id(1)),
        method: "GET".to_owned(),
        route: "/v1/tenants/{tenant}".to_owned(),
        status: 200,
        ms: 3,
        contacts: Vec::new(),
        conversations: Vec::new(),
        part_of: None,
    };
    store.trail().append_access(vec![request]).await.unwrap();
    store.trail().shorten_access(START.plus_millis(1)).await.unwrap();
    for number in [1, 2] {
        furnish_record(store, number).await;
        furnish_hooks(store, number).await;
    }
}

fn memberships() -> Vec<Membership> {
    let member = |of, role| Membership { of, role, assigned_only: false, since: START };
    vec![
        member(MemberOf::Agency(AGENCY), Role::Agency),
        member(MemberOf::Tenant(tenant_id(1)), Role::Operator),
    ]
}

async fn furnish_account(people: &dyn People) {
    let email = normalised_email("person@example.com").unwrap();
    let account = Account {
        id: ACCOUNT,
        email: email.clone(),
        name: Pii::new("Person".to_owned()),
        password: None,
        second_factors: SecondFactors::default(),
        owner: false,
        memberships: memberships(),
        supabase_subject: Some("sub-1".to_owned()),
        language: Language::Es,
        state: AccountState::Active,
        revision: 0,
        created_at: START,
        signed_in_at: None,
    };
    people.create_account(account).await.unwrap();
    let session = Session {
        id: SessionId::from_bytes([1; 16]),
        account: ACCOUNT,
        hash: "1".repeat(64),
        created_at: START,
        seen_at: START,
        expires_at: START.plus_millis(ABSOLUTE_MS),
        address: Pii::new("203.0.113.7".to_owned()),
        agent: "Firefox on Linux".to_owned(),
        device: DeviceId::from_bytes([1; 16]),
        step_up_until: None,
        second_factor: true,
        revoked_at: None,
    };
    people.create_session(session).await.unwrap();
    let invitation = Invitation {
        id: InvitationId::from_bytes([1; 16]),
        email,
        name: Pii::new("Person".to_owned()),
        language: Language::Es,
        memberships: memberships(),
        owner: false,
        hash: "2".repeat(64),
        by: Actor::CommandLine,
        created_at: START,
        expires_at: START.plus_millis(ABSOLUTE_MS),
        accepted_at: None,
        revoked_at: None,
    };
    people.put_invitation(invitation).await.unwrap();
    let token = Token {
        kind: TokenKind::PasswordReset,
        account: ACCOUNT,
        hash: "3".repeat(64),
        email: None,
        created_at: START,
        expires_at: START.plus_millis(ABSOLUTE_MS),
    };
    people.put_token(token).await.unwrap();
    let mail = Mail {
        id: MailId::from_bytes([1; 16]),
        email: Pii::new("person@example.com".to_owned()),
        name: Pii::new("Person".to_owned()),
        language: Language::Es,
        subject: "subject".to_owned(),
        text: Pii::new("text".to_owned()),
        at: START,
        until: START.plus_millis(ABSOLUTE_MS),
        attempts: 1,
        next_at: START.plus_millis(10_000),
    };
    people.put_mail(mail).await.unwrap();
}

/// What is on the record of a tenant.
async fn furnish_record(store: &dyn Store, number: u8) {
    let (chain, trail) = (Some(tenant_id(number)), store.trail());
    for act in ["key.created", "key.revoked"] {
        trail.append_audit(chain, AuditEntry::new(START, Actor::CommandLine, act)).await.unwrap();
    }
    let (seq, hash) = trail.audit_head(chain).await.unwrap().unwrap();
    let checkpoint =
        Checkpoint { tenant: chain, seq, hash, at: START, note: "note".to_owned(), key_id: "key".to_owned() };
    trail.put_checkpoint(checkpoint).await.unwrap();
    let grant = BreakGlass {
        id: BreakGlassId::from_bytes([number; 16]),
        tenant: tenant_id(number),
        asked_by: ACCOUNT,
        reason: Pii::new("an incident".to_owned()),
        asked_at: START,
        approved_by: None,
        minutes: 30,
        opened_at: None,
        ends_at: None,
        ended_at: None,
    };
    let (ctx, ended) =
        (TenantCtx::platform(tenant_id(number)), EventKind::BreakGlassEnded { grant: grant.id });
    store.people().put_break_glass(ctx, grant, ended).await.unwrap();
    let answer = StoredAnswer {
        fingerprint: "4".repeat(64),
        status: 201,
        location: None,
        body: Some(Pii::new("{}".to_owned())),
        at: START,
    };
    store.people().put_idempotent(Some(ctx), "a key", answer).await.unwrap();
}

/// What leaves a tenant for others.
async fn furnish_hooks(store: &dyn Store, number: u8) {
    let tenant = store.tenant(TenantCtx::platform(tenant_id(number))).await.unwrap();
    let id = SubscriptionId::from_bytes([number; 16]);
    let subscription = Subscription {
        id,
        url: Pii::new("https://example.com/hook".to_owned()),
        kinds: vec!["*".to_owned()],
        secrets: vec![StoredSecret::new("whsec_c2VjcmV0")],
        state: SubscriptionState::Active,
        created_at: START,
        description: String::new(),
    };
    tenant.hooks().put_subscription(subscription).await.unwrap();
    let delivery = Delivery {
        id: DeliveryId::of(id, 1),
        subscription: id,
        event: EventSeq(1),
        conversation: None,
        attempts: 0,
        created_at: START,
        next_at: START,
        first_tried_at: None,
        last_problem: None,
        state: DeliveryState::Waiting,
    };
    tenant.hooks().take_up(id, vec![delivery], EventSeq(1)).await.unwrap();
}
