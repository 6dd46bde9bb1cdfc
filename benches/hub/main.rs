//! One tenant and all who watch it: how many frames a second come to them, and how late.
//!
//! The server and a bare one run in processes of their own, the watchers in another. The bare one is the same websocket
//! crate with nothing behind it but a channel that hands one text to all. Both are told to make events: the server writes them into
//! the tenant's log, durably, from where its hub has them. First in waves, the next one once everybody has the last
//! frame of it (so nobody is left behind, and nothing is lost), for the frames a second; then singly with a pause after each, for
//! their delay, which the writing is part of.
//!
//! Last, of 5,000 some never read: what the others feel of it, and what memory the server has then.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that fails has no result"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it found")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below what a float holds exactly")]

mod bare;
mod hub;
#[path = "../support/mod.rs"]
mod support;
mod watchers;
mod waves;

use serde_json::{Value, json};

use support::rounded;
use support::server::{self, made};
use waves::{Source, Watchers};

// As in the product.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Who watches: as many as this.
const WATCHERS: [usize; 3] = [200, 1_000, 5_000];
/// Frames that come to all of them together in one wave, about.
const WAVE_FRAMES: usize = 640_000;
/// Events of one wave at most: the server keeps as many in memory for all.
const WAVE_MAX: usize = 3_200;

struct Options {
    waves: usize,
    singles: usize,
    silent: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bare"] => bare::serve(),
        ["hub", folder, tenant] => hub::serve(folder, tenant),
        ["watch", address, count, silent, key, tenant] => {
            watchers::watch(address, count.parse().unwrap(), silent.parse().unwrap(), key, tenant);
        }
        _ => measure(&options(&arguments)),
    }
}

fn measure(options: &Options) {
    let folder = support::folder();
    let set_up = server::set_up(folder.path(), "", "");
    let scopes = ["--tenant", &set_up.tenant, "--scope", "read"];
    let key = made(folder.path(), "-", &[&["key", "create", "hub"][..], &scopes].concat(), "key");
    let mut hub = Source::start("hub", &[&folder.path().display().to_string(), &set_up.tenant]);
    let mut bare = Source::start("bare", &[]);

    let mut results = Vec::new();
    let mut clean = f64::NAN;
    for count in WATCHERS {
        let figures = |source: &mut Source| {
            let mut watchers = Watchers::start(source, count, 0, &key, &set_up.tenant);
            let events = (WAVE_FRAMES / count).clamp(1, WAVE_MAX);
            let figures = measured(source, &mut watchers, events, options);
            eprintln!("{count} watchers, {}: {figures}", source.name);
            figures
        };
        let of_hub = figures(&mut hub);
        // Its numbers grow: the bare one's frames are as long as its are by now.
        bare.event_bytes = usize::try_from(of_hub["frame_bytes"].as_u64().unwrap()).unwrap();
        let mut of = json!({ "watchers": count, "bare": figures(&mut bare), "hub": of_hub });
        let ratio = |of: &Value, name: &str| rounded(number(&of["hub"][name]) / number(&of["bare"][name]));
        of["ratio_frames_per_second"] = ratio(&of, "frames_per_second").into();
        of["ratio_delay_p99"] = ratio(&of, "delay_p99_ms").into();
        of["server_memory_mb"] = rounded(hub.memory_mb()).into();
        clean = number(&of["hub"]["delay_p99_ms"]);
        results.push(of);
    }
    let all = WATCHERS[2];
    let mut watchers = Watchers::start(&hub, all, options.silent, &key, &set_up.tenant);
    let mut besides = measured(&mut hub, &mut watchers, WAVE_FRAMES / all, options);
    besides["silent"] = options.silent.into();
    besides["ratio_delay_p99"] = rounded(number(&besides["delay_p99_ms"]) / clean).into();
    besides["server_memory_mb"] = rounded(hub.memory_mb()).into();
    drop(watchers);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("{}", json!({ "bench": "hub", "counts": results, "beside_silent": besides, "cores": cores }));
}

/// Waves, and then single events.
fn measured(source: &mut Source, watchers: &mut Watchers, events: usize, options: &Options) -> Value {
    // What is made once is made by then.
    watchers.after(source, events);
    let (mut seconds, mut frames, mut bytes) = (0.0, 0, 0);
    for _ in 0..options.waves {
        let seen = watchers.after(source, events);
        seconds += seen.seconds;
        frames += seen.frames;
        bytes = seen.frame_bytes;
    }
    let mut micros: Vec<u64> = (0..options.singles).flat_map(|_| watchers.after(source, 1).micros).collect();
    micros.sort_unstable();
    let at =
        |percent: usize| rounded(micros[(micros.len() * percent / 100).min(micros.len() - 1)] as f64 / 1e3);
    json!({
        "frames_per_second": (frames as f64 / seconds).round(),
        "frame_bytes": bytes,
        "events_of_a_wave": events,
        "delay_p50_ms": at(50),
        "delay_p99_ms": at(99),
    })
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a figure")
}

fn options(arguments: &[String]) -> Options {
    let mut options = Options { waves: 10, singles: 100, silent: 500 };
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} takes a value"));
        let number = value.parse().unwrap_or_else(|_| panic!("{name} takes a number"));
        match name.as_str() {
            "--waves" => options.waves = number,
            "--singles" => options.singles = number,
            "--silent" => options.silent = number,
            _ => panic!("unknown option {name}; there are --waves, --singles and --silent"),
        }
    }
    options
}
