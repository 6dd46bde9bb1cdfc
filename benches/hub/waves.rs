//! Where events come from, and who waits for them: processes of their own, told by lines what to do.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Before the moment at which something was said, nanoseconds since the Unix epoch in 19 digits.
pub const STAMP: &[u8] = b"stamp=";
/// Bytes of what an event says: as a frame it has about 300.
const EVENT_BYTES: usize = 90;
/// Between single events, so that one is not behind the other.
const PAUSE: Duration = Duration::from_millis(20);

/// What watchers saw of a wave.
#[derive(Serialize, Deserialize)]
pub struct Seen {
    /// When the last frame came, nanoseconds since the Unix epoch.
    pub last_at: u64,
    pub frames: usize,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// How late each frame came.
    pub micros: Vec<u64>,
}

/// What makes events, in a process of its own.
pub struct Source {
    pub address: String,
    /// Bytes of what it is told to say.
    pub event_bytes: usize,
    child: Child,
    stdin: ChildStdin,
}

impl Source {
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let (child, stdin, mut stdout) = own(&[&[name], arguments].concat());
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        Self { address, event_bytes: EVENT_BYTES, child, stdin }
    }

    /// What memory it has, megabytes.
    pub fn memory_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1_024.0
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Those who watch, in a process of their own.
pub struct Watchers {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Watchers {
    /// Waits until all of them watch; `silent` of them never read after that.
    pub fn start(source: &Source, count: usize, silent: usize, key: &str, tenant: &str) -> Self {
        let [count, silent] = [count.to_string(), silent.to_string()];
        let (child, stdin, stdout) = own(&["watch", &source.address, &count, &silent, key, tenant]);
        let mut watchers = Self { child, stdin, stdout };
        assert_eq!(watchers.line().trim(), "ready");
        watchers
    }

    /// Has so many events made, and waits until everybody has them all. How many seconds that took, and what was
    /// seen.
    pub fn after(&mut self, source: &mut Source, events: usize) -> (f64, Seen) {
        std::thread::sleep(PAUSE);
        writeln!(self.stdin, "{events}").unwrap();
        let began_at = now();
        writeln!(source.stdin, "{events} {}", source.event_bytes).unwrap();
        let seen: Seen = serde_json::from_str(&self.line()).unwrap();
        // What is told of it afterwards takes time, too, and the same for both.
        (Duration::from_nanos(seen.last_at - began_at).as_secs_f64(), seen)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the watchers have ended");
        line
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn own(arguments: &[&str]) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, stdin, BufReader::new(stdout))
}

/// What it is told to say, for each line `N BYTES` of the input; ends the process with it.
pub fn told(mut say: impl FnMut(usize, usize) + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let line = line.unwrap();
            let (count, bytes) = line.split_once(' ').expect("a count and bytes");
            say(count.parse().unwrap(), bytes.parse().unwrap());
        }
        std::process::exit(0);
    });
}

/// Words of so many bytes that tell in the end when they were said: it is looked for in as many bytes whatever is
/// before the words in a frame.
pub fn filler(bytes: usize) -> String {
    let stamp = format!("{}{:019}", String::from_utf8_lossy(STAMP), now());
    let rest = "x".repeat(bytes.saturating_sub(stamp.len()));
    format!("{rest}{stamp}")
}

/// Nanoseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "the one time that processes have in common")]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}
