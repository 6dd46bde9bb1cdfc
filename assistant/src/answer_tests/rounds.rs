use iassistance_domain::pii::Reply;

use super::super::*;
use super::scene::*;
use crate::generate::Role;
use crate::scripted::Behaviour;

fn looks(arguments: &str) -> Behaviour {
    Behaviour::Calls(vec![call("c1", "look", arguments)])
}

#[test]
fn what_a_tool_answers_is_read_before_the_answer_is_given() {
    let script = [looks("{\"q\":1}"), say("it is one")];
    let mut scene = Scene::with_tools(script);
    let answer = scene.run(POLICY);
    assert!(answer.end == said("it is one"));
    assert_eq!(scene.heard, ["> look 1", "< look Done", "it ", "it is ", "it is one"]);
    let second = &scene.model.calls()[1];
    assert_eq!(second.last_tool_answer(), "it says {\"q\":1}");
    assert_eq!(second.arguments(), ["{\"q\":1}"]);
    let roles: Vec<_> = second.messages.iter().map(|(role, _)| *role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool]);
    let attempts = &answer.work.attempts;
    assert_eq!(attempts.iter().map(|attempt| attempt.round).collect::<Vec<_>>(), [1, 2]);
    assert!(attempts[0].usage.output_tokens > 0, "calls are paid for too");
    assert!(attempts[1].usage.input_tokens > attempts[0].usage.input_tokens);
    assert_eq!(answer.work.tool_calls.len(), 1);
    assert!(answer.work.citations == [citation()]);
}

#[test]
fn several_calls_of_a_round_are_answered_in_order() {
    let calls = vec![call("a", "look", "1"), call("b", "nothing like it", "{"), call("c", "look", "3")];
    let mut scene =
        Scene::with_tools([Behaviour::SayThenCalls { text: "wait".to_owned(), calls }, say("done")]);
    assert!(scene.run(POLICY).end == said("done"));
    let calls = scene.model.calls();
    let told: Vec<_> = calls[1].calls.iter().map(|call| (call.id.as_str(), call.name.as_str())).collect();
    assert_eq!(told, [("a", "look"), ("b", "nothing_like_it"), ("c", "look")], "names as servers take them");
    let read: Vec<_> = calls[1].messages[1..].iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(read, ["wait", "it says 1", "there is no such tool", "it says 3"]);
    assert_eq!(scene.tools.calls.len(), 3);
}

#[test]
fn a_model_that_has_said_it_all_beside_its_calls_has_answered() {
    let said_first =
        Behaviour::SayThenCalls { text: "noted!".to_owned(), calls: vec![call("a", "look", "1")] };
    let mut scene = Scene::with_tools([said_first, say("")]);
    assert!(scene.run(POLICY).end == said("noted!"));
}

#[test]
fn a_tool_can_end_the_turn() {
    let calls = vec![call("a", "end", "{}"), call("b", "look", "1")];
    let mut scene = Scene::with_tools([Behaviour::Calls(calls), say("never")]);
    let answer = scene.run(POLICY);
    assert!(answer.end == AnswerEnd::Ended);
    assert_eq!((scene.model.calls().len(), scene.tools.calls.len()), (1, 2));
}

#[test]
fn a_model_that_calls_tools_for_ever_is_asked_once_more_without_them() {
    let until_told =
        Behaviour::doing(|call| if call.tools.is_empty() { say("that is all I found") } else { looks("1") });
    let mut scene = Scene::with_tools([until_told]);
    let answer = scene.run(AnswerPolicy { rounds_max: 3, ..POLICY });
    assert!(answer.end == said("that is all I found"));
    let calls = scene.model.calls();
    let tools: Vec<_> = calls.iter().map(|call| call.tools.len()).collect();
    assert_eq!(tools, [4, 4, 4, 0]);

    let mut scene = Scene::with_tools([looks("1")]);
    let answer = scene.run(AnswerPolicy { rounds_max: 3, ..POLICY });
    assert!(answer.end == AnswerEnd::Failed(GenerateError::UnaskedCalls));
    assert_eq!((scene.model.calls().len(), scene.tools.calls.len()), (4, 3));
    assert_eq!(problems(&answer)[3], Some(GenerateError::UnaskedCalls.to_string()));
}

#[test]
fn calls_where_there_are_no_tools_are_not_carried_out() {
    let both = Behaviour::SayThenCalls { text: "hello".to_owned(), calls: vec![call("a", "look", "1")] };
    let mut scene = Scene::new([both]);
    assert!(scene.run(POLICY).end == said("hello"));
    assert!(scene.tools.calls.is_empty());
    let mut scene = Scene::with_tools([looks("1")]);
    let answer = scene.run(AnswerPolicy { rounds_max: 0, ..POLICY });
    assert!(answer.end == AnswerEnd::Failed(GenerateError::UnaskedCalls));
    assert!(scene.tools.calls.is_empty());
}

#[test]
fn a_tool_that_hangs_ends_with_the_turn_and_is_recorded() {
    let mut scene = Scene::with_tools([Behaviour::Calls(vec![call("a", "hang", "{\"x\":1}")])]);
    let answer = scene.run(AnswerPolicy { turn_ms: 5_000, ..POLICY });
    assert!(answer.end == AnswerEnd::Failed(GenerateError::DeadlineTurn { ms: 5_000 }));
    let record = &answer.work.tool_calls[0];
    assert_eq!((record.name.as_str(), record.outcome), ("hang", ToolOutcome::TimedOut));
    assert_eq!(record.ended_at.millis_since(record.started_at), 5_000);
    assert_eq!(record.arguments.reveal(Reply), "{\"x\":1}");
    assert_eq!(scene.heard, ["> hang 1", "< hang TimedOut"]);
}

#[test]
fn a_round_that_fails_is_tried_again_without_calling_the_tools_again() {
    let cut = Behaviour::SayThenFail { text: "so".to_owned(), error: GenerateError::Cut };
    let mut scene = Scene::with_tools([looks("1"), cut, say("so it is")]);
    assert!(scene.run(POLICY).end == said("so it is"));
    assert_eq!(scene.tools.calls.len(), 1);
    assert_eq!(scene.model.calls()[2].calls.len(), 1);
}

#[test]
fn answers_of_tools_are_cut_where_there_is_no_room_and_then_there_are_no_more_tools() {
    let long = "word ".repeat(20_000);
    let mut scene = Scene::with_tools([looks(&long), say("done")]);
    scene.prompt.tokens_max = 30_000;
    assert!(scene.run(POLICY).end == said("done"));
    let calls = scene.model.calls();
    assert!(calls[1].last_tool_answer().ends_with("[cut here: too long]"));
    assert!(calls[1].tools.is_empty());
}
