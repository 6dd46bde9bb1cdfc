//! Cutting texts into passages.

use text_splitter::{ChunkConfig, ChunkSizer, TextSplitter};

use crate::tokens::TokenCounter;

/// How long a passage is, in tokens, where nobody says otherwise.
pub const PASSAGE_TOKENS: usize = 400;
/// Shorter passages would say nothing by themselves.
const TOKENS_LEAST: usize = 16;
/// What two neighbours share, as a part of a passage: a sentence between them is lost in neither.
const OVERLAP_PART: usize = 8;

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
    TextSplitter::new(config.with_sizer(Tokens)).chunks(text).map(str::to_owned).collect()
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
