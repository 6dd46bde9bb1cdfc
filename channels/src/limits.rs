//! What Meta's products take at most, each with its source.

use std::fmt::Display;

use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::MediaKind;
use iassistance_domain::delivery::DeliveryProblem;
use unicode_segmentation::UnicodeSegmentation;

use crate::send::refused;

/// `WhatsApp`: characters of a text (Meta: Cloud API, "Text messages").
pub const WHATSAPP_TEXT_CHARS_MAX: usize = 4_096;
/// `WhatsApp`: characters of a caption (Meta: Cloud API, "Image messages").
pub const WHATSAPP_CAPTION_CHARS_MAX: usize = 1_024;
/// `WhatsApp`: characters of the text above buttons, a link, a form or a request for a place (Meta:
/// Cloud API, "Interactive reply buttons messages").
pub const WHATSAPP_BODY_CHARS_MAX: usize = 1_024;
/// `WhatsApp`: characters of the text above a list (Meta: Cloud API, "Interactive list messages").
pub const WHATSAPP_LIST_BODY_CHARS_MAX: usize = 4_096;
/// `WhatsApp`: characters of a header or footer (Meta: Cloud API, "Interactive list messages").
pub const WHATSAPP_FRAME_CHARS_MAX: usize = 60;
/// `WhatsApp`: buttons of a message (Meta: Cloud API, "Interactive reply buttons messages").
pub const WHATSAPP_BUTTONS_MAX: usize = 3;
/// `WhatsApp`: characters on a button, on what opens a list and on a link (Meta: as above, and
/// "Interactive Call-to-Action URL button messages").
pub const WHATSAPP_BUTTON_CHARS_MAX: usize = 20;
/// `WhatsApp`: characters of a button's id (Meta: Cloud API, "Interactive reply buttons messages").
pub const WHATSAPP_BUTTON_ID_CHARS_MAX: usize = 256;
/// `WhatsApp`: parts of a list (Meta: Cloud API, "Interactive list messages").
pub const WHATSAPP_SECTIONS_MAX: usize = 10;
/// `WhatsApp`: lines of a list, over all its parts (Meta: Cloud API, "Interactive list messages").
pub const WHATSAPP_ROWS_MAX: usize = 10;
/// `WhatsApp`: characters of the title of a part or line (Meta: Cloud API, "Interactive list
/// messages").
pub const WHATSAPP_ROW_CHARS_MAX: usize = 24;
/// `WhatsApp`: characters of a line's description (Meta: Cloud API, "Interactive list messages").
pub const WHATSAPP_ROW_DESCRIPTION_CHARS_MAX: usize = 72;
/// `WhatsApp`: characters of a line's id (Meta: Cloud API, "Interactive list messages").
pub const WHATSAPP_ROW_ID_CHARS_MAX: usize = 200;

/// Messenger: characters of a text (Meta: Messenger Platform, Send API reference).
pub const MESSENGER_TEXT_CHARS_MAX: usize = 2_000;
/// Instagram: bytes of a text in UTF-8 (Meta: Instagram Platform, "Send messages").
pub const INSTAGRAM_TEXT_BYTES_MAX: usize = 1_000;
/// Messenger and Instagram: suggestions below a message (Meta: Messenger Platform, "Quick replies").
pub const PAGE_QUICK_REPLIES_MAX: usize = 13;
/// Messenger and Instagram: characters on a suggestion or button (Meta: Messenger Platform, "Quick
/// replies" and "Buttons").
pub const PAGE_BUTTON_CHARS_MAX: usize = 20;
/// Messenger and Instagram: characters of what comes back from a suggestion or button (Meta:
/// Messenger Platform, "Quick replies" and "Postback button").
pub const PAGE_PAYLOAD_CHARS_MAX: usize = 1_000;
/// Messenger and Instagram: characters of the text above buttons (Meta: Messenger Platform, "Button
/// template").
pub const PAGE_BUTTON_TEXT_CHARS_MAX: usize = 640;
/// Messenger and Instagram: buttons of a message or card (Meta: Messenger Platform, "Button
/// template").
pub const PAGE_BUTTONS_MAX: usize = 3;
/// Messenger and Instagram: cards beside each other (Meta: Messenger Platform, "Generic template").
pub const PAGE_CARDS_MAX: usize = 10;
/// Messenger and Instagram: characters of a card's title or subtitle (Meta: Messenger Platform,
/// "Generic template").
pub const PAGE_CARD_CHARS_MAX: usize = 80;
/// Instagram: pictures of one message (Meta: Instagram Platform, "Send messages").
pub const INSTAGRAM_IMAGES_MAX: usize = 10;

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;

