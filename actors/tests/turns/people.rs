//! People and the assistant in one conversation.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Pii;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::content::Content;
use iassistance_domain::conversation::Control;
use iassistance_domain::hours::BusinessHours;
use iassistance_domain::turn::TurnEnd;

use crate::world::{World, assistant, run};

fn never_there(assistant_when_closed: bool) -> BusinessHours {
    BusinessHours {
        time_zone: "America/Montevideo".into(),
        week: Vec::new(),
        holidays: Vec::new(),
        closed_text: "Back on Monday.".into(),
        assistant_when_closed,
    }
}

#[test]
fn outside_business_hours_that_is_said_once() {
    run(|| async {
        let settings = AssistantSettings { hours: Some(never_there(false)), ..assistant() };
        let world = World::with(settings, [Behaviour::Echo]).await;
        world.write("Hello?").await;
        world.until_said(1).await;
        world.write("Anybody?").await;
        world.until_ended(2).await;
        world.quiet().await;
        assert_eq!(world.desk.said(), ["Back on Monday."]);
        assert!(world.model.calls().is_empty());
        assert!(world.turns().await.iter().all(|turn| turn.end == Some(TurnEnd::Closed)));
        world.end().await;
    });
}

#[test]
fn who_asks_for_a_person_outside_business_hours_is_told_when_they_are_back() {
    run(|| async {
        let settings = AssistantSettings { hours: Some(never_there(true)), ..assistant() };
        let asks = Behaviour::call("handover_to_human", r#"{"reason":"asks for a person"}"#);
        let world = World::with(settings, [asks]).await;
        world.write("A person, please.").await;
        world.until_said(1).await;
        assert_eq!(world.desk.said(), ["Back on Monday."]);
        assert!(matches!(world.conversation().await.control(), Control::Waiting { .. }));
        let id = world.id().await;
        let done = world.engine.take_over(world.ctx, id, "Ada".into()).await.unwrap();
        assert!(matches!(done.control, Control::Operator { .. }));
        world.end().await;
    });
}

#[test]
fn notes_and_assignment_disturb_nobody_and_are_not_read_by_the_model() {
    run(|| async {
        let world = World::with(assistant(), [Behaviour::Hang, Behaviour::Echo]).await;
        world.write("One.").await;
        world.until_asked(1).await;
        let id = world.id().await;
        let body = Pii::new("Good customer.".to_owned());
        let noted = world.engine.note(world.ctx, id, "Ada".into(), body).await.unwrap();
        let done = world.engine.assign(world.ctx, id, Some("Bob".into())).await.unwrap();
        assert_eq!((done.control, world.model.abandoned()), (Control::Assistant, 0));
        assert!(world.engine.note(world.ctx, id, "Ada".into(), Pii::new(" ".into())).await.is_err());
        world.write("Two.").await;
        world.until_said(1).await;
        let read = world.model.calls().remove(1).messages;
        assert!(read.iter().all(|(_, words)| !words.contains("Good customer")), "{read:?}");
        let messages = world.messages().await;
        let note = messages.iter().find(|message| Some(message.id) == noted.message).unwrap();
        assert!(matches!(note.content, Content::Note { .. }) && note.delivery.is_none());
        assert_eq!(world.conversation().await.assigned(), Some("Bob"));
        let events = world.events().await;
        assert!(events.contains(&"note.added") && events.contains(&"conversation.assigned"));
        world.end().await;
    });
}

#[test]
fn a_word_asks_for_silence_and_the_next_message_ends_it() {
    run(|| async {
        let world = World::with(assistant(), [Behaviour::Hang, Behaviour::Echo]).await;
        world.write("Tell me more.").await;
        world.until_asked(1).await;
        world.write("BAJA").await;
        world.until_ended(1).await;
        world.quiet().await;
        assert_eq!(world.turns().await[0].end, Some(TurnEnd::OptedOut));
        assert!(world.conversation().await.opted_out());
        world.until_abandoned(1).await;
        world.write("Or rather, tell me.").await;
        world.until_said(1).await;
        assert_eq!(world.desk.said(), ["Or rather, tell me."]);
        assert_eq!(world.events().await.iter().filter(|name| **name == "contact.opted_out").count(), 1);
        world.end().await;
    });
}

#[test]
fn a_word_that_answers_a_question_is_answered() {
    run(|| async {
        let script = ["Confirmar o cancelar?", "Cancelado."];
        let script = script.map(|text| Behaviour::Say(text.to_owned()));
        let world = World::with(assistant(), script).await;
        world.write("Tengo un turno.").await;
        world.until_said(1).await;
        world.write("Cancelar").await;
        world.until_said(2).await;
        assert_eq!(world.desk.said()[1], "Cancelado.");
        world.end().await;
    });
}

#[test]
fn a_person_who_falls_silent_hands_back_by_itself() {
    run(|| async {
        let mut settings = assistant();
        settings.people.handback_minutes = Some(30);
        let world = World::with(settings, [Behaviour::Echo]).await;
        world.write("One.").await;
        world.until_said(1).await;
        let id = world.id().await;
        world.engine.take_over(world.ctx, id, "Ada".into()).await.unwrap();
        let reply = Content::text("I am Ada.");
        world.engine.reply(world.ctx, id, "Ada".into(), reply, None).await.unwrap();
        world.until("she is heard", || async { world.desk.said().len() == 2 }).await;
        world.write("Are you still there?").await;
        world.until("it is read", || async { world.messages().await.len() == 4 }).await;
        world.clock.advance_millis(30 * 60_000);
        world.until_said(3).await;
        assert_eq!(world.desk.said()[2], "Are you still there?");
        let read = world.model.calls().remove(1).messages;
        assert!(read.iter().any(|(_, words)| words == "[human colleague] I am Ada."), "{read:?}");
        world.end().await;
    });
}
