use std::sync::Arc;

use futures::FutureExt;
use futures::future::join;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::{ManualClock, SeededEntropy};
use url::Url;

use super::*;
use crate::prompt::{PromptMessage, Role};
use crate::scripted::{Behaviour, Scripted};

const POLICY: AnswerPolicy = AnswerPolicy { attempts_max: 3, retry_ms: 500 };

struct Scene {
    clock: ManualClock,
    model: Scripted,
    cancel: CancellationToken,
    heard: Vec<String>,
}

impl Scene {
    fn new(script: impl IntoIterator<Item = Behaviour>) -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_000));
        let model = Scripted::new(Arc::new(clock.clone()), script);
        Self { clock, model, cancel: CancellationToken::new(), heard: Vec::new() }
    }

    /// Runs a turn, moving the clock to whatever is slept for.
    fn run(&mut self, policy: AnswerPolicy) -> Answer {
        let (clock, heard) = (self.clock.clone(), &mut self.heard);
        let (server, prompt, entropy) = (server(), prompt(), SeededEntropy::new(1));
        let mut on_text = |text: &str| heard.push(text.to_owned());
        let mut turn = Box::pin(answer(
            &self.model,
            &server,
            &prompt,
            policy,
            &clock,
            &entropy,
            &self.cancel,
            &mut on_text,
        ));
        loop {
            if let Some(answer) = turn.as_mut().now_or_never() {
                return answer;
            }
            self.clock.advance_to(self.clock.next_due().expect("the turn hangs"));
        }
    }
}

fn server() -> ModelServer {
    ModelServer {
        base_url: Url::parse("http://127.0.0.1/v1").unwrap(),
        api_key: StoredSecret::new(""),
        model: "small".to_owned(),
    }
}

fn prompt() -> Prompt {
    Prompt {
        messages: vec![PromptMessage { role: Role::User, text: "good morning".to_owned().into() }],
        tokens: 9,
        history_messages: 0,
        output_tokens_max: 100,
        temperature: None,
        safety_identifier: "hash".to_owned(),
    }
}

fn say(text: &str) -> Behaviour {
    Behaviour::Say(text.to_owned())
}

#[test]
fn an_answer_is_heard_as_it_comes_and_recorded() {
    let mut scene = Scene::new([Behaviour::SayAfter { ms: 70, text: " hello there ".to_owned() }]);
    let answer = scene.run(POLICY);
    assert_eq!(answer.text.as_deref(), Some("hello there"));
    assert_eq!(scene.heard, [" ", " hello ", " hello there "]);
    let attempt = &answer.attempts[0];
    assert_eq!((attempt.model.as_str(), attempt.first_token_ms), ("small", Some(70)));
    assert_eq!(attempt.ended_at.millis_since(attempt.started_at), 70);
    assert_eq!(attempt.usage.input_tokens, 9);
    assert_eq!(attempt.usage.output_tokens, TokenCounter::count(" hello there ") as u64);
    assert_eq!(attempt.problem, None);
    assert_eq!(scene.model.calls()[0].last_words(), "good morning");
}

#[test]
fn what_may_pass_is_tried_again_and_each_try_is_recorded() {
    let cut = Behaviour::SayThenFail { text: "hal".to_owned(), error: GenerateError::Cut };
    let overloaded = GenerateError::Server { status: 503, retry_after_ms: None };
    let mut scene = Scene::new([cut, Behaviour::Fail(overloaded.clone()), say("hello")]);
    let answer = scene.run(POLICY);
    assert_eq!(answer.text.as_deref(), Some("hello"));
    assert_eq!(scene.heard, ["hal", "hello"]);
    let problems: Vec<_> = answer.attempts.iter().map(|attempt| attempt.problem.clone()).collect();
    assert_eq!(problems, [Some(GenerateError::Cut.to_string()), Some(overloaded.to_string()), None]);
    let used: Vec<_> = answer.attempts.iter().map(|attempt| attempt.usage.input_tokens).collect();
    assert_eq!(used, [9, 0, 9], "what was refused outright costs nothing");
    let pause =
        |index: usize| answer.attempts[index + 1].started_at.millis_since(answer.attempts[index].ended_at);
    assert!((250..=500).contains(&pause(0)), "{}", pause(0));
    assert!((500..=1_000).contains(&pause(1)), "{}", pause(1));
}

