//! What is kept of data that leaves: ledgers, orders of authorities, incidents.

use iassistance_domain::audit::Actor;
use iassistance_domain::id::{ContactId, IncidentId, OrderId};
use iassistance_domain::privacy::{
    Class, Disclosures, Handed, Incident, IncidentFacts, IncidentHours, LegalOrder, OrderScope, OrderStep,
    Place, Recipient, RecipientKind,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{Dispatch, StorageError};

use crate::support::*;

fn ctx() -> TenantCtx {
    TenantCtx::platform(tenant_id(1))
}

pub async fn what_leaves_is_on_the_ledger_and_goes_with_the_person(world: World) {
    let tenant = world.tenant(1).await;
    let event = known_by_id(wrote(identity("549"), Some("Ada"), "hello"));
    let id = tenant.accept(channel_id(1), &[event]).await.unwrap().conversations[0];
    let mut commit = handled(&*tenant, id).await;
    let (contact, message) = (commit.conversation.contact, message_id(7));
    commit.outbox.push(entry(&commit.conversation, message, None));
    commit.messages.push(outgoing(&commit.conversation, message, None));
    tenant.commit(commit).await.unwrap();
    let leaving = world.store.leaving();
    assert_eq!(leaving.disclosures(ctx(), contact).await.unwrap(), Disclosures::default());
    let begun = tenant.begin_dispatch(id).await.unwrap();
    assert!(matches!(begun, Dispatch::Go(_)), "it may leave");
    // It is being handed over: looked at again, it is not taken up again.
    tenant.begin_dispatch(id).await.unwrap();
    let model = Recipient::at(RecipientKind::Model, "llm.example");
    for _ in 0..2 {
        leaving.disclose(ctx(), contact, model.clone(), Handed::Conversation).await.unwrap();
    }
    let ledger = leaving.disclosures(ctx(), contact).await.unwrap();
    let lines: Vec<_> = ledger.lines.iter().map(|line| (&line.to, line.what, line.count)).collect();
    assert_eq!(lines, [(&Recipient::META, Handed::Message, 1), (&model, Handed::Conversation, 2)]);
    let nobody = leaving.disclose(ctx(), ContactId::from_bytes([8; 16]), model, Handed::Conversation).await;
    assert!(matches!(nobody, Err(StorageError::NotFound(_))), "{nobody:?}");

    let person = world.store.keeping().person(ctx(), contact).await.unwrap();
    let counts = world.store.keeping().erase(ctx(), person, Vec::new()).await.unwrap();
    assert_eq!(counts.get(&Place::Disclosures), Some(&1));
    assert_eq!(leaving.disclosures(ctx(), contact).await.unwrap(), Disclosures::default());
}

pub async fn orders_and_incidents_are_kept(world: World) {
    drop(world.tenant(1).await);
    let (leaving, by) = (world.store.leaving(), Actor::CommandLine);
    let order = |number: u8| LegalOrder {
        id: OrderId::from_bytes([number; 16]),
        authority: "a court".to_owned(),
        reference: "a file".to_owned(),
        document: Pii::new("a folder".to_owned()),
        scope: OrderScope {
            contacts: Vec::new(),
            classes: vec![Class::Message],
            from: Timestamp::EPOCH,
            until: START,
        },
        may_tell: true,
        entered: OrderStep { at: START, by },
        approved: None,
        told_at: None,
        answers: Vec::new(),
    };
    leaving.put_order(ctx(), order(2)).await.unwrap();
    leaving.put_order(ctx(), order(1)).await.unwrap();
    let approved = order(2).approve(Actor::Platform, START).unwrap();
    leaving.put_order(ctx(), approved.clone()).await.unwrap();
    let all = leaving.orders(ctx()).await.unwrap();
    assert!(all == [order(1), approved.clone()]);
    assert!(leaving.order(ctx(), approved.id).await.unwrap() == Some(approved));
    assert!(leaving.order(ctx(), OrderId::from_bytes([9; 16])).await.unwrap().is_none());

    let hours = IncidentHours { meta: 24, clients: 24, authority: 72, people: 72 };
    let incident = |number: u8| Incident {
        id: IncidentId::from_bytes([number; 16]),
        title: Pii::new("a key was stolen".to_owned()),
        known_at: START,
        opened_at: START,
        opened_by: by,
        suspects: Vec::new(),
        from: Timestamp::EPOCH,
        until: START,
        facts: IncidentFacts::default(),
        scope: None,
        duties: Incident::duties(START, &hours),
        closed_at: None,
    };
    for number in [1, 3, 2] {
        leaving.put_incident(incident(number)).await.unwrap();
    }
    let ids = |found: Vec<Incident>| {
        found.into_iter().map(|incident| incident.id.to_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(ids(leaving.incidents(None, 2).await.unwrap()), [3, 2]);
    assert_eq!(ids(leaving.incidents(Some(IncidentId::from_bytes([2; 16])), 9).await.unwrap()), [1]);
    assert!(leaving.incident(IncidentId::from_bytes([3; 16])).await.unwrap() == Some(incident(3)));
}
