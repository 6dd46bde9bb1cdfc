//! Windows, tags, threads, comments, tokens, objects and subscriptions.

use iassistance_simulator::act::Control;
use iassistance_simulator::{Act, Deed};
use serde_json::{Value, json};

use crate::support::{
    ANA, IG, IG_LOGIN, IG_TOKEN, IG_USER, NUMBER, PAGE, PAGE_TOKEN, Receiver, TOKEN, all_products, ask, call,
    does, get, graph, post, refusal, says, send_as, social_text, soon, start, text_to,
};

const HOUR_MS: u64 = 3_600_000;
const PSID: &str = "910000000000001";
const IGSID: &str = "920000000000001";
const NULL: Value = Value::Null;

fn tagged(to: &str) -> Value {
    let mut body = social_text(to, "a person writes");
    body["messaging_type"] = json!("MESSAGE_TAG");
    body["tag"] = json!("HUMAN_AGENT");
    body
}

#[tokio::test]
async fn windows_of_a_day_of_a_week_for_people_and_of_a_week_after_an_ad() {
    let (simulator, clock) = start(all_products()).await;
    for (who, node, token, to, outside) in [
        ("Ana", PAGE, PAGE_TOKEN, PSID, (400, 10, 2_018_278)),
        ("Ana", IG_LOGIN, IG_TOKEN, IGSID, (400, 10, 2_534_022)),
    ] {
        says(&simulator, who, node, "hi");
        let text = social_text(to, "x");
        assert_eq!(send_as(&simulator, token, node, &text).await.status, 200);
        clock.advance_millis(24 * HOUR_MS);
        assert_eq!(refusal(&send_as(&simulator, token, node, &text).await), outside);
        assert_eq!(send_as(&simulator, token, node, &tagged(to)).await.status, 200);
        clock.advance_millis(6 * 24 * HOUR_MS);
        assert_eq!(refusal(&send_as(&simulator, token, node, &tagged(to)).await), outside);
        let from_ad =
            Deed { came_from_ad: true, ..Deed::of(who, Some(node), Act::Text { text: "hello".into() }) };
        simulator.act(from_ad).unwrap();
        clock.advance_millis(7 * 24 * HOUR_MS - 1);
        assert_eq!(send_as(&simulator, token, node, &text).await.status, 200);
        clock.advance_millis(1);
        assert_eq!(refusal(&send_as(&simulator, token, node, &text).await), outside);
    }
}

#[tokio::test]
async fn whatsapp_templates_leave_at_any_time_and_marketing_not_to_who_stopped_it() {
    let (simulator, clock) = start(all_products()).await;
    simulator.say(ANA, "hi").unwrap();
    clock.advance_millis(48 * HOUR_MS);
    let template = |name: &str, components: Value| {
        json!({"messaging_product": "whatsapp", "to": ANA, "type": "template",
               "template": {"name": name, "language": {"code": "en_US"}, "components": components}})
    };
    assert_eq!(graph(&simulator, &template("hello_world", json!([]))).await.unwrap().status, 200);
    soon(simulator.until(|state| state.counters.statuses.get("read") == Some(&1))).await;
    does(&simulator, ANA, NUMBER, Act::Marketing { wanted: false });
    let two = json!([{"type": "text", "text": "tea"}, {"type": "text", "text": "2"}]);
    let image = json!([{"type": "image", "image": {"link": "https://example.com/i.png"}}]);
    let components = json!([
        {"type": "header", "parameters": image},
        {"type": "body", "parameters": two},
        {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "tea"}]},
    ]);
    assert_eq!(graph(&simulator, &template("weekly_offer", components)).await.unwrap().status, 200);
    soon(simulator.until(|state| state.counters.statuses.get("failed") == Some(&1))).await;
    let failed = simulator.transcript(ANA).pop().unwrap();
    assert_eq!((failed.error_code, failed.text.as_str()), (Some(131_050), "This week for you: tea at 2."));
}

