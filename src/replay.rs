//! What the assistant would say by other settings: to questions, and to what was said in conversations
//! that there were. Nothing is sent, nothing is written, and no tool that changes something is called.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_actors::Engine;
use iassistance_actors::rehearsal::{Rehearsal, Rehearsed};
use iassistance_assistant::phrases::Phrase;
use iassistance_assistant::words::words;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::budget::Cost;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::content::Content;
use iassistance_domain::golden::{Answered, GoldenQuestion};
use iassistance_domain::id::{ConversationId, MessageId, TurnId};
use iassistance_domain::message::{Author, Message};
use iassistance_domain::pii::TenantView;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::turn::{TurnEnd, TurnRecord};
use iassistance_storage::{StorageError, TenantStore};

/// Rehearsals at once: they share the model with those who wait for an answer.
const AT_ONCE: usize = 4;
/// How many conversations, or turns of one, are looked at at once.
const LOOKED_AT_ONCE: usize = 200;

/// What the assistant said, or would say. Holds personal data, so it has no `Debug`.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Rehearsed)]
pub struct Said {
    /// Its words; empty where it had none.
    pub text: String,
    /// The tools that it called, in order.
    pub tools: Vec<String>,
    /// Whether it asked for a person.
    pub handed_over: bool,
    /// Tokens of its prompts.
    pub input_tokens: u64,
    /// Tokens of its answers.
    pub output_tokens: u64,
    /// What that costs, in millionths of the price table's currency.
    pub cost: Cost,
    /// How long it took, milliseconds.
    pub ms: u64,
    /// What went wrong; `null` where it went well.
    pub problem: Option<String>,
}

impl From<Rehearsed> for Said {
    fn from(rehearsed: Rehearsed) -> Self {
        Self {
            text: rehearsed.text.map(|text| text.into_inner(TenantView)).unwrap_or_default(),
            tools: rehearsed.tools,
            handed_over: rehearsed.handed_over,
            input_tokens: rehearsed.usage.input_tokens,
            output_tokens: rehearsed.usage.output_tokens,
            cost: rehearsed.cost,
            ms: rehearsed.ms,
            problem: rehearsed.problem,
        }
    }
}

/// A golden question, what was answered, and what the answer lacks.
#[derive(Clone, Serialize, ToSchema)]
pub struct Graded {
    /// The question.
    pub question: GoldenQuestion,
    /// Whether the answer has every trait.
    pub passed: bool,
    /// What it lacks, in words.
    pub missing: Vec<String>,
    /// The answer.
    pub answer: Said,
}

/// A turn that was, and what it would be now.
#[derive(Clone, Serialize)]
pub struct Compared {
    /// The conversation.
    pub conversation: ConversationId,
    /// The turn.
    pub turn: TurnId,
    /// What it answered, in words.
    pub asked: String,
    /// What was said then.
    pub then: Said,
    /// What would be said now.
    pub now: Said,
    /// In what they differ, besides their words.
    pub differences: Vec<String>,
    /// How many of a hundred words they share.
    pub likeness: u8,
}

/// What many rehearsals came to together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sum {
    /// How many there were.
    pub count: usize,
    /// How many went wrong.
    pub problems: usize,
    /// Tokens of all prompts.
    pub input_tokens: u64,
    /// Tokens of all answers.
    pub output_tokens: u64,
    /// What all cost, in millionths of the price table's currency.
    pub cost: Cost,
    /// How long all took, one after the other, milliseconds.
    pub ms: u64,
}

impl Sum {
    /// Adds one.
    pub fn add(&mut self, said: &Said) {
        self.count += 1;
        self.problems += usize::from(said.problem.is_some());
        self.input_tokens = self.input_tokens.saturating_add(said.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(said.output_tokens);
        self.cost = self.cost.plus(said.cost);
        self.ms = self.ms.saturating_add(said.ms);
    }
}

/// Asks one question, with what was said before it, oldest first.
pub async fn ask(
    engine: &Engine,
    ctx: TenantCtx,
    settings: &AssistantSettings,
    history: Vec<(Author, String)>,
    question: &str,
) -> Result<Said, StorageError> {
    let (now, entropy) = (engine.clock().now(), engine.entropy());
    let conversation = ConversationId::new(now, &**entropy);
    let mut place = 0;
    let mut message = |author, text: String| {
        place += 1;
        let id = MessageId::in_order(now, place, &**entropy);
        Message::new(id, conversation, author, Content::text(text), now)
    };
    let history = history.into_iter().map(|(author, text)| message(author, text)).collect();
    let covers = vec![message(Author::Contact, question.to_owned())];
    let rehearsal = Rehearsal {
        kind: ChannelKind::Whatsapp,
        history,
        summary: None,
        covers,
        attributes: BTreeMap::new(),
        people_there: None,
    };
    Ok(engine.rehearse(ctx, settings, rehearsal).await?.into())
}

/// Asks golden questions, in their order; what comes out is in that order too.
pub fn grade<'a>(
    engine: &'a Engine,
    ctx: TenantCtx,
    settings: &'a AssistantSettings,
    questions: Vec<GoldenQuestion>,
) -> impl Stream<Item = Result<Graded, StorageError>> + 'a {
    let graded = move |question: GoldenQuestion| async move {
        let answer = ask(engine, ctx, settings, Vec::new(), &question.question).await?;
        Ok(judged(question, answer))
    };
    stream::iter(questions).map(graded).buffered(AT_ONCE)
}

