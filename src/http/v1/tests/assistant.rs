use iassistance_assistant::scripted::Behaviour;

use super::*;

fn etag(answer: &Answer) -> String {
    answer.headers.get("etag").unwrap().to_str().unwrap().to_owned()
}

fn saying(instructions: &str) -> Value {
    let mut settings = assistant();
    settings["instructions"] = json!(instructions);
    settings
}

#[actix_web::test]
async fn a_draft_counts_when_it_is_published_and_not_before() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage, Scope::Read]).await;
    let path = format!("/tenants/{tenant}/assistant");
    let draft = format!("{path}/draft");
    let publish = format!("{draft}/publish");
    assert!(desk.ask(&key, "get", &draft, None).await.is_problem(404, "not_found"));
    assert!(desk.ask(&key, "post", &publish, None).await.is_problem(404, "not_found"));
    assert_eq!(desk.ask(&key, "put", &path, Some(saying("one"))).await.body["version"], 1);

    let saved = desk.ask(&key, "put", &draft, Some(saying("two"))).await;
    assert_eq!(
        (saved.status, &saved.body["based_on"], &saved.body["instructions"]),
        (200, &json!(1), &json!("two"))
    );
    assert_eq!(desk.ask(&key, "get", &path, None).await.body["instructions"], "one");
    assert_eq!(etag(&desk.ask(&key, "get", &draft, None).await), etag(&saved));

    let again = [("If-Match", etag(&saved))];
    let again: Vec<_> = again.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let changed = desk.ask_with(&key, "put", &draft, Some(saying("three")), &again).await;
    assert_eq!(changed.status, 200);
    assert!(
        desk.ask_with(&key, "put", &draft, Some(saying("lost")), &again).await.is_problem(412, "changed")
    );
    assert!(desk.ask_with(&key, "post", &publish, None, &again).await.is_problem(412, "changed"));

    let tag = etag(&changed);
    let once = [("If-Match", tag.as_str()), ("Idempotency-Key", "publish-1")];
    let published = desk.ask_with(&key, "post", &publish, None, &once).await;
    assert_eq!((published.status, &published.body["version"]), (201, &json!(2)));
    assert_eq!(published.headers.get("location").unwrap().to_str().unwrap(), format!("/v1{path}/versions/2"));
    let repeated = desk.ask_with(&key, "post", &publish, None, &once).await;
    assert_eq!((repeated.status, &repeated.body), (201, &published.body));
    assert_eq!(desk.ask(&key, "get", &path, None).await.body["instructions"], "three");
    assert!(desk.ask(&key, "get", &draft, None).await.is_problem(404, "not_found"));
    desk.close().await;
}

#[actix_web::test]
async fn a_draft_of_settings_that_changed_meanwhile_is_not_published() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage]).await;
    let path = format!("/tenants/{tenant}/assistant");
    let draft = format!("{path}/draft");
    desk.ask(&key, "put", &draft, Some(saying("mine"))).await;
    desk.ask(&key, "put", &path, Some(saying("theirs"))).await;
    let refused = desk.ask(&key, "post", &format!("{draft}/publish"), None).await;
    assert!(refused.is_problem(412, "changed"), "{} {}", refused.status, refused.body);
    assert_eq!(desk.ask(&key, "get", &path, None).await.body["instructions"], "theirs");
    assert_eq!(desk.ask(&key, "delete", &draft, None).await.status, 204);
    assert_eq!(desk.ask(&key, "delete", &draft, None).await.status, 204);
    assert!(desk.ask(&key, "get", &draft, None).await.is_problem(404, "not_found"));
    desk.close().await;
}

