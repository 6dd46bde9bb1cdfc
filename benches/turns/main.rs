//! Whole turns under load: how many a second get from the signed webhook by the model to Graph's send,
//! and how much time the engine itself adds to one.
//!
//! The release server runs in a process of its own; the simulator, whose model does not think, is in
//! this one. First as many people as may write, each again as soon as they are answered: the best of
//! those levels is what the machine can do. Then messages come at half of that rate, at even distances
//! and whether or not the former are answered; of each turn the driver knows when its webhook was
//! acknowledged, and the simulator when its model was asked and had answered and when the send came in.
//! What is left between is the engine's. In the end every message must have been answered exactly once:
//! otherwise there is no result.
//!
//! Limits that would throttle the load are lifted, and no collecting window holds an answer back: how
//! long that lasts is a tenant's choice. Reports of what became of a send (sent, delivered, read) are
//! more work than the turn itself, so they are a level of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that fails has no result"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it found")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below what a float holds exactly")]

#[path = "../support/mod.rs"]
mod support;

mod load;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iassistance_actors::kernel::SystemClock;
use iassistance_simulator::faults::WebhookFaults;
use iassistance_simulator::{Faults, Limits, Number, OutsideWindow, Simulator, SimulatorSettings};
use serde_json::{Value, json};

use load::{Driver, Round};
use support::server::{self, ACCESS_TOKEN, Server};
use support::{PHONE_NUMBER_ID, SECRET, rounded};
use watch::{median, percentile};

/// Contacts that write: so many that no conversation gets so long that it is summed up, which is another
/// call of the model and no part of a turn.
const CONTACTS: u64 = 4_000;
/// How many messages wait for their answers at once.
const LEVELS: [usize; 4] = [16, 32, 64, 128];
const MODEL_KEY: &str = "bench-model-key";

/// Everything that a tenant sets but for times: a task, and instructions as long as people write.
const INSTRUCTIONS: &str = "Answer in two or three short sentences, in the language of the customer, and politely. \
     The shop sells shoes for women, men and children, in leather, canvas and felt, in sizes 20 to 48. It is open \
     from Monday to Saturday, nine to seven, at 12 Harbour Street. Shoes that were not worn may be returned within \
     thirty days with the receipt; worn shoes may be repaired. Orders leave on the next working day and take two to \
     four days. Never promise a discount, a date of arrival or a refund: say that a colleague will see to it. If \
     someone is angry, say that you are sorry and ask what would help. Do not talk about other shops or prices of \
     theirs, about politics, health or law.";

struct Options {
    seconds: u64,
    levels: Vec<usize>,
}

fn main() {
    let options = options();
    let time = Duration::from_secs(options.seconds);
    let folder = support::folder();
    // One thread beside the driver's: stand-ins must not be what a turn waits for.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let simulator = runtime.block_on(Simulator::start(simulated(), Arc::new(SystemClock))).unwrap();
    simulator.set_faults(without_reports()).unwrap();
    let set_up = server::set_up(
        folder.path(),
        "conversation_turns_per_min = 1000000\nconversation_burst = 1000000\nnumber_sends_per_s = 1000000\n\
         pair_burst = 1000000\n",
        &sections(&simulator),
    );
    let mut server = Server::durable(folder.path());
    let path = format!("/webhooks/meta/{}", set_up.meta_app);
    let mut driver = Driver::new(server.address, path.clone(), CONTACTS, simulator.moments());

    eprintln!("warming up: {CONTACTS} contacts write for the first time");
    driver.at_once(64, usize::try_from(CONTACTS).unwrap());
    let mut levels = BTreeMap::new();
    let (mut best, mut at_best) = (0.0_f64, options.levels[0]);
    for in_flight in options.levels {
        let (rate, level) = saturated(&mut driver, &server, in_flight, time);
        eprintln!("{in_flight} at once: {rate:.0} turns/s");
        levels.insert(in_flight, level);
        if rate > best {
            (best, at_best) = (rate, in_flight);
        }
    }
    eprintln!("half of that: {:.0} messages/s for {} s", best / 2.0, 2 * options.seconds);
    let half = driver.evenly(best / 2.0, 2 * time);
    let half = added(&half);

    simulator.set_callback(&format!("http://{}{path}", server.address)).unwrap();
    simulator.set_faults(Faults::default()).unwrap();
    let (rate, _) = saturated(&mut driver, &server, at_best, time);
    eprintln!("with three reports on each send, {at_best} at once: {rate:.0} turns/s");
    let all = Duration::from_mins(2);
    let told = runtime.block_on(async {
        tokio::time::timeout(all, simulator.until(|state| state.webhooks.pending == 0)).await
    });
    assert!(told.is_ok(), "every report is taken within two minutes");

    let answered = driver.answered_once();
    let counters = simulator.state().counters;
    assert_eq!(
        (counters.duplicates, counters.sends_accepted),
        (0, answered as u64),
        "nothing was sent twice"
    );
    server.kill();
    let result = json!({
        "bench": "turns",
        "turns_per_second": rounded(best),
        "in_flight": levels,
        "half_load": half,
        "turns_per_second_with_reports": rounded(rate),
        "answered_once": answered,
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    });
    println!("{result}");
}

