//! Who comes in, what they see, and what closes behind them.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::account::{MemberOf, Role};
use iassistance_domain::key::Scope;
use iassistance_domain::session::IDLE_MS;
use iassistance_storage::StorageError;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::live::Live;
use crate::products::flying;

const SENT_AWAY: &str = "does not open this any more";

fn echoing() -> Options {
    Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }
}

impl Flow {
    async fn member(&self, role: Role) -> crate::harness::SignedIn {
        self.sign_in(false, &[(MemberOf::Tenant(self.tenants[0]), role)]).await
    }

    /// Somebody who sees but what is assigned to them.
    async fn limited(&self, of: MemberOf, role: Role) -> crate::harness::SignedIn {
        let who = self.sign_in(false, &[(of, role)]).await;
        let people = self.app.store.people();
        let mut account = people.account(who.account).await.unwrap().unwrap();
        account.memberships[0].assigned_only = true;
        people.put_account(account.clone(), account.revision).await.unwrap();
        who
    }

    fn path(&self, rest: &str) -> String {
        format!("/tenants/{}{rest}", self.tenants[0])
    }
}

#[actix::test]
async fn a_socket_ends_with_what_opened_it() {
    let flow = Flow::start().await;
    let people = flow.app.store.people();
    // Whatever it is that ends: no time passes between that and the goodbye.
    let who = flow.member(Role::Operator).await;
    let mut live = Live::with_session(&flow, &who).await;
    live.watch(&flow, None).await;
    assert_eq!(flow.api_as(&who, "POST", "/auth/sign-out", None).await.0, 204);
    assert!(live.is_sent_away(SENT_AWAY).await, "signed out");

    let who = flow.member(Role::Operator).await;
    let mut live = Live::with_session(&flow, &who).await;
    live.watch(&flow, None).await;
    let path = flow.path(&format!("/members/{}", who.account));
    let admin = flow.admin().await;
    assert_eq!(flow.api_as(&admin, "DELETE", &path, None).await.0, 204);
    assert!(live.is_sent_away(SENT_AWAY).await, "let go");

    let who = flow.member(Role::Operator).await;
    let mut live = Live::with_session(&flow, &who).await;
    live.watch(&flow, None).await;
    let mut account = people.account(who.account).await.unwrap().unwrap();
    account.state = iassistance_domain::account::AccountState::Disabled;
    people.put_account(account.clone(), account.revision).await.unwrap();
    assert!(live.is_sent_away(SENT_AWAY).await, "disabled");

    let mut live = Live::with_key(&flow).await;
    live.watch(&flow, None).await;
    let keys = flow.api_as(&admin, "GET", &flow.path("/keys"), None).await.1;
    let id = keys["items"][0]["id"].as_str().unwrap();
    assert_eq!(flow.api_as(&admin, "DELETE", &flow.path(&format!("/keys/{id}")), None).await.0, 204);
    assert!(live.is_sent_away(SENT_AWAY).await, "a key that was revoked");

    let who = flow.member(Role::Viewer).await;
    let mut live = Live::with_session(&flow, &who).await;
    live.watch(&flow, None).await;
    flow.clock.advance_millis(IDLE_MS);
    assert!(live.is_sent_away(SENT_AWAY).await, "a session that ended by itself");
    flow.finish().await;
}

#[actix::test]
async fn a_look_by_break_glass_ends_with_its_time_and_when_it_is_ended() {
    let flow = Flow::start().await;
    let (one, other) = (flow.sign_in(true, &[]).await, flow.sign_in(true, &[]).await);
    for ends_by_itself in [true, false] {
        let ask = json!({ "reason": "Incident 42.", "minutes": 5 });
        let asked = flow.api_as(&one, "POST", &flow.path("/break-glass"), Some(ask)).await.1;
        let grant = flow.path(&format!("/break-glass/{}", asked["id"].as_str().unwrap()));
        let mut live = Live::with_session(&flow, &one).await;
        let frame = json!({ "type": "subscribe", "tenant": flow.tenants[0] });
        assert_eq!(live.subscribe(frame).await["code"], "not_found", "nobody consented");
        assert_eq!(flow.api_as(&other, "POST", &format!("{grant}/approve"), None).await.0, 200);
        live.watch(&flow, None).await;
        if ends_by_itself {
            flow.clock.advance_millis(5 * 60_000);
        } else {
            assert_eq!(flow.api_as(&flow.admin().await, "POST", &format!("{grant}/end"), None).await.0, 200);
        }
        assert!(live.is_sent_away(SENT_AWAY).await, "by itself: {ends_by_itself}");
    }
    flow.finish().await;
}

