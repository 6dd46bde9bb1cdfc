//! Where events come from, and who waits for them: processes of their own, told by lines what to do.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::support::server::{Server, SetUp};
use crate::support::wire::{answered, signed};
use crate::support::{message, messages_webhook};

/// Before the moment at which something was said, nanoseconds since the Unix epoch in 19 digits.
pub const STAMP: &[u8] = b"stamp=";
/// Bytes of what a contact writes: an event has about 300 more.
const WORDS_BYTES: usize = 40;
/// Between single events, so that one is not behind the other.
const PAUSE: Duration = Duration::from_millis(20);

/// What watchers saw of a wave.
#[derive(Serialize, Deserialize)]
pub struct Seen {
    pub seconds: f64,
    pub frames: usize,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// How late each frame came.
    pub micros: Vec<u64>,
}

/// What makes events.
pub enum Source {
    Hub { address: SocketAddr, path: String, runtime: Runtime, stream: TcpStream, number: u64 },
    Bare { address: SocketAddr, child: Child, stdin: ChildStdin, bytes: usize },
}

impl Source {
    pub fn hub(server: &Server, set_up: &SetUp) -> Self {
        let path = format!("/webhooks/meta/{}", set_up.meta_app);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stream = runtime.block_on(TcpStream::connect(server.address)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::Hub { address: server.address, path, runtime, stream, number: 0 }
    }

    /// A bare server whose texts have so many bytes.
    pub fn bare(bytes: usize) -> Self {
        let (child, stdin, mut stdout) = own(&["bare"]);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().parse().expect("it says where it listens");
        Self::Bare { address, child, stdin, bytes }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Hub { .. } => "hub",
            Self::Bare { .. } => "bare",
        }
    }

    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Hub { address, .. } | Self::Bare { address, .. } => *address,
        }
    }

    /// Makes so many events.
    fn make(&mut self, events: usize) {
        match self {
            Self::Bare { stdin, bytes, .. } => writeln!(stdin, "{events} {bytes}").unwrap(),
            Self::Hub { path, runtime, stream, number, .. } => {
                let said = (0..events).map(|_| {
                    *number += 1;
                    message(*number, 1, &filler(WORDS_BYTES))
                });
                let body = messages_webhook(1, &said.collect::<Vec<_>>());
                let mut request = Vec::new();
                signed(path, &body, &mut request);
                let status = runtime.block_on(async {
                    stream.write_all(&request).await.unwrap();
                    answered(stream, &mut Vec::new()).await
                });
                assert_eq!(status, 200, "the webhook is taken");
            }
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Self::Bare { child, .. } = self {
            drop(child.kill());
            drop(child.wait());
        }
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
        let [address, count, silent] = [source.address().to_string(), count.to_string(), silent.to_string()];
        let (child, stdin, stdout) = own(&["watch", &address, &count, &silent, key, tenant]);
        let mut watchers = Self { child, stdin, stdout };
        assert_eq!(watchers.line().trim(), "ready");
        watchers
    }

    /// Has so many events made, and waits until everybody has them all.
    pub fn after(&mut self, source: &mut Source, events: usize) -> Seen {
        std::thread::sleep(PAUSE);
        writeln!(self.stdin, "{events}").unwrap();
        let began = Instant::now();
        source.make(events);
        let mut seen: Seen = serde_json::from_str(&self.line()).unwrap();
        seen.seconds = began.elapsed().as_secs_f64();
        seen
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

/// Words of so many bytes that tell when they were said.
pub fn filler(bytes: usize) -> String {
    let stamp = format!("{}{:019}", String::from_utf8_lossy(STAMP), now());
    let rest = "x".repeat(bytes.saturating_sub(stamp.len()));
    format!("{stamp}{rest}")
}

/// Nanoseconds since the Unix epoch.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}
