//! The text of HTML: as it is read in a browser, with headings, lists and cells in Markdown's way.
//!
//! A page is read tag by tag and no tree is made of it: trees of pages that were written to be costly
//! take time with the square of their length, and nesting takes the stack.

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

/// A longer address is not shown: nobody could write it to anybody.
const ADDRESS_BYTES_MAX: usize = 300;

pub(super) fn text(page: &str, characters_max: usize) -> String {
    let mut reader = Reader { bytes_max: characters_max.saturating_mul(4), ..Reader::default() };
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| reader.read(&event));
    emitter.naively_switch_states(true);
    // The one token that it gives says that there is enough.
    Tokenizer::new_with_emitter(page, emitter).next();
    reader.text
}

/// What an element does to the text around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// It stands in the line.
    Inline,
    /// It begins and ends lines.
    Line,
    /// An empty line is above and below it.
    Block,
    /// It is a cell of a row.
    Cell,
    /// It is not read.
    Hidden,
}

fn flow(name: &[u8]) -> Flow {
    match name {
        b"script" | b"style" | b"title" | b"template" | b"svg" | b"math" | b"iframe" | b"object"
        | b"noscript" | b"noembed" | b"noframes" | b"canvas" | b"audio" | b"video" | b"select"
        | b"textarea" => Flow::Hidden,
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"ul" | b"ol" | b"dl" | b"table"
        | b"blockquote" | b"section" | b"article" | b"header" | b"footer" | b"main" | b"aside" | b"nav"
        | b"form" | b"fieldset" | b"figure" | b"pre" | b"hr" | b"address" | b"details" | b"body" => {
            Flow::Block
        }
        b"div" | b"br" | b"li" | b"tr" | b"dt" | b"dd" | b"caption" | b"summary" | b"figcaption"
        | b"legend" => Flow::Line,
        b"td" | b"th" => Flow::Cell,
        _ => Flow::Inline,
    }
}

#[derive(Default)]
struct Reader {
    text: String,
    bytes_max: usize,
    /// Line ends that are due before the next word.
    breaks: usize,
    /// What stands before it: of a heading, or of a line of a list.
    mark: String,
    space: bool,
    preformatted: usize,
    /// The element that is not read, and how deep it is in itself.
    hidden: Option<(Vec<u8>, usize)>,
    tag: Vec<u8>,
    attribute: Vec<u8>,
    link: Option<String>,
}

impl Reader {
    fn read(&mut self, event: &CallbackEvent<'_>) -> Option<()> {
        match *event {
            CallbackEvent::OpenStartTag { name } => self.open(name),
            CallbackEvent::AttributeName { name } => {
                self.attribute.clear();
                self.attribute.extend_from_slice(name);
            }
            CallbackEvent::AttributeValue { value } => self.attribute_value(value),
            CallbackEvent::CloseStartTag { .. } => {
                self.tag.clear();
                self.attribute.clear();
            }
            CallbackEvent::EndTag { name } => self.close(name),
            CallbackEvent::String { value } if self.hidden.is_none() => {
                self.say(&String::from_utf8_lossy(value));
            }
            _ => {}
        }
        (self.text.len() > self.bytes_max).then_some(())
    }

    fn open(&mut self, name: &[u8]) {
        self.tag.clear();
        self.attribute.clear();
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth += usize::from(hidden == name);
            return;
        }
        self.tag.extend_from_slice(name);
        match flow(name) {
            Flow::Hidden => self.hidden = Some((name.to_vec(), 1)),
            // What a heading or a line of a list begins with stands in its line.
            _ if !self.mark.is_empty() && name != b"li" => {}
            Flow::Block => self.breaks = self.breaks.max(2),
            Flow::Line => self.breaks = self.breaks.max(1),
            Flow::Cell if self.breaks == 0 && !self.text.is_empty() => self.text.push_str(" | "),
            Flow::Cell | Flow::Inline => {}
        }
        match name {
            b"li" => "- ".clone_into(&mut self.mark),
            [b'h', level @ b'1'..=b'6'] => {
                self.mark = format!("{} ", "#".repeat(usize::from(level - b'0')));
            }
            b"pre" => self.preformatted += 1,
            b"a" => self.link = None,
            _ => {}
        }
    }

    fn attribute_value(&mut self, value: &[u8]) {
        if self.hidden.is_some() {
            return;
        }
        let value = String::from_utf8_lossy(value);
        match (self.tag.as_slice(), self.attribute.as_slice()) {
            (b"img", b"alt") => self.say(&format!(" {value} ")),
            (b"a", b"href") => {
                let value = value.trim();
                let leads =
                    ["https://", "http://", "mailto:", "tel:"].iter().any(|kind| value.starts_with(kind));
                self.link = Some(value.to_owned()).filter(|link| leads && link.len() <= ADDRESS_BYTES_MAX);
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &[u8]) {
        self.tag.clear();
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth -= usize::from(hidden == name);
            if *depth == 0 {
                self.hidden = None;
            }
            return;
        }
        match flow(name) {
            Flow::Block => self.breaks = self.breaks.max(2),
            Flow::Line => self.breaks = self.breaks.max(1),
            Flow::Cell | Flow::Inline | Flow::Hidden => {}
        }
        match name {
            b"pre" => self.preformatted = self.preformatted.saturating_sub(1),
            b"a" => {
                let bare =
                    |link: &String| link.trim_start_matches("mailto:").trim_start_matches("tel:").to_owned();
                if let Some(link) = self.link.take()
                    && !self.text.ends_with(&bare(&link))
                {
                    self.say(&format!(" ({link})"));
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, words: &str) {
        if self.preformatted > 0 {
            self.end_lines();
            self.text.push_str(words);
            return;
        }
        for letter in words.chars() {
            if letter.is_whitespace() {
                self.space = true;
                continue;
            }
            self.end_lines();
            if std::mem::take(&mut self.space) && !self.text.ends_with([' ', '\n']) && !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push(letter);
        }
    }

    fn end_lines(&mut self) {
        let (breaks, mark) = (std::mem::take(&mut self.breaks), std::mem::take(&mut self.mark));
        if breaks > 0 {
            self.space = false;
            if !self.text.is_empty() {
                self.text.extend(std::iter::repeat_n('\n', breaks));
            }
        }
        self.text.push_str(&mark);
    }
}
