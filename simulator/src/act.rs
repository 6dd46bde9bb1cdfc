//! What people, owners and Meta itself can do here: the body of `POST /sim/act`.
//!
//! ```json
//! {"contact": "Ana", "account": "instagram", "act": {"kind": "text", "text": "Hello"}}
//! {"contact": "Ana", "act": {"kind": "choose", "of": "last", "choice": "Yes"}}
//! {"contact": "Ana", "act": {"kind": "file", "media": "image", "caption": "my receipt"}}
//! {"contact": "Ana", "account": "messenger", "act": {"kind": "owner_text", "text": "I will see to it"}}
//! {"account": "whatsapp", "act": {"kind": "raw", "field": "messages", "value": {"anything": true}}}
//! ```
//!
//! `account` is an account's id, product or name, and the first account if it is left out. Where a message is named
//! (`of`, `to`, `quoting`), it is by its id, or `last`: the newest that it can be.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::shown::MediaKind;

/// Something that is done.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// Who does it: a name, number or id; added if not known. What Meta does needs nobody.
    #[serde(default)]
    pub contact: Option<String>,
    /// With which account.
    #[serde(default)]
    pub account: Option<String>,
    /// What is done.
    pub act: Act,
    /// The message that it answers.
    #[serde(default)]
    pub quoting: Option<String>,
    /// The contact comes through an ad.
    #[serde(default)]
    pub came_from_ad: bool,
    /// The message was forwarded (WhatsApp).
    #[serde(default)]
    pub forwarded: bool,
}

impl Deed {
    /// Something that somebody does with an account, or with the first one.
    pub fn of(contact: &str, account: Option<&str>, act: Act) -> Self {
        Self {
            contact: Some(contact.to_owned()),
            account: account.map(str::to_owned),
            act,
            quoting: None,
            came_from_ad: false,
            forwarded: false,
        }
    }

    /// Something that Meta does with an account, or with the first one.
    pub fn of_meta(account: Option<&str>, act: Act) -> Self {
        Self { contact: None, ..Self::of("", account, act) }
    }
}

/// A file to send; without bytes a small sample of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenFile {
    /// What sort of file it is.
    pub media: MediaKind,
    /// Words with it. Those of the sample of a voice note are said in it, for the model to hear.
    #[serde(default)]
    pub caption: String,
    /// Its name, of a document.
    #[serde(default)]
    pub name: Option<String>,
    /// Its MIME type; needed with bytes.
    #[serde(default)]
    pub mime: Option<String>,
    /// Its bytes in base64, at most 25 MB of them.
    #[serde(default)]
    pub bytes: Option<String>,
}

