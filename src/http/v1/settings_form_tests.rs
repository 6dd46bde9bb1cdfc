use actix_web::ResponseError;
use iassistance_domain::channel::StoredSecret;
use iassistance_egress::EgressSettings;

use super::*;

fn egress() -> Egress {
    Egress::new(&EgressSettings {
        graph: "https://graph.facebook.com".parse().unwrap(),
        instagram: "https://graph.facebook.com".parse().unwrap(),
        media_domains: Vec::new(),
        model: "http://127.0.0.1:9000/v1".parse().unwrap(),
        model_hosts: vec!["api.openai.com".to_owned()],
        tool_private_hosts: vec!["crm.internal:8080".to_owned()],
        connect_timeout_ms: 1_000,
        read_timeout_ms: 1_000,
    })
    .unwrap()
}

fn former(base_url: Option<&str>, api_key: Option<&str>) -> AssistantSettings {
    let mut settings: AssistantSettings = serde_json::from_value(serde_json::json!({
        "enabled": false, "task": "", "instructions": "", "quiet_ms": 0, "cap_ms": 0, "output_tokens_max": 800,
        "prompt_tokens_max": 8000, "fallback_text": "",
    }))
    .unwrap();
    settings.base_url = base_url.map(str::to_owned);
    settings.api_key = api_key.map(StoredSecret::new);
    settings
}

