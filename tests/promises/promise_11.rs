//! No profile of a person across clients: the same phone number in 50 tenants has no identifier in common.

use std::collections::BTreeSet;

use crate::book::Proof;
use crate::folder::{Place, close};
use crate::people::{channel_of, of, tenants};
use crate::support::{identity, known_by_id, wrote};

const TENANTS: u8 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_11() {
    let proof = Proof::of(11);
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, TENANTS).await;
    let mut known = Vec::new();
    for number in 1..=TENANTS {
        let store = of(&vaulted, number).await;
        let event = known_by_id(wrote(identity("5491123456789"), Some("Ada"), "hola"));
        let accepted = store.accept(channel_of(number), &[event]).await.unwrap();
        let (conversation, _) = store.conversation(accepted.conversations[0]).await.unwrap().unwrap();
        let contact = conversation.contact;
        let own = [contact.to_string(), conversation.id.to_string(), store.safety_identifier(contact)];
        assert!(own.iter().all(|id| !id.contains("5491123456789")));
        known.push(BTreeSet::from(own));
    }
    let mut pairs = 0;
    for (place, one) in known.iter().enumerate() {
        for other in &known[place + 1..] {
            assert!(one.is_disjoint(other));
            pairs += 1;
        }
    }
    close(vaulted).await;
    assert_eq!(pairs, 1_225);
    proof.kept(format!("0 shared identifiers in {pairs} pairs of tenants"));
}
