//! Covering what identifies people in texts that leave for the model, and putting it back in what it says: phone
//! numbers, card numbers, and the national ids of Argentina (DNI, CUIT) and Brazil (CPF, CNPJ).
//!
//! Each is told by its form, and where it has check digits by those. The same number has the same cover
//! throughout one request. A cover bears a mark that is the request's own, so that nobody who writes one gets
//! what stands behind another.

use std::collections::HashMap;

use futures::stream::{self, BoxStream, StreamExt};
use iassistance_domain::pii::Reply;
use sha2::{Digest, Sha256};

use crate::generate::{Chunk, Part, Prompt, PromptMessage, Role};
use crate::tools::ToolCall;

/// The longest cover: `[PHONE-100000-abcdef]`.
const COVER_BYTES_MAX: usize = 24;
/// Numbers that one request may cover; what is beyond is left out.
const COVERS_MAX: usize = 10_000;
/// The characters that may stand between digits of one number.
const BETWEEN: &[u8] = b" -.()/";
/// So near before eight digits a word must stand that says what they are.
const WORD_BYTES: usize = 24;
const DNI_WORDS: [&str; 4] = ["dni", "documento", "d.n.i", "document"];

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Phone,
    Card,
    Id,
}

impl What {
    const fn word(self) -> &'static str {
        match self {
            Self::Phone => "PHONE",
            Self::Card => "CARD",
            Self::Id => "ID",
        }
    }
}

/// What is covered in one request.
pub(crate) struct Pseudonyms {
    mark: String,
    covers: HashMap<String, String>,
    behind: Vec<(String, String)>,
}

impl Pseudonyms {
    /// For these texts.
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        let [a, b, c, ..] = <[u8; 32]>::from(hash.finalize());
        let mark = format!("{a:02x}{b:02x}{c:02x}");
        Self { mark, covers: HashMap::new(), behind: Vec::new() }
    }

    /// A prompt whose words identify nobody by a number, and what to put back. The system's words are the tenant's.
    pub(crate) fn cover_prompt(prompt: &Prompt) -> (Prompt, Self) {
        let said = |message: &&PromptMessage| message.role != Role::System;
        let mut own = Self::of(prompt.messages.iter().filter(said).map(PromptMessage::words));
        let mut covered = prompt.clone();
        for message in covered.messages.iter_mut().filter(|message| message.role != Role::System) {
            for part in &mut message.parts {
                if let Part::Text(text) = part {
                    *text = own.cover(text.reveal(Reply)).into();
                }
            }
            for call in &mut message.calls {
                call.arguments = own.cover(call.arguments.reveal(Reply)).into();
            }
        }
        (covered, own)
    }

    /// The text with covers in the place of numbers.
    pub(crate) fn cover(&mut self, text: &str) -> String {
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < bytes.len() {
            let begins = bytes[at].is_ascii_digit() || (bytes[at] == b'+' && follows_digit(bytes, at + 1));
            let inside = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
            if !begins || inside {
                let next = text[at..].chars().next().map_or(1, char::len_utf8);
                out.push_str(&text[at..at + next]);
                at += next;
                continue;
            }
            let end = end_of(bytes, at);
            let number = &text[at..end];
            match what(number, &text[..at]) {
                Some(what) => out.push_str(&self.cover_of(what, number)),
                None => out.push_str(number),
            }
            at = end;
        }
        out
    }

    fn cover_of(&mut self, what: What, number: &str) -> String {
        if let Some(cover) = self.covers.get(number) {
            return cover.clone();
        }
        if self.behind.len() == COVERS_MAX {
            return format!("[{}]", what.word());
        }
        let cover = format!("[{}-{}-{}]", what.word(), self.behind.len() + 1, self.mark);
        self.covers.insert(number.to_owned(), cover.clone());
        self.behind.push((cover.clone(), number.to_owned()));
        cover
    }

    /// The text with the numbers in the place of their covers.
    pub(crate) fn restore(&self, text: &str) -> String {
        if !text.contains('[') {
            return text.to_owned();
        }
        self.behind.iter().fold(text.to_owned(), |text, (cover, number)| {
            if text.contains(cover.as_str()) { text.replace(cover.as_str(), number) } else { text }
        })
    }

    /// An answer with the numbers in the place of their covers, also of one that comes in pieces.
    pub(crate) fn restore_all(self, chunks: BoxStream<'static, Chunk>) -> BoxStream<'static, Chunk> {
        struct Restoring {
            own: Pseudonyms,
            chunks: BoxStream<'static, Chunk>,
            held: String,
            then: Option<Chunk>,
        }
        let state = Restoring { own: self, chunks, held: String::new(), then: None };
        stream::unfold(state, |mut state| async move {
            loop {
                if let Some(chunk) = state.then.take() {
                    return Some((chunk, state));
                }
                match state.chunks.next().await {
                    Some(Chunk::Text(text)) => {
                        state.held.push_str(&text);
                        let whole = whole_until(&state.held);
                        if whole > 0 {
                            let rest = state.held.split_off(whole);
                            let text = state.own.restore(&std::mem::replace(&mut state.held, rest));
                            return Some((Chunk::Text(text), state));
                        }
                    }
                    Some(other) => {
                        let other = state.own.restored(other);
                        if state.held.is_empty() {
                            return Some((other, state));
                        }
                        state.then = Some(other);
                        let text = state.own.restore(&std::mem::take(&mut state.held));
                        return Some((Chunk::Text(text), state));
                    }
                    None => return None,
                }
            }
        })
        .boxed()
    }

    fn restored(&self, chunk: Chunk) -> Chunk {
        let Chunk::Calls(calls) = chunk else { return chunk };
        let restored = calls.into_iter().map(|call| {
            let arguments = self.restore(call.arguments.reveal(Reply)).into();
            ToolCall { arguments, ..call }
        });
        Chunk::Calls(restored.collect())
    }
}

