//! What is said of messages: echoes, edits, removals, signs, how far they were seen.

use iassistance_domain::channel::Notice;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ConversationId, MessageId};
use iassistance_domain::inbound::{InboundKind, SeenMark, ThreadChange};
use iassistance_domain::message::{Content, Elsewhere};
use iassistance_domain::outbox::SendOutcome;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{Letter, SendReport, TenantStore};

use crate::support::*;

async fn inbox(tenant: &dyn TenantStore, id: ConversationId) -> Vec<String> {
    told(&tenant.inbox(id, 99).await.unwrap())
}

fn named(number: u64, stage: &str) -> String {
    format!("status:{}:{stage}", message_id(number))
}

fn ada() -> ContactIdentity {
    identity("549")
}

fn unnamed(text: &str, content: &str) -> iassistance_domain::inbound::InboundEvent {
    echo(ada(), text, content, None, Elsewhere::Unnamed)
}

pub async fn a_message_is_found_by_metas_id_at_once(world: World) {
    let tenant = &*world.tenant(1).await;
    let provider = "wamid.hello";
    let events = [
        edited(provider, 1, "before it came"),
        wrote(ada(), None, "hello"),
        reacted(provider, ada(), "+"),
        edited(provider, 2, "after"),
        said(
            "up to",
            InboundKind::SeenUpTo {
                contact: ada(),
                up_to: SeenMark::Message { provider_id: Pii::new(provider.to_owned()) },
                status: DeliveryStatus::Read,
            },
        ),
        reacted("wamid.never", ada(), "+"),
    ];
    let accepted = tenant.accept(channel_id(1), &events).await.unwrap();
    assert_eq!(accepted.new, [true; 6]);
    let [id] = accepted.conversations[..] else { unreachable!("one conversation") };
    let letters = tenant.inbox(id, 99).await.unwrap();
    assert_eq!(
        told(&letters),
        ["hello", "edited:before it came", "reacted", "edited:after", "seen_up_to", "reacted"]
    );
    let messages = messages_of(&letters);
    assert!(messages[0].is_some() && messages[..5].iter().all(|message| *message == messages[0]));
    assert_eq!(messages[5], None, "not parked");
    let log = tenant.events(EventSeq(0), 99).await.unwrap();
    assert!(log.len() == 1, "an edit waits without a word");

    let mut again = wrote(ada(), None, "hello");
    again.dedup = Pii::new("by another way".to_owned());
    let repeated = tenant.accept(channel_id(1), &[again]).await.unwrap();
    assert!(repeated.new == [false] && repeated.conversations.is_empty());
    assert_eq!(tenant.inbox(id, 99).await.unwrap().len(), 6);
}

pub async fn an_echo_of_ours_is_a_report(world: World) {
    let tenant = &*world.tenant(1).await;
    let id = hear(tenant, 1, "549", "hello").await;
    queue(tenant, id, &[message_id(1)], None).await;
    let by_our_id = echo(ada(), "one", "an answer", Some(message_id(1)), Elsewhere::Unnamed);
    let accepted = tenant.accept(channel_id(1), &[by_our_id]).await.unwrap();
    assert_eq!(accepted.conversations, [id]);
    let letters = tenant.inbox(id, 9).await.unwrap();
    assert_eq!(told(&letters), ["hello".to_owned(), named(1, "Sent")]);
    assert_eq!(messages_of(&letters)[1], Some(message_id(1)));
    let Letter::Inbound { event, .. } = &letters[1].letter else { unreachable!("a report") };
    assert!(matches!(&event.kind, InboundKind::StatusChanged { recipient: Some(to), .. } if *to == ada()));

    let mut by_metas_id = echo(ada(), "one", "an answer", None, Elsewhere::Phone);
    by_metas_id.dedup = Pii::new("again".to_owned());
    tenant
        .accept(channel_id(1), &[by_metas_id, status("wamid.one", None, DeliveryStatus::Read)])
        .await
        .unwrap();
    assert_eq!(inbox(tenant, id).await[2..], [named(1, "Sent"), named(1, "Read")], "its id is known by it");
}