#[test]
fn a_server_that_says_when_is_not_asked_before() {
    let limited = GenerateError::RateLimited { retry_after_ms: Some(7_000) };
    let mut scene = Scene::new([Behaviour::Fail(limited), say("hello")]);
    let answer = scene.run(POLICY);
    assert_eq!(answer.text.as_deref(), Some("hello"));
    let pause = answer.attempts[1].started_at.millis_since(answer.attempts[0].ended_at);
    assert!((7_250..=7_500).contains(&pause), "{pause}");

    let later = GenerateError::RateLimited { retry_after_ms: Some(600_000) };
    let mut scene = Scene::new([Behaviour::Fail(later.clone())]);
    let answer = scene.run(POLICY);
    assert_eq!((answer.attempts.len(), answer.error), (1, Some(later)));
}

#[test]
fn there_is_an_end_to_trying() {
    let mut scene = Scene::new([Behaviour::Fail(GenerateError::Unreachable)]);
    let answer = scene.run(POLICY);
    assert_eq!((answer.attempts.len(), answer.error), (3, Some(GenerateError::Unreachable)));
    let mut scene = Scene::new([Behaviour::Fail(GenerateError::Auth), say("hello")]);
    let answer = scene.run(POLICY);
    assert_eq!((answer.attempts.len(), answer.error), (1, Some(GenerateError::Auth)));
    let mut scene = Scene::new([Behaviour::Fail(GenerateError::Cut)]);
    let answer = scene.run(AnswerPolicy { attempts_max: 1_000, retry_ms: u64::MAX });
    assert_eq!(answer.attempts.len(), 1_000);
    let longest =
        (answer.attempts.windows(2)).map(|two| two[1].started_at.millis_since(two[0].ended_at)).max();
    assert!(longest <= Some(30_000), "{longest:?}");
}

#[test]
fn nothing_to_say_is_no_error() {
    let mut scene = Scene::new([say(" \n ")]);
    let answer = scene.run(POLICY);
    assert!(answer.text.is_none() && answer.error.is_none());
    assert_eq!(answer.attempts.len(), 1);
}

#[test]
fn a_model_cannot_pass_for_a_person() {
    let mut scene = Scene::new([say("[human colleague] [human colleague]I am Grace")]);
    assert_eq!(scene.run(POLICY).text.as_deref(), Some("I am Grace"));
}

#[tokio::test]
async fn cancelling_stops_the_attempt_and_what_was_used_is_kept() {
    let scene = Scene::new([Behaviour::Hang]);
    let (server, prompt, entropy) = (server(), prompt(), SeededEntropy::new(1));
    let mut on_text = |_: &str| {};
    let turn =
        answer(&scene.model, &server, &prompt, POLICY, &scene.clock, &entropy, &scene.cancel, &mut on_text);
    let (answer, ()) = join(turn, async {
        assert_eq!(scene.model.open(), 1);
        scene.cancel.cancel();
    })
    .await;
    assert_eq!(answer.error, Some(GenerateError::Cancelled));
    assert_eq!(answer.attempts[0].usage, Usage { input_tokens: 9, output_tokens: 0 });
    assert_eq!((scene.model.open(), scene.model.abandoned()), (0, 1));
}

#[tokio::test]
async fn cancelling_stops_the_pause_and_makes_no_attempt() {
    let mut scene = Scene::new([Behaviour::Fail(GenerateError::Unreachable)]);
    let (server, prompt, entropy) = (server(), prompt(), SeededEntropy::new(1));
    let mut on_text = |_: &str| {};
    let turn =
        answer(&scene.model, &server, &prompt, POLICY, &scene.clock, &entropy, &scene.cancel, &mut on_text);
    let (answer, ()) = join(turn, async { scene.cancel.cancel() }).await;
    assert_eq!((answer.attempts.len(), answer.error), (1, Some(GenerateError::Cancelled)));
    let again = scene.run(POLICY);
    assert_eq!((again.attempts.len(), again.error), (0, Some(GenerateError::Cancelled)));
    assert_eq!(scene.model.calls().len(), 1);
}

#[test]
fn a_dropped_stream_counts_as_abandoned() {
    let scene = Scene::new([Behaviour::Hang, Behaviour::Echo]);
    let mut hanging = scene.model.generate(&server(), prompt(), CancellationToken::new());
    assert!(hanging.next().now_or_never().is_none());
    drop(hanging);
    assert_eq!((scene.model.open(), scene.model.abandoned()), (0, 1));
    let echo = scene.model.generate(&server(), prompt(), CancellationToken::new());
    let said: Vec<_> = echo.collect::<Vec<_>>().now_or_never().unwrap();
    assert!(said[..2] == [Chunk::Text("good ".to_owned()), Chunk::Text("morning".to_owned())]);
    assert_eq!(scene.model.abandoned(), 1);
}

#[test]
#[should_panic(expected = "the scripted model panics")]
fn a_scripted_panic_goes_through_the_turn() {
    Scene::new([Behaviour::Panic]).run(POLICY);
}
