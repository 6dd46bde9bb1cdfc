//! Channels: connected, tested, mended, told of by Meta, taken off; and who has a conversation.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Clock;
use iassistance_domain::channel::Channel;
use iassistance_domain::conversation::Control;
use iassistance_simulator::act::{Control as Thread, GivenFile};
use iassistance_simulator::faults::{Rule, SendFault};
use iassistance_simulator::{Account, AccountKind, Act, EventShape, Faults, MediaKind, NewContact};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, START, within};
use crate::products::{
    CHANNELS, DAY_MS, HOUR_MS, INSTAGRAM, INSTAGRAM_BY_PAGE, INSTAGRAM_TOKEN, PAGE, PAGE_TOKEN, WABA, flying,
};

fn echoing() -> Options {
    Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }
}

/// What a check of a test found.
fn check<'a>(tested: &'a Value, name: &str) -> &'a Value {
    tested["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap()
}

async fn connect(flow: &Flow, connection: Value, id: &str, token: &str) -> (StatusCode, Value) {
    let body = json!({ "connection": connection, "external_id": id, "name": "new", "access_token": token,
                       "meta_app": flow.meta_app });
    let path = format!("/tenants/{}/channels", flow.tenants[0]);
    flow.api_as(&flow.admin().await, "POST", &path, Some(body)).await
}

fn add(flow: &Flow, kind: AccountKind, token: &str) {
    let shape = EventShape::Messaging;
    let account = Account { kind, name: "new".into(), access_token: token.into(), app_id: None, shape };
    flow.simulator.add_account(account).unwrap();
}

