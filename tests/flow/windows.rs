//! When a business may write, and what leaves after that.

use iassistance_assistant::scripted::Behaviour;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::window::WindowPolicy;
use iassistance_domain::{Clock, Timestamp};
use iassistance_simulator::{Act, Deed, OutsideWindow, SimulatorSettings};
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::{
    CHANNELS, DAY_MS, HOUR_MS, INSTAGRAM, INSTAGRAM_BY_PAGE, PAGE, flying, patient, refusing,
};

const PAGES: [&str; 3] = [PAGE, INSTAGRAM, INSTAGRAM_BY_PAGE];

/// Meta refuses at once what may not leave.
fn strict(simulated: &mut SimulatorSettings) {
    patient(simulated);
    simulated.outside_window = OutsideWindow::RefusedAtOnce;
}

async fn start(model: Vec<Behaviour>) -> Flow {
    Flow::with(Options { model: Some(model), simulator: Some(strict), ..flying(&[]) }).await
}

fn kind(account: &str) -> ChannelKind {
    match account {
        PAGE => ChannelKind::Messenger,
        INSTAGRAM | INSTAGRAM_BY_PAGE => ChannelKind::Instagram,
        _ => ChannelKind::Whatsapp,
    }
}

async fn free_until(flow: &Flow, account: &str) -> Timestamp {
    flow.conversation_on(account).await.window_by(&WindowPolicy::of(kind(account))).free_until
}

fn refused(flow: &Flow) -> usize {
    flow.simulator.state().counters.sends_refused.len()
}

#[actix::test]
async fn whatsapp_lets_free_words_leave_for_a_day_and_then_templates_alone() {
    let flow = start(vec![Behaviour::Say("fine".into())]).await;
    let (status, tested) = flow.channel_api("POST", NUMBERS[0], "/test", None).await;
    assert_eq!((status.as_u16(), &tested["channel"]["health"]["state"]), (200, &json!("live")), "{tested}");
    flow.says("ana", NUMBERS[0], "hello");
    flow.sends(1).await;
    flow.still().await;
    let conversation = flow.conversation_on(NUMBERS[0]).await.id;
    flow.clock.advance_millis(DAY_MS - 1_000);
    flow.replied(conversation, json!({ "text": "just in time" })).await;
    flow.sends(2).await;
    flow.still().await;
    flow.clock.advance_millis(2_000);
    let (status, problem) = flow.reply(conversation, json!({ "text": "too late" })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("window_closed")), "{problem}");
    for template in ["hello_world (en_US)", "order_update (pl)", "weekly_offer (en_US)"] {
        assert!(problem["detail"].as_str().unwrap().contains(template), "{problem}");
    }
    assert!(!problem.to_string().contains("old_offer"), "a paused template is no offer: {problem}");
    let hello = json!({ "content": { "type": "template", "name": "hello_world", "language": "en_US" } });
    let message = flow.replied(conversation, hello).await;
    flow.sends(3).await;
    flow.event(0, |event| event["message"] == json!(message) && event["delivery"]["status"] == "read").await;
    assert_eq!(flow.simulator.all_sends()[2].text, "Welcome and congratulations!");
    assert_eq!(refused(&flow), 0);
    flow.still().await;
    flow.finish().await;
}

#[actix::test]
async fn pages_let_a_person_write_for_seven_days_and_the_assistant_for_one() {
    for account in PAGES {
        let flow = start(vec![Behaviour::Say("fine".into())]).await;
        flow.says("ana", account, "hello");
        flow.sends(1).await;
        flow.still().await;
        let conversation = flow.conversation_on(account).await.id;
        flow.clock.advance_millis(DAY_MS - 1_000);
        flow.replied(conversation, json!({ "text": "without a tag" })).await;
        flow.sends(2).await;
        // Here only what is tagged as a person's is taken: the simulator refuses all else.
        flow.clock.advance_millis(6 * DAY_MS);
        flow.replied(conversation, json!({ "text": "with the tag" })).await;
        flow.sends(3).await;
        assert_eq!(refused(&flow), 0, "{account}");
        flow.still().await;
        flow.clock.advance_millis(2_000);
        let (status, problem) = flow.reply(conversation, json!({ "text": "too late" })).await;
        assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("window_closed")), "{problem}");
        flow.still().await;
        flow.finish().await;
    }
}

#[actix::test]
async fn what_waits_when_the_window_closes_is_withdrawn_unless_a_person_wrote_it() {
    for account in PAGES {
        let flow = start(vec![Behaviour::Say("fine".into())]).await;
        flow.simulator.set_faults(refusing(account, 2, None, false)).unwrap();
        flow.says("ana", account, "hello");
        flow.event_named(0, "message.postponed").await;
        flow.clock.advance_millis(25 * HOUR_MS);
        let withdrawn = flow.event_named(0, "message.withdrawn").await;
        assert_eq!(withdrawn["reason"], "window_closed", "{account}");
        flow.still().await;
        let conversation = flow.conversation_on(account).await.id;
        let at = flow.now_at().await;
        flow.simulator.set_faults(refusing(account, 2, None, false)).unwrap();
        flow.replied(conversation, json!({ "text": "a person's words" })).await;
        flow.event_after(0, at, |event| event["type"] == "message.postponed").await;
        flow.clock.advance_millis(DAY_MS);
        flow.sent("a person's words").await;
        assert_eq!(flow.simulator.all_sends().len(), 1, "not a word of the assistant's");
        assert!(
            !flow.simulator.state().counters.sends_refused.contains_key(&10),
            "nothing was tried in vain"
        );
        flow.still().await;
        flow.finish().await;
    }
}

