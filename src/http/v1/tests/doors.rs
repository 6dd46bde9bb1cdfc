//! Signing in and what comes of it.

use iassistance_config::Secret as Hidden;
use iassistance_domain::invitation::{TOKEN_MS, Token, TokenKind};
use iassistance_domain::session::{ABSOLUTE_MS, IDLE_MS, STEP_UP_MS};
use iassistance_identity::passwords::Cost;
use iassistance_identity::tokens;

use self::authenticator::Authenticator;
use super::*;

#[path = "../../../../identity/tests/support/authenticator.rs"]
mod authenticator;

const PASSWORD: &str = "correct horse battery staple 7";

impl Desk {
    /// An account with a password.
    async fn with_password(&self, owner: bool, memberships: &[(MemberOf, Role)]) -> (Account, String) {
        let mut account = self.account(owner, memberships).await;
        let passwords = &self.app.identity.passwords;
        let made = passwords.create(&Hidden::new(PASSWORD), Cost::of(owner), &[], Language::En).await;
        account.password = Some(made.unwrap());
        let people = self.app.store.people();
        account.revision = people.put_account(account.clone(), account.revision).await.unwrap();
        let email = account.email.reveal(iassistance_domain::pii::SignIn).clone();
        (account, email)
    }

    /// Signs in by password; the answer, and what the browser keeps if it is through.
    async fn try_password(&self, email: &str, password: &str) -> (Answer, String) {
        // The rates of addresses are looked at elsewhere.
        self.clock.advance_millis(60_000);
        let body = json!({ "email": email, "password": password });
        let answer = self.ask("", "post", "/auth/sign-in", Some(body)).await;
        let kept = kept(&answer);
        (answer, kept)
    }
}

/// What a browser keeps of a sign-in.
fn kept(answer: &Answer) -> String {
    let cookies = answer.headers.get_all("set-cookie").map(|cookie| cookie.to_str().unwrap());
    let cookie = cookies.into_iter().find(|cookie| cookie.starts_with(cookies::SESSION));
    let token = cookie.and_then(|cookie| Some(cookie.split_once('=')?.1.split_once(';')?.0));
    let csrf = answer.body["csrf_token"].as_str().unwrap_or_default();
    format!("session {} {csrf}", token.unwrap_or_default())
}

/// The code that an authenticator shows.
fn code(secret: &str, desk: &Desk) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new()
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(30)
        .with_skew(1)
        .with_secret(secret)
        .build_noncompliant();
    let seconds = desk.clock.now().as_millis().cast_unsigned() / 1_000;
    totp.generate(seconds).to_string()
}

#[actix_web::test]
async fn a_link_that_the_process_made_signs_in_once_with_both_factors() {
    let desk = Desk::open().await;
    let owner = desk.account(true, &[]).await;
    let now = desk.clock.now();
    let link = desk.state.links.issue(owner.id, now, &SystemEntropy);
    let ask = async |token: &str| {
        desk.clock.advance_millis(60_000);
        desk.ask("", "post", "/auth/link", Some(json!({ "token": token }))).await
    };
    assert!(ask(&"0".repeat(64)).await.is_problem(403, "wrong_credentials"));
    let through = ask(link.expose()).await;
    assert_eq!((through.status, &through.body["is"]), (200, &json!("signed_in")), "{}", through.body);
    assert_eq!(through.body["me"]["must_add_second_factor"], false);
    assert_eq!(desk.ask(&kept(&through), "get", "/tenants", None).await.status, 200);
    assert!(ask(link.expose()).await.is_problem(403, "wrong_credentials"), "it works once");
    // Who was disabled meanwhile does not come in by it.
    let late = desk.state.links.issue(owner.id, desk.clock.now(), &SystemEntropy);
    let people = desk.app.store.people();
    let current = people.account(owner.id).await.unwrap().unwrap();
    let revision = current.revision;
    people.put_account(Account { state: AccountState::Disabled, ..current }, revision).await.unwrap();
    assert!(ask(late.expose()).await.is_problem(403, "wrong_credentials"));
}

