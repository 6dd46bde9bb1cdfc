//! What is found when a store is examined, and what was done about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use iassistance_domain::Timestamp;
use iassistance_domain::id::TenantId;

use crate::content::ContentStore;

/// Findings that are told one by one; more are counted.
pub const FINDINGS_MAX: usize = 10_000;

/// How a store is examined.
#[derive(Clone, Default)]
pub struct Examination {
    /// Whether what is found is mended: indexes are made anew, a record that does not open is set aside.
    pub repair: bool,
    /// Whether what was set aside and opens now is put back first.
    pub put_back: bool,
    /// The files of messages, to look whether they are there; without them nobody looks.
    pub files: Option<ContentStore>,
}

/// How far an examination is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which tenant is being examined, from 1; 0 while it is the platform.
    pub tenant: usize,
    /// How many tenants there are.
    pub tenants: usize,
    /// How many records have been read.
    pub records: u64,
}

/// What an examination came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Records that open.
    pub records: u64,
    /// Records that are set aside, after the examination.
    pub set_aside: u64,
    /// Records that were put back.
    pub put_back: u64,
    /// How many findings there are.
    pub total: u64,
    /// How many of them are still as they were found, and mean that something is lost.
    pub unmended: u64,
    /// The first of them, at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
}

impl Findings {
    /// Adds a finding.
    pub(crate) fn push(&mut self, finding: Finding) {
        self.total += 1;
        self.unmended += u64::from(finding.is_unmended());
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// Something that is not as it should be. It names a record by its key, in which nothing is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Whose the record is; nothing for the platform's.
    pub tenant: Option<TenantId>,
    /// Its kind.
    pub kind: String,
    /// Its key, in hexadecimal.
    pub key: String,
    /// What is wrong with it.
    pub problem: Problem,
    /// What was done about it.
    pub outcome: Outcome,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// It does not open with its key: it was damaged, or its key is not there.
    DoesNotOpen,
    /// A later version wrote it: it is left as it is.
    Newer {
        /// Its schema.
        found: u16,
        /// The latest that this version knows.
        known: u16,
    },
    /// It is of a kind that this version does not know: it is left as it is.
    Unknown,
    /// What it says of itself is not what its key says.
    Misplaced,
    /// What it refers to is not there.
    Missing {
        /// What that is.
        what: String,
    },
    /// An index or a count says something else.
    Disagrees {
        /// Which.
        what: String,
    },
    /// It counts for nothing: a crash left it.
    Leftover,
}

/// What was done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing.
    Left,
    /// The record was set aside: it is out of the way and can be put back.
    SetAside,
    /// It, or the index, was made anew.
    Mended,
}

impl Finding {
    /// Whether it is still as it was found and means that something is lost.
    pub fn is_unmended(&self) -> bool {
        self.outcome == Outcome::Left && self.problem != Problem::Leftover
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotOpen => to.write_str("does not open"),
            Self::Newer { found, known } => {
                write!(to, "is of schema {found}, and this version knows up to {known}: a later one wrote it")
            }
            Self::Unknown => to.write_str("is of no kind that this version knows"),
            Self::Misplaced => to.write_str("says of itself something else than its key does"),
            Self::Missing { what } => write!(to, "refers to a {what} that is not there"),
            Self::Disagrees { what } => write!(to, "does not agree with its {what}"),
            Self::Leftover => to.write_str("counts for nothing any more"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenant {
            Some(tenant) => write!(to, "{tenant}")?,
            None => to.write_str("platform")?,
        }
        write!(to, ": the record of kind `{}` at key {} {}", self.kind, self.key, self.problem)?;
        match self.outcome {
            Outcome::Left => Ok(()),
            Outcome::SetAside => to.write_str("; it was set aside"),
            Outcome::Mended => to.write_str("; that was mended"),
        }
    }
}

/// A record that is out of the way because it does not open. What it holds is sealed and is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The key that it had, in hexadecimal.
    pub key: String,
    /// Its kind.
    pub kind: String,
    /// How long it is, bytes.
    pub bytes: u64,
    /// When it was set aside.
    pub at: Timestamp,
}