#[tokio::test]
async fn strangers_other_threads_and_blocks_are_refused() {
    let (simulator, _clock) = start(all_products()).await;
    assert_eq!(
        refusal(&send_as(&simulator, PAGE_TOKEN, PAGE, &social_text(PSID, "x")).await),
        (400, 100, 2_018_001)
    );
    assert_eq!(
        refusal(&send_as(&simulator, IG_TOKEN, IG_LOGIN, &social_text(IGSID, "x")).await),
        (400, 100, 2_534_014)
    );
    says(&simulator, ANA, PAGE, "hi");
    says(&simulator, ANA, IG_LOGIN, "hi");
    for (node, token, to, thread, blocked) in [
        (PAGE, PAGE_TOKEN, PSID, (400, 2_018_300, 0), (400, 551, 1_545_041)),
        (IG_LOGIN, IG_TOKEN, IGSID, (400, 100, 2_534_037), (400, 100, 2_534_029)),
    ] {
        let text = social_text(to, "x");
        does(&simulator, ANA, node, Act::Thread { control: Control::Take });
        assert_eq!(refusal(&send_as(&simulator, token, node, &text).await), thread);
        let body = json!({"recipient": {"id": to}});
        let path = format!("{node}/take_thread_control");
        assert_eq!(ask(&simulator, "POST", token, &path, &body).await.json(), json!({"success": true}));
        assert_eq!(send_as(&simulator, token, node, &text).await.status, 200);
        does(&simulator, ANA, node, Act::Block { blocked: true });
        assert_eq!(refusal(&send_as(&simulator, token, node, &text).await), blocked);
    }
}

#[tokio::test]
async fn a_comment_is_answered_in_private_once_and_within_a_week() {
    let (simulator, clock) = start(all_products()).await;
    let comment = |text: &str| Act::Comment { text: text.into(), by_business: false };
    let reply = |id: &str| json!({"recipient": {"comment_id": id}, "message": {"text": "hi"}});
    for (node, token) in [(PAGE, PAGE_TOKEN), (IG_LOGIN, IG_TOKEN)] {
        let first = does(&simulator, "Ana", node, comment("how much?"));
        let second = does(&simulator, "Ana", node, comment("hello?"));
        assert_eq!(send_as(&simulator, token, node, &reply(&first)).await.status, 200);
        assert_eq!(refusal(&send_as(&simulator, token, node, &reply(&first)).await).1, 10_900);
        let scoped = simulator.scoped_id("Ana", node).unwrap();
        let outside = refusal(&send_as(&simulator, token, node, &social_text(&scoped, "x")).await);
        assert_eq!(outside.1, 10, "a comment opens no window");
        clock.advance_millis(7 * 24 * HOUR_MS);
        assert_eq!(refusal(&send_as(&simulator, token, node, &reply(&second)).await).1, 10_903);
        assert_eq!(refusal(&send_as(&simulator, token, node, &reply("1_1")).await), (400, 100, 33));
    }
}

#[tokio::test]
async fn a_pages_token_and_instagrams_do_not_open_each_others_paths() {
    let (simulator, _clock) = start(all_products()).await;
    says(&simulator, ANA, PAGE, "hi");
    says(&simulator, ANA, IG, "hi");
    says(&simulator, ANA, IG_LOGIN, "hi");
    let page_ig = simulator.scoped_id(ANA, IG).unwrap();
    let login_ig = simulator.scoped_id(ANA, IG_LOGIN).unwrap();
    for (token, node, to, expected) in [
        (IG_TOKEN, PAGE, PSID, (401, 190, 0)),
        (PAGE_TOKEN, IG_LOGIN, login_ig.as_str(), (401, 190, 0)),
        (PAGE_TOKEN, IG, page_ig.as_str(), (400, 100, 33)),
        (TOKEN, PAGE, PSID, (400, 100, 33)),
        (PAGE_TOKEN, PAGE, login_ig.as_str(), (400, 100, 2_018_001)),
        (PAGE_TOKEN, PAGE, page_ig.as_str(), (200, 0, 0)),
        (PAGE_TOKEN, PAGE, PSID, (200, 0, 0)),
        (PAGE_TOKEN, "me", page_ig.as_str(), (200, 0, 0)),
        (IG_TOKEN, "me", login_ig.as_str(), (200, 0, 0)),
        (IG_TOKEN, IG_USER, login_ig.as_str(), (200, 0, 0)),
    ] {
        let answer = send_as(&simulator, token, node, &social_text(to, "x")).await;
        assert_eq!(refusal(&answer), expected, "{token} at {node}: {}", answer.text());
    }
    let by_account: Vec<String> =
        simulator.all_sends().into_iter().map(|send| send.phone_number_id).collect();
    assert_eq!(by_account, [IG, PAGE, IG, IG_LOGIN, IG_LOGIN]);
}

