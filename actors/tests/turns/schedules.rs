//! Takeovers at every moment of a turn: after the acknowledgement nothing of the assistant is sent.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::conversation::Control;
use iassistance_domain::{Entropy, SeededEntropy};

use crate::world::{World, assistant, run};

const SCHEDULES: u64 = 60;

#[test]
fn after_a_takeover_is_acknowledged_the_assistant_is_silent() {
    run(|| async {
        for seed in 0..SCHEDULES {
            let chance = SeededEntropy::new(seed);
            let slowly = Behaviour::SaySlowly { ms: 1, text: "one two three".into() };
            let mut settings = assistant();
            settings.disclosure.enabled = seed % 2 == 0;
            let world = World::with(settings, [slowly]).await;
            // Every other send is held up, so that a takeover may come while it is under way.
            let held = seed % 3 == 0;
            if held {
                world.desk.gate.forget_permits(1_000_000);
            }
            world.write("Hello, are you there?").await;
            for _ in 0..chance.up_to(8) {
                world.clock.advance_millis(chance.up_to(2));
                for _ in 0..chance.up_to(40) {
                    tokio::task::yield_now().await;
                }
            }
            world
                .until("there is a conversation", || async {
                    !world.tenant().await.conversations(None, 1).await.unwrap().is_empty()
                })
                .await;
            let id = world.id().await;
            let takeover = world.engine.take_over(world.ctx, id, "Ada".into());
            let release = async {
                for _ in 0..chance.up_to(40) {
                    tokio::task::yield_now().await;
                }
                if held {
                    world.desk.gate.add_permits(1_000_000);
                }
            };
            let (done, ()) = tokio::join!(takeover, release);
            assert!(matches!(done.unwrap().control, Control::Operator { .. }));
            let said = world.desk.said().len();
            for _ in 0..20 {
                world.clock.advance_millis(10);
                tokio::task::yield_now().await;
            }
            world.quiet().await;
            assert_eq!(world.desk.said().len(), said, "seed {seed}");
            world.until("no stream is open", || async { world.model.open() == 0 }).await;
            world.end().await;
        }
    });
}
