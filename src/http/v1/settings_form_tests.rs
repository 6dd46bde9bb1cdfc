use actix_web::ResponseError;
use actix_web::test::TestRequest;
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
        connect_timeout_ms: 1_000,
        read_timeout_ms: 1_000,
    })
    .unwrap()
}

fn former(base_url: Option<&str>, api_key: Option<&str>) -> AssistantSettings {
    AssistantSettings {
        enabled: false,
        task: String::new(),
        instructions: String::new(),
        model: None,
        temperature: None,
        base_url: base_url.map(str::to_owned),
        api_key: api_key.map(StoredSecret::new),
        quiet_ms: 0,
        cap_ms: 0,
        output_tokens_max: 800,
        prompt_tokens_max: 8_000,
        fallback_text: String::new(),
    }
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

#[test]
fn if_match_takes_what_etag_gave() {
    let read = |value: &str| {
        let request = TestRequest::default().insert_header((IF_MATCH, value)).to_http_request();
        expected(&request).map_err(|problem| problem.status_code().as_u16())
    };
    assert_eq!(read("\"3\""), Ok(Some(3)));
    assert_eq!(read("*"), Ok(None));
    for wrong in ["3", "\"\"", "W/\"3\"", "\"-1\""] {
        assert_eq!(read(wrong), Err(400), "{wrong}");
    }
    assert_eq!(expected(&TestRequest::default().to_http_request()).ok(), Some(None));
}
