//! Every error of the matrix, at once and later, and the headers that warn of limits.

use iassistance_simulator::faults::{AppUsage, BusinessUsage, Rule, SendFault, Usage};
use iassistance_simulator::{Faults, Limits, SimulatorSettings};
use serde_json::{Value, json};

use crate::support::{
    ANA, IG_LOGIN, IG_TOKEN, NUMBER, PAGE, PAGE_TOKEN, Receiver, TOKEN, all_products, ask, graph, refusal,
    says, send_as, social_text, soon, start, text_to,
};

const MATRIX: &str = include_str!("../../../tests/fixtures/graph_errors/ERROR_MATRIX.tsv");
const PSID: &str = "910000000000001";

fn error(on: &str, code: u32, subcode: Option<u32>, later: bool) -> SendFault {
    SendFault::Error { on: Some(on.to_owned()), code, subcode, status: None, later }
}

fn once(fault: SendFault) -> Faults {
    Faults { sends: vec![Rule { fault, next: 1, per_mille: 0 }], ..Faults::default() }
}

#[tokio::test]
async fn every_error_of_the_matrix_can_be_had_from_its_product() {
    let lifted = Limits { pair_every_ms: 0, number_per_second: 0, page_per_second: 0, ..Limits::default() };
    let (simulator, _clock) = start(SimulatorSettings { limits: lifted, ..all_products() }).await;
    simulator.say(ANA, "hi").unwrap();
    says(&simulator, ANA, PAGE, "hi");
    let mut rows = 0;
    for line in MATRIX.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let number = |cell: &str| cell.parse::<u32>().unwrap_or(0);
        let (code, subcode, status) = (number(cells[1]), number(cells[2]), number(cells[3]));
        let whatsapp = cells[0] == "whatsapp";
        let on = if whatsapp { "whatsapp" } else { "messenger" };
        simulator.set_faults(once(error(on, code, (subcode > 0).then_some(subcode), false))).unwrap();
        let answer = if whatsapp {
            graph(&simulator, &text_to(ANA, "x")).await.unwrap()
        } else {
            send_as(&simulator, PAGE_TOKEN, PAGE, &social_text(PSID, "x")).await
        };
        let (got, code_got, subcode_got) = refusal(&answer);
        assert_eq!(
            (u32::from(got), code_got, subcode_got),
            (status, u64::from(code), u64::from(subcode)),
            "{line}"
        );
        let whole = answer.json();
        assert!(whole["error"]["fbtrace_id"].is_string() && whole["error"]["message"].is_string());
        assert_eq!(whole["error"]["error_data"].is_object(), whatsapp);
        rows += 1;
    }
    assert_eq!(rows, 99);
    assert!(simulator.all_sends().is_empty());
}

#[tokio::test]
async fn a_fault_is_had_by_the_account_that_it_is_for() {
    let (simulator, _clock) = start(all_products()).await;
    says(&simulator, ANA, PAGE, "hi");
    says(&simulator, ANA, IG_LOGIN, "hi");
    simulator.set_faults(once(error("instagram", 613, Some(2_534_040), false))).unwrap();
    let page = send_as(&simulator, PAGE_TOKEN, PAGE, &social_text(PSID, "x")).await;
    assert_eq!(page.status, 200);
    let text = social_text("920000000000001", "x");
    assert_eq!(refusal(&send_as(&simulator, IG_TOKEN, IG_LOGIN, &text).await), (400, 613, 2_534_040));
    assert_eq!(send_as(&simulator, IG_TOKEN, IG_LOGIN, &text).await.status, 200);
}

#[tokio::test]
async fn a_send_that_was_accepted_fails_later() {
    let (simulator, _clock) = start(all_products()).await;
    let mut receiver = Receiver::start([]).await;
    simulator.say(ANA, "hi").unwrap();
    simulator.set_faults(once(error(NUMBER, 131_026, None, true))).unwrap();
    assert_eq!(graph(&simulator, &text_to(ANA, "x")).await.unwrap().status, 200);
    soon(simulator.until(|state| state.counters.statuses.get("failed") == Some(&1))).await;
    simulator.set_callback(&receiver.url).unwrap();
    loop {
        let value = receiver.next().await.value();
        if value["statuses"][0]["status"] == "failed" {
            assert_eq!(value["statuses"][0]["errors"][0]["code"], json!(131_026));
            break;
        }
    }
}

#[tokio::test]
async fn pages_have_their_rate() {
    let limits = Limits { page_per_second: 2, ..Limits::default() };
    let (simulator, clock) = start(SimulatorSettings { limits, ..all_products() }).await;
    says(&simulator, ANA, PAGE, "hi");
    for expected in [(200, 0, 0), (200, 0, 0), (400, 613, 1_893_016)] {
        assert_eq!(refusal(&send_as(&simulator, PAGE_TOKEN, PAGE, &social_text(PSID, "x")).await), expected);
    }
    clock.advance_millis(500);
    assert_eq!(send_as(&simulator, PAGE_TOKEN, PAGE, &social_text(PSID, "x")).await.status, 200);
}

#[tokio::test]
async fn usage_is_told_in_headers_when_it_was_asked_for() {
    let (simulator, _clock) = start(all_products()).await;
    let before = ask(&simulator, "GET", PAGE_TOKEN, PAGE, &Value::Null).await;
    assert!(before.headers.get("x-app-usage").is_none());
    let usage = Usage {
        app: Some(AppUsage { call_count: 95, total_cputime: 20, total_time: 30 }),
        business: Some(BusinessUsage {
            kind: "messenger".into(),
            call_count: 99,
            estimated_time_to_regain_access: 4,
            ..BusinessUsage::default()
        }),
    };
    simulator.set_faults(Faults { usage, ..Faults::default() }).unwrap();
    let answer = ask(&simulator, "GET", PAGE_TOKEN, PAGE, &Value::Null).await;
    let header = |name: &str| serde_json::from_str::<Value>(answer.headers[name].to_str().unwrap()).unwrap();
    assert_eq!(header("x-app-usage"), json!({"call_count": 95, "total_cputime": 20, "total_time": 30}));
    let business = header("x-business-use-case-usage")[PAGE][0].clone();
    assert_eq!(
        (&business["type"], &business["estimated_time_to_regain_access"]),
        (&json!("messenger"), &json!(4))
    );
    let number = ask(&simulator, "GET", TOKEN, NUMBER, &Value::Null).await;
    assert!(number.headers["x-business-use-case-usage"].to_str().unwrap().contains("100000000000001"));
}

#[tokio::test]
async fn calls_about_files_can_go_wrong_too() {
    let (simulator, _clock) = start(all_products()).await;
    let fault = SendFault::Error { on: None, code: 131_052, subcode: None, status: Some(500), later: false };
    let media = vec![Rule { fault, next: 1, per_mille: 0 }];
    simulator.set_faults(Faults { media, ..Faults::default() }).unwrap();
    let answer = crate::samples::upload(&simulator, "image/png", "x").await;
    assert_eq!(refusal(&answer), (500, 131_052, 0));
    assert_eq!(crate::samples::upload(&simulator, "image/png", "x").await.status, 200);
}
