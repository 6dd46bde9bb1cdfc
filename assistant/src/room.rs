//! What things cost in tokens, and making messages fit into a number of them.

use iassistance_domain::pii::Reply;

use crate::generate::{Part, PromptMessage, Role};
use crate::tokens::TokenCounter;
use crate::tools::{ToolCall, ToolSpec};

pub(crate) const CUT_NOTE: &str = " [cut here: too long]";
/// What a message costs besides its text (OpenAI: cookbook, counting tokens for chat completions; one
/// more, to be on the safe side).
pub(crate) const MESSAGE_TOKENS: usize = 4;
/// What a tool or a call costs besides its words: servers wrap them each in their own way.
const TOOL_TOKENS: usize = 12;
/// A message to be answered is not cut below this as long as an older one can be left out instead.
const COVERED_TOKENS_MIN: usize = 24;

/// A message, and what it costs in tokens without its pictures.
pub(crate) struct Counted {
    pub(crate) message: PromptMessage,
    pub(crate) tokens: usize,
}

impl Counted {
    /// Counts no further than just above `limit`.
    pub(crate) fn new(message: PromptMessage, limit: usize) -> Self {
        let tokens = TokenCounter::count_up_to(message.words(), limit) + MESSAGE_TOKENS;
        Self { message, tokens }
    }

    /// A message of words, cut to `tokens_max`.
    pub(crate) fn words(role: Role, text: String, tokens_max: usize) -> Self {
        Self::new(PromptMessage::text(role, text), tokens_max).cut_to(tokens_max)
    }

    /// The message with the end of its words cut off, with a note, if it costs more than `tokens_max`.
    pub(crate) fn cut_to(mut self, tokens_max: usize) -> Self {
        if self.tokens <= tokens_max {
            return self;
        }
        let text = self.message.words();
        let mut keep = tokens_max.saturating_sub(MESSAGE_TOKENS + TokenCounter::count(CUT_NOTE));
        let (cut, tokens) = loop {
            // Where the two texts meet, tokens may join or part: count what comes of it.
            let cut = format!("{}{CUT_NOTE}", TokenCounter::prefix(text, keep).trim_end());
            let tokens = TokenCounter::count(&cut) + MESSAGE_TOKENS;
            if tokens <= tokens_max || keep == 0 {
                break (cut, tokens);
            }
            keep -= 1;
        };
        for part in &mut self.message.parts {
            if let Part::Text(text) = part {
                *text = cut.into();
                break;
            }
        }
        self.tokens = tokens;
        self
    }
}

/// Makes the messages to answer fit into `room` tokens.
pub(crate) fn fit(mut covers: Vec<Counted>, room: usize) -> Vec<Counted> {
    let mut share = fair_share(&covers, room);
    while share < COVERED_TOKENS_MIN && covers.len() > 1 {
        covers.remove(0);
        share = fair_share(&covers, room);
    }
    covers.into_iter().map(|counted| counted.cut_to(share)).collect()
}

/// The most that each may cost so that all together cost at most `room`: what the short ones do not
/// need goes to the long ones.
pub(crate) fn fair_share(messages: &[Counted], room: usize) -> usize {
    let mut sizes: Vec<_> = messages.iter().map(|counted| counted.tokens).collect();
    sizes.sort_unstable();
    let mut left = room;
    for (index, size) in sizes.iter().enumerate() {
        let share = left / (sizes.len() - index);
        if *size > share {
            return share;
        }
        left -= size;
    }
    usize::MAX
}

impl ToolSpec {
    /// What it costs in tokens to tell a model of it. The schema is counted as JSON; what servers make
    /// of it is mostly shorter.
    pub(crate) fn tokens(&self) -> usize {
        let words = TokenCounter::count(&self.name) + TokenCounter::count(&self.description);
        words + TokenCounter::count(&self.parameters.to_string()) + TOOL_TOKENS
    }
}

impl ToolCall {
    /// What it costs in tokens.
    pub(crate) fn tokens(&self) -> usize {
        let words = TokenCounter::count(&self.name) + TokenCounter::count(self.arguments.reveal(Reply));
        words + TOOL_TOKENS
    }
}
