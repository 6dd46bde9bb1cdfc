//! Every error that Meta's documents name, and what is done about it: on the answer to a send, and in
//! a `failed` status that comes later.

use iassistance_assistant::scripted::Behaviour;
use iassistance_simulator::Faults;
use iassistance_simulator::faults::{Rule, SendFault};
use serde_json::{Value, json};

use crate::harness::{Flow, NUMBERS, Options, within};
use crate::products::{
    CHANNELS, DAY_MS, FIXTURES, INSTAGRAM, INSTAGRAM_BY_PAGE, PAGE, flying, refusing, token,
};

/// A row of the matrix, on one account.
#[derive(Debug, Clone)]
struct Row {
    account: &'static str,
    code: u32,
    subcode: Option<u32>,
    class: String,
    /// In a failed status instead of the answer.
    later: bool,
}

fn rows() -> Vec<Row> {
    let matrix = std::fs::read_to_string(format!("{FIXTURES}/graph_errors/ERROR_MATRIX.tsv")).unwrap();
    let mut rows = Vec::new();
    for (number, line) in matrix.lines().skip(1).enumerate() {
        let cells: Vec<&str> = line.split('\t').collect();
        let (product, place) = (cells[0], cells[5]);
        let row = |account, later| Row {
            account,
            code: cells[1].parse().unwrap(),
            subcode: cells[2].parse().ok(),
            class: cells[6].to_owned(),
            later,
        };
        if product == "whatsapp" {
            rows.extend(["sync", "both"].contains(&place).then(|| row(NUMBERS[0], false)));
            rows.extend(["async", "both"].contains(&place).then(|| row(NUMBERS[0], true)));
        } else {
            assert_eq!(place, "sync");
            let instagram = if number % 2 == 0 { INSTAGRAM } else { INSTAGRAM_BY_PAGE };
            rows.extend([row(PAGE, false), row(instagram, false)]);
        }
    }
    assert!(rows.len() > 130, "{}", rows.len());
    rows
}

/// What is seen of one row.
struct Seen<'a> {
    flow: &'a Flow,
    row: &'a Row,
    at: u64,
    who: String,
    conversation: String,
}

impl Seen<'_> {
    async fn event(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let ours = |event: &Value| {
            event["type"] == name && event["conversation"] == *self.conversation && wanted(event)
        };
        self.flow.event_after(0, self.at, ours).await
    }

    /// The answer is at its goal.
    async fn arrived(&self) {
        let there = |event: &Value| {
            ["sent", "delivered", "read"].iter().any(|status| event["delivery"]["status"] == *status)
        };
        self.event("message.status_changed", there).await;
    }

    async fn passes_until_sent(&self, words: &str) {
        // What failed after it was accepted is sent twice.
        let times = 1 + usize::from(self.row.later);
        let sent = async || self.flow.times_sent(words) >= times;
        self.flow.pass_until(&format!("{words} after {:?}", self.row), 1_000, DAY_MS, sent).await;
    }

    /// Somebody else writes on this account; whether they are answered before time passes.
    async fn neighbour(&self, account: &str, goes_on: bool) -> String {
        let words = format!("{} beside {account}", self.who);
        let at = self.flow.now_at().await;
        self.flow.says(&format!("neighbour of {}", self.who), account, &words);
        self.flow.event_after(0, at, |event| event["type"] == "message.queued").await;
        if goes_on {
            self.flow.sent(&words).await;
        }
        words
    }

    async fn given_up(&self) -> Value {
        let status =
            self.event("message.status_changed", |event| event["delivery"]["status"] == "failed").await;
        let problem = status["delivery"]["problem"].clone();
        assert_eq!(problem["code"], self.row.code, "{:?}", self.row);
        let letter = self.event("dead_letter.added", |_| true).await;
        let (reason, title) = (letter["reason"].as_str().unwrap(), problem["title"].as_str().unwrap());
        assert!(title.len() > 15 && reason.contains(title), "{:?}: {letter}", self.row);
        assert!(reason.contains(&format!("code {}", self.row.code)), "{reason}");
        problem
    }
}

