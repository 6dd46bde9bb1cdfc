//! For how long what is kept, and how it goes.

use iassistance_domain::SeededEntropy;
use iassistance_domain::channel::{Channel, ChannelHealth, Connection, MetaApp};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::Content;
use iassistance_domain::event::{DeadLetter, DeadWork, EventKind};
use iassistance_domain::id::{ChannelId, ContactId, DeadLetterId, MetaAppId};
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::privacy::rights::RightKind;

use super::*;

impl Desk {
    /// Somebody wrote to the first tenant.
    async fn contact(&self) -> ContactId {
        let event = InboundEvent {
            dedup: Pii::new("m:wamid.1".to_owned()),
            occurred_at: self.clock.now(),
            kind: InboundKind::MessageReceived {
                provider_id: Pii::new("wamid.1".to_owned()),
                from: ContactIdentity::new(Some("15550100".to_owned()), None).unwrap(),
                profile_name: None,
                content: Content::text("hello"),
                context: None,
                referral: None,
                arrival: Arrival::Live,
            },
        };
        let now = self.clock.now();
        let app = MetaApp {
            id: MetaAppId::from_bytes([1; 16]),
            name: "app".to_owned(),
            app_id: None,
            secrets: vec![StoredSecret::new("s")],
            verify_token: StoredSecret::new("t"),
            created_at: now,
        };
        let channel = Channel {
            id: ChannelId::from_bytes([1; 16]),
            tenant: self.tenants[0],
            meta_app: app.id,
            connection: Connection::CloudApi { account_id: None, number: None },
            external_id: "106540352242922".to_owned(),
            name: "a number".to_owned(),
            access_token: StoredSecret::new("EAA"),
            token_owner: None,
            health: ChannelHealth::connecting(now),
            created_at: now,
        };
        self.app.store.put_meta_app(app).await.unwrap();
        self.app.store.put_channel(channel.clone()).await.unwrap();
        let store = self.app.store.tenant(TenantCtx::platform(self.tenants[0])).await.unwrap();
        let accepted = store.accept(channel.id, &[event]).await.unwrap();
        store.conversation(accepted.conversations[0]).await.unwrap().unwrap().0.contact
    }
}

#[actix_web::test]
async fn periods_are_chosen_within_the_platforms_bounds_by_who_has_seen_them() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let (admin, path) = (desk.admin(tenant).await, format!("/tenants/{tenant}/retention"));
    let shown = desk.ask(&admin, "get", &path, None).await;
    let period = |shown: &Answer, class: &str| {
        let all = shown.body["chosen"].as_array().unwrap();
        all.iter().find(|period| period["class"] == class).unwrap().clone()
    };
    let (message, etag) = (period(&shown, "message"), shown.headers.get("etag").unwrap().to_str().unwrap());
    assert_eq!((&message["chosen"], &message["days"]), (&Value::Null, &message["default"]));
    assert!(shown.body["by_rule"].as_array().unwrap().iter().any(|rule| rule["class"] == "audit"));
    let days = message["days"].as_u64().unwrap();
    let before = desk.clock.now().minus_millis(days * 24 * 3_600_000).as_millis();
    assert_eq!(message["goes_before"], before, "what is older goes with the next sweep");
    desk.clock.advance_millis(1);
    let again = desk.ask_with(&admin, "get", &path, None, &[("If-None-Match", etag)]).await;
    assert_eq!(again.status, 304, "time alone is no change");

    let put = async |days: Value, tag: &str| {
        let body = json!({ "days": days });
        desk.ask_with(&admin, "put", &path, Some(body), &[("If-Match", tag)]).await
    };
    let floor = message["floor"].as_u64().unwrap();
    let changed = put(json!({ "message": floor }), etag).await;
    assert_eq!((changed.status, period(&changed, "message")["days"].as_u64()), (200, Some(floor)));
    assert!(put(json!({ "message": floor }), etag).await.is_problem(412, "changed"));
    assert!(put(json!({ "message": floor - 1 }), "*").await.is_problem(422, "invalid"));
    assert!(put(json!({ "message": message["ceiling"].as_u64().unwrap() + 1 }), "*").await.status == 422);
    assert!(put(json!({ "audit": 400 }), "*").await.is_problem(422, "invalid"), "that goes by a rule");
    assert!(put(json!({ "mesage": 400 }), "*").await.is_problem(422, "invalid"));
    let audit =
        desk.ask(&admin, "get", &format!("/tenants/{tenant}/audit?act=retention.changed"), None).await;
    let items = audit.body["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["details"]), (1, &json!({ "message": floor.to_string() })));
    desk.close().await;
}