#[actix_web::test]
async fn an_administrator_signs_in_adds_a_factor_and_only_then_may_do_something() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let (_, email) = desk.with_password(false, &[(MemberOf::Tenant(tenant), Role::TenantAdmin)]).await;
    for (email, password) in [(&*email, "not it"), ("nobody@example.com", PASSWORD)] {
        let (refused, _) = desk.try_password(email, password).await;
        assert!(refused.is_problem(403, "wrong_credentials"), "{}", refused.body);
    }
    let (first, who) = desk.try_password(&email, PASSWORD).await;
    assert_eq!((first.status, &first.body["is"]), (200, &json!("signed_in")), "{}", first.body);
    assert_eq!(first.body["me"]["must_add_second_factor"], true);
    let cookies: Vec<_> = first.headers.get_all("set-cookie").map(|it| it.to_str().unwrap()).collect();
    for cookie in cookies {
        for part in ["__Host-", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }
    let set_up = format!("/tenants/{tenant}");
    for path in [&*set_up, "/auth/sessions"] {
        assert!(desk.ask(&who, "get", path, None).await.is_problem(403, "second_factor_needed"), "{path}");
    }
    let added = desk.ask(&who, "post", "/auth/totp", None).await;
    let secret = added.body["secret"].as_str().unwrap().to_owned();
    let wrong = json!({ "code": "000000" });
    assert!(
        desk.ask(&who, "post", "/auth/totp/confirm", Some(wrong)).await.is_problem(403, "wrong_credentials")
    );
    let right = json!({ "code": code(&secret, &desk) });
    let confirmed = desk.ask(&who, "post", "/auth/totp/confirm", Some(right.clone())).await;
    let recovery = confirmed.body["recovery_codes"].as_array().unwrap().clone();
    assert_eq!((confirmed.status, recovery.len()), (200, 10), "{}", confirmed.body);
    assert_eq!(
        desk.ask(&who, "get", &set_up, None).await.status,
        200,
        "from now on everything that is theirs"
    );

    // From now on it takes two steps; the code that was used does not work again.
    let (step, _) = desk.try_password(&email, PASSWORD).await;
    assert_eq!(step.body["is"], "second_factor");
    assert_eq!(step.body["ways"], json!(["totp", "recovery_code"]));
    let ticket = step.body["ticket"].as_str().unwrap().to_owned();
    let give = async |proof: Value| {
        let body = json!({ "ticket": ticket, "proof": proof });
        desk.ask("", "post", "/auth/second-factor", Some(body)).await
    };
    assert!(give(json!({ "by": "totp", "code": right["code"] })).await.is_problem(403, "wrong_credentials"));
    let through = give(json!({ "by": "totp", "code": code(&secret, &desk) })).await;
    assert_eq!((through.status, &through.body["me"]["must_add_second_factor"]), (200, &json!(false)));
    let again = give(json!({ "by": "recovery_code", "code": recovery[0] })).await;
    assert!(again.is_problem(403, "wrong_credentials"), "a ticket opens one session");
    let (step, _) = desk.try_password(&email, PASSWORD).await;
    let ticket = step.body["ticket"].as_str().unwrap();
    let with = json!({ "ticket": ticket, "proof": { "by": "recovery_code", "code": recovery[0] } });
    assert_eq!(desk.ask("", "post", "/auth/second-factor", Some(with)).await.status, 200);
    let last = desk.ask(&kept(&through), "delete", "/auth/totp", None).await;
    assert!(last.is_problem(409, "conflict"), "who administers keeps a second factor");
    desk.close().await;
}

