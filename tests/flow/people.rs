//! People and the assistant in one conversation: given back, given to somebody, noted, handed over,
//! and outside business hours.

use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::hours::{BusinessHours, OpenTime};
use iassistance_domain::id::ConversationId;
use iassistance_simulator::ScriptedAnswer;
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS};
use crate::products::{HOUR_MS, flying};

impl Flow {
    /// An operator does something in a conversation; the answer, which is that all went well.
    async fn operates(&self, conversation: ConversationId, what: &str, body: Option<Value>) -> Value {
        let path = format!("/tenants/{}/conversations/{conversation}/{what}", self.tenants[0]);
        let (status, answer) = self.api("POST", &path, body).await;
        assert!(status.is_success(), "{what}: {status} {answer}");
        answer
    }

    /// The conversations that REST lists for a query.
    async fn listed(&self, query: &str) -> Vec<Value> {
        let path = format!("/tenants/{}/conversations?{query}", self.tenants[0]);
        let (status, page) = self.api("GET", &path, None).await;
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().clone()
    }

    /// A contact writes, and it is taken in and whatever follows is done.
    async fn hears(&self, text: &str) {
        let wamid = self.says("ana", NUMBERS[0], text);
        self.message_called(0, &wamid).await;
        self.still().await;
        // WhatsApp tells when something was written by the second.
        self.clock.advance_millis(1_000);
    }

    /// What was sent, in order.
    fn texts(&self) -> Vec<String> {
        self.simulator.all_sends().into_iter().map(|send| send.text).collect()
    }
}

/// What the model was asked last, as its server saw it: who said what.
fn last_chat(flow: &Flow) -> Vec<(String, String)> {
    let body = flow.simulator.chats().pop().unwrap().body;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = |message: &Value| (text(&message["role"]), text(&message["content"]));
    body["messages"].as_array().unwrap().iter().map(read).collect()
}