/// What a product takes as a file of one kind.
pub(crate) struct FileLimit {
    pub(crate) bytes_max: u64,
    /// Types, or their beginnings; empty where the product names none.
    mimes: &'static [&'static str],
}

/// Meta: Cloud API, "Media", "Supported media types"; Messenger Platform, "Attachment upload API";
/// Instagram Platform, "Send messages".
pub(crate) const fn file(product: ChannelKind, kind: MediaKind) -> FileLimit {
    const AUDIO: &[&str] = &["audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg", "audio/opus"];
    const OFFICE: &[&str] = &[
        "text/plain",
        "application/pdf",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.",
    ];
    let (bytes_max, mimes): (u64, &'static [&'static str]) = match (product, kind) {
        (ChannelKind::Whatsapp, MediaKind::Image) => (5 * MIB, &["image/jpeg", "image/png"]),
        (ChannelKind::Whatsapp, MediaKind::Video) => (16 * MIB, &["video/mp4", "video/3gpp"]),
        (ChannelKind::Whatsapp, MediaKind::Audio | MediaKind::Voice) => (16 * MIB, AUDIO),
        (ChannelKind::Whatsapp, MediaKind::Document) => (100 * MIB, OFFICE),
        (ChannelKind::Whatsapp, MediaKind::Sticker) => (500 * KIB, &["image/webp"]),
        (ChannelKind::Messenger, MediaKind::Image | MediaKind::Sticker) => (25 * MIB, &["image/"]),
        (ChannelKind::Messenger, MediaKind::Document) => (25 * MIB, &[]),
        (ChannelKind::Instagram, MediaKind::Image | MediaKind::Sticker) => {
            (8 * MIB, &["image/png", "image/jpeg"])
        }
        (ChannelKind::Instagram, MediaKind::Document) => (25 * MIB, &["application/pdf"]),
        (_, MediaKind::Video) => (25 * MIB, &["video/"]),
        (_, MediaKind::Audio | MediaKind::Voice) => (25 * MIB, &["audio/"]),
    };
    FileLimit { bytes_max, mimes }
}

/// How long a text may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    Chars(usize),
    Bytes(usize),
}

impl Limit {
    /// Of one text message.
    pub(crate) const fn of_text(product: ChannelKind) -> Self {
        match product {
            ChannelKind::Whatsapp => Self::Chars(WHATSAPP_TEXT_CHARS_MAX),
            ChannelKind::Messenger => Self::Chars(MESSENGER_TEXT_CHARS_MAX),
            ChannelKind::Instagram => Self::Bytes(INSTAGRAM_TEXT_BYTES_MAX),
        }
    }

    const fn max(self) -> usize {
        match self {
            Self::Chars(max) | Self::Bytes(max) => max,
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Chars(_) => "characters",
            Self::Bytes(_) => "bytes",
        }
    }

    fn length(self, text: &str) -> usize {
        match self {
            Self::Chars(_) => text.chars().count(),
            Self::Bytes(_) => text.len(),
        }
    }

    /// Whether `text` fits.
    pub(crate) fn holds(self, text: &str) -> bool {
        match self {
            Self::Chars(max) => text.len() <= max || text.chars().nth(max).is_none(),
            Self::Bytes(max) => text.len() <= max,
        }
    }

