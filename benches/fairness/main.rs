//! One tenant at many times its rate: what the others feel of it.
//!
//! The release server runs in a process of its own with the limits that it comes with; the simulator, whose
//! model thinks for a while, is in this one. First every tenant writes at its usual rate; then one of them
//! writes at a hundred times that, whether or not it is answered. Of the others it is measured, in both, how
//! long a webhook takes to be acknowledged and a message to be answered; what counts are the ratios. Beside both
//! the machine's own syncs are measured, and when the store is rewritten ([`probe`]). In the
//! end every message that was acknowledged must have been answered exactly once, the flood's too: otherwise
//! there is no result.
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
#[path = "../turns/watch.rs"]
mod watch;

mod load;
mod probe;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iassistance_actors::kernel::SystemClock;
use iassistance_simulator::faults::WebhookFaults;
use iassistance_simulator::{Faults, Limits, Number, OutsideWindow, Simulator, SimulatorSettings};
use serde_json::{Value, json};

use load::{Driver, Phase};
use probe::{Probe, Seen};
use support::server::{self, ACCESS_TOKEN, Server};
use support::{PHONE_NUMBER_ID, SECRET, rounded};
use watch::percentile;

const MODEL_KEY: &str = "bench-model-key";
/// How long the model thinks, milliseconds.
const THINK_MS: u64 = 200;
/// Tenants besides the one that floods.
const OTHERS: usize = 9;

struct Options {
    seconds: u64,
    rate: f64,
    times: f64,
}

fn main() {
    let options = options();
    let time = Duration::from_secs(options.seconds);
    let folder = support::folder();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let numbers: Vec<String> = (0..=OTHERS).map(number).collect();
    let simulator = runtime.block_on(Simulator::start(simulated(&numbers), Arc::new(SystemClock))).unwrap();
    let webhooks = WebhookFaults { drop_statuses_per_mille: 1_000, ..WebhookFaults::default() };
    simulator.set_faults(Faults { webhooks, ..Faults::default() }).unwrap();
    let set_up = server::set_up(folder.path(), "", &sections(&simulator));
    for number in &numbers[1..] {
        server::add_tenant(folder.path(), &set_up.meta_app, number);
    }
    with_its_own_limits(folder.path());
    let mut server = Server::durable(folder.path());
    let path = format!("/webhooks/meta/{}", set_up.meta_app);
    let mut driver = Driver::new(server.address, path, numbers, simulator.moments());

    eprintln!("warming up: everybody writes for the first time");
    driver.run(options.rate, 1.0, Duration::from_secs(10));
    eprintln!("quiet: {} tenants at {} messages/s each for {} s", OTHERS + 1, options.rate, options.seconds);
    let (quiet, machine_quiet) = beside(folder.path(), || driver.run(options.rate, 1.0, time));
    eprintln!("flood: one of them at {} messages/s for {} s", options.rate * options.times, options.seconds);
    let (flood, machine) = beside(folder.path(), || driver.run(options.rate, options.times, time));
    slowest(&flood);
    let answered = driver.answered_once();
    let counters = simulator.state().counters;
    assert_eq!(
        (counters.duplicates, counters.sends_accepted),
        (0, answered as u64),
        "nothing was sent twice"
    );
    server.kill();
    let (before, during) = (others(&quiet), others(&flood));
    let ratio = |name: &str| rounded(during[name].as_f64().unwrap() / before[name].as_f64().unwrap());
    let result = json!({
        "bench": "fairness",
        "others_quiet": before,
        "others_during_flood": during,
        "ratio_acknowledged_p99": ratio("acknowledged_p99_ms"),
        "ratio_answered_p99": ratio("answered_p99_ms"),
        "machine_quiet": machine_quiet.report(),
        "machine_during_flood": machine.report(),
        "ratio_machine_sync_p99": rounded(machine.sync_ms(99) / machine_quiet.sync_ms(99)),
        "slow_acknowledgements": machine.blame(&flood.others),
        "flood": {
            "messages": flood.loud.len() + flood.refused,
            "acknowledged": flood.loud.len(),
            "refused": flood.refused,
            "answered_p50_ms": rounded(percentile(50, flood.loud.iter().map(watch::Turn::whole_ms))),
        },
        "answered_once": answered,
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    });
    println!("{result}");
}

