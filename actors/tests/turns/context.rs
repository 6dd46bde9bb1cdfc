//! What the model reads of a conversation.

use iassistance_assistant::error::GenerateError;
use iassistance_assistant::scripted::{Behaviour, ServiceCall};
use iassistance_domain::Pii;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::{Content, Media, MediaKind, MediaSource};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::pii::TenantView;
use iassistance_domain::turn::WindowEnd;

use crate::world::{World, assistant, run};

fn file(kind: MediaKind, id: &str) -> Content {
    let source = MediaSource::Meta { id: Some(Pii::new(id.to_owned())), url: None };
    let media = Media { kind, mime: None, filename: None, sha256: None, source, text: None };
    Content::Media { items: vec![media], caption: None }
}

#[test]
fn a_voice_message_is_waited_for_until_it_is_written_down() {
    run(|| async {
        let world = World::with(assistant(), [Behaviour::Say("At nine.".into())]).await;
        world.desk.holds("voice", "audio/ogg", vec![1; 100]);
        world.model.fails_services([GenerateError::Server { status: 500, retry_after_ms: None }]);
        world.model.hears(["when do you open"]);
        world.send_in(file(MediaKind::Voice, "voice")).await;
        world.until("it is tried again", || async { world.model.service_calls().len() == 1 }).await;
        world.until("it waits", || async { world.clock.next_due().is_some() }).await;
        assert!(world.model.calls().is_empty());
        world
            .until("it is written down", || async {
                world.clock.advance_millis(500);
                world.model.service_calls().len() == 2
            })
            .await;
        world.until_said(1).await;
        let heard = world.model.calls().remove(0);
        assert!(heard.last_words().contains("when do you open"), "{}", heard.last_words());
        assert!(matches!(&world.model.service_calls()[1], ServiceCall::Transcribe { bytes: 100, .. }));
        let message = world.messages().await.remove(0);
        let text = message.content.media()[0].text.clone().unwrap();
        assert_eq!(text.reveal(TenantView), "when do you open");
        world.end().await;
    });
}

#[test]
fn what_is_said_too_late_begins_the_answer_anew() {
    run(|| async {
        let settings = AssistantSettings { media_cap_ms: 300, ..assistant() };
        let world = World::with(settings, [Behaviour::Hang, Behaviour::Echo]).await;
        world.desk.holds("voice", "audio/ogg", vec![1; 100]);
        world.model.hears(["when do you open"]);
        world.model.fails_services([GenerateError::Server { status: 500, retry_after_ms: None }]);
        world.send_in(file(MediaKind::Voice, "voice")).await;
        world.until("it is listened to", || async { world.model.service_calls().len() == 1 }).await;
        world
            .until("it is waited for", || async {
                world.clock.next_due() == Some(crate::world::START.plus_millis(300))
            })
            .await;
        world.clock.advance_millis(300);
        world.until_asked(1).await;
        assert_eq!(world.turns().await[0].window_end, WindowEnd::Cap);
        world
            .until("it is listened to again and begins anew", || async {
                world.clock.advance_millis(100);
                world.model.calls().len() == 2
            })
            .await;
        world.until_said(1).await;
        assert!(world.desk.said()[0].contains("when do you open"), "{:?}", world.desk.said());
        world.end().await;
    });
}

#[test]
fn documents_are_read_and_pictures_are_shown_where_the_tenant_wants_that() {
    run(|| async {
        let answer = |settings| async move {
            let world = World::with(settings, [Behaviour::Echo]).await;
            world.desk.holds("list", "text/plain", "Blue shirts: 12 euros.");
            world.desk.holds("photo", "image/png", vec![1; 2_000]);
            world.send_in(file(MediaKind::Document, "list")).await;
            world.until_said(1).await;
            world.send_in(file(MediaKind::Image, "photo")).await;
            world.until_said(2).await;
            let calls = world.model.calls();
            let read = calls[0].last_words().contains("12 euros");
            let shown = calls[1].images;
            let recorded = world.turns().await[1].work.images;
            assert_eq!(recorded, shown);
            world.end().await;
            (read, shown)
        };
        let settings = assistant();
        assert_eq!(answer(settings.clone()).await, (true, 1));
        let mut blind = settings;
        blind.context.images = false;
        blind.context.documents = false;
        assert_eq!(answer(blind).await, (false, 0));
    });
}

/// Says something long, in answer to what is longer.
fn long_talk() -> AssistantSettings {
    AssistantSettings { prompt_tokens_max: 1_500, ..assistant() }
}

#[test]
fn what_does_not_fit_is_summed_up_and_goes_with_what_it_was_made_of() {
    run(|| async {
        let talk = Behaviour::doing(|call| {
            let notes = call.messages[0].1.contains("You keep the notes");
            Behaviour::Say(if notes { "They like blue.".into() } else { "All right.".into() })
        });
        let world =
            World::of(ChannelKind::Whatsapp, long_talk(), [talk], &["limits.conversation_burst=1000"]).await;
        let mut count = 0;
        let summary = loop {
            world.write(&format!("Message {count}: {}.", "I would like it in blue ".repeat(8))).await;
            count += 1;
            world.until_said(count).await;
            let id = world.id().await;
            if let Some(summary) = world.tenant().await.summary(id).await.unwrap() {
                break summary;
            }
            assert!(count < 60, "nothing was summed up");
        };
        assert_eq!(summary.text.reveal(TenantView), "They like blue.");
        world.write("And now?").await;
        world.until_said(count + 1).await;
        let turn = world.turns().await.pop().unwrap();
        assert_eq!(turn.work.summary_until, Some(summary.until));
        let paid = world.turns().await;
        assert!(paid.iter().any(|turn| turn.work.attempts.iter().any(|attempt| attempt.round == 0)));
        // The first message is taken back.
        let kind = InboundKind::MessageRemoved { provider_id: Pii::new("in.0".into()), contact: None };
        let dedup = Pii::new("removed".to_owned());
        let occurred_at = iassistance_domain::Clock::now(&world.clock);
        world.event(InboundEvent { dedup, occurred_at, kind }).await;
        let id = world.id().await;
        world
            .until("the summary is gone", || async {
                world.tenant().await.summary(id).await.unwrap().is_none()
            })
            .await;
        world.end().await;
    });
}
