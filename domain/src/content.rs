//! What a message says: the forms that Meta's three products know, in one vocabulary.
//!
//! A channel carries some of them as they are and some in another form; what it cannot carry it
//! refuses with the reason. What an end user sends comes in the same vocabulary.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::id::MediaId;
use crate::{Pii, Timestamp};

/// What a message says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Plain text.
    Text {
        /// The text, as it was written.
        #[data(content)]
        body: Pii<String>,
        /// Whether the first link in it is shown with a preview, where the channel asks.
        #[serde(default, skip_serializing_if = "is_false")]
        #[data(operational)]
        preview: bool,
    },
    /// Images, videos, sound, documents and stickers: one on `WhatsApp`, several elsewhere.
    Media {
        /// The files.
        #[data(parts)]
        items: Vec<Media>,
        /// What is written with them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        caption: Option<Pii<String>>,
    },
    /// A place.
    Location(#[data(parts)] Place),
    /// Cards of contacts.
    Contacts {
        /// The cards.
        #[data(parts)]
        cards: Vec<ContactCard>,
    },
    /// A reaction to a message; out only: what comes in is no message of its own.
    Reaction {
        /// Meta's id of the message.
        #[data(content)]
        target: Pii<String>,
        /// The emoji, or on Instagram and Messenger the name of the reaction (`love`); nothing takes
        /// the reaction back.
        #[data(content)]
        emoji: Option<String>,
    },
    /// A text with buttons that answer for the person.
    Buttons {
        /// What stands above and below it.
        #[serde(flatten)]
        #[data(parts)]
        frame: Frame,
        /// The text.
        #[data(content)]
        body: Pii<String>,
        /// The buttons.
        #[data(parts)]
        buttons: Vec<Choice>,
    },
    /// A text with a list to choose from.
    List {
        /// What stands above and below it.
        #[serde(flatten)]
        #[data(parts)]
        frame: Frame,
        /// The text.
        #[data(content)]
        body: Pii<String>,
        /// What opens the list.
        #[data(content)]
        button: String,
        /// Its parts.
        #[data(parts)]
        sections: Vec<Section>,
    },
    /// A text with suggestions that vanish once one was tapped.
    QuickReplies {
        /// The text.
        #[data(content)]
        body: Pii<String>,
        /// The suggestions.
        #[data(parts)]
        replies: Vec<Choice>,
    },
    /// A text with one button that opens an address.
    Link {
        /// What stands above and below it.
        #[serde(flatten)]
        #[data(parts)]
        frame: Frame,
        /// The text.
        #[data(content)]
        body: Pii<String>,
        /// What stands on the button.
        #[data(content)]
        title: String,
        /// The address.
        #[data(content)]
        url: String,
    },
    /// A text with a button that opens a form (a `WhatsApp` flow).
    Flow {
        /// What stands above and below it.
        #[serde(flatten)]
        #[data(parts)]
        frame: Frame,
        /// The text.
        #[data(content)]
        body: Pii<String>,
        /// Meta's id of the flow.
        #[data(content)]
        flow_id: String,
        /// What comes back with the answer.
        #[data(content)]
        token: String,
        /// What stands on the button.
        #[data(content)]
        title: String,
        /// The screen that opens first; the flow's own endpoint decides where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        screen: Option<String>,
    },
    /// Cards beside each other, each with a picture and buttons.
    Cards {
        /// The cards.
        #[data(parts)]
        cards: Vec<Card>,
    },
    /// A text with a button that sends the person's place.
    LocationRequest {
        /// The text.
        #[data(content)]
        body: Pii<String>,
    },
    /// A message in a form that Meta approved beforehand.
    Template(#[data(parts)] Template),
    /// A heart.
    Heart,
    /// What a person chose: a button, a line of a list, a suggestion, a menu.
    Selection {
        /// Of what.
        #[data(content)]
        of: SelectionKind,
        /// What stands on it.
        #[data(content)]
        title: Pii<String>,
        /// The value behind it, which the business gave it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        id: Option<Pii<String>>,
        /// The line below the title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        description: Option<Pii<String>>,
    },
    /// An answered form.
    FlowResponse {
        /// The form's name.
        #[data(content)]
        name: Option<String>,
        /// What is shown of it.
        #[data(content)]
        body: Option<Pii<String>>,
        /// The answers, as JSON text.
        #[data(content)]
        answers: Pii<String>,
    },
    /// Whether the person lets the business call them.
    CallPermission {
        /// Whether.
        #[data(operational)]
        granted: bool,
        /// Until when, where it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(operational)]
        until: Option<Timestamp>,
    },
    /// A cart.
    Order {
        /// The catalogue that the products are of.
        #[data(content)]
        catalog: Option<String>,
        /// What is written with it.
        #[data(content)]
        note: Option<Pii<String>>,
        /// The products.
        #[data(parts)]
        items: Vec<OrderItem>,
    },
    /// Something of the product that was shared: a post, a reel, a story, a link. Kept by its
    /// address alone: what it shows is not stored.
    Shared {
        /// Meta's word for it: `story_mention`, `ig_reel`, `fallback`.
        #[data(content)]
        kind: String,
        /// Its title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        title: Option<Pii<String>>,
        /// Where it is, for as long as Meta keeps it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        url: Option<Pii<String>>,
        /// What is written with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        text: Option<Pii<String>>,
    },
    /// A comment in public, which may be answered in private once.
    Comment {
        /// Meta's id of it.
        #[data(content)]
        id: Pii<String>,
        /// What it says.
        #[data(content)]
        text: Pii<String>,
        /// What it is about: Meta's id of the post or media.
        #[data(content)]
        post: Option<String>,
    },
    /// What a person of the business wrote for the others; it never leaves.
    Note {
        /// The text.
        #[data(content)]
        body: Pii<String>,
    },
    /// Something that Meta does not hand over, or that this version does not know.
    Unsupported {
        /// What it is, as far as is known: `poll_creation`, `hologram`.
        #[data(content)]
        what: String,
        /// Meta's error code, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(operational)]
        code: Option<i64>,
    },
    /// Nothing that can be seen: an empty text, a message without any part.
    Empty,
    /// Its writer took it back; nothing of it is kept.
    Removed,
}

impl Content {
    /// Plain text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::Text { body: Pii::new(body.into()), preview: false }
    }

    /// Its name, as in the `type` field.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Media { .. } => "media",
            Self::Location(_) => "location",
            Self::Contacts { .. } => "contacts",
            Self::Reaction { .. } => "reaction",
            Self::Buttons { .. } => "buttons",
            Self::List { .. } => "list",
            Self::QuickReplies { .. } => "quick_replies",
            Self::Link { .. } => "link",
            Self::Flow { .. } => "flow",
            Self::Cards { .. } => "cards",
            Self::LocationRequest { .. } => "location_request",
            Self::Template(_) => "template",
            Self::Heart => "heart",
            Self::Selection { .. } => "selection",
            Self::FlowResponse { .. } => "flow_response",
            Self::CallPermission { .. } => "call_permission",
            Self::Order { .. } => "order",
            Self::Shared { .. } => "shared",
            Self::Comment { .. } => "comment",
            Self::Note { .. } => "note",
            Self::Unsupported { .. } => "unsupported",
            Self::Empty => "empty",
            Self::Removed => "removed",
        }
    }

    /// Whether there is something in it that the assistant can answer. A public comment is answered
    /// by people, if at all; what cannot be seen is not answered by guessing.
    pub const fn is_answerable(&self) -> bool {
        !matches!(
            self,
            Self::Comment { .. }
                | Self::Note { .. }
                | Self::Unsupported { .. }
                | Self::Empty
                | Self::Removed
                | Self::Reaction { .. }
                | Self::CallPermission { .. }
        )
    }

    /// Its files.
    pub fn media(&self) -> &[Media] {
        match self {
            Self::Media { items, .. } => items,
            _ => &[],
        }
    }

    /// Its files, to be changed.
    pub fn media_mut(&mut self) -> &mut [Media] {
        match self {
            Self::Media { items, .. } => items,
            _ => &mut [],
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A video.
    Video,
    /// Sound.
    Audio,
    /// A voice message.
    Voice,
    /// Any other file.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }
}

/// A file of a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Media {
    /// What kind of file.
    #[data(content)]
    pub kind: MediaKind,
    /// Its type as Meta says or, for what goes out, as we know: `image/jpeg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub mime: Option<String>,
    /// The name that its sender gave it. Never a path of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub filename: Option<Pii<String>>,
    /// SHA-256 of the file as Meta says, in its own spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub sha256: Option<String>,
    /// Where it is.
    #[data(parts)]
    pub source: MediaSource,
    /// What is said or written in it, as far as it was listened to or read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub text: Option<Pii<String>>,
}