#[actix_web::test]
async fn a_session_ends_when_nothing_is_done_with_it_and_after_half_a_day_whatever_is() {
    let desk = Desk::open().await;
    let who = desk.owner().await;
    let me = async || desk.ask(&who, "get", "/auth/me", None).await.status;
    desk.clock.advance_millis(IDLE_MS - 1);
    assert_eq!(me().await, 200);
    desk.clock.advance_millis(IDLE_MS - 1);
    assert_eq!(me().await, 200, "it was used meanwhile");
    desk.clock.advance_millis(IDLE_MS);
    assert_eq!(me().await, 401);
    let who = desk.owner().await;
    let me = async || desk.ask(&who, "get", "/auth/me", None).await.status;
    for _ in 0..ABSOLUTE_MS / (IDLE_MS - 1_000) {
        desk.clock.advance_millis(IDLE_MS - 1_000);
        assert_eq!(me().await, 200);
    }
    desk.clock.advance_millis(IDLE_MS - 1_000);
    assert_eq!(me().await, 401);
    desk.close().await;
}

#[actix_web::test]
async fn another_page_changes_nothing_in_somebodys_session() {
    let desk = Desk::open().await;
    let who = desk.owner().await;
    let (token, csrf) = who.strip_prefix("session ").unwrap().split_once(' ').unwrap();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = test::TestRequest::post()
            .uri("/v1/tenants")
            .insert_header(("Cookie", format!("{}={token}", cookies::SESSION)))
            .insert_header(("Host", "desk.test"))
            .set_json(json!({ "name": "New" }));
        for header in headers {
            request = request.insert_header(*header);
        }
        desk.send(request).await
    };
    let own = ("Origin", "https://desk.test");
    let token = (cookies::CSRF_HEADER, csrf);
    for forged in [
        vec![],
        vec![own],
        vec![token],
        vec![("Origin", "https://evil.test"), token],
        vec![("Origin", "null"), token],
        vec![own, (cookies::CSRF_HEADER, "0")],
        vec![own, token, ("Sec-Fetch-Site", "cross-site")],
        vec![own, token, ("Sec-Fetch-Site", "same-site")],
    ] {
        assert!(ask(&forged).await.is_problem(403, "forged"), "{forged:?}");
    }
    assert_eq!(ask(&[own, token, ("Sec-Fetch-Site", "same-origin")]).await.status, 201);
    let evil = [("Origin", "https://evil.test"), ("Host", "desk.test")];
    let body = json!({ "email": "a@example.com", "password": "x" });
    let signing_in = desk.ask_with("", "post", "/auth/sign-in", Some(body), &evil).await;
    assert!(signing_in.is_problem(403, "forged"), "nor does it sign somebody in");
    desk.close().await;
}

