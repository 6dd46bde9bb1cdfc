//! Personal data leaves for the named providers alone, and each person can be told to whom theirs went.

use std::collections::BTreeMap;

use iassistance_domain::audit::Actor;
use iassistance_domain::id::ContactId;
use iassistance_domain::pii::Deliver;
use iassistance_domain::privacy::{ErasureGround, Handed, RecipientKind};
use iassistance_egress::Destination;
use serde_json::{Value, json};
use url::Url;

use crate::book::Proof;
use crate::harness::{Flow, NUMBERS, within};
use crate::products::flying;
use crate::size;

/// What the ledger of a contact counts: for the channel, the model and a tool.
async fn ledger(flow: &Flow, contact: ContactId) -> BTreeMap<(RecipientKind, Handed), u64> {
    let found = flow.app.store.leaving().disclosures(flow.ctx(), contact).await.unwrap();
    found.lines.into_iter().map(|line| ((line.to.kind, line.what), line.count)).collect()
}

#[actix::test]
async fn promise_08() {
    let proof = Proof::of(8);
    let people = size("IASSISTANCE_DISCLOSED", 20);
    let flow = Flow::with(flying(&[])).await;
    // Each writes another number of times, and waits for the answer.
    let mut said = 0;
    for number in 0..people {
        for time in 0..=(number % 4) {
            flow.says(&format!("54911{number:08}"), NUMBERS[0], &format!("hello {time}"));
            said += 1;
            flow.sends(said).await;
            flow.quiet(0).await;
        }
    }
    let (sends, chats) = (flow.simulator.all_sends(), flow.simulator.chats());
    let store = flow.store(0).await;
    let conversations = store.conversations(None, 10_000).await.unwrap();
    assert_eq!(conversations.len(), people);
    let (mut to_meta, mut to_model) = (0, 0);
    for conversation in &conversations {
        let contact = store.contact(conversation.contact).await.unwrap().unwrap();
        let number = contact.identity.wa_id.as_ref().unwrap().reveal(Deliver).clone();
        let known_as = store.safety_identifier(contact.id);
        let sent = sends.iter().filter(|send| send.to.trim_start_matches('+') == number).count() as u64;
        let asked =
            chats.iter().filter(|chat| chat.body["safety_identifier"] == json!(known_as)).count() as u64;
        let ledger = ledger(&flow, contact.id).await;
        let expected = BTreeMap::from([
            ((RecipientKind::Meta, Handed::Message), sent),
            ((RecipientKind::Model, Handed::Conversation), asked),
        ]);
        assert_eq!(ledger, expected, "what the fake hosts saw of {number}, and what their ledger says");
        let path = format!("/tenants/{}/contacts/{}/disclosures", flow.tenants[0], contact.id);
        let (status, shown) = flow.api("GET", &path, None).await;
        assert_eq!((status.as_u16(), shown["items"].as_array().unwrap().len()), (200, 2), "{shown}");
        (to_meta, to_model) = (to_meta + sent, to_model + asked);
    }
    assert_eq!(
        (to_meta, to_model),
        (sends.len() as u64, chats.len() as u64),
        "all that left is on somebody's ledger"
    );

    // The ledger goes with the person, and who is to be told of it stays with the case.
    let gone = conversations[0].contact;
    let (ground, due) = (
        ErasureGround::Asked { by: Actor::CommandLine },
        flow.app.store.tenants().await.unwrap()[0].created_at,
    );
    let erasure =
        within("the erasure", flow.app.keeper.erase(flow.tenants[0], gone, ground, due)).await.unwrap();
    assert_eq!(erasure.disclosures.lines.len(), 2);
    assert!(ledger(&flow, gone).await.is_empty());

    let listed = only_what_is_listed(&flow);
    flow.finish().await;
    proof.kept(format!(
        "{people} people: {to_meta} messages and {to_model} requests to the model seen by the hosts, as many on the ledgers; {listed} addresses off the list refused"
    ));
}

/// The one way out takes what the settings name and nothing else: how many other addresses it refused.
fn only_what_is_listed(flow: &Flow) -> usize {
    let address = |text: &str| Url::parse(text).unwrap();
    let (egress, settings) = (&flow.app.egress, &flow.app.settings);
    let all = [
        Destination::Graph,
        Destination::Instagram,
        Destination::Media,
        Destination::Model,
        Destination::Files,
        Destination::Auth,
        Destination::Tool,
        Destination::Hook,
    ];
    assert!(egress.client_for(Destination::Graph, &settings.meta.graph_base_url).is_ok());
    assert!(egress.client_for(Destination::Model, &settings.model.base_url).is_ok());
    let mut refused = 0;
    for host in
        ["ads.example", "tracker.example", "graph.facebook.com.evil.example", "169.254.169.254", "10.0.0.1"]
    {
        for scheme in ["http", "https", "ftp"] {
            for destination in all {
                // A tool's public https address is the tenant's own word; nothing else of it is.
                if scheme == "https" && destination == Destination::Tool && host.ends_with("example") {
                    continue;
                }
                let url = address(&format!("{scheme}://{host}/collect"));
                assert!(egress.client_for(destination, &url).is_err(), "{} {url}", destination.name());
                refused += 1;
            }
        }
    }
    // What may be called, and the register, are made of the same settings.
    let hosts: Vec<String> = settings.destinations().into_iter().map(|(_, host)| host).collect();
    assert_eq!(
        hosts,
        ["media.invalid", "api.openai.com"],
        "what is on this machine is no provider: {hosts:?}"
    );
    refused
}

/// What a tenant's own systems get is on the ledger too.
#[actix::test]
async fn a_webhook_of_the_tenant_is_on_the_ledger_before_it_leaves() {
    let flow = Flow::with(flying(&["hooks.private_hosts=[\"127.0.0.1\"]"])).await;
    let url = flow.simulator.tool_url("receiver");
    let form = json!({ "url": url, "kinds": ["message.received"] });
    let (status, made) =
        flow.api("POST", &format!("/tenants/{}/webhooks", flow.tenants[0]), Some(form)).await;
    assert_eq!(status.as_u16(), 201, "{made}");
    flow.says("5491155550000", NUMBERS[0], "hello");
    flow.sends(1).await;
    flow.quiet(0).await;
    let contact = flow.store(0).await.conversations(None, 1).await.unwrap()[0].contact;
    let seen = within("the webhook on the ledger", async {
        loop {
            let found = ledger(&flow, contact).await;
            if let Some(count) = found.get(&(RecipientKind::Webhook, Handed::Event)) {
                return *count;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(seen >= 1);
    let _: Value = made;
    flow.finish().await;
}
