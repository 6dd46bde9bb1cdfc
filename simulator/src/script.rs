//! Conversations written down, one line each, to play against a server:
//!
//! ```text
//! # Lines that begin so are comments; empty lines are skipped.
//! # Which number the lines after this talk to (else the first):
//! number 200000000000001
//! # The contact says it; \n is a new line:
//! ana: Hello
//! # The next reply to ana contains these words, in any case:
//! ana < you said
//! # Time passes; or 2s:
//! wait 500ms
//! # Exactly 3 replies since the script began, to everyone together:
//! expect replies 3
//! ```
//!
//! A contact is a name without spaces, or a number; one that is not known yet is added.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::core::Core;
use crate::world::AcceptedSend;

const LINES_MAX: usize = 10_000;
const WAIT_MS_MAX: u64 = 3_600_000;

/// A script that was read and can be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    steps: Vec<(usize, Step)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Number(String),
    Say { contact: String, text: String },
    Reply { contact: String, words: String },
    Wait { millis: u64 },
    Replies { count: usize },
}

/// Why a script could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A line that says nothing we know.
    #[error("line {line}: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong and what is expected.
        problem: &'static str,
    },
    /// Too long.
    #[error("a script has at most {max} lines")]
    TooLong {
        /// How many.
        max: usize,
    },
}

/// How a script went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScriptOutcome {
    /// How many steps were done.
    pub steps_done: usize,
    /// How many replies came, to everyone together.
    pub replies: usize,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What went wrong; nothing when all was as written.
    pub failure: Option<ScriptFailure>,
}

impl ScriptOutcome {
    /// Whether all was as written.
    pub const fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

/// Where a script went wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScriptFailure {
    /// The line, counted from 1.
    pub line: usize,
    /// What was expected and what came.
    pub reason: String,
}

impl Script {
    /// Reads a script. See the module for its lines.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut steps = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if index >= LINES_MAX {
                return Err(ScriptError::TooLong { max: LINES_MAX });
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let step = parse_line(line).map_err(|problem| ScriptError::Line { line: index + 1, problem })?;
            steps.push((index + 1, step));
        }
        Ok(Self { steps })
    }
}

fn parse_line(line: &str) -> Result<Step, &'static str> {
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '+');
    let end = line.find(|letter| !is_name(letter)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    if name.is_empty() {
        return Err("a line begins with a contact, `number`, `wait`, `expect` or `#`");
    }
    if let Some(text) = rest.strip_prefix(':') {
        let text = text.trim().replace("\\n", "\n");
        if text.is_empty() {
            return Err("nothing is said: write `contact: text`");
        }
        return Ok(Step::Say { contact: name.to_owned(), text });
    }
    if let Some(words) = rest.strip_prefix('<') {
        let words = words.trim();
        let words = words.strip_prefix("contains ").unwrap_or(words).trim();
        if words.is_empty() {
            return Err("nothing is expected: write `contact < words`");
        }
        return Ok(Step::Reply { contact: name.to_owned(), words: words.to_owned() });
    }
    match name {
        "number" if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Step::Number(rest.to_owned()))
        }
        "number" => Err("write `number <phone_number_id>`"),
        "wait" => match duration_ms(rest) {
            Some(millis) => Ok(Step::Wait { millis }),
            None => Err("write `wait 500ms` or `wait 2s`, at most an hour"),
        },
        "expect" => match rest.strip_prefix("replies ").and_then(|count| count.trim().parse().ok()) {
            Some(count) => Ok(Step::Replies { count }),
            None => Err("write `expect replies <count>`"),
        },
        _ => Err("after a contact comes `:` (says) or `<` (expects)"),
    }
}

fn duration_ms(text: &str) -> Option<u64> {
    let (count, unit) = match text.strip_suffix("ms") {
        Some(count) => (count, 1),
        None => (text.strip_suffix('s')?, 1_000),
    };
    let millis = count.trim().parse::<u64>().ok()?.checked_mul(unit)?;
    (millis <= WAIT_MS_MAX).then_some(millis)
}

/// What a running script knows.
struct Run<'a> {
    core: &'a Arc<Core>,
    limit_ms: u64,
    number: Option<String>,
    /// How many sends each contact had, of those a line has not read yet.
    read: HashMap<String, usize>,
    accepted_before: u64,
}

/// Plays a script; each expectation waits for `limit_ms` at most.
pub(crate) async fn run(core: &Arc<Core>, script: &Script, limit_ms: u64) -> ScriptOutcome {
    let began = core.clock.now();
    let accepted_before = core.world().counters.sends_accepted;
    let mut run = Run { core, limit_ms, number: None, read: HashMap::new(), accepted_before };
    run.skip_what_was_there(script);
    let mut steps_done = 0;
    let mut failure = None;
    for (line, step) in &script.steps {
        if let Err(reason) = run.step(step).await {
            failure = Some(ScriptFailure { line: *line, reason });
            break;
        }
        steps_done += 1;
    }
    let took_ms = core.clock.now().millis_since(began);
    ScriptOutcome { steps_done, replies: run.replies(), took_ms, failure }
}

