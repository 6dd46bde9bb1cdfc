//! What people, owners and Meta do arrives in the shape that Meta documents, signed.

use iassistance_simulator::act::{Control, GivenFile, OrderLine};
use iassistance_simulator::{Act, Deed, EventShape, MediaKind, Script, Simulator};
use serde_json::{Value, json};

use crate::support::{
    ANA, IG, IG_LOGIN, IG_TOKEN, NUMBER, OTHER_SECRET, PAGE, PAGE_TOKEN, Receiver, SECRET, all_products, ask,
    does, graph, post, says, send_as, social_text, soon, start, text_to,
};

const WABA: &str = "100000000000001";

async fn with_receiver() -> (Simulator, Receiver) {
    let (simulator, _clock) = start(all_products()).await;
    let receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    (simulator, receiver)
}

/// Everything of the next webhook, whose signature is of the right app.
async fn next(receiver: &mut Receiver) -> Value {
    let arrived = receiver.next().await;
    let whole: Value = serde_json::from_slice(&arrived.body).unwrap();
    let secret = if whole["entry"][0]["id"] == IG_LOGIN { OTHER_SECRET } else { SECRET };
    arrived.signed(secret)
}

fn act(account: &str, act: Act) -> Deed {
    Deed::of(ANA, Some(account), act)
}

fn text(text: &str) -> Act {
    Act::Text { text: text.into() }
}

fn order() -> Act {
    let line = OrderLine {
        product_retailer_id: "sku1".into(),
        quantity: 2,
        item_price: 9.5,
        currency: "USD".into(),
    };
    Act::Order { items: vec![line], text: "soon please".into() }
}

#[tokio::test]
async fn whatsapp_messages_of_every_type_have_their_object() {
    let (simulator, mut receiver) = with_receiver().await;
    let file = |media| Act::File(GivenFile::sample(media));
    let table = [
        (file(MediaKind::Image), "image", "sha256"),
        (file(MediaKind::Video), "video", "mime_type"),
        (file(MediaKind::Voice), "audio", "voice"),
        (file(MediaKind::Document), "document", "filename"),
        (file(MediaKind::Sticker), "sticker", "animated"),
        (
            Act::Location { latitude: 52.2, longitude: 21.0, name: Some("N".into()), address: None },
            "location",
            "name",
        ),
        (order(), "order", "product_items"),
    ];
    for (doing, kind, key) in table {
        let wamid = simulator.act(act(NUMBER, doing)).unwrap().wamid.unwrap();
        let whole = next(&mut receiver).await;
        assert_eq!(
            (&whole["object"], &whole["entry"][0]["id"]),
            (&json!("whatsapp_business_account"), &json!(WABA))
        );
        let change = &whole["entry"][0]["changes"][0];
        let message = &change["value"]["messages"][0];
        assert_eq!(
            (&change["field"], &message["type"], &message["id"]),
            (&json!("messages"), &json!(kind), &json!(wamid))
        );
        assert!(!message[kind][key].is_null(), "{kind} has {key}: {message}");
        assert_eq!(change["value"]["contacts"][0]["wa_id"], json!(ANA));
    }
    simulator.act(act(NUMBER, Act::Card { name: "Ben".into(), phone: "+1 555-010-0100".into() })).unwrap();
    let card = receiver.next().await.value()["messages"][0]["contacts"][0].clone();
    assert_eq!(card["phones"][0]["wa_id"], json!("15550100100"));
    simulator.act(act(NUMBER, Act::Unsupported)).unwrap();
    let unsupported = receiver.next().await.value()["messages"][0].clone();
    assert_eq!(
        (&unsupported["type"], &unsupported["errors"][0]["code"]),
        (&json!("unsupported"), &json!(131_051))
    );
    let from_ad = Deed { came_from_ad: true, forwarded: true, ..act(NUMBER, text("hi")) };
    simulator.act(from_ad).unwrap();
    let message = receiver.next().await.value()["messages"][0].clone();
    assert_eq!(
        (&message["referral"]["source_type"], &message["context"]["forwarded"]),
        (&json!("ad"), &json!(true))
    );
}

