//! The promises of the published privacy policy, each kept by a test of its own (`promise_NN`). What they promise
//! is in `docs/promises.toml`; how the last run of each ended is written to `target/promises.json`, or where
//! `IASSISTANCE_PROMISES` says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(missing_docs, reason = "tests say what they are for in their names")]

mod bodies;
mod book;
#[allow(dead_code, reason = "it is the flow tests', and they use more of it")]
#[path = "../flow/faulty.rs"]
mod faulty;
mod folder;
#[allow(dead_code, reason = "it is the flow tests', and they use more of it")]
#[path = "../flow/harness.rs"]
mod harness;
mod people;
#[allow(dead_code, reason = "it is the flow tests', and they use more of it")]
#[path = "../flow/products.rs"]
mod products;
mod served;
#[path = "../../storage/tests/support/samples.rs"]
mod support;

mod promise_01;
mod promise_02;
mod promise_03;
mod promise_04;
mod promise_05;
mod promise_06;
mod promise_07;
mod promise_08;
mod promise_09;
mod promise_10;
mod promise_11;
mod promise_12;
mod promise_13;
mod promise_14;
mod promise_15;
mod promise_16;
mod promise_17;
mod promise_18;
mod promise_19;
mod promise_20;
mod promise_21;
mod promise_22;
mod promise_23;
mod promise_24;
mod promise_25;

/// A size that a flag may make larger: `IASSISTANCE_SUBJECTS=10000 cargo test --test promises`.
pub fn size(name: &str, usual: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "how large a proof is to be is asked of who runs it")]
    let asked = std::env::var(name).ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}
