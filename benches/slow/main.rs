//! Slow clients by the hundred, good ones among them: slowhttptest in its four modes (slow heads, slow bodies,
//! slow readers, many ranges) against the release server, while good clients post webhooks as fast as they are
//! acknowledged. What counts is what share of their quiet rate is left, and that none is refused; and what
//! memory the server has then.
//!
//! All come from one address here, so the limit by address is lifted: it would send the tool away at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that fails has no result"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints what it found")]
#![allow(clippy::cast_precision_loss, reason = "counts are far below what a float holds exactly")]

#[path = "../ingress/load.rs"]
mod load;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use load::{Pool, Tally};
use support::rounded;
use support::server::{self, Server};

const CONTACTS: u64 = 2_000;
/// Good clients.
const CONNECTIONS: usize = 8;
/// Webhooks that are made ready for each phase, none of which came before: one that did costs no write. A phase that
/// has used them up ends.
const POOL: u64 = 100_000;

/// A mode: its name, what it asks for, and how.
const MODES: [(&str, &str, &[&str]); 4] = [
    ("slow_heads", "/health/live", &["-H", "-i", "2", "-x", "24"]),
    ("slow_bodies", "WEBHOOK", &["-B", "-i", "2", "-s", "65536", "-x", "10", "-t", "POST"]),
    ("slow_readers", "/openapi.json", &["-X", "-w", "512", "-y", "1024", "-n", "2", "-z", "32", "-k", "3"]),
    ("ranges", "/openapi.json", &["-R", "-t", "GET", "-a", "10", "-b", "3000"]),
];

struct Options {
    seconds: u64,
    attackers: u64,
}

/// slowhttptest, ended with this.
struct Tool(Child);

impl Drop for Tool {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn main() {
    let Options { seconds, attackers } = options();
    let folder = support::folder();
    let set_up = server::set_up(folder.path(), "", "");
    let file = folder.path().join("iassistance.toml");
    let text = fs::read_to_string(&file).unwrap();
    let lifted = text.replace("[server]\n", "[server]\nconnections_per_address_max = 100000\n");
    fs::write(&file, lifted).unwrap();
    let server = Server::durable(folder.path());
    let webhook = format!("/webhooks/meta/{}", set_up.meta_app);
    let (time, mut first) = (Duration::from_secs(seconds), 0);
    let mut pool = || {
        first += POOL;
        Pool::new(&webhook, CONTACTS, first - POOL..first)
    };

    eprintln!("warming up");
    load::run(server.address, &pool(), CONNECTIONS, time, false);
    server.settle();
    eprintln!("quiet: {CONNECTIONS} good clients for {seconds} s");
    let quiet = load::run(server.address, &pool(), CONNECTIONS, time, false);
    let rss = server.memory_mb();
    let mut modes = BTreeMap::new();
    for (name, path, arguments) in MODES {
        let url = format!("http://{}{}", server.address, if path == "WEBHOOK" { &webhook } else { path });
        let pool = pool();
        server.settle();
        eprintln!("{name}: {attackers} slow clients besides, for {seconds} s");
        let tool = attack(&url, arguments, attackers, seconds);
        // Until they are there.
        std::thread::sleep(Duration::from_secs(2));
        let tally = load::run(server.address, &pool, CONNECTIONS, time, false);
        let (memory, connections) = (server.memory_mb(), server.connections());
        drop(tool);
        assert_eq!(tally.refused, 0, "{name}: no good client is refused");
        let mut figures = of(&tally);
        figures["share_of_quiet"] = rounded(tally.rate() / quiet.rate()).into();
        figures["server_memory_mb"] = rounded(memory).into();
        figures["connections_at_the_end"] = connections.into();
        eprintln!("  {figures}");
        modes.insert(name, figures);
    }
    let result = json!({
        "bench": "slow",
        "slow_clients": attackers,
        "quiet": of(&quiet),
        "quiet_memory_mb": rounded(rss),
        "modes": modes,
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
    });
    println!("{result}");
}

fn of(tally: &Tally) -> Value {
    json!({
        "acknowledged_per_second": rounded(tally.rate()),
        "refused": tally.refused,
        "p50_ms": rounded(tally.percentile(50)),
        "p99_ms": rounded(tally.percentile(99)),
    })
}

fn attack(url: &str, arguments: &[&str], attackers: u64, seconds: u64) -> Tool {
    let count = attackers.to_string();
    let length = (seconds + 10).to_string();
    let mut command = Command::new("slowhttptest");
    command.args(arguments).args(["-c", &count, "-r", "500", "-p", "5", "-l", &length, "-u", url]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Tool(child.expect("slowhttptest is installed (apt-get install slowhttptest)"))
}

/// `--seconds N --slow N`; what `cargo bench` adds is passed over.
fn options() -> Options {
    let mut options = Options { seconds: 15, attackers: 1_000 };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_else(|| panic!("{name} takes a value"));
        let number = value.parse().unwrap_or_else(|_| panic!("{name} takes a number"));
        match name.as_str() {
            "--seconds" => options.seconds = number,
            "--slow" => options.attackers = number,
            _ => panic!("unknown option {name}; there are --seconds and --slow"),
        }
    }
    options
}
