use futures::{FutureExt, StreamExt};

use super::super::*;
use super::scene::*;
use crate::generate::{Chunk, FinishReason};
use crate::scripted::Behaviour;
use crate::tokens::TokenCounter;

#[test]
fn an_answer_is_heard_as_it_comes_and_recorded() {
    let mut scene = Scene::new([Behaviour::SayAfter { ms: 70, text: " hello there ".to_owned() }]);
    let answer = scene.run(POLICY);
    assert!(answer.end == said("hello there"));
    assert_eq!(scene.heard, [" ", " hello ", " hello there "]);
    let attempt = &answer.work.attempts[0];
    assert_eq!((attempt.model.as_str(), attempt.first_token_ms, attempt.round), ("small", Some(70), 1));
    assert_eq!(attempt.ended_at.millis_since(attempt.started_at), 70);
    assert_eq!(attempt.usage.input_tokens, 9);
    assert_eq!(attempt.usage.output_tokens, TokenCounter::count(" hello there ") as u64);
    assert_eq!((attempt.cost, attempt.problem.as_deref()), (None, None));
    assert_eq!(answer.work.prompt_sha256, Some(prompt().sha256()));
    assert_eq!(scene.model.calls()[0].last_words(), "good morning");
    assert!(scene.model.service_calls().is_empty());
}

#[test]
fn what_may_pass_is_tried_again_and_each_try_is_recorded() {
    let cut = Behaviour::SayThenFail { text: "hal".to_owned(), error: GenerateError::Cut };
    let overloaded = GenerateError::Server { status: 503, retry_after_ms: None };
    let mut scene = Scene::new([cut, Behaviour::Fail(overloaded.clone()), say("hello")]);
    let answer = scene.run(POLICY);
    assert!(answer.end == said("hello"));
    assert_eq!(scene.heard, ["hal", "hello"]);
    assert_eq!(problems(&answer), [Some(GenerateError::Cut.to_string()), Some(overloaded.to_string()), None]);
    let attempts = &answer.work.attempts;
    let used: Vec<_> = attempts.iter().map(|attempt| attempt.usage.input_tokens).collect();
    assert_eq!(used, [9, 0, 9], "what was refused outright costs nothing");
    let pause = |index: usize| attempts[index + 1].started_at.millis_since(attempts[index].ended_at);
    assert!((250..=500).contains(&pause(0)), "{}", pause(0));
    assert!((500..=1_000).contains(&pause(1)), "{}", pause(1));
}

#[test]
fn a_server_that_says_when_is_not_asked_before() {
    let limited = GenerateError::RateLimited { retry_after_ms: Some(7_000) };
    let mut scene = Scene::new([Behaviour::Fail(limited), say("hello")]);
    let answer = scene.run(POLICY);
    assert!(answer.end == said("hello"));
    let pause = answer.work.attempts[1].started_at.millis_since(answer.work.attempts[0].ended_at);
    assert!((7_250..=7_500).contains(&pause), "{pause}");

    let later = GenerateError::RateLimited { retry_after_ms: Some(600_000) };
    let mut scene = Scene::new([Behaviour::Fail(later.clone())]);
    let answer = scene.run(POLICY);
    assert!(answer.work.attempts.len() == 1 && answer.end == AnswerEnd::Failed(later));
}

#[test]
fn there_is_an_end_to_trying() {
    let mut scene = Scene::new([Behaviour::Fail(GenerateError::Unreachable)]);
    let answer = scene.run(POLICY);
    assert!(answer.work.attempts.len() == 3 && answer.end == AnswerEnd::Failed(GenerateError::Unreachable));
    let mut scene = Scene::new([Behaviour::Fail(GenerateError::Auth), say("hello")]);
    let answer = scene.run(POLICY);
    assert!(answer.work.attempts.len() == 1 && answer.end == AnswerEnd::Failed(GenerateError::Auth));
    let limited = GenerateError::RateLimited { retry_after_ms: None };
    for retry_ms in [500, u64::MAX] {
        let mut scene = Scene::new([Behaviour::Fail(limited.clone())]);
        let answer = scene.run(AnswerPolicy { attempts_max: 200, retry_ms, turn_ms: u64::MAX, ..POLICY });
        let attempts = &answer.work.attempts;
        assert_eq!(attempts.len(), 200);
        let pauses = attempts.windows(2).map(|two| two[1].started_at.millis_since(two[0].ended_at));
        let pauses: Vec<_> = pauses.collect();
        assert!(pauses.iter().all(|pause| *pause <= 30_000), "{pauses:?}");
        assert!(pauses[20..].iter().all(|pause| *pause >= 15_000), "{pauses:?}");
    }
}

