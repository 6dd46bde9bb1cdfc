//! The tenants' channels, the people who write to them, and how Meta puts into words what they do.

use iassistance_domain::Timestamp;
use iassistance_domain::channel::{ChannelKind, Connection};
use iassistance_domain::id::MessageId;
use serde_json::{Value, json};

use crate::meta::{page, whatsapp};

pub const APP_ID: &str = "1000000001";

/// A channel, and whose it is.
pub struct Place {
    pub tenant: usize,
    pub kind: ChannelKind,
    pub external_id: &'static str,
}

/// Each tenant has one of each product.
pub const CHANNELS: [Place; 6] = [
    Place { tenant: 0, kind: ChannelKind::Whatsapp, external_id: "200000000000001" },
    Place { tenant: 0, kind: ChannelKind::Messenger, external_id: "900000000000001" },
    Place { tenant: 0, kind: ChannelKind::Instagram, external_id: "17840000000000001" },
    Place { tenant: 1, kind: ChannelKind::Whatsapp, external_id: "200000000000002" },
    Place { tenant: 1, kind: ChannelKind::Messenger, external_id: "900000000000002" },
    Place { tenant: 1, kind: ChannelKind::Instagram, external_id: "17840000000000002" },
];

impl Place {
    pub fn connection(&self) -> Connection {
        match self.kind {
            ChannelKind::Whatsapp => Connection::CloudApi { account_id: None, number: None },
            ChannelKind::Messenger => Connection::Page,
            ChannelKind::Instagram => Connection::InstagramLogin { user_id: None },
        }
    }
}

/// Somebody who writes on one channel.
#[derive(Debug, Clone)]
pub struct Contact {
    /// `a`, `b`…: part of all that they write.
    pub name: String,
    /// By what Meta knows them.
    pub id: String,
    /// The place of their channel in [`CHANNELS`].
    pub channel: usize,
}

impl Contact {
    pub fn new(index: usize, channel: usize) -> Self {
        let letter = char::from(b'a' + u8::try_from(index).unwrap());
        let id = match CHANNELS[channel].kind {
            ChannelKind::Whatsapp => format!("155501990{index:02}"),
            _ => format!("9100000000000{index:02}"),
        };
        Self { name: letter.to_string(), id, channel }
    }

    pub fn tenant(&self) -> usize {
        CHANNELS[self.channel].tenant
    }

    pub fn kind(&self) -> ChannelKind {
        CHANNELS[self.channel].kind
    }

    fn account(&self) -> &'static str {
        CHANNELS[self.channel].external_id
    }

    /// What Meta's ids of messages begin with.
    pub fn prefix(&self) -> &'static str {
        match self.kind() {
            ChannelKind::Whatsapp => "wamid.",
            ChannelKind::Messenger => "m_",
            ChannelKind::Instagram => "aWd",
        }
    }

    /// Meta's id of a message that they wrote.
    fn mid(&self, token: &str) -> String {
        format!("{}in-{token}", self.prefix())
    }

    /// What they wrote, in one webhook: names and words.
    pub fn wrote(&self, said: &[(String, String)], at: Timestamp) -> Value {
        if self.kind() == ChannelKind::Whatsapp {
            let message = |(token, words): &(String, String)| {
                json!({
                    "from": self.id, "id": self.mid(token), "timestamp": seconds(at), "type": "text",
                    "text": { "body": words },
                })
            };
            let messages: Vec<_> = said.iter().map(message).collect();
            let contacts = json!([{ "profile": { "name": self.name }, "wa_id": self.id }]);
            return whatsapp(self.account(), &json!({ "contacts": contacts, "messages": messages }));
        }
        let event = |(token, words): &(String, String)| {
            Self::event(
                &self.id,
                self.account(),
                at,
                &json!({ "message": { "mid": self.mid(token), "text": words } }),
            )
        };
        let events: Vec<_> = said.iter().map(event).collect();
        page(self.account(), self.kind(), &events)
    }

    fn event(from: &str, to: &str, at: Timestamp, said: &Value) -> Value {
        let mut event =
            json!({ "sender": { "id": from }, "recipient": { "id": to }, "timestamp": at.as_millis() });
        event.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        event
    }

    /// The owner wrote to them on the phone, or in Meta's inbox.
    pub fn was_written_to(&self, token: &str, words: &str, at: Timestamp) -> Value {
        let mid = format!("{}own-{token}", self.prefix());
        if self.kind() == ChannelKind::Whatsapp {
            let echo = json!({
                "from": "15550100001", "to": self.id, "id": mid, "timestamp": seconds(at), "type": "text",
                "text": { "body": words },
            });
            let mut body = whatsapp(self.account(), &json!({ "message_echoes": [echo] }));
            body["entry"][0]["changes"][0]["field"] = json!("smb_message_echoes");
            return body;
        }
        let mut message = json!({ "mid": mid, "text": words, "is_echo": true });
        if self.kind() == ChannelKind::Messenger {
            message["app_id"] = json!(26_390_203_743_090_u64);
        }
        let event = Self::event(self.account(), &self.id, at, &json!({ "message": message }));
        page(self.account(), self.kind(), &[event])
    }

    /// What Meta says of a message of ours: in order, a webhook each.
    pub fn reports(&self, mid: &str, ours: MessageId, text: &str, at: Timestamp) -> Vec<Value> {
        match self.kind() {
            ChannelKind::Whatsapp => ["sent", "delivered", "read"]
                .into_iter()
                .map(|word| self.status(mid, ours, word, at, None))
                .collect(),
            kind => {
                let mut message = json!({ "mid": mid, "text": text, "is_echo": true });
                let mut seen = json!({ "read": { "mid": mid } });
                if kind == ChannelKind::Messenger {
                    message["app_id"] = json!(APP_ID.parse::<u64>().unwrap());
                    message["metadata"] = json!(ours.to_string());
                    seen = json!({ "delivery": { "mids": [mid], "watermark": at.as_millis() } });
                }
                let echo = Self::event(self.account(), &self.id, at, &json!({ "message": message }));
                let seen = Self::event(&self.id, self.account(), at.plus_millis(1), &seen);
                vec![page(self.account(), kind, &[echo]), page(self.account(), kind, &[seen])]
            }
        }
    }

    /// Meta gives a message of ours up that it had accepted.
    pub fn failed(&self, mid: &str, ours: MessageId, at: Timestamp) -> Value {
        let errors = json!([{ "code": 131_016, "title": "Service unavailable" }]);
        self.status(mid, ours, "failed", at, Some(errors))
    }

    fn status(&self, mid: &str, ours: MessageId, word: &str, at: Timestamp, errors: Option<Value>) -> Value {
        let mut status = json!({
            "id": mid, "status": word, "timestamp": seconds(at), "recipient_id": self.id,
            "biz_opaque_callback_data": ours.to_string(),
        });
        if let Some(errors) = errors {
            status["errors"] = errors;
        }
        whatsapp(self.account(), &json!({ "statuses": [status] }))
    }
}

fn seconds(at: Timestamp) -> String {
    (at.as_millis() / 1_000).to_string()
}