/// Where a file is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum MediaSource {
    /// At Meta: by its id, by an address that lives for some minutes, or by both. It is fetched.
    Meta {
        /// Meta's id of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(technical)]
        id: Option<Pii<String>>,
        /// Its address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(technical)]
        url: Option<Pii<String>>,
    },
    /// In the content store.
    Stored {
        /// Our id of it.
        #[data(id)]
        id: MediaId,
        /// Its length, bytes.
        #[data(technical)]
        bytes: u64,
    },
    /// At a public address, from which Meta fetches it; out only.
    Link {
        /// The address.
        #[data(technical)]
        url: Pii<String>,
    },
    /// Nowhere that it could be had from.
    Missing {
        /// Why, in words that can be shown.
        #[data(technical)]
        reason: String,
    },
}

impl MediaSource {
    /// Its id in the content store, if it is there.
    pub const fn stored(&self) -> Option<MediaId> {
        match self {
            Self::Stored { id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// A place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Place {
    /// Degrees north, as it was written: no digit is lost.
    #[data(content)]
    pub latitude: Pii<String>,
    /// Degrees east.
    #[data(content)]
    pub longitude: Pii<String>,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub name: Option<Pii<String>>,
    /// Its postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub address: Option<Pii<String>>,
    /// A page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub url: Option<Pii<String>>,
}

/// A card with somebody's particulars.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ContactCard {
    /// The name as it is shown.
    #[data(content)]
    pub name: Pii<String>,
    /// The first name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub first_name: Option<Pii<String>>,
    /// The last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub last_name: Option<Pii<String>>,
    /// The company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub company: Option<Pii<String>>,
    /// Telephone numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(parts)]
    pub phones: Vec<CardPhone>,
    /// E-mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(content)]
    pub emails: Vec<Pii<String>>,
    /// Pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(content)]
    pub urls: Vec<Pii<String>>,
    /// Postal addresses, each on one line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(content)]
    pub addresses: Vec<Pii<String>>,
    /// The birthday, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub birthday: Option<Pii<String>>,
}

/// A telephone number on a card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CardPhone {
    /// The number.
    #[data(content)]
    pub phone: Pii<String>,
    /// The `WhatsApp` id behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub wa_id: Option<Pii<String>>,
    /// `WORK`, `HOME` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub kind: Option<String>,
}

/// What stands above and below an interactive text.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Frame {
    /// Above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub header: Option<Pii<String>>,
    /// A picture, video or document above, instead of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub header_media: Option<Media>,
    /// Below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub footer: Option<Pii<String>>,
}

