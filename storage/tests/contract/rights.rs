//! What people asked about their own data, how what is known of them stands, and what they agreed to.

use iassistance_domain::Pii;
use iassistance_domain::audit::Actor;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::{CaseId, ContactId, ConversationId};
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::rights::{Amendment, CaseAct, ConsentKind, Mark, RightsCase};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::rights::CaseCommit;
use iassistance_storage::{StorageError, TenantStore};

use crate::support::furnish_rights::{intake, rights_case};
use crate::support::*;

fn ctx() -> TenantCtx {
    TenantCtx::platform(tenant_id(1))
}

async fn wrote_as(tenant: &dyn TenantStore, name: &str, text: &str) -> (ContactId, ConversationId) {
    let event = known_by_id(wrote(identity("549"), Some(name), text));
    let id = tenant.accept(channel_id(1), &[event]).await.unwrap().conversations[0];
    tenant.commit(handled(tenant, id).await).await.unwrap();
    (tenant.conversation(id).await.unwrap().unwrap().0.contact, id)
}

#[expect(clippy::option_option, reason = "a mark is left alone, put on or taken off")]
fn correct(case: RightsCase, fields: &[(&str, Option<&str>)], mark: Option<Option<Mark>>) -> CaseCommit {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.map(|value| Pii::new(value.to_owned()))));
    let amendment = Amendment { fields: fields.collect(), mark, ..Amendment::default() };
    let names = amendment.fields.iter().map(|(name, _)| name.clone()).collect();
    let told = EventKind::PrivacyCorrect { subject: case.contact, case: case.id, names };
    CaseCommit {
        amendment: Some((amendment, Actor::CommandLine)),
        events: vec![told],
        ..CaseCommit::new(case)
    }
}

pub async fn a_case_is_changed_by_who_has_seen_it(world: World) {
    let tenant = world.tenant(1).await;
    let (contact, conversation) = wrote_as(&*tenant, "Ada", "hello").await;
    let rights = world.store.rights();
    let (first, _) =
        rights.commit_case(ctx(), CaseCommit::new(rights_case(1, contact, conversation))).await.unwrap();
    assert_eq!(first.revision, 1);
    let stale = CaseCommit::new(rights_case(1, contact, conversation));
    assert!(matches!(rights.commit_case(ctx(), stale).await, Err(StorageError::Stale)));
    let mut next = first.clone();
    next.take(CaseAct::Withdraw, Actor::CommandLine, world.now()).unwrap();
    let (next, _) = rights.commit_case(ctx(), CaseCommit::new(next)).await.unwrap();
    assert!(rights.case(ctx(), first.id).await.unwrap() == Some(next.clone()) && next.revision == 2);
    rights.commit_case(ctx(), CaseCommit::new(rights_case(3, contact, conversation))).await.unwrap();
    let ids = async |before, limit| {
        let cases = rights.cases(ctx(), before, limit).await.unwrap();
        cases.into_iter().map(|case| case.id).collect::<Vec<_>>()
    };
    let (one, three) = (CaseId::from_bytes([1; 16]), CaseId::from_bytes([3; 16]));
    assert_eq!(ids(None, 9).await, [three, one]);
    assert_eq!(ids(Some(three), 9).await, [one]);
    assert_eq!(ids(None, 1).await, [three]);
}

