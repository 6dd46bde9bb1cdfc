//! What goes wrong on purpose: another thing every while, drawn from the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use iassistance_domain::{Entropy, SeededEntropy};
use iassistance_simulator::Faults;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::place::Place;

/// How long one weather lasts.
const LASTS: Duration = Duration::from_secs(12);
const WEATHERS: [&str; 7] =
    ["calm", "repeated", "shuffled", "graph refuses", "graph cuts", "model fails", "model is slow"];

/// Changes the weather until it is over; how often there was each.
pub async fn changes(place: &Place, seed: u64, over: &CancellationToken) -> BTreeMap<&'static str, u64> {
    let (entropy, mut seen) = (SeededEntropy::new(seed), BTreeMap::new());
    while !over.is_cancelled() {
        // Now and then everything at once.
        let drawn = usize::try_from(entropy.up_to(WEATHERS.len() as u64)).unwrap();
        let (name, faults) = match WEATHERS.get(drawn) {
            Some(name) => (*name, of(name)),
            None => ("storm", storm()),
        };
        *seen.entry(name).or_default() += 1;
        place.simulator.set_faults(read(&faults)).unwrap();
        over.run_until_cancelled(tokio::time::sleep(LASTS)).await;
    }
    place.simulator.set_faults(Faults::default()).unwrap();
    seen
}

/// Every weather is one that the stand-in takes: better known now than when it is drawn.
pub fn check() {
    for faults in WEATHERS.iter().map(|name| of(name)).chain([storm()]) {
        read(&faults);
    }
}

fn read(faults: &Value) -> Faults {
    serde_json::from_value(faults.clone()).expect("faults as the stand-in takes them")
}

fn rules(rules: &[(Value, u16)]) -> Value {
    let rule = |(fault, per_mille): &(Value, u16)| json!({ "fault": fault, "per_mille": per_mille });
    rules.iter().map(rule).collect()
}

fn of(name: &str) -> Value {
    match name {
        "repeated" => json!({ "webhooks": { "extra_deliveries": 2 } }),
        "shuffled" => {
            json!({ "webhooks": { "shuffle": { "events_max": 16, "hold_ms": 400 }, "delay_ms": 50 } })
        }
        "graph refuses" => json!({ "sends": refusals() }),
        "graph cuts" => json!({ "sends": cuts() }),
        "model fails" => json!({ "model": failures() }),
        "model is slow" => json!({ "model": rules(&[
            (json!({ "kind": "slow", "token_ms": 150 }), 300),
            (json!({ "kind": "stall", "after_tokens": 2 }), 10),
            (json!({ "kind": "hang" }), 10),
        ]) }),
        _ => json!({}),
    }
}

fn storm() -> Value {
    json!({
        "webhooks": { "extra_deliveries": 1, "shuffle": { "events_max": 16, "hold_ms": 400 } },
        "sends": refusals().as_array().into_iter().chain(cuts().as_array()).flatten().collect::<Vec<_>>(),
        "model": failures(),
    })
}

/// Meta is not well: each product in its own words, and in a way that passes.
fn refusals() -> Value {
    rules(&[
        (json!({ "kind": "error", "on": "whatsapp", "code": 131_016 }), 60),
        (json!({ "kind": "error", "on": "messenger", "code": 2, "status": 500 }), 60),
        (json!({ "kind": "error", "on": "instagram", "code": 2, "status": 500 }), 60),
    ])
}

/// The connection ends before, during and after the acceptance.
fn cuts() -> Value {
    rules(&[
        (json!({ "kind": "cut" }), 15),
        (json!({ "kind": "cut", "accepted": true }), 15),
        (json!({ "kind": "truncate" }), 15),
        (json!({ "kind": "hang" }), 5),
        (json!({ "kind": "hang", "accepted": true }), 5),
    ])
}

fn failures() -> Value {
    rules(&[
        (json!({ "kind": "refuse", "status": 429, "retry_after_s": 1 }), 30),
        (json!({ "kind": "refuse", "status": 503 }), 30),
        (json!({ "kind": "cut", "after_tokens": 2 }), 30),
        (json!({ "kind": "error", "after_tokens": 3, "code": "server_error" }), 20),
        (json!({ "kind": "garbage" }), 10),
    ])
}