#[actix::test]
async fn a_socket_stays_when_somebody_else_signs_out() {
    let flow = Flow::start().await;
    let (who, other) = (flow.member(Role::Operator).await, flow.member(Role::Operator).await);
    let mut live = Live::with_session(&flow, &who).await;
    live.watch(&flow, None).await;
    assert_eq!(flow.api_as(&other, "POST", "/auth/sign-out", None).await.0, 204);
    // The same role, set once more, changes nothing; a look of the agency's changes nothing for them either.
    let admin = flow.admin().await;
    let (status, _) =
        flow.api_as(&admin, "PUT", &flow.path("/agency-reading"), Some(json!({ "allowed": true }))).await;
    assert_eq!(status, 200);
    flow.simulator.say_to(NUMBERS[0], "ana", "hello").unwrap();
    assert_eq!(live.event().await["type"], "conversation.opened");
    flow.sends(1).await;
    flow.finish().await;
}

#[actix::test]
async fn a_viewer_sees_that_something_was_said_and_not_what() {
    let flow = Flow::with(echoing()).await;
    let viewer = flow.member(Role::Viewer).await;
    let mut live = Live::with_session(&flow, &viewer).await;
    live.watch(&flow, None).await;
    flow.simulator.say_to(NUMBERS[0], "ana", "my number is 4711").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;
    let id = flow.conversation(0).await;
    let paths = [
        flow.path("/conversations"),
        flow.path(&format!("/conversations/{id}")),
        flow.path(&format!("/conversations/{id}/messages")),
        flow.path(&format!("/conversations/{id}/turns")),
        flow.path("/events?after=0&limit=200"),
    ];
    let operator = flow.member(Role::Operator).await;
    let (mut seen, mut hidden) = (String::new(), String::new());
    for path in &paths {
        let (status, body) = flow.api_as(&operator, "GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        seen.push_str(&body.to_string());
        let (status, body) = flow.api_as(&viewer, "GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body.to_string().contains(&id.to_string()), "{path}: what it is about is seen");
        hidden.push_str(&body.to_string());
    }
    let mut watched = String::new();
    loop {
        let event = live.event().await;
        watched.push_str(&event.to_string());
        if event["type"] == "message.status_changed" {
            break;
        }
    }
    for words in ["4711", "Ada Example"] {
        assert!(!hidden.contains(words) && !watched.contains(words), "{words}");
    }
    assert!(seen.contains("4711") && watched.contains("message.received"));
    flow.finish().await;
}

#[actix::test]
async fn who_is_limited_sees_what_is_assigned_to_them_alone() {
    let flow = Flow::with(echoing()).await;
    flow.simulator.say_to(NUMBERS[0], "ana", "hello").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;
    let id = flow.conversation(0).await;
    let who = flow.member(Role::Operator).await;
    let admin = flow.admin().await;
    let member = flow.path(&format!("/members/{}", who.account));
    let limited = json!({ "role": "operator", "assigned_only": true });
    assert_eq!(flow.api_as(&admin, "PUT", &member, Some(limited)).await.0, 200);
    let base = flow.path(&format!("/conversations/{id}"));
    for path in
        [base.clone(), format!("{base}/messages"), format!("{base}/turns"), format!("{base}/snapshot")]
    {
        assert_eq!(flow.api_as(&who, "GET", &path, None).await.0, 404, "{path}");
    }
    assert_eq!(flow.api_as(&who, "POST", &format!("{base}/takeover"), Some(json!({}))).await.0, 404);
    let list = async || flow.api_as(&who, "GET", &flow.path("/conversations"), None).await.1;
    assert_eq!(list().await["items"], json!([]));
    let events = flow.api_as(&who, "GET", &flow.path("/events?after=0&limit=200"), None).await.1;
    assert_eq!((&events["items"], &events["next"]), (&json!([]), &Value::Null));
    let of_hidden = flow.path(&format!("/events?after=0&limit=1&conversation={id}"));
    let events = flow.api_as(&who, "GET", &of_hidden, None).await.1;
    assert_eq!(
        (&events["items"], &events["next"]),
        (&json!([]), &Value::Null),
        "not even that there are events"
    );
    let assign = async |to: Value| flow.api_as(&admin, "POST", &format!("{base}/assign"), Some(to)).await.0;
    assert_eq!(assign(json!({ "operator": "Ada" })).await, 200);
    assert_eq!(list().await["items"], json!([]), "people choose their names");
    let stranger = flow.sign_in(false, &[]).await;
    assert_eq!(assign(json!({ "account": stranger.account })).await, 422);
    assert_eq!(assign(json!({ "account": who.account })).await, 200);
    assert_eq!(list().await["items"].as_array().unwrap().len(), 1);
    let (status, done) = flow.api_as(&who, "POST", &format!("{base}/takeover"), Some(json!({}))).await;
    assert_eq!((status.as_u16(), &done["control"]["name"]), (200, &json!("Ada")), "by their own name");
    let as_another = json!({ "operator": "Eva" });
    assert_eq!(flow.api_as(&who, "POST", &format!("{base}/takeover"), Some(as_another)).await.0, 422);
    flow.finish().await;
}

/// A conversation of the first tenant with somebody of that name, once it is quiet.
async fn conversation_with(flow: &Flow, contact: &str, sends: usize) -> String {
    flow.simulator.say_to(NUMBERS[0], contact, &format!("{contact} is here")).unwrap();
    flow.sends(sends).await;
    flow.quiet(0).await;
    let opened = flow.event(0, |event| {
        event["type"] == "message.received"
            && event["message"]["content"]["body"] == format!("{contact} is here")
    });
    opened.await["conversation"].as_str().unwrap().to_owned()
}

/// What somebody hears until something.
async fn heard_until(live: &mut Live, last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let event = live.event().await;
        let over = last(&event);
        heard.push(event);
        if over {
            return heard;
        }
    }
}

fn is_assigned(event: &Value) -> bool {
    event["type"] == "conversation.assigned"
}

fn are_about(heard: &[Value], conversation: &str) -> bool {
    heard.iter().all(|event| event["conversation"] == conversation)
}

#[actix::test]
async fn who_is_limited_hears_what_is_theirs_from_when_it_is_until_it_is_not() {
    let flow = Flow::with(echoing()).await;
    let of = MemberOf::Tenant(flow.tenants[0]);
    let (who, viewer) = (flow.limited(of, Role::Operator).await, flow.limited(of, Role::Viewer).await);
    let admin = flow.admin().await;
    let mut live = Live::with_session(&flow, &who).await;
    let mut masked = Live::with_session(&flow, &viewer).await;
    live.watch(&flow, Some(0)).await;
    masked.watch(&flow, Some(0)).await;
    let (ana, eva) = (conversation_with(&flow, "ana", 1).await, conversation_with(&flow, "eva", 2).await);
    let assign = async |conversation: &str, to: &str| {
        let (path, to) =
            (flow.path(&format!("/conversations/{conversation}/assign")), json!({ "account": to }));
        assert_eq!(flow.api_as(&admin, "POST", &path, Some(to)).await.0, 200);
    };
    let (me, other) = (who.account.to_string(), viewer.account.to_string());
    // Both write on: one of them is heard.
    assign(&ana, &me).await;
    let mut heard = heard_until(&mut live, is_assigned).await;
    assert_eq!(heard.last().unwrap()["operator"], *me);
    for contact in ["ana", "eva"] {
        flow.simulator.say_to(NUMBERS[0], contact, &format!("{contact} again")).unwrap();
    }
    flow.sends(4).await;
    flow.quiet(0).await;
    let again = |event: &Value| event["message"]["content"]["body"] == "ana again";
    heard.extend(heard_until(&mut live, again).await);
    // That it was taken from them is the last that they hear of it, and not to whom it went.
    assign(&ana, &other).await;
    heard.extend(heard_until(&mut live, is_assigned).await);
    assert!(are_about(&heard, &ana), "{heard:?}");
    let taken = heard.last().unwrap();
    assert_eq!((&taken["operator"], &taken["before"]), (&Value::Null, &json!(me)));
    assert!(!json!(heard).to_string().contains(&other));
    // The viewer hears it from then on, made unrecognisable.
    let mut given = heard_until(&mut masked, is_assigned).await;
    let after = given.last().unwrap()["seq"].as_u64().unwrap();
    assert!(!json!(given).to_string().contains(&me), "{given:?}");
    flow.simulator.say_to(NUMBERS[0], "ana", "ana once more").unwrap();
    flow.sends(5).await;
    flow.quiet(0).await;
    let received = |event: &Value| event["type"] == "message.received" && event["seq"].as_u64() > Some(after);
    given.extend(heard_until(&mut masked, received).await);
    assert!(are_about(&given, &ana) && !json!(given).to_string().contains("ana once more"), "{given:?}");
    // The next that the operator hears is of what they are given then.
    assign(&eva, &me).await;
    assert!(are_about(&heard_until(&mut live, is_assigned).await, &eva));
    // Who comes again with a number gets of all that came after it what is theirs; the list says the same.
    let mut again = Live::with_session(&flow, &who).await;
    again.watch(&flow, Some(after)).await;
    assert!(are_about(&heard_until(&mut again, is_assigned).await, &eva));
    let path = flow.path("/events?after=0&limit=200");
    let listed = flow.api_as(&who, "GET", &path, None).await.1;
    let text = listed["items"].to_string();
    assert!(text.contains("eva again") && !text.contains("ana again"), "{text}");
    let changes = listed["items"].as_array().unwrap().iter().filter(|event| is_assigned(event));
    assert_eq!(changes.count(), 3, "given, taken and given");
    flow.finish().await;
}

#[actix::test]
async fn who_comes_to_see_less_begins_anew() {
    let flow = Flow::with(echoing()).await;
    let (who, admin) = (flow.member(Role::Operator).await, flow.admin().await);
    let member = flow.path(&format!("/members/{}", who.account));
    for less in [json!({ "role": "operator", "assigned_only": true }), json!({ "role": "viewer" })] {
        let mut live = Live::with_session(&flow, &who).await;
        live.watch(&flow, None).await;
        assert_eq!(flow.api_as(&admin, "PUT", &member, Some(less)).await.0, 200);
        assert!(live.is_sent_away(SENT_AWAY).await);
    }
    flow.finish().await;
}

#[actix::test]
async fn a_suspended_tenant_keeps_what_comes_and_says_nothing_until_it_goes_on() {
    let flow = Flow::with(echoing()).await;
    let owner = flow.sign_in(true, &[]).await;
    flow.simulator.say_to(NUMBERS[0], "ana", "before").unwrap();
    flow.sends(1).await;
    flow.quiet(0).await;
    let suspend = json!({ "reason": "An invoice is open." });
    assert_eq!(flow.api_as(&owner, "POST", &flow.path("/suspend"), Some(suspend)).await.0, 200);
    flow.simulator.say_to(NUMBERS[0], "ana", "meanwhile").unwrap();
    flow.event(0, |event| event["message"]["content"]["body"] == "meanwhile").await;
    flow.quiet(0).await;
    flow.sends(1).await;
    let id = flow.conversation(0).await;
    let reply = json!({ "operator": "Ada", "text": "hello" });
    let path = flow.path(&format!("/conversations/{id}/messages"));
    assert_eq!(flow.api("POST", &path, Some(reply)).await.0, 409);
    assert_eq!(flow.api_as(&owner, "POST", &flow.path("/resume"), None).await.0, 200);
    flow.simulator.say_to(NUMBERS[0], "ana", "again").unwrap();
    flow.sends(2).await;
    flow.quiet(0).await;
    let close = flow.api_as(&owner, "POST", &flow.path("/close"), None).await;
    assert_eq!((close.0.as_u16(), &close.1["state"]), (200, &json!("closed")));
    let before = flow.count(0, "message.received").await;
    flow.simulator.say_to(NUMBERS[0], "ana", "nobody hears this").unwrap();
    within("it to be put aside", async {
        while flow.app.store.unrouted(9).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(flow.count(0, "message.received").await, before);
    assert_eq!(flow.api_as(&owner, "POST", &flow.path("/resume"), None).await.0, 200);
    flow.finish().await;
}

#[actix::test]
async fn what_cannot_be_put_on_the_record_is_not_done() {
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&broken);
    let options = Options::failing(move |act| {
        let fails = act.name == "append_audit" && flag.load(std::sync::atomic::Ordering::SeqCst);
        if fails { Err(StorageError::Overloaded) } else { Ok(()) }
    });
    let flow = Flow::with(options).await;
    let (owner, admin) = (flow.sign_in(true, &[]).await, flow.admin().await);
    broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused: [(&crate::harness::SignedIn, &str, String, Value); 6] = [
        (&owner, "POST", "/tenants".to_owned(), json!({ "name": "New" })),
        (&owner, "POST", flow.path("/suspend"), json!({ "reason": "An invoice is open." })),
        (&owner, "POST", "/keys".to_owned(), json!({ "name": "k" })),
        (&admin, "POST", flow.path("/keys"), json!({ "name": "k", "scopes": ["read"] })),
        (&admin, "PUT", flow.path("/agency-reading"), json!({ "allowed": true })),
        (
            &admin,
            "POST",
            flow.path("/invitations"),
            json!({ "email": "e@example.com", "name": "E", "role": "viewer" }),
        ),
    ];
    for (who, method, path, body) in refused {
        let (status, answer) = flow.api_as(who, method, &path, Some(body)).await;
        assert_eq!(status, 503, "{path}: {answer}");
    }
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    let people = flow.app.store.people();
    assert_eq!(flow.app.store.tenants().await.unwrap().len(), 2);
    assert_eq!(flow.app.store.api_keys().await.unwrap().len(), 1);
    let record = people.tenant_record(flow.tenants[0]).await.unwrap().unwrap();
    assert!(record.state.answers() && !record.agency_reads);
    assert!(people.invitations(None, 9, None).await.unwrap().is_empty());
    flow.finish().await;
}

#[actix::test]
async fn a_keys_last_use_is_noted() {
    let flow = Flow::start().await;
    assert_eq!(flow.api("GET", &flow.path("/events"), None).await.0, 200);
    let admin = flow.admin().await;
    let other = flow.key_of(0, Scope::Read).await;
    let keys = flow.api_as(&admin, "GET", &flow.path("/keys"), None).await.1;
    let items = keys["items"].as_array().unwrap();
    let used: Vec<_> = items.iter().filter(|key| !key["last_used_at"].is_null()).collect();
    assert_eq!((items.len(), used.len()), (2, 1), "{other}");
    assert_eq!(used[0]["last_used_from"], "127.0.0.1");
    flow.finish().await;
}

#[actix::test]
async fn an_invitation_comes_by_mail_and_its_link_lets_in_once() {
    let flow = Flow::start().await;
    let admin = flow.admin().await;
    let invite = json!({ "email": "eva@example.com", "name": "Eva", "language": "es", "role": "operator" });
    let (status, invited) = flow.api_as(&admin, "POST", &flow.path("/invitations"), Some(invite)).await;
    assert_eq!(status, 201, "{invited}");
    assert!(!invited.to_string().contains("token"), "who invites does not get the link");
    let folder = flow.folder.as_ref().unwrap().path.join("mail");
    let mail = within("a mail", async {
        loop {
            let files = std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
            let mut whole = files.filter(|file| file.path().extension().is_some_and(|end| end == "eml"));
            if let Some(file) = whole.next() {
                return std::fs::read_to_string(file.path()).unwrap();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let text = mail.replace("=\r\n", "").replace("=3D", "=");
    assert!(text.contains("eva@example.com") && text.contains("/invitation#token="), "{text}");
    let token: String = text.split("#token=").nth(1).unwrap().chars().take(64).collect();
    let url = format!("http://{}/v1/auth/invitations/accept", flow.address);
    let accept = async || {
        let body = json!({ "token": token, "password": "correct horse battery staple 7" });
        within("an answer", flow.http.post(&url).json(&body).send()).await.unwrap()
    };
    let first = accept().await;
    assert_eq!(first.status(), 200);
    assert_eq!(accept().await.status(), 403, "once");
    let body = json!({ "email": "eva@example.com", "password": "correct horse battery staple 7" });
    let url = format!("http://{}/v1/auth/sign-in", flow.address);
    let signed_in = within("an answer", flow.http.post(&url).json(&body).send()).await.unwrap();
    assert_eq!(signed_in.status(), 200);
    let members = flow.api_as(&admin, "GET", &flow.path("/members"), None).await.1;
    assert!(members["items"].as_array().unwrap().iter().any(|it| it["email"] == "eva@example.com"));
    assert!(!crate::harness::log().contains(&token), "no log has it");
    flow.finish().await;
}