#[actix_web::test]
async fn sessions_are_listed_and_ended_by_their_owner_alone() {
    let desk = Desk::open().await;
    let account = desk.account(true, &[]).await;
    let (one, other) = (desk.session(&account, true).await, desk.session(&account, true).await);
    let listed =
        desk.ask(&one, "get", "/auth/sessions", None).await.body["items"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["address"], "203.0.113.7");
    let theirs = listed.iter().find(|it| it["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("/auth/sessions/{theirs}");
    let stranger = desk.owner().await;
    assert!(desk.ask(&stranger, "delete", &path, None).await.is_problem(404, "not_found"));
    assert_eq!(desk.ask(&one, "delete", &path, None).await.status, 204);
    assert_eq!(desk.ask(&other, "get", "/auth/me", None).await.status, 401);
    let third = desk.session(&account, true).await;
    let ended = desk.ask(&one, "delete", "/auth/sessions", None).await;
    assert_eq!((ended.status, &ended.body["ended"]), (200, &json!(1)));
    assert_eq!(desk.ask(&third, "get", "/auth/me", None).await.status, 401);
    assert_eq!(desk.ask(&one, "post", "/auth/sign-out", None).await.status, 204);
    assert_eq!(desk.ask(&one, "get", "/auth/me", None).await.status, 401);
    assert_eq!(desk.ask(&stranger, "get", "/auth/me", None).await.status, 200);
    desk.close().await;
}

#[actix_web::test]
async fn a_proof_anew_lasts_for_ten_minutes() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let (account, _) = desk.with_password(false, &[(MemberOf::Tenant(tenant), Role::TenantAdmin)]).await;
    let who = desk.session(&account, true).await;
    let path = format!("/tenants/{tenant}/keys");
    let new = json!({ "name": "k", "scopes": ["read"] });
    let create = async || desk.ask(&who, "post", &path, Some(new.clone())).await;
    assert_eq!(create().await.status, 201, "who has just signed in has just proved it");
    desk.clock.advance_millis(STEP_UP_MS);
    assert!(create().await.is_problem(403, "step_up_needed"));
    assert_eq!(desk.ask(&who, "get", &path, None).await.status, 200, "looking needs none");
    let prove = async |password: &str| {
        desk.ask(&who, "post", "/auth/step-up", Some(json!({ "password": password }))).await
    };
    assert!(prove("not it").await.is_problem(403, "wrong_credentials"));
    assert_eq!(prove(PASSWORD).await.status, 200);
    assert_eq!(create().await.status, 201);
    desk.close().await;
}

#[actix_web::test]
async fn a_password_is_chosen_anew_once_by_a_link_and_every_session_ends() {
    let desk = Desk::open().await;
    let (account, email) = desk.with_password(false, &[]).await;
    let who = desk.session(&account, true).await;
    for email in [&*email, "nobody@example.com"] {
        desk.clock.advance_millis(60_000);
        let answer = desk.ask("", "post", "/auth/password/forgotten", Some(json!({ "email": email }))).await;
        assert_eq!((answer.status, answer.body), (202, Value::Null), "the same for everybody");
    }
    let (token, hash) = tokens::mint(&SystemEntropy);
    let now = desk.clock.now();
    let kept = Token {
        kind: TokenKind::PasswordReset,
        account: account.id,
        hash,
        email: None,
        created_at: now,
        expires_at: now.plus_millis(TOKEN_MS),
    };
    desk.app.store.people().put_token(kept).await.unwrap();
    let reset = async |password: &str| {
        desk.clock.advance_millis(60_000);
        let body = json!({ "token": token.expose(), "password": password });
        desk.ask("", "post", "/auth/password/reset", Some(body)).await
    };
    assert!(
        reset("password1").await.is_problem(422, "invalid"),
        "too easily guessed, and the link still works"
    );
    assert_eq!(reset("another horse battery staple 9").await.status, 204);
    assert!(reset("another horse battery staple 9").await.is_problem(403, "wrong_credentials"), "once");
    assert_eq!(desk.ask(&who, "get", "/auth/me", None).await.status, 401);
    assert_eq!(desk.try_password(&email, PASSWORD).await.0.status, 403);
    assert_eq!(desk.try_password(&email, "another horse battery staple 9").await.0.status, 200);
    desk.close().await;
}

#[actix_web::test]
async fn who_is_invited_belongs_and_is_let_go() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let admin = desk.admin(tenant).await;
    let path = format!("/tenants/{tenant}/invitations");
    let wrong = json!({ "email": "eva@example.com", "name": "Eva", "role": "agency" });
    assert!(desk.ask(&admin, "post", &path, Some(wrong)).await.is_problem(422, "invalid"));
    let new = json!({ "email": " Eva@Example.com ", "name": "Eva", "role": "operator" });
    let invited = desk.ask(&admin, "post", &path, Some(new)).await;
    assert_eq!(
        (invited.status, &invited.body["email"]),
        (201, &json!("eva@example.com")),
        "{}",
        invited.body
    );
    let id: iassistance_domain::id::InvitationId = invited.body["id"].as_str().unwrap().parse().unwrap();
    // Its link is in the mail alone: here it is made anew.
    let people = desk.app.store.people();
    let (token, hash) = tokens::mint(&SystemEntropy);
    let mut invitation = people.invitation(id).await.unwrap().unwrap();
    invitation.id = iassistance_domain::id::InvitationId::new(desk.clock.now(), &SystemEntropy);
    invitation.hash = hash;
    people.put_invitation(invitation).await.unwrap();
    let accept = async |password: Option<&str>| {
        desk.clock.advance_millis(60_000);
        let body = json!({ "token": token.expose(), "password": password });
        desk.ask("", "post", "/auth/invitations/accept", Some(body)).await
    };
    assert!(accept(None).await.is_problem(422, "invalid"));
    let accepted = accept(Some(PASSWORD)).await;
    assert_eq!((accepted.status, &accepted.body["created"]), (200, &json!(true)), "{}", accepted.body);
    assert!(accept(Some(PASSWORD)).await.is_problem(403, "wrong_credentials"), "once");
    let (signed_in, eva) = desk.try_password("eva@example.com", PASSWORD).await;
    assert_eq!(signed_in.status, 200);
    let content = format!("/tenants/{tenant}/conversations");
    assert_eq!(desk.ask(&eva, "get", &content, None).await.status, 200);
    let theirs = format!("/tenants/{}/conversations", desk.tenants[1]);
    assert!(desk.ask(&eva, "get", &theirs, None).await.is_problem(404, "not_found"));
    let member = format!("/tenants/{tenant}/members/{}", accepted.body["account"].as_str().unwrap());
    let admin = desk.admin(tenant).await;
    let viewer = desk.ask(&admin, "put", &member, Some(json!({ "role": "viewer" }))).await;
    assert_eq!((viewer.status, &viewer.body["role"]), (200, &json!("viewer")), "{}", viewer.body);
    assert_eq!(desk.ask(&admin, "delete", &member, None).await.status, 204);
    assert!(desk.ask(&eva, "get", &content, None).await.is_problem(404, "not_found"), "at once");
    desk.close().await;
}

