//! How hard a new password is to guess, and what would make it harder, in words for people.

use std::fmt;

use iassistance_domain::account::Language;
use zxcvbn::Score;
use zxcvbn::feedback::{Feedback, Suggestion, Warning};

/// Characters that a new password has at least.
pub const CHARACTERS_MIN: usize = 8;
/// And at most.
pub const CHARACTERS_MAX: usize = 256;
/// What is judged: the time that it takes grows faster than the text.
const JUDGED_MAX: usize = 100;
/// What every word list of another language lacks.
const COMMON: [&str; 24] = [
    "iassistance",
    "contraseña",
    "contrasena",
    "clave",
    "secreto",
    "hola",
    "bienvenido",
    "argentina",
    "brasil",
    "senha",
    "segredo",
    "mudar",
    "cambiar",
    "bemvindo",
    "administrador",
    "usuario",
    "teamo",
    "teodeio",
    "quiero",
    "amor",
    "boca",
    "riverplate",
    "flamengo",
    "corinthians",
];

/// A password that is too easily guessed.
#[derive(Clone, PartialEq, Eq)]
pub struct Weak {
    /// What is wrong, and what would help: sentences for the person, most telling first.
    pub advice: Vec<&'static str>,
}

impl fmt::Debug for Weak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is wrong with a password tells something of it.
        f.write_str("Weak")
    }
}

/// Whether a password takes more than 10^8 guesses (zxcvbn's score of 3), knowing who chose it.
pub(crate) fn check(password: &str, personal: &[String], language: Language) -> Result<(), Weak> {
    let say = |words: Words| words.in_language(language);
    let length = password.chars().count();
    if length < CHARACTERS_MIN {
        return Err(Weak { advice: vec![say(TOO_SHORT)] });
    }
    if length > CHARACTERS_MAX {
        return Err(Weak { advice: vec![say(TOO_LONG)] });
    }
    let judged: String = password.chars().take(JUDGED_MAX).collect();
    let parts = personal.iter().flat_map(|text| text.split(|character: char| !character.is_alphanumeric()));
    let known: Vec<&str> = personal
        .iter()
        .map(String::as_str)
        .chain(parts)
        .filter(|part| part.chars().count() > 2)
        .chain(COMMON)
        .take(64)
        .collect();
    let found = zxcvbn::zxcvbn(&judged, &known);
    if found.score() >= Score::Three {
        return Ok(());
    }
    let feedback = found.feedback();
    let warning = feedback.and_then(Feedback::warning).map(|warning| say(of_warning(warning)));
    let suggestions = feedback.into_iter().flat_map(Feedback::suggestions);
    let mut advice: Vec<_> = warning.into_iter().collect();
    advice.extend(suggestions.map(|suggestion| say(of_suggestion(*suggestion))));
    if advice.is_empty() {
        advice.push(say(MORE_WORDS));
    }
    Err(Weak { advice })
}

/// A sentence in Spanish, Portuguese and English.
#[derive(Clone, Copy)]
struct Words(&'static str, &'static str, &'static str);

impl Words {
    const fn in_language(self, language: Language) -> &'static str {
        match language {
            Language::Es => self.0,
            Language::Pt => self.1,
            Language::En => self.2,
        }
    }
}

const TOO_SHORT: Words =
    Words("Usá al menos 8 caracteres.", "Use pelo menos 8 caracteres.", "Use at least 8 characters.");
const TOO_LONG: Words =
    Words("Usá como máximo 256 caracteres.", "Use no máximo 256 caracteres.", "Use at most 256 characters.");
const MORE_WORDS: Words = Words(
    "Agregá una o dos palabras más: cuanto menos comunes, mejor.",
    "Acrescente mais uma ou duas palavras: quanto menos comuns, melhor.",
    "Add another word or two: uncommon ones are better.",
);

const fn of_warning(warning: Warning) -> Words {
    match warning {
        Warning::StraightRowsOfKeysAreEasyToGuess => Words(
            "Las teclas seguidas son fáciles de adivinar.",
            "Teclas em sequência são fáceis de adivinhar.",
            "Straight rows of keys are easy to guess.",
        ),
        Warning::ShortKeyboardPatternsAreEasyToGuess => Words(
            "Los dibujos cortos en el teclado son fáciles de adivinar.",
            "Desenhos curtos no teclado são fáceis de adivinhar.",
            "Short keyboard patterns are easy to guess.",
        ),
        Warning::RepeatsLikeAaaAreEasyToGuess => Words(
            "Las repeticiones como «aaa» son fáciles de adivinar.",
            "Repetições como “aaa” são fáceis de adivinhar.",
            "Repeats like “aaa” are easy to guess.",
        ),
        Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => Words(
            "«abcabcabc» es apenas más difícil de adivinar que «abc».",
            "“abcabcabc” é pouco mais difícil de adivinhar que “abc”.",
            "Repeats like “abcabcabc” are only slightly harder to guess than “abc”.",
        ),
        Warning::ThisIsATop10Password | Warning::ThisIsATop100Password | Warning::ThisIsACommonPassword => {
            Words(
                "Es una contraseña muy común.",
                "É uma senha muito comum.",
                "This is a very common password.",
            )
        }
        Warning::ThisIsSimilarToACommonlyUsedPassword => Words(
            "Se parece a una contraseña muy común.",
            "Parece uma senha muito comum.",
            "This is similar to a commonly used password.",
        ),
        Warning::SequencesLikeAbcAreEasyToGuess => Words(
            "Las secuencias como «abc» o «6543» son fáciles de adivinar.",
            "Sequências como “abc” ou “6543” são fáceis de adivinhar.",
            "Sequences like “abc” or “6543” are easy to guess.",
        ),
        Warning::RecentYearsAreEasyToGuess => Words(
            "Los años recientes son fáciles de adivinar.",
            "Anos recentes são fáceis de adivinhar.",
            "Recent years are easy to guess.",
        ),
        Warning::AWordByItselfIsEasyToGuess => Words(
            "Una sola palabra es fácil de adivinar.",
            "Uma única palavra é fácil de adivinhar.",
            "A word by itself is easy to guess.",
        ),
        Warning::DatesAreOftenEasyToGuess => Words(
            "Las fechas suelen ser fáciles de adivinar.",
            "Datas costumam ser fáceis de adivinhar.",
            "Dates are often easy to guess.",
        ),
        Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
        | Warning::CommonNamesAndSurnamesAreEasyToGuess => Words(
            "Los nombres y apellidos son fáciles de adivinar.",
            "Nomes e sobrenomes são fáceis de adivinhar.",
            "Names and surnames are easy to guess.",
        ),
    }
}

