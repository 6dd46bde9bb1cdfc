//! Who the people are that webhooks name, and who of them are one.

use iassistance_domain::contact::{Contact, ContactIdentity};
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::ConversationId;
use iassistance_domain::{Pii, pii::TenantView};
use iassistance_storage::TenantStore;

use crate::support::*;

async fn heard(tenant: &dyn TenantStore, from: ContactIdentity, text: &str) -> ConversationId {
    tenant.accept(channel_id(1), &[wrote(from, None, text)]).await.unwrap().conversations[0]
}

async fn contact(tenant: &dyn TenantStore, conversation: ConversationId) -> Contact {
    let (conversation, _) = tenant.conversation(conversation).await.unwrap().unwrap();
    tenant.contact(conversation.contact).await.unwrap().unwrap()
}

async fn log(tenant: &dyn TenantStore, after: u64) -> Vec<&'static str> {
    tenant.events(EventSeq(after), 99).await.unwrap().iter().map(|event| event.kind.name()).collect()
}

pub async fn contacts_are_known_by_either_part(world: World) {
    let tenant = &*world.tenant(1).await;
    let by_number = heard(tenant, both("549", ""), "1").await;
    assert_eq!(heard(tenant, both("549", "user-a"), "2").await, by_number);
    assert_eq!(heard(tenant, both("", "user-a"), "3").await, by_number, "the second part was linked");
    assert_eq!(heard(tenant, both("550", "user-a"), "4").await, by_number, "a new number of a known user");
    let known = contact(tenant, by_number).await;
    assert!(known.identity == both("550", "user-a"));
    assert!(known.conversation == by_number && known.channel == channel_id(1));
    let other = heard(tenant, both("549", ""), "5").await;
    assert_ne!(other, by_number, "the number that was given up is somebody else's");
    let scoped = ContactIdentity::scoped(Some("549".to_owned())).unwrap();
    let on_a_page = heard(tenant, scoped.clone(), "6").await;
    assert!(on_a_page != other && heard(tenant, scoped, "7").await == on_a_page, "another kind of id");
}

pub async fn two_who_are_one_are_merged(world: World) {
    let tenant = &*world.tenant(1).await;
    let first = heard(tenant, both("549", ""), "1").await;
    world.clock.advance_millis(1);
    let second = heard(tenant, both("", "user-a"), "2").await;
    let third = heard(tenant, both("550", "user-b"), "3").await;
    assert!(first != second && second != third);
    let (older, younger) = (contact(tenant, first).await, contact(tenant, second).await);

    let named = wrote(both("549", "user-a"), Some("Ada"), "4");
    let accepted = tenant.accept(channel_id(1), &[named]).await.unwrap();
    assert_eq!(accepted.conversations, [first], "the older one goes on");
    let survivor = contact(tenant, first).await;
    assert!(survivor.identity == both("549", "user-a") && survivor.merged == [younger.id]);
    assert!(survivor.profile_name == Some(Pii::new("Ada".to_owned())));
    let last = tenant.events(EventSeq(3), 9).await.unwrap();
    assert_eq!(log(tenant, 3).await, ["contact.merged"]);
    assert_eq!((last[0].contact, last[0].conversation), (Some(older.id), Some(first)));
    assert!(matches!(last[0].kind, EventKind::ContactMerged { merged, conversation }
        if merged == younger.id && conversation == second));
    assert_eq!(told(&tenant.inbox(second, 9).await.unwrap()), ["2"], "its letters are read where they are");
    assert_eq!(heard(tenant, both("", "user-a"), "5").await, first);
    assert_eq!(tenant.events(EventSeq(4), 9).await.unwrap().len(), 0, "once");

    // Both parts of both: what is said counts, and what it replaces is nobody's.
    let fourth = heard(tenant, both("549", "user-b"), "6").await;
    assert_eq!(fourth, first);
    let survivor = contact(tenant, first).await;
    assert!(survivor.identity == both("549", "user-b") && survivor.merged.len() == 2);
    assert_ne!(heard(tenant, both("550", ""), "7").await, first);
    assert_ne!(heard(tenant, both("", "user-a"), "8").await, first);
    assert_eq!(heard(tenant, both("549", ""), "9").await, first);
}

pub async fn a_new_number_is_followed(world: World) {
    let tenant = &*world.tenant(1).await;
    let id = heard(tenant, both("549", ""), "1").await;
    let changes = [
        renamed(both("549", ""), both("550", "user-a"), "1"),
        renamed(both("549", ""), both("550", "user-a"), "the same once more"),
        renamed(both("551", ""), both("550", ""), "from nobody to a known one"),
    ];
    let accepted = tenant.accept(channel_id(1), &changes).await.unwrap();
    assert!(accepted.new == [true; 3] && accepted.conversations.is_empty(), "nobody need be woken");
    assert_eq!(log(tenant, 1).await, ["contact.identity_changed"]);
    assert!(contact(tenant, id).await.identity == both("550", "user-a"));
    assert_eq!(heard(tenant, both("550", ""), "2").await, id);
    world.clock.advance_millis(1);
    let other = heard(tenant, both("549", ""), "3").await;
    assert_ne!(other, id, "the old number may become somebody else's");

    // A new number that wrote before its change was told: they were one all the time.
    world.clock.advance_millis(1);
    let early = heard(tenant, both("560", "user-c"), "4").await;
    let told_late = renamed(both("549", ""), both("560", ""), "late");
    tenant.accept(channel_id(1), &[told_late]).await.unwrap();
    assert_eq!(log(tenant, 4).await, ["contact.merged", "contact.identity_changed"]);
    assert!(contact(tenant, other).await.identity == both("560", "user-c"));
    assert_eq!(heard(tenant, both("", "user-c"), "5").await, other);
    assert_ne!(early, other);

    world.clock.advance_millis(1);
    let unknown = renamed(both("570", ""), both("571", ""), "nobody");
    assert!(tenant.accept(channel_id(1), &[unknown]).await.unwrap().conversations.is_empty());
    assert_eq!(log(tenant, 6).await, ["conversation.opened"]);
    let made = tenant.conversations(None, 1).await.unwrap()[0].id;
    assert_eq!(heard(tenant, both("571", ""), "6").await, made);
}

pub async fn a_profile_name_follows(world: World) {
    let tenant = world.tenant(1).await;
    let hear = async |name, text: &str| {
        let event = wrote(identity("549"), name, text);
        tenant.accept(channel_id(1), &[event]).await.unwrap().conversations[0]
    };
    let id = hear(Some("Ada"), "1").await;
    let name = async || contact(&*tenant, id).await.profile_name.unwrap().reveal(TenantView).clone();
    assert_eq!(name().await, "Ada");
    hear(None, "2").await;
    assert_eq!(name().await, "Ada", "saying nothing changes nothing");
    hear(Some("Ada L."), "3").await;
    assert_eq!(name().await, "Ada L.");
}
