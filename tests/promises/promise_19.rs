//! Who is affected by a breach is told, in time, and is found exactly.

use std::collections::{BTreeMap, BTreeSet};

use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::id::{ChannelId, ContactId, ConversationId, TenantId};
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Clock, Timestamp};
use iassistance_vault::SystemEntropy;
use serde_json::{Value, json};

use crate::book::Proof;
use crate::harness::{Flow, NUMBERS, START, SignedIn, within};
use crate::products::flying;
use crate::support::{channel, identity, known_by_id, wrote};

/// Sessions are not idle for so long.
const STEP_MS: u64 = 10 * 60 * 1_000;
/// People of each tenant.
const PEOPLE: usize = 70;
/// What the thief reads of each tenant: 137 in all.
const READ: [usize; 3] = [50, 47, 40];

/// What answers showed the thief: the ids in them, read by the test's own eyes.
#[derive(Default)]
struct Stolen {
    contacts: BTreeMap<TenantId, BTreeSet<ContactId>>,
}

/// A tenant's people, with their conversations.
async fn people(
    flow: &Flow,
    tenant: TenantId,
    channel: ChannelId,
    from: usize,
) -> Vec<(ContactId, ConversationId)> {
    let store = flow.app.store.tenant(TenantCtx::platform(tenant)).await.unwrap();
    let mut all = Vec::new();
    for number in 0..PEOPLE {
        let event = known_by_id(wrote(
            identity(&format!("549{from}{number:07}")),
            None,
            &format!("words {from} {number}"),
        ));
        let accepted = store.accept(channel, &[event]).await.unwrap();
        let conversation = store.conversation(accepted.conversations[0]).await.unwrap().unwrap().0;
        all.push((conversation.contact, conversation.id));
    }
    all
}

async fn reads(
    flow: &Flow,
    thief: &SignedIn,
    stolen: &mut Stolen,
    tenant: TenantId,
    all: &[(ContactId, ConversationId)],
    count: usize,
) {
    let of = stolen.contacts.entry(tenant).or_default();
    for (place, (contact, conversation)) in all.iter().take(count).enumerate() {
        let path = match place % 3 {
            0 => format!("/tenants/{tenant}/contacts/{contact}"),
            1 => format!("/tenants/{tenant}/conversations/{conversation}"),
            _ => format!("/tenants/{tenant}/conversations/{conversation}/messages"),
        };
        let (status, shown) = flow.api_as(thief, "GET", &path, None).await;
        assert_eq!(status.as_u16(), 200, "{shown}");
        of.insert(*contact);
        // Read again: it counts once.
        if place % 7 == 0 {
            flow.api_as(thief, "GET", &path, None).await;
        }
    }
    // Refused and not found: nobody is reached.
    let nobody = format!("/tenants/{tenant}/contacts/{}", ContactId::new(START, &SystemEntropy));
    assert_eq!(flow.api_as(thief, "GET", &nobody, None).await.0.as_u16(), 404);
}

fn scope_of(shown: &Value) -> BTreeMap<TenantId, BTreeSet<ContactId>> {
    let tenants = shown["scope"]["tenants"].as_array().unwrap();
    let read = |id: &Value| id.as_str().unwrap().to_owned();
    tenants
        .iter()
        .filter(|reached| !reached["contacts"].as_array().unwrap().is_empty())
        .map(|reached| {
            assert!(reached["conversations"].as_array().unwrap().is_empty(), "{reached}");
            let contacts = reached["contacts"].as_array().unwrap().iter();
            (
                read(&reached["tenant"]).parse().unwrap(),
                contacts.map(|id| read(id).parse().unwrap()).collect(),
            )
        })
        .collect()
}

