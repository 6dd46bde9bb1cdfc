//! What tenants do besides talking: settings, knowledge, rehearsals, watching.

use bytes::Bytes;

use iassistance_actors::hub::Batch;
use iassistance_actors::knowledge::KnowledgeError;
use iassistance_actors::rehearsal::Rehearsal;
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Pii;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::knowledge::DocumentState;
use iassistance_domain::pii::TenantView;
use iassistance_domain::turn::TurnEnd;

use crate::world::{World, assistant, order_tool, run};

#[test]
fn a_draft_counts_when_it_is_published_and_a_turn_keeps_what_it_began_with() {
    run(|| async {
        let script = [Behaviour::Hang, Behaviour::Say("Old.".into()), Behaviour::Say("New.".into())];
        let mut world = World::with(assistant(), script).await;
        world.write("One.").await;
        world.until_asked(1).await;
        let draft = AssistantSettings { task: "Sell boats.".into(), ..assistant() };
        world.engine.save_assistant_draft(world.ctx, draft).await.unwrap();
        assert_eq!(world.engine.assistant(world.ctx).await.unwrap().version, 1);
        let published = world.engine.publish_assistant_draft(world.ctx, Some(1)).await.unwrap();
        assert_eq!((published.version, published.settings.task.as_str()), (2, "Sell boats."));
        // The turn outlives the process, and keeps the settings that it began with.
        world.restart().await;
        world.until_said(1).await;
        world.write("Two.").await;
        world.until_said(2).await;
        let turns = world.turns().await;
        let versions: Vec<_> = turns.iter().map(|turn| turn.settings_version).collect();
        assert_eq!(versions, [1, 2]);
        assert_eq!(turns[0].work.attempts.len(), 2, "what was paid before the end is on the record");
        let systems: Vec<_> = world.model.calls().iter().map(|call| call.messages[0].1.clone()).collect();
        assert!(systems[1].contains("questions about a shop"), "{}", systems[1]);
        assert!(systems[2].contains("Sell boats"), "{}", systems[2]);
        let back = world.engine.roll_back_assistant(world.ctx, 1, None).await.unwrap();
        assert_eq!((back.version, back.rolled_back_to), (3, Some(1)));
        assert_eq!(world.engine.assistant(world.ctx).await.unwrap().version, 3);
        world.end().await;
    });
}

async fn ready(world: &World, text: &str) -> iassistance_domain::id::DocumentId {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let document = world.engine.add_document(world.ctx, "Prices", "text/plain", bytes).await.unwrap();
    world
        .until("it is read", || async {
            let document = world.tenant().await.document(document.id).await.unwrap().unwrap();
            matches!(document.state, DocumentState::Ready { by_meaning: true, .. })
        })
        .await;
    document.id
}

