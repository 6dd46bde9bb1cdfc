use iassistance_domain::channel::{ChannelState, StoredSecret};
use iassistance_domain::id::MetaAppId;

use super::*;

fn app(app_id: Option<&str>) -> MetaApp {
    MetaApp {
        id: MetaAppId::from_bytes([3; 16]),
        name: "App".to_owned(),
        app_id: app_id.map(ToOwned::to_owned),
        secrets: vec![StoredSecret::new("newest"), StoredSecret::new("older")],
        verify_token: StoredSecret::new("verify"),
        created_at: Timestamp::EPOCH,
    }
}

fn debugged(scopes: &[&str]) -> Value {
    json!({"data": {
        "app_id": "42", "is_valid": true, "expires_at": 1_800_000_000, "user_id": "77", "scopes": scopes,
        "granular_scopes": [{"scope": "whatsapp_business_management", "target_ids": ["100000000000001"]}],
    }})
}

const ON_WHATSAPP: [&str; 2] = ["whatsapp_business_management", "whatsapp_business_messaging"];

fn connected() -> Value {
    json!({
        "display_phone_number": "+1 555-010-0001", "verified_name": "Shop", "quality_rating": "GREEN",
        "throughput": {"level": "STANDARD"}, "status": "CONNECTED", "code_verification_status": "EXPIRED",
        "is_on_biz_app": false, "id": "200000000000001",
    })
}

fn subscribed() -> Value {
    json!({"data": [{"whatsapp_business_api_data": {"id": "42", "name": "App"}}]})
}

async fn probe(
    channel: &Channel,
    app: &MetaApp,
    answers: impl IntoIterator<Item = String>,
) -> (ProbeReport, Vec<String>) {
    let server = Server::new(answers);
    let report = server.sender().probe(channel, app).await;
    (report, server.requests())
}

fn failed(report: &ProbeReport) -> Vec<&'static str> {
    report.checks.iter().filter(|check| !check.ok).map(|check| check.name).collect()
}

#[tokio::test]
async fn a_number_that_is_well_is_live() {
    let answers = [debugged(&ON_WHATSAPP), connected(), subscribed()].map(|answer| ok(&answer));
    let (report, requests) = probe(&channel(number()), &app(Some("42")), answers).await;
    assert_eq!((report.state, report.reason()), (Some(ChannelState::Live), None));
    let names: Vec<_> = report.checks.iter().map(|check| check.name).collect();
    assert_eq!(names, ["token", "app", "permissions", "number", "subscription"]);
    assert_eq!(report.token_expires_at, Some(Timestamp::from_secs(1_800_000_000)));
    assert_eq!(report.token_owner, Some(StoredSecret::new("77")));
    assert_eq!(report.number.as_deref(), Some("15550100001"));
    assert_eq!(report.name.as_deref(), Some("Shop"));
    assert_eq!(report.account_id.as_deref(), Some("100000000000001"));
    assert_eq!((report.sends_per_s, report.quality.as_deref()), (Some(80), Some("GREEN")));

    assert_eq!(line(&requests[0]), "GET /v24.0/debug_token?input_token=token");
    assert!(requests[0].contains("authorization: Bearer 42|newest\r\n"));
    assert!(line(&requests[1]).starts_with("GET /v24.0/200000000000001?fields=display_phone_number%2C"));
    assert_eq!(line(&requests[2]), "GET /v24.0/100000000000001/subscribed_apps");
    assert!(requests[1..].iter().all(|request| request.contains("authorization: Bearer token\r\n")));
}

#[tokio::test]
async fn where_webhooks_go_is_looked_at_as_the_app() {
    let here = format!("https://chat.example.org/webhooks/meta/{}", MetaAppId::from_bytes([3; 16]));
    let webhook = |object: &str, address: &str, active: bool| json!({"data": [{"object": object, "callback_url": address, "active": active, "fields": []}]});
    let whatsapp = "whatsapp_business_account";
    let cases = [
        (webhook(whatsapp, &here, true), Some(ChannelState::Live), ""),
        (
            webhook(whatsapp, "https://other.example.org/hook", true),
            Some(ChannelState::Degraded),
            "elsewhere",
        ),
        (webhook(whatsapp, &here, false), Some(ChannelState::Degraded), "no webhook"),
        (webhook("page", &here, true), Some(ChannelState::Degraded), "no webhook"),
    ];
    for (told, state, words) in cases {
        let answers = [debugged(&ON_WHATSAPP), connected(), subscribed(), told].map(|answer| ok(&answer));
        let (report, requests) = probe(&channel(number()), &app(Some("42")), answers).await;
        assert_eq!(report.state, state);
        assert!(report.reason().unwrap_or_default().contains(words));
        assert_eq!(line(&requests[3]), "GET /v24.0/42/subscriptions");
        assert!(requests[3].contains("authorization: Bearer 42|newest\r\n"));
    }
}

