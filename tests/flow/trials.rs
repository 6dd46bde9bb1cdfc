//! What the tests of money, failures and records share: a model that fails, time that passes while
//! something is waited for, and what was recorded.

use iassistance_domain::Clock;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::id::ConversationId;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::tool::BuiltInTools;
use iassistance_simulator::Faults;
use iassistance_simulator::faults::{ModelFault, Rule};
use serde_json::Value;

use crate::harness::{Flow, NUMBERS, assistant, messages, within};

/// A price of one for each token, so that what a turn costs is how many tokens it has.
pub const ONE_A_TOKEN: &str = "prices.others={ input = 1.0, output = 1.0 }";
/// What is said where no answer can be had.
pub const FALLBACK: &str = "Sorry, not now.";
/// No tool but one that notes what the model likes.
pub const NOTES_ALONE: BuiltInTools = BuiltInTools {
    handover: false,
    knowledge: false,
    attributes: true,
    choices: false,
    follow_up: false,
    after_untrusted: false,
};

/// The assistant of a tenant from now on: as usual, but for this.
pub async fn configure(flow: &Flow, tenant: usize, change: impl FnOnce(&mut AssistantSettings)) {
    let mut settings = assistant();
    change(&mut settings);
    let ctx = TenantCtx::platform(flow.tenants[tenant]);
    within("settings", flow.app.engine.put_assistant(ctx, settings, None)).await.unwrap();
}

/// The number of a contact who is known by one.
pub fn contact(n: usize) -> String {
    format!("1555020{n:04}")
}

/// A contact writes to a tenant's number.
pub async fn write(flow: &Flow, tenant: usize, n: usize, id: &str, text: &str) {
    let now = flow.clock.now().as_millis() / 1_000;
    let body = messages(NUMBERS[tenant], &contact(n), &[(id, now, text)]);
    assert_eq!(flow.post(body).await.status(), 200);
}

/// From now on this goes wrong with the model.
pub fn fail(flow: &Flow, model: Vec<Rule<ModelFault>>) {
    flow.simulator.set_faults(Faults { model, ..Faults::default() }).unwrap();
}

pub fn always(fault: ModelFault) -> Rule<ModelFault> {
    Rule { fault, next: 0, per_mille: 1_000 }
}

pub fn next(fault: ModelFault, next: u32) -> Rule<ModelFault> {
    Rule { fault, next, per_mille: 0 }
}

pub fn refusing(status: u16) -> ModelFault {
    ModelFault::Refuse { status, retry_after_s: None }
}

/// Somebody pauses for less than this; who waits longer has asked somebody, who will answer by himself.
const PAUSE_MAX_MS: u64 = 10_000;

/// Moves the clock a little at a time until `done`, and only while somebody pauses: a call that is on
/// its way takes the machine's time, and must not be late by this one. An hour is too much.
pub async fn pass(flow: &Flow, what: &str, step_ms: u64, done: impl AsyncFn() -> bool) {
    within(what, async {
        let mut passed = 0;
        while !done().await {
            assert!(passed < 60 * 60 * 1_000, "an hour passed in vain for {what}");
            let pause_end = flow.clock.now().plus_millis(PAUSE_MAX_MS);
            if flow.clock.next_due().is_some_and(|due| due <= pause_end) {
                flow.clock.advance_millis(step_ms);
                passed += step_ms;
            }
            // A write takes as long as work needs to get a step further.
            flow.store(0).await.append(None, Vec::new()).await.unwrap();
        }
    })
    .await;
}

/// Lets time pass until so many turns of a tenant have ended.
pub async fn passed(flow: &Flow, tenant: usize, turns: usize) {
    pass(flow, "ends of turns", 100, async || flow.count(tenant, "turn.ended").await >= turns).await;
}

/// Waits until so many turns of a tenant have ended.
pub async fn ended(flow: &Flow, tenant: usize, turns: usize) {
    within("ends of turns", async {
        while flow.count(tenant, "turn.ended").await < turns {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until the simulated model was asked so often and is at it.
pub async fn at_work(flow: &Flow, requests: u64) {
    let asked =
        flow.simulator.until(|state| state.model.requests >= requests && state.model.streams_open > 0);
    let state = within("the model", asked).await;
    assert_eq!(state.model.requests, requests, "and not more often");
}

/// The execution records of a conversation of the first tenant by REST, oldest first.
pub async fn records(flow: &Flow, conversation: ConversationId) -> Vec<Value> {
    let path = format!("/tenants/{}/conversations/{conversation}/turns", flow.tenants[0]);
    let (status, mut body) = flow.api("GET", &path, None).await;
    assert_eq!(status, 200, "{body}");
    let mut turns = std::mem::take(body["items"].as_array_mut().unwrap());
    turns.reverse();
    turns
}

/// The same, when what every one of them did is on its record: of a turn that was ended from outside
/// that is known a little later.
pub async fn whole_records(flow: &Flow, conversation: ConversationId) -> Vec<Value> {
    within("the records", async {
        loop {
            let turns = records(flow, conversation).await;
            if turns
                .iter()
                .all(|turn| turn["end"].is_string() && turn["attempts"] != Value::Array(Vec::new()))
            {
                return turns;
            }
        }
    })
    .await
}

/// The newest execution record of the one conversation of the first tenant.
pub async fn record(flow: &Flow) -> Value {
    let conversation = flow.conversation(0).await;
    records(flow, conversation).await.pop().unwrap()
}

/// A part of each item.
pub fn each(items: &Value, part: &str) -> Vec<Value> {
    items.as_array().unwrap().iter().map(|item| item[part].clone()).collect()
}

/// Whether the first words of what went wrong with each item are these; "" is that nothing did.
pub fn problems(items: &Value, expected: &[&str]) {
    let found = each(items, "problem");
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        let found = found.as_str().unwrap_or_default();
        assert!(
            found.contains(expected) && found.is_empty() == expected.is_empty(),
            "{found}, not {expected}"
        );
    }
}

/// Everything that was sent to anybody, in order.
pub fn sent(flow: &Flow) -> Vec<String> {
    flow.simulator.all_sends().into_iter().map(|send| send.text).collect()
}
