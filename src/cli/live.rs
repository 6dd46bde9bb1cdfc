//! `iassistance live`: a tenant's events in the terminal.

use clap::Args;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::{Error, Message};

use iassistance_config::{Settings, Sources};
use iassistance_domain::id::{ConversationId, TenantId};

use super::{Failure, Output};
use crate::http::live::PROTOCOL;

#[derive(Args)]
pub struct Arguments {
    /// The tenant.
    #[arg(long)]
    tenant: TenantId,
    /// Only this conversation.
    #[arg(long)]
    conversation: Option<ConversationId>,
    /// Begin after this place in the log; without it, now.
    #[arg(long)]
    after: Option<u64>,
    /// Where the server is; without it, the configured address.
    #[arg(long)]
    url: Option<String>,
    /// End after this many events.
    #[arg(long)]
    count: Option<u64>,
}

pub fn run(
    settings: &Settings,
    sources: &Sources,
    arguments: &Arguments,
    output: &Output,
) -> Result<(), Failure> {
    let key = sources.variable("IASSISTANCE_API_KEY").ok_or(
        "set IASSISTANCE_API_KEY to an API key of the tenant with the scope `read` (not a flag: other users of this \
         machine could see it)",
    )?;
    let here = || format!("http://{}:{}", settings.server.bind, settings.server.port);
    let base = arguments.url.clone().unwrap_or_else(here);
    let base = base.trim_end_matches('/').replacen("http", "ws", 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(&format!("{base}/v1/live"), key, arguments, output))
}

async fn follow(url: &str, key: &str, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut request = url.into_client_request()?;
    let bearer = HeaderValue::from_str(&format!("Bearer {key}"))?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    let (mut socket, _) = connect_async(request).await.map_err(|error| match error {
        Error::Http(response) if response.status() == 401 => "the API key does not work here".into(),
        Error::Http(response) => format!("the server answered {}", response.status()),
        error => format!("cannot reach {url}: {error}"),
    })?;
    socket.send(Message::text(subscribe(arguments).to_string())).await?;
    let mut seen = 0;
    while let Some(frame) = socket.next().await {
        let Message::Text(text) = frame? else { continue };
        let frame: Value = serde_json::from_str(&text)?;
        match frame["type"].as_str() {
            Some("event") => {
                output.answer(&line(&frame), &frame)?;
                seen += 1;
                if arguments.count == Some(seen) {
                    return Ok(socket.close(None).await?);
                }
            }
            Some("error") => return Err(frame["detail"].as_str().unwrap_or("refused").to_owned().into()),
            Some("bye") => {
                let reason = frame["reason"].as_str().unwrap_or("the server closed");
                let after = frame.pointer("/resume/0/after_seq").and_then(Value::as_u64);
                let hint = after.map(|after| format!(" (go on with --after {after})")).unwrap_or_default();
                return Err(format!("{reason}{hint}").into());
            }
            _ => output.note(&format!("-- {text}")),
        }
    }
    Err("the connection ended; go on with --after and the last number".into())
}

/// What is asked for. What was not given is not said: nothing of it may be `null`.
fn subscribe(arguments: &Arguments) -> Value {
    let mut frame = json!({ "type": "subscribe", "tenant": arguments.tenant });
    if let Some(conversation) = arguments.conversation {
        frame["conversation"] = json!(conversation);
    }
    if let Some(after) = arguments.after {
        frame["after_seq"] = json!(after);
    }
    frame
}

/// An event in a line: its place, its kind, its conversation, and the words if it has any.
fn line(frame: &Value) -> String {
    let event = &frame["event"];
    let part = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let words = event.pointer("/message/content/body").and_then(Value::as_str).unwrap_or_default();
    let status = event.pointer("/delivery/status").and_then(Value::as_str).unwrap_or_default();
    // Control characters would let a contact write on the operator's terminal.
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!(
        "{:>8}  {:<26} {}  {status}{words}",
        frame["seq"],
        part(&event["type"]),
        part(&event["conversation"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi::FEED;

    fn document() -> Value {
        serde_json::from_str(FEED).unwrap()
    }

    /// What the document says of a message: its fields, and which of them must be there.
    fn payload(name: &str) -> Value {
        document()["components"]["messages"][name]["payload"].clone()
    }

    #[test]
    fn what_it_asks_for_is_what_the_document_of_the_feed_describes() {
        let (tenant, conversation) = (format!("ten_{}", "0".repeat(32)), format!("cnv_{}", "0".repeat(32)));
        let whole = Arguments {
            tenant: tenant.parse().unwrap(),
            conversation: Some(conversation.parse().unwrap()),
            after: Some(7),
            url: None,
            count: None,
        };
        let bare =
            Arguments { tenant: whole.tenant, conversation: None, after: None, url: None, count: None };
        let described = payload("subscribe");
        for arguments in [whole, bare] {
            let frame = subscribe(&arguments);
            assert_eq!(frame["type"], described["properties"]["type"]["const"]);
            for (field, value) in frame.as_object().unwrap() {
                let is = if value.is_u64() { "integer" } else { "string" };
                let said = &described["properties"][field];
                assert!(said["const"] == *value || said["type"] == is, "{field}: {value} is not {said}");
            }
            for needed in described["required"].as_array().unwrap() {
                assert!(frame.get(needed.as_str().unwrap()).is_some(), "{needed}");
            }
        }
        assert!(document()["info"]["description"].as_str().unwrap().contains(PROTOCOL));
    }

    #[test]
    fn what_it_reads_of_a_frame_is_in_the_document() {
        for (message, field) in
            [("event", "seq"), ("event", "event"), ("error", "detail"), ("bye", "reason"), ("bye", "resume")]
        {
            assert!(payload(message)["properties"][field].is_object(), "{message}.{field}");
        }
        let resumed = &payload("bye")["properties"]["resume"]["items"]["properties"];
        assert!(resumed["after_seq"].is_object());
        let event = &document()["components"]["schemas"]["Event"]["properties"];
        assert!(event["type"].is_object() && event["conversation"].is_object());
    }

    #[test]
    fn what_a_contact_writes_does_not_write_on_the_terminal() {
        let frame = json!({ "seq": 7, "event": {
            "type": "message.received", "conversation": "cnv_1", "message": { "content": { "body": "a\u{1b}[2Jb\n" } },
        } });
        let line = line(&frame);
        assert!(
            line.ends_with("a [2Jb ") && line.trim_start().starts_with("7  message.received"),
            "{line:?}"
        );
    }
}
