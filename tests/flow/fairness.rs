//! One tenant floods: the others go next all the same. Shown by counts; `scripts/bench fairness` measures.

use iassistance_assistant::scripted::Behaviour;

use crate::harness::{Flow, NUMBERS, Options, messages, within};

/// Everything that takes a model takes a second.
const SECOND: u64 = 1_000;

fn thinking() -> Behaviour {
    Behaviour::doing(|call| Behaviour::SayAfter { ms: SECOND, text: call.last_words().to_owned() })
}

async fn flood(flow: &Flow, count: usize) {
    for n in 0..count {
        let (id, text) = (format!("wamid.{n}"), format!("flood {n}."));
        let body = messages(NUMBERS[0], &format!("155501991{n:02}"), &[(&id, 1_790_000_000, &text)]);
        assert_eq!(flow.post(body).await.status(), 200);
    }
}

async fn calls(flow: &Flow, count: usize) {
    within("calls of the model", async {
        while flow.model.calls().len() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Where in the order of the calls a tenant's words were.
fn place(flow: &Flow, words: &str) -> Option<usize> {
    flow.model.calls().iter().position(|call| call.last_words() == words)
}

#[actix::test]
async fn the_next_free_slot_at_the_model_is_for_who_has_none() {
    let settings = vec![
        "model.turns_max=4",
        "model.turns_per_tenant_max=4",
        "model.first_token_ms=86400000",
        "model.attempt_ms=86400000",
        "model.turn_ms=86400000",
    ];
    let flow = Flow::with(Options { settings, model: Some(vec![thinking()]), ..Options::default() }).await;
    flood(&flow, 40).await;
    calls(&flow, 4).await;
    let other = messages(NUMBERS[1], "15550199999", &[("wamid.o", 1_790_000_000, "other")]);
    assert_eq!(flow.post(other).await.status(), 200);
    flow.event_named(1, "turn.started").await;
    within("a place in the line", async {
        while flow.app.engine.tenants_at_the_model() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    flow.settled().await;
    assert_eq!(flow.model.calls().len(), 4, "all slots are taken");
    flow.clock.advance_millis(SECOND);
    calls(&flow, 8).await;
    let place = place(&flow, "other");
    assert!(place.is_some_and(|place| place < 8), "36 wait, and it is among the next four: {place:?}");
    flow.while_time_flies(flow.sends(41)).await;
    flow.finish().await;
}

#[actix::test]
async fn a_tenant_that_fills_its_part_of_the_memory_leaves_the_rest() {
    let settings = vec![
        "actors.conversations_max=8",
        "actors.conversations_per_tenant_max=4",
        "model.first_token_ms=86400000",
        "model.attempt_ms=86400000",
        "model.turn_ms=86400000",
    ];
    let flow = Flow::with(Options { settings, model: Some(vec![thinking()]), ..Options::default() }).await;
    flood(&flow, 20).await;
    calls(&flow, 4).await;
    flow.settled().await;
    assert_eq!(flow.app.engine.live_conversations(), 4, "its part and no more");
    let other = messages(NUMBERS[1], "15550199999", &[("wamid.o", 1_790_000_000, "other")]);
    assert_eq!(flow.post(other).await.status(), 200);
    calls(&flow, 5).await;
    assert_eq!(place(&flow, "other"), Some(4), "there is room for who has none");
    flow.while_time_flies(flow.sends(21)).await;
    flow.finish().await;
}
