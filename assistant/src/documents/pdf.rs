//! The text of PDFs (ISO 32000-1, 9.4): the operators that show text, with lines and words told apart
//! by how the operators move between them.

use std::collections::BTreeMap;

use lopdf::content::{Content, Operation};
use lopdf::{DecompressError, Document, Encoding, Error, LoadOptions, Object, ObjectId};

use super::Unreadable;

const PAGES_MAX: usize = 2_000;

/// How much a file may become when it is unpacked, bytes.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// One stream of it.
    pub(super) stream: usize,
    /// All its pages together.
    pub(super) pages: usize,
}

/// What a document that people read stays within by far.
pub(super) const BOUNDS: Bounds = Bounds { stream: 32 << 20, pages: 128 << 20 };
/// From this gap on, in thousandths of the size of the font, two pieces of a line are two words.
const GAP: f32 = 180.0;

pub(super) fn text(bytes: &[u8], characters_max: usize, bounds: Bounds) -> Result<String, Unreadable> {
    let options = LoadOptions::with_max_decompressed_size(bounds.stream);
    let document = Document::load_mem_with_options(bytes, options).map_err(|error| unreadable(&error))?;
    if document.is_encrypted() {
        return Err(Unreadable::Locked);
    }
    let (mut text, mut left) = (String::new(), bounds.pages);
    for page in document.page_iter().take(PAGES_MAX) {
        let content = document.get_page_content_with_limit(page, left.min(bounds.stream));
        let content = content.map_err(|error| unreadable(&error))?;
        left = left.saturating_sub(content.len());
        // A page that cannot be read costs itself alone.
        if let Ok(content) = Content::decode(&content) {
            show(&document, page, &content.operations, bounds, &mut text);
            text.push_str("\n\n");
        }
        if text.len() / 4 > characters_max {
            break;
        }
    }
    Ok(text)
}

fn unreadable(error: &Error) -> Unreadable {
    match error {
        Error::Decompress(DecompressError::MemoryLimitExceeded { .. }) => Unreadable::TooLarge,
        Error::Decryption(_) | Error::InvalidPassword | Error::AlreadyEncrypted => Unreadable::Locked,
        _ => Unreadable::Damaged,
    }
}

fn show(document: &Document, page: ObjectId, operations: &[Operation], bounds: Bounds, text: &mut String) {
    let fonts = document.get_page_fonts(page).unwrap_or_default();
    let encodings: BTreeMap<_, _> = fonts
        .into_iter()
        .filter_map(|(name, font)| {
            Some((name, font.get_font_encoding_with_limit(document, bounds.stream).ok()?))
        })
        .collect();
    let mut font = None;
    let mut height = None;
    for Operation { operator, operands } in operations {
        match operator.as_str() {
            "Tf" => font = operands.first().and_then(|name| encodings.get(name.as_name().ok()?)),
            "Tj" | "TJ" => say(font, operands, text),
            "'" => {
                end_line(text);
                say(font, operands, text);
            }
            "\"" => {
                end_line(text);
                say(font, operands.get(2..).unwrap_or_default(), text);
            }
            "Td" | "TD" => match operands.get(1).and_then(number) {
                Some(0.0) => end_word(text),
                _ => end_line(text),
            },
            "Tm" => {
                let now = operands.get(5).and_then(number);
                if now.is_some() && now == height {
                    end_word(text);
                } else {
                    end_line(text);
                }
                height = now;
            }
            "T*" | "ET" => end_line(text),
            _ => {}
        }
    }
}

fn say(font: Option<&Encoding<'_>>, operands: &[Object], text: &mut String) {
    let Some(font) = font else { return };
    for operand in operands {
        match operand {
            Object::String(bytes, _) => {
                if let Ok(said) = Document::decode_text(font, bytes) {
                    text.push_str(&said);
                }
            }
            // Arrays hold no arrays (9.4.3).
            Object::Array(parts) => {
                for part in parts {
                    match part {
                        Object::Array(_) => {}
                        part if number(part).is_some_and(|by| by < -GAP) => end_word(text),
                        part => say(Some(font), std::slice::from_ref(part), text),
                    }
                }
            }
            _ => {}
        }
    }
}

fn number(object: &Object) -> Option<f32> {
    object.as_float().ok()
}

fn end_word(text: &mut String) {
    if !text.is_empty() && !text.ends_with([' ', '\n']) {
        text.push(' ');
    }
}

fn end_line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}
