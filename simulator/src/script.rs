//! Conversations written down, one line each, to play against a server:
//!
//! ```text
//! # Lines that begin so are comments; empty lines are skipped.
//! # Which account the lines after this are with (else the first): an id, a product or a name.
//! on instagram
//! # The same, by a WhatsApp number's id:
//! number 200000000000001
//! # The contact says it; \n is a new line:
//! ana: Hello
//! # The next reply to ana contains these words, in any case:
//! ana < you said
//! # It is of this sort: a file (image, video, audio, document, sticker), choices, template, cards, location, contacts,
//! # reaction or text. Words may follow:
//! ana < [choices] which one
//! # Time passes; or 2s:
//! wait 500ms
//! # Exactly 3 replies since the script began, to everyone together:
//! expect replies 3
//! # Nobody gets a reply for half a second:
//! expect silence 500ms
//! ```
//!
//! What the model says and what the tenant's tools answer; the newest line that fits comes first:
//!
//! ```text
//! model says: whatever is asked         # to everything
//! model when refund says: We give it back
//! # Tools are called first, each in a round of its own; {result} is what the last one answered:
//! model when order calls order_status {"id": "7"} says: It is {result}
//! model {"when_contains": "order", "answer": "done", "rounds": [{"calls": [{"name": "a", "arguments": {}}]}]}
//! model hears: what is said in every recording
//! model objects to bad words            # moderation
//! model forgets                         # all that it was told
//! tool order_status answers {"state": "sent"}     # or `answers: text`
//! tool order_status is {"answers": [{"status": 503}, {"body": "sent", "delay_ms": 20}]}   # as /sim/tools takes it
//! tool order_status is gone
//! # Since the script began; the number of open streams is that of the moment:
//! expect calls order_status 2
//! expect chats 3
//! expect cuts 1
//! expect streams 0
//! ```
//!
//! What a contact does beside writing; "the newest" is the newest message of the conversation that it can be:
//!
//! ```text
//! ana sends image with a caption        # or video, audio, document, sticker; a small sample is sent
//! ana sends voice what she says         # the model hears these words in it
//! ana sends location 52.2297 21.0122 The shop
//! ana chooses Yes                       # the newest button, list row or quick reply of that name
//! ana taps GET_STARTED                  # a postback that no message brought
//! ana replies: to the newest message
//! ana reacts 👍                         # to the newest reply; `ana unreacts` takes it back
//! ana sees ❤                            # the business's reaction to her newest message
//! ana edits: her newest message
//! ana unsends                           # her newest message
//! ana comes from ad: Hello              # her message tells of an ad
//! ana comes by link spring              # an m.me or ig.me link
//! ana comments: how much?               # in public
//! ana answers story: wow                # Instagram
//! ana mentions                          # the account, in her story (Instagram)
//! ana stops marketing                   # `ana resumes marketing`
//! ana reads                             # all that arrived
//! ana calls
//! ana blocks                            # `ana unblocks`
//! ana thread take                       # another app takes her conversation; or pass (back), request
//! ana does {"kind": "unsupported"}      # any act, see the module `act`
//! owner to ana: the owner writes on the phone or in the inbox
//! owner to ana sends image with a caption
//! owner to ana unsends
//! meta {"kind": "account_update", "event": "DISABLED_UPDATE"}
//! faults {"sends": [{"fault": {"kind": "error", "code": 131026, "later": true}, "next": 1}]}
//! faults {"model": [{"fault": {"kind": "cut", "after_tokens": 2}, "next": 1}]}
//! ```
//!
//! (The remarks after `#` are not part of these lines.) A contact is a name without spaces, or a number; one that is
//! not known yet is added.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::act::Deed;
use crate::core::Core;
use crate::scene;
use crate::script_line::{self, Step};
use crate::script_model::Counted;
use crate::shown::Shown;
use crate::world::{AcceptedSend, Author};

const LINES_MAX: usize = 10_000;

/// A script that was read and can be played.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    steps: Vec<(usize, Step)>,
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
            let step =
                script_line::parse(line).map_err(|problem| ScriptError::Line { line: index + 1, problem })?;
            steps.push((index + 1, step));
        }
        Ok(Self { steps })
    }
}

