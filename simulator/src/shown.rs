//! A message as the phone shows it, whichever product carried it.

use serde::{Deserialize, Serialize};

/// What sort of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownKind {
    /// Words alone.
    #[default]
    Text,
    /// One or more files, perhaps with words.
    Media,
    /// A place.
    Location,
    /// Contact cards.
    Contacts,
    /// Words with buttons, a list or a link.
    Choices,
    /// A template of WhatsApp.
    Template,
    /// Cards side by side.
    Cards,
    /// An emoji put on another message.
    Reaction,
    /// A choice that was made.
    Chosen,
    /// An order from a catalogue.
    Order,
    /// A public comment, or the private answer to one.
    Comment,
    /// A reply to a story or a mention in one.
    Story,
    /// A call.
    Call,
    /// Something that the product does not pass on.
    Unsupported,
    /// What Meta itself says in the conversation.
    System,
}

/// A message as it is shown beside its words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Shown {
    /// What sort it is.
    pub kind: ShownKind,
    /// Above the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Below the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// What opens a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_list: Option<String>,
    /// Its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<ShownMedia>,
    /// What the contact can choose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Cards side by side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<Card>,
}

/// What sort of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A video.
    Video,
    /// Sound.
    Audio,
    /// Sound that was spoken into the phone; WhatsApp alone tells it apart.
    Voice,
    /// Any other file; Messenger and Instagram call it `file`.
    Document,
    /// A sticker.
    Sticker,
}

impl MediaKind {
    /// Meta: Cloud API, messages.
    pub(crate) const fn whatsapp(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio | Self::Voice => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    /// Meta: Messenger Platform, attachments.
    pub(crate) const fn social(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio | Self::Voice => "audio",
            Self::Document => "file",
            Self::Sticker => "sticker",
        }
    }
}

/// A file of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownMedia {
    /// What sort.
    pub kind: MediaKind,
    /// The simulator's id of it, when it has its bytes: they are at `/sim/media/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it lies elsewhere; it is not fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Its name, of a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Card {
    /// Its title.
    pub title: String,
    /// Below the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    /// What can be chosen on it.
    pub choices: Vec<Choice>,
}

/// What becomes of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceKind {
    /// A reply button of WhatsApp.
    Button,
    /// A row of a list of WhatsApp.
    Row,
    /// A quick-reply button of a template of WhatsApp.
    TemplateButton,
    /// A form of WhatsApp.
    Flow,
    /// A request for the contact's place.
    Location,
    /// A quick reply of Messenger or Instagram.
    QuickReply,
    /// A postback button of Messenger or Instagram.
    Postback,
    /// A link: it opens elsewhere and tells nobody.
    Link,
}

/// What the contact can choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What becomes of it.
    pub kind: ChoiceKind,
    /// The id or payload that comes back.
    pub id: String,
    /// What is written on it.
    pub title: String,
    /// Below the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Choice {
    pub(crate) fn new(kind: ChoiceKind, id: &str, title: &str) -> Self {
        Self { kind, id: id.to_owned(), title: title.to_owned(), description: None }
    }
}

impl Shown {
    pub(crate) fn of(kind: ShownKind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Everything that can be chosen on it.
    pub(crate) fn all_choices(&self) -> impl Iterator<Item = &Choice> {
        self.choices.iter().chain(self.cards.iter().flat_map(|card| &card.choices))
    }

    /// The choice with this id or, failing that, this title (in any case).
    pub(crate) fn choice(&self, wanted: &str) -> Option<&Choice> {
        let title = wanted.to_lowercase();
        self.all_choices()
            .find(|choice| choice.id == wanted)
            .or_else(|| self.all_choices().find(|choice| choice.title.to_lowercase() == title))
    }
}
