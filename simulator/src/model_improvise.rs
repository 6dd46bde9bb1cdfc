//! What the model says when nobody told it what to say: it repeats what it heard, and uses the platform's own tools
//! where a person plainly asks for what they do. Nothing of it is left to chance.

use serde_json::json;

use crate::fold::{fold_letter, words};
use crate::model_messages::Exchange;
use crate::model_request::ChatRequest;
use crate::model_script::{Round, ScriptedCall};

const HANDOVER: &str = "handover_to_human";
const SEARCH: &str = "search_knowledge";
const NOTE: &str = "set_contact_attribute";
const FOLLOW_UP: &str = "schedule_follow_up";
/// How much of a tool's result is repeated.
const QUOTED_CHARS_MAX: usize = 600;
const QUERY_CHARS_MAX: usize = 500;
const NAME_CHARS_MAX: usize = 40;
const FOLLOW_UP_MINUTES: u32 = 60;

/// Words that can only mean a person.
const PERSON: [&str; 9] = [
    "human",
    "humano",
    "humana",
    "atendente",
    "asesor",
    "asesora",
    "operador",
    "operadora",
    "representative",
];
/// Words that mean one when somebody wants to talk to them.
const SOMEBODY: [&str; 12] = [
    "person",
    "somebody",
    "someone",
    "agent",
    "operator",
    "persona",
    "alguien",
    "agente",
    "pessoa",
    "alguem",
    "encargado",
    "gerente",
];
const TALK: [&str; 12] = [
    "talk",
    "speak",
    "chat",
    "real",
    "hablar",
    "hable",
    "habla",
    "pasame",
    "comunicame",
    "falar",
    "fale",
    "conversar",
];
const NAMES: [&str; 5] = ["my name is ", "me llamo ", "mi nombre es ", "meu nome e ", "me chamo "];
const REMINDERS: [&str; 4] = ["remind me", "recuerdame", "lembre me", "me lembre"];

/// What comes next: calls of tools, or else words.
pub(crate) fn improvise(request: &ChatRequest) -> Round {
    let exchange = &request.exchange;
    let wanted = wanted(&exchange.said);
    let call =
        wanted.into_iter().find(|call| request.offered(&call.name).is_some() && !exchange.called(&call.name));
    match call {
        Some(call) => Round { says: String::new(), calls: vec![call] },
        None => Round { says: answer(exchange), calls: Vec::new() },
    }
}

/// The tools that what was said asks for, the most important first.
fn wanted(said: &str) -> Vec<ScriptedCall> {
    let heard = words(said);
    let mut wanted = Vec::new();
    let mut call = |name: &str, arguments| wanted.push(ScriptedCall { name: name.to_owned(), arguments });
    if asks_for_a_person(&heard) {
        call(HANDOVER, json!({"reason": "[simulated] the contact asked for a person"}));
    }
    if let Some(name) = own_name(said) {
        call(NOTE, json!({"name": "name", "value": name}));
    }
    let line = heard.join(" ");
    if REMINDERS.iter().any(|reminder| line.contains(reminder)) {
        call(FOLLOW_UP, json!({"after_minutes": FOLLOW_UP_MINUTES, "about": cut(said, QUERY_CHARS_MAX)}));
    }
    if said.contains('?') {
        call(SEARCH, json!({"query": cut(said, QUERY_CHARS_MAX)}));
    }
    wanted
}

fn asks_for_a_person(heard: &[String]) -> bool {
    let any = |list: &[&str]| heard.iter().any(|word| list.contains(&word.as_str()));
    any(&PERSON) || (any(&SOMEBODY) && any(&TALK))
}

/// The name that somebody says is theirs, as they wrote it.
fn own_name(said: &str) -> Option<String> {
    let folded: String = said.chars().map(fold_letter).collect();
    let start = NAMES.iter().find_map(|phrase| Some(folded.find(phrase)? + phrase.len()))?;
    // Letters were folded one for one, so their number tells the place.
    let before = folded.get(..start)?.chars().count();
    let rest: String = said.chars().skip(before).collect();
    let name =
        rest.split(|letter: char| !(letter.is_alphanumeric() || " '-".contains(letter))).next()?.trim();
    (!name.is_empty()).then(|| cut(name, NAME_CHARS_MAX))
}

fn answer(exchange: &Exchange) -> String {
    let mut parts = Vec::new();
    match exchange.shown {
        0 => {}
        1 => parts.push("I see an image.".to_owned()),
        more => parts.push(format!("I see {more} images.")),
    }
    if !exchange.said.is_empty() {
        parts.push(format!("You said: {}", exchange.said));
    }
    for (tool, result) in &exchange.results {
        let result = cut(result, QUOTED_CHARS_MAX);
        parts.push(match tool.as_str() {
            SEARCH => format!("I found: {result}"),
            HANDOVER => "A person will see to it.".to_owned(),
            _ => format!("{tool} says: {result}"),
        });
    }
    if parts.is_empty() {
        parts.push("Here I am again.".to_owned());
    }
    parts.join(" ")
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(said: &str) -> Vec<String> {
        wanted(said).into_iter().map(|call| call.name).collect()
    }

    #[test]
    fn people_are_asked_for_in_three_languages() {
        for said in [
            "I want to talk to a person",
            "HUMAN!",
            "¿Puedo hablar con alguien?",
            "quiero un asesor",
            "Quero falar com uma pessoa",
            "atendente, por favor",
        ] {
            assert_eq!(calls(said).first().map(String::as_str), Some(HANDOVER), "{said}");
        }
        for said in ["una mesa para una persona", "somebody broke it", "humanity", "hola"] {
            assert_eq!(calls(said), Vec::<String>::new(), "{said}");
        }
    }

    #[test]
    fn names_reminders_and_questions_are_heard() {
        assert_eq!(own_name("Hola, me llamo José Ñuñez. ¿Qué tal?").as_deref(), Some("José Ñuñez"));
        assert_eq!(own_name("ÀÉ my name is Ana").as_deref(), Some("Ana"));
        assert_eq!(own_name("my name is ?"), None);
        assert_eq!(calls("Recuérdame mañana"), [FOLLOW_UP]);
        assert_eq!(calls("open on Sunday?"), [SEARCH]);
    }
}
