//! Looking at webhooks: what a payload means, without a server, a database or a secret.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::json;

use iassistance_channels::{Parsed, read};
use iassistance_domain::Clock;
use iassistance_domain::channel::ChannelAddress;
use iassistance_domain::inbound::InboundEvent;

use super::{Failure, output};

#[derive(Subcommand)]
pub enum WebhookCommand {
    /// Prints the events that payloads give, as JSON. Nothing is kept, and no payload is refused: what
    /// is not understood is shown as `kept`, with its kind and as it came.
    Explain {
        /// What a payload without an envelope is: the `value` of a WhatsApp change, or one event of a
        /// page or an account.
        #[arg(long, value_enum)]
        channel: Option<Product>,
        /// The payloads; `-` is what comes in by the standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Product {
    Whatsapp,
    Messenger,
    Instagram,
}

/// One payload and what it says.
#[derive(Serialize)]
struct Explained<'a> {
    file: &'a Path,
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
struct Event<'a> {
    address: Option<&'a ChannelAddress>,
    #[serde(flatten)]
    event: &'a InboundEvent,
}

pub fn run(command: WebhookCommand, clock: &dyn Clock) -> Result<(), Failure> {
    let WebhookCommand::Explain { channel, files } = command;
    for file in &files {
        let body = contents(file)?;
        let body = channel.map_or_else(|| body.clone(), |channel| channel.in_envelope(&body));
        let elements = read(&body, clock.now());
        let events: Vec<_> = elements
            .iter()
            .map(|Parsed { address, event }| Event { address: address.as_ref(), event })
            .collect();
        output::raw(&serde_json::to_string_pretty(&Explained { file, events })?)?;
    }
    Ok(())
}

fn contents(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut body)?;
    } else {
        body = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    }
    Ok(body)
}

impl Product {
    /// A payload as Meta would send it. One that has an envelope, or is no JSON, is left as it is.
    fn in_envelope(self, body: &[u8]) -> Vec<u8> {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else { return body.to_vec() };
        if value.get("object").is_some() || value.get("entry").is_some() || !value.is_object() {
            return body.to_vec();
        }
        let event = |object: &str| {
            let id = value.pointer("/recipient/id").cloned().unwrap_or_else(|| json!("0"));
            json!({ "object": object, "entry": [{ "id": id, "messaging": [&value] }] })
        };
        let enveloped = match self {
            Self::Whatsapp => json!({
                "object": "whatsapp_business_account",
                "entry": [{ "id": "0", "changes": [{ "field": "messages", "value": &value }] }],
            }),
            Self::Messenger => event("page"),
            Self::Instagram => event("instagram"),
        };
        enveloped.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_event_is_put_into_its_products_envelope() {
        let bare = br#"{"sender":{"id":"1"},"recipient":{"id":"2"},"message":{"mid":"m","text":"x"}}"#;
        let whole: serde_json::Value = serde_json::from_slice(&Product::Messenger.in_envelope(bare)).unwrap();
        assert_eq!(whole.pointer("/entry/0/id").unwrap(), "2");
        assert_eq!(whole.pointer("/entry/0/messaging/0/message/text").unwrap(), "x");
        for left in [&b"{\"object\":\"page\"}"[..], b"no json", b"[]"] {
            assert_eq!(Product::Instagram.in_envelope(left), left);
        }
    }
}