const fn of_suggestion(suggestion: Suggestion) -> Words {
    match suggestion {
        Suggestion::UseAFewWordsAvoidCommonPhrases => Words(
            "Usá varias palabras y evitá las frases comunes.",
            "Use várias palavras e evite frases comuns.",
            "Use a few words, and avoid common phrases.",
        ),
        Suggestion::NoNeedForSymbolsDigitsOrUppercaseLetters => Words(
            "No hacen falta símbolos, números ni mayúsculas.",
            "Não é preciso usar símbolos, números nem maiúsculas.",
            "There is no need for symbols, digits or capital letters.",
        ),
        Suggestion::AddAnotherWordOrTwo => MORE_WORDS,
        Suggestion::CapitalizationDoesntHelpVeryMuch => Words(
            "Las mayúsculas no ayudan mucho.",
            "Maiúsculas não ajudam muito.",
            "Capital letters do not help very much.",
        ),
        Suggestion::AllUppercaseIsAlmostAsEasyToGuessAsAllLowercase => Words(
            "Todo en mayúsculas es casi tan fácil de adivinar como todo en minúsculas.",
            "Tudo em maiúsculas é quase tão fácil de adivinhar quanto tudo em minúsculas.",
            "All capital letters are almost as easy to guess as all small ones.",
        ),
        Suggestion::ReversedWordsArentMuchHarderToGuess => Words(
            "Las palabras al revés no son mucho más difíciles de adivinar.",
            "Palavras ao contrário não são muito mais difíceis de adivinhar.",
            "Reversed words are not much harder to guess.",
        ),
        Suggestion::PredictableSubstitutionsDontHelpVeryMuch => Words(
            "Cambiar «a» por «@» y cosas parecidas no ayuda mucho.",
            "Trocar “a” por “@” e coisas parecidas não ajuda muito.",
            "Predictable substitutions like “@” for “a” do not help very much.",
        ),
        Suggestion::UseALongerKeyboardPatternWithMoreTurns => Words(
            "Usá un dibujo más largo en el teclado, con más vueltas.",
            "Use um desenho mais longo no teclado, com mais voltas.",
            "Use a longer keyboard pattern with more turns.",
        ),
        Suggestion::AvoidRepeatedWordsAndCharacters => Words(
            "Evitá repetir palabras y letras.",
            "Evite repetir palavras e letras.",
            "Avoid repeated words and characters.",
        ),
        Suggestion::AvoidSequences => Words("Evitá las secuencias.", "Evite sequências.", "Avoid sequences."),
        Suggestion::AvoidRecentYears => {
            Words("Evitá los años recientes.", "Evite anos recentes.", "Avoid recent years.")
        }
        Suggestion::AvoidYearsThatAreAssociatedWithYou
        | Suggestion::AvoidDatesAndYearsThatAreAssociatedWithYou => Words(
            "Evitá fechas y años que tengan que ver con vos.",
            "Evite datas e anos que tenham a ver com você.",
            "Avoid dates and years that have to do with you.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(password: &str, personal: &[&str], language: Language) -> Vec<&'static str> {
        let personal: Vec<_> = personal.iter().map(ToString::to_string).collect();
        check(password, &personal, language).unwrap_err().advice
    }

    #[test]
    fn what_is_easily_guessed_is_refused_and_told_why() {
        assert!(refusal("qwertyuiop", &[], Language::En).len() > 1);
        assert_eq!(refusal("corto", &[], Language::Es), ["Usá al menos 8 caracteres."]);
        assert_eq!(refusal(&"x y".repeat(100), &[], Language::Pt), ["Use no máximo 256 caracteres."]);
        for password in ["password123", "contraseña1", "senha2024", "12345678", "iassistance", "aaaaaaaaaaaa"]
        {
            assert!(!refusal(password, &[], Language::Es).is_empty(), "{password}");
        }
    }

    #[test]
    fn who_chose_it_is_known() {
        let personal = ["ada.lovelace@analytical.example", "Ada Lovelace"];
        for password in ["lovelace1", "Analytical!", "ada.lovelace@analytical.example"] {
            assert!(!refusal(password, &personal, Language::En).is_empty(), "{password}");
        }
    }

    #[test]
    fn a_few_words_are_enough() {
        let few =
            ["correct horse battery staple", "tres tristes trigos violetas", "ñandú azul come 4 alfajores"];
        for password in few {
            assert!(check(password, &["ada@example.com".to_owned()], Language::Es).is_ok(), "{password}");
        }
        assert!(check(&"pájaro verde ".repeat(19), &[], Language::Es).is_ok());
    }
}
