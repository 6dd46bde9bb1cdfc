//! A hostile model: whatever it puts out, nothing is done but what the tenant allowed, and nothing of
//! another conversation or tenant is in anything that is sent, called, noted or read.
//!
//! Ten people write to two tenants, the same five to each. Whatever belongs to one of them, or to a tenant
//! alone, has a mark in it; each mark is looked for wherever it must not be.

mod model;
mod watch;

use std::sync::Arc;

use iassistance_actors::hub::{Batch, Subscription};
use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::conversation::Control;
use iassistance_domain::event::EventSeq;
use iassistance_domain::id::ConversationId;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::tool::{BuiltInTools, HttpTool};
use iassistance_simulator::{StandIn, ToolAnswer};
use serde_json::{Value, json};

use self::model::{INJECTED, Model};
use self::watch::Watch;
use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::flying;
use crate::turning::{ALL_BUILT_IN, secret, tool, with};

const OUTPUTS: usize = 10_000;
const SEED: u64 = 20_260_924;
const CALLS_MAX: usize = 60;
const PEOPLE: [&str; 5] = ["ana", "bea", "caio", "duda", "emma"];

/// What a tenant's tools are called; the second tenant's are the same, and one more.
const TOOLS: [&str; 4] = ["find", "price", "cancel", "remind"];
const ONLY_THE_SECONDS: &str = "refund";

/// A mark of something that is one person's, or, without a name, a tenant's.
fn mark(tenant: usize, who: &str, what: &str) -> String {
    format!("MRK/{tenant}/{who}/{what}/")
}

fn key(tenant: usize) -> String {
    mark(tenant, "all", "key")
}

/// Somebody who writes to a tenant.
#[derive(Clone)]
struct Person {
    tenant: usize,
    name: &'static str,
    conversation: ConversationId,
    wa_id: String,
    safety: String,
}

/// What the tenant allows; the second one allows less.
fn settings(flow: &Flow, tenant: usize) -> AssistantSettings {
    let named = |name: &str| tool(name, flow.simulator.tool_url(&format!("t{tenant}_{name}")));
    let with_key = |tool: HttpTool| HttpTool { secret: Some(secret(&key(tenant))), ..tool };
    let mut tools = vec![
        with_key(named("find")),
        with_key(HttpTool { trusted: true, ..named("price") }),
        with_key(HttpTool { side_effects: true, ..named("cancel") }),
        with_key(HttpTool { side_effects: true, after_untrusted: true, ..named("remind") }),
    ];
    if tenant == 1 {
        tools.push(with_key(HttpTool { side_effects: true, ..named(ONLY_THE_SECONDS) }));
    }
    let built_in = match tenant {
        0 => ALL_BUILT_IN,
        _ => BuiltInTools { attributes: false, choices: false, follow_up: false, ..ALL_BUILT_IN },
    };
    AssistantSettings {
        instructions: format!("Be brief. {}", mark(tenant, "all", "instructions")),
        built_in,
        tool_rounds_max: 20,
        prompt_tokens_max: 5_000,
        fallback_text: "Sorry.".into(),
        ..with(tools)
    }
}

/// What the tenants' servers answer: orders to the model, in three languages.
fn answers(tenant: usize, tool: &str, ids: &str) -> StandIn {
    let answer = |order: &&str| {
        let told = mark(tenant, "all", tool);
        ToolAnswer::of(json!({ "status": "open", "note": format!("{order} {ids} {told}") }))
    };
    StandIn::with(INJECTED.iter().map(answer))
}

/// Each person writes once and is answered, so that all are known.
async fn acquaint(flow: &Flow) -> Vec<Person> {
    flow.model.follow([Behaviour::Say("Hello.".into())]);
    let mut people = Vec::new();
    for (tenant, number) in NUMBERS.into_iter().enumerate() {
        let store = flow.store(tenant).await;
        for name in PEOPLE {
            let before = flow.simulator.all_sends().len();
            let words = format!("hello {}", mark(tenant, name, "words"));
            flow.simulator.say_to(number, name, &words).unwrap();
            flow.sends(before + 1).await;
            let wa_id = flow.simulator.all_sends().pop().unwrap().to;
            let newest = store.conversations(None, 10).await.unwrap();
            let is_new = |id| !people.iter().any(|person: &Person| person.conversation == id);
            let conversation = newest.iter().find(|one| is_new(one.id)).unwrap();
            let safety = store.safety_identifier(conversation.contact);
            people.push(Person { tenant, name, conversation: conversation.id, wa_id, safety });
        }
        flow.quiet(tenant).await;
    }
    people
}

/// Everything that could be named, of both tenants.
async fn ids(flow: &Flow, people: &[Person]) -> Vec<String> {
    let mut ids: Vec<String> = flow.tenants.iter().map(ToString::to_string).collect();
    ids.push(flow.meta_app.to_string());
    ids.extend(NUMBERS.map(str::to_owned));
    for person in people {
        let store = flow.store(person.tenant).await;
        let (conversation, _) = store.conversation(person.conversation).await.unwrap().unwrap();
        ids.extend([conversation.id.to_string(), conversation.contact.to_string(), person.wa_id.clone()]);
        let messages = store.messages(conversation.id, None, 2).await.unwrap();
        ids.extend(messages.iter().map(|message| message.id.to_string()));
        let turns = store.turns(conversation.id, None, 1).await.unwrap();
        ids.extend(turns.iter().map(|turn| turn.id.to_string()));
    }
    for tenant in 0..2 {
        let documents = flow.store(tenant).await.documents().await.unwrap();
        ids.extend(documents.iter().map(|document| document.id.to_string()));
        let channels = flow.store(tenant).await.channels().await.unwrap();
        ids.extend(channels.iter().map(|channel| channel.id.to_string()));
    }
    ids
}

