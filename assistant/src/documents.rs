//! The text of files: PDF, HTML, Markdown and whatever else is text.
//!
//! Files come from anybody. PDFs are read on a thread of their own with a deep stack, in which a panic
//! ends the reading and nothing else; how much is unpacked, and how much text comes out, is bounded.
//! Reading takes its time: it belongs on a pool for work that blocks.

mod html;
mod pdf;

use std::thread;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// A larger file is not read.
const BYTES_MAX: usize = 32 << 20;
const STACK_BYTES: usize = 64 << 20;
/// Where a page says in which encoding it is.
const META_BYTES: usize = 1_024;

/// Why a file gave no text, and what would do. Holds nothing of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is of another kind.
    #[error("files of this type hold no text that can be read: give a PDF, HTML, Markdown or plain text")]
    Kind,
    /// It is too large, or becomes so when it is unpacked.
    #[error("the file is too large, or holds too much when it is unpacked: split it")]
    TooLarge,
    /// It is locked with a password.
    #[error("the PDF is locked with a password: give one that is not")]
    Locked,
    /// It is not what it is said to be, or is damaged.
    #[error("the file is damaged, or not of the type that it is said to be")]
    Damaged,
    /// There is no text in it.
    #[error("there is no text in the file: a PDF of scanned pages needs text recognition first")]
    Empty,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pdf,
    Html,
    Text,
}

/// Whether files of this type can be read at all.
pub fn is_readable(mime: &str) -> bool {
    kind(mime).is_some()
}

/// The text of a file of this type, at most so many characters of it.
pub fn text_of(mime: &str, bytes: &[u8], characters_max: usize) -> Result<String, Unreadable> {
    let kind = kind(mime).ok_or(Unreadable::Kind)?;
    if bytes.len() > BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let text = match kind {
        Kind::Pdf => apart(|| pdf::text(bytes, characters_max, pdf::BOUNDS))?,
        Kind::Html => html::text(&decode(mime, bytes, true), characters_max),
        Kind::Text => decode(mime, bytes, false),
    };
    let text = tidy(&text, characters_max);
    if text.is_empty() { Err(Unreadable::Empty) } else { Ok(text) }
}

fn kind(mime: &str) -> Option<Kind> {
    let essence = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/pdf" | "application/x-pdf" => Some(Kind::Pdf),
        "text/html" | "application/xhtml+xml" => Some(Kind::Html),
        "application/json" | "application/xml" | "application/csv" | "application/markdown" => {
            Some(Kind::Text)
        }
        "text/rtf" | "text/calendar" | "text/vcard" | "text/x-vcard" => None,
        text if text.starts_with("text/") => Some(Kind::Text),
        _ => None,
    }
}

/// Does it on a thread of its own.
fn apart<T: Send>(read: impl FnOnce() -> Result<T, Unreadable> + Send) -> Result<T, Unreadable> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("document".to_owned()).stack_size(STACK_BYTES);
        let reading = thread.spawn_scoped(scope, read).map_err(|_| Unreadable::TooLarge)?;
        reading.join().unwrap_or(Err(Unreadable::Damaged))
    })
}

/// The bytes as text: in the encoding that a byte order mark, the type or the page itself names, else
/// in UTF-8 or, where they are not, in that of old Windows.
fn decode(mime: &str, bytes: &[u8], page: bool) -> String {
    let named = label_after(mime.as_bytes()).or_else(|| {
        let beginning = bytes.get(..META_BYTES).unwrap_or(bytes);
        label_after(beginning).filter(|_| page)
    });
    let guessed = if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 };
    // A byte order mark wins over what is named here.
    named.unwrap_or(guessed).decode(bytes).0.into_owned()
}

/// The encoding that stands after `charset=`.
fn label_after(text: &[u8]) -> Option<&'static Encoding> {
    const NAME: &[u8] = b"charset=";
    let at = text.windows(NAME.len()).position(|part| part.eq_ignore_ascii_case(NAME))?;
    let rest = text.get(at + NAME.len()..)?;
    let rest = rest.strip_prefix(b"\"").or_else(|| rest.strip_prefix(b"'")).unwrap_or(rest);
    let ends = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"-_.:".contains(byte));
    let label = rest.split(ends).next()?;
    Encoding::for_label(label)
}

/// The text without what cannot be read: control characters, drawn lines, spaces at ends of lines and
/// more than one empty line at a time.
fn tidy(text: &str, characters_max: usize) -> String {
    let (mut tidied, mut left, mut empty) = (String::new(), characters_max, 0_usize);
    for line in text.lines() {
        let line: String = line.chars().filter(|letter| *letter == '\t' || !letter.is_control()).collect();
        let line = line.trim_end();
        let drawn = |letter: char| matches!(letter, '\u{2500}'..='\u{257f}');
        if line.is_empty() || line.chars().all(drawn) {
            empty += 1;
            continue;
        }
        let breaks = if tidied.is_empty() { 0 } else { 1 + empty.min(1) };
        empty = 0;
        let whole: String = "\n".repeat(breaks).chars().chain(line.chars()).take(left).collect();
        left -= whole.chars().count();
        tidied.push_str(&whole);
        if left == 0 {
            break;
        }
    }
    tidied.trim().to_owned()
}

#[cfg(test)]
#[path = "documents/tests.rs"]
mod tests;