#[actix_web::test]
async fn an_erasure_says_why_and_needs_a_proof_anew() {
    let desk = Desk::open().await;
    let (tenant, contact) = (desk.tenants[0], desk.contact().await);
    let (admin, owner) = (desk.admin(tenant).await, desk.owner().await);
    let path = format!("/tenants/{tenant}/contacts/{contact}/erasure");
    let ask =
        async |who: &str, ground: &str| desk.ask(who, "post", &path, Some(json!({ "ground": ground }))).await;
    assert!(ask(&admin, "  ").await.is_problem(422, "invalid"));
    assert!(ask(&admin, &"x".repeat(1_001)).await.is_problem(422, "invalid"));
    assert!(ask(&owner, "an order").await.is_problem(403, "break_glass_needed"));
    let operator = desk.person(false, &[(MemberOf::Tenant(tenant), Role::Operator)]).await;
    assert!(ask(&operator, "they asked").await.is_problem(403, "forbidden"));
    desk.clock.advance_millis(iassistance_domain::session::STEP_UP_MS);
    assert!(ask(&admin, "they asked").await.is_problem(403, "step_up_needed"));
    let key = desk.key(Some(tenant), &[Scope::Dsar]).await;
    let erased = ask(&key, "they asked").await;
    assert_eq!((erased.status, &erased.body["state"]), (200, &json!("erased")), "{}", erased.body);
    let (law, in_force) = desk.app.registrar.law();
    let due = law.due(in_force, RightKind::Delete, desk.clock.now()).at;
    assert_eq!(erased.body["due_at"], json!(due), "the law's own count");
    let list = format!("/tenants/{tenant}/erasures");
    let listed = desk.ask(&owner, "get", &list, None).await;
    assert_eq!(listed.body["items"][0], erased.body, "an owner sees that it was, by ids alone");
    let id = erased.body["id"].as_str().unwrap();
    assert_eq!(desk.ask(&key, "get", &format!("{list}/{id}"), None).await.body, erased.body);
    let theirs = desk.admin(desk.tenants[1]).await;
    let foreign = format!("/tenants/{}/erasures/{id}", desk.tenants[1]);
    assert!(desk.ask(&theirs, "get", &foreign, None).await.is_problem(404, "not_found"));
    assert_eq!(ask(&key, "they asked").await.body, erased.body, "asked again, it is the same one");
    desk.app.keeper.make_final(tenant).await.unwrap();
    assert!(ask(&key, "they asked").await.is_problem(404, "not_found"));
    desk.close().await;
}

#[actix_web::test]
async fn a_hold_names_its_norm_its_proof_and_when_somebody_looks_again() {
    let desk = Desk::open().await;
    let (tenant, contact) = (desk.tenants[0], desk.contact().await);
    let (admin, path) = (desk.admin(tenant).await, format!("/tenants/{tenant}/holds"));
    let review_at = desk.clock.now().plus_millis(1_000);
    let whole = json!({
        "norm": "Ley 25.326 art. 16.5", "contact": contact, "classes": ["message", "message"],
        "proven_by": "Court file 12/2026", "review_at": review_at,
    });
    let lay = async |change: Value| {
        let mut form = whole.clone();
        form.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        desk.ask(&admin, "post", &path, Some(form)).await
    };
    for wrong in [
        json!({ "norm": " " }),
        json!({ "proven_by": "" }),
        json!({ "proven_by": "x".repeat(1_001) }),
        json!({ "review_at": desk.clock.now() }),
        json!({ "classes": ["audit"] }),
        json!({ "contact": format!("con_{}", "0".repeat(32)) }),
    ] {
        assert!(lay(wrong.clone()).await.is_problem(422, "invalid"), "{wrong}");
    }
    let laid = lay(json!({})).await;
    assert_eq!((laid.status, &laid.body["classes"]), (201, &json!(["message"])), "{}", laid.body);
    let one = laid.headers.get("location").unwrap().to_str().unwrap().strip_prefix("/v1").unwrap().to_owned();
    assert_eq!(desk.ask(&admin, "get", &one, None).await.body, laid.body);
    desk.clock.advance_millis(1_000);
    let due = desk.ask(&admin, "get", &one, None).await;
    assert_eq!((&due.body["review_due"], &due.body["released_at"]), (&json!(true), &Value::Null));
    let key = desk.key(Some(tenant), &[Scope::Dsar, Scope::Manage]).await;
    assert!(desk.ask(&key, "delete", &one, None).await.is_problem(403, "forbidden"), "it is for people");
    let released = desk.ask(&desk.owner().await, "delete", &one, None).await;
    assert_eq!((released.status, &released.body["review_due"]), (200, &json!(false)));
    let open = desk.ask(&admin, "get", &format!("{path}?in_force=true"), None).await;
    assert_eq!(open.body["items"], json!([]));
    desk.close().await;
}