/// One contact asks, the answer meets the error, and what follows is as its class says. Returns how
/// many dead letters it left.
async fn play(flow: &Flow, number: usize, row: &Row) -> usize {
    let who = format!("row {number:03}");
    let at = flow.now_at().await;
    let on = if row.later { "whatsapp" } else { row.account };
    flow.simulator.set_faults(refusing(on, row.code, row.subcode, row.later)).unwrap();
    flow.says(&who, row.account, &format!("{who} asks"));
    let opened = flow.event_after(0, at, |event| event["type"] == "conversation.opened").await;
    let conversation = opened["conversation"].as_str().unwrap().to_owned();
    let seen = Seen { flow, row, at, who, conversation };
    let words = format!("{} asks", seen.who);
    match row.class.as_str() {
        "TRANSIENT" | "TRANSIENT_BOUNDED" => {
            seen.event("message.postponed", |_| true).await;
            seen.passes_until_sent(&words).await;
            seen.arrived().await;
            0
        }
        "THROTTLE_APP" | "THROTTLE_WABA" | "THROTTLE_SENDER" | "THROTTLE_PAIR" => {
            throttled(&seen, &words).await
        }
        "AUTH" => stopped(&seen, &words, "expired").await,
        "ACCOUNT_BLOCK" => stopped(&seen, &words, "blocked").await,
        "WINDOW" => {
            assert_eq!(seen.given_up().await["class"], "window");
            1
        }
        "PERMANENT_REQUEST" => {
            assert_eq!(seen.given_up().await["class"], "request");
            1
        }
        "PERMANENT_RECIPIENT" => {
            assert_eq!(seen.given_up().await["class"], "recipient");
            let lost = seen.event("contact.reachability_changed", |_| true).await;
            assert_eq!(lost["problem"]["code"], row.code);
            flow.says(&seen.who, row.account, &format!("{} is back", seen.who));
            seen.event("contact.reachability_changed", |event| event["problem"].is_null()).await;
            flow.sent(&format!("{} is back", seen.who)).await;
            1
        }
        "DROP" | "OPTOUT" => {
            let problem = seen.given_up().await;
            assert_eq!(problem["class"], if row.class == "DROP" { "drop" } else { "opt_out" });
            if [131_049, 131_050].contains(&row.code) {
                let refused = seen.event("contact.marketing_changed", |_| true).await;
                assert_eq!(refused["allowed"], false);
            }
            1
        }
        "THREAD_CONTROL" => {
            assert_eq!(seen.given_up().await["class"], "thread_control");
            other_app(&seen).await;
            1
        }
        other => panic!("{other} is not known here"),
    }
}

async fn throttled(seen: &Seen<'_>, words: &str) -> usize {
    let (flow, row) = (seen.flow, seen.row);
    let postponed = seen.event("message.postponed", |_| true).await;
    assert!(postponed["reason"].as_str().unwrap().len() > 15);
    if !row.later {
        let beyond = CHANNELS.into_iter().find(|account| *account != row.account).unwrap();
        let pair = row.class == "THROTTLE_PAIR";
        // What waits is asked first, so that it had its chance when the rest has been sent.
        let mut waiting = Vec::new();
        let own = seen.neighbour(row.account, pair).await;
        if !pair {
            waiting.push(own);
        }
        let app = row.class == "THROTTLE_APP";
        let other = seen.neighbour(beyond, !app).await;
        if app {
            waiting.push(other);
        }
        waiting.push(words.to_owned());
        for words in &waiting {
            assert!(!flow.was_sent(words), "{words} was sent in spite of {row:?}");
        }
        for words in waiting {
            seen.passes_until_sent(&words).await;
        }
    }
    seen.passes_until_sent(words).await;
    seen.arrived().await;
    0
}

/// Nothing is sent on the channel until it has a new token; other channels go on.
async fn stopped(seen: &Seen<'_>, words: &str, state: &str) -> usize {
    let (flow, row) = (seen.flow, seen.row);
    let changed =
        |event: &Value| event["type"] == "channel.health_changed" && event["health"]["state"] == state;
    let event = within(&format!("health after {row:?}"), flow.event_after(0, seen.at, changed)).await;
    let channel = flow.channel(row.account).await;
    assert_eq!(event["channel"], json!(channel.id), "{row:?}");
    let reason = channel.health.reason.unwrap();
    assert!(reason.contains(&format!("code {}", row.code)), "{reason}");
    let dead = usize::from(row.later);
    if row.later {
        seen.given_up().await;
    }
    let waits = seen.neighbour(row.account, false).await;
    let beyond = CHANNELS.into_iter().find(|account| *account != row.account).unwrap();
    seen.neighbour(beyond, true).await;
    flow.clock.advance_millis(120_000);
    assert!(!flow.was_sent(&waits), "{row:?}");
    let (status, shown) =
        flow.channel_api("PUT", row.account, "", Some(json!({ "access_token": token(row.account) }))).await;
    assert_eq!((status.as_u16(), &shown["health"]["state"]), (200, &json!("live")), "{row:?}: {shown}");
    flow.sent(&waits).await;
    if !row.later {
        flow.sent(words).await;
        seen.arrived().await;
    }
    dead
}

/// Another app has the conversation: nobody says anything until the contact writes to us again.
async fn other_app(seen: &Seen<'_>) {
    let changed = seen.event("control.changed", |_| true).await;
    assert_eq!(changed["control"]["holder"], "other_app", "{:?}", seen.row);
    let conversation = seen.conversation.parse().unwrap();
    let (status, problem) = seen.flow.reply(conversation, json!({ "text": "hello?" })).await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("another app"), "{problem}");
    seen.flow.says(&seen.who, seen.row.account, &format!("{} again", seen.who));
    seen.event("control.changed", |event| event["control"]["holder"] == "assistant").await;
    seen.flow.sent(&format!("{} again", seen.who)).await;
}

