//! What is kept of how data goes, in a store that has every kind of record.

use std::collections::BTreeMap;

use iassistance_domain::audit::Actor;
use iassistance_domain::conversation::Input;
use iassistance_domain::id::{ContactId, ErasureId, HoldId, IncidentId, OrderId};
use iassistance_domain::privacy::{
    CertificateOf, Class, DestructionCertificate, Disclosures, Erasure, ErasureGround, ErasureState, Handed,
    HoldScope, Incident, IncidentFacts, IncidentHours, IncidentScope, LegalHold, LegalOrder, OrderAnswer,
    OrderScope, OrderStep, Reached, Receipt, Recipient, RecipientKind, Retention, Suppression, Suspect,
    SweepRecord,
};
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::Store;

use super::*;

/// Adds it to both tenants, and to the platform.
pub async fn furnish_keeping(store: &dyn Store) {
    for number in [1, 2] {
        furnish_tenant(store, number).await;
    }
    let certificate = DestructionCertificate {
        tenant: tenant_id(8),
        closed_at: Some(START),
        export_sha256: None,
        by: Actor::CommandLine,
        state: CertificateOf::Begun { at: START },
        receipt: Receipt::default(),
        note: None,
    };
    store.keeping().put_certificate(certificate).await.unwrap();
}

async fn furnish_tenant(store: &dyn Store, number: u8) {
    let (ctx, keeping) = (TenantCtx::platform(tenant_id(number)), store.keeping());
    let nobody = ContactId::from_bytes([7; 16]);
    let erasure = Erasure {
        id: ErasureId::from_bytes([number; 16]),
        contact: nobody,
        contacts: vec![nobody],
        conversations: Vec::new(),
        ground: ErasureGround::Asked { by: Actor::CommandLine },
        asked_at: START,
        due_at: START,
        refused: Some(Suppression { at: START, silence: true, no_marketing_until: None }),
        state: ErasureState::Erased { at: START },
        receipt: Receipt::default(),
        disclosures: Disclosures::default(),
    };
    keeping.put_erasure(ctx, erasure).await.unwrap();
    let hold = LegalHold {
        id: HoldId::from_bytes([number; 16]),
        norm: "a norm".to_owned(),
        scope: HoldScope { contact: None, classes: vec![Class::Message] },
        document: Pii::new("a document".to_owned()),
        review_at: START,
        made_by: Actor::CommandLine,
        made_at: START,
        released: None,
    };
    keeping.put_hold(ctx, hold).await.unwrap();
    let days = BTreeMap::from([(Class::Message, 400)]);
    keeping.put_retention(ctx, Retention { days }).await.unwrap();
    let sweep =
        SweepRecord { class: Class::Message, at: START, before: START, removed: 1, files: 0, held: 0 };
    keeping.put_sweep(ctx, sweep).await.unwrap();

    // Somebody asked for silence and was erased; the turn of the keys puts out what they left in the log.
    let tenant = store.tenant(ctx).await.unwrap();
    let id = hear(&*tenant, number, "558", "stop").await;
    let mut commit = step(&*tenant, id).await;
    let contact = commit.conversation.contact;
    commit.conversation.apply(Input::OptedOut, START);
    tenant.commit(commit).await.unwrap();
    let person = keeping.person(ctx, contact).await.unwrap();
    keeping.erase(ctx, person, Vec::new()).await.unwrap();
    keeping.turn_epoch(ctx, &|| Ok(())).await.unwrap();
    tenant.accept(channel_id(number), &[kept(None, "of nobody")]).await.unwrap();
    furnish_leaving(store, ctx, tenant.conversations(None, 1).await.unwrap()[0].contact).await;
}

/// What is kept of data that leaves.
async fn furnish_leaving(store: &dyn Store, ctx: TenantCtx, contact: ContactId) {
    let (leaving, by) = (store.leaving(), Actor::CommandLine);
    let model = Recipient::at(RecipientKind::Model, "llm.example");
    leaving.disclose(ctx, contact, model, Handed::Conversation).await.unwrap();
    let scope = OrderScope {
        contacts: vec![contact],
        classes: vec![Class::Message],
        from: Timestamp::EPOCH,
        until: START,
    };
    let step = OrderStep { at: START, by };
    let order = LegalOrder {
        id: OrderId::from_bytes([1; 16]),
        authority: "a court".to_owned(),
        reference: "a file".to_owned(),
        document: Pii::new("a folder".to_owned()),
        scope: scope.clone(),
        may_tell: true,
        entered: step,
        approved: Some(OrderStep { by: Actor::Platform, ..step }),
        told_at: Some(START),
        answers: vec![OrderAnswer { step, scope, records: 1, sha256: "00".repeat(32) }],
    };
    leaving.put_order(ctx, order).await.unwrap();
    let hours = IncidentHours { meta: 24, clients: 24, authority: 72, people: 72 };
    let reached = Reached {
        tenant: ctx.tenant(),
        contacts: vec![contact],
        conversations: Vec::new(),
        requests: 1,
        acts: 0,
    };
    let incident = Incident {
        id: IncidentId::from_bytes([1; 16]),
        title: Pii::new("a key was stolen".to_owned()),
        known_at: START,
        opened_at: START,
        opened_by: by,
        suspects: vec![Suspect::Address { address: Pii::new("203.0.113.7".to_owned()) }],
        from: Timestamp::EPOCH,
        until: START,
        facts: IncidentFacts::default(),
        scope: Some(IncidentScope { read_at: START, requests: 1, tenants: vec![reached] }),
        duties: Incident::duties(START, &hours),
        closed_at: None,
    };
    leaving.put_incident(incident).await.unwrap();
}