fn judged(question: GoldenQuestion, answer: Said) -> Graded {
    let shown = Answered { text: &answer.text, tools: &answer.tools, handed_over: answer.handed_over };
    let mut missing = question.expect.missing(&shown);
    missing.extend(answer.problem.iter().map(|problem| format!("no answer could be had: {problem}")));
    Graded { passed: missing.is_empty(), missing, question, answer }
}

/// The latest turns that came to something, newest first: of one conversation, or of all.
pub async fn turns(
    store: &dyn TenantStore,
    only: Option<ConversationId>,
    limit: usize,
) -> Result<Vec<TurnRecord>, StorageError> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let conversations = match only {
            Some(id) => vec![id],
            None => {
                let page = store.conversations(before, LOOKED_AT_ONCE).await?;
                page.iter().map(|conversation| conversation.id).collect()
            }
        };
        before = conversations.last().copied();
        for conversation in &conversations {
            let turns = store.turns(*conversation, None, LOOKED_AT_ONCE).await?;
            found.extend(turns.into_iter().filter(came_to_something));
        }
        found.sort_by_key(|turn: &TurnRecord| std::cmp::Reverse(turn.id));
        found.truncate(limit);
        if only.is_some() || conversations.len() < LOOKED_AT_ONCE || found.len() == limit {
            return Ok(found);
        }
    }
}

/// Whether it was not cancelled on its way by what people did.
fn came_to_something(turn: &TurnRecord) -> bool {
    matches!(
        turn.end,
        Some(
            TurnEnd::Answered
                | TurnEnd::Empty
                | TurnEnd::Failed
                | TurnEnd::HandedOver
                | TurnEnd::OverBudget
                | TurnEnd::Objected
        )
    ) && !turn.covers.is_empty()
}

/// Runs turns again by these settings; what comes out is in their order. Nothing comes of a turn whose
/// messages are not there any more.
pub fn compare<'a>(
    engine: &'a Engine,
    ctx: TenantCtx,
    store: &'a dyn TenantStore,
    settings: &'a AssistantSettings,
    turns: Vec<TurnRecord>,
) -> impl Stream<Item = Result<Option<Compared>, StorageError>> + 'a {
    let compared = move |turn: TurnRecord| async move {
        let kind = kind_of(store, turn.conversation).await?;
        let Some(rehearsal) = Rehearsal::of_turn(store, kind, &turn).await? else { return Ok(None) };
        let mut sent = Vec::with_capacity(turn.sent.len());
        for id in &turn.sent {
            sent.extend(store.message(turn.conversation, *id).await?);
        }
        let mut then = said_then(&turn, &sent);
        if turn.disclosed {
            then.text = without_disclosure(store, &turn, then.text).await?;
        }
        let asked = in_words(&rehearsal.covers);
        let now = engine.rehearse(ctx, settings, rehearsal).await?.into();
        let (differences, likeness) = (differences(&then, &now), likeness(&then.text, &now.text));
        let (conversation, turn) = (turn.conversation, turn.id);
        Ok(Some(Compared { conversation, turn, asked, then, now, differences, likeness }))
    };
    stream::iter(turns).map(compared).buffered(AT_ONCE)
}

/// What was said without that a machine says it: a rehearsal says no such thing.
async fn without_disclosure(
    store: &dyn TenantStore,
    turn: &TurnRecord,
    text: String,
) -> Result<String, StorageError> {
    let Some(stored) = store.assistant_version(turn.settings_version).await? else { return Ok(text) };
    let (own, languages) = (stored.settings.disclosure.text.trim(), &stored.settings.languages);
    let words = if own.is_empty() { Phrase::Disclosure.said_in(languages) } else { own };
    Ok(text.strip_prefix(words).map(|rest| rest.trim_start().to_owned()).unwrap_or(text))
}