impl Run<'_> {
    /// Replies from before the script are none of its.
    fn skip_what_was_there(&mut self, script: &Script) {
        for (_, step) in &script.steps {
            if let Step::Reply { contact, .. } = step {
                let already = self.sends(contact).len();
                self.read.insert(contact.clone(), already);
            }
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Number(id) => {
                self.core.number(id).ok_or_else(|| format!("there is no number {id}"))?;
                self.number = Some(id.clone());
                Ok(())
            }
            Step::Say { contact, text } => {
                let said = self.core.say(contact, self.number.as_deref(), text, None);
                said.map(drop).map_err(|error| error.to_string())
            }
            Step::Reply { contact, words } => self.expect_reply(contact, words).await,
            Step::Wait { millis } => {
                self.core.clock.sleep_millis(*millis).await;
                Ok(())
            }
            Step::Replies { count } => self.expect_replies(*count).await,
        }
    }

    async fn expect_reply(&mut self, contact: &str, words: &str) -> Result<(), String> {
        let read = self.read.get(contact).copied().unwrap_or(0);
        let next = self.within_limit(|run| run.sends(contact).into_iter().nth(read)).await;
        let Some(next) = next else {
            return Err(format!("no reply to {contact} came within {} ms", self.limit_ms));
        };
        self.read.insert(contact.to_owned(), read + 1);
        if next.text.to_lowercase().contains(&words.to_lowercase()) {
            return Ok(());
        }
        Err(format!("the reply to {contact} does not contain \"{words}\": \"{}\"", next.text))
    }

    async fn expect_replies(&mut self, count: usize) -> Result<(), String> {
        self.within_limit(|run| (run.replies() >= count).then_some(())).await;
        let replies = self.replies();
        if replies == count { Ok(()) } else { Err(format!("expected {count} replies, {replies} came")) }
    }

    /// Waits until `find` finds something or the time is up.
    async fn within_limit<T>(&self, find: impl Fn(&Self) -> Option<T>) -> Option<T> {
        let mut changes = self.core.changes();
        let mut late = self.core.clock.sleep_millis(self.limit_ms);
        loop {
            changes.mark_unchanged();
            if let Some(found) = find(self) {
                return Some(found);
            }
            tokio::select! {
                changed = changes.changed() => changed.ok()?,
                () = &mut late => return find(self),
            }
        }
    }

    fn sends(&self, contact: &str) -> Vec<AcceptedSend> {
        let world = self.core.world();
        world.contacts.find(contact).map(|wa_id| world.sends(Some(&wa_id))).unwrap_or_default()
    }

    fn replies(&self) -> usize {
        let accepted = self.core.world().counters.sends_accepted;
        usize::try_from(accepted.saturating_sub(self.accepted_before)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_read() {
        let script = Script::parse(
            "# hello\n\nnumber 2001\nana: Hello: <you>\\nthere\nana < contains World\n+1555 < x\nwait 2s\n\
             wait: is a contact too\nexpect replies 3\n",
        )
        .unwrap();
        let steps: Vec<Step> = script.steps.iter().map(|(_, step)| step.clone()).collect();
        let expected = [
            Step::Number("2001".into()),
            Step::Say { contact: "ana".into(), text: "Hello: <you>\nthere".into() },
            Step::Reply { contact: "ana".into(), words: "World".into() },
            Step::Reply { contact: "+1555".into(), words: "x".into() },
            Step::Wait { millis: 2_000 },
            Step::Say { contact: "wait".into(), text: "is a contact too".into() },
            Step::Replies { count: 3 },
        ];
        assert_eq!(steps, expected);
        assert_eq!(script.steps.first().map(|(line, _)| *line), Some(3));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let table = [
            ("ana: hi\nana hello", "line 2: after a contact comes `:` (says) or `<` (expects)"),
            ("wait soon", "line 1: write `wait 500ms` or `wait 2s`, at most an hour"),
            ("\nwait 3601s", "line 2: write `wait 500ms` or `wait 2s`, at most an hour"),
            ("expect 3", "line 1: write `expect replies <count>`"),
            ("number one", "line 1: write `number <phone_number_id>`"),
            ("ana:", "line 1: nothing is said: write `contact: text`"),
            ("ana <", "line 1: nothing is expected: write `contact < words`"),
            (": hi", "line 1: a line begins with a contact, `number`, `wait`, `expect` or `#`"),
        ];
        for (text, message) in table {
            assert_eq!(Script::parse(text).unwrap_err().to_string(), message);
        }
    }
}
