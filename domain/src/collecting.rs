//! Whether a message looks like a part of something longer, in Spanish, Portuguese and English: people
//! write in pieces, and are answered when they have finished.
//!
//! It is a guess, and a wrong one costs little: a fragment is waited for somewhat longer.

use crate::content::{Content, MediaKind};
use crate::fold::words;
use crate::pii::Reply;

/// From so many words on, a text without an end mark is taken for finished.
const WORDS_OF_A_SENTENCE: usize = 8;

/// What is written before the message proper.
const GREETINGS: &[&str] = &[
    "hola",
    "ola",
    "holis",
    "buenas",
    "buenos",
    "buen",
    "dia",
    "dias",
    "tarde",
    "tardes",
    "noche",
    "noches",
    "que",
    "tal",
    "como",
    "estas",
    "esta",
    "estan",
    "va",
    "todo",
    "bien",
    "oi",
    "oie",
    "opa",
    "bom",
    "boa",
    "boas",
    "noite",
    "tudo",
    "bem",
    "e",
    "ai",
    "hi",
    "hello",
    "hey",
    "hiya",
    "good",
    "morning",
    "afternoon",
    "evening",
    "there",
    "how",
    "are",
    "you",
    "disculpa",
    "disculpe",
    "perdon",
    "desculpa",
    "desculpe",
    "excuse",
    "me",
    "sorry",
];
/// A text is a greeting only with one of these in front.
const GREETINGS_FIRST: &[&str] = &[
    "hola", "ola", "holis", "buenas", "buenos", "buen", "oi", "oie", "opa", "bom", "boa", "boas", "hi",
    "hello", "hey", "hiya", "good", "disculpa", "disculpe", "perdon", "desculpa", "desculpe", "excuse",
    "sorry",
];
/// What a greeting goes on with.
const TIMES_OF_DAY: &[&str] = &[
    "dia",
    "dias",
    "tarde",
    "tardes",
    "noche",
    "noches",
    "noite",
    "morning",
    "afternoon",
    "evening",
    "there",
];
/// What announces that more comes.
const ANNOUNCEMENTS: &[&[&str]] = &[
    &["una", "consulta"],
    &["una", "pregunta"],
    &["una", "duda"],
    &["una", "cosa"],
    &["uma", "pergunta"],
    &["uma", "duvida"],
    &["uma", "coisa"],
    &["a", "question"],
    &["quick", "question"],
    &["one", "thing"],
];
/// Words after which a sentence goes on.
const OPEN_ENDS: &[&str] = &[
    // Spanish
    "y", "o", "u", "ni", "que", "porque", "pero", "sino", "aunque", "con", "sin", "de", "del", "la", "el",
    "los", "las", "un", "una", "unos", "unas", "para", "por", "en", "al", "desde", "hasta", "sobre", "si",
    "cuando", "donde", "mi", "tu", "su", "mis", "tus", "sus", "es", "son", "quiero", "quisiera", "necesito",
    "muy", "mas", "entonces", "ademas", // Portuguese
    "e", "ou", "mas", "com", "sem", "do", "da", "dos", "das", "o", "os", "as", "um", "uma", "uns", "umas",
    "pra", "no", "na", "nos", "nas", "em", "ao", "se", "meu", "minha", "meus", "minhas", "quero", "preciso",
    "gostaria", "sao", "muito", "entao", // English
    "and", "or", "but", "because", "so", "with", "without", "of", "the", "a", "an", "to", "for", "in", "on",
    "at", "from", "about", "if", "that", "which", "when", "where", "my", "your", "our", "i", "we", "is",
    "are", "was", "want", "need", "also", "then", "very",
];
/// Words that are an answer as they stand.
const ANSWERS: &[&str] = &[
    "si", "no", "ok", "okay", "okey", "dale", "listo", "gracias", "perfecto", "bueno", "claro", "genial",
    "sim", "nao", "certo", "obrigado", "obrigada", "valeu", "beleza", "otimo", "yes", "yep", "yeah", "nope",
    "sure", "thanks", "thx", "great", "perfect", "fine", "done", "right", "bye", "chau", "chao", "adios",
    "tchau",
];
/// Words with which a question begins, which are often written without its mark.
const QUESTIONS: &[&str] = &[
    "cuanto", "cuanta", "cuantos", "cuantas", "cual", "cuales", "quien", "cuando", "donde", "como", "que",
    "hay", "tienen", "tenes", "tienes", "puedo", "puedes", "podes", "pueden", "aceptan", "hacen", "quanto",
    "quanta", "quantos", "quantas", "qual", "quais", "quem", "quando", "onde", "tem", "posso", "pode",
    "podem", "aceitam", "fazem", "how", "what", "which", "who", "when", "where", "why", "can", "could", "do",
    "does", "is", "are", "will", "would",
];

