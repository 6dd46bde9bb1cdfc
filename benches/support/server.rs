//! The servers under load: the release binary, set up by its own command line, and what it costs.
#![allow(dead_code, reason = "each bench uses its part of this")]
#![allow(clippy::expect_used, reason = "a bench that fails has no result")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{PHONE_NUMBER_ID, SECRET, rounded};

/// What sends from the number.
pub const ACCESS_TOKEN: &str = "bench-access-token";
const BINARY: &str = env!("CARGO_BIN_EXE_iassistance");
/// Ticks of the processor's accounting per second, on every Linux.
const TICKS: f64 = 100.0;
/// A server that has used less than this share of a core for a while has nothing left to do.
const IDLE: f64 = 0.03;
const LOOK: Duration = Duration::from_millis(300);

/// What the command line made.
pub struct SetUp {
    pub tenant: String,
    pub meta_app: String,
}

/// A server in a process of its own.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    measured: bool,
}

/// What a server used and counted: by thread, and in its own metrics.
#[derive(Clone, Default)]
pub struct Cost {
    threads: BTreeMap<String, f64>,
    metrics: BTreeMap<String, f64>,
}

/// Sets up a tenant with a number, as a person would, but for limits that would throttle the load. More
/// sections of settings may be given; `limits` go into their section.
pub fn set_up(folder: &Path, limits: &str, more: &str) -> SetUp {
    let at = |name: &str| folder.join(name).display().to_string();
    let settings = format!(
        "[server]\nport = 0\n\n[storage]\npath = {:?}\ninbox_entries_max = 100000000\n\n\
         [vault]\nkeyring_file = {:?}\nroot_key_file = {:?}\n\n[media]\nfolder = {:?}\n\n\
         [limits]\ntenant_steps_per_s = 1000000\ntenant_burst = 1000000\n{limits}\n{more}",
        at("store"),
        at("keyring.json"),
        at("root.key"),
        at("media"),
    );
    fs::write(folder.join("iassistance.toml"), settings).unwrap();
    let meta_app = made(folder, ACCESS_TOKEN, &["meta-app", "create", "bench"], "id");
    let tenant = add_tenant(folder, &meta_app, PHONE_NUMBER_ID);
    SetUp { tenant, meta_app }
}

/// Sets up a tenant with this number; its id.
pub fn add_tenant(folder: &Path, meta_app: &str, number: &str) -> String {
    let tenant = made(folder, ACCESS_TOKEN, &["tenant", "create", "Bench"], "id");
    let to = ["--tenant", &tenant, "--meta-app", meta_app, "--phone-number-id", number];
    made(folder, ACCESS_TOKEN, &[&["channel", "connect", "--name", "bench"][..], &to].concat(), "id");
    tenant
}

/// What a command of the administration made: this of its answer.
pub fn made(folder: &Path, access_token: &str, arguments: &[&str], wanted: &str) -> String {
    told(folder, access_token, arguments)[wanted].as_str().expect("what was made").to_owned()
}

/// What a command of the administration answers, on a folder whose server does not run.
pub fn told(folder: &Path, access_token: &str, arguments: &[&str]) -> Value {
    let mut command = command(folder);
    let output = command.env("IASSISTANCE_ACCESS_TOKEN", access_token).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} failed: {text}{error}");
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap()
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command
        .current_dir(folder)
        .env_clear()
        .env("IASSISTANCE_APP_SECRET", SECRET)
        .env("IASSISTANCE_VERIFY_TOKEN", "bench-verify-token")
        .env("IASSISTANCE_ACCESS_TOKEN", ACCESS_TOKEN)
        .arg("--json");
    command
}