async fn play_all(rows: Vec<Row>) {
    let mut flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }).await;
    let mut dead = 0;
    for (number, row) in rows.iter().enumerate() {
        dead += play(&flow, number, row).await;
        flow.still().await;
        let letters = flow.store(0).await.dead_letters(None, 1_000).await.unwrap().len();
        assert_eq!(letters, dead, "{row:?}");
    }
    let again =
        rows.iter().filter(|row| row.later && (row.class.starts_with("THR") || row.class.starts_with("TR")));
    assert_eq!(
        flow.simulator.state().counters.duplicates,
        again.count() as u64,
        "what failed later is sent again"
    );
    flow.forgive_dead_letters(dead.min(100));
    flow.forgive_duplicates();
    flow.finish().await;
}

#[actix::test]
async fn every_error_that_answers_a_send_on_whatsapp() {
    play_all(rows().into_iter().filter(|row| row.account == NUMBERS[0] && !row.later).collect()).await;
}

#[actix::test]
async fn every_error_that_answers_a_send_on_messenger() {
    play_all(rows().into_iter().filter(|row| row.account == PAGE).collect()).await;
}

#[actix::test]
async fn every_error_that_answers_a_send_on_instagram() {
    play_all(rows().into_iter().filter(|row| row.account.starts_with("178")).collect()).await;
}

#[actix::test]
async fn every_error_that_comes_later() {
    let rows: Vec<_> = rows().into_iter().filter(|row| row.later).collect();
    assert!(rows.len() > 15, "{}", rows.len());
    play_all(rows).await;
}

#[actix::test]
async fn what_may_be_our_own_fault_is_tried_three_times_and_what_passes_more_often() {
    let mut flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }).await;
    let refusals = |code, next| {
        let fault = SendFault::Error { on: None, code, subcode: None, status: None, later: false };
        Faults { sends: vec![Rule { fault, next, per_mille: 0 }], ..Faults::default() }
    };
    for account in [NUMBERS[0], PAGE] {
        let at = flow.now_at().await;
        flow.simulator.set_faults(refusals(1, 10)).unwrap();
        flow.says("ana", account, &format!("bounded on {account}"));
        let dead = async || {
            let store = flow.store(0).await;
            let events = store.events(iassistance_domain::event::EventSeq(at), 1_000).await.unwrap();
            events.iter().any(|event| serde_json::to_value(event).unwrap()["type"] == "dead_letter.added")
        };
        flow.pass_until("giving up", 1_000, DAY_MS, dead).await;
        assert_eq!(flow.simulator.faults().sends[0].next, 7, "three tries");
    }
    flow.simulator.set_faults(refusals(131_016, 5)).unwrap();
    flow.says("ana", NUMBERS[0], "it passes");
    flow.pass_until("the sixth try", 1_000, DAY_MS, async || flow.was_sent("it passes")).await;
    flow.still().await;
    flow.forgive_dead_letters(2);
    flow.finish().await;
}

#[actix::test]
async fn a_failed_status_is_answered_by_one_more_send_at_most_where_it_is_not_known_to_pass() {
    let mut flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }).await;
    let fault = SendFault::Error { on: None, code: 131_000, subcode: None, status: None, later: true };
    let faults = Faults { sends: vec![Rule { fault, next: 5, per_mille: 0 }], ..Faults::default() };
    flow.simulator.set_faults(faults).unwrap();
    flow.says("ana", NUMBERS[0], "twice at most");
    let dead = async || !flow.store(0).await.dead_letters(None, 10).await.unwrap().is_empty();
    flow.pass_until("giving up", 1_000, DAY_MS, dead).await;
    flow.still().await;
    assert_eq!(flow.times_sent("twice at most"), 2);
    flow.forgive_dead_letters(1);
    // The second is the same message: it is known by the same id of ours.
    assert_eq!(flow.simulator.state().counters.duplicates, 1);
    flow.forgive_duplicates();
    flow.finish().await;
}

#[actix::test]
async fn calls_slow_down_before_a_limit_is_hit() {
    let flow = Flow::with(Options { model: Some(vec![Behaviour::Echo]), ..flying(&[]) }).await;
    let usage = json!({ "usage": { "app": { "call_count": 95 } } });
    flow.simulator.set_faults(serde_json::from_value(usage).unwrap()).unwrap();
    flow.says("ana", NUMBERS[0], "the first");
    flow.sent("the first").await;
    flow.simulator.set_faults(Faults::default()).unwrap();
    let at = flow.now_at().await;
    flow.says("bea", PAGE, "the second");
    flow.event_after(0, at, |event| event["type"] == "message.queued").await;
    let _look = flow.quiet_now(0).await;
    assert!(!flow.was_sent("the second"), "all of the app's sends wait");
    flow.pass_until("the second", 1_000, DAY_MS, async || flow.was_sent("the second")).await;
    flow.still().await;
    flow.finish().await;
}