#[actix_web::test]
async fn what_settings_were_stays_and_can_count_again() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage]).await;
    let path = format!("/tenants/{tenant}/assistant");
    for (text, version) in [("one", 1), ("two", 2)] {
        assert_eq!(desk.ask(&key, "put", &path, Some(saying(text))).await.body["version"], version);
    }
    let back = json!({ "version": 1 });
    let stale = [("If-Match", "\"1\"")];
    let rollback = format!("{path}/rollback");
    assert!(
        desk.ask_with(&key, "post", &rollback, Some(back.clone()), &stale).await.is_problem(412, "changed")
    );
    let rolled = desk.ask(&key, "post", &rollback, Some(back)).await;
    assert_eq!(
        (rolled.status, &rolled.body["version"], &rolled.body["rolled_back_to"]),
        (201, &json!(3), &json!(1))
    );
    let now = desk.ask(&key, "get", &path, None).await;
    assert_eq!((&now.body["instructions"], etag(&now).as_str()), (&json!("one"), "\"3\""));
    let missing = desk.ask(&key, "post", &rollback, Some(json!({ "version": 9 }))).await;
    assert!(missing.is_problem(404, "not_found"));

    let versions = format!("{path}/versions");
    let first = desk.ask(&key, "get", &format!("{versions}?limit=2"), None).await;
    let numbers = |answer: &Answer| -> Vec<u64> {
        answer.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["version"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers(&first), [3, 2]);
    let next = first.body["next"].as_str().unwrap();
    let rest = desk.ask(&key, "get", &format!("{versions}?limit=2&cursor={next}"), None).await;
    assert_eq!((numbers(&rest), &rest.body["next"]), (vec![1], &Value::Null));
    let second = desk.ask(&key, "get", &format!("{versions}/2"), None).await;
    assert_eq!(second.body["instructions"], "two");
    assert!(desk.ask(&key, "get", &format!("{versions}/4"), None).await.is_problem(404, "not_found"));
    desk.close().await;
}

#[actix_web::test]
async fn a_rehearsal_answers_by_the_settings_that_are_tried_and_changes_nothing() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage, Scope::Read]).await;
    let path = format!("/tenants/{tenant}/assistant");
    desk.ask(&key, "put", &path, Some(saying("counts"))).await;
    let rehearsals = format!("/tenants/{tenant}/rehearsals");
    let rehearse = async |body: Value| desk.ask(&key, "post", &rehearsals, Some(body)).await;
    let by_draft = json!({ "question": "Open?", "by": { "draft": true } });
    assert!(rehearse(by_draft.clone()).await.is_problem(404, "not_found"));
    desk.ask(&key, "put", &format!("{path}/draft"), Some(saying("drafted"))).await;
    let before =
        desk.ask(&key, "get", &format!("/tenants/{tenant}/events"), None).await.body["latest"].clone();

    desk.model.follow([Behaviour::Say("At nine.".to_owned())]);
    let history = json!([{ "by": "contact", "text": "Hi" }, { "by": "operator", "text": "Hello, I am Ada" }]);
    let answered =
        rehearse(json!({ "question": "Open?", "history": history, "by": { "model": "other-model" } })).await;
    assert_eq!((answered.status, &answered.body["text"]), (200, &json!("At nine.")), "{}", answered.body);
    assert_eq!(answered.body["handed_over"], false);
    rehearse(by_draft).await;
    rehearse(json!({ "question": "Open?", "by": { "settings": saying("given") } })).await;
    let calls = desk.model.calls();
    let said = |call: usize, text: &str| calls[call].messages.iter().any(|(_, said)| said.contains(text));
    assert!(said(0, "counts") && said(0, "Hello, I am Ada") && said(1, "drafted") && said(2, "given"));
    assert_eq!(calls[0].server.model, "other-model");
    let after =
        desk.ask(&key, "get", &format!("/tenants/{tenant}/events"), None).await.body["latest"].clone();
    assert_eq!(before, after);

    for wrong in [
        json!({ "question": " " }),
        json!({ "question": "x".repeat(1_500), "by": { "draft": true, "settings": assistant() } }),
        json!({ "question": "Open?", "by": { "model": "" } }),
        json!({ "question": "Open?", "history": vec![json!({ "by": "contact", "text": "a" }); 51] }),
    ] {
        let refused = rehearse(wrong).await;
        assert!(refused.status == 422 || refused.status == 413, "{}", refused.body);
    }
    desk.close().await;
}