#[actix::test]
async fn a_channel_of_each_kind_is_connected_and_tested_and_works() {
    let flow = Flow::with(echoing()).await;
    let whatsapp = AccountKind::Whatsapp {
        phone_number_id: "200000000000009".into(),
        waba_id: "100000000000009".into(),
        display_phone_number: "+1 555-010-0009".into(),
    };
    let page = AccountKind::Messenger { page_id: "900000000000009".into() };
    let linked =
        AccountKind::InstagramPage { ig_id: "17840000000000009".into(), page_id: "900000000000019".into() };
    let login = AccountKind::InstagramLogin {
        ig_id: "17840000000000019".into(),
        user_id: "27840000000000019".into(),
    };
    let cases = [
        (whatsapp, json!({ "via": "cloud_api", "account_id": "100000000000009" }), "200000000000009"),
        (page, json!({ "via": "page" }), "900000000000009"),
        (linked, json!({ "via": "instagram_page", "page_id": "900000000000019" }), "17840000000000009"),
        (login, json!({ "via": "instagram_login" }), "17840000000000019"),
    ];
    for (number, (kind, connection, id)) in cases.into_iter().enumerate() {
        let token = format!("fresh-token-{id}");
        add(&flow, kind, &token);
        let (status, tested) = connect(&flow, connection, id, &token).await;
        assert_eq!(status, 201, "{tested}");
        assert_eq!(tested["channel"]["health"]["state"], "live", "{tested}");
        assert!(tested["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true), "{tested}");
        assert!(!tested.to_string().contains(&token), "a token never comes out");
        flow.says("ana", id, &format!("hello {id}"));
        flow.sent(&format!("hello {id}")).await;
        let (status, taken) = connect(&flow, json!({ "via": "page" }), PAGE, "x").await;
        assert_eq!(status, 409, "{taken}");
        flow.sends(number + 1).await;
    }
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn what_is_wrong_with_a_channel_is_said_and_subscribing_mends_what_it_can() {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    let whatsapp = |id: &str| AccountKind::Whatsapp {
        phone_number_id: id.into(),
        waba_id: "100000000000009".into(),
        display_phone_number: format!("+1 555-010-{}", &id[11..]),
    };
    add(&flow, whatsapp("200000000000008"), "right-token");
    let via = json!({ "via": "cloud_api", "account_id": "100000000000009" });
    let (_, tested) = connect(&flow, via.clone(), "200000000000008", "wrong-token").await;
    assert_eq!(tested["channel"]["health"]["state"], "expired", "{tested}");
    assert_eq!(check(&tested, "token")["ok"], false);
    assert!(
        check(&tested, "token")["detail"].as_str().unwrap().contains("connect the channel with a new one")
    );
    // A page's token has none of the permissions of WhatsApp.
    let (_, tested) = connect(&flow, via, "200000000000007", PAGE_TOKEN).await;
    assert_eq!(tested["channel"]["health"]["state"], "blocked", "{tested}");
    let detail = check(&tested, "permissions")["detail"].as_str().unwrap();
    assert!(detail.contains("whatsapp_business_messaging"), "{tested}");
    let (_, tested) =
        connect(&flow, json!({ "via": "instagram_login" }), "17840000000000077", INSTAGRAM_TOKEN).await;
    assert_eq!(tested["channel"]["health"]["state"], "blocked", "{tested}");
    assert!(check(&tested, "account")["detail"].as_str().unwrap().contains("another account's"), "{tested}");

    // Unsubscribed, nothing comes in any more.
    let url = format!("{}/v24.0/{PAGE}/subscribed_apps", flow.simulator.graph_url());
    let off = within("an answer", flow.http.delete(url).bearer_auth(PAGE_TOKEN).send()).await.unwrap();
    assert_eq!(off.status(), 200);
    let (status, tested) = flow.channel_api("POST", PAGE, "/test", None).await;
    assert_eq!(status, 200);
    assert_eq!(tested["channel"]["health"]["state"], "degraded", "{tested}");
    let detail = check(&tested, "subscription")["detail"].as_str().unwrap();
    assert!(detail.contains("messages") && detail.contains("subscribe"), "{detail}");
    let (status, tested) = flow.channel_api("POST", PAGE, "/subscribe", None).await;
    assert_eq!((status.as_u16(), &tested["channel"]["health"]["state"]), (200, &json!("live")), "{tested}");
    flow.says("ana", PAGE, "is it on?");
    flow.event_named(0, "message.received").await;
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn a_token_of_instagram_login_is_renewed_before_its_end_by_the_sweep() {
    let settings = ["meta.channel_test_hours=6", "actors.sweep_ms=3600000"];
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..flying(&settings) }).await;
    let minutes = 60_000;
    let passes = async |what: &str, done: &dyn Fn(&Channel) -> bool| {
        flow.pass_until(what, 20 * minutes, 5 * DAY_MS, async || done(&flow.channel(INSTAGRAM).await)).await;
        flow.channel(INSTAGRAM).await
    };
    let renewed =
        |of: &Channel| of.access_token.expose() != INSTAGRAM_TOKEN && of.health.token_expires_at.is_some();
    let first = passes("the first renewal", &renewed).await;
    let begun = START.plus_millis(DAY_MS);
    assert!(flow.clock.now() >= begun, "a token has to be a day old");
    let ends = first.health.token_expires_at;
    assert!(ends >= Some(begun.plus_millis(60 * DAY_MS)), "its end is known from then on");
    let later = flow.clock.now().plus_millis(DAY_MS);
    let tested = |of: &Channel| of.health.tested_at >= Some(later);
    let still = passes("tests", &tested).await;
    assert!(still.access_token == first.access_token, "it is not renewed without need");
    assert_eq!(still.health.token_expires_at, ends, "a test does not forget the end");
    // Ten days before its end.
    flow.clock.advance_millis(49 * DAY_MS);
    let renewed = |of: &Channel| of.access_token != first.access_token && of.health.token_expires_at > ends;
    let second = passes("the second renewal", &renewed).await;
    assert_eq!(second.health.state.name(), "live");
    flow.clock.advance_millis(30 * DAY_MS);
    flow.says("ana", INSTAGRAM, "still there?");
    flow.sent("still there?").await;
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn what_meta_says_of_a_channel_changes_how_it_is() {
    let flow = Flow::with(echoing()).await;
    // The number is learned by the test.
    assert_eq!(flow.channel_api("POST", NUMBERS[0], "/test", None).await.0, 200);
    let quality = |event: &str| Act::Quality { event: event.into(), limit: None };
    let account = |event: &str| Act::AccountUpdate { event: event.into() };
    let policy = |action: &str| Act::Policy { action: action.into(), reason: Some("spam".into()) };
    for (of, act, state) in [
        (NUMBERS[0], quality("FLAGGED"), "degraded"),
        (NUMBERS[0], quality("UNFLAGGED"), "live"),
        (NUMBERS[0], account("ACCOUNT_RESTRICTION"), "degraded"),
        (NUMBERS[0], account("DISABLED_UPDATE"), "blocked"),
        (NUMBERS[0], account("ACCOUNT_REINSTATED"), "live"),
        (PAGE, policy("warning"), "degraded"),
        (PAGE, policy("block"), "blocked"),
        (PAGE, policy("unblock"), "live"),
    ] {
        let at = flow.now_at().await;
        flow.meta(of, act.clone());
        let changed = flow.event_after(0, at, |event| event["type"] == "channel.health_changed").await;
        assert_eq!(changed["health"]["state"], state, "{act:?}");
        assert_eq!(flow.channel(of).await.health.state.name(), state, "{act:?}");
        let words = format!("under {act:?}");
        if state == "blocked" {
            flow.says("ana", of, &words);
            flow.event_after(0, at, |event| event["type"] == "message.queued").await;
            assert!(!flow.was_sent(&words));
        } else {
            flow.says("ben", of, &words);
            flow.sent(&words).await;
        }
    }
    assert!(flow.was_sent("DISABLED_UPDATE"), "what waited left when the account was reinstated");
    flow.meta(NUMBERS[0], quality("THROUGHPUT_UPGRADE"));
    within("the new rate", async {
        while flow.channel(NUMBERS[0]).await.health.sends_per_s != Some(1_000) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(flow.channel(INSTAGRAM).await.health.state.name(), "connecting", "others have nothing of it");
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn templates_are_listed_and_follow_what_meta_says() {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    assert_eq!(flow.channel_api("POST", NUMBERS[0], "/test", None).await.0, 200);
    let status = async |name: &str| {
        let (status, listed) = flow.channel_api("GET", NUMBERS[0], "/templates", None).await;
        assert_eq!(status, 200, "{listed}");
        let items = listed["items"].as_array().unwrap().clone();
        assert_eq!(items.len(), 6);
        items.into_iter().find(|item| item["name"] == name).unwrap()
    };
    assert_eq!(status("weekly_offer").await["status"], "APPROVED");
    assert_eq!(status("hello_world").await["category"], "UTILITY");
    let at = flow.now_at().await;
    flow.meta(
        NUMBERS[0],
        Act::TemplateStatus {
            name: "hello_world".into(),
            language: "en_US".into(),
            status: "PAUSED".into(),
            reason: None,
        },
    );
    flow.event_after(0, at, |event| event["type"] == "channel.noticed").await;
    within("the template", async {
        while status("hello_world").await["status"] != "PAUSED" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (name, language) = ("hello_world".into(), "en_US".into());
    flow.meta(NUMBERS[0], Act::TemplateCategory { name, language, category: "MARKETING".into() });
    within("the template", async {
        while status("hello_world").await["category"] != "MARKETING" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.finish().await;
}

#[actix::test]
async fn a_channel_that_is_taken_off_neither_hears_nor_says_anything() {
    let mut flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    flow.says("ana", PAGE, "hello");
    flow.event_named(0, "message.received").await;
    flow.still().await;
    let conversation = flow.conversation_on(PAGE).await.id;
    let path = format!("/tenants/{}/channels/{}", flow.tenants[0], flow.channel_id(PAGE).await);
    assert_eq!(flow.api_as(&flow.admin().await, "DELETE", &path, None).await.0, 204);
    assert_eq!(flow.api("GET", &path, None).await.0, 404);
    assert_eq!(flow.api_as(&flow.admin().await, "DELETE", &path, None).await.0, 404);
    flow.event_named(0, "channel.disconnected").await;
    let before = flow.app.store.unrouted(100).await.unwrap().len();
    flow.says("ana", PAGE, "are you there?");
    flow.still().await;
    assert_eq!(flow.app.store.unrouted(100).await.unwrap().len(), before + 1);
    assert_eq!(flow.count(0, "message.received").await, 1);
    let base = format!("/tenants/{}/conversations/{conversation}/messages", flow.tenants[0]);
    assert_eq!(flow.api("GET", &base, None).await.0, 200, "what was said stays");
    flow.replied(conversation, json!({ "text": "gone" })).await;
    let dead = flow.event_named(0, "dead_letter.added").await;
    assert!(dead["reason"].as_str().unwrap().contains("not connected"), "{dead}");
    flow.forgive_dead_letters(1);
    assert_eq!(flow.simulator.all_sends().len(), 0);
    flow.finish().await;
}

#[actix::test]
async fn the_echo_of_our_own_send_settles_what_was_not_known() {
    let flow = Flow::with(echoing()).await;
    for account in [PAGE, INSTAGRAM, INSTAGRAM_BY_PAGE] {
        let at = flow.now_at().await;
        let cut = Rule { fault: SendFault::Cut { accepted: true }, next: 1, per_mille: 0 };
        flow.simulator.set_faults(Faults { sends: vec![cut], ..Faults::default() }).unwrap();
        flow.says("ana", account, &format!("cut on {account}"));
        flow.event_after(0, at, |event| event["delivery"]["status"] == "sent").await;
        flow.still().await;
        flow.clock.advance_millis(HOUR_MS);
        flow.still().await;
        assert_eq!(flow.times_sent(&format!("cut on {account}")), 1);
        let conversation = flow.conversation_on(account).await;
        assert_eq!(*conversation.control(), Control::Assistant, "nobody else wrote");
        let messages = flow.store(0).await.messages(conversation.id, None, 10).await.unwrap();
        assert_eq!(messages.len(), 2, "its echo is not another message");
    }
    flow.finish().await;
}

#[actix::test]
async fn the_owner_who_writes_elsewhere_takes_over() {
    let flow = Flow::with(echoing()).await;
    for account in CHANNELS {
        flow.says("ana", account, &format!("hello {account}"));
        flow.sent(&format!("hello {account}")).await;
        flow.still().await;
        let at = flow.now_at().await;
        flow.act("ana", account, Act::OwnerText { text: "I will see to it".into() });
        let taken = flow.event_after(0, at, |event| event["type"] == "control.changed").await;
        assert_eq!(taken["control"]["holder"], "operator", "{account}: {taken}");
        let echoed = flow.event_after(0, at, |event| event["type"] == "message.echoed").await;
        assert_eq!(echoed["message"]["content"]["body"], "I will see to it");
        flow.says("ana", account, &format!("thank you {account}"));
        flow.event_after(0, at, |event| event["type"] == "message.received").await;
        flow.still().await;
        assert!(!flow.was_sent(&format!("thank you {account}")), "the assistant is silent");
        let conversation = flow.conversation_on(account).await.id;
        flow.app.engine.hand_back(flow.ctx(), conversation).await.unwrap();
        flow.sent(&format!("thank you {account}")).await;
        flow.still().await;
    }
    let at = flow.now_at().await;
    flow.act("ana", NUMBERS[0], Act::OwnerFile(GivenFile::sample(MediaKind::Document)));
    flow.event_after(0, at, |event| event["type"] == "media.settled").await;
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn while_another_app_has_the_thread_only_it_speaks() {
    let flow = Flow::with(echoing()).await;
    for account in [PAGE, INSTAGRAM] {
        flow.says("ana", account, &format!("first {account}"));
        flow.sent(&format!("first {account}")).await;
        flow.still().await;
        let at = flow.now_at().await;
        let changed = |holder: &'static str| {
            move |event: &Value| event["type"] == "control.changed" && event["control"]["holder"] == holder
        };
        flow.act("ana", account, Act::Thread { control: Thread::Request });
        flow.event_after(0, at, |event| event["type"] == "thread.requested").await;
        flow.act("ana", account, Act::Thread { control: Thread::Take });
        flow.event_after(0, at, changed("other_app")).await;
        flow.says("ana", account, &format!("to the other {account}"));
        let heard = |event: &Value| event["type"] == "message.received" && event["arrival"] == "standby";
        flow.event_after(0, at, heard).await;
        flow.still().await;
        let conversation = flow.conversation_on(account).await;
        let (status, problem) = flow.reply(conversation.id, json!({ "text": "me too" })).await;
        assert_eq!(status, 409, "{problem}");
        let at = flow.now_at().await;
        flow.act("ana", account, Act::Thread { control: Thread::Pass });
        flow.event_after(0, at, changed("assistant")).await;
        flow.says("ana", account, &format!("back {account}"));
        flow.sent(&format!("back {account}")).await;
        flow.still().await;
        assert!(!flow.was_sent(&format!("to the other {account}")));
    }
    assert_eq!(flow.simulator.state().counters.sends_refused.len(), 0, "nothing was tried in vain");
    flow.finish().await;
}

#[actix::test]
async fn a_number_and_a_user_id_that_prove_to_be_one_person_are_merged() {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    let webhook = |id: &str, contact: Value, from: Value, text: &str| {
        let mut message =
            json!({ "id": id, "timestamp": "1790000000", "type": "text", "text": { "body": text } });
        message.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
        json!({ "object": "whatsapp_business_account", "entry": [{ "id": WABA, "changes": [{
            "field": "messages", "value": { "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15550100001", "phone_number_id": NUMBERS[0] },
            "contacts": [contact], "messages": [message] } }] }] })
        .to_string()
    };
    let named = json!({ "profile": { "name": "Ada" }, "user_id": "US.ADA" });
    let numbered = json!({ "profile": { "name": "Ada" }, "wa_id": "15550199001" });
    let both = json!({ "profile": { "name": "Ada" }, "wa_id": "15550199001", "user_id": "US.ADA" });
    let (by_name, by_number) = (json!({ "from_user_id": "US.ADA" }), json!({ "from": "15550199001" }));
    let by_both = json!({ "from": "15550199001", "from_user_id": "US.ADA" });
    flow.post(webhook("wamid.1", named.clone(), by_name.clone(), "one")).await;
    flow.quiet(0).await;
    flow.clock.advance_millis(1_000);
    flow.post(webhook("wamid.2", numbered, by_number.clone(), "two")).await;
    flow.quiet(0).await;
    assert_eq!(flow.store(0).await.conversations(None, 10).await.unwrap().len(), 2);
    flow.post(webhook("wamid.3", both, by_both, "three")).await;
    let merged = flow.event_named(0, "contact.merged").await;
    flow.post(webhook("wamid.4", named, by_name, "four")).await;
    flow.quiet(0).await;
    let (home, third) = flow.message_called(0, "wamid.3").await;
    let (of_fourth, fourth) = flow.message_called(0, "wamid.4").await;
    assert_eq!((home, home), (of_fourth, fourth.conversation));
    assert!(third.is_inbound());
    let (first, _) = flow.message_called(0, "wamid.1").await;
    assert_eq!(home, first, "the older one goes on");
    assert_eq!(merged["conversation"], json!(home));
    flow.finish().await;
}

#[actix::test]
async fn who_changes_their_number_stays_who_they_are() {
    let flow = Flow::with(echoing()).await;
    flow.says("ana", NUMBERS[0], "before");
    flow.sent("before").await;
    flow.still().await;
    let conversation = flow.conversation(0).await;
    flow.act("ana", NUMBERS[0], Act::NewNumber { number: "15550199777".into() });
    flow.event_named(0, "contact.identity_changed").await;
    flow.says("ana", NUMBERS[0], "after");
    flow.sent("after").await;
    flow.still().await;
    assert_eq!(flow.conversation(0).await, conversation);
    assert_eq!(flow.simulator.all_sends().last().unwrap().to, "15550199777");
    flow.finish().await;
}

#[actix::test]
async fn who_refuses_advertising_gets_none() {
    let flow = Flow::with(flying(&[])).await;
    flow.hush().await;
    assert_eq!(flow.channel_api("POST", NUMBERS[0], "/test", None).await.0, 200);
    flow.simulator.add_contact(NewContact { name: "ana".into(), wa_id: None, hides_number: false }).unwrap();
    flow.says("ana", NUMBERS[0], "hello");
    flow.event_named(0, "message.received").await;
    flow.still().await;
    let conversation = flow.conversation(0).await;
    let offer = || {
        json!({ "content": { "type": "template", "name": "weekly_offer", "language": "en_US", "components": [
            { "part": "header", "parameters": [{ "type": "media", "media": { "kind": "image",
              "source": { "at": "link", "url": "https://example.com/i.png" } } }] },
            { "part": "body", "parameters": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
            { "part": "button", "sub_type": "url", "index": 0, "parameters": [{ "type": "text", "text": "x" }] },
        ] } })
    };
    flow.replied(conversation, offer()).await;
    flow.sends(1).await;
    let at = flow.now_at().await;
    flow.act("ana", NUMBERS[0], Act::Marketing { wanted: false });
    let changed = flow.event_after(0, at, |event| event["type"] == "contact.marketing_changed").await;
    assert_eq!(changed["allowed"], false);
    let (status, problem) = flow.reply(conversation, offer()).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("advertising"), "{problem}");
    let hello = json!({ "content": { "type": "template", "name": "hello_world", "language": "en_US" } });
    flow.replied(conversation, hello).await;
    flow.sends(2).await;
    let at = flow.now_at().await;
    flow.act("ana", NUMBERS[0], Act::Marketing { wanted: true });
    let changed = flow.event_after(0, at, |event| event["type"] == "contact.marketing_changed").await;
    assert_eq!(changed["allowed"], true);
    flow.replied(conversation, offer()).await;
    flow.sends(3).await;
    flow.still().await;
    flow.finish().await;
}
