//! The server under test, as the simulator reaches it: plain HTTP on this machine and nowhere else.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Host, Url};

use crate::core::{Core, lock};
use crate::settings::SimulatorError;

const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where webhooks go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Callback {
    url: Url,
    address: String,
}

impl Callback {
    /// Only `http` to a loopback address: nothing leaves this machine.
    pub fn parse(text: &str) -> Result<Self, SimulatorError> {
        let url = Url::parse(text).map_err(|_| SimulatorError::CallbackNotLocal)?;
        let host = match url.host() {
            Some(Host::Ipv4(ip)) if ip.is_loopback() => ip.to_string(),
            Some(Host::Ipv6(ip)) if ip.is_loopback() => format!("[{ip}]"),
            Some(Host::Domain("localhost")) => "127.0.0.1".to_owned(),
            _ => return Err(SimulatorError::CallbackNotLocal),
        };
        if url.scheme() != "http" || !url.username().is_empty() || url.password().is_some() {
            return Err(SimulatorError::CallbackNotLocal);
        }
        let port = url.port_or_known_default().unwrap_or(80);
        Ok(Self { address: format!("{host}:{port}"), url })
    }

    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// What stands in the request line: path and query.
    fn target(&self, extra: &str) -> String {
        let query = self.url.query().unwrap_or_default();
        let joined = if query.is_empty() || extra.is_empty() { "" } else { "&" };
        let mark = if query.is_empty() && extra.is_empty() { "" } else { "?" };
        format!("{}{mark}{query}{joined}{extra}", self.url.path())
    }

    /// Asks the callback to echo a challenge (Meta: webhooks, verification requests).
    pub async fn verify(&self, core: &Core, token: &str, challenge: &str) -> Result<(), SimulatorError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("hub.mode", "subscribe")
            .append_pair("hub.verify_token", token)
            .append_pair("hub.challenge", challenge)
            .finish();
        let request =
            Request::builder().method(Method::GET).uri(self.target(&query)).header("host", &self.address);
        let request = request.body(Full::new(Bytes::new())).ok();
        let answer = async {
            let mut connection = connect(core, &self.address).await?;
            exchange(&mut connection, request?).await
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = core.clock.sleep_millis(core.settings.webhooks.answer_ms_max) => None,
        };
        match answer {
            Some((200, echo)) if echo.as_ref() == challenge.as_bytes() => Ok(()),
            answer => {
                Err(SimulatorError::CallbackNotVerified { status: answer.map_or(0, |(status, _)| status) })
            }
        }
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// Connections that are kept for the next webhook.
pub(crate) struct Connections {
    /// By the address that they lead to.
    idle: Mutex<HashMap<String, Vec<Connection>>>,
    idle_max: usize,
}

impl Connections {
    pub fn new(idle_max: usize) -> Self {
        Self { idle: Mutex::default(), idle_max }
    }

    /// Closes those that are idle: they may lead to the callback of before.
    pub fn forget(&self) {
        lock(&self.idle).clear();
    }

    /// Posts a webhook; the HTTP status, or nothing when there was no whole answer.
    pub async fn post(&self, core: &Core, to: &Callback, body: &Bytes, signature: &str) -> Option<u16> {
        loop {
            let idle = lock(&self.idle).get_mut(&to.address).and_then(Vec::pop);
            let kept = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => connect(core, &to.address).await?,
            };
            let request = Request::builder()
                .method(Method::POST)
                .uri(to.target(""))
                .header("host", &to.address)
                .header("user-agent", "facebookexternalua")
                .header("content-type", "application/json")
                .header("x-hub-signature-256", signature)
                .body(Full::new(body.clone()))
                .ok()?;
            let answer = exchange(&mut connection, request).await;
            // A kept connection may have been closed meanwhile; that is no failure of the server.
            let Some((status, _)) = answer else {
                if kept {
                    continue;
                }
                return None;
            };
            if core.webhooks.calls(to) {
                let mut idle = lock(&self.idle);
                let idle = idle.entry(to.address.clone()).or_default();
                if idle.len() < self.idle_max {
                    idle.push(connection);
                }
            }
            return Some(status);
        }
    }
}

async fn connect(core: &Core, address: &str) -> Option<Connection> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    core.tasks.spawn("callback connection", async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the callback ended early");
        }
    });
    Some(sender)
}

async fn exchange(connection: &mut Connection, request: Request<Full<Bytes>>) -> Option<(u16, Bytes)> {
    connection.ready().await.ok()?;
    let response = connection.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.ok()?;
    Some((status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_called() {
        for good in ["http://127.0.0.1:1/x", "http://localhost/y?z=1", "http://[::1]:8080/"] {
            assert!(Callback::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "https://127.0.0.1/",
            "http://example.com/",
            "http://10.0.0.1/",
            "nonsense",
            "http://u:p@127.0.0.1/",
        ] {
            assert!(Callback::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_is_kept() {
        let with = Callback::parse("http://127.0.0.1/a?b=1").unwrap();
        let without = Callback::parse("http://127.0.0.1/a").unwrap();
        assert_eq!((with.target("c=2").as_str(), with.target("").as_str()), ("/a?b=1&c=2", "/a?b=1"));
        assert_eq!((without.target("c=2").as_str(), without.target("").as_str()), ("/a?c=2", "/a"));
    }
}