fn said(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

#[actix::test]
async fn after_it_is_given_back_the_model_reads_a_person_s_words_as_a_person_s() {
    let flow = Flow::with(flying(&[])).await;
    flow.simulator.set_answers(vec![ScriptedAnswer::says("", "Gladly.")]);
    flow.hears("Good morning, do you have blue ones?").await;
    let conversation = flow.conversation(0).await;
    let taken = flow.operates(conversation, "takeover", Some(json!({ "operator": "Ada" }))).await;
    assert_eq!((&taken["control"]["holder"], &taken["control"]["name"]), (&json!("operator"), &json!("Ada")));
    flow.hears("I want two, please.").await;
    flow.replied(conversation, json!({ "text": "I keep two for you." })).await;
    flow.sends(2).await;
    flow.still().await;
    flow.clock.advance_millis(1_000);
    let back = flow.operates(conversation, "handback", None).await;
    assert_eq!(back["control"]["holder"], "assistant");
    flow.still().await;
    assert_eq!(flow.simulator.chats().len(), 1, "the person has answered that");
    flow.hears("Until when?").await;
    flow.sends(3).await;
    let read = last_chat(&flow);
    // The first two were said in the same millisecond, as far as anybody knows.
    for first in
        [said("user", "Good morning, do you have blue ones?"), said("assistant", "[simulated] Gladly.")]
    {
        assert!(read[1..3].contains(&first), "{read:?}");
    }
    assert_eq!(
        read[3..],
        [
            said("user", "I want two, please."),
            said("assistant", "[human colleague] I keep two for you."),
            said("user", "Until when?"),
        ]
    );
    flow.finish().await;
}

#[actix::test]
async fn a_conversation_is_given_to_somebody_and_the_assistant_goes_on() {
    let flow = Flow::with(flying(&[])).await;
    flow.hears("Are you open?").await;
    let conversation = flow.conversation(0).await;
    let given = flow.operates(conversation, "assign", Some(json!({ "operator": "Ada" }))).await;
    assert_eq!(given["control"]["holder"], "assistant");
    assert_eq!(flow.event_named(0, "conversation.assigned").await["operator"], "Ada");
    assert_eq!(flow.listed("assigned=Ada").await[0]["id"], json!(conversation));
    assert_eq!(flow.listed("assigned=Bea").await.len(), 0);
    flow.hears("And tomorrow?").await;
    flow.sends(2).await;
    flow.operates(conversation, "assign", Some(json!({ "operator": null }))).await;
    flow.operates(conversation, "assign", Some(json!({ "operator": null }))).await;
    flow.event(0, |event| event["type"] == "conversation.assigned" && event["operator"].is_null()).await;
    assert_eq!(flow.count(0, "conversation.assigned").await, 2, "nothing changed the third time");
    assert_eq!(flow.listed("assigned=Ada").await.len(), 0);
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn a_note_is_for_people_alone() {
    let flow = Flow::with(flying(&[])).await;
    flow.hears("Are you open?").await;
    let conversation = flow.conversation(0).await;
    let note = json!({ "operator": "Ada", "text": "She is the mayor's sister." });
    let written = flow.operates(conversation, "notes", Some(note)).await;
    let added = flow.event_named(0, "note.added").await;
    assert_eq!(added["message"]["id"], written["message"]);
    assert_eq!(added["message"]["content"]["body"], "She is the mayor's sister.");
    assert_eq!(written["control"]["holder"], "assistant", "a note is no takeover");
    flow.hears("And tomorrow?").await;
    flow.sends(2).await;
    let path = format!("/tenants/{}/conversations/{conversation}/messages", flow.tenants[0]);
    let (_, page) = flow.api("GET", &path, None).await;
    assert!(page.to_string().contains("mayor"), "people read it: {page}");
    assert!(flow.simulator.chats().iter().all(|chat| !chat.body.to_string().contains("mayor")));
    assert!(!flow.was_sent("mayor"));
    for empty in ["", "  "] {
        let path = format!("/tenants/{}/conversations/{conversation}/notes", flow.tenants[0]);
        let note = json!({ "operator": "Ada", "text": empty });
        assert_eq!(flow.api("POST", &path, Some(note)).await.0, 422);
    }
    flow.finish().await;
}

/// The assistant asks for a person where somebody complains.
fn complaints(flow: &Flow) {
    let reason = json!({ "reason": "The parcel came broken." });
    let complaint = ScriptedAnswer::says("broken", "unsaid").calling("handover_to_human", reason);
    flow.simulator.set_answers(vec![complaint, ScriptedAnswer::says("", "Gladly.")]);
}

#[actix::test]
async fn the_assistant_hands_over_with_its_reason_and_says_once_that_somebody_comes() {
    let flow = Flow::with(flying(&[])).await;
    flow.configure(|settings| settings.people.waiting_text = "Somebody comes.".into()).await;
    complaints(&flow);
    flow.hears("My parcel came broken!").await;
    flow.sends(1).await;
    let conversation = flow.conversation(0).await;
    let changed = flow.event_named(0, "control.changed").await;
    assert_eq!(
        (&changed["control"]["holder"], &changed["control"]["reason"]),
        (&json!("waiting"), &json!("asked"))
    );
    let path = format!("/tenants/{}/conversations/{conversation}/turns", flow.tenants[0]);
    let turn = flow.api("GET", &path, None).await.1["items"][0].clone();
    assert_eq!(
        (&turn["end"], &turn["handover_reason"], &turn["control"]["holder"]),
        (&json!("handed_over"), &json!("The parcel came broken."), &json!("waiting"))
    );
    assert_eq!(turn["tool_calls"][0]["name"], "handover_to_human");
    assert_eq!(flow.listed("control=waiting").await[0]["id"], json!(conversation));

    flow.hears("Hello? It is broken.").await;
    flow.clock.advance_millis(HOUR_MS);
    flow.hears("Still there?").await;
    assert_eq!(flow.texts(), ["Somebody comes."], "who waits is not told again and again");
    assert_eq!(flow.simulator.chats().len(), 1);

    // Who answers is in control.
    flow.replied(conversation, json!({ "text": "I send you another." })).await;
    assert_eq!(flow.listed("control=waiting").await.len(), 0);
    assert_eq!(flow.listed("control=operator").await[0]["control"]["name"], "Bea");
    flow.operates(conversation, "handback", None).await;
    flow.hears("Thank you!").await;
    assert_eq!(flow.texts()[1..], ["I send you another.", "[simulated] Gladly."]);
    flow.finish().await;
}

/// Monday to Friday, nine to six in Buenos Aires, where it is a quarter past eleven on a Monday when a
/// flow starts; Tuesday is a holiday.
fn hours(settings: &mut AssistantSettings) {
    let open = |day: i8| OpenTime { day, from: "09:00".into(), until: "18:00".into() };
    settings.hours = Some(BusinessHours {
        time_zone: "America/Argentina/Buenos_Aires".into(),
        week: (1..=5).map(open).collect(),
        holidays: vec!["2026-09-22".into()],
        closed_text: "We are closed.".into(),
        assistant_when_closed: false,
    });
}

#[actix::test]
async fn outside_business_hours_that_is_said_once_for_each_time() {
    let flow = Flow::with(flying(&[])).await;
    flow.configure(hours).await;
    flow.simulator.set_answers(vec![ScriptedAnswer::says("", "Gladly.")]);
    flow.hears("One, please.").await;
    // A quarter past six.
    flow.clock.advance_millis(7 * HOUR_MS);
    flow.hears("Another, please.").await;
    flow.hears("Are you there?").await;
    // A quarter past eleven on the holiday: nobody has been there since.
    flow.clock.advance_millis(17 * HOUR_MS);
    flow.hears("And today?").await;
    assert_eq!(flow.texts(), ["[simulated] Gladly.", "We are closed."]);
    // Wednesday.
    flow.clock.advance_millis(24 * HOUR_MS);
    flow.hears("And now?").await;
    flow.clock.advance_millis(7 * HOUR_MS);
    flow.hears("Good evening.").await;
    flow.hears("Good evening!").await;
    assert_eq!(
        flow.texts()[2..],
        ["[simulated] Gladly.", "We are closed."],
        "the next closed time is another one"
    );
    let ends: Vec<Value> =
        flow.events(0).await.into_iter().filter(|event| event["type"] == "turn.ended").collect();
    let closed = ends.iter().filter(|event| event["end"] == "closed").count();
    assert_eq!((ends.len(), closed), (7, 5));
    assert_eq!(flow.simulator.chats().len(), 2);
    flow.finish().await;
}

#[actix::test]
async fn who_asks_for_a_person_when_nobody_is_there_is_told_so() {
    let flow = Flow::with(flying(&[])).await;
    flow.configure(|settings| {
        hours(settings);
        settings.people.waiting_text = "Somebody comes.".into();
        settings.hours.as_mut().unwrap().assistant_when_closed = true;
    })
    .await;
    complaints(&flow);
    flow.clock.advance_millis(7 * HOUR_MS);
    flow.hears("Are you open?").await;
    assert_eq!(flow.texts(), ["[simulated] Gladly."], "the assistant answers at any time");
    let system = last_chat(&flow).remove(0).1;
    assert!(system.contains("Nobody of the business is there just now"), "{system}");
    flow.hears("It came broken.").await;
    assert_eq!(flow.texts()[1..], ["We are closed."]);
    assert_eq!(flow.listed("control=waiting").await.len(), 1);
    flow.finish().await;
}
