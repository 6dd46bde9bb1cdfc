//! Thousands who watch, in one thread that does as little as it can: it reads frames, answers pings, and takes note of
//! when what it was told had been said.

use std::cell::RefCell;
use std::io::{BufRead, Write, stdin, stdout};
use std::rc::Rc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::waves::{STAMP, Seen, now};

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// What a wave came to so far, of all.
#[derive(Default)]
struct Wave {
    /// How many frames it has; 0 until that is known.
    wanted: usize,
    frame_bytes: usize,
    micros: Vec<u64>,
}

/// Watches until its input ends. Says `ready`; then for each line with a number of events what was seen of them.
pub fn watch(address: &str, count: usize, silent: usize, key: &str, tenant: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        let wave: Rc<RefCell<Wave>> = Rc::default();
        let mut kept = Vec::new();
        for number in 0..count {
            let stream = open(address, key, tenant).await;
            if number < silent {
                kept.push(stream);
            } else {
                tokio::task::spawn_local(read(stream, Rc::clone(&wave)));
            }
        }
        say("ready");
        let (lines, mut waves) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in stdin().lock().lines() {
                lines.blocking_send(line.unwrap().parse::<usize>().unwrap()).unwrap();
            }
            std::process::exit(0);
        });
        while let Some(events) = waves.recv().await {
            let mut wave = wave.borrow_mut();
            wave.wanted = events * (count - silent);
            wave.tell();
        }
    }));
}

/// Connects, and watches the tenant.
async fn open(address: &str, key: &str, tenant: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let head = format!(
        "GET /v1/live HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("the server answers"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    let subscribe = json!({ "type": "subscribe", "tenant": tenant }).to_string();
    stream.write_all(&masked(TEXT, subscribe.as_bytes())).await.unwrap();
    let mut answer = Vec::new();
    while frame(&answer).is_none() {
        answer.push(stream.read_u8().await.expect("the server answers"));
    }
    assert!(memchr::memmem::find(&answer, b"subscribed").is_some(), "{}", String::from_utf8_lossy(&answer));
    stream
}

async fn read(mut stream: TcpStream, wave: Rc<RefCell<Wave>>) {
    let mut kept = Vec::new();
    let mut more = [0; 16 * 1_024];
    loop {
        let read = stream.read(&mut more).await.expect("the server goes on");
        assert!(read > 0, "the server does not end it");
        kept.extend_from_slice(&more[..read]);
        let mut begin = 0;
        while let Some((kind, from, to)) = frame(&kept[begin..]) {
            let payload = &kept[begin + from..begin + to];
            match kind {
                TEXT => wave.borrow_mut().note(payload),
                PING => {
                    let pong = masked(PONG, payload);
                    stream.write_all(&pong).await.expect("the server goes on");
                }
                CLOSE => panic!("the server ended it"),
                _ => {}
            }
            begin += to;
        }
        kept.drain(..begin);
    }
}

impl Wave {
    fn note(&mut self, text: &[u8]) {
        let Some(at) = memchr::memmem::find(text, STAMP) else { return };
        let digits = &text[at + STAMP.len()..][..19];
        let said = digits.iter().fold(0, |said, digit| said * 10 + u64::from(digit - b'0'));
        self.micros.push(now().saturating_sub(said) / 1_000);
        self.frame_bytes = text.len();
        self.tell();
    }

    /// Says what was seen once everybody has it all.
    fn tell(&mut self) {
        if self.wanted == 0 || self.micros.len() != self.wanted {
            return;
        }
        let Self { frame_bytes, micros, .. } = std::mem::take(self);
        let seen = Seen { last_at: now(), frames: micros.len(), frame_bytes, micros };
        say(&serde_json::to_string(&seen).unwrap());
    }
}

/// The kind of the frame that these bytes begin with, and where in them what it says begins and ends; nothing where it
/// is not all there. A server masks nothing.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (from, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (2, usize::from(length)),
    };
    (bytes.len() >= from + length).then_some((first & 0xF, from, from + length))
}

/// A short frame as clients send it, with a mask of zeros.
fn masked(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("a short frame");
    [&[0x80 | kind, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn say(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}
