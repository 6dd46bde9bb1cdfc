//! How it is proven who asks: codes, documents, and the requests of the public page.

use serde::{Deserialize, Serialize};

use super::RightKind;
use crate::Mapped;
use crate::Timestamp;
use crate::audit::Actor;
use crate::id::{CaseId, ChannelId, ContactId, IntakeId, MessageId, TenantId};

/// How it was proven who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = IdentityProof))]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Proof {
    /// They had the code that was sent to them.
    Code {
        /// Whether they typed it on the page; else they answered with it.
        #[data(operational)]
        on_page: bool,
    },
    /// A document was seen. It is not kept, nor its number.
    Document {
        /// By whom.
        #[cfg_attr(feature = "schema", schema(value_type = Object))]
        #[data(parts)]
        seen_by: Actor,
        /// What kind of document.
        #[data(operational)]
        kind: String,
    },
}

/// A code that was sent to somebody, to prove that they are who they say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Challenge {
    /// A keyed hash of it.
    #[data(credential)]
    pub hash: String,
    /// When it was made.
    #[data(operational)]
    pub made_at: Timestamp,
    /// Until when it counts.
    #[data(operational)]
    pub expires_at: Timestamp,
    /// How many tries are left.
    #[data(operational)]
    pub tries_left: u8,
    /// The message that carries it, once it is on its way.
    #[serde(default)]
    #[data(id)]
    pub message: Option<MessageId>,
    /// Why it could not be sent, if so.
    #[serde(default)]
    #[data(operational)]
    pub not_sent: Option<String>,
    /// The last message of the conversation that was taken for a try, if any was: none is taken twice.
    #[serde(default)]
    #[data(id)]
    pub tried: Option<MessageId>,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It is the code, which counts no more.
    Right,
    /// It is not.
    Wrong,
    /// There is none that counts: it was used, its time or its tries are over.
    Over,
}

impl Challenge {
    /// A new one.
    pub const fn new(hash: String, now: Timestamp, lasts_ms: u64, tries: u8) -> Self {
        let expires_at = now.plus_millis(lasts_ms);
        Self { hash, made_at: now, expires_at, tries_left: tries, message: None, not_sent: None, tried: None }
    }

    /// Whether it may still be tried.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.tries_left > 0 && now < self.expires_at
    }

    /// Takes a try, which counts whatever it is. `same` compares without telling by its time.
    pub fn take(&mut self, hash: &str, now: Timestamp, same: impl Fn(&[u8], &[u8]) -> bool) -> Tried {
        // Compared in any case, so that it takes as long.
        let is_it = same(hash.as_bytes(), self.hash.as_bytes());
        if !self.is_open(now) {
            return Tried::Over;
        }
        self.tries_left -= 1;
        if is_it {
            self.tries_left = 0;
            Tried::Right
        } else {
            Tried::Wrong
        }
    }
}

/// A request of the public page. There is one for whoever asks for whomever, and all are alike: nobody learns by it
/// who is known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct Intake {
    /// Its identifier.
    #[data(id)]
    pub id: IntakeId,
    /// What is asked.
    #[data(operational)]
    pub kind: RightKind,
    /// When it came.
    #[data(operational)]
    pub at: Timestamp,
    /// When it is due.
    #[data(operational)]
    pub due_at: Timestamp,
    /// Of which client, where the address is one's.
    #[data(id)]
    pub tenant: Option<TenantId>,
    /// On which channel, likewise.
    #[data(id)]
    pub channel: Option<ChannelId>,
    /// Whom it names, where they are known.
    #[data(id)]
    pub contact: Option<ContactId>,
    /// The case that it led to.
    #[data(id)]
    pub case: Option<CaseId>,
    /// The code that proves it; one that nobody has, where nobody is known.
    #[data(parts)]
    pub challenge: Challenge,
    /// What lets the one who proved it back in.
    #[serde(default)]
    #[data(parts)]
    pub proven: Option<Proven>,
}

impl Intake {
    /// Whether it is kept no longer: it came before a moment, or before another and nobody proved it.
    pub fn is_over(&self, before: Timestamp, unproven_before: Timestamp) -> bool {
        self.at < before || (self.proven.is_none() && self.at < unproven_before)
    }
}

/// That a request's code was typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Proven {
    /// A keyed hash of what the browser keeps.
    #[data(credential)]
    pub hash: String,
    /// Until when it lets them in.
    #[data(operational)]
    pub until: Timestamp,
}