#[actix_web::test]
async fn it_is_told_why_something_is_still_there_and_until_when() {
    let desk = Desk::open().await;
    let (tenant, contact) = (desk.tenants[0], desk.contact().await);
    let (admin, path) = (desk.admin(tenant).await, format!("/tenants/{tenant}/retention"));
    let store = desk.app.store.tenant(TenantCtx::platform(tenant)).await.unwrap();
    let conversation = store.conversations(None, 9).await.unwrap()[0].id;
    let wrote_at = desk.clock.now();
    let about = async |id: &str| desk.ask(&admin, "get", &format!("{path}/{id}"), None).await;
    let (days, day_ms) = (u64::from(desk.app.settings.retention.contact.default), 24 * 3_600_000);
    for id in [contact.to_string(), conversation.to_string()] {
        let told = about(&id).await;
        assert_eq!((told.status, &told.body["class"]), (200, &json!("contact")), "{}", told.body);
        assert_eq!(told.body["counts_from"], json!(wrote_at), "{id}");
        assert_eq!(told.body["goes_at"], json!(wrote_at.plus_millis(days * day_ms)));
        assert_eq!((&told.body["holds"], &told.body["chosen"]), (&json!([]), &json!(false)));
    }
    let letter = DeadLetter {
        id: DeadLetterId::new(wrote_at, &SeededEntropy::new(1)),
        conversation,
        work: DeadWork::Conversation,
        reason: "failed".to_owned(),
        at: wrote_at,
        replayed_at: None,
    };
    let id = letter.id.to_string();
    store
        .put_dead_letter(letter.clone(), EventKind::ConversationQuarantined { dead_letter: letter.id })
        .await
        .unwrap();
    let shortest = desk.ask(&admin, "get", &path, None).await.body["chosen"][0]["floor"].as_u64().unwrap();
    let periods = json!({ "days": { "dead_letter": 30, "contact": shortest } });
    assert_eq!(desk.ask_with(&admin, "put", &path, Some(periods), &[("If-Match", "*")]).await.status, 200);
    let hold = json!({
        "norm": "a norm", "contact": contact, "classes": ["dead_letter"], "proven_by": "a file",
        "review_at": wrote_at.plus_millis(day_ms),
    });
    let hold =
        desk.ask(&admin, "post", &format!("/tenants/{tenant}/holds"), Some(hold)).await.body["id"].clone();
    let told = about(&id).await.body;
    assert_eq!(
        (&told["what"], &told["days"], &told["chosen"]),
        (&json!("dead_letter"), &json!(30), &json!(true))
    );
    assert_eq!((&told["contact"], &told["holds"]), (&json!(contact), &json!([hold])));
    assert_eq!(told["goes_at"], json!(wrote_at.plus_millis(30 * day_ms)));
    assert_eq!(told["goes_with_contact_at"], json!(wrote_at.plus_millis(shortest * day_ms)));
    assert_eq!(
        about(&conversation.to_string()).await.body["holds"],
        json!([]),
        "that hold is on another class"
    );

    let message = format!("msg_{}", "0".repeat(32));
    assert!(about(&message).await.is_problem(422, "invalid"), "in which conversation");
    assert!(about(&format!("{message}?conversation={conversation}")).await.is_problem(404, "not_found"));
    for absent in ["xyz".to_owned(), format!("con_{}", "0".repeat(32)), "con_1".to_owned()] {
        assert!(about(&absent).await.is_problem(404, "not_found"), "{absent}");
    }
    let rule = about(&format!("acc_{}", "0".repeat(32))).await.body;
    assert_eq!((&rule["class"], &rule["goes_at"]), (&json!("account"), &Value::Null));
    let theirs = desk.admin(desk.tenants[1]).await;
    let foreign = format!("/tenants/{}/retention/{contact}", desk.tenants[1]);
    assert!(desk.ask(&theirs, "get", &foreign, None).await.is_problem(404, "not_found"));

    let erased = json!({ "ground": "they asked" });
    let erased = desk
        .ask(&admin, "post", &format!("/tenants/{tenant}/contacts/{contact}/erasure"), Some(erased))
        .await;
    assert_eq!(erased.body["state"], "held", "{}", erased.body);
    let key = desk.owner().await;
    let hold = format!("/tenants/{tenant}/holds/{}", hold.as_str().unwrap());
    assert_eq!(desk.ask(&key, "delete", &hold, None).await.status, 200);
    desk.app.keeper.round().await;
    for id in [contact.to_string(), conversation.to_string()] {
        assert_eq!(about(&id).await.body["erased_by"], erased.body["id"], "{id}");
    }
    drop(store);
    desk.close().await;
}