#[tokio::test]
async fn a_token_of_instagram_login_ends_and_is_renewed() {
    let (simulator, clock) = start(all_products()).await;
    let refresh = |token: String| {
        let path = format!("/refresh_access_token?grant_type=ig_refresh_token&access_token={token}");
        let simulator = &simulator;
        async move { soon(call(simulator, "GET", &path, &[], String::new())).await.unwrap() }
    };
    assert_eq!(refusal(&refresh(IG_TOKEN.into()).await).1, 100, "too young");
    clock.advance_millis(24 * HOUR_MS);
    let renewed = refresh(IG_TOKEN.into()).await.json();
    let new = renewed["access_token"].as_str().unwrap().to_owned();
    assert_eq!((&renewed["token_type"], &renewed["expires_in"]), (&json!("bearer"), &json!(5_184_000)));
    clock.advance_millis(59 * 24 * HOUR_MS);
    assert_eq!(refusal(&ask(&simulator, "GET", IG_TOKEN, "me", &NULL).await), (401, 190, 463));
    assert_eq!(ask(&simulator, "GET", &new, IG_LOGIN, &NULL).await.status, 200);
    let debugged =
        ask(&simulator, "GET", &new, &format!("debug_token?input_token={IG_TOKEN}"), &NULL).await.json();
    assert_eq!(debugged["data"]["is_valid"], json!(false));
    let debugged =
        ask(&simulator, "GET", &new, &format!("debug_token?input_token={new}"), &NULL).await.json();
    assert_eq!((&debugged["data"]["is_valid"], &debugged["data"]["type"]), (&json!(true), &json!("USER")));
    assert_eq!(refusal(&refresh(TOKEN.into()).await).1, 190);
}

#[tokio::test]
async fn objects_tell_the_fields_that_are_asked_for() {
    let (simulator, _clock) = start(all_products()).await;
    says(&simulator, "Ada Example", PAGE, "hi");
    says(&simulator, "Ada Example", IG_LOGIN, "hi");
    for (token, path, expected) in [
        (
            TOKEN,
            format!("{NUMBER}?fields=throughput,status"),
            json!({"id": NUMBER, "status": "CONNECTED", "throughput": {"level": "STANDARD"}}),
        ),
        (
            TOKEN,
            "100000000000001?fields=name".into(),
            json!({"id": "100000000000001", "name": "Example Shop"}),
        ),
        (
            PAGE_TOKEN,
            format!("{PAGE}?fields=name,instagram_business_account{{id}}"),
            json!({"id": PAGE, "name": "Example Shop", "instagram_business_account": {"id": IG}}),
        ),
        (PAGE_TOKEN, "me".into(), json!({"id": PAGE, "name": "Example Shop"})),
        (PAGE_TOKEN, format!("{IG}?fields=username"), json!({"id": IG, "username": "example.shop"})),
        (
            IG_TOKEN,
            "me?fields=user_id,username".into(),
            json!({"id": IG_USER, "user_id": IG_LOGIN, "username": "example.shop"}),
        ),
        (PAGE_TOKEN, PSID.into(), json!({"id": PSID, "first_name": "Ada", "last_name": "Example"})),
        (
            IG_TOKEN,
            format!("{IGSID}?fields=name,username"),
            json!({"id": IGSID, "name": "Ada Example", "username": "ada.example"}),
        ),
    ] {
        let answer = ask(&simulator, "GET", token, &path, &NULL).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{path}");
    }
    assert_eq!(
        refusal(&ask(&simulator, "GET", PAGE_TOKEN, &format!("{PAGE}?fields=nmae"), &NULL).await).1,
        100
    );
    assert_eq!(refusal(&ask(&simulator, "GET", IG_TOKEN, PSID, &NULL).await), (400, 100, 33));
    let debugged =
        ask(&simulator, "GET", PAGE_TOKEN, &format!("debug_token?input_token={PAGE_TOKEN}"), &NULL).await;
    assert_eq!(debugged.json()["data"]["profile_id"], json!(PAGE));
}

