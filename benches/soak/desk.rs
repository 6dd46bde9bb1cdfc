//! Operators: they take conversations over, write, and give them back.

use std::cell::RefCell;
use std::time::Duration;

use iassistance_domain::{Entropy, SeededEntropy};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::place::Place;

/// How long an operator looks elsewhere before the next conversation, milliseconds.
const ELSEWHERE_MS: (u64, u64) = (1_000, 5_000);
/// How long one step of theirs takes them, milliseconds.
const STEP_MS_MAX: u64 = 2_000;
/// Tries of a request that must come through.
const TRIES_MAX: usize = 20;
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// One tenant's operator.
pub struct Desk<'a> {
    pub place: &'a Place,
    pub book: &'a RefCell<Book>,
    pub http: &'a Client,
    pub tenant: usize,
}

/// What an operator did.
#[derive(Default)]
pub struct Done {
    pub takeovers: u64,
    pub words: u64,
    pub notes: u64,
    /// Answers that were no success, each tried again.
    pub refused: u64,
}

impl Desk<'_> {
    /// Works until it is over; then looks after everything that still waits for a person.
    pub async fn works(&self, seed: u64, over: &CancellationToken) -> Done {
        let (entropy, mut done) = (SeededEntropy::new(seed), Done::default());
        loop {
            let elsewhere_ms = ELSEWHERE_MS.0 + entropy.up_to(ELSEWHERE_MS.1 - ELSEWHERE_MS.0);
            let elsewhere = tokio::time::sleep(Duration::from_millis(elsewhere_ms));
            if over.run_until_cancelled(elsewhere).await.is_none() {
                return done;
            }
            let chosen = self.book.borrow().choose(self.tenant, |most| entropy.up_to(most));
            if let Some(conversation) = chosen {
                self.looks_after(&conversation, &entropy, &mut done).await;
            }
        }
    }

    /// Looks after every conversation in which the assistant does not answer; how many there were.
    pub async fn clears(&self, done: &mut Done) -> usize {
        let held: Vec<String> = self.book.borrow().held(self.tenant).collect();
        for conversation in &held {
            self.looks_after(conversation, &SeededEntropy::new(0), done).await;
        }
        held.len()
    }

    async fn looks_after(&self, conversation: &str, entropy: &SeededEntropy, done: &mut Done) {
        let step = || tokio::time::sleep(Duration::from_millis(entropy.up_to(STEP_MS_MAX)));
        let name = json!({ "operator": "Ada" });
        self.asks(conversation, "takeover", &name, done).await;
        done.takeovers += 1;
        step().await;
        if entropy.up_to(2) == 0 {
            let note = json!({ "operator": "Ada", "text": "Looked after." });
            self.asks(conversation, "notes", &note, done).await;
            done.notes += 1;
        }
        let (number, text) = self.book.borrow_mut().operator_says();
        let words = json!({ "operator": "Ada", "text": text });
        if self.asks(conversation, "messages", &words, done).await {
            done.words += 1;
        } else {
            self.book.borrow_mut().never_said(number);
        }
        step().await;
        self.asks(conversation, "handback", &json!({}), done).await;
    }

    /// Asks until it is done; whether it was. The same key each time, so that it is done once.
    async fn asks(&self, conversation: &str, what: &str, body: &Value, done: &mut Done) -> bool {
        let tenant = &self.place.tenants[self.tenant];
        let address = self.place.server.address;
        let url = format!("http://{address}/v1/tenants/{}/conversations/{conversation}/{what}", tenant.id);
        let key = format!("{}-{}-{what}", self.tenant, done.takeovers);
        for _ in 0..TRIES_MAX {
            let request = self.http.post(&url).bearer_auth(&tenant.key).header("idempotency-key", &key);
            match request.json(body).send().await.map(|answer| answer.status()) {
                Ok(status) if status.is_success() => return true,
                // The contact's product does not let anything be written to them any more.
                Ok(StatusCode::UNPROCESSABLE_ENTITY) => return false,
                _ => done.refused += 1,
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        panic!("an operator could not do this any more: {what}");
    }
}
