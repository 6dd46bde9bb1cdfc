//! Money: what turns cost, set aside before a call and settled after it, and what happens at a limit.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::Clock;
use iassistance_domain::budget::{Budgets, Cost, Day, Instead};
use iassistance_domain::id::ConversationId;
use iassistance_simulator::faults::ModelFault;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, messages, within};
use crate::products::{DAY_MS, flying};
use crate::trials::{
    FALLBACK, NOTES_ALONE, ONE_A_TOKEN, always, configure, contact, ended, fail, record, records, sent, write,
};

/// The longest answer in these tests, in tokens.
const OUTPUT: u64 = 50;
const ORDINARY: u64 = 2_000;
const FLAT: [&str; 3] = [
    "prices.simulated={ input = 2.0, output = 8.0 }",
    "prices.simulated-1={ input = 3.0, output = 12.0 }",
    ONE_A_TOKEN,
];

fn scripted(model: Vec<Behaviour>) -> Options {
    Options { model: Some(model), ..flying(&[ONE_A_TOKEN]) }
}

fn say(text: &str) -> Behaviour {
    Behaviour::Say(text.to_owned())
}

async fn spending(flow: &Flow, query: &str) -> Value {
    let path = format!("/tenants/{}/spending?{query}", flow.tenants[0]);
    let (status, body) = flow.api("GET", &path, None).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// What the tenant spent today, with what is set aside.
async fn spent_today(flow: &Flow) -> u64 {
    spending(flow, "days=1").await["days"][0]["spent"].as_u64().unwrap()
}

/// The conversation of a contact of the first tenant.
async fn conversation_of(flow: &Flow, n: usize) -> ConversationId {
    let mine = async |event: &Value| {
        let id =
            event["message"]["provider_id"].as_str().is_some_and(|id| id.starts_with(&format!("wamid.{n}.")));
        (event["type"] == "message.received" && id).then(|| event["conversation"].clone())
    };
    for event in flow.events(0).await {
        if let Some(conversation) = mine(&event).await {
            return serde_json::from_value(conversation).unwrap();
        }
    }
    panic!("contact {n} has not written")
}

/// A contact writes to the first tenant, whose answer is waited for; the record of the turn.
async fn ask(flow: &Flow, n: usize, time: usize) -> Value {
    let before = flow.count(0, "turn.ended").await;
    write(flow, 0, n, &format!("wamid.{n}.{time}"), "Are you open?").await;
    ended(flow, 0, before + 1).await;
    let conversation = conversation_of(flow, n).await;
    records(flow, conversation).await.pop().unwrap()
}

#[actix::test]
async fn a_turn_costs_what_its_models_tokens_cost_and_every_sum_says_so() {
    let flow = Flow::with(flying(&FLAT)).await;
    flow.simulator.say("ana", "are you open?").unwrap();
    flow.sends(1).await;
    let turn = record(&flow).await;
    let attempt = &turn["attempts"][0];
    let tokens = |part: &str| attempt["usage"][part].as_u64().unwrap();
    // The longest name that fits prices it: 3 and 12 for a million, in millionths.
    let cost = 3 * tokens("input_tokens") + 12 * tokens("output_tokens");
    assert!(tokens("input_tokens") > 50 && tokens("output_tokens") > 3, "{attempt}");
    assert_eq!((attempt["cost"].as_u64(), turn["cost"].as_u64()), (Some(cost), Some(cost)));
    let told = flow.event_named(0, "turn.ended").await;
    assert_eq!((told["cost"].as_u64(), &told["usage"]), (Some(cost), &turn["usage"]));
    flow.quiet(0).await;

    let conversation = flow.conversation(0).await;
    let contact = flow.store(0).await.conversation(conversation).await.unwrap().unwrap().0.contact;
    let query = format!("days=2&contact={contact}&conversation={conversation}");
    let sums = spending(&flow, &query).await;
    assert_eq!((&sums["currency"], &sums["days"][0]["day"]), (&json!("USD"), &json!("2026-09-21")));
    let all = [&sums["days"][0]["spent"], &sums["contact"], &sums["conversation"]];
    assert!(all.iter().all(|sum| **sum == cost), "{sums}");
    assert_eq!(sums["days"][1]["spent"], 0);

    // Another model has another price, and each of a tenant's days its own sum.
    configure(&flow, 0, |settings| settings.model = Some("simulated-2".into())).await;
    flow.clock.advance_millis(DAY_MS);
    flow.simulator.say("ana", "and today?").unwrap();
    flow.sends(2).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    let usage = &turn["usage"];
    let dearer = 2 * usage["input_tokens"].as_u64().unwrap() + 8 * usage["output_tokens"].as_u64().unwrap();
    assert_eq!(turn["cost"], dearer);
    let sums = spending(&flow, &query).await;
    assert_eq!(
        (sums["days"][0]["spent"].as_u64(), sums["days"][1]["spent"].as_u64()),
        (Some(dearer), Some(cost))
    );
    assert_eq!(
        (sums["contact"].as_u64(), sums["conversation"].as_u64()),
        (Some(dearer), Some(cost + dearer))
    );
    assert_eq!(spending(&flow, "days=1").await["contact"], Value::Null);
    flow.finish().await;
}

#[actix::test]
async fn a_model_without_a_price_costs_nothing_and_no_budget_holds_it() {
    let flow = Flow::with(flying(&[])).await;
    let budgets = Budgets { tenant_day: Some(Cost(1)), turn: Some(Cost(1)), ..Budgets::default() };
    configure(&flow, 0, |settings| settings.budgets = budgets).await;
    flow.simulator.say("ana", "are you open?").unwrap();
    flow.sends(1).await;
    let turn = record(&flow).await;
    assert_eq!(
        (&turn["attempts"][0]["cost"], &turn["cost"], &turn["end"]),
        (&Value::Null, &json!(0), &json!("answered"))
    );
    flow.finish().await;
}

/// What a first turn costs: so many tokens of prompt and two of answer.
async fn price_of_a_turn(flow: &Flow) -> u64 {
    configure(flow, 0, |settings| settings.output_tokens_max = 50).await;
    let turn = ask(flow, 900, 0).await;
    assert_eq!(turn["cost"], turn["usage"]["input_tokens"].as_u64().unwrap() + 2);
    turn["cost"].as_u64().unwrap()
}

#[actix::test]
async fn a_budget_holds_for_its_contact_its_conversation_its_tenant_and_its_day() {
    for which in ["contact_day", "conversation", "tenant_day"] {
        let mut flow = Flow::with(scripted(vec![say("Yes.")])).await;
        let cost = price_of_a_turn(&flow).await;
        // Enough for one turn, not for a second.
        let enough = Some(Cost(cost + cost / 2 + OUTPUT));
        let budgets = match which {
            "contact_day" => Budgets { contact_day: enough, ..Budgets::default() },
            "conversation" => Budgets { conversation: enough, ..Budgets::default() },
            _ => Budgets { tenant_day: enough.map(|enough| enough.plus(Cost(cost))), ..Budgets::default() },
        };
        configure(&flow, 0, |settings| (settings.output_tokens_max, settings.budgets) = (50, budgets)).await;
        let asked = flow.model.calls().len();
        assert_eq!(ask(&flow, 1, 1).await["end"], "answered", "{which}");
        let second = ask(&flow, 1, 2).await;
        assert_eq!((&second["end"], &second["cost"]), (&json!("over_budget"), &json!(0)), "{which}");
        assert!(second["problem"].as_str().unwrap().contains("not enough money"), "{second}");
        assert_eq!(flow.model.calls().len(), asked + 1, "{which}: nobody was asked the second time");
        // Another contact has money of their own, unless it is the tenant's that is spent.
        let other = ask(&flow, 2, 1).await;
        assert_eq!(other["end"], if which == "tenant_day" { "over_budget" } else { "answered" }, "{which}");
        flow.clock.advance_millis(DAY_MS);
        let tomorrow = ask(&flow, 1, 3).await;
        assert_eq!(
            tomorrow["end"],
            if which == "conversation" { "over_budget" } else { "answered" },
            "{which}"
        );
        flow.quiet(0).await;
        let told = flow.events(0).await.into_iter().filter(|event| event["end"] == "over_budget").count();
        assert_eq!(
            told,
            sent(&flow).iter().filter(|text| *text == FALLBACK).count(),
            "{which}: each says so, once"
        );
        assert_eq!(sent(&flow).len(), 5, "{which}");
        flow.forgive_duplicates();
        flow.finish().await;
    }
}

#[actix::test]
async fn a_turn_has_a_budget_over_all_its_rounds() {
    let note = Behaviour::call("set_contact_attribute", "{\"name\":\"city\",\"value\":\"Lima\"}");
    let flow = Flow::with(scripted(vec![say("Yes."), note])).await;
    let cost = price_of_a_turn(&flow).await;
    let budgets = Budgets { turn: Some(Cost(cost * 3)), ..Budgets::default() };
    configure(&flow, 0, |settings| {
        (settings.output_tokens_max, settings.budgets, settings.built_in) = (50, budgets, NOTES_ALONE);
        settings.tool_rounds_max = 20;
    })
    .await;
    let turn = ask(&flow, 1, 1).await;
    assert_eq!(turn["end"], "over_budget", "{turn}");
    let rounds = turn["attempts"].as_array().unwrap().len();
    assert!((1..=2).contains(&rounds) && turn["tool_calls"].as_array().unwrap().len() == rounds, "{turn}");
    assert!(turn["cost"].as_u64().unwrap() <= cost * 3, "{turn}");
    assert_eq!(sent(&flow)[1..], [FALLBACK]);
    flow.finish().await;
}

#[actix::test]
async fn money_is_set_aside_while_a_model_is_at_work_and_the_rest_is_free_again() {
    let slowly = Behaviour::SaySlowly { ms: 1_000, text: "one two three four".into() };
    let flow = Flow::with(scripted(vec![say("Yes."), slowly.clone(), slowly, say("Yes.")])).await;
    let cost = price_of_a_turn(&flow).await;
    let budgets = Budgets { tenant_day: Some(Cost(100 * cost)), ..Budgets::default() };
    configure(&flow, 0, |settings| (settings.output_tokens_max, settings.budgets) = (50, budgets)).await;
    write(&flow, 0, 1, "wamid.1.1", "Are you open?").await;
    within("the model", async {
        while flow.model.open() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let prompt = cost - 2;
    assert_eq!(spent_today(&flow).await, cost + prompt + OUTPUT, "the prompt and the longest answer");
    flow.clock.advance_millis(1_000);
    flow.clock.advance_millis(1_000);
    // A newer message ends it: what it had said by then is paid for, and the rest is free again.
    let turns = flow.count(0, "turn.ended").await;
    write(&flow, 0, 1, "wamid.1.2", "And on Sunday?").await;
    ended(&flow, 0, turns + 1).await;
    let conversation = conversation_of(&flow, 1).await;
    let superseded = records(&flow, conversation).await[0].clone();
    assert_eq!(superseded["end"], "superseded");
    let paid = superseded["cost"].as_u64().unwrap();
    assert!((prompt..prompt + 4).contains(&paid), "{superseded}");
    while flow.count(0, "turn.ended").await < turns + 2 {
        flow.clock.advance_millis(1_000);
        flow.quiet_now(0).await;
    }
    flow.quiet(0).await;
    let answered = records(&flow, conversation).await[1]["cost"].as_u64().unwrap();
    assert_eq!(spent_today(&flow).await, cost + paid + answered);
    flow.finish().await;
}

#[actix::test]
async fn at_a_limit_a_text_is_said_a_person_is_asked_for_or_nothing_is_said() {
    for at_limit in [Instead::Text, Instead::Human, Instead::Silence] {
        let flow = Flow::with(scripted(vec![say("Yes.")])).await;
        let budgets = Budgets { conversation: Some(Cost(1)), at_limit, ..Budgets::default() };
        configure(&flow, 0, |settings| settings.budgets = budgets).await;
        let turn = ask(&flow, 1, 1).await;
        flow.quiet(0).await;
        assert!(flow.model.calls().is_empty());
        let told = flow.event_named(0, "turn.ended").await;
        assert_eq!(told["end"], turn["end"]);
        let texts = sent(&flow);
        match at_limit {
            Instead::Text => assert_eq!(
                (turn["end"].as_str(), &texts[..]),
                (Some("over_budget"), &[FALLBACK.to_owned()][..])
            ),
            Instead::Human => {
                assert_eq!((turn["end"].as_str(), texts.len()), (Some("handed_over"), 1), "{texts:?}");
                assert_eq!(
                    (&turn["control"]["holder"], &turn["control"]["reason"]),
                    (&json!("waiting"), &json!("over_budget"))
                );
                let changed = flow.event_named(0, "control.changed").await;
                assert!(changed["control"].to_string().contains("over_budget"), "{changed}");
            }
            Instead::Silence => {
                assert_eq!((turn["end"].as_str(), texts.len()), (Some("over_budget"), 0), "{texts:?}");
                assert_eq!(told["end"], "over_budget", "the log tells who looks after it");
            }
        }
        flow.finish().await;
    }
}

#[actix::test]
async fn a_stream_that_does_not_end_is_stopped_where_its_money_ends() {
    // The prompt's tokens, as they are counted here.
    let counted = Flow::with(scripted(vec![say("Yes.")])).await;
    let prompt = price_of_a_turn(&counted).await - 2;
    counted.finish().await;

    let flow = Flow::with(flying(&[ONE_A_TOKEN])).await;
    fail(&flow, vec![always(ModelFault::Long { tokens: 50_000 })]);
    let budget = prompt + 40;
    let budgets =
        Budgets { turn: Some(Cost(budget)), tenant_day: Some(Cost(10 * ORDINARY)), ..Budgets::default() };
    configure(&flow, 0, |settings| (settings.output_tokens_max, settings.budgets) = (500, budgets)).await;
    write(&flow, 0, 1, "wamid.1.1", "Are you open?").await;
    ended(&flow, 0, 1).await;
    flow.quiet(0).await;
    let turn = record(&flow).await;
    assert_eq!((&turn["end"], &sent(&flow)[..]), (&json!("over_budget"), &[FALLBACK.to_owned()][..]));
    let attempt = &turn["attempts"][0];
    assert!(attempt["problem"].as_str().unwrap().contains("stopped where the money"), "{attempt}");
    // One chunk of this model is a word of two tokens or three.
    let cost = turn["cost"].as_u64().unwrap();
    assert!((budget - 3..=budget + 3).contains(&cost), "{cost} of {budget}");
    assert_eq!(spent_today(&flow).await, cost);
    let cuts = flow.simulator.stream_cuts();
    assert_eq!((cuts.len(), flow.simulator.state().model.streams_cut_by_client), (1, 1));
    assert!(cuts[0].events < 50_000, "{cuts:?}");
    let asked = &flow.simulator.chats()[0].body;
    assert_eq!(asked["max_completion_tokens"], 40, "the model was told where to stop: {asked}");
    flow.finish().await;
}

#[actix::test]
async fn a_thousand_turns_at_once_spend_no_more_than_their_tenants_budget() {
    const TURNS: usize = 1_000;
    // A word of the model's is one chunk, of two tokens at most.
    const CHUNK: u64 = 2;
    let settings = [
        "model.turns_max=1000",
        "model.turns_per_tenant_max=1000",
        "actors.tenant_mailbox=2000",
        "dispatch.concurrency=1000",
    ];
    let slowly = Behaviour::SaySlowly { ms: 10, text: "word ".repeat(200) };
    let mut options = scripted(vec![say("Yes."), slowly]);
    options.settings.extend(settings);
    let flow = Flow::with(options).await;
    let cost = price_of_a_turn(&flow).await;
    // Enough for about a hundred; the model says far more than it may.
    let budget = cost + 100 * (cost + OUTPUT) + cost / 2 + 40;
    let budgets =
        Budgets { tenant_day: Some(Cost(budget)), at_limit: Instead::Silence, ..Budgets::default() };
    configure(&flow, 0, |settings| (settings.output_tokens_max, settings.budgets) = (50, budgets)).await;
    let posts = (0..TURNS).map(|n| {
        let id = format!("wamid.{n}");
        let body = messages(NUMBERS[0], &contact(n), &[(&id, 1_790_000_000, "Are you open?")]);
        flow.post(body)
    });
    for answer in futures::future::join_all(posts).await {
        assert_eq!(answer.status(), 200);
    }
    let (store, day) = (flow.store(0).await, Day::of(flow.clock.now()));
    let mut highest = 0;
    within("all turns", async {
        while flow.count(0, "turn.ended").await < TURNS + 1 {
            if flow.model.open() >= 100 || flow.count(0, "turn.started").await > TURNS {
                flow.clock.advance_millis(10);
            }
            let spent = store.spent(day).await.unwrap().0;
            assert!(spent <= budget + CHUNK, "{spent} of {budget}");
            highest = highest.max(spent);
        }
    })
    .await;
    flow.quiet(0).await;
    let (mut paid, mut ends) = (0, std::collections::BTreeMap::<String, usize>::new());
    for event in flow.events(0).await.iter().filter(|event| event["type"] == "turn.ended") {
        paid += event["cost"].as_u64().unwrap();
        *ends.entry(event["end"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(store.spent(day).await.unwrap().0, paid, "nothing stays set aside");
    assert!(paid <= budget + CHUNK, "{paid} of {budget}");
    assert!(highest > budget - cost - OUTPUT, "it was at its limit: {highest} of {budget}");
    assert!(flow.model.open_max() >= 100, "{} at once", flow.model.open_max());
    assert!(ends["answered"] >= 100 && ends["over_budget"] >= 700, "{ends:?}");
    assert_eq!(sent(&flow).len(), ends["answered"]);
    flow.finish().await;
}
