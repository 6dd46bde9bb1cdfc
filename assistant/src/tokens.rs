//! Counting tokens, as OpenAI's present models do.

use tiktoken_rs::{CoreBPE, o200k_base_singleton};

/// Text is counted in pieces of this many bytes: the tokeniser's regular expressions slow down, and
/// in the end give up, on a very long run of one kind of character. A count may thereby be a few
/// tokens too high.
const PIECE_BYTES: usize = 4_096;
/// How long the end of a growing text may be that is counted again each time.
const TAIL_BYTES: usize = 48;

/// Counts tokens in the `o200k_base` encoding (GPT-4o, GPT-4.1 and later). Other models count
/// somewhat differently; for them it is an estimate.
#[derive(Debug)]
pub struct TokenCounter;

impl TokenCounter {
    /// Loads the encoding, some 100 milliseconds of work that the first count would otherwise do.
    pub fn warm_up() {
        Self::encoding();
    }

    /// How many tokens `text` has.
    pub fn count(text: &str) -> usize {
        Self::count_up_to(text, usize::MAX)
    }

    /// How many tokens `text` has; some number above `limit` as soon as there are more than that.
    pub(crate) fn count_up_to(text: &str, limit: usize) -> usize {
        let mut tokens = 0;
        for piece in pieces(text) {
            if tokens > limit {
                break;
            }
            tokens += Self::encoding().count_ordinary(piece);
        }
        tokens
    }

    /// The beginning of `text`, at most `tokens` long and never in the middle of a character.
    pub(crate) fn prefix(text: &str, tokens: usize) -> &str {
        let (mut left, mut bytes) = (tokens, 0);
        for piece in pieces(text) {
            let encoded = Self::encoding().encode_ordinary(piece);
            if encoded.len() <= left {
                left -= encoded.len();
                bytes += piece.len();
                continue;
            }
            bytes += Self::encoding().decode_bytes(&encoded[..left]).map_or(0, |decoded| decoded.len());
            break;
        }
        &text[..text.floor_char_boundary(bytes)]
    }

    fn encoding() -> &'static CoreBPE {
        o200k_base_singleton()
    }
}

/// Counts a text while it grows, without counting all of it again each time. Words that come in
/// several pieces count as one would count them together.
#[derive(Debug, Default)]
pub(crate) struct RunningCount {
    /// Where the part begins that is not counted for good.
    begin: usize,
    tokens: usize,
}

impl RunningCount {
    /// How many tokens `text` has, which begins with every text that was counted before.
    pub(crate) fn count(&mut self, text: &str) -> usize {
        let rest = &text[self.begin..];
        // A word's token begins with the space before it.
        let space = rest.trim_end().rfind(' ').filter(|place| *place > 0);
        let whole = if rest.len() > TAIL_BYTES { space.unwrap_or(rest.len()) } else { 0 };
        let (whole, tail) = rest.split_at(whole);
        self.tokens += TokenCounter::count(whole);
        self.begin += whole.len();
        self.tokens + TokenCounter::count(tail)
    }
}

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_the_published_encoding_does() {
        TokenCounter::warm_up();
        assert_eq!(TokenCounter::count(""), 0);
        assert_eq!(TokenCounter::count("hello world"), 2);
    }

    #[test]
    fn a_prefix_keeps_whole_characters() {
        let text = "👩‍🚀 señora, ¿qué tal? ".repeat(500);
        for tokens in [0, 1, 2, 3, 50, 2_000] {
            let prefix = TokenCounter::prefix(&text, tokens);
            assert!(text.starts_with(prefix));
            assert!(TokenCounter::count(prefix) <= tokens + 1, "{tokens}");
        }
        assert_eq!(TokenCounter::prefix(&text, usize::MAX), text);
    }

    #[test]
    fn a_growing_text_is_counted_as_a_whole_one() {
        let text = "¿Qué tal, señora? The bread costs 3.50 and the cake 12. ".repeat(40);
        let words: Vec<_> = text.split_inclusive(' ').collect();
        let (mut counter, mut grown) = (RunningCount::default(), String::new());
        for word in words {
            grown.push_str(word);
            let (counted, whole) = (counter.count(&grown), TokenCounter::count(&grown));
            assert!(counted.abs_diff(whole) <= 2, "{counted} instead of {whole}");
        }
        // Where nothing parts the words, a piece is counted once and for all.
        let (mut counter, mut grown) = (RunningCount::default(), " ".to_owned());
        for _ in 0..200 {
            grown.push_str("面包多少钱");
            assert!(counter.count(&grown) <= grown.len());
            assert!(grown.len() - counter.begin <= TAIL_BYTES + 20);
        }
    }

    #[test]
    fn a_long_run_of_one_character_is_counted_all_the_same() {
        let spaces = " ".repeat(60_000);
        assert!(TokenCounter::count(&spaces) > 100);
        assert!(TokenCounter::count_up_to(&spaces, 10) > 10);
        assert!(TokenCounter::prefix(&spaces, 10).len() < 4_096);
    }
}
