//! Access: a person gets all that is held about them, as it is held, and not a byte of anybody else's.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iassistance::app::Vaulted;
use iassistance::rights::{Act, Registrar, readable};
use iassistance_domain::account::Language;
use iassistance_domain::audit::Actor;
use iassistance_domain::event::EventSeq;
use iassistance_domain::privacy::rights::{Opened, RightKind};
use iassistance_domain::privacy::{Class, Handed, Recipient};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::TenantStore;
use serde::Serialize;
use serde_json::Value;

use crate::book::Proof;
use crate::folder::{Place, close, keeper};
use crate::people::{Somebody, of, tenant_of, tenants, writes};
use crate::size;

/// Some of the codes in what is handed out, from all over the list.
const MEANT: [&str; 8] =
    ["contact", "operator", "sent", "queued", "marketing_allowed", "access", "meta", "attributes"];
const BY: Actor = Actor::CommandLine;

fn json(records: &impl Serialize) -> Vec<Value> {
    match serde_json::to_value(records).unwrap() {
        Value::Array(all) => all,
        one => vec![one],
    }
}

/// All that is held, read record by record and another way than what is handed out.
async fn oracle(
    vaulted: &Vaulted,
    store: &dyn TenantStore,
    (tenant, somebody): (u8, &Somebody),
) -> BTreeMap<&'static str, Vec<Value>> {
    let id = somebody.conversation;
    let (ctx, rights) = (TenantCtx::platform(tenant_of(tenant)), vaulted.store.rights());
    let contact = store.contact(somebody.contact).await.unwrap().unwrap();
    let waiting =
        store.inbox(id, usize::MAX).await.unwrap().into_iter().map(|it| it.letter).collect::<Vec<_>>();
    let mut cases = rights.cases(ctx, None, usize::MAX).await.unwrap();
    cases.retain(|case| case.contact == somebody.contact);
    // What proves who asks is nobody's to see.
    for case in &mut cases {
        case.challenge = None;
    }
    let spent = serde_json::json!({ "conversation": id, "spent": store.spent_in(id).await.unwrap() });
    let events = store.events(EventSeq::default(), usize::MAX).await.unwrap();
    let events: Vec<_> = events.into_iter().filter(|it| it.contact == Some(somebody.contact)).collect();
    let letters = store.dead_letters(None, usize::MAX).await.unwrap();
    let letters: Vec<_> = letters.into_iter().filter(|it| it.conversation == id).collect();
    BTreeMap::from([
        ("contacts", json(&[contact])),
        ("conversations", json(&store.conversation(id).await.unwrap().unwrap().0)),
        ("messages", json(&store.messages(id, None, usize::MAX).await.unwrap())),
        ("versions", json(&rights.contact_versions(ctx, somebody.contact).await.unwrap())),
        ("consents", json(&rights.consents(ctx, somebody.contact).await.unwrap())),
        ("requests", json(&cases)),
        ("spending", vec![spent]),
        ("waiting", [json(&store.outbox(id).await.unwrap()), json(&waiting)].concat()),
        ("turns", json(&store.turns(id, None, usize::MAX).await.unwrap())),
        ("summaries", json(&store.summary(id).await.unwrap().unwrap())),
        ("dead_letters", json(&letters)),
        ("events", json(&events)),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_20() {
    let proof = Proof::of(20);
    let subjects = size("IASSISTANCE_ACCESS_SUBJECTS", 200);
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 2).await;
    let mut people = Vec::new();
    // Nobody has the number 0: it is the beginning of one that messages of these tests go to.
    for number in 1..=subjects {
        people.push((1, writes(&vaulted, 1, number).await));
        if number.is_multiple_of(10) {
            people.push((2, writes(&vaulted, 2, number).await));
        }
    }
    let registrar = Registrar::new(&vaulted, &keeper(&vaulted), None, None).unwrap();
    // Whatever could tell of somebody, by whose it is.
    let marks: Vec<&str> =
        people.iter().flat_map(|(_, it)| [it.secret.as_str(), it.number.as_str()]).collect();
    let search = AhoCorasick::new(&marks).unwrap();
    let (mut bytes, mut records) = (0, 0);
    for (place, (tenant, somebody)) in people.iter().enumerate() {
        let text = answered(&vaulted, &registrar, *tenant, somebody, &mut records).await;
        bytes += text.len();
        let of_others =
            search.find_iter(&text).filter(|found| found.pattern().as_usize() / 2 != place).count();
        assert_eq!(of_others, 0, "something of somebody else is in what {} got", somebody.contact);
        assert!(text.contains(&somebody.number), "what they are known by");
    }
    close(vaulted).await;
    proof.kept(format!(
        "{} people of 2 clients, {records} records equal to what is stored, {bytes} bytes, 0 of them of others",
        people.len()
    ));
}

/// What somebody who proved who they are gets.
async fn answered(
    vaulted: &Vaulted,
    registrar: &Registrar,
    tenant: u8,
    somebody: &Somebody,
    records: &mut usize,
) -> String {
    let id = tenant_of(tenant);
    let case =
        registrar.open(id, somebody.contact, RightKind::Access, Opened::Staff { by: BY }).await.unwrap();
    assert!(registrar.act(id, case.id, Act::Answer(None), BY).await.is_err(), "nothing before it is proven");
    registrar.act(id, case.id, Act::SeeDocument("DNI".to_owned()), BY).await.unwrap();
    let ctx = TenantCtx::platform(id);
    vaulted.store.leaving().disclose(ctx, somebody.contact, Recipient::META, Handed::Message).await.unwrap();
    // What is held now: taking it up is on the record too.
    let store = of(vaulted, tenant).await;
    let expected = oracle(vaulted, &*store, (tenant, somebody)).await;
    let bundle = registrar.bundle(id, somebody.contact, Language::Es).await.unwrap();
    let handed: BTreeMap<_, _> =
        bundle.parts.iter().map(|(name, records)| (*name, records.clone())).collect();
    for (part, stored) in &expected {
        assert_eq!(
            serde_json::to_vec(&handed[part]).unwrap(),
            serde_json::to_vec(stored).unwrap(),
            "{part} is handed out as it is stored"
        );
        *records += stored.len();
    }
    assert_eq!(handed["files"].len(), usize::from(somebody.file.is_some()));
    for file in &handed["files"] {
        let bytes = STANDARD.decode(file["data_base64"].as_str().unwrap()).unwrap();
        assert_eq!(bytes, format!("picture {} ", somebody.secret).repeat(300).into_bytes());
    }
    let few = usize::from(somebody.file.is_some());
    assert_eq!(handed["versions"].is_empty(), few == 0);
    let counts = [("consents", few), ("requests", 1 + few), ("waiting", 1 + few)];
    for (part, count) in counts {
        assert_eq!(handed[part].len(), count, "{part}");
    }
    // What each class is kept for, what each code means: all of them.
    assert_eq!(handed["kept"].len(), Class::ALL.len());
    let meant: Vec<_> = handed["meanings"].iter().map(|it| it["code"].as_str().unwrap()).collect();
    assert!(MEANT.iter().all(|code| meant.contains(code)), "{meant:?}");
    assert_eq!(handed["recipients"].len(), 1);
    assert!(handed["about"].iter().all(|it| it["business"].is_string()) && handed["about"].len() == 1);
    assert_eq!(handed["recipients"][0]["name"], "meta");
    let text = bundle.json().to_string();
    for word in ["name", "words", "town", "sum", "wants"] {
        assert!(text.contains(&format!("{word} {}", somebody.secret)), "{word}");
    }
    let shown = readable(&bundle, Language::Es);
    let lines = shown.iter().flat_map(|part| part.records.iter().flatten()).map(|(_, text)| text.as_str());
    let readable = lines.collect::<Vec<_>>().join("\n");
    for word in ["name", "words", "town", "sum", "wants"] {
        assert!(readable.contains(&format!("{word} {}", somebody.secret)), "{word} can be read");
    }
    registrar.act(id, case.id, Act::Answer(None), BY).await.unwrap();
    text
}