#[actix_web::test]
async fn break_glass_takes_two_owners_and_is_seen() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let (one, other) = (desk.owner().await, desk.owner().await);
    let (content, path) = (format!("/tenants/{tenant}/events"), format!("/tenants/{tenant}/break-glass"));
    let new = json!({ "reason": "Incident 42.", "minutes": 30 });
    let asked = desk.ask(&one, "post", &path, Some(new)).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    let grant = format!("{path}/{}", asked.body["id"].as_str().unwrap());
    assert!(desk.ask(&one, "get", &content, None).await.is_problem(403, "break_glass_needed"));
    let own = desk.ask(&one, "post", &format!("{grant}/approve"), None).await;
    assert!(own.is_problem(409, "conflict"), "nobody consents for themselves");
    assert_eq!(desk.ask(&other, "post", &format!("{grant}/approve"), None).await.status, 200);
    let seen = desk.ask(&one, "get", &content, None).await;
    let told: Vec<_> = seen.body["items"].as_array().unwrap().iter().map(|it| it["type"].clone()).collect();
    assert_eq!(told, ["break_glass.asked", "break_glass.opened"]);
    assert!(desk.ask(&other, "get", &content, None).await.is_problem(403, "break_glass_needed"));
    let admin = desk.admin(tenant).await;
    let listed = desk.ask(&admin, "get", &path, None).await;
    assert_eq!(listed.body["items"][0]["reason"], "Incident 42.");
    assert_eq!(desk.ask(&admin, "post", &format!("{grant}/end"), None).await.status, 200);
    assert!(desk.ask(&one, "get", &content, None).await.is_problem(403, "break_glass_needed"));
    let log = desk.app.store.trail().audit_after(Some(tenant), 0, 99).await.unwrap();
    let (done, refused): (Vec<_>, Vec<_>) =
        log.iter().partition(|entry| entry.result == iassistance_domain::audit::AuditResult::Allowed);
    assert!(!refused.is_empty(), "the tenant sees too that they were refused");
    let acts: Vec<_> = done.iter().map(|entry| &*entry.act).collect();
    assert_eq!(acts, ["break_glass.asked", "break_glass.opened", "break_glass.used", "break_glass.ended"]);
    desk.close().await;
}

