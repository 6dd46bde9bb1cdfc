//! Mails that wait to be delivered.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::account::Language;
use crate::id::MailId;
use crate::{Pii, Timestamp};

/// A mail, ready to go, and how often it was tried.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "sign_in", basis = "contract", keep = "account")]
pub struct Mail {
    /// What tells it from others.
    #[data(id)]
    pub id: MailId,
    /// To which address.
    #[data(account)]
    pub email: Pii<String>,
    /// What its reader is called.
    #[data(account)]
    pub name: Pii<String>,
    /// What they read.
    #[data(account)]
    pub language: Language,
    /// Its subject: it says nothing of them.
    #[data(operational)]
    pub subject: String,
    /// What it says. A link in it may let somebody in.
    #[data(account)]
    pub text: Pii<String>,
    /// When it was written.
    #[data(operational)]
    pub at: Timestamp,
    /// From when on it is of no use any more.
    #[data(operational)]
    pub until: Timestamp,
    /// Tries so far.
    #[serde(default)]
    #[data(operational)]
    pub attempts: u32,
    /// When the next one is due.
    #[data(operational)]
    pub next_at: Timestamp,
}