/// Whose replies are counted: a contact's, with one account or with all.
type Reader = (String, Option<String>);

/// What a running script knows.
struct Run<'a> {
    core: &'a Arc<Core>,
    limit_ms: u64,
    account: Option<String>,
    /// How many sends each contact had, of those a line has not read yet.
    read: HashMap<Reader, usize>,
    accepted_before: u64,
    /// What was counted before it began.
    counted_before: Vec<(Counted, u64)>,
}

/// Plays a script; each expectation waits for `limit_ms` at most.
pub(crate) async fn run(core: &Arc<Core>, script: &Script, limit_ms: u64) -> ScriptOutcome {
    let began = core.clock.now();
    let accepted_before = core.world().counters.sends_accepted;
    let (read, counted_before) = (HashMap::new(), Vec::new());
    let mut run = Run { core, limit_ms, account: None, read, accepted_before, counted_before };
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
            match step {
                Step::On(name) => self.account = self.account_id(name).ok(),
                Step::Reply { contact, .. } => {
                    let reader = (contact.clone(), self.account.clone());
                    let already = self.sends(&reader).len();
                    self.read.insert(reader, already);
                }
                Step::Count { what, .. } if what.since_the_beginning() => {
                    self.counted_before.push((what.clone(), what.now(self.core)));
                }
                _ => {}
            }
        }
        self.account = None;
    }

    fn account_id(&self, name: &str) -> Result<String, String> {
        let account = self.core.account(Some(name)).map_err(|error| format!("{name}: {error}"))?;
        Ok(account.id().to_owned())
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::On(name) => {
                self.account = Some(self.account_id(name)?);
                Ok(())
            }
            Step::Do(deed) => {
                let deed = Deed { account: self.account.clone(), ..(**deed).clone() };
                scene::play(self.core, deed).map(drop).map_err(|error| error.to_string())
            }
            Step::Reply { contact, sort, words } => self.expect_reply(contact, sort.as_deref(), words).await,
            Step::Sees { contact, emoji } => self.expect_reaction(contact, emoji).await,
            Step::Wait { millis } => {
                self.core.clock.sleep_millis(*millis).await;
                Ok(())
            }
            Step::Replies { count } => self.expect_replies(*count).await,
            Step::Count { what, count } => self.expect_count(what, *count).await,
            Step::Tell(told) => told.tell(self.core),
            Step::Silence { millis } => {
                let before = self.replies();
                self.core.clock.sleep_millis(*millis).await;
                match self.replies() - before {
                    0 => Ok(()),
                    more => Err(format!("expected silence, {more} replies came")),
                }
            }
            Step::Faults(faults) => {
                self.core.set_faults((**faults).clone()).map_err(|error| error.to_string())
            }
        }
    }

    async fn expect_reply(&mut self, contact: &str, sort: Option<&str>, words: &str) -> Result<(), String> {
        let reader = (contact.to_owned(), self.account.clone());
        let read = self.read.get(&reader).copied().unwrap_or(0);
        let next = self.within_limit(|run| run.sends(&reader).into_iter().nth(read)).await;
        let Some(next) = next else {
            return Err(format!("no reply to {contact} came within {} ms", self.limit_ms));
        };
        self.read.insert(reader, read + 1);
        if let Some(sort) = sort.filter(|sort| !is_of(&next.shown, sort)) {
            return Err(format!("the reply to {contact} is not of the sort [{sort}]: \"{}\"", next.text));
        }
        if next.text.to_lowercase().contains(&words.to_lowercase()) {
            return Ok(());
        }
        Err(format!("the reply to {contact} does not contain \"{words}\": \"{}\"", next.text))
    }

    async fn expect_reaction(&self, contact: &str, emoji: &str) -> Result<(), String> {
        let seen = self.within_limit(|run| {
            let world = run.core.world();
            let wa_id = world.contacts.find(contact)?;
            let mut items = world.transcript(&wa_id).into_iter().rev();
            let newest = items.find(|item| {
                let here = run.account.as_ref().is_none_or(|account| *account == item.phone_number_id);
                here && item.author == Author::Contact
            });
            newest?.business_reaction.filter(|reaction| reaction == emoji)
        });
        seen.await
            .map(drop)
            .ok_or_else(|| format!("{contact} did not see {emoji} within {} ms", self.limit_ms))
    }

    async fn expect_replies(&mut self, count: usize) -> Result<(), String> {
        self.within_limit(|run| (run.replies() >= count).then_some(())).await;
        let replies = self.replies();
        if replies == count { Ok(()) } else { Err(format!("expected {count} replies, {replies} came")) }
    }

    async fn expect_count(&self, what: &Counted, count: u64) -> Result<(), String> {
        let before = self.counted_before.iter().find(|(counted, _)| counted == what);
        let before = before.map_or(0, |(_, before)| *before);
        let counted = |run: &Self| what.now(run.core).saturating_sub(before);
        // What is open may become less, what is counted cannot.
        let there = |run: &Self| {
            let now = counted(run);
            (now == count || (now > count && what.since_the_beginning())).then_some(())
        };
        self.within_limit(there).await;
        let now = counted(self);
        if now == count { Ok(()) } else { Err(format!("expected {count} {what}, there were {now}")) }
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

    fn sends(&self, (contact, account): &Reader) -> Vec<AcceptedSend> {
        let world = self.core.world();
        let all = world.contacts.find(contact).map(|wa_id| world.sends(Some(&wa_id)));
        let mut all = all.unwrap_or_default();
        all.retain(|send| account.as_ref().is_none_or(|account| *account == send.phone_number_id));
        all
    }

    fn replies(&self) -> usize {
        let accepted = self.core.world().counters.sends_accepted;
        usize::try_from(accepted.saturating_sub(self.accepted_before)).unwrap_or(usize::MAX)
    }
}