impl Server {
    /// HMAC and parsing, then 200.
    pub fn bare() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let mut command = command(folder);
        command.args(["--set", "server.port=0", "bare-ingress"]).stderr(Stdio::inherit());
        Self::start(command, false)
    }

    /// The whole server on the folder that was set up.
    pub fn durable(folder: &Path) -> Self {
        let mut command = command(folder);
        command.arg("serve").stderr(File::create(folder.join("log")).unwrap());
        Self::start(command, true)
    }

    fn start(mut command: Command, measured: bool) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).expect("the server says where it listens");
        let address = answer["listening"].as_str().and_then(|url| url.strip_prefix("http://")).unwrap();
        Self { address: address.parse().unwrap(), child, measured }
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it used and counted so far.
    pub fn cost(&self) -> Cost {
        let metrics = if self.measured { self.metrics() } else { BTreeMap::new() };
        Cost { threads: threads(self.child.id()), metrics }
    }

    /// Waits until it has applied what it accepted; how long that took.
    pub fn settle(&self) -> Duration {
        let started = Instant::now();
        let used = || threads(self.child.id()).values().sum::<f64>();
        let mut before = used();
        loop {
            thread::sleep(LOOK);
            let now = used();
            if now - before < IDLE * LOOK.as_secs_f64() {
                return started.elapsed().saturating_sub(LOOK);
            }
            before = now;
        }
    }

    /// What memory it has, megabytes.
    pub fn memory_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1_024.0
    }

    /// How many sockets it has open.
    pub fn connections(&self) -> usize {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
        let is_socket = |link: std::path::PathBuf| link.to_string_lossy().starts_with("socket:");
        open.filter(|entry| fs::read_link(entry.path()).is_ok_and(is_socket)).count()
    }

    fn metrics(&self) -> BTreeMap<String, f64> {
        let wanted = |name: &str| {
            name.starts_with("iassistance_storage_") && (name.ends_with("_sum") || name.ends_with("_count"))
        };
        self.gauges().into_iter().filter(|(name, _)| wanted(name)).collect()
    }

    /// Everything that it measures of itself, by the names that its metrics have.
    pub fn gauges(&self) -> BTreeMap<String, f64> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// Bytes of it that are in memory; nothing once it has ended.
    pub fn resident(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1_024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Also when the bench fails: nothing stays behind.
        drop(self.child.kill());
    }
}

impl Cost {
    /// What was added since an earlier look.
    pub fn since(&self, before: &Self) -> Self {
        let less = |now: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
            now.iter().map(|(name, now)| (name.clone(), now - before.get(name).unwrap_or(&0.0))).collect()
        };
        Self { threads: less(&self.threads, &before.threads), metrics: less(&self.metrics, &before.metrics) }
    }

    pub fn add(&mut self, other: &Self) {
        for (mine, other) in [(&mut self.threads, &other.threads), (&mut self.metrics, &other.metrics)] {
            for (name, more) in other {
                *mine.entry(name.clone()).or_default() += more;
            }
        }
    }

    /// Seconds of processor in all.
    pub fn cpu(&self) -> f64 {
        self.threads.values().sum()
    }

    /// For so many requests in so many seconds: where the time went.
    pub fn report(&self, seconds: f64, requests: f64) -> Value {
        let threads: BTreeMap<_, _> =
            self.threads.iter().map(|(name, used)| (name, rounded(used * 1e6 / requests))).collect();
        let total: f64 = self.threads.values().sum();
        let mut report = json!({
            "cpu_us_per_request": rounded(total * 1e6 / requests),
            "cpu_us_per_request_by_thread": threads,
            "cores_busy": rounded(total / seconds),
        });
        let metric = |name: &str| self.metrics.get(&format!("iassistance_storage_{name}")).copied();
        let (groups, committing) = (metric("commit_seconds_count"), metric("commit_seconds_sum"));
        if let (Some(groups), Some(committing)) = (groups.filter(|groups| *groups > 0.0), committing) {
            let syncing = metric("sync_seconds_sum").unwrap_or_default();
            report["writer"] = json!({
                "busy_share": rounded(committing / seconds),
                "sync_share": rounded(syncing / seconds),
                "group_mean": rounded(metric("group_size_sum").unwrap_or_default() / groups),
                "commit_mean_ms": rounded(committing * 1e3 / groups),
                "sync_mean_ms": rounded(syncing * 1e3 / metric("sync_seconds_count").unwrap_or(groups).max(1.0)),
            });
        }
        report
    }
}

/// Seconds of processor that this process has used.
pub fn own_cpu() -> f64 {
    threads(std::process::id()).values().sum()
}

/// Seconds of processor that a process has used, by the names of its threads.
fn threads(process: u32) -> BTreeMap<String, f64> {
    let mut used = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let Ok(line) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((before, after)) = line.rsplit_once(')') else { continue };
        let name = before.split_once('(').map_or("", |(_, name)| name);
        let name = name.trim_end_matches(|last: char| last.is_ascii_digit() || "-:_ ".contains(last));
        // After the name: the state is the first field, user and system time are the 12th and 13th.
        let ticks: f64 =
            after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        *used.entry(name.to_owned()).or_default() += ticks / TICKS;
    }
    used
}
