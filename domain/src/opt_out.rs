//! Whether a contact asks for silence.
//!
//! Only a message that is one of these words and nothing else does: whoever writes "I want to stop by
//! tomorrow" is answered.

use crate::fold::folded;

/// What a longer text cannot be, characters.
const CHARACTERS_MAX: usize = 80;
/// Words that mean nothing else.
const SURELY: &[&str] = &[
    "stop",
    "stopall",
    "stop all",
    "unsubscribe",
    "opt out",
    "optout",
    "remove me",
    "baja",
    "darme de baja",
    "dar de baja",
    "quiero darme de baja",
    "desuscribir",
    "desuscribirme",
    "no molestar",
    "descadastrar",
    "descadastre me",
    "cancelar inscricao",
    "cancelar suscripcion",
    "pare",
];
/// Words that may as well answer a question: whether to confirm or to cancel.
const PERHAPS: &[&str] = &["cancelar", "cancel", "parar", "sair", "salir", "end", "quit", "alto"];

/// How a message asks for silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptOut {
    /// Whatever was said before.
    Surely,
    /// Unless it answers something: the business's last message holds the same word.
    Unless {
        /// The word, as [`offers`] compares it.
        word: &'static str,
    },
}

/// Whether this message asks for silence, by the usual words in Spanish, Portuguese and English and by
/// the tenant's own.
pub fn asked(text: &str, own: &[String]) -> Option<OptOut> {
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        return None;
    }
    let said = folded(text);
    if said.is_empty() {
        return None;
    }
    if SURELY.contains(&said.as_str()) || own.iter().any(|word| folded(word) == said) {
        return Some(OptOut::Surely);
    }
    PERHAPS.iter().find(|word| **word == said).map(|word| OptOut::Unless { word })
}

/// Whether a text of the business holds this word, so that it may be the answer to it.
pub fn offers(text: &str, word: &str) -> bool {
    format!(" {} ", folded(text)).contains(&format!(" {word} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_message_counts() {
        for text in ["STOP", " stop. ", "Baja", "¡BAJA!", "Darme de baja", "unsubscribe", "PARE"] {
            assert_eq!(asked(text, &[]), Some(OptOut::Surely), "{text}");
        }
        for text in ["stop by", "la baja de precio", "", "👍", "no", "quiero parar el pedido"] {
            assert_eq!(asked(text, &[]), None, "{text}");
        }
        assert_eq!(asked(&"stop ".repeat(40), &[]), None);
    }

    #[test]
    fn a_tenant_has_words_of_its_own() {
        let own = ["No más".to_owned()];
        assert_eq!(asked("no mas!", &own), Some(OptOut::Surely));
        assert_eq!(asked("no mas!", &[]), None);
    }

    #[test]
    fn a_word_that_was_offered_is_an_answer() {
        assert_eq!(asked("Cancelar", &[]), Some(OptOut::Unless { word: "cancelar" }));
        assert!(offers("¿Confirmar o CANCELAR?", "cancelar"));
        assert!(!offers("El turno fue cancelado.", "cancelar"));
    }
}