#[test]
fn documents_are_found_cited_and_removed_with_all_that_was_made_of_them() {
    run(|| async {
        let script = [
            Behaviour::call("search_knowledge", r#"{"query":"blue shirts"}"#),
            Behaviour::doing(|call| Behaviour::Say(call.last_tool_answer().to_owned())),
            Behaviour::Say("I do not know.".into()),
        ];
        let world = World::with(assistant(), script).await;
        let document = ready(&world, "Blue shirts cost 12 euros. Red shirts cost 9 euros.").await;
        let again = Bytes::from_static(b"Blue shirts cost 12 euros. Red shirts cost 9 euros.");
        let again = world.engine.add_document(world.ctx, "Again", "text/plain", again).await;
        assert!(matches!(again, Err(KnowledgeError::There(there)) if there == document));
        world.write("What do blue shirts cost?").await;
        world.until_said(1).await;
        assert!(world.desk.said()[0].contains("12 euros"), "{:?}", world.desk.said());
        let citations = world.turns().await[0].work.citations.clone();
        assert!(citations.iter().any(|citation| citation.document == document), "{citations:?}");
        let found = world.engine.search_knowledge(world.ctx, "azules blue shirt", 5).await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(world.engine.remove_document(world.ctx, document).await.unwrap());
        assert!(!world.engine.remove_document(world.ctx, document).await.unwrap());
        assert!(world.engine.search_knowledge(world.ctx, "blue shirts", 5).await.unwrap().is_empty());
        assert!(world.tenant().await.passages().await.unwrap().is_empty());
        let file = iassistance_domain::id::MediaId::from_bytes(document.to_bytes());
        assert!(world.content.get(world.ctx.tenant(), file).await.unwrap().is_none());
        world.write("And red ones?").await;
        world.until_said(2).await;
        assert!(!world.model.calls()[2].knows_tool("search_knowledge"));
        world.end().await;
    });
}

#[test]
fn what_cannot_be_read_says_why() {
    run(|| async {
        let world = World::with(assistant(), [Behaviour::Echo]).await;
        let add = |mime: &'static str, bytes: &'static [u8]| {
            world.engine.add_document(world.ctx, "It", mime, Bytes::from_static(bytes))
        };
        assert!(matches!(add("image/png", b"x").await, Err(KnowledgeError::BadType(_))));
        assert!(matches!(add("text/plain", b"").await, Err(KnowledgeError::Empty)));
        let document = add("application/pdf", b"no pdf").await.unwrap();
        world
            .until("it is given up", || async {
                let document = world.tenant().await.document(document.id).await.unwrap().unwrap();
                matches!(document.state, DocumentState::Failed { .. })
            })
            .await;
        world.end().await;
    });
}

#[test]
fn a_rehearsal_answers_like_a_turn_and_changes_nothing() {
    run(|| async {
        let settings = AssistantSettings { tools: vec![order_tool()], ..assistant() };
        let script = [Behaviour::call("place_order", "{}"), Behaviour::Say("Ordered.".into())];
        let world = World::with(settings.clone(), script.clone()).await;
        let question = || Pii::new("Order one.".to_owned());
        let rehearsal = Rehearsal::of_question(ChannelKind::Whatsapp, question(), &world.parts());
        let done = world.engine.rehearse(world.ctx, &settings, rehearsal).await.unwrap();
        assert_eq!(done.text.unwrap().reveal(TenantView), "Ordered.");
        assert_eq!((done.tools, done.handed_over, done.problem), (vec!["place_order".into()], false, None));
        assert!(done.cost.0 > 0);
        assert!(world.tools.called().is_empty(), "it would change something");
        assert!(world.tenant().await.conversations(None, 1).await.unwrap().is_empty());
        // A turn does call it.
        world.model.follow(script);
        world.write("Order one.").await;
        world.until_said(1).await;
        assert_eq!(world.tools.called(), ["place_order"]);
        let record = world.turns().await.remove(0);
        let again = Rehearsal::of_turn(&*world.tenant().await, ChannelKind::Whatsapp, &record).await.unwrap();
        assert_eq!(again.unwrap().covers.len(), 1);
        world.end().await;
    });
}

#[test]
fn who_listens_hears_a_turn_while_it_is_written() {
    run(|| async {
        let script = [
            Behaviour::call("handover_to_nobody", "{}"),
            Behaviour::SaySlowly { ms: 5, text: "one two three".into() },
        ];
        let world = World::with(assistant(), script).await;
        let store = world.tenant().await;
        let hub = world.engine.hub();
        let mut listener = hub.subscribe(world.ctx.tenant(), store.clone(), None);
        listener.listen(true);
        let mut watcher = hub.subscribe(world.ctx.tenant(), store, None);
        world.write("Count.").await;
        let (mut text, mut tools, mut ended) = (String::new(), 0, false);
        while !ended {
            world.clock.advance_millis(1);
            let next = tokio::select! {
                batch = listener.next(64) => batch.unwrap(),
                () = tokio::task::yield_now() => continue,
            };
            match next {
                Batch::Events(frames) => ended = frames.iter().any(|frame| frame.json.contains("turn.ended")),
                Batch::Whisper(whisper) => {
                    let json: serde_json::Value = serde_json::from_str(&whisper.json).unwrap();
                    if json["type"] == "turn.token" {
                        text.truncate(usize::try_from(json["at"].as_u64().unwrap()).unwrap());
                        text.push_str(json["text"].as_str().unwrap());
                    } else {
                        tools += 1;
                    }
                }
                _ => panic!("neither event nor whisper"),
            }
        }
        assert_eq!((text.as_str(), tools), ("one two three", 2));
        world.until_said(1).await;
        while let Some(batch) = futures::FutureExt::now_or_never(watcher.next(64)) {
            assert!(matches!(batch.unwrap(), Batch::Events(_)), "who did not ask hears nothing");
        }
        assert_eq!(world.turns().await[0].end, Some(TurnEnd::Answered));
        world.end().await;
    });
}
