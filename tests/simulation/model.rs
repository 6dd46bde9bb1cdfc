//! The model: it answers, late or never, fails, breaks off, or asks for a person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use iassistance_assistant::error::GenerateError;
use iassistance_assistant::generate::Role;
use iassistance_assistant::scripted::{Behaviour, Call};

use crate::chance::Chance;
use crate::meta::World;

/// The messages that were in any prompt.
pub type Read = Arc<Mutex<BTreeSet<String>>>;

/// What the model does, by what it is given.
pub fn behaviour(world: Arc<World>, read: Read) -> Behaviour {
    let asked = Mutex::new(BTreeMap::<String, u32>::new());
    Behaviour::doing(move |call| {
        let last = tokens(call.last_words()).join(" ");
        note(&world, &read, call);
        let times = {
            let mut asked = asked.lock().unwrap();
            let times = asked.entry(last.clone()).or_default();
            *times += 1;
            *times
        };
        let text = format!("this answers {last} by answer {times}");
        if world.state().calm {
            return Behaviour::Say(text);
        }
        let chance = Chance::of(world.seed, &format!("model {last} {times}"));
        let failed = || GenerateError::Server { status: 503, retry_after_ms: None };
        match chance.below(100) {
            // Most of the time it just answers.
            70..=79 => Behaviour::SayAfter { ms: chance.between(1, 25_000), text },
            80..=85 => Behaviour::Fail(failed()),
            86..=88 => Behaviour::Fail(GenerateError::Unreachable),
            89..=92 => Behaviour::SayThenFail { text, error: GenerateError::Cut },
            93..=95 => Behaviour::Hang,
            96..=97 if call.knows_tool("handover_to_human") => {
                Behaviour::call("handover_to_human", r#"{"reason":"they asked for one"}"#)
            }
            _ => Behaviour::Say(text),
        }
    })
}

/// The names of messages in a text.
pub fn tokens(text: &str) -> Vec<String> {
    text.split_whitespace().filter(|word| word.starts_with("t-")).map(str::to_owned).collect()
}

/// A prompt holds what one contact wrote, and nothing of any other.
fn note(world: &World, read: &Read, call: &Call) {
    let mut read = read.lock().unwrap();
    let mut owners = BTreeSet::new();
    for (role, words) in &call.messages {
        for token in tokens(words) {
            owners.insert(token.split('-').nth(1).unwrap_or_default().to_owned());
            if *role == Role::User {
                read.insert(token);
            }
        }
    }
    if owners.len() > 1 {
        world.violation(format!("tenancy: one prompt holds words of {owners:?}"));
    }
}
