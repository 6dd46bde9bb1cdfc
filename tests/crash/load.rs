//! People who write while the server dies and comes back.

use std::cell::Cell;
use std::ops::Range;
use std::time::Duration;

use iassistance_channels::signature::sign;
use iassistance_domain::{Clock, Entropy, SeededEntropy};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::system::{APP_SECRET, NUMBERS, System};

/// How many messages somebody writes at a time.
const AT_A_TIME_MAX: u64 = 3;
/// The longest pauses between that: of one who goes on writing, and of one who waits for an answer.
const PAUSES_MS_MAX: [u64; 2] = [200, 2_000];
/// How soon it is looked whether a message was acknowledged, or tried again to deliver it.
const LOOK: Duration = Duration::from_millis(50);
/// How many of somebody's newest messages, and answers to them, are looked at for that.
const NEWEST: usize = 50;

/// Messages that were written at a time. The next ones are written when all of these have been
/// acknowledged.
pub struct Group {
    /// The numbers of the messages.
    pub messages: Range<u32>,
    /// Whether they came in one webhook, which says their order. In webhooks of their own they may
    /// arrive in any.
    pub in_one: bool,
}

/// Somebody who writes to one of the numbers.
pub struct Person {
    /// Their own number.
    pub wa_id: String,
    /// What they have written.
    pub groups: Vec<Group>,
    index: usize,
    entropy: SeededEntropy,
}

impl Person {
    pub fn new(index: usize, seed: u64) -> Self {
        Self {
            wa_id: format!("1555010{index:04}"),
            groups: Vec::new(),
            index,
            entropy: SeededEntropy::new(seed.wrapping_add(1 + index as u64)),
        }
    }

    /// How many messages they have written.
    pub fn said(&self) -> u32 {
        self.groups.last().map_or(0, |group| group.messages.end)
    }

    /// The words of a message: there are none like them.
    pub fn token(&self, message: u32) -> String {
        format!("t-{}-{message}", self.index)
    }

    /// Writes until it is over; everything that was written has been acknowledged then.
    pub async fn talk(&mut self, system: &System, over: &Cell<bool>) {
        while !over.get() {
            let first = self.said();
            let count = 1 + u32::try_from(self.entropy.up_to(AT_A_TIME_MAX - 1)).unwrap();
            // Only who has written through the simulator is known to it.
            let in_one = first > 0 && self.entropy.up_to(1) == 0;
            let messages = first..first + count;
            if in_one {
                self.post(system, messages.clone()).await;
            } else {
                self.say(system, messages.clone()).await;
            }
            self.groups.push(Group { messages, in_one });
            let pause_ms_max = PAUSES_MS_MAX[usize::from(self.entropy.up_to(1) == 0)];
            tokio::time::sleep(Duration::from_millis(self.entropy.up_to(pause_ms_max))).await;
        }
    }

    fn number(&self) -> &'static str {
        NUMBERS[self.index % NUMBERS.len()]
    }

    /// Writes on the simulated phone: the simulator delivers each message until it is acknowledged.
    async fn say(&self, system: &System, messages: Range<u32>) {
        let mut waiting = Vec::new();
        for message in messages {
            let say = json!({ "contact": self.wa_id, "text": self.token(message), "number": self.number() });
            waiting.push(system.simulator("/sim/say", Some(&say)).await["wamid"].clone());
        }
        while !waiting.is_empty() {
            tokio::time::sleep(LOOK).await;
            let newest = format!("/sim/transcript?contact={}&newest={NEWEST}", self.wa_id);
            let transcript = system.simulator(&newest, None).await;
            let acknowledged = |wamid: &Value| {
                let mut items = transcript.as_array().unwrap().iter().rev();
                items.any(|item| item["wamid"] == *wamid && item["tick"] != "sent")
            };
            waiting.retain(|wamid| !acknowledged(wamid));
        }
    }

    /// Delivers a webhook ourselves, as Meta does: until it gets a 200.
    async fn post(&self, system: &System, messages: Range<u32>) {
        let body = self.webhook(messages);
        let signature = sign(APP_SECRET.as_bytes(), &body);
        loop {
            let request = system.http.post(&system.webhook_url).header("content-type", "application/json");
            let request = request.header("x-hub-signature-256", &signature).body(body.clone());
            match request.send().await.map(|answer| answer.status()) {
                Ok(StatusCode::OK) => return,
                Ok(StatusCode::SERVICE_UNAVAILABLE) | Err(_) => tokio::time::sleep(LOOK).await,
                Ok(status) => panic!("a good webhook was answered by {status}"),
            }
        }
    }

    fn webhook(&self, messages: Range<u32>) -> Vec<u8> {
        let second = iassistance_actors::kernel::SystemClock.now().as_millis() / 1_000;
        let message = |message: u32| {
            json!({
                "from": self.wa_id,
                "id": format!("wamid.{}", self.token(message)),
                "timestamp": second.to_string(),
                "type": "text",
                "text": { "body": self.token(message) },
            })
        };
        let messages: Vec<Value> = messages.map(message).collect();
        json!({
            "object": "whatsapp_business_account",
            "entry": [{ "id": "100000000000001", "changes": [{ "field": "messages", "value": {
                "messaging_product": "whatsapp",
                "metadata": { "display_phone_number": "15550100001", "phone_number_id": self.number() },
                "contacts": [{ "profile": { "name": self.wa_id }, "wa_id": self.wa_id }],
                "messages": messages,
            } }] }],
        })
        .to_string()
        .into_bytes()
    }
}
