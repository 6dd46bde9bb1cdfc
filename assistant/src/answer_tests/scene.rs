use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;
use iassistance_domain::budget::Price;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::id::DocumentId;
use iassistance_domain::knowledge::Citation;
use iassistance_domain::{ManualClock, SeededEntropy};
use serde_json::json;
use url::Url;

use super::super::*;
use crate::breaker::BreakerPolicy;
use crate::generate::{PromptMessage, Role};
use crate::money::Unlimited;
use crate::scripted::{Behaviour, Scripted};
use crate::tools::{Called, ToolSpec};

pub(super) const POLICY: AnswerPolicy = AnswerPolicy {
    attempts_max: 3,
    retry_ms: 500,
    turn_ms: 600_000,
    rounds_max: 6,
    moderation: Moderation {
        before: false,
        after: false,
        on_objection: iassistance_domain::budget::Instead::Text,
    },
    turn_budget: None,
};

pub(super) const BREAKER: BreakerPolicy =
    BreakerPolicy { failures_max: 5, window_ms: 60_000, open_ms: 30_000 };

/// A turn and everything around it.
pub(super) struct Scene {
    pub clock: ManualClock,
    pub model: Scripted,
    pub cancel: CancellationToken,
    pub heard: Vec<String>,
    pub breakers: Breakers,
    pub fallbacks: Vec<String>,
    pub purse: Box<dyn Purse>,
    pub prices: Prices,
    pub tools: Toolbox,
    pub prompt: Prompt,
}

impl Scene {
    pub fn new(script: impl IntoIterator<Item = Behaviour>) -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_000));
        Self {
            model: Scripted::new(Arc::new(clock.clone()), script),
            cancel: CancellationToken::new(),
            heard: Vec::new(),
            breakers: Breakers::new(BREAKER, Arc::new(clock.clone())),
            fallbacks: Vec::new(),
            purse: Box::new(Unlimited),
            prices: Prices::default(),
            tools: Toolbox { clock: clock.clone(), calls: Vec::new() },
            prompt: prompt(),
            clock,
        }
    }

    /// With tools of which the model is told.
    pub fn with_tools(script: impl IntoIterator<Item = Behaviour>) -> Self {
        let mut scene = Self::new(script);
        scene.prompt.tools = scene.tools.specs();
        scene.prompt.tokens += scene.prompt.tools.iter().map(ToolSpec::tokens).sum::<usize>();
        scene
    }

    /// With a price of 1 for each token of the prompt and of 2 for each of the answer, and so much money.
    pub fn with_money(script: impl IntoIterator<Item = Behaviour>, left: u64) -> (Self, Arc<Wallet>) {
        let mut scene = Self::with_tools(script);
        let wallet = Arc::new(Wallet(Mutex::new(Contents { left, ..Contents::default() })));
        scene.purse = Box::new(Arc::clone(&wallet));
        scene.prices = prices();
        (scene, wallet)
    }

    /// Runs a turn, moving the clock to whatever is slept for.
    pub fn run(&mut self, policy: AnswerPolicy) -> Answer {
        self.run_watching(policy, |_, _| {})
    }

    /// The same, telling each time that it waits which time that is.
    pub fn run_watching(
        &mut self,
        policy: AnswerPolicy,
        mut waits: impl FnMut(&CancellationToken, usize),
    ) -> Answer {
        let heard = &mut self.heard;
        let (server, entropy) = (server(), SeededEntropy::new(1));
        let mut on_progress = |progress: Progress<'_>| {
            heard.push(match progress {
                Progress::Text(text) => text.to_owned(),
                Progress::ToolStarted { name, round } => format!("> {name} {round}"),
                Progress::ToolEnded { name, outcome } => format!("< {name} {outcome:?}"),
            });
        };
        let asking = Asking {
            generator: &self.model,
            services: &self.model,
            server: &server,
            moderation_model: "moderator",
            fallback_models: &self.fallbacks,
            policy,
            breakers: &self.breakers,
            tenant: TenantId::from_bytes([1; 16]),
            purse: &*self.purse,
            prices: &self.prices,
            tools: &mut self.tools,
            clock: &self.clock,
            entropy: &entropy,
            cancel: &self.cancel,
            on_progress: &mut on_progress,
        };
        let mut turn = Box::pin(answer(asking, self.prompt.clone()));
        for waited in 0.. {
            if let Some(answer) = turn.as_mut().now_or_never() {
                return answer;
            }
            waits(&self.cancel, waited);
            if !self.cancel.is_cancelled() {
                self.clock.advance_to(self.clock.next_due().expect("the turn hangs"));
            }
        }
        unreachable!("the turn hangs")
    }
}

