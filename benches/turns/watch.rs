//! What is known of each turn: the moments that the driver and the simulator saw.
#![allow(dead_code, reason = "each bench uses its part of this")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use iassistance_simulator::{Happened, Moment};
use tokio::sync::oneshot;

/// What a message says besides its number: nothing that a tool would be called for.
const WORDS: &str = "Please keep the blue ones for me, my number is";
/// Digits of a number, so that none is part of another.
const DIGITS: usize = 9;

/// A message and what became of it.
#[derive(Clone)]
pub struct Turn {
    posted: Instant,
    acknowledged: Option<Instant>,
    /// How long the model had it.
    model: Duration,
    /// When it was answered.
    pub sent: Option<Instant>,
    replies: usize,
}

/// Everything that was seen.
#[derive(Default)]
pub struct Watch {
    turns: HashMap<u64, Turn>,
    waiting: HashMap<u64, oneshot::Sender<()>>,
    /// The chats under way: since when, and about which messages.
    chats: HashMap<u64, (Instant, Vec<u64>)>,
}

/// The text of the message with this number.
pub fn text_of(number: u64) -> String {
    format!("{WORDS} {number:0DIGITS$}.")
}

/// The numbers of the messages that a text repeats.
fn numbers_in(text: &str) -> impl Iterator<Item = u64> {
    let runs = text.split(|c: char| !c.is_ascii_digit());
    runs.filter(|run| run.len() == DIGITS).filter_map(|run| run.parse().ok())
}

impl Watch {
    /// A message is posted now; says when it has been answered.
    pub fn posted(&mut self, number: u64) -> oneshot::Receiver<()> {
        let (answered, told) = oneshot::channel();
        let posted = Instant::now();
        let turn = Turn { posted, acknowledged: None, model: Duration::ZERO, sent: None, replies: 0 };
        self.turns.insert(number, turn);
        self.waiting.insert(number, answered);
        told
    }

    pub fn acknowledged(&mut self, number: u64) {
        if let Some(turn) = self.turns.get_mut(&number) {
            turn.acknowledged = Some(Instant::now());
        }
    }

    /// It was not acknowledged, so nobody answers it.
    pub fn refused(&mut self, number: u64) {
        self.turns.remove(&number);
        self.waiting.remove(&number);
    }

    /// How many messages wait for their answer.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A message that was acknowledged.
    pub fn turn(&self, number: u64) -> &Turn {
        &self.turns[&number]
    }

    pub fn take(&mut self, moment: Moment) {
        match moment.what {
            Happened::ChatAsked { chat, said } => {
                self.chats.insert(chat, (moment.instant, numbers_in(&said).collect()));
            }
            Happened::ChatEnded { chat } => {
                let Some((since, numbers)) = self.chats.remove(&chat) else { return };
                for number in numbers {
                    if let Some(turn) = self.turns.get_mut(&number) {
                        turn.model += moment.instant - since;
                    }
                }
            }
            Happened::SendAccepted { text, .. } => {
                for number in numbers_in(&text) {
                    if let Some(turn) = self.turns.get_mut(&number) {
                        turn.replies += 1;
                        turn.sent.get_or_insert(moment.instant);
                    }
                    if let Some(waiting) = self.waiting.remove(&number) {
                        // Who waited may have given up.
                        waiting.send(()).ok();
                    }
                }
            }
            Happened::WebhookTaken { .. } => {}
        }
    }

    /// The turns of these messages, all of which have been answered.
    pub fn of(&self, numbers: std::ops::Range<u64>) -> Vec<Turn> {
        numbers.map(|number| self.turns[&number].clone()).collect()
    }

    /// How many messages there were. Fails if one was not answered, or more than once.
    pub fn answered_once(&self) -> usize {
        for (number, turn) in &self.turns {
            assert_eq!(turn.replies, 1, "message {number} was answered once");
        }
        self.turns.len()
    }
}

impl Turn {
    /// From the webhook's acknowledgement to the send, without the model's own time.
    pub fn added_ms(&self) -> f64 {
        let (acknowledged, sent) = (self.acknowledged.expect("acknowledged"), self.sent.expect("sent"));
        ms(sent.saturating_duration_since(acknowledged).saturating_sub(self.model))
    }

    /// From the webhook to its acknowledgement.
    /// When it was posted.
    pub fn posted_at(&self) -> Instant {
        self.posted
    }

    pub fn acknowledged_ms(&self) -> f64 {
        ms(self.acknowledged.expect("acknowledged") - self.posted)
    }

    pub fn model_ms(&self) -> f64 {
        ms(self.model)
    }

    /// From the webhook to the send.
    pub fn whole_ms(&self) -> f64 {
        ms(self.sent.expect("sent") - self.posted)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    percentile(50, values)
}

/// Within which so many percent of the values are.
pub fn percentile(percent: usize, values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(at).copied().unwrap_or_default()
}
