use std::sync::Arc;

use proptest::prelude::*;

use super::super::*;
use super::scene::*;
use crate::generate::{Chunk, FinishReason};
use crate::money::Unlimited;
use crate::scripted::Behaviour;
use crate::tokens::TokenCounter;

/// What is set aside for the chunk that goes beyond a limit: 16 tokens.
const CHUNK: u64 = 2 * 16;

fn tokens(scene: &Scene) -> u64 {
    scene.prompt.tokens as u64
}

#[test]
fn money_is_set_aside_before_a_call_and_settled_after_it() {
    let (mut scene, wallet) = Scene::with_money([say("hello")], 10_000);
    let answer = scene.run(POLICY);
    assert!(answer.end == said("hello"));
    let input = tokens(&scene);
    assert_eq!(wallet.reserved(), [input + 200 + CHUNK], "the prompt, the longest answer and a chunk");
    let spent = input + 2 * TokenCounter::count("hello") as u64;
    assert_eq!(wallet.settled(), [spent]);
    assert_eq!((answer.work.cost(), wallet.left()), (Cost(spent), 10_000 - spent));
}

#[test]
fn without_enough_for_a_few_words_nobody_is_asked() {
    let (scene, _) = Scene::with_money([], 0);
    let just_too_little = tokens(&scene) + 2 * 32 + CHUNK - 1;
    let (mut scene, wallet) = Scene::with_money([say("hello")], just_too_little);
    let answer = scene.run(POLICY);
    assert!(answer.end == AnswerEnd::OverBudget);
    assert!(answer.work.attempts.is_empty() && scene.model.calls().is_empty());
    assert!(answer.work.problem.is_some());
    assert_eq!(wallet.left(), just_too_little);
    let (mut scene, _) = Scene::with_money([say("hello")], just_too_little + 1);
    assert!(scene.run(POLICY).end == said("hello"));
    assert_eq!(scene.model.calls()[0].output_tokens_max, 32);
}

#[test]
fn a_stream_is_stopped_where_its_money_is_spent() {
    let long = "word ".repeat(500);
    let (scene, _) = Scene::with_money([], 0);
    let money = tokens(&scene) + 2 * 40 + CHUNK;
    let (mut scene, wallet) = Scene::with_money([say(&long)], money);
    let answer = scene.run(POLICY);
    assert!(answer.end == AnswerEnd::OverBudget);
    assert_eq!(scene.model.calls()[0].output_tokens_max, 40);
    assert_eq!(scene.model.abandoned(), 1, "the server is told to stop");
    let attempt = &answer.work.attempts[0];
    assert!((39..=41).contains(&attempt.usage.output_tokens), "{}", attempt.usage.output_tokens);
    assert!(attempt.problem.as_deref().is_some_and(|problem| problem.contains("money")));
    assert!(wallet.left() <= CHUNK + 2 && wallet.is_settled());
}

#[test]
fn a_server_that_stops_where_the_money_ends_has_not_answered() {
    let cut = Chunk::Finished {
        reason: FinishReason::Length,
        usage: Some(Usage { input_tokens: 30, output_tokens: 40 }),
    };
    let half = Behaviour::Chunks(vec![Chunk::Text("half".to_owned()), cut]);
    let (scene, _) = Scene::with_money([], 0);
    let (mut scene, wallet) = Scene::with_money([half], tokens(&scene) + 2 * 40 + CHUNK);
    assert!(scene.run(POLICY).end == AnswerEnd::OverBudget);
    assert_eq!(wallet.settled(), [110]);
}

#[test]
fn calls_that_cost_more_than_there_was_are_not_carried_out() {
    let (scene, _) = Scene::with_money([], 0);
    let long = Behaviour::Calls(vec![call("a", "look", &"x ".repeat(200))]);
    let (mut scene, wallet) = Scene::with_money([long], tokens(&scene) + 2 * 40 + CHUNK);
    let answer = scene.run(POLICY);
    assert!(answer.end == AnswerEnd::OverBudget);
    assert!(scene.tools.calls.is_empty() && wallet.left() == 0 && wallet.is_settled());
}

#[test]
fn a_server_that_says_more_than_it_was_asked_for_is_stopped_too() {
    let (mut scene, wallet) = Scene::with_money([say(&"word ".repeat(5_000))], 1_000_000);
    let answer = scene.run(POLICY);
    let AnswerEnd::Said(text) = &answer.end else { panic!("it did not answer") };
    assert!(TokenCounter::count(text) <= 102);
    assert!(wallet.settled()[0] <= tokens(&scene) + 2 * 102);
}

#[test]
fn a_turn_has_a_budget_of_its_own_without_any_purse() {
    let looks = Behaviour::Calls(vec![call("a", "look", "1")]);
    let mut scene = Scene::with_tools([looks]);
    (scene.purse, scene.prices) = (Box::new(Unlimited), prices());
    let budget = Cost(tokens(&scene) * 2 + 150);
    let answer = scene.run(AnswerPolicy { turn_budget: Some(budget), rounds_max: 20, ..POLICY });
    assert!(answer.end == AnswerEnd::OverBudget);
    assert!(answer.work.cost() <= budget && answer.work.attempts.len() == 2);
}

#[test]
fn every_attempt_is_paid_for() {
    let cut = Behaviour::SayThenFail { text: "hal".to_owned(), error: GenerateError::Cut };
    let refused = Behaviour::Fail(GenerateError::Unreachable);
    let (mut scene, wallet) = Scene::with_money([cut, refused, say("hello")], 10_000);
    let answer = scene.run(POLICY);
    assert!(answer.end == said("hello"));
    let settled = wallet.settled();
    assert_eq!((settled.len(), settled[1]), (3, 0));
    assert_eq!(settled.iter().sum::<u64>(), answer.work.cost().0);
}

#[test]
fn a_model_without_a_price_costs_nothing() {
    let (mut scene, wallet) = Scene::with_money([say("hello")], 1);
    scene.prices = Prices::default();
    let answer = scene.run(POLICY);
    assert!(answer.end == said("hello"));
    assert_eq!((answer.work.attempts[0].cost, wallet.reserved().len()), (None, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a model does and however little money there is: it is never overspent, where its chunks
    /// are small, and nothing stays set aside.
    #[test]
    fn a_purse_is_never_overspent(
        left in 0_u64..2_000,
        script in prop::collection::vec((0_u8..5, 1_usize..200), 1..8),
    ) {
        let script = script.into_iter().map(|(kind, words)| match kind {
            0 => say(&"word ".repeat(words)),
            1 => Behaviour::SayThenFail { text: "word ".repeat(words), error: GenerateError::Cut },
            2 => Behaviour::Fail(GenerateError::Unreachable),
            3 => Behaviour::Calls(vec![call("a", "look", &"x ".repeat(words % 4))]),
            _ => Behaviour::Hang,
        });
        let (mut scene, wallet) = Scene::with_money(script, left);
        let answer = scene.run(AnswerPolicy { turn_ms: 5_000, ..POLICY });
        prop_assert!(wallet.is_settled());
        let spent = wallet.settled().iter().sum::<u64>();
        prop_assert_eq!(spent, answer.work.cost().0);
        prop_assert!(spent <= left, "{} of {}", spent, left);
        let reserved = wallet.reserved();
        prop_assert!(reserved.iter().all(|reserved| *reserved <= left));
        drop(Arc::clone(&wallet));
    }
}