pub(super) fn server() -> ModelServer {
    ModelServer {
        base_url: Url::parse("http://127.0.0.1/v1").unwrap(),
        api_key: StoredSecret::new(""),
        model: "small".to_owned(),
        covers: false,
    }
}

pub(super) fn prompt() -> Prompt {
    Prompt {
        messages: vec![PromptMessage::text(Role::User, "good morning".to_owned())],
        tools: Vec::new(),
        tokens: 9,
        tokens_max: 8_000,
        history_at: 0,
        history_messages: 0,
        history_left_out: 0,
        covered_messages: 1,
        summary_until: None,
        images: 0,
        output_tokens_max: 100,
        temperature: None,
        safety_identifier: "hash".to_owned(),
    }
}

pub(super) fn prices() -> Prices {
    Prices {
        models: BTreeMap::from([("small".to_owned(), Price { input: 1_000, output: 2_000 })]),
        others: None,
    }
}

pub(super) fn say(text: &str) -> Behaviour {
    Behaviour::Say(text.to_owned())
}

pub(super) fn said(text: &str) -> AnswerEnd {
    AnswerEnd::Said(text.to_owned())
}

pub(super) fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned().into() }
}

/// What went wrong in each attempt.
pub(super) fn problems(answer: &Answer) -> Vec<Option<String>> {
    answer.work.attempts.iter().map(|attempt| attempt.problem.clone()).collect()
}

/// Tools: `look` answers with its arguments, `end` ends the turn, `hang` never answers, and anything
/// else does not exist.
pub(super) struct Toolbox {
    clock: ManualClock,
    pub calls: Vec<(String, String, u32)>,
}

#[async_trait]
impl Tools for Toolbox {
    fn specs(&self) -> Vec<ToolSpec> {
        let spec = |name: &str| ToolSpec {
            name: name.to_owned(),
            description: "A tool.".to_owned(),
            parameters: json!({ "type": "object" }),
        };
        ["look", "end", "hang", "send_buttons"].map(spec).into()
    }

    async fn call(&mut self, call: &ToolCall, round: u32) -> Called {
        let arguments = call.arguments.reveal(Reply).clone();
        self.calls.push((call.name.clone(), arguments.clone(), round));
        let started_at = self.clock.now();
        if call.name == "hang" {
            std::future::pending::<()>().await;
        }
        let known = self.specs().iter().any(|spec| spec.name == call.name);
        let answer = if known { format!("it says {arguments}") } else { "there is no such tool".to_owned() };
        Called {
            record: ToolCallRecord {
                name: call.name.clone(),
                round,
                arguments: arguments.into(),
                started_at,
                ended_at: self.clock.now(),
                tries: 1,
                outcome: if known { ToolOutcome::Done } else { ToolOutcome::Invalid },
                problem: None,
                answer_bytes: answer.len(),
            },
            answer: answer.into(),
            citations: if call.name == "look" { vec![citation()] } else { Vec::new() },
            ends_turn: ["end", "send_buttons"].contains(&call.name.as_str()),
        }
    }
}

pub(super) fn citation() -> Citation {
    Citation { document: DocumentId::from_bytes([7; 16]), title: "Menu".to_owned(), place: 3 }
}

/// A purse that notices what is done wrong with it.
pub(super) struct Wallet(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    left: u64,
    open: Option<Cost>,
    reserved: Vec<Cost>,
    settled: Vec<Cost>,
}

impl Wallet {
    pub fn left(&self) -> u64 {
        self.0.lock().unwrap().left
    }

    pub fn reserved(&self) -> Vec<u64> {
        self.0.lock().unwrap().reserved.iter().map(|cost| cost.0).collect()
    }

    pub fn settled(&self) -> Vec<u64> {
        self.0.lock().unwrap().settled.iter().map(|cost| cost.0).collect()
    }

    pub fn is_settled(&self) -> bool {
        self.0.lock().unwrap().open.is_none()
    }
}

#[async_trait]
impl Purse for Arc<Wallet> {
    async fn reserve(&self, least: Cost, most: Cost) -> Option<Cost> {
        let mut contents = self.0.lock().unwrap();
        assert!(contents.open.is_none(), "one reservation is open at a time");
        let granted = most.min(Cost(contents.left));
        if granted < least {
            return None;
        }
        contents.open = Some(granted);
        contents.reserved.push(granted);
        Some(granted)
    }

    async fn settle(&self, spent: Cost) {
        let mut contents = self.0.lock().unwrap();
        assert!(contents.open.take().is_some(), "what was not reserved cannot be settled");
        contents.left = contents.left.saturating_sub(spent.0);
        contents.settled.push(spent);
    }
}