/// So many people who each write again when they are answered: finished turns a second, and what they cost.
fn saturated(driver: &mut Driver, server: &Server, in_flight: usize, time: Duration) -> (f64, Value) {
    let (before, own) = (server.cost(), server::own_cpu());
    let round = driver.saturate(in_flight, time);
    let (cost, own) = (server.cost().since(&before), server::own_cpu() - own);
    let rate = round.finished as f64 / round.took.as_secs_f64();
    let turns = round.turns.len() as f64;
    let level = json!({
        "turns_per_second": rounded(rate),
        "server_cpu_us_per_turn": rounded(cost.cpu() * 1e6 / turns),
        "driver_and_simulator_cpu_us_per_turn": rounded(own * 1e6 / turns),
        "server_cores_busy": rounded(cost.cpu() / round.whole.as_secs_f64()),
        "answered_p50_ms": rounded(median(round.turns.iter().map(watch::Turn::whole_ms))),
    });
    (rate, level)
}

/// What the engine adds to a turn at a load that leaves it room.
fn added(round: &Round) -> Value {
    let of =
        |percent, what: fn(&watch::Turn) -> f64| rounded(percentile(percent, round.turns.iter().map(what)));
    json!({
        "messages_per_second": rounded(round.turns.len() as f64 / round.took.as_secs_f64()),
        "turns": round.turns.len(),
        "added_p50_ms": of(50, watch::Turn::added_ms),
        "added_p99_ms": of(99, watch::Turn::added_ms),
        "added_max_ms": of(100, watch::Turn::added_ms),
        "acknowledged_p50_ms": of(50, watch::Turn::acknowledged_ms),
        "acknowledged_p99_ms": of(99, watch::Turn::acknowledged_ms),
        "model_p50_ms": of(50, watch::Turn::model_ms),
        "late_messages": round.late,
    })
}

fn simulated() -> SimulatorSettings {
    SimulatorSettings {
        numbers: vec![Number {
            phone_number_id: PHONE_NUMBER_ID.into(),
            waba_id: "100000000000001".into(),
            display_phone_number: "+1 555-010-0001".into(),
            verified_name: "Bench".into(),
            access_token: ACCESS_TOKEN.into(),
        }],
        app_secret: SECRET.into(),
        verify_token: "bench-verify-token".into(),
        model_key: MODEL_KEY.into(),
        limits: Limits { pair_every_ms: 0, number_per_second: 0, ..Limits::default() },
        outside_window: OutsideWindow::Delivered,
        ..SimulatorSettings::default()
    }
}

fn without_reports() -> Faults {
    let webhooks = WebhookFaults { drop_statuses_per_mille: 1_000, ..WebhookFaults::default() };
    Faults { webhooks, ..Faults::default() }
}

fn sections(simulator: &Simulator) -> String {
    format!(
        "[meta]\ngraph_base_url = {:?}\nchannel_test_hours = 0\n\n\
         [model]\nbase_url = {:?}\napi_key = {MODEL_KEY:?}\nmodel = \"simulated-1\"\n\n\
         [assistant]\nenabled = true\ntask = \"Answer questions about a shop for shoes.\"\n\
         instructions = {INSTRUCTIONS:?}\nquiet_ms = 0\ncap_ms = 0\nlanguages = [\"en\"]\n",
        simulator.graph_url(),
        simulator.model_url(),
    )
}

/// `--seconds N --in-flight 16,64`; what `cargo bench` adds is passed over.
fn options() -> Options {
    let mut options = Options { seconds: 10, levels: LEVELS.to_vec() };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} takes a value"));
        let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} takes numbers"));
        match name.as_str() {
            "--seconds" => options.seconds = number(&value),
            "--in-flight" => {
                options.levels =
                    value.split(',').map(|text| usize::try_from(number(text)).unwrap()).collect();
            }
            _ => panic!("unknown option {name} (known: --seconds, --in-flight)"),
        }
    }
    assert!(!options.levels.contains(&0) && options.seconds > 0, "nothing comes of nothing");
    options
}
