//! What a model is to read: the rules, what is known, the history and the messages to answer, within a
//! limit.

use std::collections::BTreeMap;

use bytes::Bytes;
use iassistance_domain::Pii;
use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::conversation::FollowUp;
use iassistance_domain::delivery::DeliveryStatus;
use iassistance_domain::id::MediaId;
use iassistance_domain::message::{Author, Message};
use iassistance_domain::summary::Summary;

use crate::room::{Counted, MESSAGE_TOKENS, fair_share, fit};
use crate::rules::{follow_up_text, notes_text, system_text};
use crate::tokens::TokenCounter;
use crate::tools::{ToolCall, ToolSpec};
use crate::words::words;

pub use crate::generate::{Part, Prompt, PromptMessage, Role};

/// What a person's words begin with where the model reads them among the assistant's own.
pub const HUMAN_PREFIX: &str = "[human colleague] ";
/// What a picture counts as, in tokens: about the most that one costs with the models that count
/// dearest (OpenAI: images and vision, calculating costs: up to 1,536 patches times 1.62 with
/// gpt-4.1-mini). Others count it lower; then a little less fits into a prompt than might.
pub const IMAGE_TOKENS: usize = 2_500;

/// What opens the answer (OpenAI: cookbook, counting tokens for chat completions).
pub(crate) const OPENING_TOKENS: usize = 3;
/// The smallest prompt; settings cannot ask for less.
const PROMPT_TOKENS_MIN: usize = 500;
/// In a prompt smaller than this there is no room for tools.
const TOOLS_PROMPT_TOKENS_MIN: usize = 1_000;
/// OpenAI: chat completions, `safety_identifier`: at most 64 characters.
const SAFETY_IDENTIFIER_BYTES_MAX: usize = 64;
/// How many pictures a prompt has at most, and how many bytes of them.
const IMAGES_MAX: usize = 8;
const IMAGE_BYTES_MAX: usize = 20 * 1_024 * 1_024;
/// What models can see (OpenAI: images and vision, image input requirements).
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];
/// Notes and the summary are left out where there is less room than this for them, in tokens.
const NOTES_TOKENS_MIN: usize = 48;
/// A tool's answer is not cut below this, in tokens: its end would say nothing.
const ANSWER_TOKENS_MIN: usize = 24;
/// No more tools are called where there is less room than this for what they answer, in tokens.
const ROUND_TOKENS_MIN: usize = 200;
/// What names of tools may be made of, in what the server is told that the model has called.
const TOOL_NAME_BYTES_MAX: usize = 64;

/// What a prompt is made of.
pub struct PromptInput<'a> {
    /// The tenant's settings: task, instructions, languages, limits.
    pub settings: &'a AssistantSettings,
    /// What was said before, oldest first, without the messages to answer.
    pub history: &'a [Message],
    /// The messages to answer, in order.
    pub covers: &'a [Message],
    /// The summary of what was said long ago, if there is one. What it covers is not read again.
    pub summary: Option<&'a Summary>,
    /// Pictures of these messages, with their types; those that are not here are not shown.
    pub images: &'a BTreeMap<MediaId, (String, Bytes)>,
    /// What is noted about the contact.
    pub attributes: &'a BTreeMap<String, Pii<String>>,
    /// Why the assistant comes back by itself, if nobody wrote.
    pub follow_up: Option<&'a FollowUp>,
    /// The tools that the model is told of.
    pub tools: Vec<ToolSpec>,
    /// Whether somebody of the business is there, by its hours.
    pub people_there: bool,
    /// What stands for the contact where the model's server looks for abuse: a keyed hash, at most
    /// 64 characters.
    pub safety_identifier: String,
}

