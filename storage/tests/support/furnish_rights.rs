//! What people asked about their own data, in a store that has every kind of record.

use iassistance_domain::audit::Actor;
use iassistance_domain::event::EventKind;
use iassistance_domain::id::{CaseId, ContactId, ConversationId, IntakeId};
use iassistance_domain::privacy::rights::{
    Amendment, CaseState, Challenge, Intake, Mark, Opened, Proof, Proven, RightKind, RightsCase, Told,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::Store;
use iassistance_storage::rights::CaseCommit;

use super::*;

/// A case that everything is said of.
pub fn rights_case(number: u8, contact: ContactId, conversation: ConversationId) -> RightsCase {
    let mut case = RightsCase {
        id: CaseId::from_bytes([number; 16]),
        revision: 0,
        kind: RightKind::Rectify,
        contact,
        conversation,
        opened: Opened::Staff { by: Actor::CommandLine },
        received_at: START,
        verified_at: Some(START),
        proof: Some(Proof::Document { seen_by: Actor::CommandLine, kind: "DNI".to_owned() }),
        challenge: Some(Challenge::new("hash".to_owned(), START, 1_000, 5)),
        due_at: START.plus_millis(1_000),
        law: "AR".to_owned(),
        state: CaseState::Verified,
        repeated: false,
        erasure: None,
        told: vec![Told { recipient: "meta".to_owned(), due_at: START, told_at: None, proof: None }],
        alerted: 0,
        steps: Vec::new(),
    };
    case.note(Actor::CommandLine, "opened", START);
    case
}

/// A request of the public page, which was proven.
pub fn intake(number: u8, at: Timestamp, proven: bool) -> Intake {
    Intake {
        id: IntakeId::from_bytes([number; 16]),
        kind: RightKind::Access,
        at,
        due_at: at.plus_millis(1_000),
        tenant: Some(tenant_id(1)),
        channel: Some(channel_id(1)),
        contact: None,
        case: None,
        challenge: Challenge::new("hash".to_owned(), at, 1_000, 5),
        proven: proven.then(|| Proven { hash: "hash".to_owned(), until: at }),
    }
}

/// Adds it to both tenants, and to the platform.
pub async fn furnish_rights(store: &dyn Store) {
    for number in [1, 2] {
        let ctx = TenantCtx::platform(tenant_id(number));
        let tenant = store.tenant(ctx).await.unwrap();
        let id = hear(&*tenant, number, "559", "my name is wrong").await;
        let mut commit = step(&*tenant, id).await;
        let contact = commit.conversation.contact;
        commit.events.push(EventKind::ContactOptedOut);
        tenant.commit(commit).await.unwrap();
        let amendment = Amendment {
            fields: vec![("profile_name".to_owned(), Some(Pii::new("Ada".to_owned())))],
            mark: Some(Some(Mark::UnderReview)),
            ..Amendment::default()
        };
        let commit = CaseCommit {
            amendment: Some((amendment, Actor::CommandLine)),
            ..CaseCommit::new(rights_case(number, contact, id))
        };
        store.rights().commit_case(ctx, commit).await.unwrap();
    }
    store.rights().put_intake(intake(1, START, true)).await.unwrap();
}
