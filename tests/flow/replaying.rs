//! What the assistant would say by other settings: turns that were, beside what they would be now.

use futures::StreamExt;
use iassistance::replay::{self, Compared};
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::assistant::{AssistantSettings, Disclosure};

use crate::harness::{Flow, Options, assistant};

async fn compared(flow: &Flow, settings: &AssistantSettings, limit: usize) -> Vec<Compared> {
    let store = flow.store(0).await;
    let turns = replay::turns(&*store, None, limit).await.unwrap();
    let again = replay::compare(&flow.app.engine, flow.ctx(), &*store, settings, turns);
    again.map(|compared| compared.unwrap().unwrap()).collect().await
}

#[actix::test]
async fn turns_that_were_are_asked_again_and_nothing_comes_of_it_but_a_comparison() {
    let options =
        Options { model: Some(vec![Behaviour::Say("We open at nine.".into())]), ..Options::default() };
    let flow = Flow::with(options).await;
    flow.app
        .engine
        .put_assistant(
            flow.ctx(),
            AssistantSettings { disclosure: Disclosure::default(), ..assistant() },
            None,
        )
        .await
        .unwrap();
    flow.simulator.say("ana", "When do you open?").unwrap();
    flow.sends(1).await;
    flow.simulator.say("ana", "And when do you close?").unwrap();
    flow.sends(2).await;
    flow.quiet(0).await;
    let (events, calls) = (flow.events(0).await.len(), flow.model.calls().len());

    flow.model.follow([Behaviour::doing(|call| {
        assert_eq!(call.server.model, "another-model");
        match call.last_words() {
            words if words.contains("close") => {
                assert!(call.messages.iter().any(|(_, text)| text.contains("When do you open?")));
                Behaviour::call("handover_to_human", r#"{"reason":"not known"}"#)
            }
            _ => {
                // What was said later is not known yet.
                assert!(!call.messages.iter().any(|(_, text)| text.contains("close")));
                Behaviour::Say("We open at NINE.".into())
            }
        }
    })]);
    let tried = AssistantSettings { model: Some("another-model".into()), ..assistant() };
    let [newest, oldest] = compared(&flow, &tried, 10).await.try_into().ok().unwrap();
    assert_eq!(newest.asked, "And when do you close?");
    assert!(newest.now.handed_over && !newest.then.handed_over);
    assert_eq!(newest.differences, ["tools: none → handover_to_human", "asks for a person now"]);
    // What the platform says of itself is no part of the comparison.
    assert_eq!(
        (oldest.then.text.as_str(), oldest.now.text.as_str()),
        ("We open at nine.", "We open at NINE.")
    );
    assert_eq!((oldest.likeness, oldest.differences.len()), (100, 0));
    assert!(flow.model.calls().len() > calls);
    assert_eq!(compared(&flow, &tried, 1).await.len(), 1);

    flow.quiet(0).await;
    assert_eq!(flow.events(0).await.len(), events, "nothing is written in the log");
    assert_eq!(flow.simulator.all_sends().len(), 2, "nothing is sent");
    flow.finish().await;
}