#[actix_web::test]
async fn golden_questions_are_asked_and_judged() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage]).await;
    desk.ask(&key, "put", &format!("/tenants/{tenant}/assistant"), Some(assistant())).await;
    let path = format!("/tenants/{tenant}/golden");
    let add = async |question: &str, expect: Value| {
        desk.ask(&key, "post", &path, Some(json!({ "question": question, "expect": expect }))).await
    };
    assert!(add("Any?", json!({})).await.is_problem(422, "invalid"));
    assert!(add("Any?", json!({ "contains": [""] })).await.is_problem(422, "invalid"));
    assert!(add("Any?", json!({ "has": ["x"] })).await.is_problem(422, "invalid"));
    let first = add("When do you open?", json!({ "contains": ["open"] })).await;
    desk.clock.advance_millis(1);
    let second = add("A human please", json!({ "hands_over": true })).await;
    assert_eq!((first.status, second.status), (201, 201));

    desk.model.follow([Behaviour::Echo]);
    let run = desk.ask(&key, "post", &format!("{path}/run"), Some(json!({}))).await;
    assert_eq!(
        (run.status, &run.body["passed"], &run.body["failed"]),
        (200, &json!(1), &json!(1)),
        "{}",
        run.body
    );
    assert_eq!(run.body["items"][0]["passed"], true);
    assert_eq!(run.body["items"][1]["missing"], json!(["did not ask for a person"]));
    assert_eq!(run.body["sum"]["count"], 2);
    let only = json!({ "questions": [first.body["id"]] });
    let run = desk.ask(&key, "post", &format!("{path}/run"), Some(only)).await;
    assert_eq!(run.body["items"].as_array().unwrap().len(), 1);
    let nowhere = json!({ "questions": [format!("gld_{}", "0".repeat(32))] });
    assert!(desk.ask(&key, "post", &format!("{path}/run"), Some(nowhere)).await.is_problem(404, "not_found"));

    let one = format!("{path}/{}", second.body["id"].as_str().unwrap());
    assert_eq!(desk.ask(&key, "delete", &one, None).await.status, 204);
    assert!(desk.ask(&key, "delete", &one, None).await.is_problem(404, "not_found"));
    let listed = desk.ask(&key, "get", &path, None).await;
    assert_eq!(listed.body["items"], json!([first.body]));
    desk.close().await;
}

#[actix_web::test]
async fn spending_is_shown_by_the_day_with_what_bounds_it() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let key = desk.key(Some(tenant), &[Scope::Manage]).await;
    let mut settings = assistant();
    settings["budgets"] = json!({ "tenant_day": 5_000_000, "at_limit": "human" });
    desk.ask(&key, "put", &format!("/tenants/{tenant}/assistant"), Some(settings)).await;
    let path = format!("/tenants/{tenant}/spending");
    let shown = desk.ask(&key, "get", &format!("{path}?days=2"), None).await;
    assert_eq!((shown.status, &shown.body["currency"]), (200, &json!("USD")));
    assert_eq!(shown.body["days"].as_array().unwrap().len(), 2);
    assert_eq!(shown.body["days"][0], json!({ "day": "2026-09-21", "spent": 0 }));
    assert_eq!(shown.body["budgets"]["tenant_day"], 5_000_000);
    assert!(desk.ask(&key, "get", &format!("{path}?days=63"), None).await.is_problem(422, "invalid"));

    desk.model.follow([Behaviour::Say("At nine.".to_owned())]);
    let rehearsal = json!({ "question": "Open?", "by": { "model": "gpt-4.1-mini" } });
    let said = desk.ask(&key, "post", &format!("/tenants/{tenant}/rehearsals"), Some(rehearsal)).await;
    let cost = said.body["cost"].as_u64().unwrap();
    assert!(cost > 0, "{}", said.body);
    assert_eq!(desk.ask(&key, "get", &path, None).await.body["days"][0]["spent"], cost);
    desk.close().await;
}