#[actix_web::test]
async fn a_rotated_key_works_beside_the_new_one_for_as_long_as_was_said() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let admin = desk.admin(tenant).await;
    let path = format!("/tenants/{tenant}/keys");
    let new = json!({ "name": "k", "scopes": ["read"], "networks": ["203.0.113.0/24"] });
    let created = desk.ask(&admin, "post", &path, Some(new)).await;
    assert_eq!(created.body["key"]["networks"], json!(["203.0.113.0/24"]));
    let read = format!("/tenants/{tenant}/events");
    let from_nowhere = desk.ask(created.body["secret"].as_str().unwrap(), "get", &read, None).await;
    assert_eq!(from_nowhere.status, 401, "it works from its networks alone");
    let new = json!({ "name": "k", "scopes": ["read"] });
    let created = desk.ask(&admin, "post", &path, Some(new)).await;
    let (former, id) =
        (created.body["secret"].as_str().unwrap(), created.body["key"]["id"].as_str().unwrap());
    let rotate = format!("{path}/{id}/rotate");
    let rotated = desk.ask(&admin, "post", &rotate, Some(json!({ "overlap_hours": 1 }))).await;
    let latter = rotated.body["secret"].as_str().unwrap();
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    let works = async |key: &str| desk.ask(key, "get", &read, None).await.status;
    assert_eq!((works(former).await, works(latter).await), (200, 200));
    assert!(
        desk.ask(&admin, "post", &rotate, Some(json!({ "overlap_hours": 1 })))
            .await
            .is_problem(409, "conflict")
    );
    desk.clock.advance_millis(60 * 60 * 1_000);
    assert_eq!((works(former).await, works(latter).await), (401, 200));
    desk.close().await;
}

#[actix_web::test]
async fn a_suspended_tenant_sends_nothing_and_its_people_are_told_why() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let owner = desk.owner().await;
    let key = desk.key(Some(tenant), &[Scope::Operate, Scope::Read]).await;
    let suspend = json!({ "reason": "An invoice is open." });
    let path = format!("/tenants/{tenant}");
    let suspended = desk.ask(&owner, "post", &format!("{path}/suspend"), Some(suspend)).await;
    assert_eq!((suspended.status, &suspended.body["state"]), (200, &json!("suspended")));
    let take_over = filled("/tenants/{tenant}/conversations/{conversation}/takeover", tenant);
    let refused = desk.ask(&key, "post", &take_over, Some(json!({ "operator": "Ada" }))).await;
    assert!(refused.is_problem(409, "conflict"));
    assert!(refused.body["detail"].as_str().unwrap().contains("An invoice is open."));
    assert_eq!(desk.ask(&key, "get", &format!("{path}/events"), None).await.status, 200);
    assert_eq!(desk.ask(&owner, "post", &format!("{path}/resume"), None).await.body["state"], "active");
    let gone = desk.ask(&key, "post", &take_over, Some(json!({ "operator": "Ada" }))).await;
    assert_eq!(gone.status, 404, "the conversation is not there: it was let in");
    desk.close().await;
}

