//! What comes out, where several groups of endpoints show it. Moments are milliseconds since the Unix
//! epoch. Personal data is shown here and nowhere else: to the tenant, as its own.

use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::Timestamp;
use iassistance_domain::content::{Content, Context, Referral};
use iassistance_domain::conversation::{Control, HandoverReason};
use iassistance_domain::delivery::Delivery;
use iassistance_domain::id::{ConversationId, MessageId, TurnId};
use iassistance_domain::message::{Author, Elsewhere, Message, Reaction};
use iassistance_domain::pii::TenantView;

/// Who answers.
#[derive(Serialize, ToSchema)]
#[serde(tag = "holder", rename_all = "snake_case")]
#[schema(as = Control)]
pub enum ControlView {
    /// The assistant.
    Assistant,
    /// A person.
    Operator {
        /// Who.
        name: String,
        /// Since when.
        #[schema(value_type = i64)]
        since: Timestamp,
    },
    /// Nobody yet: a person was asked for, and the conversation waits for one.
    Waiting {
        /// Since when.
        #[schema(value_type = i64)]
        since: Timestamp,
        /// Why.
        reason: HandoverReason,
    },
    /// Another app, by Meta's routing.
    OtherApp {
        /// Since when.
        #[schema(value_type = i64)]
        since: Timestamp,
    },
}

impl From<&Control> for ControlView {
    fn from(control: &Control) -> Self {
        match control {
            Control::Assistant => Self::Assistant,
            Control::Operator { name, since } => Self::Operator { name: name.clone(), since: *since },
            Control::Waiting { since, reason } => Self::Waiting { since: *since, reason: *reason },
            Control::OtherApp { since } => Self::OtherApp { since: *since },
        }
    }
}

/// Who wrote a message.
#[derive(Serialize, ToSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
#[schema(as = Author)]
pub enum AuthorView {
    /// The end user.
    Contact,
    /// The assistant.
    Assistant {
        /// The turn that wrote it.
        #[schema(value_type = String)]
        turn: TurnId,
    },
    /// A person at the desk.
    Operator {
        /// Who.
        name: String,
    },
    /// The business, elsewhere: on its own phone, in Meta's inbox, through another app.
    Business {
        /// Where.
        through: Elsewhere,
    },
}

/// A message of a conversation.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageView {
    /// Its id.
    #[schema(value_type = String, example = "msg_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: MessageId,
    /// The conversation.
    #[schema(value_type = String)]
    conversation: ConversationId,
    /// Who wrote it.
    author: AuthorView,
    /// What it says.
    content: Content,
    /// What it refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Box<Context>>,
    /// What brought its writer here.
    #[serde(skip_serializing_if = "Option::is_none")]
    referral: Option<Box<Referral>>,
    /// When it was written: by Meta's clock for what came in.
    #[schema(value_type = i64)]
    sent_at: Timestamp,
    /// When it was recorded here.
    #[schema(value_type = i64)]
    recorded_at: Timestamp,
    /// When its writer last changed it.
    #[schema(value_type = Option<i64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
    /// When its writer took it back; nothing of it is kept.
    #[schema(value_type = Option<i64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_at: Option<Timestamp>,
    /// The signs on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reactions: Vec<Reaction>,
    /// Meta's id of it, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<String>,
    /// How far it got; only for what goes out.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery>,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        Self {
            id: message.id,
            conversation: message.conversation,
            author: match message.author {
                Author::Contact => AuthorView::Contact,
                Author::Assistant { turn } => AuthorView::Assistant { turn },
                Author::Operator { name } => AuthorView::Operator { name },
                Author::Business { through } => AuthorView::Business { through },
            },
            content: message.content,
            context: message.context,
            referral: message.referral,
            sent_at: message.sent_at,
            recorded_at: message.recorded_at,
            edited_at: message.edited_at,
            removed_at: message.removed_at,
            reactions: message.reactions,
            provider_id: message.provider_id.map(|id| id.into_inner(TenantView)),
            delivery: message.delivery,
        }
    }
}

/// Refusals. What each route can be refused with comes of its signature and of the table of codes, when the
/// document is completed.
pub struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        std::collections::BTreeMap::new()
    }
}
