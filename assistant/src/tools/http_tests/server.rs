//! A server on this machine that follows a script, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a request got.
#[derive(Clone)]
pub(super) enum Answer {
    /// A whole response.
    Whole(String),
    /// The beginning of a response; then the connection is closed.
    Cut(String),
    /// Nothing, for as long as the other side waits.
    Hang,
}

/// A response with a body of this type.
pub(super) fn answer(status: &str, kind: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Whole(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

pub(super) fn json(body: &str) -> Answer {
    answer("200 OK", "application/json", body)
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(own, _)| own == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

pub(super) struct Server {
    pub(super) port: u16,
    pub(super) requests: mpsc::Receiver<Request>,
}

impl Server {
    /// One that gives these answers in order; the last one goes on.
    pub(super) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let (seen, requests) = mpsc::channel(64);
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(connection, Arc::clone(&script), seen.clone()));
            }
        });
        Self { port, requests }
    }

    /// Every request so far.
    pub(super) fn seen(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

async fn serve(connection: TcpStream, script: Arc<Mutex<VecDeque<Answer>>>, seen: mpsc::Sender<Request>) {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read(&mut connection).await {
        let answer = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() }
        };
        seen.send(request).await.unwrap();
        match answer {
            Answer::Whole(text) => connection.get_mut().write_all(text.as_bytes()).await.unwrap(),
            Answer::Cut(text) => {
                connection.get_mut().write_all(text.as_bytes()).await.unwrap();
                return;
            }
            Answer::Hang => std::future::pending().await,
        }
    }
}

async fn read(connection: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if connection.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        connection.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    connection.read_exact(&mut body).await.ok()?;
    Some(Request { line: line.trim().to_owned(), headers, body: String::from_utf8(body).unwrap() })
}
