use super::super::*;
use super::scene::*;
use crate::scripted::Behaviour;

/// A turn with something of everything to wait for.
fn script() -> Vec<Behaviour> {
    let slowly = |text: &str| Behaviour::SaySlowly { ms: 10, text: text.to_owned() };
    vec![
        slowly("half an answer that is never"),
        Behaviour::Fail(GenerateError::Unreachable),
        Behaviour::Calls(vec![call("a", "look", "1"), call("b", "look", "2")]),
        Behaviour::SayThenFail { text: "no".to_owned(), error: GenerateError::Cut },
        slowly("and here it is"),
    ]
}

#[test]
fn cancelling_at_any_moment_ends_the_turn_and_settles_the_purse() {
    let mut finished = false;
    for moment in 0.. {
        let (mut scene, wallet) = Scene::with_money(script(), 1_000_000);
        let answer = scene.run_watching(POLICY, |cancel, waited| {
            if waited == moment {
                cancel.cancel();
            }
        });
        assert!(wallet.is_settled(), "{moment}");
        assert_eq!(wallet.settled().iter().sum::<u64>(), answer.work.cost().0);
        assert_eq!(scene.model.open(), 0);
        if !scene.cancel.is_cancelled() {
            assert!(answer.end == said("half an answer that is never"));
            finished = true;
            break;
        }
        assert!(answer.end == AnswerEnd::Cancelled, "{moment}");
        let used = answer.work.usage();
        assert!(used.input_tokens > 0, "what was begun is paid for");
    }
    assert!(finished);
}

#[test]
fn cancelling_during_pauses_tools_and_later_rounds_ends_the_turn_too() {
    let mut ends = Vec::new();
    for moment in 0.. {
        let (mut scene, wallet) = Scene::with_money(script()[1..].to_vec(), 1_000_000);
        let answer = scene.run_watching(POLICY, |cancel, waited| {
            if waited == moment {
                cancel.cancel();
            }
        });
        assert!(wallet.is_settled(), "{moment}");
        assert_eq!(scene.model.open(), 0);
        if !scene.cancel.is_cancelled() {
            assert!(answer.end == said("and here it is"));
            break;
        }
        assert!(answer.end == AnswerEnd::Cancelled, "{moment}");
        ends.push((answer.work.attempts.len(), answer.work.tool_calls.len()));
    }
    // In the pause of the first round, in that of the second, and at each word.
    assert_eq!(ends, [(1, 0), (3, 2), (4, 2), (4, 2), (4, 2), (4, 2)]);
}

#[test]
fn a_turn_that_is_cancelled_before_it_begins_asks_nobody() {
    let (mut scene, wallet) = Scene::with_money([say("hello")], 1_000);
    scene.cancel.cancel();
    let answer = scene.run(POLICY);
    assert!(answer.end == AnswerEnd::Cancelled);
    assert!(answer.work.attempts.is_empty() && scene.model.calls().is_empty());
    assert!(wallet.reserved().is_empty());
}

#[test]
fn cancelling_while_a_tool_works_records_that_nobody_knows_what_it_did() {
    let mut scene =
        Scene::with_tools([Behaviour::Calls(vec![call("a", "hang", "{}"), call("b", "look", "1")])]);
    let answer = scene.run_watching(POLICY, |cancel, _| cancel.cancel());
    assert!(answer.end == AnswerEnd::Cancelled);
    let record = &answer.work.tool_calls[0];
    assert_eq!((answer.work.tool_calls.len(), record.outcome), (1, ToolOutcome::Failed));
    assert!(record.problem.as_deref().is_some_and(|problem| problem.contains("whether or not")));
}

#[test]
fn cancelling_while_moderation_works_ends_the_turn() {
    let mut scene = Scene::new([say("hello")]);
    scene.model.hangs_services(true);
    let moderation = Moderation { before: true, ..Moderation::default() };
    let answer = scene.run_watching(AnswerPolicy { moderation, ..POLICY }, |cancel, _| cancel.cancel());
    assert!(answer.end == AnswerEnd::Cancelled && scene.model.calls().is_empty());
}

#[test]
fn what_was_used_before_a_cancellation_is_counted() {
    let mut scene = Scene::new([Behaviour::SaySlowly { ms: 10, text: "one two three".to_owned() }]);
    scene.prices = prices();
    let answer = scene.run_watching(POLICY, |cancel, waited| {
        if waited == 2 {
            cancel.cancel();
        }
    });
    assert!(answer.end == AnswerEnd::Cancelled);
    assert_eq!(scene.heard.last().map(String::as_str), Some("one two "));
    assert_eq!(answer.work.usage().input_tokens, 9);
    assert!((2..=4).contains(&answer.work.usage().output_tokens));
    assert_eq!(answer.work.cost().0, 9 + 2 * answer.work.usage().output_tokens);
}

#[test]
fn a_call_that_decides_for_a_breaker_and_is_cancelled_leaves_the_decision_to_the_next() {
    let mut scene = Scene::new([Behaviour::Fail(GenerateError::Unreachable)]);
    for _ in 0..5 {
        scene.run(AnswerPolicy { attempts_max: 1, ..POLICY });
    }
    assert_eq!(scene.breakers.open(), 1);
    scene.clock.advance_millis(BREAKER.open_ms);
    scene.model.follow([Behaviour::Hang, say("back")]);
    assert!(scene.run_watching(POLICY, |cancel, _| cancel.cancel()).end == AnswerEnd::Cancelled);
    scene.cancel = CancellationToken::new();
    assert!(scene.run(POLICY).end == said("back"));
}