#[tokio::test]
async fn a_token_that_is_over_ends_the_test() {
    let over = json!({"data": {"app_id": "42", "is_valid": false, "expires_at": 1, "scopes": []}});
    let (report, requests) = probe(&channel(number()), &app(Some("42")), [ok(&over)]).await;
    assert_eq!((report.state, failed(&report)), (Some(ChannelState::Expired), vec!["token"]));
    assert_eq!(requests.len(), 1);
    let (report, _) = probe(&channel(number()), &app(None), [graph_error(401, 190)]).await;
    assert_eq!(report.state, Some(ChannelState::Expired));
    assert!(report.reason().unwrap().contains("connect the channel with a new one"));
}

#[tokio::test]
async fn missing_permissions_are_named() {
    let cases = [
        (&ON_WHATSAPP[..1], ChannelState::Blocked, "whatsapp_business_messaging"),
        (&ON_WHATSAPP[1..], ChannelState::Degraded, "whatsapp_business_management"),
    ];
    for (scopes, state, missing) in cases {
        let answers = [debugged(scopes), connected(), subscribed()].map(|answer| ok(&answer));
        let (report, _) = probe(&channel(number()), &app(Some("42")), answers).await;
        assert_eq!((report.state, failed(&report)), (Some(state), vec!["permissions"]));
        assert!(report.reason().unwrap().contains(&format!("lacks {missing}:")));
    }
}

#[tokio::test]
async fn another_apps_token_and_a_missing_subscription_are_seen() {
    let answers = [debugged(&ON_WHATSAPP), connected(), subscribed()].map(|answer| ok(&answer));
    let (report, _) = probe(&channel(number()), &app(Some("43")), answers).await;
    assert_eq!((report.state, failed(&report)), (Some(ChannelState::Degraded), vec!["app", "subscription"]));
}

#[tokio::test]
async fn an_older_secret_of_the_app_will_do() {
    let answers = [graph_error(400, 190), ok(&debugged(&ON_WHATSAPP)), ok(&connected()), ok(&subscribed())];
    let (report, requests) = probe(&channel(number()), &app(Some("42")), answers).await;
    assert_eq!(report.state, Some(ChannelState::Live));
    assert!(requests[1].contains("authorization: Bearer 42|older\r\n"));

    let answers = [
        graph_error(400, 190),
        graph_error(400, 190),
        ok(&json!({"id": "77"})),
        ok(&connected()),
        ok(&subscribed()),
    ];
    let (report, requests) = probe(&channel(number()), &app(Some("42")), answers).await;
    assert_eq!((report.state, failed(&report)), (Some(ChannelState::Degraded), vec!["app"]));
    assert_eq!(line(&requests[2]), "GET /v24.0/me?fields=id");
}

#[tokio::test]
async fn a_number_in_trouble_says_so() {
    let with = |name: &str, value: Value| {
        let mut number = connected();
        number[name] = value;
        number
    };
    let cases = [
        (with("status", json!("BANNED")), ChannelState::Blocked),
        (with("status", json!("UNVERIFIED")), ChannelState::Blocked),
        (with("status", json!("FLAGGED")), ChannelState::Degraded),
        (with("quality_rating", json!("RED")), ChannelState::Degraded),
        (json!({"code_verification_status": "NOT_VERIFIED"}), ChannelState::Blocked),
    ];
    for (number, state) in cases {
        let answers = [debugged(&ON_WHATSAPP), number, subscribed()].map(|answer| ok(&answer));
        let (report, _) = probe(&channel(super::number()), &app(Some("42")), answers).await;
        assert_eq!((report.state, failed(&report)), (Some(state), vec!["number"]));
    }
    for (number, per_s) in [
        (with("throughput", json!({"level": "HIGH"})), Some(1_000)),
        (with("is_on_biz_app", json!(true)), Some(20)),
        (with("throughput", json!(null)), None),
    ] {
        let answers = [debugged(&ON_WHATSAPP), number, subscribed()].map(|answer| ok(&answer));
        let (report, _) = probe(&channel(super::number()), &app(Some("42")), answers).await;
        assert_eq!(report.sends_per_s, per_s);
    }
}

