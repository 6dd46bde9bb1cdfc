//! Other models where one fails, a server that is spared after failing, and slots that nobody takes all.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Clock;
use iassistance_simulator::faults::ModelFault;
use serde_json::{Value, json};

use crate::harness::{Flow, Options, within};
use crate::products::flying;
use crate::trials::{
    FALLBACK, always, at_work, configure, each, ended, fail, next, pass, passed, problems, record, refusing,
    sent, write,
};

const THIRTY_SECONDS: u64 = 30_000;

#[actix::test]
async fn other_models_are_asked_in_their_order_where_one_gives_no_answer() {
    let flow = Flow::with(Options { settings: vec!["model.attempts_max=2"], ..Options::default() }).await;
    configure(&flow, 0, |settings| {
        settings.fallback_models = vec!["simulated-2".into(), "simulated-3".into()];
    })
    .await;
    fail(
        &flow,
        vec![
            always(refusing(503).of_model("simulated-1")),
            always(ModelFault::Garbage.of_model("simulated-2")),
        ],
    );
    flow.simulator.say("ana", "Are you open?").unwrap();
    passed(&flow, 0, 1).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    let models = ["simulated-1", "simulated-1", "simulated-2", "simulated-2", "simulated-3"];
    assert_eq!(each(&turn["attempts"], "model"), models.map(Value::from));
    problems(&turn["attempts"], &["HTTP 503", "HTTP 503", "does not answer", "does not answer", ""]);
    assert_eq!((&turn["end"], sent(&flow).len()), (&json!("answered"), 1));
    flow.finish().await;
}

#[actix::test]
async fn a_model_that_is_not_there_leaves_the_next_one_at_once() {
    let flow = Flow::start().await;
    configure(&flow, 0, |settings| {
        settings.model = Some("unheard-of".into());
        settings.fallback_models = vec!["simulated-2".into()];
    })
    .await;
    flow.simulator.say("ana", "Are you open?").unwrap();
    ended(&flow, 0, 1).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    assert_eq!(each(&turn["attempts"], "model"), ["unheard-of", "simulated-2"].map(Value::from));
    problems(&turn["attempts"], &["refused the request (HTTP 404, model_not_found)", ""]);
    assert_eq!(sent(&flow).len(), 1);
    flow.finish().await;
}

/// A contact of their own asks a tenant; what became of it.
async fn asked(flow: &Flow, tenant: usize, n: usize) -> String {
    let before = flow.count(tenant, "turn.ended").await;
    write(flow, tenant, n, &format!("wamid.{tenant}.{n}"), "Are you open?").await;
    ended(flow, tenant, before + 1).await;
    let last = flow.events(tenant).await.into_iter().rfind(|event| event["type"] == "turn.ended");
    last.unwrap()["end"].as_str().unwrap().to_owned()
}

/// How many turns of the first tenant did not ask because the server is spared.
async fn spared(flow: &Flow) -> usize {
    let store = flow.store(0).await;
    let mut spared = 0;
    for conversation in store.conversations(None, 100).await.unwrap() {
        let turns = store.turns(conversation.id, None, 10).await.unwrap();
        let problems = turns.iter().filter_map(|turn| turn.work.attempts[0].problem.as_deref());
        spared += problems.filter(|problem| problem.contains("failed too often")).count();
    }
    spared
}

#[actix::test]
async fn a_server_that_fails_is_spared_and_then_one_turn_finds_out_whether_it_is_well() {
    let settings = vec!["model.attempts_max=1", "model.breaker_failures_max=3"];
    let mut flow = Flow::with(Options { settings, ..Options::default() }).await;
    let requests = || flow.simulator.state().model.requests;
    fail(&flow, vec![always(refusing(503))]);
    for n in 0..3 {
        assert_eq!(asked(&flow, 0, n).await, "failed");
    }
    assert_eq!(requests(), 3);
    // It is not asked any more, and who waits is told at once.
    assert_eq!((asked(&flow, 0, 3).await.as_str(), requests()), ("failed", 3));
    assert_eq!(spared(&flow).await, 1);
    // Another tenant has its own word on that.
    assert_eq!((asked(&flow, 1, 0).await.as_str(), requests()), ("failed", 4));

    // It is still not well: one request tells, and the others need not.
    flow.clock.advance_millis(THIRTY_SECONDS);
    assert_eq!((asked(&flow, 0, 4).await.as_str(), requests()), ("failed", 5));
    assert_eq!((asked(&flow, 0, 5).await.as_str(), requests()), ("failed", 5));

    // While it is being found out nobody else asks; then all do.
    flow.clock.advance_millis(THIRTY_SECONDS);
    fail(&flow, vec![next(ModelFault::Hang, 1)]);
    write(&flow, 0, 6, "wamid.0.6", "Are you open?").await;
    at_work(&flow, 6).await;
    assert_eq!((asked(&flow, 0, 7).await.as_str(), requests()), ("failed", 6));
    flow.clock.advance_millis(THIRTY_SECONDS);
    ended(&flow, 0, 8).await;
    flow.clock.advance_millis(THIRTY_SECONDS);
    for n in 8..11 {
        assert_eq!(asked(&flow, 0, n).await, "answered");
    }
    assert_eq!((requests(), spared(&flow).await), (9, 3));
    for tenant in 0..2 {
        flow.quiet(tenant).await;
    }
    // Each was told something, once.
    assert_eq!(sent(&flow).len(), 12);
    assert_eq!(sent(&flow).iter().filter(|text| *text == FALLBACK).count(), 9);
    flow.forgive_dead_letters(9);
    flow.finish().await;
}