/// Whether a message is of a sort: its own, or that of one of its files.
fn is_of(shown: &Shown, sort: &str) -> bool {
    json!(shown.kind) == sort || shown.media.iter().any(|media| json!(media.kind) == sort)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::Act;

    #[test]
    fn every_kind_of_line_is_read() {
        let script = Script::parse(
            "# hello\n\nnumber 2001\nana: Hello: <you>\\nthere\nana < contains World\n+1555 < x\nwait 2s\n\
             wait: is a contact too\nexpect replies 3\n",
        )
        .unwrap();
        let steps: Vec<Step> = script.steps.iter().map(|(_, step)| step.clone()).collect();
        let say = |who: &str, text: &str| {
            Step::Do(Box::new(Deed::of(who, None, Act::Text { text: text.to_owned() })))
        };
        let expected = [
            Step::On("2001".into()),
            say("ana", "Hello: <you>\nthere"),
            Step::Reply { contact: "ana".into(), sort: None, words: "World".into() },
            Step::Reply { contact: "+1555".into(), sort: None, words: "x".into() },
            Step::Wait { millis: 2_000 },
            say("wait", "is a contact too"),
            Step::Replies { count: 3 },
        ];
        assert_eq!(steps, expected);
        assert_eq!(script.steps.first().map(|(line, _)| *line), Some(3));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let table = [
            ("wait soon", "line 1: write `wait 500ms` or `wait 2s`, at most an hour"),
            ("\nwait 3601s", "line 2: write `wait 500ms` or `wait 2s`, at most an hour"),
            (
                "expect 3",
                "line 1: write `expect replies <count>`, `expect silence 500ms`, `expect chats <count>`, \
                 `expect cuts <count>`, `expect streams <count>` or `expect calls <tool> <count>`",
            ),
            ("number one", "line 1: write `number <phone_number_id>`"),
            ("ana:", "line 1: nothing is said: write `contact: text`"),
            ("ana <", "line 1: nothing is expected: write `contact < words` or `contact < [choices] words`"),
            (
                ": hi",
                "line 1: a line begins with a contact, `on`, `number`, `owner`, `model`, `tool`, `wait`, `expect` or `#`",
            ),
        ];
        for (text, message) in table {
            assert_eq!(Script::parse(text).unwrap_err().to_string(), message);
        }
    }
}