#[actix_web::test]
async fn a_tenant_can_tell_its_own_end_users() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let (viewer, path) = (
        desk.person(false, &[(MemberOf::Tenant(tenant), Role::Viewer)]).await,
        format!("/tenants/{tenant}/notice"),
    );
    let admin = desk.admin(tenant).await;
    let periods = json!({ "days": { "message": 77 } });
    let retention = format!("/tenants/{tenant}/retention");
    assert_eq!(
        desk.ask_with(&admin, "put", &retention, Some(periods), &[("If-Match", "*")]).await.status,
        200
    );
    for (asked, language, days) in [
        ("", "es", "77 días"),
        ("?lang=es", "es", "77 días"),
        ("?lang=pt", "pt", "77 dias"),
        ("?lang=en", "en", "77 days"),
    ] {
        let told = desk.ask(&viewer, "get", &format!("{path}{asked}"), None).await;
        assert_eq!((told.status, &told.body["language"]), (200, &json!(language)), "{}", told.body);
        let text = told.body["text"].as_str().unwrap();
        let name = desk.ask(&admin, "get", &format!("/tenants/{tenant}"), None).await.body["name"].clone();
        for said in [
            name.as_str().unwrap(),
            days,
            "OpenAI",
            "https://desk.test/privacy/request",
            crate::http::public::notice::LEGEND,
        ] {
            assert!(text.contains(said), "{said} in {text}");
        }
    }
    assert!(desk.ask(&viewer, "get", &format!("{path}?lang=fr"), None).await.is_problem(422, "invalid"));
    desk.close().await;
}

#[actix_web::test]
async fn the_data_map_is_there_for_whoever_signs_in_and_every_key() {
    let desk = Desk::open().await;
    let nobody = desk.person(false, &[]).await;
    let mut asked = vec![nobody];
    for scope in Scope::ALL {
        asked.push(desk.key((scope != Scope::Platform).then_some(desk.tenants[0]), &[scope]).await);
    }
    for who in asked {
        let map = desk.ask(&who, "get", "/privacy/data-map", None).await;
        assert_eq!(map.status, 200);
        let kinds = map.body["kinds"].as_array().unwrap();
        let message = kinds.iter().find(|kind| kind["kind"] == "message").unwrap();
        let named = message["fields"].as_array().unwrap().iter().find(|field| field["path"] == "id").unwrap();
        assert_eq!((&named["category"], &named["class"]), (&json!("id"), &json!("message")));
    }
    desk.close().await;
}

#[actix_web::test]
async fn a_certificate_is_readable_when_its_tenant_is_not_there_any_more() {
    let desk = Desk::open().await;
    let (tenant, owner) = (desk.tenants[1], desk.owner().await);
    let path = format!("/certificates/{tenant}");
    assert!(desk.ask(&owner, "get", &path, None).await.is_problem(404, "not_found"));
    let by = iassistance_domain::audit::Actor::CommandLine;
    desk.app.keeper.destroy_tenant(tenant, by, Some("0".repeat(64))).await.unwrap();
    assert_eq!(desk.ask(&owner, "get", &format!("/tenants/{tenant}"), None).await.status, 404);
    let shown = desk.ask(&owner, "get", &path, None).await;
    assert_eq!((shown.status, &shown.body["by"]["who"]), (200, &json!("command_line")), "{}", shown.body);
    let note = shown.body["note"].as_str().unwrap();
    let verifier = desk.app.keyring.note_signer().unwrap().verifier().clone();
    assert!(verifier.open(note).unwrap().contains(&tenant.to_string()));
    let listed = desk.ask(&owner, "get", "/certificates", None).await;
    assert_eq!(listed.body["items"], json!([shown.body]));
    let admin = desk.admin(desk.tenants[0]).await;
    assert!(desk.ask(&admin, "get", &path, None).await.is_problem(403, "forbidden"));
    desk.close().await;
}
