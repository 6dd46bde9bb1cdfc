//! One tenant and all who watch it: how many frames a second come to them, and how late.
//!
//! The server and a bare one run in processes of their own, the watchers in another. The bare one is the same websocket
//! crate with nothing behind it but a channel that hands one text to all. Both are told to make events: the server writes them into
//! the tenant's log, durably, from where its hub has them. First in waves, the next one once everybody has the last
//! frame of it (so nobody is left behind, and nothing is lost), for the frames a second; then singly with a pause after each, for
//! their delay, which the writing is part of. Both have their watchers at once, and their turns by turns.
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
        let mut of_hub = Measured::new(Watchers::start(&hub, count, 0, &key, &set_up.tenant), count);
        let mut of_bare = Measured::new(Watchers::start(&bare, count, 0, &key, &set_up.tenant), count);
        of_hub.warm(&mut hub);
        // Its numbers grow: the bare one's frames are as long as its are by now.
        bare.event_bytes = of_hub.frame_bytes;
        of_bare.warm(&mut bare);
        // By turns, so that what else the machine does falls on both.
        for _ in 0..options.waves {
            of_hub.wave(&mut hub);
            of_bare.wave(&mut bare);
        }
        for _ in 0..options.singles {
            of_hub.single(&mut hub);
            of_bare.single(&mut bare);
        }
        let (of_hub, of_bare) = (of_hub.figures(), of_bare.figures());
        eprintln!("{count} watchers, bare: {of_bare}");
        eprintln!("{count} watchers, hub: {of_hub}");
        let ratio = |name: &str| rounded(number(&of_hub[name]) / number(&of_bare[name]));
        let ratios = [ratio("frames_per_second"), ratio("delay_p99_ms")];
        clean = number(&of_hub["delay_p99_ms"]);
        results.push(json!({
            "watchers": count, "bare": of_bare, "hub": of_hub, "ratio_frames_per_second": ratios[0],
            "ratio_delay_p99": ratios[1], "server_memory_mb": rounded(hub.memory_mb()),
        }));
    }
    let all = WATCHERS[2];
    let watchers = Watchers::start(&hub, all, options.silent, &key, &set_up.tenant);
    let mut besides = Measured::new(watchers, all);
    besides.warm(&mut hub);
    (0..options.waves).for_each(|_| besides.wave(&mut hub));
    (0..options.singles).for_each(|_| besides.single(&mut hub));
    let mut besides = besides.figures();
    besides["silent"] = options.silent.into();
    besides["ratio_delay_p99"] = rounded(number(&besides["delay_p99_ms"]) / clean).into();
    besides["server_memory_mb"] = rounded(hub.memory_mb()).into();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("{}", json!({ "bench": "hub", "counts": results, "beside_silent": besides, "cores": cores }));
}

/// What watchers saw of a source so far.
struct Measured {
    watchers: Watchers,
    /// Events of one wave.
    events: usize,
    frame_bytes: usize,
    frames: usize,
    seconds: f64,
    micros: Vec<u64>,
}

impl Measured {
    /// Nothing yet.
    fn new(watchers: Watchers, count: usize) -> Self {
        let events = (WAVE_FRAMES / count).clamp(1, WAVE_MAX);
        Self { watchers, events, frame_bytes: 0, frames: 0, seconds: 0.0, micros: Vec::new() }
    }

    /// A wave that does not count: what is made once is made by then.
    fn warm(&mut self, source: &mut Source) {
        self.frame_bytes = self.watchers.after(source, self.events).1.frame_bytes;
    }

    fn wave(&mut self, source: &mut Source) {
        let (seconds, seen) = self.watchers.after(source, self.events);
        self.seconds += seconds;
        self.frames += seen.frames;
        self.frame_bytes = seen.frame_bytes;
    }

    fn single(&mut self, source: &mut Source) {
        self.micros.extend(self.watchers.after(source, 1).1.micros);
    }

    /// What it came to. Its watchers go.
    fn figures(mut self) -> Value {
        self.micros.sort_unstable();
        let at = |percent: usize| {
            let place = (self.micros.len() * percent / 100).min(self.micros.len() - 1);
            rounded(self.micros[place] as f64 / 1e3)
        };
        json!({
            "frames_per_second": (self.frames as f64 / self.seconds).round(),
            "frame_bytes": self.frame_bytes,
            "events_of_a_wave": self.events,
            "delay_p50_ms": at(50),
            "delay_p99_ms": at(99),
        })
    }
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
