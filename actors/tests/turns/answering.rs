//! What a turn comes to, and what is recorded of it.

use iassistance_assistant::error::GenerateError;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Clock;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::budget::{Budgets, Cost, Day, Instead};
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::conversation::{Control, HandoverReason};
use iassistance_domain::turn::{TurnEnd, WindowEnd};

use crate::world::{START, World, assistant, order_tool, run};

fn say(text: &str) -> Behaviour {
    Behaviour::Say(text.to_owned())
}

#[test]
fn a_newer_message_ends_the_stream_and_what_was_paid_is_recorded() {
    run(|| async {
        let world = World::with(assistant(), [Behaviour::Hang, say("Both.")]).await;
        world.write("One.").await;
        world.until_asked(1).await;
        world.write("Two.").await;
        world.until_said(1).await;
        assert_eq!(world.desk.said(), ["Both."]);
        world.until_abandoned(1).await;
        assert_eq!(world.model.open(), 0);
        world.until("the first is paid", || async { !world.turns().await[0].work.attempts.is_empty() }).await;
        let turns = world.turns().await;
        let ends: Vec<_> = turns.iter().map(|turn| turn.end).collect();
        assert_eq!(ends, [Some(TurnEnd::Superseded), Some(TurnEnd::Answered)]);
        assert!(turns[0].work.usage().input_tokens > 0, "the prompt was paid for");
        assert_eq!((turns[1].covers.len(), turns[1].sent.len()), (2, 1));
        assert_eq!(turns[1].control, Some(Control::Assistant));
        assert!(turns[1].work.prompt_sha256.is_some());
        let asked = world.model.calls()[1].messages.clone();
        let words: Vec<_> = asked.iter().map(|(_, words)| words.as_str()).collect();
        assert!(words.contains(&"One.") && words.contains(&"Two."), "{words:?}");
        world.end().await;
    });
}

#[test]
fn a_machine_says_so_once_and_on_the_record() {
    run(|| async {
        let mut settings = AssistantSettings { quiet_ms: 0, ..assistant() };
        settings.disclosure.enabled = true;
        settings.languages = vec!["pt-BR".into()];
        let world = World::with(settings, [Behaviour::Echo]).await;
        world.write("Oi?").await;
        world.until_said(1).await;
        world.write("E agora?").await;
        world.until_said(2).await;
        let said = world.desk.said();
        assert!(said[0].contains("assistente automático") && said[0].ends_with("\n\nOi?"), "{said:?}");
        assert_eq!(said[1], "E agora?");
        let disclosed: Vec<_> = world.turns().await.iter().map(|turn| turn.disclosed).collect();
        assert_eq!(disclosed, [true, false]);
        assert_eq!(world.events().await.iter().filter(|name| **name == "assistant.disclosed").count(), 1);
        world.end().await;
    });
}

#[test]
fn a_machine_says_so_before_what_is_no_text() {
    run(|| async {
        let mut settings = assistant();
        settings.disclosure.enabled = true;
        settings.built_in.choices = true;
        let arguments = r#"{"body":"Which?","buttons":[{"title":"Red"},{"title":"Blue"}]}"#;
        let world = World::with(settings, [Behaviour::call("send_buttons", arguments)]).await;
        world.write("Which colours?").await;
        world.until_said(2).await;
        let said = world.desk.said();
        assert!(said[0].contains("automated assistant"), "{said:?}");
        assert!(said[1].starts_with("Which?"), "{said:?}");
        let turn = world.turns().await.remove(0);
        assert_eq!((turn.sent.len(), turn.work.tool_calls.len()), (2, 1));
        world.end().await;
    });
}

#[test]
fn something_is_said_once_when_no_answer_can_be_had() {
    run(|| async {
        let settings = AssistantSettings { on_failure: Instead::Human, ..assistant() };
        let world = World::with(settings, [Behaviour::Fail(GenerateError::Auth)]).await;
        world.write("Are you there?").await;
        world.until_said(1).await;
        assert!(world.desk.said()[0].contains("let a person"), "{:?}", world.desk.said());
        let conversation = world.conversation().await;
        let waits = matches!(conversation.control(), Control::Waiting { reason: HandoverReason::Failed, .. });
        assert!(waits, "{:?}", conversation.control());
        world.write("Hello?").await;
        world.quiet().await;
        assert_eq!(world.desk.said().len(), 1, "a person is waited for");
        world.end().await;
    });
}

#[test]
fn a_turn_that_breaks_says_the_fallback() {
    run(|| async {
        let world = World::with(assistant(), [Behaviour::Panic]).await;
        world.write("Are you there?").await;
        world.until_said(1).await;
        assert_eq!(world.desk.said(), ["Sorry."]);
        assert_eq!(world.turns().await[0].end, Some(TurnEnd::Failed));
        world.end().await;
    });
}

#[test]
fn at_the_limit_of_the_money_happens_what_the_tenant_chose() {
    run(|| async {
        let budgets = Budgets { tenant_day: Some(Cost(1)), at_limit: Instead::Silence, ..Budgets::default() };
        let world = World::with(AssistantSettings { budgets, ..assistant() }, [say("Yes.")]).await;
        world.write("Is there any?").await;
        world.until_ended(1).await;
        world.quiet().await;
        assert_eq!(world.desk.said(), Vec::<String>::new());
        assert_eq!(world.turns().await[0].end, Some(TurnEnd::OverBudget));
        assert!(world.model.calls().is_empty(), "nobody was asked");
        assert!(world.tenant().await.dead_letters(None, 10).await.unwrap().is_empty());
        world.end().await;
    });
}