impl GivenFile {
    /// A sample of a kind.
    pub const fn sample(media: MediaKind) -> Self {
        Self { media, caption: String::new(), name: None, mime: None, bytes: None }
    }
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderLine {
    /// What the shop calls the product.
    pub product_retailer_id: String,
    /// How many.
    pub quantity: u32,
    /// The price of one.
    pub item_price: f64,
    /// ISO 4217.
    pub currency: String,
}

/// Which way a conversation goes between apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// Another app takes it: ours is on standby.
    Take,
    /// It comes back to ours.
    Pass,
    /// Another app asks for it.
    Request,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// The contact writes.
    Text {
        /// What.
        text: String,
    },
    /// The contact sends a file.
    File(GivenFile),
    /// The contact sends a place.
    Location {
        /// Degrees, -90 to 90.
        latitude: f64,
        /// Degrees, -180 to 180.
        longitude: f64,
        /// Its name.
        #[serde(default)]
        name: Option<String>,
        /// Its address.
        #[serde(default)]
        address: Option<String>,
    },
    /// The contact sends somebody's card (WhatsApp).
    Card {
        /// Whose.
        name: String,
        /// Their number.
        phone: String,
    },
    /// The contact puts a reaction on a message, or takes it back.
    React {
        /// The message.
        to: String,
        /// Nothing takes it back.
        #[serde(default)]
        emoji: Option<String>,
    },
    /// The contact changes a message of theirs.
    Edit {
        /// The message.
        of: String,
        /// Its new words.
        text: String,
    },
    /// The contact takes a message of theirs back.
    TakeBack {
        /// The message.
        of: String,
    },
    /// The contact chooses what a message offers: a button, a row, a quick reply.
    Choose {
        /// The message.
        of: String,
        /// The choice's id, payload or title.
        choice: String,
        /// The answers of a form (WhatsApp).
        #[serde(default)]
        answers: Option<Map<String, Value>>,
    },
    /// The contact uses a button that no message here brought: a greeting, an ice breaker, the menu; on WhatsApp the
    /// button of a template.
    Postback {
        /// What is written on it.
        title: String,
        /// What comes back.
        payload: String,
    },
    /// The contact orders (WhatsApp and Messenger).
    Order {
        /// What.
        items: Vec<OrderLine>,
        /// Words with it.
        #[serde(default)]
        text: String,
    },
    /// The contact answers a story (Instagram).
    StoryReply {
        /// With what.
        text: String,
    },
    /// The contact mentions the account in a story (Instagram).
    StoryMention,
    /// The contact sends an attachment of any type (Messenger and Instagram), such as `reel` or `like_heart`.
    Attachment {
        /// Its type.
        sort: String,
        /// Its payload; some have none.
        #[serde(default)]
        payload: Option<Value>,
    },
    /// Something that the product does not pass on.
    Unsupported,
    /// Somebody comments in public (Messenger: on the Page; Instagram: on a post).
    Comment {
        /// What.
        text: String,
        /// The business itself does.
        #[serde(default)]
        by_business: bool,
    },
    /// The contact follows an m.me or ig.me link (Messenger and Instagram).
    Referral {
        /// The link's `ref`.
        reference: String,
    },
    /// The contact stops marketing, or wants it again (WhatsApp and Messenger).
    Marketing {
        /// Whether they want it.
        wanted: bool,
    },
    /// The contact blocks the business, or no more; nobody is told.
    Block {
        /// Whether they block it.
        blocked: bool,
    },
    /// The contact moves to another number (WhatsApp).
    NewNumber {
        /// The number, 7 to 15 digits.
        number: String,
    },
    /// The contact calls (WhatsApp).
    Call,
    /// The contact opens the chat: all that arrived is read.
    Read,
    /// A status of a message that the server sent (WhatsApp), such as `played` or `failed`.
    Status {
        /// The message.
        of: String,
        /// Meta's word.
        status: String,
        /// The code of a `failed`.
        #[serde(default)]
        code: Option<u32>,
    },
    /// The business's owner writes, on their phone (WhatsApp) or in the inbox.
    OwnerText {
        /// What.
        text: String,
    },
    /// The owner sends a file.
    OwnerFile(GivenFile),
    /// The owner takes a message of the business back.
    OwnerTakeBack {
        /// The message.
        of: String,
    },
    /// The conversation changes hands between apps (Messenger and Instagram).
    Thread {
        /// Which way.
        control: Control,
    },
    /// The business account's standing changes (WhatsApp, `account_update`).
    AccountUpdate {
        /// Meta's word, such as `DISABLED_UPDATE`.
        event: String,
    },
    /// The number's quality changes (WhatsApp, `phone_number_quality_update`).
    Quality {
        /// Meta's word, such as `FLAGGED`.
        event: String,
        /// The tier that counts now.
        #[serde(default)]
        limit: Option<String>,
    },
    /// A template's state changes (WhatsApp, `message_template_status_update`).
    TemplateStatus {
        /// Its name.
        name: String,
        /// Its language.
        language: String,
        /// Its state from now on, such as `PAUSED`.
        status: String,
        /// Why, in Meta's word.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A template's category changes (WhatsApp, `template_category_update`).
    TemplateCategory {
        /// Its name.
        name: String,
        /// Its language.
        language: String,
        /// Its category from now on.
        category: String,
    },
    /// A template's quality changes (WhatsApp, `message_template_quality_update`).
    TemplateQuality {
        /// Its name.
        name: String,
        /// Its language.
        language: String,
        /// Its quality from now on, such as `RED`.
        quality: String,
    },
    /// Meta enforces its policy (Messenger and Instagram).
    Policy {
        /// `warning`, `block` or `unblock`.
        action: String,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Old conversations are brought over (WhatsApp, `history`): a small one of the contact's, or none.
    History {
        /// The business said no.
        #[serde(default)]
        declined: bool,
    },
    /// Any JSON: as the `value` of a change when there is a `field`, else as an event of Messenger or Instagram.
    Raw {
        /// The field.
        #[serde(default)]
        field: Option<String>,
        /// What it says.
        value: Value,
    },
    /// A whole webhook of any JSON, signed and delivered as it is.
    Whole {
        /// The body.
        body: Value,
    },
}

/// What came of a deed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Done {
    /// The message that it made, or changed: a wamid, a mid or a comment's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wamid: Option<String>,
}
