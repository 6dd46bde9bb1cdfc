//! The platform's own sentences, for a business that has not written its own.

/// A language that they exist in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Spanish.
    Spanish,
    /// Portuguese.
    Portuguese,
    /// English.
    English,
}

/// What is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phrase {
    /// That a machine answers.
    Disclosure,
    /// That a person was asked for.
    Waiting,
    /// That a person was asked for, and nobody is there just now.
    WaitingClosed,
    /// That nobody is there just now.
    Closed,
    /// That no answer could be had.
    Failure,
}

impl Language {
    /// The first of a business's languages (BCP 47 tags, `es-AR`) that the sentences exist in;
    /// English where there is none.
    pub fn of(languages: &[String]) -> Self {
        let known = |tag: &String| {
            let primary = tag.split('-').next().unwrap_or_default();
            match primary.to_ascii_lowercase().as_str() {
                "es" => Some(Self::Spanish),
                "pt" => Some(Self::Portuguese),
                "en" => Some(Self::English),
                _ => None,
            }
        };
        languages.iter().find_map(known).unwrap_or(Self::English)
    }
}

impl Phrase {
    /// The sentence in the first of these languages that it exists in.
    pub fn said_in(self, languages: &[String]) -> &'static str {
        self.words(Language::of(languages))
    }

    /// The sentence.
    pub const fn words(self, language: Language) -> &'static str {
        use Language::{English, Portuguese, Spanish};
        match (self, language) {
            (Self::Disclosure, Spanish) => "Te responde el asistente automático de este negocio.",
            (Self::Disclosure, Portuguese) => "Quem responde é o assistente automático desta empresa.",
            (Self::Disclosure, English) => "You are talking to the automated assistant of this business.",
            (Self::Waiting, Spanish) => {
                "Le avisé a una persona del equipo. Te va a responder por aquí en cuanto pueda."
            }
            (Self::Waiting, Portuguese) => {
                "Avisei uma pessoa da equipe. Ela vai responder por aqui assim que puder."
            }
            (Self::Waiting, English) => {
                "I have let a person of the team know. They will answer here as soon as they can."
            }
            (Self::WaitingClosed, Spanish) => {
                "En este momento no hay nadie del equipo. Te va a responder una persona por aquí cuando volvamos."
            }
            (Self::WaitingClosed, Portuguese) => {
                "No momento não há ninguém da equipe. Uma pessoa vai responder por aqui quando voltarmos."
            }
            (Self::WaitingClosed, English) => {
                "Nobody of the team is here just now. A person will answer here when we are back."
            }
            (Self::Closed, Spanish) => {
                "En este momento no estamos. Leemos tu mensaje y respondemos cuando volvamos."
            }
            (Self::Closed, Portuguese) => {
                "No momento não estamos. Vamos ler sua mensagem e responder quando voltarmos."
            }
            (Self::Closed, English) => {
                "We are not here just now. We will read your message and answer when we are back."
            }
            (Self::Failure, Spanish) => {
                "Perdón, ahora no puedo responder. Una persona del equipo se va a comunicar por aquí."
            }
            (Self::Failure, Portuguese) => {
                "Desculpe, não consigo responder agora. Uma pessoa da equipe vai falar com você por aqui."
            }
            (Self::Failure, English) => {
                "Sorry, I cannot answer just now. A person of the team will get back to you here."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn the_first_language_that_is_known_is_spoken() {
        assert_eq!(Language::of(&tags(&["pt-BR", "es"])), Language::Portuguese);
        assert_eq!(Language::of(&tags(&["gn", "ES-ar", "en"])), Language::Spanish);
        assert_eq!(Language::of(&tags(&["est", "ptx"])), Language::English);
        assert_eq!(Language::of(&[]), Language::English);
    }

    #[test]
    fn every_sentence_fits_where_the_tenants_own_would() {
        use Phrase::{Closed, Disclosure, Failure, Waiting, WaitingClosed};
        for phrase in [Disclosure, Waiting, WaitingClosed, Closed, Failure] {
            let said: Vec<_> = [Language::Spanish, Language::Portuguese, Language::English]
                .into_iter()
                .map(|language| phrase.words(language))
                .collect();
            assert!(said.iter().all(|words| !words.is_empty() && words.chars().count() <= 300));
            assert!(said[0] != said[1] && said[1] != said[2] && said[0] != said[2]);
        }
    }
}