/// What comes of it, and what the machine did meanwhile.
fn beside(folder: &Path, run: impl FnOnce() -> Phase) -> (Phase, Seen) {
    let probe = Probe::start(folder);
    let phase = run();
    // While the flood's last answers are waited for, nobody else writes.
    let last = phase.others.iter().map(watch::Turn::posted_at).max().expect("somebody wrote");
    (phase, probe.end(last))
}

/// Says when the others waited longest, and for what.
fn slowest(phase: &Phase) {
    let Some(began) = phase.others.iter().map(watch::Turn::posted_at).min() else { return };
    let acknowledged: fn(&watch::Turn) -> f64 = watch::Turn::acknowledged_ms;
    for (what, wait) in [("an acknowledgement", acknowledged), ("an answer", watch::Turn::whole_ms)] {
        let mut turns: Vec<_> = phase.others.iter().collect();
        turns.sort_by(|one, other| wait(other).total_cmp(&wait(one)));
        for turn in turns.iter().take(3) {
            let at = turn.posted_at().duration_since(began).as_secs_f64();
            eprintln!("  {:.1} ms to {what}, after {at:.1} s", wait(turn));
        }
    }
}

/// What the others felt.
fn others(phase: &Phase) -> Value {
    let of =
        |percent, what: fn(&watch::Turn) -> f64| rounded(percentile(percent, phase.others.iter().map(what)));
    json!({
        "messages": phase.others.len(),
        "acknowledged_p50_ms": of(50, watch::Turn::acknowledged_ms),
        "acknowledged_p99_ms": of(99, watch::Turn::acknowledged_ms),
        "answered_p50_ms": of(50, watch::Turn::whole_ms),
        "answered_p99_ms": of(99, watch::Turn::whole_ms),
    })
}

/// As many digits as [`PHONE_NUMBER_ID`] has, which is the first tenant's: the one that floods.
fn number(tenant: usize) -> String {
    let first: u64 = PHONE_NUMBER_ID.parse().unwrap();
    (first + tenant as u64).to_string()
}

/// Takes out what benches lift: the limits that the server comes with are part of what is measured.
fn with_its_own_limits(folder: &Path) {
    let file = folder.join("iassistance.toml");
    let text = fs::read_to_string(&file).unwrap();
    let lifted = ["tenant_steps_per_s", "tenant_burst"];
    let kept = text.lines().filter(|line| !lifted.iter().any(|name| line.starts_with(name)));
    fs::write(&file, kept.collect::<Vec<_>>().join("\n")).unwrap();
}

fn simulated(numbers: &[String]) -> SimulatorSettings {
    let number = |id: &String| Number {
        phone_number_id: id.clone(),
        waba_id: "100000000000001".into(),
        display_phone_number: format!("+1 555-010-{}", &id[id.len() - 4..]),
        verified_name: "Bench".into(),
        access_token: ACCESS_TOKEN.into(),
    };
    let mut settings = SimulatorSettings {
        numbers: numbers.iter().map(number).collect(),
        app_secret: SECRET.into(),
        verify_token: "bench-verify-token".into(),
        model_key: MODEL_KEY.into(),
        limits: Limits { pair_every_ms: 0, number_per_second: 0, ..Limits::default() },
        outside_window: OutsideWindow::Delivered,
        ..SimulatorSettings::default()
    };
    settings.model.think_ms = THINK_MS;
    settings
}

fn sections(simulator: &Simulator) -> String {
    format!(
        "[meta]\ngraph_base_url = {:?}\nchannel_test_hours = 0\n\n\
         [model]\nbase_url = {:?}\napi_key = {MODEL_KEY:?}\nmodel = \"simulated-1\"\n\n\
         [assistant]\nenabled = true\ntask = \"Answer questions about a shop for shoes.\"\n\
         quiet_ms = 0\ncap_ms = 0\nlanguages = [\"en\"]\n",
        simulator.graph_url(),
        simulator.model_url(),
    )
}

/// `--seconds N --rate 2 --times 100`; what `cargo bench` adds is passed over.
fn options() -> Options {
    let mut options = Options { seconds: 40, rate: 2.0, times: 100.0 };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} takes a value"));
        let number: f64 = value.parse().unwrap_or_else(|_| panic!("{name} takes a number"));
        match name.as_str() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
            "--seconds" => options.seconds = number as u64,
            "--rate" => options.rate = number,
            "--times" => options.times = number,
            _ => panic!("unknown option {name}; there are --seconds, --rate and --times"),
        }
    }
    options
}
