//! Answers to requests with a key of their own, in a queue: what is oldest goes first.

use iassistance_domain::Timestamp;
use iassistance_domain::answer::{KEPT_MS, StoredAnswer};

use super::keys::{ANSWER, ANSWER_ENDS, ANSWER_TURN, AnswerTurn, Key};
use super::space::{Read, Result, Space};
use super::tx::{Owner, Tx};
use crate::limits::{ANSWERS_MAX, LOG_ROWS};

impl Space {
    fn answer_key(&self, key: &str) -> Key<StoredAnswer> {
        ANSWER.key().id(self.hash("idempotency key", &[key.as_bytes()]))
    }

    pub(super) fn answer(&self, key: &str, now: Timestamp) -> Result<Option<StoredAnswer>> {
        let answer = self.get(&self.answer_key(key))?;
        Ok(answer.filter(|answer| now < answer.at.plus_millis(KEPT_MS)))
    }
}

impl Tx<'_> {
    pub(super) fn put_answer(&mut self, key: &str, answer: &StoredAnswer) -> Result<()> {
        let there = self.get_readable(&self.space.answer_key(key))?;
        if there.is_some_and(|there| there.at == answer.at) {
            // The same request, further on: it keeps its turn.
            return self.put(&self.space.answer_key(key), Owner::Tenant, answer);
        }
        let mut ends = self.get_readable(&ANSWER_ENDS.key())?.unwrap_or_default();
        if ends.next - ends.first >= ANSWERS_MAX {
            self.drop_answer(ends.first)?;
            ends.first += 1;
        }
        let hash = self.space.hash("idempotency key", &[key.as_bytes()]);
        self.put(&ANSWER_TURN.key().number(ends.next), Owner::Tenant, &AnswerTurn { hash, at: answer.at })?;
        ends.next += 1;
        self.put(&ANSWER_ENDS.key(), Owner::Tenant, &ends)?;
        self.put(&ANSWER.key().id(hash), Owner::Tenant, answer)
    }

    /// Drops an answer; its turn stays until it is the oldest.
    pub(super) fn remove_answer(&mut self, key: &str) -> Result<bool> {
        let answer = self.space.answer_key(key);
        self.remove(&answer)
    }

    /// Drops the oldest answers: all, or those that are a day past; at most 1,000. Says how many turns.
    pub(super) fn forget_answers(&mut self, now: Option<Timestamp>) -> Result<u64> {
        let Some(mut ends) = self.get_readable(&ANSWER_ENDS.key())? else { return Ok(0) };
        let mut forgotten = 0;
        while ends.first < ends.next && forgotten < LOG_ROWS as u64 {
            let turn = self.get_readable(&ANSWER_TURN.key().number(ends.first))?;
            if let (Some(now), Some(turn)) = (now, turn)
                && now < turn.at.plus_millis(KEPT_MS)
            {
                break;
            }
            self.drop_answer(ends.first)?;
            ends.first += 1;
            forgotten += 1;
        }
        if forgotten > 0 {
            self.put(&ANSWER_ENDS.key(), Owner::Tenant, &ends)?;
        }
        Ok(forgotten)
    }

    /// Drops a turn and its answer, unless that was given anew since.
    fn drop_answer(&mut self, number: u64) -> Result<()> {
        let turn = ANSWER_TURN.key().number(number);
        if let Some(AnswerTurn { hash, at }) = self.get_readable(&turn)? {
            let answer = ANSWER.key().id(hash);
            if self.get_readable(&answer)?.is_none_or(|answer| answer.at == at) {
                self.remove(&answer)?;
            }
        }
        self.remove(&turn).map(drop)
    }
}