pub async fn what_is_corrected_is_told_in_the_same_write_and_stays(world: World) {
    let tenant = world.tenant(1).await;
    let (contact, conversation) = wrote_as(&*tenant, "Ana", "hello").await;
    let rights = world.store.rights();
    let case = rights_case(1, contact, conversation);
    let fields = [("profile_name", Some("Ada")), ("city", Some("Rosario"))];
    let (case, seq) =
        rights.commit_case(ctx(), correct(case, &fields, Some(Some(Mark::Blocked)))).await.unwrap();
    assert_eq!(seq, *tenant.latest_event().borrow());
    let told = tenant.events(EventSeq(seq.0 - 1), 9).await.unwrap();
    assert!(matches!(told[0].kind, EventKind::PrivacyCorrect { .. }) && told[0].contact == Some(contact));
    wrote_as(&*tenant, "Ana", "again").await;
    let mut commit = step(&*tenant, conversation).await;
    commit.attributes.push(("city".to_owned(), Pii::new("Madrid".to_owned())));
    commit.attributes.push(("pet".to_owned(), Pii::new("cat".to_owned())));
    tenant.commit(commit).await.unwrap();
    let known = tenant.contact(contact).await.unwrap().unwrap();
    assert_eq!(known.profile_name.as_ref().unwrap().reveal(Rights), "Ada");
    assert_eq!(known.attributes["city"].reveal(Rights), "Rosario");
    assert_eq!(known.attributes["pet"].reveal(Rights), "cat");
    assert_eq!(known.standing.mark, Some(Mark::Blocked));
    let (case, _) = rights.commit_case(ctx(), correct(case, &[("city", None)], Some(None))).await.unwrap();
    let versions = rights.contact_versions(ctx(), contact).await.unwrap();
    let said = |text: &Option<Pii<String>>| text.as_ref().map(|text| text.reveal(Rights).clone());
    let shown: Vec<_> = versions
        .iter()
        .map(|it| (it.version, it.field.as_str(), said(&it.before), said(&it.after)))
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        shown,
        [
            (1, "profile_name", text("Ana"), text("Ada")),
            (2, "city", None, text("Rosario")),
            (3, "city", text("Rosario"), None),
        ]
    );
    assert!(versions.iter().all(|version| version.case == Some(case.id)));
    let nobody = ContactId::from_bytes([9; 16]);
    let of_nobody = correct(rights_case(7, nobody, conversation), &[("city", None)], None);
    assert!(matches!(rights.commit_case(ctx(), of_nobody).await, Err(StorageError::NotFound(_))));
}

pub async fn what_somebody_refuses_is_on_the_record_and_goes_with_them(world: World) {
    let tenant = world.tenant(1).await;
    let (contact, conversation) = wrote_as(&*tenant, "Ada", "stop").await;
    let rights = world.store.rights();
    let mut commit = step(&*tenant, conversation).await;
    commit.events.push(EventKind::ContactOptedOut);
    commit.events.push(EventKind::ContactMarketingChanged { allowed: false });
    tenant.commit(commit).await.unwrap();
    let kinds = async || {
        let found = rights.consents(ctx(), contact).await.unwrap();
        found.into_iter().map(|consent| consent.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, [ConsentKind::OptedOut, ConsentKind::MarketingRefused]);
    let case = rights_case(1, contact, conversation);
    rights.commit_case(ctx(), correct(case, &[("city", Some("Rosario"))], None)).await.unwrap();
    assert_eq!(rights.contact_at(ctx(), channel_id(1), identity("549")).await.unwrap(), Some(contact));
    assert_eq!(rights.contact_at(ctx(), channel_id(1), identity("550")).await.unwrap(), None);
    let keeping = world.store.keeping();
    let person = keeping.person(ctx(), contact).await.unwrap();
    keeping.erase(ctx(), person, Vec::new()).await.unwrap();
    assert!(kinds().await.is_empty() && rights.contact_versions(ctx(), contact).await.unwrap().is_empty());
    assert_eq!(rights.contact_at(ctx(), channel_id(1), identity("549")).await.unwrap(), None);
    let case = rights.case(ctx(), CaseId::from_bytes([1; 16])).await.unwrap();
    assert!(case.is_some_and(|case| case.contact == contact), "the case stays: it names nobody");
}

pub async fn requests_of_the_page_go_when_they_are_over(world: World) {
    let rights = world.store.rights();
    let at = |hours: u64| START.plus_millis(hours * 3_600_000);
    for (number, hours, proven) in [(1, 0, true), (2, 0, false), (3, 9, true), (4, 9, false)] {
        rights.put_intake(intake(number, at(hours), proven)).await.unwrap();
    }
    assert_eq!(rights.forget_intakes(START, at(5)).await.unwrap(), 1);
    assert_eq!(rights.forget_intakes(at(5), at(5)).await.unwrap(), 1);
    for (number, there) in [(1, false), (2, false), (3, true), (4, true)] {
        let found = rights.intake(intake(number, START, false).id).await.unwrap();
        assert_eq!(found.is_some(), there, "{number}");
    }
    let changed = intake(3, at(9), false);
    rights.put_intake(changed.clone()).await.unwrap();
    assert!(rights.intake(changed.id).await.unwrap() == Some(changed));
}