    /// Where the last whole character that fits, as a person sees it, ends.
    pub(crate) fn end(self, text: &str) -> usize {
        let last = |parts: &mut dyn Iterator<Item = &str>| {
            let (mut length, mut end) = (0, 0);
            for part in parts {
                length += self.length(part);
                if length > self.max() {
                    break;
                }
                end += part.len();
            }
            end
        };
        match last(&mut text.graphemes(true)) {
            // One that is longer than a whole message has to be cut.
            0 => last(&mut text.split_inclusive(|_| true)),
            end => end,
        }
    }
}

/// Checks what goes to a product and says what is over which limit.
#[derive(Clone, Copy)]
pub(crate) struct Rules(pub(crate) ChannelKind);

impl Rules {
    /// Refuses a text that says nothing or is too long.
    pub(crate) fn text(self, what: impl Display, text: &str, limit: Limit) -> Result<(), DeliveryProblem> {
        let product = self.0;
        if text.trim().is_empty() {
            return Err(refused(format!("{what} is empty, which {product} does not take: write something")));
        }
        if limit.holds(text) {
            return Ok(());
        }
        let (length, max, unit) = (limit.length(text), limit.max(), limit.unit());
        Err(refused(format!("{what} has {length} {unit} and {product} takes {max}: shorten it")))
    }

    /// [`Rules::text`] in characters.
    pub(crate) fn chars(self, what: impl Display, text: &str, max: usize) -> Result<(), DeliveryProblem> {
        self.text(what, text, Limit::Chars(max))
    }

    /// Refuses none, and too many.
    pub(crate) fn count(self, what: &str, number: usize, max: usize) -> Result<(), DeliveryProblem> {
        let product = self.0;
        match number {
            0 => Err(refused(format!("there are no {what}: give at least one"))),
            _ if number > max => {
                Err(refused(format!("there are {number} {what} and {product} takes {max}: leave some out")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses two that could not be told apart.
    pub(crate) fn distinct<'a>(
        self,
        what: &str,
        values: impl Iterator<Item = &'a str>,
    ) -> Result<(), DeliveryProblem> {
        let mut seen = std::collections::HashSet::new();
        for value in values {
            if !seen.insert(value) {
                return Err(refused(format!(
                    "two {what} are the same, which {} refuses: change one",
                    self.0
                )));
            }
        }
        Ok(())
    }

    /// Refuses a file of a type or length that the product does not take. What is not known is not
    /// checked.
    pub(crate) fn file(
        self,
        kind: MediaKind,
        mime: Option<&str>,
        bytes: Option<u64>,
    ) -> Result<(), DeliveryProblem> {
        let (product, limit, name) = (self.0, file(self.0, kind), kind.name());
        if let Some(bytes) = bytes.filter(|bytes| *bytes > limit.bytes_max) {
            let max = limit.bytes_max;
            return Err(refused(format!(
                "the {name} has {bytes} bytes and {product} takes {max}: make it smaller"
            )));
        }
        if bytes == Some(0) {
            return Err(refused(format!("the {name} is empty: choose another file")));
        }
        let Some(mime) = mime.map(essence) else { return Ok(()) };
        if limit.mimes.is_empty() || limit.mimes.iter().any(|taken| mime.starts_with(taken)) {
            return Ok(());
        }
        let taken = limit.mimes.join(", ");
        Err(refused(format!("{product} does not take {mime} as {name}, but {taken}: convert it")))
    }
}

/// A media type without its parameters, in lower case.
pub(crate) fn essence(mime: &str) -> String {
    mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Refuses what is no web address.
pub(crate) fn web_address(what: impl Display, url: &str) -> Result<(), DeliveryProblem> {
    let web = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
    let problem = || refused(format!("{what} is not a web address: begin it with https://"));
    web.then_some(()).ok_or_else(problem)
}