impl Prompt {
    /// Writes a prompt of at most `prompt_tokens_max` tokens. History is left out oldest first and
    /// message by message. The messages to answer are kept; the longest of them are cut, with a
    /// note, where they would not fit, and only where even that is not enough are the oldest left
    /// out. Instructions are cut where they leave less than half of the room for the messages.
    /// Tools have at most half of all; the last ones are left out where that is not enough.
    pub fn build(input: &PromptInput<'_>) -> Self {
        let PromptInput { settings, history, covers, safety_identifier, .. } = input;
        let tokens_max = (settings.prompt_tokens_max as usize).max(PROMPT_TOKENS_MIN);
        let (tools, tools_tokens) = tools_within(&input.tools, tokens_max);
        let room = tokens_max - OPENING_TOKENS - tools_tokens;
        let mut pictures = Pictures::new(input.images);

        let covers: Vec<_> =
            covers.iter().filter_map(|message| Some((message, read(message)?))).map(counted(room)).collect();
        let wanted = covers.iter().map(|(_, counted)| counted.tokens).sum::<usize>();
        let follow_up = input.follow_up.filter(|_| covers.is_empty());
        let follow_up =
            follow_up.map(|follow_up| Counted::words(Role::System, follow_up_text(follow_up), room / 4));
        let follow_up_tokens = follow_up.as_ref().map_or(0, |counted| counted.tokens);
        let system_text = system_text(settings, !tools.is_empty(), input.people_there);
        let system = Counted::new(PromptMessage::text(Role::System, system_text), room)
            .cut_to(room - follow_up_tokens - wanted.min(room / 2));
        let mut left = room - system.tokens - follow_up_tokens;

        pictures.room = left / 4 * 3;
        let covers = pictures.shown(covers);
        let covers = fit(covers, left - pictures.tokens);
        left -= pictures.tokens + covers.iter().map(|counted| counted.tokens).sum::<usize>();
        let notes = notes(input, left / 2);
        left -= notes.as_ref().map_or(0, |counted| counted.tokens);
        let summary = input.summary.filter(|_| notes.is_some());
        let history = history.iter().filter(|message| !is_covered(message, summary));
        let (history, history_left_out) = newest(history, left, &mut pictures);

        let (history_messages, covered_messages) = (history.len(), covers.len());
        let history_at = 1 + usize::from(notes.is_some());
        let all: Vec<_> =
            [system].into_iter().chain(notes).chain(history).chain(covers).chain(follow_up).collect();
        let tokens = all.iter().map(|counted| counted.tokens).sum::<usize>() + pictures.tokens;
        let identified = safety_identifier.floor_char_boundary(SAFETY_IDENTIFIER_BYTES_MAX);
        Self {
            messages: all.into_iter().map(|counted| counted.message).collect(),
            tools,
            tokens: OPENING_TOKENS + tools_tokens + tokens,
            tokens_max,
            history_at,
            history_messages,
            history_left_out,
            covered_messages,
            summary_until: summary.map(|summary| summary.until),
            images: pictures.shown,
            output_tokens_max: settings.output_tokens_max,
            temperature: settings.temperature,
            safety_identifier: safety_identifier[..identified].to_owned(),
        }
    }

    /// Adds what the model said and called in a round, and what came of each call, in order. The
    /// oldest history makes room for it; where that is not enough the answers are cut, and then no
    /// more tools are called.
    pub fn add_round(&mut self, said: String, calls: Vec<ToolCall>, answers: Vec<Pii<String>>) {
        let ids: Vec<_> = calls.iter().map(|call| call.id.clone()).collect();
        self.tokens += MESSAGE_TOKENS + TokenCounter::count(&said);
        self.tokens += calls.iter().map(ToolCall::tokens).sum::<usize>();
        let calls = calls.into_iter().map(|call| ToolCall { name: plain_name(&call.name), ..call });
        let parts = if said.trim().is_empty() { Vec::new() } else { vec![Part::Text(said.into())] };
        self.messages.push(PromptMessage {
            role: Role::Assistant,
            parts,
            calls: calls.collect(),
            answers: None,
        });
        let answers = ids.into_iter().zip(answers).map(|(id, answer)| {
            let message = PromptMessage { answers: Some(id), ..PromptMessage::text(Role::Tool, answer) };
            Counted::new(message, self.tokens_max)
        });
        let answers: Vec<_> = answers.collect();
        let wanted = answers.iter().map(|counted| counted.tokens).sum::<usize>();
        self.make_room(wanted.saturating_add(ROUND_TOKENS_MIN));
        let room = self.tokens_max.saturating_sub(self.tokens);
        let share = fair_share(&answers, room).max(ANSWER_TOKENS_MIN);
        for answer in answers.into_iter().map(|counted| counted.cut_to(share)) {
            self.tokens += answer.tokens;
            self.messages.push(answer.message);
        }
        if self.tokens_max.saturating_sub(self.tokens) < ROUND_TOKENS_MIN {
            self.leave_out_tools();
        }
    }

    /// Leaves out history, oldest first, until there is room for so many tokens or none is left.
    fn make_room(&mut self, wanted: usize) {
        let mut left_out = 0;
        while self.tokens_max.saturating_sub(self.tokens) < wanted && left_out < self.history_messages {
            let Some(message) = self.messages.get(self.history_at + left_out) else { break };
            let tokens = TokenCounter::count(message.words()) + MESSAGE_TOKENS;
            self.tokens = self.tokens.saturating_sub(tokens + message.images() * IMAGE_TOKENS);
            self.images -= message.images();
            left_out += 1;
        }
        self.messages.drain(self.history_at..self.history_at + left_out);
        self.history_messages -= left_out;
        self.history_left_out += left_out;
    }

    /// Tells the model of no more tools.
    pub fn leave_out_tools(&mut self) {
        let tokens = self.tools.iter().map(ToolSpec::tokens).sum();
        self.tokens = self.tokens.saturating_sub(tokens);
        self.tools.clear();
    }
}

fn counted(limit: usize) -> impl FnMut((&Message, PromptMessage)) -> (&Message, Counted) {
    move |(message, read)| (message, Counted::new(read, limit))
}