#[tokio::test]
async fn whatsapp_changes_of_messages_name_the_original() {
    let (simulator, mut receiver) = with_receiver().await;
    let hello = says(&simulator, ANA, NUMBER, "hello");
    let sent = graph(&simulator, &text_to(ANA, "answer")).await.unwrap().json()["messages"][0]["id"].clone();
    for _ in 0..4 {
        receiver.next().await;
    }
    does(&simulator, ANA, NUMBER, Act::React { to: "last".into(), emoji: Some("👍".into()) });
    let reaction = receiver.next().await.value()["messages"][0]["reaction"].clone();
    assert_eq!(reaction, json!({"message_id": sent, "emoji": "👍"}));
    does(&simulator, ANA, NUMBER, Act::React { to: "last".into(), emoji: None });
    assert_eq!(receiver.next().await.value()["messages"][0]["reaction"]["emoji"], json!(""));
    does(&simulator, ANA, NUMBER, Act::Edit { of: hello.clone(), text: "hello!".into() });
    let edit = receiver.next().await.value()["messages"][0]["edit"].clone();
    let message = json!({"type": "text", "text": {"body": "hello!"}});
    assert_eq!(edit, json!({"original_message_id": hello, "message": message}));
    does(&simulator, ANA, NUMBER, Act::TakeBack { of: "last".into() });
    let revoke = receiver.next().await.value()["messages"][0].clone();
    assert_eq!(
        (&revoke["type"], &revoke["revoke"]["original_message_id"]),
        (&json!("revoke"), &json!(hello))
    );
    let kept = &simulator.transcript(ANA)[0];
    assert!(kept.removed && kept.text.is_empty() && kept.edits == 1);
    let quoting = Deed { quoting: Some("last".into()), ..act(NUMBER, text("re")) };
    simulator.act(quoting).unwrap();
    let context = receiver.next().await.value()["messages"][0]["context"].clone();
    assert!(context["id"].is_string() && context["from"] == "15550100001");
}