/// Something to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Choice {
    /// What comes back when it is chosen.
    #[data(content)]
    pub id: String,
    /// What stands on it.
    #[data(content)]
    pub title: String,
    /// The line below, in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub description: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Section {
    /// What stands above it; needed where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub title: Option<String>,
    /// Its lines.
    #[data(parts)]
    pub rows: Vec<Choice>,
}

/// A card with a picture and buttons.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Card {
    /// The first line.
    #[data(content)]
    pub title: Pii<String>,
    /// The second line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub subtitle: Option<Pii<String>>,
    /// The address of its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub image_url: Option<String>,
    /// Its buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(parts)]
    pub buttons: Vec<CardButton>,
}

/// A button of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "does", rename_all = "snake_case")]
pub enum CardButton {
    /// Sends its value.
    Choose(#[data(parts)] Choice),
    /// Opens an address.
    Open {
        /// What stands on it.
        #[data(content)]
        title: String,
        /// The address.
        #[data(content)]
        url: String,
    },
}

/// A message in a form that Meta approved.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Template {
    /// Its name.
    #[data(content)]
    pub name: String,
    /// Its language, as a code: `pt_BR`.
    #[data(content)]
    pub language: String,
    /// What is put into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[data(parts)]
    pub components: Vec<TemplateComponent>,
}

