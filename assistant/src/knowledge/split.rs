//! Cutting texts into passages.

use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

use crate::tokens::TokenCounter;

/// How long a passage is, in tokens, where nobody says otherwise.
pub const PASSAGE_TOKENS: usize = 400;
/// Shorter passages would say nothing by themselves.
const TOKENS_LEAST: usize = 16;
/// What two neighbours share, as a part of a passage: a sentence between them is lost in neither.
const OVERLAP_PART: usize = 8;

/// Longer texts are split part by part, bytes: a long run of letters without a space takes time with
/// more than its length.
const PART_BYTES: usize = 65_536;

struct Tokens;

impl ChunkSizer for Tokens {
    fn size(&self, chunk: &str) -> usize {
        TokenCounter::count(chunk)
    }
}

/// The text in passages of at most [`PASSAGE_TOKENS`].
pub fn split(text: &str) -> Vec<String> {
    split_into(text, PASSAGE_TOKENS)
}

/// The text in passages of at most so many tokens, cut between paragraphs, sentences or words as far
/// as that can be; neighbours overlap a little. It counts every token, which takes its time: not for
/// a thread that answers.
pub fn split_into(text: &str, tokens_max: usize) -> Vec<String> {
    let tokens_max = tokens_max.max(TOKENS_LEAST);
    let config = ChunkConfig::new(tokens_max);
    let config =
        config.with_overlap(tokens_max / OVERLAP_PART).unwrap_or_else(|_| ChunkConfig::new(tokens_max));
    let splitter = TextSplitter::new(config.with_sizer(Tokens));
    parts(text).flat_map(|part| splitter.chunks(part)).map(str::to_owned).collect()
}

/// The text in parts, cut at ends of lines, else at spaces, else anywhere.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut part = &text[..text.floor_char_boundary(PART_BYTES)];
        if part.len() < text.len() {
            let end = part.rfind('\n').or_else(|| part.rfind(char::is_whitespace));
            part = end.filter(|end| *end > 0).map_or(part, |end| &part[..end]);
        }
        text = &text[part.len()..];
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(count: usize) -> String {
        let sentence =
            |number| format!("La sucursal número {number} abre de lunes a viernes, de 9 a 18 horas.");
        let paragraphs = (0..count).map(|number| {
            let end = if number % 5 == 4 { "\n\n" } else { " " };
            format!("{}{end}", sentence(number))
        });
        paragraphs.collect()
    }

    #[test]
    fn passages_keep_to_their_limit_and_nothing_is_lost() {
        let text = sentences(200);
        let passages = split_into(&text, 100);
        assert!(passages.len() > 20);
        for passage in &passages {
            assert!(TokenCounter::count(passage) <= 100);
            assert!(text.contains(passage.as_str()));
        }
        for number in 0..200 {
            let sentence = format!("número {number} abre");
            assert!(passages.iter().any(|passage| passage.contains(&sentence)), "{sentence}");
        }
        let first = passages[0].chars().count();
        assert!(passages[..4].iter().map(|passage| passage.chars().count()).sum::<usize>() > 3 * first);
    }

    #[test]
    fn neighbours_overlap() {
        let words = (0..500).map(|number| format!("palabra{number}")).collect::<Vec<_>>().join(" ");
        let passages = split_into(&words, 80);
        for pair in passages.windows(2) {
            let last = pair[0].split_whitespace().last().unwrap();
            assert!(pair[1].split_whitespace().any(|word| word == last), "{last}");
        }
    }

    #[test]
    fn a_long_text_is_split_part_by_part_and_loses_nothing() {
        for text in [sentences(2_000), "x".repeat(200_000), "a b ".repeat(50_000), "é\n".repeat(70_000)] {
            let all: Vec<_> = parts(&text).collect();
            assert!(all.len() > 1);
            assert!(all.iter().all(|part| part.len() <= PART_BYTES));
            assert_eq!(all.concat(), text);
        }
        assert_eq!(parts("").count(), 0);
    }

    #[test]
    fn odd_texts_are_split_too() {
        assert!(split("").is_empty());
        assert!(split(" \n\t ").is_empty());
        assert_eq!(split("hola"), ["hola"]);
        let run = "x".repeat(20_000);
        let passages = split(&run);
        assert!(passages.len() > 1);
        assert!(passages.iter().all(|passage| TokenCounter::count(passage) <= PASSAGE_TOKENS));
        assert!(split_into("uno dos tres", 0).len() == 1);
    }
}