#[test]
fn nothing_to_say_is_no_error() {
    let mut scene = Scene::new([say(" \n ")]);
    let answer = scene.run(POLICY);
    assert!(answer.end == AnswerEnd::Nothing && answer.work.attempts.len() == 1);
}

#[test]
fn a_model_cannot_pass_for_a_person() {
    let mut scene = Scene::new([say("[human colleague] [human colleague]I am Grace")]);
    assert!(scene.run(POLICY).end == said("I am Grace"));
}

#[test]
fn an_answer_that_its_limit_cut_is_said_and_noted() {
    let cut = Chunk::Finished { reason: FinishReason::Length, usage: None };
    let mut scene = Scene::new([Behaviour::Chunks(vec![Chunk::Text("half an".to_owned()), cut])]);
    let answer = scene.run(POLICY);
    assert!(answer.end == said("half an"));
    assert!(problems(&answer)[0].as_deref().is_some_and(|problem| problem.contains("output_tokens_max")));
}

#[test]
fn what_a_server_counts_is_believed() {
    let usage = Some(Usage { input_tokens: 21, output_tokens: 3 });
    let end = |reason| Chunk::Finished { reason, usage };
    let text = Chunk::Text("hi".to_owned());
    let mut scene = Scene::new([Behaviour::Chunks(vec![text, end(FinishReason::Filtered)])]);
    scene.prices = prices();
    let answer = scene.run(POLICY);
    assert!(answer.end == AnswerEnd::Failed(GenerateError::Filtered));
    assert_eq!(answer.work.usage(), Usage { input_tokens: 21, output_tokens: 3 });
    assert_eq!(answer.work.cost(), Cost(27));
}

#[test]
fn a_stream_without_an_end_is_cut() {
    let mut scene = Scene::new([Behaviour::Chunks(vec![Chunk::Text("hi".to_owned())])]);
    let answer = scene.run(AnswerPolicy { attempts_max: 1, ..POLICY });
    assert!(answer.end == AnswerEnd::Failed(GenerateError::Cut));
}

#[test]
fn the_whole_turn_has_a_deadline() {
    let mut scene = Scene::new([Behaviour::Hang]);
    let answer = scene.run(AnswerPolicy { turn_ms: 90_000, ..POLICY });
    assert!(answer.end == AnswerEnd::Failed(GenerateError::DeadlineTurn { ms: 90_000 }));
    assert_eq!(answer.work.usage().input_tokens, 9, "the server may have been at work");
    assert_eq!((scene.model.open(), scene.model.abandoned()), (0, 1));
    // Nobody waits for a pause that ends after it.
    let limited = GenerateError::RateLimited { retry_after_ms: Some(20_000) };
    let mut scene = Scene::new([Behaviour::Fail(limited.clone())]);
    let started = scene.clock.now();
    let answer = scene.run(AnswerPolicy { turn_ms: 10_000, ..POLICY });
    assert!(answer.end == AnswerEnd::Failed(limited));
    assert_eq!(scene.clock.now(), started);
}

#[test]
fn slow_words_come_one_by_one() {
    let mut scene = Scene::new([Behaviour::SaySlowly { ms: 100, text: "one two three".to_owned() }]);
    let answer = scene.run(POLICY);
    let attempt = &answer.work.attempts[0];
    assert_eq!((attempt.first_token_ms, attempt.ended_at.millis_since(attempt.started_at)), (Some(100), 300));
}

#[test]
fn a_dropped_stream_counts_as_abandoned() {
    let scene = Scene::new([Behaviour::Hang, Behaviour::Echo]);
    let mut hanging = scene.model.generate(&server(), &prompt(), CancellationToken::new());
    assert!(hanging.next().now_or_never().is_none());
    drop(hanging);
    assert_eq!((scene.model.open(), scene.model.abandoned()), (0, 1));
    let echo = scene.model.generate(&server(), &prompt(), CancellationToken::new());
    let said: Vec<_> = echo.collect::<Vec<_>>().now_or_never().unwrap();
    assert!(said[..2] == [Chunk::Text("good ".to_owned()), Chunk::Text("morning".to_owned())]);
    assert_eq!((scene.model.abandoned(), scene.model.open_max()), (1, 1));
}

#[test]
#[should_panic(expected = "the scripted model panics")]
fn a_scripted_panic_goes_through_the_turn() {
    Scene::new([Behaviour::Panic]).run(POLICY);
}
