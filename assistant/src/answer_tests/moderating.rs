use super::super::*;
use super::scene::*;
use crate::scripted::{Behaviour, ServiceCall};

fn policy(before: bool, after: bool) -> AnswerPolicy {
    AnswerPolicy { moderation: Moderation { before, after, ..Moderation::default() }, ..POLICY }
}

fn judged(scene: &Scene) -> Vec<Vec<String>> {
    let calls = scene.model.service_calls().into_iter();
    calls
        .map(|call| match call {
            ServiceCall::Moderate { model, texts } if model == "moderator" => texts,
            _ => panic!("something else was asked"),
        })
        .collect()
}

#[test]
fn what_is_asked_and_what_is_answered_are_judged() {
    let mut scene = Scene::new([say("hello")]);
    let answer = scene.run(policy(true, true));
    assert!(answer.end == said("hello"));
    assert_eq!(judged(&scene), [["good morning"], ["hello"]]);
    let judgements = &answer.work.judgements;
    assert_eq!(judgements.iter().map(|judgement| judgement.of_answer).collect::<Vec<_>>(), [false, true]);
    assert!(judgements.iter().all(|judgement| !judgement.objects && judgement.problem.is_none()));
}

#[test]
fn what_moderation_objects_to_is_not_read_by_a_model() {
    let mut scene = Scene::new([say("hello")]);
    scene.model.objects_to("MORNING");
    let answer = scene.run(policy(true, true));
    assert!(answer.end == AnswerEnd::Objected { of_answer: false });
    assert!(scene.model.calls().is_empty());
    assert_eq!(answer.work.judgements[0].categories, ["harassment"]);
}

#[test]
fn what_moderation_objects_to_is_not_said() {
    let mut scene = Scene::new([say("you fool")]);
    scene.model.objects_to("fool");
    let answer = scene.run(policy(false, true));
    assert!(answer.end == AnswerEnd::Objected { of_answer: true });
    assert_eq!(answer.work.attempts.len(), 1);
    // Also where a tool says it.
    let buttons = Behaviour::Calls(vec![call("a", "send_buttons", "{\"body\":\"you fool\"}")]);
    let mut scene = Scene::with_tools([buttons]);
    scene.model.objects_to("fool");
    assert!(scene.run(policy(false, true)).end == AnswerEnd::Objected { of_answer: true });
    let ends = Behaviour::Calls(vec![call("a", "end", "{\"reason\":\"he says fool\"}")]);
    let mut scene = Scene::with_tools([ends]);
    scene.model.objects_to("fool");
    assert!(scene.run(policy(false, true)).end == AnswerEnd::Ended, "the contact does not read this");
}

#[test]
fn what_nobody_could_judge_is_not_sent() {
    let mut scene = Scene::new([say("hello")]);
    scene.model.fails_services([GenerateError::Unreachable]);
    assert!(scene.run(policy(false, true)).end == said("hello"), "it is tried again");
    let mut scene = Scene::new([say("hello")]);
    scene.model.fails_services(vec![GenerateError::Unreachable; 3]);
    let answer = scene.run(policy(false, true));
    assert!(answer.end == AnswerEnd::Failed(GenerateError::Unreachable));
    assert_eq!(answer.work.judgements[0].problem, Some(GenerateError::Unreachable.to_string()));
    let mut scene = Scene::new([say("hello")]);
    scene.model.hangs_services(true);
    let answer = scene.run(policy(true, false));
    assert!(answer.end == AnswerEnd::Failed(GenerateError::DeadlineTurn { ms: POLICY.turn_ms }));
    assert!(scene.model.calls().is_empty());
}

#[test]
fn where_nobody_wrote_nothing_is_judged_before() {
    let mut scene = Scene::new([say("hello")]);
    scene.prompt.covered_messages = 0;
    assert!(scene.run(policy(true, false)).end == said("hello"));
    assert!(scene.model.service_calls().is_empty());
}