#[tokio::test]
async fn a_version_that_knows_fewer_fields_is_asked_for_fewer() {
    let answers = [ok(&debugged(&ON_WHATSAPP)), graph_error(400, 100), ok(&connected()), ok(&subscribed())];
    let (report, requests) = probe(&channel(number()), &app(Some("42")), answers).await;
    assert_eq!(report.state, Some(ChannelState::Live));
    assert!(line(&requests[2]).ends_with("quality_rating"));
}

#[tokio::test]
async fn while_meta_cannot_be_asked_the_channel_stays_as_it_was() {
    let report = sender("http://127.0.0.1:1", 10_000).probe(&channel(number()), &app(Some("42"))).await;
    assert_eq!(report.state, None);
    assert!(report.reason().unwrap().contains("no connection"));
    let answers = [ok(&debugged(&ON_WHATSAPP)), http(503, "", ""), ok(&subscribed())];
    let (report, _) = probe(&channel(number()), &app(Some("42")), answers).await;
    assert_eq!((report.state, failed(&report)), (None, vec!["number"]));
}

#[tokio::test]
async fn a_page_and_the_accounts_behind_it_are_tested() {
    let fields = json!({"data": [{"id": "42", "subscribed_fields": ["messages", "messaging_postbacks"]}]});
    let scopes = ["pages_messaging", "pages_manage_metadata", "instagram_basic", "instagram_manage_messages"];
    let answers = [debugged(&scopes), json!({"name": "Shop", "id": "2"}), fields].map(|answer| ok(&answer));
    let (report, requests) = probe(&channel(Connection::Page), &app(Some("42")), answers.clone()).await;
    assert_eq!((report.state, report.name.as_deref()), (Some(ChannelState::Live), Some("Shop")));
    assert_eq!((&report.account_id, &report.number), (&None, &None));
    assert_eq!(line(&requests[1]), "GET /v24.0/200000000000001?fields=name");

    let few = json!({"data": [{"id": "42", "subscribed_fields": [{"name": "messages"}]}]});
    let username = json!({"username": "shop", "id": "2"});
    let answers = [debugged(&scopes), username, few].map(|answer| ok(&answer));
    let (report, requests) = probe(&instagram_page(), &app(Some("42")), answers).await;
    assert_eq!((report.state, failed(&report)), (Some(ChannelState::Degraded), vec!["subscription"]));
    assert!(report.reason().unwrap().contains("messaging_postbacks"));
    assert_eq!(report.name.as_deref(), Some("shop"));
    assert_eq!(line(&requests[2]), "GET /v24.0/300000000000001/subscribed_apps");
}

#[tokio::test]
async fn an_instagram_login_is_tested_with_its_own_token() {
    let fields = json!({"data": [{"subscribed_fields": ["messages", "messaging_postbacks"]}]});
    let me = |user_id: &str| json!({"id": "9000", "user_id": user_id, "username": "shop"});
    let answers = [me("200000000000001"), fields.clone()].map(|answer| ok(&answer));
    let (report, requests) = probe(&instagram_login(), &app(Some("42")), answers).await;
    assert_eq!(report.state, Some(ChannelState::Live));
    assert_eq!((report.user_id.as_deref(), report.name.as_deref()), (Some("9000"), Some("shop")));
    assert_eq!(report.token_owner, Some(StoredSecret::new("9000")));
    assert_eq!(line(&requests[0]), "GET /v24.0/me?fields=id%2Cuser_id%2Cusername");

    let answers = [me("200000000000002"), fields].map(|answer| ok(&answer));
    let (report, _) = probe(&instagram_login(), &app(Some("42")), answers).await;
    assert_eq!((report.state, failed(&report)), (Some(ChannelState::Blocked), vec!["account"]));
}

#[tokio::test]
async fn no_report_holds_a_secret() {
    let answers = [graph_error(400, 190), graph_error(400, 190), graph_error(401, 190)];
    let (report, _) = probe(&channel(number()), &app(Some("42")), answers).await;
    let shown = format!("{report:?}");
    assert!(
        !["newest", "older", "Bearer", "input_token", "verify"].iter().any(|secret| shown.contains(secret))
    );
}