#[actix::test]
async fn an_ad_lets_the_assistant_answer_for_seven_days() {
    let slow = Behaviour::SayAfter { ms: 2 * DAY_MS, text: "after two days".into() };
    for account in PAGES {
        for by_ad in [true, false] {
            let flow = start(vec![slow.clone()]).await;
            let deed = Deed::of("ana", Some(account), Act::Text { text: "hello".into() });
            flow.simulator.act(Deed { came_from_ad: by_ad, ..deed }).unwrap();
            flow.event_named(0, "turn.started").await;
            within("the model", async {
                while flow.model.open() == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            flow.clock.advance_millis(2 * DAY_MS);
            let ended = flow.event_named(0, "turn.ended").await;
            assert_eq!(ended["end"], if by_ad { "answered" } else { "window_closed" }, "{account}");
            if by_ad {
                flow.sent("after two days").await;
            }
            flow.still().await;
            assert_eq!(
                (flow.simulator.all_sends().len(), refused(&flow)),
                (usize::from(by_ad), 0),
                "{account}"
            );
            flow.finish().await;
        }
    }
}

#[actix::test]
async fn what_a_contact_does_opens_the_window_and_what_is_old_does_not() {
    let flow = start(vec![Behaviour::Say("fine".into())]).await;
    for (number, account) in CHANNELS.into_iter().enumerate() {
        flow.says("ana", account, "hello");
        flow.sends(number + 1).await;
        flow.still().await;
    }
    flow.clock.advance_millis(20 * HOUR_MS);
    for account in CHANNELS {
        let at = flow.now_at().await;
        flow.act("ana", account, Act::React { to: "last".into(), emoji: Some("❤".into()) });
        flow.event_after(0, at, |event| event["type"] == "message.reacted").await;
        flow.still().await;
        assert_eq!(free_until(&flow, account).await, flow.clock.now().plus_millis(DAY_MS), "{account}");
    }
    // WhatsApp counts in seconds, and so does the clock here.
    flow.clock.advance_millis(20 * HOUR_MS);
    flow.act("ana", NUMBERS[0], Act::Call);
    flow.event_named(0, "contact.acted").await;
    flow.still().await;
    assert_eq!(free_until(&flow, NUMBERS[0]).await, flow.clock.now().plus_millis(DAY_MS));
    assert_eq!(flow.simulator.all_sends().len(), CHANNELS.len(), "none of it is answered");
    flow.finish().await;
}

#[actix::test]
async fn imported_history_opens_nothing_and_is_not_answered() {
    let flow = start(vec![Behaviour::Say("fine".into())]).await;
    flow.meta(NUMBERS[0], Act::History { declined: false });
    let imported = |event: &Value| event["type"] == "message.received" && event["arrival"] == "imported";
    flow.event(0, imported).await;
    flow.event_named(0, "message.echoed").await;
    flow.still().await;
    let conversation = flow.conversation_on(NUMBERS[0]).await;
    assert_eq!(free_until(&flow, NUMBERS[0]).await, Timestamp::EPOCH);
    assert_eq!(flow.count(0, "turn.started").await, 0);
    assert_eq!(flow.count(0, "control.changed").await, 0, "an old answer takes nothing over");
    let (status, problem) = flow.reply(conversation.id, json!({ "text": "hello" })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("window_closed")), "{problem}");
    flow.finish().await;
}

#[actix::test]
async fn a_comment_is_answered_in_private_once_and_for_seven_days() {
    for account in [PAGE, INSTAGRAM] {
        let flow = start(vec![Behaviour::Say("fine".into())]).await;
        let ids: Vec<_> = ["one", "two"]
            .map(|text| flow.act("ana", account, Act::Comment { text: text.into(), by_business: false }))
            .into();
        let (conversation, first) = flow.message_called(0, &format!("comment:{}", ids[0])).await;
        let (_, second) = flow.message_called(0, &format!("comment:{}", ids[1])).await;
        flow.still().await;
        assert_eq!(flow.count(0, "turn.started").await, 0, "a public comment is a person's to answer");
        let (status, problem) = flow.reply(conversation, json!({ "text": "no window" })).await;
        assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("window_closed")), "{problem}");
        flow.clock.advance_millis(7 * DAY_MS - 2_000);
        flow.replied(conversation, json!({ "text": "in private", "reply_to": first.id })).await;
        flow.sent("in private").await;
        assert_eq!(refused(&flow), 0, "{account}");
        flow.still().await;
        flow.clock.advance_millis(3_000);
        let (status, problem) =
            flow.reply(conversation, json!({ "text": "late", "reply_to": second.id })).await;
        assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("window_closed")), "{problem}");
        flow.finish().await;
    }
}
