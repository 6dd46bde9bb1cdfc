//! Where else canaries could come out: the log, the live sockets, the receivers of webhooks, the model.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use futures::{SinkExt, StreamExt};
use iassistance_hooks::{HookCall, HookCaller, HookProblem};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// What was logged since it was last asked for, in this process.
pub fn logged() -> Vec<u8> {
    std::mem::take(&mut *captured().lock().unwrap())
}

fn captured() -> &'static Mutex<Vec<u8>> {
    static CAPTURED: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    CAPTURED.get_or_init(|| {
        struct Capture;
        impl Write for Capture {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                if let Some(captured) = CAPTURED.get() {
                    captured.lock().unwrap().extend_from_slice(bytes);
                }
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        // Whatever we log, at any level; of others what they may be asked for when something is wrong.
        let filter = tracing_subscriber::EnvFilter::new("debug,iassistance=trace");
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
        let _set = subscriber.with_writer(|| Capture).try_init();
        Mutex::default()
    })
}

/// What was said to somebody: to whom, and what.
pub type Said = (String, Vec<u8>);

/// What was said since it was last asked for.
#[derive(Clone, Default)]
pub struct Overheard(Arc<Mutex<Vec<Said>>>);

impl Overheard {
    pub fn add(&self, to: &str, what: &[u8]) {
        self.0.lock().unwrap().push((to.to_owned(), what.to_vec()));
    }

    pub fn take(&self) -> Vec<Said> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Receives webhooks, at whatever address.
pub struct Receiver(pub Overheard);

#[async_trait]
impl HookCaller for Receiver {
    fn check(&self, _: &str) -> Result<(), HookProblem> {
        Ok(())
    }

    async fn call(&self, call: HookCall<'_>) -> Result<u16, HookProblem> {
        self.0.add(call.url, call.body);
        Ok(204)
    }
}

/// A live socket that hears what there is for who opened it.
pub struct Socket {
    asking: mpsc::Sender<String>,
    heard: Overheard,
}

impl Socket {
    /// Opens one with these headers; nothing where it is refused.
    pub async fn open(address: SocketAddr, headers: &[(&'static str, String)]) -> Option<Self> {
        let mut request = format!("ws://{address}/v1/live").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = client_async(request, stream).await.ok()?;
        let (asking, mut asked) = mpsc::channel::<String>(64);
        let heard = Overheard::default();
        let hears = heard.clone();
        tokio::task::spawn_local(async move {
            let (mut say, mut hear) = socket.split();
            loop {
                tokio::select! {
                    frame = asked.recv() => {
                        let Some(frame) = frame else { return };
                        if say.send(Message::text(frame)).await.is_err() {
                            return;
                        }
                    }
                    frame = hear.next() => match frame {
                        Some(Ok(Message::Text(text))) => hears.add("", text.as_bytes()),
                        // It answers pings by itself, with the next thing that is sent.
                        Some(Ok(Message::Ping(_))) if say.flush().await.is_ok() => {}
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return,
                    },
                }
            }
        });
        Some(Self { asking, heard })
    }

    /// Says something, if it is still open.
    pub fn say(&self, frame: &serde_json::Value) {
        let _full_or_closed = self.asking.try_send(frame.to_string());
    }

    /// Whether it is still open.
    pub fn is_open(&self) -> bool {
        !self.asking.is_closed()
    }

    /// What it heard since it was last asked for.
    pub fn heard(&self) -> Vec<Said> {
        self.heard.take()
    }
}