#[actix::test]
async fn where_one_model_is_spared_another_one_of_the_same_server_answers() {
    let settings = vec!["model.attempts_max=1", "model.breaker_failures_max=1"];
    let flow = Flow::with(Options { settings, ..Options::default() }).await;
    configure(&flow, 0, |settings| settings.fallback_models = vec!["simulated-2".into()]).await;
    fail(&flow, vec![always(refusing(503).of_model("simulated-1"))]);
    assert_eq!(asked(&flow, 0, 0).await, "answered");
    assert_eq!((asked(&flow, 0, 1).await.as_str(), flow.simulator.state().model.requests), ("answered", 3));
    flow.quiet(0).await;
    flow.finish().await;
}

#[actix::test]
async fn no_tenant_takes_all_slots_of_the_model() {
    let slowly = Behaviour::doing(|call| {
        if call.last_words().contains("slowly") {
            Behaviour::SayAfter { ms: 60_000, text: "At last.".into() }
        } else {
            Behaviour::Say("At once.".into())
        }
    });
    let settings = ["model.turns_max=3", "model.turns_per_tenant_max=2"];
    let flow = Flow::with(Options { model: Some(vec![slowly]), ..flying(&settings) }).await;
    for n in 0..8 {
        write(&flow, 0, n, &format!("wamid.{n}"), "slowly, please.").await;
    }
    within("the slots", async {
        while flow.model.open() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // All of the first tenant's have begun, as many as may are at the model; the neighbour's turn is none of theirs.
    within("the turns", async {
        while flow.count(0, "turn.started").await < 8 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(asked(&flow, 1, 0).await, "answered");
    flow.sends(1).await;
    assert_eq!((flow.model.open(), flow.model.calls().len()), (2, 3));
    assert_eq!(sent(&flow), ["At once."]);
    // What the first has asked for is done two by two, and nobody is forgotten.
    let started = flow.clock.now();
    for done in [2, 4, 6, 8] {
        within("the next two", async {
            while flow.model.open() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(flow.model.open(), 2);
        flow.clock.advance_millis(60_000);
        ended(&flow, 0, done).await;
    }
    assert_eq!((flow.clock.now().millis_since(started), flow.model.open_max()), (240_000, 3));
    flow.quiet(0).await;
    assert_eq!(sent(&flow).len(), 9);
    flow.finish().await;
}

#[actix::test]
async fn a_rehearsal_waits_for_a_slot_like_everybody() {
    let slowly = Behaviour::SayAfter { ms: 1_000, text: "Yes.".into() };
    let settings = ["model.turns_per_tenant_max=1"];
    let flow = Flow::with(Options { model: Some(vec![slowly]), ..flying(&settings) }).await;
    write(&flow, 0, 0, "wamid.0", "Are you open?").await;
    within("the model", async {
        while flow.model.open() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let path = format!("/tenants/{}/rehearsals", flow.tenants[0]);
    let rehearsal = flow.api("POST", &path, Some(json!({ "question": "And on Sunday?" })));
    let time = async {
        pass(&flow, "both", 1_000, async || flow.model.calls().len() == 2 && flow.model.open() == 0).await;
    };
    let ((status, body), ()) = tokio::join!(rehearsal, time);
    assert_eq!((status.as_u16(), &body["text"]), (200, &json!("Yes.")), "{body}");
    assert_eq!(flow.model.open_max(), 1);
    flow.finish().await;
}
