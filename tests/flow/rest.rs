//! Administration by REST over a restart, page by page and in bulk.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::answer::{KEPT_MS, StoredAnswer};
use iassistance_domain::tenant::TenantCtx;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Flow, Options, within};

impl Flow {
    /// Asks with the first tenant's key, or another, and with these headers.
    async fn asked(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Response {
        let url = format!("http://{}/v1/tenants/{}{path}", self.address, self.tenants[0]);
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(&self.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        within("an answer", request.send()).await.unwrap()
    }

    async fn golden(&self, question: &str, key: &str) -> (StatusCode, bool, Value) {
        let body = json!({ "question": question, "expect": { "contains": ["9"] } });
        let answer = self.asked("POST", "/golden", Some(&body), &[("idempotency-key", key)]).await;
        let (status, again) = (answer.status(), answer.headers().contains_key("idempotency-replayed"));
        (status, again, answer.json().await.unwrap())
    }
}

#[actix::test]
async fn a_request_with_a_key_of_its_own_is_carried_out_once_also_over_a_restart() {
    let flow = Flow::start().await;
    let (status, again, first) = flow.golden("When do you open?", "once-1").await;
    assert_eq!((status, again), (StatusCode::CREATED, false));
    let hook = json!({ "url": "https://shop.example/hook", "kinds": ["*"], "paused": true });
    let secret = [("idempotency-key", "secret-1")];
    assert_eq!(flow.asked("POST", "/webhooks", Some(&hook), &secret).await.status(), StatusCode::CREATED);
    // A process that died in the middle of one left its note.
    let people = flow.app.store.people();
    let noted =
        people.idempotent(Some(flow.ctx()), &format!("{} once-1", key_id(&flow).await)).await.unwrap();
    let noted = noted.unwrap();
    assert_eq!((noted.status, noted.body.is_some()), (201, true));
    let broken = StoredAnswer { status: 0, location: None, body: None, ..noted };
    let name = format!("{} broken-1", key_id(&flow).await);
    people.put_idempotent(Some(flow.ctx()), &name, broken).await.unwrap();

    let folder = flow.finish().await;
    let flow = Flow::with(Options { folder: Some(folder), later_ms: 60_000, ..Options::default() }).await;
    let (status, again, second) = flow.golden("When do you open?", "once-1").await;
    assert_eq!((status, again), (StatusCode::CREATED, true));
    assert_eq!(first, second);
    let (_, all) = flow.api("GET", &format!("/tenants/{}/golden", flow.tenants[0]), None).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "it was created once");
    let (status, _, problem) = flow.golden("When do you close?", "once-1").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_mismatch"))
    );
    let (status, _, problem) = flow.golden("When do you open?", "broken-1").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("conflict")),
        "it may have happened"
    );
    let answer = flow.asked("POST", "/webhooks", Some(&hook), &secret).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT, "its secret is not shown again");

    // What is refused may be tried again, and is forgotten.
    let wrong = json!({ "question": "", "expect": { "contains": ["9"] } });
    let refused = flow.asked("POST", "/golden", Some(&wrong), &[("idempotency-key", "twice-1")]).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(flow.golden("And on Sunday?", "twice-1").await.0, StatusCode::CREATED);
    // Who erases what the tenant knows of somebody erases this too.
    let ctx = TenantCtx::platform(flow.tenants[0]);
    assert!(flow.app.store.people().forget_idempotent(Some(ctx)).await.unwrap() >= 3);
    flow.clock.advance_millis(KEPT_MS);
    let (status, again, third) = flow.golden("When do you open?", "once-1").await;
    assert_eq!((status, again), (StatusCode::CREATED, false));
    assert_ne!(first["id"], third["id"], "after a day it is another request");
    flow.finish().await;
}

async fn key_id(flow: &Flow) -> String {
    let keys = flow.app.store.api_keys().await.unwrap();
    keys.iter().find(|key| key.tenant == Some(flow.tenants[0])).unwrap().id.to_string()
}