#[actix_web::test]
async fn a_passkey_is_added_signs_in_for_both_factors_and_proves_anew() {
    let desk = Desk::open().await;
    let tenant = desk.tenants[0];
    let (account, email) = desk.with_password(false, &[(MemberOf::Tenant(tenant), Role::TenantAdmin)]).await;
    let who = desk.session(&account, false).await;
    let mut device = Authenticator::new("https://desk.test");
    let asked = desk.ask(&who, "post", "/auth/passkeys/question", None).await;
    let answer = device.create(&asked.body["options"]);
    let new = json!({ "question": asked.body["question"], "answer": answer, "name": "Laptop" });
    let added = desk.ask(&who, "post", "/auth/passkeys", Some(new)).await;
    assert_eq!((added.status, &added.body["passkey"]["name"]), (201, &json!("Laptop")), "{}", added.body);
    assert_eq!(added.body["recovery_codes"].as_array().unwrap().len(), 10);
    let set_up = format!("/tenants/{tenant}");
    assert_eq!(desk.ask(&who, "get", &set_up, None).await.status, 200);

    desk.clock.advance_millis(60_000);
    let asked = desk.ask("", "post", "/auth/passkey", None).await;
    let answer = json!({ "question": asked.body["question"], "answer": device.get(&asked.body["options"]) });
    let signed_in = desk.ask("", "post", "/auth/passkey/sign-in", Some(answer.clone())).await;
    assert_eq!((signed_in.status, &signed_in.body["is"]), (200, &json!("signed_in")), "{}", signed_in.body);
    let who = kept(&signed_in);
    assert_eq!(desk.ask(&who, "get", &set_up, None).await.status, 200);
    let again = desk.ask("", "post", "/auth/passkey/sign-in", Some(answer)).await;
    assert!(again.is_problem(403, "wrong_credentials"), "an answer is good once");

    desk.clock.advance_millis(STEP_UP_MS);
    let invite = json!({ "email": "eva@example.com", "name": "Eva", "role": "viewer" });
    let path = format!("/tenants/{tenant}/invitations");
    assert!(desk.ask(&who, "post", &path, Some(invite.clone())).await.is_problem(403, "step_up_needed"));
    let by_password = json!({ "password": PASSWORD });
    let refused = desk.ask(&who, "post", "/auth/step-up", Some(by_password)).await;
    assert!(refused.is_problem(422, "invalid"), "who has a second factor gives that");
    let asked = desk.ask(&who, "post", "/auth/step-up/passkey", None).await;
    let proof = json!({ "by": "passkey", "question": asked.body["question"],
                        "answer": device.get(&asked.body["options"]) });
    assert_eq!(desk.ask(&who, "post", "/auth/step-up", Some(json!({ "proof": proof }))).await.status, 200);
    assert_eq!(desk.ask(&who, "post", &path, Some(invite)).await.status, 201);

    let (step, _) = desk.try_password(&email, PASSWORD).await;
    let ticket = step.body["ticket"].as_str().unwrap();
    assert_eq!(step.body["ways"], json!(["recovery_code", "passkey"]));
    let asked = desk.ask("", "post", "/auth/second-factor/passkey", Some(json!({ "ticket": ticket }))).await;
    let proof = json!({ "by": "passkey", "question": asked.body["question"],
                        "answer": device.get(&asked.body["options"]) });
    let body = json!({ "ticket": ticket, "proof": proof });
    assert_eq!(desk.ask("", "post", "/auth/second-factor", Some(body)).await.status, 200);
    desk.close().await;
}

#[actix_web::test]
async fn who_guesses_is_slowed_down_and_locks_nobody_out_of_a_device_they_know() {
    let desk = Desk::open().await;
    let (_, email) = desk.with_password(false, &[]).await;
    let (signed_in, _) = desk.try_password(&email, PASSWORD).await;
    let cookies = signed_in.headers.get_all("set-cookie").map(|cookie| cookie.to_str().unwrap());
    let device = cookies.into_iter().find(|cookie| cookie.starts_with("__Host-device")).unwrap();
    let device = device.split_once(';').unwrap().0.to_owned();
    let try_once = async |password: &str, headers: &[(&str, &str)]| {
        let body = json!({ "email": email, "password": password });
        desk.ask_with("", "post", "/auth/sign-in", Some(body), headers).await
    };
    let mut refused = 0;
    for _ in 0..10 {
        let answer = try_once("a guess", &[]).await;
        if answer.status == 429 {
            assert!(answer.headers.get("retry-after").is_some());
            refused += 1;
        }
    }
    assert!(refused >= 6, "{refused}");
    let own = try_once(PASSWORD, &[("Cookie", &device)]).await;
    assert_eq!(own.status, 200, "its owner, meanwhile");
    desk.close().await;
}

