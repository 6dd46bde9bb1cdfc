//! Long texts in pieces that a channel carries.

use iassistance_domain::message::Content;
use iassistance_domain::pii::Deliver;
use unicode_segmentation::UnicodeSegmentation;

/// The longest text of one `WhatsApp` message, in characters (Meta: Cloud API, text messages).
pub const TEXT_CHARS_MAX: usize = 4_096;

/// The content as messages that the channel carries: a text beyond [`TEXT_CHARS_MAX`] is divided,
/// after a paragraph, a line or a word where there is one, and never inside what a person sees as
/// one character.
pub fn pieces(content: Content) -> Vec<Content> {
    match &content {
        Content::Text { body } if body.reveal(Deliver).chars().nth(TEXT_CHARS_MAX).is_some() => {
            divide(body.reveal(Deliver), TEXT_CHARS_MAX).into_iter().map(Content::text).collect()
        }
        _ => vec![content],
    }
}

fn divide(mut text: &str, chars_max: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    while text.chars().nth(chars_max).is_some() {
        let end = fitting(text, chars_max);
        let head = &text[..end];
        // A break in the first half would make a piece for little.
        let at = ["\n\n", "\n", " "]
            .into_iter()
            .find_map(|mark| head.rfind(mark).map(|at| at + mark.len()).filter(|at| *at > end / 2))
            .unwrap_or(end);
        pieces.push(text[..at].trim_end());
        text = text[at..].trim_start();
    }
    if !text.is_empty() {
        pieces.push(text);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Where the last whole character, as a person sees it, ends within `chars_max` characters.
fn fitting(text: &str, chars_max: usize) -> usize {
    let (mut chars, mut end) = (0, 0);
    for grapheme in text.graphemes(true) {
        chars += grapheme.chars().count();
        if chars > chars_max {
            break;
        }
        end += grapheme.len();
    }
    if end > 0 {
        return end;
    }
    // One that is longer than a whole message has to be cut.
    text.char_indices().nth(chars_max).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_divided_between_words_and_nothing_is_lost() {
        let text = "one two three four five six seven";
        let pieces = divide(text, 12);
        assert!(pieces.iter().all(|piece| piece.chars().count() <= 12));
        assert_eq!(pieces.join(" "), text);
    }

    #[test]
    fn what_is_seen_as_one_character_stays_whole() {
        let family = "👩‍👩‍👧‍👦";
        let text = family.repeat(9);
        let pieces = divide(&text, 20);
        assert!(pieces.iter().all(|piece| piece.len() % family.len() == 0));
        assert_eq!(pieces.concat(), text);
        let endless = format!("e{}", "\u{301}".repeat(50));
        assert_eq!(divide(&endless, 20).concat(), endless);
    }

    #[test]
    fn a_text_that_fits_is_left_alone() {
        assert!(pieces(Content::text("x".repeat(TEXT_CHARS_MAX))).len() == 1);
        assert!(pieces(Content::text("x".repeat(TEXT_CHARS_MAX + 1))).len() == 2);
    }
}