/// How much of a text cannot be the beginning of a cover that is still coming.
fn whole_until(text: &str) -> usize {
    match text.rfind('[') {
        Some(at) if !text[at..].contains(']') && text.len() - at < COVER_BYTES_MAX => at,
        _ => text.len(),
    }
}

fn follows_digit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_digit)
}

/// Where a number ends that begins here: digits with at most two characters between them.
fn end_of(bytes: &[u8], from: usize) -> usize {
    let (mut end, mut at) = (from + 1, from + 1);
    let mut between = 0;
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_digit() {
            (end, between) = (at + 1, 0);
        } else if BETWEEN.contains(byte) && between < 2 {
            between += 1;
        } else {
            break;
        }
        at += 1;
    }
    // A letter that follows makes a code of it, not a number.
    end
}

fn what(number: &str, before: &str) -> Option<What> {
    let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    let plus = number.starts_with('+');
    if !plus && (13..=19).contains(&digits.len()) && (2..=6).contains(&digits[0]) && luhn(&digits) {
        return Some(What::Card);
    }
    if !plus && (is_cuit(&digits) || is_cpf(&digits) || is_cnpj(&digits)) {
        return Some(What::Id);
    }
    if !plus && is_dni(number, &digits, before) {
        return Some(What::Id);
    }
    let long_enough = if plus { 8..=15 } else { 10..=15 };
    (long_enough.contains(&digits.len()) && !is_date(number)).then_some(What::Phone)
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let doubled = u32::from(*digit) * if place % 2 == 1 { 2 } else { 1 };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

fn weighed(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

/// AFIP: 11 digits, the last by modulus 11.
fn is_cuit(digits: &[u8]) -> bool {
    let kinds = [20, 23, 24, 25, 26, 27, 30, 33, 34];
    if digits.len() != 11 || !kinds.contains(&(digits[0] * 10 + digits[1])) {
        return false;
    }
    let check = match 11 - weighed(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        11 => 0,
        10 => 9,
        check => check,
    };
    u32::from(digits[10]) == check
}

fn brazilian(digits: &[u8], weights: &[u32]) -> u32 {
    match weighed(digits, weights) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}

/// Receita Federal: 9 digits and two check digits.
fn is_cpf(digits: &[u8]) -> bool {
    digits.len() == 11
        && digits.iter().any(|digit| *digit != digits[0])
        && u32::from(digits[9]) == brazilian(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2])
        && u32::from(digits[10]) == brazilian(digits, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])
}

/// Receita Federal: 12 digits and two check digits.
fn is_cnpj(digits: &[u8]) -> bool {
    digits.len() == 14
        && digits.iter().any(|digit| *digit != digits[0])
        && u32::from(digits[12]) == brazilian(digits, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
        && u32::from(digits[13]) == brazilian(digits, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
}

/// Seven or eight digits with dots, or behind a word that says so: there are no check digits.
fn is_dni(number: &str, digits: &[u8], before: &str) -> bool {
    if !(7..=8).contains(&digits.len()) {
        return false;
    }
    let groups: Vec<_> = number.split('.').collect();
    let dotted = groups.len() == 3 && groups[1].len() == 3 && groups[2].len() == 3 && groups[0].len() <= 2;
    let near = before.floor_char_boundary(before.len().saturating_sub(WORD_BYTES));
    let near = before[near..].to_lowercase();
    dotted || DNI_WORDS.iter().any(|word| near.contains(word))
}

/// A day, with or without an hour: those are asked about, and are nobody.
fn is_date(number: &str) -> bool {
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let day = number.split(' ').next().unwrap_or_default();
    ['-', '/', '.'].iter().any(|between| {
        let parts: Vec<_> = day.split(*between).collect();
        let [a, b, c] = parts[..] else { return false };
        let year_first = digits(a, 4) && b.len() <= 2 && c.len() <= 2;
        year_first || (a.len() <= 2 && b.len() <= 2 && digits(c, 4))
    })
}

#[cfg(test)]
#[path = "pseudonyms_tests.rs"]
mod tests;