#[actix::test]
async fn promise_19() {
    let proof = Proof::of(19);
    let flow = Flow::with(flying(&["assistant.enabled=false"])).await;
    for tenant in 0..2 {
        let mut quiet = crate::harness::assistant();
        quiet.enabled = false;
        let ctx = TenantCtx::platform(flow.tenants[tenant]);
        flow.app.engine.put_assistant(ctx, quiet, None).await.unwrap();
    }
    let third = TenantId::new(START, &SystemEntropy);
    flow.app.store.create_tenant(Tenant::new(third, "third".to_owned(), START)).await.unwrap();
    let mut own = channel(9);
    (own.id, own.tenant, own.meta_app) = (ChannelId::new(START, &SystemEntropy), third, flow.meta_app);
    let third_channel = own.id;
    flow.app.store.put_channel(own).await.unwrap();
    let tenants = [flow.tenants[0], flow.tenants[1], third];
    let mut all = Vec::new();
    for (place, tenant) in tenants.into_iter().enumerate() {
        let channel = match place {
            2 => third_channel,
            place => {
                flow.store(place)
                    .await
                    .channels()
                    .await
                    .unwrap()
                    .into_iter()
                    .find(|it| it.external_id == NUMBERS[place])
                    .unwrap()
                    .id
            }
        };
        all.push(people(&flow, tenant, channel, place + 1).await);
    }
    let member = |role| tenants.map(|tenant| (MemberOf::Tenant(tenant), role));
    let (thief, honest) = (
        flow.sign_in(false, &member(Role::TenantAdmin)).await,
        flow.sign_in(false, &member(Role::Viewer)).await,
    );
    // Before the theft the account was its owner's, and others read all along.
    let mut before = Stolen::default();
    reads(&flow, &thief, &mut before, tenants[0], &all[0][60..], 5).await;
    flow.clock.advance_millis(STEP_MS);
    let from = flow.clock.now();
    let mut stolen = Stolen::default();
    for (place, tenant) in tenants.into_iter().enumerate() {
        reads(&flow, &thief, &mut stolen, tenant, &all[place], READ[place]).await;
        reads(&flow, &honest, &mut Stolen::default(), tenant, &all[place], PEOPLE).await;
        reads(&flow, &honest, &mut Stolen::default(), tenant, &all[place][30..], 20).await;
    }
    flow.clock.advance_millis(STEP_MS);
    let until = flow.clock.now();
    let mut after = Stolen::default();
    reads(&flow, &thief, &mut after, tenants[1], &all[1][60..], 5).await;

    let owner = flow.sign_in(true, &[]).await;
    let form = json!({ "title": "An account was stolen.", "from": from, "until": until,
        "suspects": [{ "kind": "account", "account": thief.account }] });
    assert_eq!(flow.api_as(&honest, "POST", "/incidents", Some(form.clone())).await.0.as_u16(), 403);
    let (status, opened) = flow.api_as(&owner, "POST", "/incidents", Some(form)).await;
    assert_eq!(status.as_u16(), 201, "{opened}");
    let path = format!("/incidents/{}", opened["id"].as_str().unwrap());
    let found = within("the scope", async {
        loop {
            let (status, shown) = flow.api_as(&owner, "POST", &format!("{path}/scope"), None).await;
            assert_eq!(status.as_u16(), 200, "{shown}");
            let found = scope_of(&shown);
            // The log is kept in groups: what was asked last may still be on its way to it.
            if found.values().map(BTreeSet::len).sum::<usize>() >= 137 {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (right, of_found) = (&stolen.contacts, found.values().map(BTreeSet::len).sum::<usize>());
    assert_eq!(right.values().map(BTreeSet::len).sum::<usize>(), 137);
    assert_eq!(&found, right, "precision and recall are 1");
    assert_eq!(of_found, 137);

    told_in_time(&flow, &owner, &path, &tenants).await;
    flow.end_with_incidents().await;
    proof.kept("137 contacts in 3 clients reached, 137 found: precision 1, recall 1; clocks of 24, 24, 72 and 72 hours reminded at 50, 80 and 100 %");
}

/// The clocks remind, there is a letter to each party, and it closes once everybody was told.
async fn told_in_time(flow: &Flow, owner: &SignedIn, path: &str, tenants: &[TenantId]) {
    let (_, shown) = flow.api_as(owner, "GET", path, None).await;
    let known: i64 = shown["known_at"].as_i64().unwrap();
    let due: Vec<i64> = shown["duties"]
        .as_array()
        .unwrap()
        .iter()
        .map(|duty| (duty["due_at"].as_i64().unwrap() - known) / 3_600_000)
        .collect();
    assert_eq!(due, [24, 24, 72, 72]);
    let incidents = &flow.app.incidents;
    let mut reminded = Vec::new();
    for hours in [11, 12, 19, 20, 24, 36, 58, 72, 500] {
        flow.clock.advance_to(Timestamp::from_millis(known + hours * 3_600_000));
        // The round of the running server may have been first: what was reminded is on the incident.
        incidents.round(None).await;
        let id = path.rsplit('/').next().unwrap().parse().unwrap();
        let incident = incidents.incident(id).await.unwrap();
        reminded.push(incident.duties.iter().map(|duty| duty.reminded).collect::<Vec<_>>());
    }
    let expected = [
        [0, 0, 0, 0],
        [50, 50, 0, 0],
        [50, 50, 0, 0],
        [80, 80, 0, 0],
        [100, 100, 0, 0],
        [100, 100, 50, 50],
        [100, 100, 80, 80],
        [100, 100, 100, 100],
        [100, 100, 100, 100],
    ];
    assert_eq!(reminded, expected);
    // Sessions are over by now.
    let owner = &flow.sign_in(true, &[]).await;
    for language in ["es", "pt", "en"] {
        let (_, drafts) =
            flow.api_as(owner, "GET", &format!("{path}/drafts?language={language}"), None).await;
        let parties: Vec<_> =
            drafts.as_array().unwrap().iter().map(|draft| draft["party"].as_str().unwrap()).collect();
        assert_eq!(parties, ["meta", "clients", "clients", "clients", "authority", "people"], "{drafts}");
        assert!(tenants.iter().all(|tenant| drafts.to_string().contains(&tenant.to_string())));
        assert!(drafts[0]["text"].as_str().unwrap().contains("137"), "{drafts}");
    }
    for party in ["meta", "clients", "authority"] {
        let told = json!({ "party": party, "proof": "mail 7, folder incidents" });
        assert_eq!(flow.api_as(owner, "POST", &format!("{path}/told"), Some(told)).await.0.as_u16(), 200);
    }
    assert_eq!(
        flow.api_as(owner, "POST", &format!("{path}/close"), None).await.0.as_u16(),
        409,
        "the people were not told"
    );
    let told = json!({ "party": "people", "proof": "by each client" });
    assert_eq!(flow.api_as(owner, "POST", &format!("{path}/told"), Some(told)).await.0.as_u16(), 200);
    assert_eq!(flow.api_as(owner, "POST", &format!("{path}/close"), None).await.0.as_u16(), 200);
    let (_, file) = flow.api_as(owner, "GET", &format!("{path}/dossier"), None).await;
    assert_eq!((&file["quantity"]["people"], &file["people_told"]), (&json!(137), &json!(true)), "{file}");
    for field in ["what_happened", "vulnerabilities", "mitigation", "measures", "consequences"] {
        assert!(file["facts"][field].is_string(), "{file}");
    }
}

trait Ends {
    async fn end_with_incidents(self);
}

impl Ends for Flow {
    async fn end_with_incidents(mut self) {
        drop(self.end().await);
    }
}