#[actix::test]
async fn settings_are_changed_by_who_has_seen_them() {
    let flow = Flow::start().await;
    let form = |description: &str| json!({ "url": "https://shop.example/hook", "kinds": ["*"], "paused": true, "description": description });
    let made = flow.asked("POST", "/webhooks", Some(&form("one")), &[]).await;
    let made: Value = made.json().await.unwrap();
    let path = format!("/webhooks/{}", made["webhook"]["id"].as_str().unwrap());
    let shown = flow.asked("GET", &path, None, &[]).await;
    let tag = shown.headers()["etag"].to_str().unwrap().to_owned();
    let same = flow.asked("GET", &path, None, &[("if-none-match", &tag)]).await;
    assert_eq!((same.status(), same.headers()["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, &*tag));
    assert!(same.bytes().await.unwrap().is_empty());
    let changed = flow.asked("PUT", &path, Some(&form("two")), &[("if-match", &tag)]).await;
    assert_eq!(changed.status(), StatusCode::OK);
    let newer = changed.headers()["etag"].to_str().unwrap().to_owned();
    let stale = flow.asked("PUT", &path, Some(&form("three")), &[("if-match", &tag)]).await;
    assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    let problem: Value = stale.json().await.unwrap();
    assert_eq!(problem["code"], "changed");
    assert_ne!(tag, newer);
    let again = flow.asked("GET", &path, None, &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(again.json::<Value>().await.unwrap()["description"], "two");
    let any = flow.asked("PUT", &path, Some(&form("four")), &[("if-match", "*")]).await;
    assert_eq!(any.status(), StatusCode::OK);
    let wrong = flow.asked("PUT", &path, Some(&form("five")), &[("if-match", "five")]).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    // How a channel is changes by itself, and is in no change's way.
    let (_, channels) = flow.api("GET", &format!("/tenants/{}/channels", flow.tenants[0]), None).await;
    let channel = format!("/channels/{}", channels["items"][0]["id"].as_str().unwrap());
    let seen = flow.asked("GET", &channel, None, &[]).await;
    assert!(seen.headers()["etag"].to_str().unwrap().contains('-'));
    flow.finish().await;
}

/// The lines of an export.
async fn lines(answer: Response) -> Vec<Value> {
    let text = answer.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[actix::test]
async fn everything_is_exported_and_taken_up_again_where_it_broke_off() {
    let flow = Flow::start().await;
    for (count, who) in ["ana", "bo", "cleo"].into_iter().enumerate() {
        flow.simulator.say(who, &format!("are you open, asks {who}?")).unwrap();
        flow.sends(count + 1).await;
    }
    flow.quiet(0).await;
    let export = |kind: &str| format!("/export/{kind}");
    for (kind, least) in
        [("conversations", 3), ("contacts", 3), ("messages", 6), ("turns", 3), ("events", 12)]
    {
        let answer = flow.asked("GET", &export(kind), None, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{kind}");
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        let all = lines(answer).await;
        let (end, items) = all.split_last().unwrap();
        assert_eq!((&end["end"], &end["items"]), (&json!(true), &json!(items.len())), "{kind}");
        assert!(items.len() >= least, "{kind}: {}", items.len());
        // From any line on the rest comes, and nothing twice.
        let half = items.len() / 2;
        let cursor = items[half - 1]["cursor"].as_str().unwrap();
        let rest =
            lines(flow.asked("GET", &format!("{}?cursor={cursor}", export(kind)), None, &[]).await).await;
        assert_eq!(&rest[..rest.len() - 1], &items[half..], "{kind}");
        let packed = flow.asked("GET", &export(kind), None, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        let (mut text, bytes) = (String::new(), packed.bytes().await.unwrap());
        MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), all.len(), "{kind}");
    }
    let said = lines(flow.asked("GET", &export("messages"), None, &[]).await).await;
    let words = said.iter().filter_map(|line| line["item"]["content"]["body"].as_str());
    assert!(words.filter(|text| text.contains("are you open, asks")).count() >= 3);
    let wrong = flow.asked("GET", &export("messages?cursor=7"), None, &[]).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(flow.asked("GET", &export("everything"), None, &[]).await.status(), StatusCode::NOT_FOUND);

    // It is on the record, before anything is sent; an administrator proves anew who they are for it, once that
    // they signed in is too long ago.
    let admin = flow.admin().await;
    flow.clock.advance_millis(11 * 60_000);
    let tenant = flow.tenants[0];
    let path = format!("/tenants/{tenant}/export/contacts");
    let (status, problem) = flow.api_as(&admin, "GET", &path, None).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("step_up_needed")));
    let query = format!("/tenants/{tenant}/audit?act=content.exported&limit=200");
    let (_, log) = flow.api_as(&admin, "GET", &query, None).await;
    let kept = log["items"].as_array().unwrap();
    assert!(
        kept.len() >= 16 && kept.iter().all(|entry| entry["act"] == "content.exported"),
        "{}",
        kept.len()
    );
    assert!(kept.iter().any(|entry| entry["details"]["resumed"] == "true"));
    flow.finish().await;
}

#[actix::test]
async fn lists_are_asked_for_what_is_wanted() {
    let flow = Flow::start().await;
    for (count, who) in ["ana", "bo"].into_iter().enumerate() {
        flow.simulator.say(who, "are you open?").unwrap();
        flow.sends(count + 1).await;
    }
    flow.quiet(0).await;
    let tenant = flow.tenants[0];
    let ids = async |path: &str| -> Vec<String> {
        let (status, page) = flow.api("GET", &format!("/tenants/{tenant}{path}"), None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let conversations = ids("/conversations").await;
    assert_eq!(conversations.len(), 2);
    let (_, one) =
        flow.api("GET", &format!("/tenants/{tenant}/conversations/{}", conversations[0]), None).await;
    let (channel, contact) = (one["channel"].as_str().unwrap(), one["contact"]["id"].as_str().unwrap());
    assert_eq!(ids(&format!("/conversations?channel={channel}")).await.len(), 2);
    assert_eq!(ids(&format!("/conversations?contact={contact}")).await, [conversations[0].clone()]);
    assert_eq!(ids("/conversations?opted_out=true&control=assistant").await, [""; 0]);
    assert_eq!(ids(&format!("/contacts?channel={channel}")).await.len(), 2);
    let (_, same) = flow.api("GET", &format!("/tenants/{tenant}/contacts/{contact}"), None).await;
    assert_eq!(same, one["contact"]);
    let base = format!("/conversations/{}", conversations[0]);
    let by = |author: &str| format!("{base}/messages?author={author}");
    let (theirs, ours) = (ids(&by("contact")).await, ids(&by("assistant")).await);
    assert_eq!((theirs.len(), ours.len()), (1, 1));
    let (_, message) =
        flow.api("GET", &format!("/tenants/{tenant}{base}/messages/{}", theirs[0]), None).await;
    assert_eq!((&message["id"], &message["author"]["by"]), (&json!(theirs[0]), &json!("contact")));
    assert_eq!(ids(&format!("{base}/messages?until=1")).await.len(), 0);
    assert_eq!(ids(&format!("{base}/turns?end=answered")).await.len(), 1);
    assert_eq!(ids(&format!("{base}/turns?end=failed")).await.len(), 0);
    assert_eq!(ids(&format!("{base}/outbox")).await.len(), 0);
    assert_eq!(
        ids(&format!("/events?type=message.received&conversation={}", conversations[0])).await.len(),
        1
    );
    let (status, _) = flow.api("GET", &format!("/tenants/{tenant}{base}/summary"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "so short a one has none");
    let long = |path: &str, chars| format!("{path}={}", "x".repeat(chars));
    let long = [
        long("/audit?act", 65),
        long("/access-log?method", 17),
        long("/events?type", 65),
        long("/conversations?assigned", 121),
    ];
    let wrong = ["/conversations?control=nobody", "/events?limit=201", "/channels?kind=x", "/keys?works=1"];
    for wrong in wrong
        .into_iter()
        .chain(["/access-log?status=99", "/quarantine?cursor="])
        .chain(long.iter().map(String::as_str))
    {
        let (status, _) = flow.api("GET", &format!("/tenants/{tenant}{wrong}"), None).await;
        assert!(
            [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::FORBIDDEN]
                .contains(&status)
        );
    }
    flow.finish().await;
}

#[actix::test]
async fn people_are_found_by_a_part_of_their_name_or_number() {
    let flow = Flow::start().await;
    for (count, who) in ["ana", "anabel", "bo"].into_iter().enumerate() {
        flow.simulator.say(who, "are you open?").unwrap();
        flow.sends(count + 1).await;
        // Newest first: no two of them came in one moment.
        flow.quiet(0).await;
        flow.clock.advance_millis(1);
    }
    let tenant = flow.tenants[0];
    let find = async |body: Value| {
        let path = format!("/tenants/{tenant}/conversations/search");
        flow.api("POST", &path, Some(body)).await
    };
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["contact"]["profile_name"].as_str().unwrap().to_owned()).collect()
    };
    let (status, page) = find(json!({ "words": " ANA" })).await;
    assert_eq!((status, names(&page)), (StatusCode::OK, vec!["anabel".to_owned(), "ana".to_owned()]));
    // Page by page the same.
    let (_, first) = find(json!({ "words": "ana", "limit": 1 })).await;
    let (_, second) = find(json!({ "words": "ana", "limit": 1, "cursor": first["next"] })).await;
    assert_eq!((names(&first), names(&second)), (vec!["anabel".to_owned()], vec!["ana".to_owned()]));
    // A number as people write it.
    let number = page["items"][1]["contact"]["wa_id"].as_str().unwrap();
    let (head, tail) = number.split_at(4);
    let (_, page) = find(json!({ "words": format!("+{head} {tail}") })).await;
    assert_eq!(names(&page), ["ana"]);
    assert_eq!(names(&find(json!({ "words": "nobody" })).await.1), [""; 0]);
    // Who sees no names cannot find out by asking who is there.
    let viewer = flow.sign_in(false, &[(MemberOf::Tenant(tenant), Role::Viewer)]).await;
    let path = format!("/tenants/{tenant}/conversations/search");
    let (status, page) = flow.api_as(&viewer, "POST", &path, Some(json!({ "words": "ana" }))).await;
    assert_eq!((status, &page), (StatusCode::OK, &json!({ "items": [], "next": null })));
    for wrong in [json!({ "words": "a" }), json!({ "words": "é".repeat(81) }), json!({})] {
        let (status, problem) = find(wrong).await;
        assert!(status.is_client_error(), "{problem}");
    }
    flow.finish().await;
}