#[test]
fn what_a_turn_costs_is_written_down_with_and_without_a_limit() {
    run(|| async {
        let spent = |budgets| async move {
            let world = World::with(AssistantSettings { budgets, ..assistant() }, [say("Yes.")]).await;
            world.write("Is there any?").await;
            world.until_said(1).await;
            let turn = world.turns().await.remove(0);
            let spent = world.tenant().await.spent(Day::of(START)).await.unwrap();
            assert_eq!(spent, turn.work.cost());
            let in_it = world.tenant().await.spent_in(turn.conversation).await.unwrap();
            assert_eq!(in_it, spent);
            world.end().await;
            spent
        };
        let free = spent(Budgets::default()).await;
        let limited = spent(Budgets { tenant_day: Some(Cost(1_000_000)), ..Budgets::default() }).await;
        assert!(free > Cost(0));
        assert_eq!(free, limited);
    });
}

#[test]
fn what_tools_decide_is_committed_with_the_answer() {
    run(|| async {
        let mut settings = assistant();
        settings.built_in.attributes = true;
        settings.built_in.follow_up = true;
        let noted = Behaviour::call("set_contact_attribute", r#"{"name":"size","value":"42"}"#);
        let planned =
            Behaviour::call("schedule_follow_up", r#"{"after_minutes":60,"about":"whether it fits"}"#);
        let script = [noted, planned, say("I will ask you later."), say("Does it fit?")];
        let world = World::with(settings, script).await;
        world.write("I wear 42.").await;
        world.until("it is said", || async { world.desk.said().len() == 1 }).await;
        let conversation = world.conversation().await;
        assert_eq!(conversation.follow_up_at(), Some(START.plus_millis(3_600_000)));
        let contact = world.tenant().await.contact(conversation.contact).await.unwrap().unwrap();
        assert_eq!(contact.attributes.len(), 1);
        let events = world.events().await;
        assert!(events.contains(&"contact.attributes_changed") && events.contains(&"follow_up.scheduled"));
        world.clock.advance_millis(3_600_000);
        world.until_said(2).await;
        assert_eq!(world.desk.said()[1], "Does it fit?");
        let turn = world.turns().await.remove(1);
        assert_eq!((turn.window_end, turn.covers.len()), (WindowEnd::FollowUp, 0));
        world.end().await;
    });
}

#[test]
fn nothing_that_tools_decided_counts_where_the_turn_was_superseded() {
    run(|| async {
        let mut settings = assistant();
        settings.built_in.attributes = true;
        let noted = Behaviour::call("set_contact_attribute", r#"{"name":"size","value":"42"}"#);
        let world = World::with(settings, [noted, Behaviour::Hang, say("Yes.")]).await;
        world.write("I wear 42.").await;
        world.until_asked(2).await;
        world.write("No, 43.").await;
        world.until_said(1).await;
        let contact = world.conversation().await.contact;
        let contact = world.tenant().await.contact(contact).await.unwrap().unwrap();
        assert!(contact.attributes.is_empty());
        world.end().await;
    });
}

#[test]
fn what_was_done_in_the_world_is_not_done_again_by_the_turn_that_answers_instead() {
    run(|| async {
        let settings = AssistantSettings { tools: vec![order_tool()], ..assistant() };
        let order = || Behaviour::call("place_order", "{}");
        let script = [order(), Behaviour::Hang, order(), say("Ordered."), order(), say("And again.")];
        let world = World::with(settings, script).await;
        world.write("Order one.").await;
        world.until_asked(2).await;
        assert_eq!(world.tools.called().len(), 1);
        world.write("Thank you!").await;
        world.until_said(1).await;
        assert_eq!(world.tools.called().len(), 1, "the order was placed already");
        let calls = &world.turns().await[1].work.tool_calls;
        assert_eq!((calls.len(), calls[0].tries), (1, 0));
        world.write("Another one, please.").await;
        world.until_said(2).await;
        assert_eq!(world.tools.called().len(), 2, "this is another one");
        world.end().await;
    });
}

#[test]
fn an_assistant_gives_the_conversation_to_a_person_with_the_reason_on_the_record() {
    run(|| async {
        let asks = Behaviour::call("handover_to_human", r#"{"reason":"wants to complain"}"#);
        let world = World::with(assistant(), [asks]).await;
        world.write("I want to complain!").await;
        world.until_said(1).await;
        let turn = world.turns().await.remove(0);
        assert_eq!(turn.end, Some(TurnEnd::HandedOver));
        assert!(matches!(turn.control, Some(Control::Waiting { reason: HandoverReason::Asked, .. })));
        assert!(turn.work.handover_reason.is_some());
        world.end().await;
    });
}

#[test]
fn typing_is_shown_again_while_it_takes_long() {
    run(|| async {
        let slowly = Behaviour::SayAfter { ms: 50_000, text: "There.".into() };
        let world = World::of(
            ChannelKind::Whatsapp,
            assistant(),
            [slowly],
            &["model.first_token_ms=60000", "model.attempt_ms=90000"],
        )
        .await;
        world.write("Take your time.").await;
        world.until_asked(1).await;
        for shown in 1..=3 {
            world.until("it is shown", || async { world.desk.reads() == shown }).await;
            // The third time the answer comes before it would be shown again.
            let due =
                if shown < 3 { world.clock.now().plus_millis(19_000) } else { START.plus_millis(50_000) };
            world.until("it waits to be shown again", || async { world.clock.next_due() == Some(due) }).await;
            world.clock.advance_millis(19_000);
        }
        world.until_said(1).await;
        world.end().await;
    });
}