pub async fn an_echo_without_a_name_is_told_by_what_it_says(world: World) {
    let tenant = &*world.tenant(1).await;
    let id = hear(tenant, 1, "549", "hello").await;
    queue(tenant, id, &[message_id(1)], None).await;
    let early = tenant.accept(channel_id(1), &[unnamed("a", "an answer")]).await.unwrap();
    assert_eq!(early.conversations, [id]);
    assert_eq!(inbox(tenant, id).await[1], "echo:an answer", "nothing has left yet: somebody else wrote it");

    tenant.begin_dispatch(id).await.unwrap();
    let elsewhere = echo(ada(), "b", "an answer", None, Elsewhere::Inbox);
    let other_app = Elsewhere::App { app_id: Some("26".to_owned()) };
    let events = [
        elsewhere,
        echo(ada(), "c", "an answer", None, other_app),
        unnamed("d", "another answer"),
        echo(identity("550"), "e", "an answer", None, Elsewhere::Unnamed),
        status("wamid.f", None, DeliveryStatus::Delivered),
        unnamed("f", " an answer\n"),
    ];
    tenant.accept(channel_id(1), &events).await.unwrap();
    let said = inbox(tenant, id).await;
    assert_eq!(said[2..5], ["echo:an answer", "echo:an answer", "echo:another answer"]);
    assert_eq!(said[5..], [named(1, "Sent"), named(1, "Delivered")], "with what was parked for its id");

    let unknown = SendReport { message: message_id(1), at: START, outcome: SendOutcome::Unknown };
    tenant.settle(id, unknown).await.unwrap();
    tenant.accept(channel_id(1), &[unnamed("g", "an answer")]).await.unwrap();
    assert_eq!(inbox(tenant, id).await.last(), Some(&named(1, "Sent")), "also while nobody knows");
    tenant.settle(id, sent(message_id(1), "wamid.g", START)).await.unwrap();
    tenant.accept(channel_id(1), &[unnamed("h", "an answer")]).await.unwrap();
    assert_eq!(inbox(tenant, id).await.last().unwrap(), "echo:an answer", "it has left the outbox");
}

pub async fn what_the_business_wrote_elsewhere_is_a_message(world: World) {
    let tenant = &*world.tenant(1).await;
    let first = echo(ada(), "a", "from the phone", None, Elsewhere::Phone);
    let id = tenant.accept(channel_id(1), std::slice::from_ref(&first)).await.unwrap().conversations[0];
    let letters = tenant.inbox(id, 9).await.unwrap();
    assert_eq!(told(&letters), ["echo:from the phone"]);
    let message = messages_of(&letters)[0].unwrap();
    let mut again = first;
    again.dedup = Pii::new("again".to_owned());
    let events = [again, status("wamid.a", None, DeliveryStatus::Read)];
    let accepted = tenant.accept(channel_id(1), &events).await.unwrap();
    assert_eq!(accepted.new, [false, true], "known as another's already");
    assert_eq!(messages_of(&tenant.inbox(id, 9).await.unwrap()), [Some(message), Some(message)]);
    assert_eq!(hear(tenant, 1, "549", "they answer").await, id);

    // What was taken for another's gives way when the send turns out to be ours, and not back again.
    queue(tenant, id, &[message_id(1)], None).await;
    let commit = handled(tenant, id).await;
    tenant.begin_dispatch(id).await.unwrap();
    tenant.settle(id, sent(message_id(1), "wamid.a", START)).await.unwrap();
    tenant.commit(commit).await.unwrap();
    tenant.accept(channel_id(1), &[status("wamid.a", None, DeliveryStatus::Failed)]).await.unwrap();
    assert_eq!(inbox(tenant, id).await.last(), Some(&named(1, "Failed")));
}

pub async fn a_removal_takes_what_waits(world: World) {
    let tenant = &*world.tenant(1).await;
    let id = hear(tenant, 1, "549", "secret").await;
    let events = [
        wrote(ada(), None, "harmless"),
        edited("wamid.secret", 1, "secret too"),
        edited("wamid.harmless", 1, "stays"),
        removed("wamid.secret", 1),
        edited("wamid.secret", 2, "secret again"),
    ];
    let accepted = tenant.accept(channel_id(1), &events).await.unwrap();
    assert!(accepted.new == [true; 5] && accepted.conversations == [id]);
    let letters = tenant.inbox(id, 99).await.unwrap();
    assert_eq!(told(&letters), ["removed", "harmless", "edited:-", "edited:stays", "message_removed"]);
    assert_eq!(messages_of(&letters)[4], messages_of(&letters)[0]);
    tenant.accept(channel_id(1), &[removed("wamid.secret", 2)]).await.unwrap();
    assert_eq!(inbox(tenant, id).await.len(), 6, "a repeated one is told, and does no harm");

    let commit = handled(tenant, id).await;
    tenant.commit(commit).await.unwrap();
    let secret = tenant.message(id, messages_of(&letters)[0].unwrap()).await.unwrap().unwrap();
    assert!(secret.content == Content::Removed && secret.removed_at == Some(START.plus_millis(7)));
    let said: Vec<_> =
        tenant.messages(id, None, 9).await.unwrap().iter().map(|message| words(&message.content)).collect();
    assert_eq!(said, ["stays", "removed"]);
}