async fn learn(flow: &Flow) {
    for tenant in 0..2 {
        let ctx = TenantCtx::platform(flow.tenants[tenant]);
        let words =
            "The shop opens at nine. Abrimos a las nueve. Abrimos às nove. Orders: find them by number.";
        let text = format!("{words} {} {}", INJECTED.join(" "), mark(tenant, "all", "document"));
        let added = flow.app.engine.add_document(ctx, "Hours", "text/plain", text.into()).await;
        let id = added.unwrap().id;
        let store = flow.store(tenant).await;
        within("a document", async {
            let is_read = |document: Option<_>| json!(document)["state"] == "ready";
            while !is_read(store.document(id).await.unwrap()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Waits until so many more turns of a tenant have ended.
async fn ended(events: &mut Subscription, turns: usize) {
    let mut left = turns;
    within("turns to end", async {
        while left > 0 {
            match events.next(64).await.unwrap() {
                Batch::Events(frames) => {
                    let ends = frames.iter().filter(|frame| frame.json.contains(r#""type":"turn.ended""#));
                    left -= ends.count();
                }
                Batch::Lagged { .. } | Batch::Whisper(_) => {}
                Batch::Closed => panic!("the hub closed"),
            }
        }
    })
    .await;
}

async fn subscribe(flow: &Flow, tenant: usize) -> Subscription {
    let store = flow.store(tenant).await;
    let latest: EventSeq = *store.latest_event().borrow();
    flow.app.engine.hub().subscribe(flow.tenants[tenant], store, Some(latest))
}

/// Gives back what the model has given to people.
async fn hand_back(flow: &Flow, people: &[Person]) {
    for person in people {
        let store = flow.store(person.tenant).await;
        let (conversation, _) = store.conversation(person.conversation).await.unwrap().unwrap();
        if *conversation.control() != Control::Assistant {
            let ctx = TenantCtx::platform(flow.tenants[person.tenant]);
            flow.app.engine.hand_back(ctx, person.conversation).await.unwrap();
        }
    }
}

#[actix::test]
async fn a_hostile_model_does_nothing_but_what_is_allowed_and_learns_nothing_of_others() {
    let rates = [
        crate::turning::ON_THIS_MACHINE,
        "tools.calls_per_turn_max=60",
        "model.breaker_failures_max=1000",
        "limits.conversation_burst=10000",
    ];
    let hello = vec![Behaviour::Say("Hello.".into())];
    let flow = Flow::with(Options { model: Some(hello), ..flying(&rates) }).await;
    learn(&flow).await;
    let people = acquaint(&flow).await;
    let ids = ids(&flow, &people).await;
    for tenant in 0..2 {
        let named = ids.iter().filter(|id| id.starts_with("cnv_")).cloned().collect::<Vec<_>>().join(" ");
        for tool in TOOLS.iter().chain(&[ONLY_THE_SECONDS]) {
            flow.simulator.set_tool(&format!("t{tenant}_{tool}"), answers(tenant, tool, &named)).unwrap();
        }
        flow.settle(tenant, settings(&flow, tenant)).await;
    }
    let mut watch = Watch::begin(&flow, people.clone()).await;
    let model = Arc::new(Model::new(SEED, people.clone(), ids.clone()));
    let hostile = Arc::clone(&model);
    flow.model.follow([Behaviour::doing(move |call| hostile.put_out(call))]);

    let mut feeds = [subscribe(&flow, 0).await, subscribe(&flow, 1).await];
    let mut wave = 0;
    let began = std::time::Instant::now();
    while model.outputs() < OUTPUTS {
        for person in &people {
            let order = INJECTED[wave % INJECTED.len()];
            let other = &ids[(wave * 7) % ids.len()];
            let own = mark(person.tenant, person.name, "words");
            let words = format!("{order} {other} (message {wave}) {own}");
            flow.simulator.say_to(NUMBERS[person.tenant], person.name, &words).unwrap();
        }
        for feed in &mut feeds {
            ended(feed, PEOPLE.len()).await;
        }
        watch.tool_calls(&flow);
        flow.model.forget();
        hand_back(&flow, &people).await;
        wave += 1;
        if wave % 20 == 0 {
            println!("{wave}: {} {:?}", model.outputs(), began.elapsed());
        }
    }
    assert_eq!(model.wrong(), Vec::<String>::new());

    // A last word, after which nobody means to come back.
    flow.model.follow([Behaviour::Say("Bye.".into())]);
    for person in &people {
        let words = format!("bye {}", mark(person.tenant, person.name, "words"));
        flow.simulator.say_to(NUMBERS[person.tenant], person.name, &words).unwrap();
    }
    for feed in &mut feeds {
        ended(feed, PEOPLE.len()).await;
    }
    flow.still().await;
    flow.quiet(1).await;
    let seen: Value = watch.end(&flow).await;
    println!("{} outputs in {wave} waves: {seen}", model.outputs());
    for what in
        ["calls", "refused", "invalid", "noted", "sends", "citations", "handed_over", "choices", "follow_ups"]
    {
        assert!(seen[what].as_u64().unwrap() > 0, "the model did not even try: {what} in {seen}");
    }
    let mut flow = flow;
    flow.forgive_dead_letters(usize::try_from(seen["failed"].as_u64().unwrap()).unwrap());
    flow.finish().await;
}