async fn kind_of(store: &dyn TenantStore, id: ConversationId) -> Result<ChannelKind, StorageError> {
    let channel = match store.conversation(id).await? {
        Some((conversation, _)) => store.channel(conversation.channel).await?,
        None => None,
    };
    Ok(channel.map_or(ChannelKind::Whatsapp, |channel| channel.kind()))
}

fn said_then(turn: &TurnRecord, sent: &[Message]) -> Said {
    let usage = turn.work.usage();
    let took = turn.ended_at.map_or(0, |ended| ended.as_millis() - turn.started_at.as_millis());
    let last_problem = turn.work.attempts.iter().rev().find_map(|attempt| attempt.problem.clone());
    let failed = matches!(turn.end, Some(TurnEnd::Failed | TurnEnd::OverBudget | TurnEnd::Objected));
    Said {
        text: in_words(sent),
        tools: turn.work.tool_calls.iter().map(|call| call.name.clone()).collect(),
        handed_over: turn.end == Some(TurnEnd::HandedOver),
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cost: turn.work.cost(),
        ms: u64::try_from(took).unwrap_or_default(),
        problem: if failed {
            turn.work.problem.clone().or(last_problem).or_else(|| turn.end.map(|end| end.name().to_owned()))
        } else {
            None
        },
    }
}

fn in_words(messages: &[Message]) -> String {
    let texts: Vec<_> = messages.iter().filter_map(|message| words(&message.content)).collect();
    texts.join("\n")
}

fn differences(then: &Said, now: &Said) -> Vec<String> {
    let mut differences = Vec::new();
    if then.tools != now.tools {
        let list = |tools: &[String]| if tools.is_empty() { "none".to_owned() } else { tools.join(", ") };
        differences.push(format!("tools: {} → {}", list(&then.tools), list(&now.tools)));
    }
    match (then.handed_over, now.handed_over) {
        (false, true) => differences.push("asks for a person now".to_owned()),
        (true, false) => differences.push("does not ask for a person any more".to_owned()),
        _ => {}
    }
    match (&then.problem, &now.problem) {
        (None, Some(problem)) => differences.push(format!("fails now: {problem}")),
        (Some(_), None) => differences.push("does not fail any more".to_owned()),
        _ => {}
    }
    if then.text.is_empty() != now.text.is_empty() {
        differences
            .push(if now.text.is_empty() { "says nothing now" } else { "says something now" }.to_owned());
    }
    differences
}

/// How many of a hundred words two texts share, whatever their order (Dice, of multisets).
fn likeness(one: &str, other: &str) -> u8 {
    let words = |text: &str| {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let mut words: Vec<_> = words.map(str::to_lowercase).collect();
        words.sort();
        words
    };
    let (one, other) = (words(one), words(other));
    let all = one.len() + other.len();
    let (mut left, mut right, mut shared) = (one.iter().peekable(), other.iter().peekable(), 0_usize);
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => drop(left.next()),
            std::cmp::Ordering::Greater => drop(right.next()),
            std::cmp::Ordering::Equal => {
                left.next();
                right.next();
                shared += 1;
            }
        }
    }
    u8::try_from((200 * shared).checked_div(all).unwrap_or(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said {
            text: text.to_owned(),
            tools: Vec::new(),
            handed_over: false,
            input_tokens: 10,
            output_tokens: 5,
            cost: Cost(7),
            ms: 100,
            problem: None,
        }
    }

    #[test]
    fn words_are_compared_whatever_their_case_and_order() {
        assert_eq!(likeness("We open at 9.", "at 9 we OPEN"), 100);
        assert_eq!(likeness("We open at nine", "We close at ten"), 50);
        assert_eq!((likeness("yes", "no"), likeness("", ""), likeness("", "a")), (0, 100, 0));
    }

    #[test]
    fn what_differs_besides_words_is_said() {
        let then = said("We open at nine.");
        let mut now = said("");
        now.tools.push("search_knowledge".to_owned());
        now.handed_over = true;
        now.problem = Some("the model hung up".to_owned());
        assert_eq!(
            differences(&then, &now),
            [
                "tools: none → search_knowledge",
                "asks for a person now",
                "fails now: the model hung up",
                "says nothing now",
            ]
        );
        assert!(differences(&then, &said("Other words")).is_empty());
    }

    #[test]
    fn sums_count_what_went_wrong_too() {
        let (mut sum, mut failed) = (Sum::default(), said(""));
        failed.problem = Some("x".to_owned());
        sum.add(&said("a"));
        sum.add(&failed);
        assert_eq!((sum.count, sum.problems, sum.cost, sum.ms, sum.input_tokens), (2, 1, Cost(14), 200, 20));
    }
}
