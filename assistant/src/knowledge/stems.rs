//! What a text is found by: its words without accents and endings.

use bm25::Tokenizer;
use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// A longer run of letters is no word.
const WORD_CHARS_MAX: usize = 60;

/// Words of Spanish, Portuguese and English that say nothing by themselves, without accents.
const EMPTY_WORDS: &str = " a al algo an and ao aos are as at be by com como con cual da das de del \
do dos e el ela ele em en es essa esse esta este eu for from ha han has hay he i in is it la las le les lo los \
ma mais mas me meu mi muy my na nas no nos o of on or os ou para pelo per pero por que quem se ser si sin \
sou su sua suas sus te tem the their they this to tu u um uma un una unas uno unos voce was we what which \
will with y ya yo you your ";

/// Cuts a text into stems. Each word stands for itself as all three languages would shorten it, so
/// that nobody has to know in which of them it is written: what two languages shorten alike is there
/// once.
pub(super) struct Stems {
    stemmers: [Stemmer; 3],
}

impl Stems {
    pub(super) fn new() -> Self {
        let languages = [Algorithm::Spanish, Algorithm::Portuguese, Algorithm::English];
        Self { stemmers: languages.map(Stemmer::create) }
    }

    fn add(&self, word: &str, stems: &mut Vec<String>) {
        let from = stems.len();
        let plain = fold(word);
        // With and without accents: many people write without them, and the endings differ.
        for form in [word, &plain] {
            for stemmer in &self.stemmers {
                let stem = fold(&stemmer.stem(form));
                if !stem.is_empty() && !stems[from..].contains(&stem) {
                    stems.push(stem);
                }
            }
        }
    }
}

impl Tokenizer for Stems {
    fn tokenize(&self, text: &str) -> Vec<String> {
        let lower = text.to_lowercase();
        let words: Vec<_> =
            lower.unicode_words().filter(|word| word.chars().count() <= WORD_CHARS_MAX).collect();
        let telling = |word: &&&str| !EMPTY_WORDS.contains(&format!(" {} ", fold(word)));
        let mut stems = Vec::new();
        for word in words.iter().filter(telling) {
            self.add(word, &mut stems);
        }
        if stems.is_empty() {
            for word in words {
                self.add(word, &mut stems);
            }
        }
        stems
    }
}

/// The word without accents.
fn fold(word: &str) -> String {
    word.nfkd().filter(|letter| !is_combining_mark(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(left: &str, right: &str) -> bool {
        let stems = Stems::new();
        let left = stems.tokenize(left);
        stems.tokenize(right).iter().any(|stem| left.contains(stem))
    }

    #[test]
    fn forms_of_a_word_meet_in_each_language() {
        for (left, right) in [
            ("horario", "HORARIOS"),
            ("devolución", "devoluciones"),
            ("devolucion", "devolución"),
            ("envíos", "envio"),
            ("reservas", "reservar"),
            ("devolução", "devoluções"),
            ("devolucao", "devolução"),
            ("entregas", "entrega"),
            ("horários", "horario"),
            ("preços", "preco"),
            ("refunds", "refund"),
            ("shipping", "ships"),
            ("opening", "opens"),
            ("ﬁnance", "finance"),
        ] {
            assert!(share(left, right), "{left} {right}");
        }
        for (left, right) in [("horario", "precio"), ("entrega", "reserva"), ("refund", "opening")] {
            assert!(!share(left, right), "{left} {right}");
        }
    }

    #[test]
    fn empty_words_count_only_where_there_is_nothing_else() {
        let stems = Stems::new();
        assert_eq!(stems.tokenize("¿de qué?"), stems.tokenize("de que"));
        assert!(!stems.tokenize("de que").is_empty());
        assert!(!share("el precio de la silla", "de la mesa"));
        assert!(stems.tokenize("… ¡!").is_empty());
        assert!(stems.tokenize(&"x".repeat(100)).is_empty());
    }
}