/// What is put into one part of a template.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TemplateComponent {
    /// Which part.
    #[data(content)]
    pub part: TemplatePart,
    /// Of which kind, for a button: `quick_reply`, `url`, `copy_code`, `flow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub sub_type: Option<String>,
    /// Which of the buttons, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub index: Option<u8>,
    /// The values, in order.
    #[data(parts)]
    pub parameters: Vec<TemplateParameter>,
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TemplatePart {
    /// Above.
    Header,
    /// The text.
    Body,
    /// A button.
    Button,
}

/// A value for a template.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TemplateParameter {
    /// A text.
    Text {
        /// It.
        #[data(content)]
        text: Pii<String>,
        /// The name of its place, in templates with named places.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[data(content)]
        name: Option<String>,
    },
    /// What comes back when a quick reply is tapped.
    Payload {
        /// It.
        #[data(content)]
        payload: Pii<String>,
    },
    /// A code to be copied.
    CouponCode {
        /// It.
        #[data(content)]
        code: Pii<String>,
    },
    /// An amount of money.
    Currency {
        /// What is shown where it cannot be put in the person's own way.
        #[data(content)]
        fallback: Pii<String>,
        /// The currency, ISO 4217.
        #[data(content)]
        code: String,
        /// The amount times 1000.
        #[data(operational)]
        amount_1000: i64,
    },
    /// A date, as it is shown.
    DateTime {
        /// It.
        #[data(content)]
        fallback: Pii<String>,
    },
    /// A file, in a header.
    Media {
        /// It.
        #[data(parts)]
        media: Media,
    },
    /// A place, in a header.
    Location {
        /// It.
        #[data(parts)]
        place: Place,
    },
}

/// What a person chose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SelectionKind {
    /// A button of a message.
    Button,
    /// A line of a list.
    List,
    /// A button of a template.
    TemplateButton,
    /// A suggestion.
    QuickReply,
    /// A button, an entry of the menu or an ice breaker that Meta calls a postback.
    Postback,
}

/// A product in a cart.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OrderItem {
    /// The business's own id of it.
    #[data(content)]
    pub id: Pii<String>,
    /// How many.
    #[data(content)]
    pub quantity: Pii<String>,
    /// The price of one, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub price: Option<Pii<String>>,
    /// The currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub currency: Option<String>,
}

/// What a message refers to.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Context {
    /// Meta's id of the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub reply_to: Option<Pii<String>>,
    /// Whether it was forwarded, and often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub forwarded: Option<Forwarded>,
    /// The product that it asks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub product: Option<Pii<String>>,
    /// The story that it answers; its picture is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub story: Option<Pii<String>>,
}

impl Context {
    /// Itself, unless it refers to nothing.
    pub fn if_any(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// How often a message was forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Forwarded {
    /// Some times.
    Once,
    /// Many times.
    Often,
}

/// What brought a person here.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Referral {
    /// Meta's word for it: `ad`, `post`, `ADS`, `SHORTLINK`, `IGME-SOURCE-LINK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub source: Option<String>,
    /// The ad or post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub source_id: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub url: Option<String>,
    /// Its headline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub headline: Option<String>,
    /// What the business put into its link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub reference: Option<Pii<String>>,
    /// The product that it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub product: Option<String>,
    /// The id of the click, for the business's own counting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub click: Option<Pii<String>>,
    /// What the ad already said as a greeting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub greeting: Option<String>,
}

impl Referral {
    /// Whether an ad brought them, which opens a longer window on Messenger and Instagram.
    pub fn is_ad(&self) -> bool {
        self.source
            .as_deref()
            .is_some_and(|source| source.eq_ignore_ascii_case("ad") || source.eq_ignore_ascii_case("ads"))
    }
}