/// Whether more of the same is likely to follow at once.
pub fn looks_like_fragment(content: &Content) -> bool {
    match content {
        Content::Text { body, .. } => is_fragment(body.reveal(Reply)),
        // A picture or a document by itself is mostly followed by what is to be done with it; who
        // speaks has said it.
        Content::Media { items, caption } => {
            let caption = caption.as_ref().map(|caption| caption.reveal(Reply).trim());
            let shown = |kind| matches!(kind, MediaKind::Image | MediaKind::Video | MediaKind::Document);
            match caption.filter(|caption| !caption.is_empty()) {
                Some(caption) => is_fragment(caption),
                None => items.iter().any(|item| shown(item.kind)),
            }
        }
        Content::Shared { text, .. } => text.as_ref().is_none_or(|text| text.reveal(Reply).trim().is_empty()),
        _ => false,
    }
}

fn is_fragment(text: &str) -> bool {
    let text = text.trim();
    let words = words(text);
    let (Some(first), Some(last), Some(end)) = (words.first(), words.last(), text.chars().next_back()) else {
        // Nothing but marks and signs: `?`, a thumb.
        return text.ends_with("...") || text.ends_with('…');
    };
    let is_any = |list: &[&str], word: &str| list.contains(&word);
    if is_any(GREETINGS_FIRST, first) && words.iter().all(|word| is_any(GREETINGS, word)) {
        return true;
    }
    if ANNOUNCEMENTS.iter().any(|announced| ends_with(&words, announced)) && end != '?' {
        return true;
    }
    if text.ends_with("...") || matches!(end, '…' | ',' | ';' | ':' | '-' | '–' | '—' | '(' | '/' | '+' | '&')
    {
        return true;
    }
    // An end mark, a closing bracket or quote, or a sign such as a smile.
    if !end.is_alphanumeric() {
        return false;
    }
    if end.is_numeric() || (words.len() <= 3 && words.iter().all(|word| is_any(ANSWERS, word))) {
        return false;
    }
    if text.split_whitespace().next_back().is_some_and(|last| last.contains(['@', '.', '/'])) {
        return false;
    }
    if words.len() > 1 && is_any(OPEN_ENDS, last) {
        return true;
    }
    let greets = |word: &&String| is_any(GREETINGS_FIRST, word) || is_any(TIMES_OF_DAY, word);
    let asks = words.iter().find(|word| !greets(word)).is_some_and(|word| is_any(QUESTIONS, word));
    !asks && words.len() < WORDS_OF_A_SENTENCE
}

fn ends_with(words: &[String], end: &[&str]) -> bool {
    words.len() >= end.len() && words[words.len() - end.len()..].iter().eq(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Media, MediaSource, SelectionKind};

    fn media(kind: MediaKind, caption: Option<&str>) -> Content {
        let source = MediaSource::Meta { id: None, url: None };
        let file = Media { kind, mime: None, filename: None, sha256: None, source, text: None };
        Content::Media { items: vec![file], caption: caption.map(|text| text.to_owned().into()) }
    }

    #[test]
    fn what_goes_on_is_told_from_what_is_finished() {
        let fragments = [
            "hola",
            "Hola!",
            "Hola, buenas tardes",
            "¡Buen día!",
            "oi",
            "Olá, tudo bem?",
            "Bom dia",
            "hi there",
            "Good morning!",
            "te hago una consulta",
            "uma pergunta:",
            "I have a question",
            "quería saber",
            "quiero comprar un",
            "es para mi hija y",
            "o pedido da",
            "I would like to order two of the blue ones and",
            "the red shirt,",
            "pero...",
            "entonces…",
            "talla 42 (",
            "remera azul",
        ];
        for text in fragments {
            assert!(looks_like_fragment(&Content::text(text)), "{text}");
        }
        let finished = [
            "Quiero comprar una remera azul.",
            "cuánto sale el envío",
            "hola buenas tardes cuánto sale",
            "quanto custa",
            "where are you",
            "tienen talle 42",
            "Hola, cuánto sale la remera azul?",
            "sí",
            "Não",
            "ok gracias",
            "thanks",
            "👍",
            "?",
            "perfecto 😀",
            "12345",
            "mi pedido es el 12345",
            "ada@example.com",
            "https://example.com/a",
            "necesito cambiar la remera que compré ayer por otra",
            "",
            "  ",
        ];
        for text in finished {
            assert!(!looks_like_fragment(&Content::text(text)), "{text}");
        }
    }

    #[test]
    fn a_picture_announces_its_question_and_a_voice_message_is_the_question() {
        assert!(looks_like_fragment(&media(MediaKind::Image, None)));
        assert!(looks_like_fragment(&media(MediaKind::Document, Some(" "))));
        assert!(!looks_like_fragment(&media(MediaKind::Image, Some("¿Tienen esta?"))));
        assert!(!looks_like_fragment(&media(MediaKind::Voice, None)));
        assert!(!looks_like_fragment(&media(MediaKind::Sticker, None)));
        let chosen = Content::Selection {
            of: SelectionKind::Button,
            title: "Sí".to_owned().into(),
            id: None,
            description: None,
        };
        assert!(!looks_like_fragment(&chosen));
    }
}