pub async fn a_removal_that_comes_first(world: World) {
    let tenant = &*world.tenant(1).await;
    let early = [edited("wamid.late", 1, "secret edit"), removed("wamid.late", 1)];
    let accepted = tenant.accept(channel_id(1), &early).await.unwrap();
    assert!(accepted.new == [true; 2] && accepted.conversations.is_empty());
    assert!(tenant.events(EventSeq(0), 9).await.unwrap().is_empty(), "there is nothing to tell");
    let id = hear(tenant, 1, "549", "late").await;
    let late_echo = echo(ada(), "echoed", "secret", None, Elsewhere::Phone);
    let more = [removed("wamid.echoed", 1), late_echo, edited("wamid.late", 2, "secret edit")];
    tenant.accept(channel_id(1), &more).await.unwrap();
    let letters = tenant.inbox(id, 9).await.unwrap();
    assert_eq!(told(&letters), ["removed", "echo:removed"]);
    assert!(messages_of(&letters).iter().all(Option::is_some));

    // After the marks are swept there is nothing that it could be told by.
    world.clock.advance_millis(1);
    world.store.forget_dedup_before(world.now()).await.unwrap();
    let mut commit = step(tenant, id).await;
    commit.messages.push(outgoing(&commit.conversation, message_id(1), Some("wamid.other")));
    tenant.commit(commit).await.unwrap();
    tenant.accept(channel_id(1), &[edited("wamid.late", 3, "much later")]).await.unwrap();
    assert_eq!(inbox(tenant, id).await.last().unwrap(), "edited:much later");
}

pub async fn a_commit_that_was_decided_before_a_removal(world: World) {
    let tenant = &*world.tenant(1).await;
    let id = hear(tenant, 1, "549", "secret").await;
    let decided = handled(tenant, id).await;
    let inbound = decided.messages[0].id;
    tenant.accept(channel_id(1), &[removed("wamid.secret", 1)]).await.unwrap();
    tenant.commit(decided).await.unwrap();
    let is_gone = async |message: MessageId| {
        let message = tenant.message(id, message).await.unwrap().unwrap();
        assert!(message.content == Content::Removed && message.removed_at == Some(START.plus_millis(7)));
    };
    is_gone(inbound).await;

    // A message of ours whose id becomes known after it was taken back on the phone.
    queue(tenant, id, &[message_id(1)], None).await;
    tenant.accept(channel_id(1), &[removed("wamid.ours", 1)]).await.unwrap();
    let mut commit = step(tenant, id).await;
    let named = Some(Pii::new("wamid.ours".to_owned()));
    commit.deliveries.push((message_id(1), delivery(DeliveryStatus::Sent), named));
    tenant.commit(commit).await.unwrap();
    is_gone(message_id(1)).await;
    let mut commit = step(tenant, id).await;
    commit.messages.push(outgoing(&commit.conversation, message_id(1), None));
    tenant.commit(commit).await.unwrap();
    is_gone(message_id(1)).await;
}

pub async fn what_contacts_do_comes_to_their_conversation(world: World) {
    let tenant = &*world.tenant(1).await;
    let seen = |who| InboundKind::SeenUpTo {
        contact: identity(who),
        up_to: SeenMark::Moment { at: Timestamp::EPOCH },
        status: DeliveryStatus::Delivered,
    };
    let control = |contact| InboundKind::ThreadControlChanged {
        contact,
        change: ThreadChange::Taken,
        owner: Some("26".to_owned()),
    };
    let acted = InboundKind::ContactActed {
        contact: identity("551"),
        profile_name: Some(Pii::new("Bo".to_owned())),
        what: "optin".to_owned(),
        referral: None,
        opens_window: true,
        raw: None,
    };
    let events = [
        said("nobody", seen("549")),
        said("1", InboundKind::MarketingChanged { contact: identity("550"), allowed: false }),
        said("2", acted),
        said("3", control(identity("552"))),
        said("4", seen("550")),
        reacted("wamid.unknown", identity("553"), "+"),
    ];
    let accepted = tenant.accept(channel_id(1), &events).await.unwrap();
    assert_eq!(accepted.new, [true; 6]);
    assert_eq!(accepted.conversations.len(), 4, "who has seen something is known already");
    let mut kinds = Vec::new();
    for id in &accepted.conversations {
        kinds.push(inbox(tenant, *id).await);
    }
    let expected: [&[&str]; 4] =
        [&["marketing_changed", "seen_up_to"], &["contact_acted"], &["thread_control_changed"], &["reacted"]];
    assert_eq!(kinds, expected);
    let (acting, _) = tenant.conversation(accepted.conversations[1]).await.unwrap().unwrap();
    let name = tenant.contact(acting.contact).await.unwrap().unwrap().profile_name;
    assert!(name == Some(Pii::new("Bo".to_owned())));

    let notice = Notice::Account { event: "DISABLED_UPDATE".to_owned() };
    let accepted =
        tenant.accept(channel_id(1), &[said("5", InboundKind::Noticed(notice.clone()))]).await.unwrap();
    assert!(accepted.new == [true] && accepted.conversations.is_empty());
    let last = tenant.events(EventSeq(4), 9).await.unwrap();
    let noticed = iassistance_domain::event::EventKind::ChannelNoticed { channel: channel_id(1), notice };
    assert!(last.len() == 1 && last[0].kind == noticed);
}