fn change(over: &serde_json::Value) -> NewAssistant {
    let mut body = serde_json::json!({
        "enabled": true, "task": "Answer questions about orders.", "instructions": "", "quiet_ms": 0,
        "cap_ms": 0, "output_tokens_max": 800, "prompt_tokens_max": 8000, "fallback_text": "",
    });
    for (key, value) in over.as_object().unwrap() {
        body[key] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

fn applied(former: &AssistantSettings, over: &serde_json::Value) -> Result<AssistantSettings, u16> {
    change(over).over(former, &egress()).map_err(|problem| problem.status_code().as_u16())
}

#[test]
fn a_key_is_kept_replaced_or_removed() {
    let former = former(None, Some("old"));
    let key = |over| applied(&former, &over).unwrap().api_key.map(|key| key.expose().to_owned());
    assert_eq!(key(serde_json::json!({})).as_deref(), Some("old"));
    assert_eq!(key(serde_json::json!({ "api_key": "new" })).as_deref(), Some("new"));
    assert_eq!(key(serde_json::json!({ "api_key": null })), None);
}

#[test]
fn a_key_does_not_follow_to_another_server_by_itself() {
    let former = former(None, Some("old"));
    let moved = |key: Option<Option<&str>>| {
        let mut over = serde_json::json!({ "base_url": "https://api.openai.com/v1" });
        if let Some(key) = key {
            over["api_key"] = key.into();
        }
        applied(&former, &over).map(|settings| settings.api_key.is_some())
    };
    assert_eq!(moved(None), Err(422));
    assert_eq!(moved(Some(None)), Ok(false));
    assert_eq!(moved(Some(Some("new"))), Ok(true));
}

#[test]
fn only_servers_on_the_list_are_taken() {
    let refused = |url: &str| applied(&former(None, None), &serde_json::json!({ "base_url": url })).err();
    for allowed in ["https://api.openai.com/v1", "http://127.0.0.1:9000/v1"] {
        assert_eq!(refused(allowed), None, "{allowed}");
    }
    let elsewhere = [
        "",
        "api.openai.com",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://169.254.169.254/",
        "http://127.0.0.1:9001/v1",
        "https://me:pw@api.openai.com/v1",
        "https://api.openai.com/v1?x=1",
        "https://graph.facebook.com/",
        "file:///etc/passwd",
    ];
    for url in elsewhere {
        assert_eq!(refused(url), Some(422), "{url}");
    }
}

#[test]
fn ranges_are_checked() {
    assert_eq!(applied(&former(None, None), &serde_json::json!({ "task": "  " })), Err(422));
    assert_eq!(applied(&former(None, None), &serde_json::json!({ "quiet_ms": 60_001 })), Err(422));
}

fn tool(over: &serde_json::Value) -> serde_json::Value {
    let mut tool = serde_json::json!({
        "name": "find_order", "description": "Finds an order.", "url": "https://shop.example/orders",
        "parameters": { "type": "object", "properties": { "number": { "type": "string" } } },
    });
    for (key, value) in over.as_object().unwrap() {
        tool[key] = value.clone();
    }
    serde_json::json!({ "tools": [tool] })
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = applied(&former(None, None), &tool(&serde_json::json!({}))).unwrap();
    assert_eq!((settings.media_cap_ms, settings.tool_rounds_max), (20_000, 6));
    assert!(settings.disclosure.enabled && settings.built_in.handover && !settings.built_in.attributes);
    assert_eq!(settings.tools[0].timeout_ms, 10_000);
    assert_eq!(settings.unknown_sends, None);
    assert!(!settings.tools[0].repeatable && !settings.tools[0].trusted);
}

#[test]
fn what_becomes_of_unknown_sends_can_be_chosen_and_is_shown() {
    let choose = |word: &str| serde_json::json!({ "unknown_sends": word });
    let settings = applied(&former(None, None), &choose("resend")).unwrap();
    assert_eq!(settings.unknown_sends, Some(UnknownSends::Resend));
    assert_eq!(serde_json::to_value(SettingsView::from(settings)).unwrap()["unknown_sends"], "resend");
    assert!(serde_json::from_value::<UnknownSends>("forget".into()).is_err());
}

#[test]
fn a_tools_secret_is_kept_replaced_or_removed_and_does_not_follow_to_another_server() {
    let secret = serde_json::json!({ "secret": { "header": "Authorization", "value": "Bearer hush" } });
    let first = applied(&former(None, None), &tool(&secret)).unwrap();
    let kept = |former: &AssistantSettings, over| {
        applied(former, &tool(&over))
            .map(|settings| settings.tools[0].secret.as_ref().map(|secret| secret.value.expose().to_owned()))
    };
    let some = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(kept(&first, serde_json::json!({})), some("Bearer hush"));
    assert_eq!(kept(&first, serde_json::json!({ "url": "https://shop.example/other" })), some("Bearer hush"));
    assert_eq!(kept(&first, serde_json::json!({ "secret": null })), Ok(None));
    assert_eq!(kept(&first, serde_json::json!({ "url": "https://evil.example/orders" })), Err(422));
    assert_eq!(
        kept(&first, serde_json::json!({ "url": "https://evil.example/orders", "secret": null })),
        Ok(None)
    );
    // Under another name it is another tool.
    assert_eq!(kept(&first, serde_json::json!({ "name": "other" })), Ok(None));
    let shown = serde_json::to_string(&SettingsView::from(first)).unwrap();
    assert!(shown.contains("Authorization") && !shown.contains("hush"), "{shown}");
}

#[test]
fn tools_that_cannot_be_called_are_refused() {
    let refused = |over| applied(&former(None, None), &tool(&over)).err();
    let wrong = [
        serde_json::json!({ "url": "http://shop.example/orders" }),
        serde_json::json!({ "url": "https://127.0.0.1/" }),
        serde_json::json!({ "url": "https://169.254.169.254/latest" }),
        serde_json::json!({ "url": "https://[::ffff:10.0.0.1]/" }),
        serde_json::json!({ "url": "https://me:pw@shop.example/" }),
        serde_json::json!({ "url": "https://shop.example/#part" }),
        serde_json::json!({ "url": "shop.example" }),
        serde_json::json!({ "name": "search_knowledge" }),
        serde_json::json!({ "name": "Find order" }),
        serde_json::json!({ "parameters": [] }),
        serde_json::json!({ "parameters": { "type": "nonsense" } }),
        serde_json::json!({ "answer": { "type": 7 } }),
        serde_json::json!({ "timeout_ms": 60_001 }),
        serde_json::json!({ "secret": { "header": "Host", "value": "x" } }),
        serde_json::json!({ "secret": { "header": "X-Key", "value": "a\r\nb" } }),
        serde_json::json!({ "secret": { "header": "X Key", "value": "x" } }),
    ];
    for over in wrong {
        assert_eq!(refused(over.clone()), Some(422), "{over}");
    }
    assert_eq!(refused(serde_json::json!({ "url": "http://crm.internal:8080/orders" })), None);
}