#[tokio::test]
async fn whatsapp_choices_come_back_with_their_ids() {
    let (simulator, mut receiver) = with_receiver().await;
    simulator.say(ANA, "hi").unwrap();
    let interactive = |body: Value| json!({"messaging_product": "whatsapp", "to": ANA, "type": "interactive", "interactive": body});
    let choose = |of: &str, choice: &str| Act::Choose { of: of.into(), choice: choice.into(), answers: None };
    let flow = json!({"name": "flow", "parameters": {"flow_message_version": "3", "flow_id": "1", "flow_token": "tok",
                                                     "flow_cta": "Start"}});
    let list =
        json!({"button": "b", "sections": [{"rows": [{"id": "r1", "title": "Row", "description": "d"}]}]});
    let buttons = json!({"buttons": [{"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]});
    let template = json!({"messaging_product": "whatsapp", "to": ANA, "type": "template", "template": {
        "name": "order_update", "language": {"code": "en_US"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ada"}]}]}});
    let body = |kind: &str, action: &Value| {
        interactive(json!({"type": kind, "body": {"text": "B"}, "action": action}))
    };
    for (send, choice, expected) in [
        (
            body("button", &buttons),
            "yes",
            json!({"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes"}}),
        ),
        (
            body("list", &list),
            "Row",
            json!({"type": "list_reply", "list_reply": {"id": "r1", "title": "Row", "description": "d"}}),
        ),
        (
            body("flow", &flow),
            "Start",
            json!({"type": "nfm_reply", "nfm_reply": {
            "name": "flow", "body": "Sent", "response_json": "{\"flow_token\":\"tok\"}"}}),
        ),
        (template, "Where is it?", json!({"payload": "Where is it?", "text": "Where is it?"})),
    ] {
        let answer = graph(&simulator, &send).await.unwrap();
        let sent = answer.json()["messages"][0]["id"].as_str().unwrap().to_owned();
        does(&simulator, ANA, NUMBER, choose(&sent, choice));
        let message = loop {
            let value = receiver.next().await.value();
            if value["messages"][0]["context"].is_object() {
                break value["messages"][0].clone();
            }
        };
        let kind = message["type"].as_str().unwrap();
        assert_eq!((&message[kind], &message["context"]["id"]), (&expected, &json!(sent)));
    }
    assert!(simulator.act(act(NUMBER, choose("last", "no such"))).is_err());
}

#[tokio::test]
async fn whatsapp_tells_of_owners_preferences_numbers_calls_and_statuses() {
    let (simulator, mut receiver) = with_receiver().await;
    let field = |whole: &Value| whole["entry"][0]["changes"][0]["field"].as_str().unwrap().to_owned();
    let value = |whole: &Value| whole["entry"][0]["changes"][0]["value"].clone();
    let echoed = does(&simulator, ANA, NUMBER, Act::OwnerText { text: "from my phone".into() });
    let whole = next(&mut receiver).await;
    assert_eq!(field(&whole), "smb_message_echoes");
    let echo = value(&whole)["message_echoes"][0].clone();
    assert_eq!(
        (&echo["from"], &echo["to"], &echo["id"]),
        (&json!("15550100001"), &json!(ANA), &json!(echoed))
    );
    does(&simulator, ANA, NUMBER, Act::OwnerTakeBack { of: "last".into() });
    let echo = value(&next(&mut receiver).await)["message_echoes"][0].clone();
    assert_eq!(echo["revoke"]["original_message_id"], json!(echoed));
    assert_eq!(simulator.state().counters.sends_accepted, 0, "the owner's words are no sends");

    does(&simulator, ANA, NUMBER, Act::Marketing { wanted: false });
    let whole = next(&mut receiver).await;
    assert_eq!(
        (field(&whole).as_str(), &value(&whole)["user_preferences"][0]["value"]),
        ("user_preferences", &json!("stop"))
    );
    does(&simulator, ANA, NUMBER, Act::Call);
    let whole = next(&mut receiver).await;
    assert_eq!((field(&whole).as_str(), &value(&whole)["calls"][0]["event"]), ("calls", &json!("connect")));
    graph(&simulator, &text_to(ANA, "the call opened the window")).await.unwrap();
    for _ in 0..3 {
        receiver.next().await;
    }
    does(&simulator, ANA, NUMBER, Act::Status { of: "last".into(), status: "played".into(), code: None });
    assert_eq!(receiver.next().await.status().as_deref(), Some("played"));
    does(&simulator, ANA, NUMBER, Act::NewNumber { number: "15550199777".into() });
    let system = receiver.next().await.value()["messages"][0].clone();
    assert_eq!((&system["from"], &system["system"]["wa_id"]), (&json!(ANA), &json!("15550199777")));
    assert_eq!(simulator.sends("15550199777").len(), 1, "what was said moves along");
}

#[tokio::test]
async fn meta_speaks_of_accounts_templates_and_history() {
    let (simulator, mut receiver) = with_receiver().await;
    let named = |name: &str| ("hello_world".to_owned(), "en_US".to_owned(), name.to_owned());
    let (name, language, category) = named("MARKETING");
    let table = [
        (Act::AccountUpdate { event: "DISABLED_UPDATE".into() }, "account_update", "ban_info"),
        (
            Act::Quality { event: "FLAGGED".into(), limit: Some("TIER_1K".into()) },
            "phone_number_quality_update",
            "current_limit",
        ),
        (
            Act::TemplateStatus {
                name: name.clone(),
                language: language.clone(),
                status: "PAUSED".into(),
                reason: None,
            },
            "message_template_status_update",
            "message_template_id",
        ),
        (
            Act::TemplateCategory { name: name.clone(), language: language.clone(), category },
            "template_category_update",
            "new_category",
        ),
        (
            Act::TemplateQuality { name, language, quality: "RED".into() },
            "message_template_quality_update",
            "new_quality_score",
        ),
        (Act::History { declined: false }, "history", "history"),
        (Act::History { declined: true }, "history", "history"),
        (Act::Raw { field: Some("flows".into()), value: json!({"anything": [1]}) }, "flows", "anything"),
    ];
    for (doing, field, key) in table {
        simulator.act(Deed::of_meta(Some("whatsapp"), doing)).unwrap();
        let whole = next(&mut receiver).await;
        let change = &whole["entry"][0]["changes"][0];
        assert_eq!(change["field"], json!(field));
        assert!(!change["value"][key].is_null(), "{field} has {key}: {change}");
    }
    let policy = Act::Policy { action: "block".into(), reason: Some("example".into()) };
    simulator.act(Deed::of_meta(Some(PAGE), policy)).unwrap();
    let event = next(&mut receiver).await["entry"][0]["messaging"][0].clone();
    assert!(event.get("sender").is_none() && event["policy_enforcement"]["action"] == "block");
    let body = json!({"object": "page", "entry": []});
    simulator.act(Deed::of_meta(Some(PAGE), Act::Whole { body: body.clone() })).unwrap();
    assert_eq!(receiver.next().await.signed(SECRET), body);
    let missing =
        Act::TemplateStatus { name: "x".into(), language: "x".into(), status: "x".into(), reason: None };
    assert!(simulator.act(Deed::of_meta(None, missing)).is_err());
}

#[tokio::test]
async fn messenger_and_instagram_events_have_their_shapes() {
    let (simulator, mut receiver) = with_receiver().await;
    for (account, object, scoped) in [
        (PAGE, "page", "910000000000001"),
        (IG, "instagram", "920000000000001"),
        (IG_LOGIN, "instagram", "920000000000002"),
    ] {
        let mid = says(&simulator, ANA, account, "hello");
        let whole = next(&mut receiver).await;
        assert_eq!((&whole["object"], &whole["entry"][0]["id"]), (&json!(object), &json!(account)));
        let expected = json!({"sender": {"id": scoped}, "recipient": {"id": account}, "timestamp": 1_790_000_000_000_i64,
                              "message": {"mid": mid, "text": "hello"}});
        assert_eq!(whole["entry"][0]["messaging"], json!([expected]));

        let owned = does(&simulator, ANA, account, Act::OwnerText { text: "human here".into() });
        let echo = next(&mut receiver).await["entry"][0]["messaging"][0].clone();
        assert_eq!((&echo["sender"]["id"], &echo["recipient"]["id"]), (&json!(account), &json!(scoped)));
        let mut message = json!({"mid": owned, "is_echo": true, "text": "human here"});
        if account == PAGE {
            message["app_id"] = json!(26_390_203_743_090_u64);
        }
        assert_eq!(echo["message"], message);

        let event = |whole: Value| whole["entry"][0]["messaging"][0].clone();
        does(&simulator, ANA, account, Act::React { to: "last".into(), emoji: Some("❤".into()) });
        let reaction = event(next(&mut receiver).await)["reaction"].clone();
        assert_eq!(reaction, json!({"mid": owned, "action": "react", "reaction": "love", "emoji": "❤"}));
        does(&simulator, ANA, account, Act::Edit { of: mid.clone(), text: "hello!".into() });
        let edit = event(next(&mut receiver).await)["message_edit"].clone();
        assert_eq!(edit, json!({"mid": mid, "text": "hello!", "num_edit": 1}));
        does(&simulator, ANA, account, Act::TakeBack { of: mid.clone() });
        assert_eq!(event(next(&mut receiver).await)["message"], json!({"mid": mid, "is_deleted": true}));
        does(&simulator, ANA, account, Act::Postback { title: "Get started".into(), payload: "GO".into() });
        assert_eq!(event(next(&mut receiver).await)["postback"]["payload"], json!("GO"));
        does(&simulator, ANA, account, Act::Referral { reference: "r1".into() });
        assert_eq!(event(next(&mut receiver).await)["referral"]["type"], json!("OPEN_THREAD"));
        simulator.act(Deed { came_from_ad: true, ..act(account, text("hi")) }).unwrap();
        assert_eq!(event(next(&mut receiver).await)["message"]["referral"]["source"], json!("ADS"));
        does(&simulator, ANA, account, Act::Unsupported);
        assert_eq!(event(next(&mut receiver).await)["message"]["is_unsupported"], json!(true));
        does(&simulator, ANA, account, Act::Read);
        let read = event(next(&mut receiver).await)["read"].clone();
        assert!(if account == PAGE { read["watermark"].is_i64() } else { read["mid"].is_string() });
        does(&simulator, ANA, account, Act::OwnerTakeBack { of: owned.clone() });
        assert_eq!(
            event(next(&mut receiver).await)["message"],
            json!({"mid": owned, "is_echo": true, "is_deleted": true})
        );
    }
}

#[tokio::test]
async fn threads_change_hands_and_are_heard_on_standby() {
    let (simulator, mut receiver) = with_receiver().await;
    says(&simulator, ANA, PAGE, "hi");
    next(&mut receiver).await;
    does(&simulator, ANA, PAGE, Act::Thread { control: Control::Take });
    let taken = next(&mut receiver).await["entry"][0]["messaging"][0]["take_thread_control"].clone();
    assert_eq!(
        (&taken["previous_owner_app_id"], &taken["new_owner_app_id"]),
        (&json!("1000000001"), &json!("26390203743090"))
    );
    says(&simulator, ANA, PAGE, "still there?");
    let standby = next(&mut receiver).await["entry"][0].clone();
    assert_eq!(standby["standby"][0]["message"]["text"], json!("still there?"));
    assert!(standby.get("messaging").is_none());
    does(&simulator, ANA, PAGE, Act::Postback { title: "X".into(), payload: "P".into() });
    assert_eq!(next(&mut receiver).await["entry"][0]["standby"][0]["postback"], json!({"title": "X"}));
    does(&simulator, ANA, PAGE, Act::Thread { control: Control::Pass });
    let passed = next(&mut receiver).await["entry"][0]["messaging"][0]["pass_thread_control"].clone();
    assert_eq!(passed["new_owner_app_id"], json!("1000000001"));
}

#[tokio::test]
async fn comments_stories_orders_and_opt_outs_arrive_where_there_are_any() {
    let (simulator, mut receiver) = with_receiver().await;
    let comment = |by_business| Act::Comment { text: "how much?".into(), by_business };
    let id = does(&simulator, ANA, PAGE, comment(false));
    let change = next(&mut receiver).await["entry"][0]["changes"][0].clone();
    assert_eq!(
        (&change["field"], &change["value"]["comment_id"], &change["value"]["verb"]),
        (&json!("feed"), &json!(id), &json!("add"))
    );
    let id = does(&simulator, ANA, IG_LOGIN, comment(false));
    let change = next(&mut receiver).await["entry"][0]["changes"][0].clone();
    assert_eq!(
        (&change["field"], &change["value"]["id"], &change["value"]["from"]["id"]),
        (&json!("comments"), &json!(id), &json!("920000000000001"))
    );
    does(&simulator, ANA, IG_LOGIN, comment(true));
    let change = next(&mut receiver).await["entry"][0]["changes"][0].clone();
    assert_eq!(change["value"]["from"]["id"], json!(IG_LOGIN));
    does(&simulator, ANA, IG_LOGIN, Act::StoryReply { text: "wow".into() });
    let message = next(&mut receiver).await["entry"][0]["messaging"][0]["message"].clone();
    assert!(message["reply_to"]["story"]["id"].is_string());
    does(&simulator, ANA, IG_LOGIN, Act::StoryMention);
    let message = next(&mut receiver).await["entry"][0]["messaging"][0]["message"].clone();
    assert_eq!(message["attachments"][0]["type"], json!("story_mention"));
    does(&simulator, ANA, IG_LOGIN, Act::Attachment { sort: "ephemeral".into(), payload: None });
    let message = next(&mut receiver).await["entry"][0]["messaging"][0]["message"].clone();
    assert_eq!(message["attachments"], json!([{"type": "ephemeral"}]));
    does(&simulator, ANA, PAGE, order());
    let event = next(&mut receiver).await["entry"][0]["messaging"][0].clone();
    assert_eq!(event["order"]["products"][0]["retailer_id"], json!("sku1"));
    does(&simulator, ANA, PAGE, Act::Marketing { wanted: false });
    let event = next(&mut receiver).await["entry"][0]["messaging"][0].clone();
    assert_eq!(event["optin"]["notification_messages_status"], json!("STOP_NOTIFICATIONS"));
    for (account, wrong) in
        [(PAGE, Act::StoryMention), (NUMBER, comment(false)), (IG, order()), (IG, Act::Call)]
    {
        assert!(simulator.act(act(account, wrong)).is_err());
    }
}

#[tokio::test]
async fn own_sends_are_echoed_delivered_and_read_as_the_product_does() {
    let (simulator, mut receiver) = with_receiver().await;
    says(&simulator, ANA, PAGE, "hi");
    says(&simulator, ANA, IG_LOGIN, "hi");
    for _ in 0..2 {
        next(&mut receiver).await;
    }
    let mut body = social_text("910000000000001", "reply");
    body["message"]["metadata"] = json!("out=42");
    let mid = send_as(&simulator, PAGE_TOKEN, PAGE, &body).await.json()["message_id"].clone();
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(next(&mut receiver).await["entry"][0]["messaging"][0].clone());
    }
    let echo = events.iter().find(|event| event["message"].is_object()).unwrap();
    let expected =
        json!({"mid": mid, "is_echo": true, "text": "reply", "app_id": 1_000_000_001, "metadata": "out=42"});
    assert_eq!(echo["message"], expected);
    assert!(events.iter().any(|event| event["delivery"]["mids"] == json!([mid])));
    assert!(events.iter().any(|event| event["read"]["watermark"].is_i64()));

    let body = social_text("920000000000001", "reply");
    let mid = send_as(&simulator, IG_TOKEN, IG_LOGIN, &body).await.json()["message_id"].clone();
    let mut events = Vec::new();
    for _ in 0..2 {
        events.push(next(&mut receiver).await["entry"][0]["messaging"][0].clone());
    }
    assert!(
        events.iter().any(|event| event["message"] == json!({"mid": mid, "is_echo": true, "text": "reply"}))
    );
    assert!(events.iter().any(|event| event["read"] == json!({"mid": mid})));
}

#[tokio::test]
async fn instagram_events_can_come_as_changes() {
    let mut with = all_products();
    with.accounts[2].shape = EventShape::Changes;
    let (simulator, _clock) = start(with).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback_of("1000000002", &receiver.url).unwrap();
    let mid = says(&simulator, ANA, IG_LOGIN, "hello");
    let entry = next(&mut receiver).await["entry"][0].clone();
    assert_eq!(entry["changes"][0]["field"], json!("messages"));
    assert_eq!(entry["changes"][0]["value"]["message"], json!({"mid": mid, "text": "hello"}));
    assert!(entry.get("messaging").is_none());
}

#[tokio::test]
async fn buttons_and_quick_replies_are_chosen_over_the_control_api() {
    let (simulator, mut receiver) = with_receiver().await;
    says(&simulator, ANA, PAGE, "hi");
    let quick = json!([{"content_type": "text", "title": "Red", "payload": "RED"}]);
    let button = json!({"type": "postback", "title": "Buy", "payload": "BUY"});
    let element = json!({"title": "Shoes", "buttons": [button]});
    let generic = json!({"type": "template", "payload": {"template_type": "generic", "elements": [element]}});
    for message in [json!({"text": "which?", "quick_replies": quick}), json!({"attachment": generic})] {
        let body = json!({"recipient": {"id": "910000000000001"}, "message": message});
        assert_eq!(send_as(&simulator, PAGE_TOKEN, PAGE, &body).await.status, 200);
    }
    for (choice, key) in [("red", "message"), ("BUY", "postback")] {
        let doing = json!({"contact": ANA, "account": PAGE, "act": {"kind": "choose", "of": "last", "choice": choice}});
        let done = post(&simulator, "/sim/act", &doing).await;
        let mid = done.json()["wamid"].clone();
        assert!(mid.is_string());
        let event = loop {
            let event = next(&mut receiver).await["entry"][0]["messaging"][0].clone();
            if event[key]["mid"] == mid {
                break event;
            }
        };
        match key {
            "message" => assert_eq!(event[key]["quick_reply"]["payload"], json!("RED")),
            _ => assert_eq!(event[key]["payload"], json!("BUY")),
        }
    }
    for bad in [
        json!({"contact": ANA, "act": {"kind": "dance"}}),
        json!({"contact": ANA, "act": {"kind": "text", "txet": "x"}}),
        json!({"act": {"kind": "text", "text": "x"}}),
        json!({"contact": ANA, "account": "fax", "act": {"kind": "text", "text": "x"}}),
        json!({"contact": ANA, "act": {"kind": "edit", "of": "wamid.NONE", "text": "x"}}),
    ] {
        assert_eq!(post(&simulator, "/sim/act", &bad).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_script_plays_all_products() {
    let (simulator, clock) = start(all_products()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.set_callback(&receiver.url).unwrap();
    let script = Script::parse(include_str!("../../../scripts/channels.chat")).unwrap();
    let answers = async {
        loop {
            let whole = next(&mut receiver).await;
            answer(&simulator, &whole).await;
        }
    };
    // All that is left once the last reply came is to be silent for a while.
    let time = async {
        simulator.until(|state| state.counters.sends_accepted == 11).await;
        loop {
            clock.advance_millis(1);
            tokio::task::yield_now().await;
        }
    };
    let outcome = soon(async {
        tokio::select! {
            outcome = simulator.play(&script, 5_000) => outcome,
            () = answers => unreachable!("it answers for ever"),
            () = time => unreachable!("it goes on for ever"),
        }
    });
    let outcome = outcome.await;
    assert_eq!((outcome.failure, outcome.replies), (None, 11));
}

/// Answers as the sandbox's assistant does: words with an echo of them, and nothing else.
async fn answer(simulator: &Simulator, whole: &Value) {
    let text = |said: &str| format!("[simulated] You said: {said}");
    let entry = &whole["entry"][0];
    let message = &entry["changes"][0]["value"]["messages"][0];
    let said = ["/text/body", "/image/caption", "/button/text"].iter().find_map(|at| message.pointer(at));
    if let Some(said) = said.and_then(Value::as_str) {
        graph(simulator, &text_to(message["from"].as_str().unwrap(), &text(said))).await.unwrap();
        return;
    }
    let event = &entry["messaging"][0];
    let said = ["/message/text", "/postback/title"].iter().find_map(|at| event.pointer(at));
    let Some(said) = said.and_then(Value::as_str).filter(|_| event["message"]["is_echo"].is_null()) else {
        return;
    };
    let body = social_text(event["sender"]["id"].as_str().unwrap(), &text(said));
    let token = if entry["id"] == IG_LOGIN { IG_TOKEN } else { PAGE_TOKEN };
    assert_eq!(ask(simulator, "POST", token, "me/messages", &body).await.status, 200);
}