#[tokio::test]
async fn templates_come_in_pages_and_meta_can_pause_one() {
    let (simulator, _clock) = start(all_products()).await;
    let mut names = Vec::new();
    let mut path = "100000000000001/message_templates?limit=4".to_owned();
    loop {
        let page = ask(&simulator, "GET", TOKEN, &path, &NULL).await.json();
        names.extend(page["data"].as_array().unwrap().iter().map(|one| one["name"].clone()));
        let Some(next) = page["paging"]["next"].as_str() else { break };
        let after = next.split("/v24.0/").nth(1).unwrap();
        after.clone_into(&mut path);
    }
    assert_eq!(names.len(), iassistance_simulator::seeded_templates().len());
    let pause = Act::TemplateStatus {
        name: "hello_world".into(),
        language: "en_US".into(),
        status: "PAUSED".into(),
        reason: None,
    };
    simulator.act(Deed::of_meta(None, pause)).unwrap();
    let paused =
        ask(&simulator, "GET", TOKEN, "100000000000001/message_templates?name=hello_world", &NULL).await;
    assert_eq!(paused.json()["data"][0]["status"], json!("PAUSED"));
    assert_eq!(
        refusal(&ask(&simulator, "GET", PAGE_TOKEN, "100000000000001/message_templates", &NULL).await),
        (400, 100, 33)
    );
    let numbers = ask(&simulator, "GET", TOKEN, "100000000000001/phone_numbers", &NULL).await.json();
    assert_eq!(numbers["data"][0]["id"], json!(NUMBER));
}

#[tokio::test]
async fn an_app_hears_only_of_the_fields_that_it_subscribed_to() {
    let (simulator, _clock) = start(all_products()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let path = format!("{PAGE}/subscribed_apps");
    let subscribe = |fields: &str| format!("{path}?subscribed_fields={fields}");
    assert_eq!(refusal(&ask(&simulator, "POST", PAGE_TOKEN, &path, &NULL).await).1, 100);
    assert_eq!(refusal(&ask(&simulator, "POST", PAGE_TOKEN, &subscribe("mesages"), &NULL).await).1, 100);
    let done = ask(&simulator, "POST", PAGE_TOKEN, &subscribe("messages,messaging_postbacks"), &NULL).await;
    assert_eq!(done.json(), json!({"success": true}));
    let told = ask(&simulator, "GET", PAGE_TOKEN, &path, &NULL).await.json();
    assert_eq!(told["data"][0]["subscribed_fields"], json!(["messages", "messaging_postbacks"]));
    does(&simulator, ANA, PAGE, Act::Referral { reference: "r".into() });
    says(&simulator, ANA, PAGE, "hi");
    let first = receiver.next().await.signed(crate::support::SECRET);
    assert_eq!(first["entry"][0]["messaging"][0]["message"]["text"], json!("hi"));
    let waba = ask(&simulator, "POST", TOKEN, "100000000000001/subscribed_apps", &NULL).await;
    assert_eq!(waba.json(), json!({"success": true}));
}

#[tokio::test]
async fn accounts_are_added_while_it_runs() {
    let (simulator, _clock) = start(crate::support::settings()).await;
    let page = json!({"kind": "messenger", "page_id": PAGE, "name": "Shop", "access_token": PAGE_TOKEN});
    let added = post(&simulator, "/sim/accounts", &page).await;
    assert_eq!((added.status, &added.json()["id"]), (200, &json!(PAGE)));
    let said =
        post(&simulator, "/sim/say", &json!({"contact": "Ana", "text": "hi", "number": "messenger"})).await;
    assert!(said.json()["wamid"].as_str().unwrap().starts_with("m_"));
    assert_eq!(send_as(&simulator, PAGE_TOKEN, PAGE, &social_text(PSID, "x")).await.status, 200);
    let listed = get(&simulator, "/sim/accounts").await;
    assert_eq!(listed.json().as_array().map(Vec::len), Some(3));
    assert!(!listed.text().contains(PAGE_TOKEN));
    let mut token = page.clone();
    token["page_id"] = json!("7");
    token["access_token"] = json!(TOKEN);
    let mut app = page.clone();
    app["page_id"] = json!("8");
    app["app_id"] = json!("1");
    for bad in [page, token, app, json!({"kind": "fax"})] {
        assert_eq!(post(&simulator, "/sim/accounts", &bad).await.status, 400, "{bad}");
    }
    graph(&simulator, &text_to(ANA, "x")).await.unwrap();
}