#[actix_web::test]
async fn an_agency_reads_along_when_it_is_let_and_acts_while_it_may() {
    let desk = Desk::open().await;
    let (now, people) = (desk.clock.now(), desk.app.store.people());
    let agency = iassistance_domain::agency::Agency {
        id: iassistance_domain::id::AgencyId::new(now, &SystemEntropy),
        name: "Studio".to_owned(),
        created_at: now,
        state: iassistance_domain::agency::AgencyState::Active,
    };
    people.create_agency(agency.clone()).await.unwrap();
    let tenant = desk.tenants[0];
    let record = people.tenant_record(tenant).await.unwrap().unwrap();
    people.put_tenant(Tenant { agency: Some(agency.id), ..record }).await.unwrap();
    let who = desk.person(false, &[(MemberOf::Agency(agency.id), Role::Agency)]).await;
    let (admin, owner) = (desk.admin(tenant).await, desk.owner().await);
    let content = format!("/tenants/{tenant}/events");
    let reads = async || desk.ask(&who, "get", &content, None).await.status;
    assert_eq!(reads().await, 403);
    for (allowed, status) in [(true, 200), (false, 403)] {
        let path = format!("/tenants/{tenant}/agency-reading");
        let set = desk.ask(&admin, "put", &path, Some(json!({ "allowed": allowed }))).await;
        assert_eq!((set.status, &set.body["agency_reads"]), (200, &json!(allowed)));
        assert_eq!(reads().await, status);
        // A key that manages subscribes to what people write, too: nobody hands out more than they have.
        let key = json!({ "name": "k", "scopes": ["manage"] });
        let made = desk.ask(&who, "post", &format!("/tenants/{tenant}/keys"), Some(key)).await;
        assert_eq!(made.status, if allowed { 201 } else { 403 });
    }
    let new = desk.ask(&who, "post", "/tenants", Some(json!({ "name": "New" }))).await;
    assert_eq!((new.status, &new.body["agency"]), (201, &json!(agency.id)), "its own, without saying so");
    let listed = desk.ask(&who, "get", "/tenants", None).await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    let suspend = json!({ "state": "suspended" });
    let path = format!("/agencies/{}", agency.id);
    assert_eq!(desk.ask(&owner, "put", &path, Some(suspend)).await.status, 200);
    let set_up = format!("/tenants/{tenant}");
    assert!(desk.ask(&who, "get", &set_up, None).await.is_problem(404, "not_found"), "it gives no right");
    assert_eq!(desk.ask(&admin, "get", &set_up, None).await.status, 200, "its tenants are served");
    desk.close().await;
}

#[actix_web::test]
async fn another_address_counts_once_it_was_shown_to_be_theirs() {
    let desk = Desk::open().await;
    let (account, former) = desk.with_password(false, &[]).await;
    let who = desk.session(&account, true).await;
    let change = json!({ "email": "New@Example.com" });
    let asked = desk.ask(&who, "post", "/auth/email", Some(change)).await;
    assert_eq!((asked.status, asked.body), (202, Value::Null));
    assert_eq!(desk.try_password(&former, PASSWORD).await.0.status, 200, "until then the former one counts");
    let (token, hash) = tokens::mint(&SystemEntropy);
    let now = desk.clock.now();
    let kept = Token {
        kind: TokenKind::EmailChange,
        account: account.id,
        hash,
        email: Some(normalised_email("new@example.com").unwrap()),
        created_at: now,
        expires_at: now.plus_millis(TOKEN_MS),
    };
    desk.app.store.people().put_token(kept).await.unwrap();
    let confirm = async || {
        desk.clock.advance_millis(60_000);
        let body = json!({ "token": token.expose() });
        desk.ask("", "post", "/auth/email/confirm", Some(body)).await
    };
    assert_eq!(confirm().await.status, 204);
    assert!(confirm().await.is_problem(403, "wrong_credentials"), "once");
    assert_eq!(desk.try_password(&former, PASSWORD).await.0.status, 403);
    assert_eq!(desk.try_password("new@example.com", PASSWORD).await.0.status, 200);
    desk.close().await;
}
