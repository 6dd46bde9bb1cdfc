use super::super::*;
use super::scene::*;
use crate::scripted::Behaviour;

const OVERLOADED: GenerateError = GenerateError::Server { status: 503, retry_after_ms: None };

/// A server on which only these models answer.
fn only(models: &'static [&'static str]) -> Behaviour {
    Behaviour::doing(|call| {
        if models.contains(&call.server.model.as_str()) {
            Behaviour::Say(format!("I am {}", call.server.model))
        } else {
            Behaviour::Fail(OVERLOADED)
        }
    })
}

fn asked(scene: &Scene) -> Vec<String> {
    scene.model.calls().into_iter().map(|call| call.server.model).collect()
}

#[test]
fn other_models_are_asked_in_order() {
    let mut scene = Scene::new([only(&["third"])]);
    scene.fallbacks = vec!["second".to_owned(), "third".to_owned()];
    let answer = scene.run(AnswerPolicy { attempts_max: 2, ..POLICY });
    assert!(answer.end == said("I am third"));
    assert_eq!(asked(&scene), ["small", "small", "second", "second", "third"]);
    let recorded: Vec<_> = answer.work.attempts.iter().map(|attempt| attempt.model.clone()).collect();
    assert_eq!(recorded, asked(&scene));
}

#[test]
fn a_model_that_is_not_known_or_asks_for_too_much_patience_is_not_asked_twice() {
    for error in [
        GenerateError::BadRequest { status: 404, code: Some("model_not_found".to_owned()) },
        GenerateError::RateLimited { retry_after_ms: Some(120_000) },
        GenerateError::Filtered,
    ] {
        let mut scene = Scene::new([Behaviour::Fail(error), say("hello")]);
        scene.fallbacks = vec!["second".to_owned()];
        assert!(scene.run(POLICY).end == said("hello"));
        assert_eq!(asked(&scene), ["small", "second"]);
    }
}

#[test]
fn where_no_model_answers_the_last_error_is_told() {
    let mut scene = Scene::new([Behaviour::Fail(OVERLOADED), Behaviour::Fail(GenerateError::Garbage)]);
    scene.fallbacks = vec!["second".to_owned()];
    let answer = scene.run(AnswerPolicy { attempts_max: 1, ..POLICY });
    assert!(answer.end == AnswerEnd::Failed(GenerateError::Garbage));
}

#[test]
fn a_server_that_may_not_be_called_is_not_called_for_another_model() {
    let refused = GenerateError::Refused { host: "evil.example".to_owned() };
    let mut scene = Scene::new([Behaviour::Fail(refused.clone()), say("hello")]);
    scene.fallbacks = vec!["second".to_owned()];
    assert!(scene.run(POLICY).end == AnswerEnd::Failed(refused));
    assert_eq!(asked(&scene), ["small"]);
}

#[test]
fn a_turn_stays_with_the_model_that_answered() {
    let calls = Behaviour::Calls(vec![call("a", "look", "1")]);
    let mut scene = Scene::with_tools([Behaviour::Fail(GenerateError::Filtered), calls, say("done")]);
    scene.fallbacks = vec!["second".to_owned()];
    assert!(scene.run(POLICY).end == said("done"));
    assert_eq!(asked(&scene), ["small", "second", "second"]);
}

#[test]
fn a_server_that_failed_often_is_spared_and_asked_again_later() {
    let mut scene = Scene::new([Behaviour::Fail(OVERLOADED)]);
    for _ in 0..2 {
        scene.run(POLICY);
    }
    // The sixth call was not made: five failures were enough.
    assert_eq!((scene.model.calls().len(), scene.breakers.open()), (5, 1));
    let answer = scene.run(POLICY);
    assert!(matches!(answer.end, AnswerEnd::Failed(GenerateError::Spared { .. })));
    assert_eq!((scene.model.calls().len(), answer.work.attempts.len()), (5, 1));
    assert_eq!(answer.work.usage(), Usage::default());

    scene.clock.advance_millis(BREAKER_OPEN_MS);
    scene.model.follow([say("back")]);
    assert!(scene.run(POLICY).end == said("back"));
    assert_eq!(scene.breakers.open(), 0);
}

const BREAKER_OPEN_MS: u64 = BREAKER.open_ms;

#[test]
fn while_a_model_is_spared_the_next_is_asked_at_once() {
    let mut scene = Scene::new([only(&["second"])]);
    scene.fallbacks = vec!["second".to_owned()];
    for _ in 0..2 {
        assert!(scene.run(POLICY).end == said("I am second"));
    }
    assert_eq!(scene.breakers.open(), 1);
    let before = scene.clock.now();
    assert!(scene.run(POLICY).end == said("I am second"));
    assert_eq!(scene.clock.now(), before, "no pause, no attempt in vain");
}

#[test]
fn what_is_not_the_servers_fault_spares_nobody() {
    for error in [
        GenerateError::Auth,
        GenerateError::NoCredit,
        GenerateError::Filtered,
        GenerateError::BadRequest { status: 400, code: None },
        GenerateError::RateLimited { retry_after_ms: None },
    ] {
        let mut scene = Scene::new([Behaviour::Fail(error)]);
        for _ in 0..10 {
            scene.run(AnswerPolicy { attempts_max: 1, ..POLICY });
        }
        assert_eq!((scene.model.calls().len(), scene.breakers.open()), (10, 0));
    }
}