/// The first tools, as many as have room, and what they cost.
fn tools_within(tools: &[ToolSpec], tokens_max: usize) -> (Vec<ToolSpec>, usize) {
    let room = if tokens_max < TOOLS_PROMPT_TOKENS_MIN { 0 } else { tokens_max / 2 };
    let mut sum = 0;
    let fitting = tools.iter().take_while(|tool| {
        let tokens = tool.tokens();
        let fits = sum + tokens <= room;
        sum += if fits { tokens } else { 0 };
        fits
    });
    let fitting: Vec<_> = fitting.cloned().collect();
    (fitting, sum)
}

/// A name as servers take it: what a model makes up need not be one.
fn plain_name(name: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "_-".contains(character) { character } else { '_' }
    };
    let name: String = name.chars().take(TOOL_NAME_BYTES_MAX).map(plain).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// The message with what is known about the contact and what was said long ago.
fn notes(input: &PromptInput<'_>, room: usize) -> Option<Counted> {
    if room < NOTES_TOKENS_MIN {
        return None;
    }
    let text = notes_text(input.attributes, input.summary)?;
    Some(Counted::words(Role::User, text, room))
}

/// Whether a summary covers a message. Ids count up as messages are recorded: what came late, though
/// it was written long ago, is in no summary yet.
fn is_covered(message: &Message, summary: Option<&Summary>) -> bool {
    summary.is_some_and(|summary| message.id <= summary.until)
}

/// A message as the model reads it; nothing where it has no words or the contact never got it.
pub(crate) fn read(message: &Message) -> Option<PromptMessage> {
    let lost = message.delivery.as_ref().is_some_and(|delivery| {
        matches!(delivery.status, DeliveryStatus::Withdrawn | DeliveryStatus::Failed)
    });
    if lost {
        return None;
    }
    let body = words(&message.content)?;
    let (role, text) = match &message.author {
        Author::Contact => (Role::User, body),
        Author::Assistant { .. } => (Role::Assistant, body),
        Author::Operator { .. } | Author::Business { .. } => {
            (Role::Assistant, format!("{HUMAN_PREFIX}{body}"))
        }
    };
    Some(PromptMessage::text(role, text))
}

/// The newest messages that fit into `room` tokens, oldest first and without a gap, and how many that
/// could be read did not.
fn newest<'a>(
    history: impl DoubleEndedIterator<Item = &'a Message>,
    room: usize,
    pictures: &mut Pictures<'_>,
) -> (Vec<Counted>, usize) {
    pictures.room = pictures.room.min(pictures.tokens + room);
    let mut left = room;
    let mut kept = Vec::new();
    let mut older = history.rev();
    let mut left_out = 0;
    while let Some(message) = older.next() {
        let Some(read) = read(message) else { continue };
        let counted = Counted::new(read, left);
        let Some(rest) = left.checked_sub(counted.tokens) else {
            left_out = 1 + older.filter(|message| self::read(message).is_some()).count();
            break;
        };
        let before = pictures.tokens;
        pictures.room = pictures.room.min(before + rest);
        let counted = pictures.show(message, counted);
        left = rest - (pictures.tokens - before);
        kept.push(counted);
    }
    kept.reverse();
    (kept, left_out)
}

/// The pictures that are shown, and the room for them. The newest are shown first.
struct Pictures<'a> {
    all: &'a BTreeMap<MediaId, (String, Bytes)>,
    /// How many tokens they may cost together.
    room: usize,
    tokens: usize,
    bytes: usize,
    shown: usize,
}

impl<'a> Pictures<'a> {
    const fn new(all: &'a BTreeMap<MediaId, (String, Bytes)>) -> Self {
        Self { all, room: 0, tokens: 0, bytes: 0, shown: 0 }
    }

    /// The messages with their pictures.
    fn shown(&mut self, messages: Vec<(&Message, Counted)>) -> Vec<Counted> {
        let shown = messages.into_iter().rev().map(|(message, counted)| self.show(message, counted));
        let mut shown: Vec<_> = shown.collect();
        shown.reverse();
        shown
    }

    /// The message with as many of its pictures as there is room for. Only the contact's are shown:
    /// servers take none from an assistant.
    fn show(&mut self, message: &Message, mut counted: Counted) -> Counted {
        if self.all.is_empty() || message.author != Author::Contact {
            return counted;
        }
        for media in message.content.media() {
            let Some((mime, bytes)) = media.source.stored().and_then(|id| self.all.get(&id)) else {
                continue;
            };
            let fits = self.shown < IMAGES_MAX
                && self.tokens + IMAGE_TOKENS <= self.room
                && self.bytes + bytes.len() <= IMAGE_BYTES_MAX;
            if !fits || !IMAGE_TYPES.contains(&mime.as_str()) {
                continue;
            }
            self.shown += 1;
            self.tokens += IMAGE_TOKENS;
            self.bytes += bytes.len();
            counted.message.parts.push(Part::Image { mime: mime.clone(), bytes: bytes.clone() });
        }
        counted
    }
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
