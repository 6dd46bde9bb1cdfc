//! Whether a chain of the audit log is as it was written: in the store, or in a file that was exported from
//! it, which whoever has the verifier's key checks without us.
//!
//! A chain by itself shows edits, deletions and another order. That it was not written anew from the
//! beginning, nor cut at its end, is shown by its checkpoints: signed, and kept elsewhere too.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use iassistance_domain::Timestamp;
use iassistance_domain::audit::{Checkpoint, SealedAudit};
use iassistance_domain::id::TenantId;
use iassistance_vault::{NoteSigner, NoteVerifier};

use crate::error::StorageError;
use crate::trail::{Trail, link};

/// What an exported file says that it is.
pub const FORMAT: &str = "iassistance audit v1";
/// So many faults are told one by one; the others are counted.
const FAULTS_MAX: usize = 100;
/// Entries, or checkpoints, that are read at once.
const PAGE: usize = 500;
/// The longest line of a file, bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum ChainFault {
    /// An entry is not where it must be.
    Missing {
        /// Its place.
        seq: u64,
    },
    /// An entry is not what its hash says.
    Altered {
        /// Its place.
        seq: u64,
    },
    /// An entry does not follow the one before.
    Unlinked {
        /// Its place.
        seq: u64,
    },
    /// An entry does not open.
    Unopened {
        /// Its place.
        seq: u64,
    },
    /// A checkpoint was not signed by this key, or not as it stands.
    BadCheckpoint {
        /// The place that it names.
        seq: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A checkpoint vouches for another entry at this place.
    Rewritten {
        /// The place.
        seq: u64,
    },
    /// A checkpoint vouches for an entry behind the last one there is.
    CutShort {
        /// The place that it vouches for.
        seq: u64,
        /// The last one there is.
        last: u64,
    },
    /// No checkpoint vouches for the entries from here on.
    Unvouched {
        /// The first of them.
        from: u64,
    },
    /// A line of the file cannot be read, or stands where it must not.
    BadLine {
        /// Its number, from 1.
        line: u64,
    },
    /// The file has no end.
    NoEnd,
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { seq } => write!(f, "entry {seq} is not there, or not in its place"),
            Self::Altered { seq } => write!(f, "entry {seq} was altered: it is not what its hash says"),
            Self::Unlinked { seq } => write!(f, "entry {seq} does not follow the one before it"),
            Self::Unopened { seq } => write!(f, "entry {seq} does not open"),
            Self::BadCheckpoint { seq, why } => write!(f, "the checkpoint at {seq} proves nothing: {why}"),
            Self::Rewritten { seq } => {
                write!(f, "the chain was written anew: a checkpoint vouches for another entry at {seq}")
            }
            Self::CutShort { seq, last } => {
                write!(f, "the chain was cut: it ends at {last}, and a checkpoint vouches for entry {seq}")
            }
            Self::Unvouched { from } => write!(f, "no checkpoint vouches for the entries from {from} on"),
            Self::BadLine { line } => write!(f, "line {line} is not one of an export, or not in its place"),
            Self::NoEnd => write!(f, "the file was cut: its last line is not there"),
        }
    }
}

/// What came of checking a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainVerdict {
    /// Whose chain; nothing for the platform's.
    pub tenant: Option<TenantId>,
    /// How many entries were read.
    pub entries: u64,
    /// Up to which place a checkpoint vouches for them; 0: for none.
    pub vouched_to: u64,
    /// How many faults there are.
    pub total: u64,
    /// The first of them.
    pub faults: Vec<ChainFault>,
}

impl ChainVerdict {
    /// Whether nothing is wrong.
    pub const fn is_sound(&self) -> bool {
        self.total == 0
    }
}

/// The text that a checkpoint's note signs.
fn checkpoint_text(tenant: Option<TenantId>, seq: u64, hash: &[u8; 32], at: Timestamp) -> String {
    let chain = tenant.map_or_else(|| "platform".to_owned(), |tenant| tenant.to_string());
    format!("iassistance/audit/{chain}\n{seq}\n{}\n{}\n", STANDARD.encode(hash), at.to_rfc3339())
}

/// A checkpoint: the platform vouches that this entry is at this place.
pub fn checkpoint(
    signer: &NoteSigner,
    tenant: Option<TenantId>,
    (seq, hash): (u64, [u8; 32]),
    at: Timestamp,
) -> Checkpoint {
    let note = signer.sign(&checkpoint_text(tenant, seq, &hash, at));
    Checkpoint { tenant, seq, hash, at, note, key_id: signer.verifier().to_string() }
}

/// Goes through a chain, its checkpoints first and then its entries in their order.
pub struct ChainCheck<'a> {
    verifier: &'a NoteVerifier,
    vouched: BTreeMap<u64, [u8; 32]>,
    last: u64,
    hash: [u8; 32],
    verdict: ChainVerdict,
}

impl<'a> ChainCheck<'a> {
    /// Begins with a chain.
    pub const fn new(tenant: Option<TenantId>, verifier: &'a NoteVerifier) -> Self {
        let verdict = ChainVerdict { tenant, entries: 0, vouched_to: 0, total: 0, faults: Vec::new() };
        Self { verifier, vouched: BTreeMap::new(), last: 0, hash: [0; 32], verdict }
    }

    fn fault(&mut self, fault: ChainFault) {
        self.verdict.total += 1;
        if self.verdict.faults.len() < FAULTS_MAX {
            self.verdict.faults.push(fault);
        }
    }

    /// Takes a checkpoint in.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) {
        let Checkpoint { tenant, seq, hash, at, note, .. } = checkpoint;
        let seq = *seq;
        let text = match self.verifier.open(note) {
            Ok(text) => text,
            Err(bad) => return self.fault(ChainFault::BadCheckpoint { seq, why: bad.to_string() }),
        };
        if *tenant != self.verdict.tenant || text != checkpoint_text(*tenant, seq, hash, *at) {
            let why = "it says something else than what was signed, or is another chain's".to_owned();
            return self.fault(ChainFault::BadCheckpoint { seq, why });
        }
        if self.vouched.insert(seq, *hash).is_some_and(|before| before != *hash) {
            self.fault(ChainFault::Rewritten { seq });
        }
    }

    /// Goes on to an entry.
    pub fn entry(&mut self, entry: &SealedAudit) {
        let SealedAudit { seq, sealed, previous, hash } = entry;
        let (seq, expected) = (*seq, self.last.saturating_add(1));
        if seq != expected {
            self.fault(ChainFault::Missing { seq: expected });
        } else if *previous != self.hash {
            self.fault(ChainFault::Unlinked { seq });
        }
        if link(self.verdict.tenant, seq, previous, sealed) != *hash {
            self.fault(ChainFault::Altered { seq });
        }
        match self.vouched.get(&seq) {
            Some(vouched) if vouched != hash => self.fault(ChainFault::Rewritten { seq }),
            Some(_) => self.verdict.vouched_to = self.verdict.vouched_to.max(seq),
            None => {}
        }
        self.verdict.entries += 1;
        (self.last, self.hash) = (seq, *hash);
    }

    /// What came of it. Where all must be vouched for, entries behind the last checkpoint are a fault.
    pub fn finish(mut self, all_vouched: bool) -> ChainVerdict {
        let last = self.last;
        if let Some((&seq, _)) = self.vouched.last_key_value().filter(|(seq, _)| **seq > last) {
            self.fault(ChainFault::CutShort { seq, last });
        }
        if all_vouched && self.verdict.vouched_to < last {
            self.fault(ChainFault::Unvouched { from: self.verdict.vouched_to + 1 });
        }
        self.verdict
    }
}

/// Checks a chain in the store: against its own checkpoints, and against those that were kept elsewhere.
/// Entries that came after the last checkpoint are no fault.
pub async fn check_stored(
    trail: &dyn Trail,
    tenant: Option<TenantId>,
    verifier: &NoteVerifier,
    elsewhere: &[Checkpoint],
) -> Result<ChainVerdict, StorageError> {
    let mut check = ChainCheck::new(tenant, verifier);
    for checkpoint in elsewhere.iter().filter(|checkpoint| checkpoint.tenant == tenant) {
        check.checkpoint(checkpoint);
    }
    let mut before = None;
    loop {
        let page = trail.checkpoints(tenant, before, PAGE).await?;
        for checkpoint in &page {
            check.checkpoint(checkpoint);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => before = Some(last.seq),
            _ => break,
        }
    }
    let mut after = 0;
    loop {
        let page = trail.sealed_audit(tenant, after, PAGE).await?;
        let opened = trail.audit_after(tenant, after, PAGE).await?;
        for entry in &page {
            check.entry(entry);
            if !opened.iter().any(|it| it.seq == entry.seq) {
                check.fault(ChainFault::Unopened { seq: entry.seq });
            }
        }
        match page.last() {
            // What is out of order must not be read for ever.
            Some(last) if page.len() == PAGE && last.seq > after => after = last.seq,
            _ => break,
        }
    }
    // The head is written with every entry: an entry that is gone from the end shows by it at once.
    if let Some((seq, _)) = trail.audit_head(tenant).await?.filter(|(seq, _)| *seq > check.last) {
        let last = check.last;
        check.fault(ChainFault::CutShort { seq, last });
    }
    Ok(check.finish(false))
}

/// A line of an exported file: a header, the checkpoints, the entries in their order, and the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum ExportLine {
    /// The first.
    Header {
        /// [`FORMAT`].
        format: String,
        /// Whose chain; nothing for the platform's.
        tenant: Option<TenantId>,
        /// When it was exported.
        at: Timestamp,
        /// The verifier's key. Whoever checks has it from elsewhere.
        key: String,
    },
    /// A checkpoint.
    Checkpoint(Checkpoint),
    /// An entry, sealed.
    Entry(SealedAudit),
    /// The last.
    End {
        /// How many entries there are.
        entries: u64,
    },
}

/// Checks an exported file by a key that was had from elsewhere.
///
/// # Errors
/// When the file cannot be read.
pub fn check_exported(file: impl BufRead, verifier: &NoteVerifier) -> io::Result<ChainVerdict> {
    let mut lines = Lines { file, number: 0 };
    let Some(ExportLine::Header { format, tenant, .. }) = lines.next()? else {
        return Ok(unreadable(verifier));
    };
    if format != FORMAT {
        return Ok(unreadable(verifier));
    }
    let mut check = ChainCheck::new(tenant, verifier);
    let (mut ended, mut entries) = (false, 0_u64);
    while !lines.is_over()? {
        let line = lines.number + 1;
        match lines.next()? {
            Some(ExportLine::Checkpoint(checkpoint)) if entries == 0 && !ended => {
                check.checkpoint(&checkpoint);
            }

            Some(ExportLine::Entry(entry)) if !ended => {
                entries += 1;
                check.entry(&entry);
            }
            Some(ExportLine::End { entries: told }) if !ended && told == entries => ended = true,
            _ => check.fault(ChainFault::BadLine { line }),
        }
    }
    if !ended {
        check.fault(ChainFault::NoEnd);
    }
    Ok(check.finish(true))
}

fn unreadable(verifier: &NoteVerifier) -> ChainVerdict {
    let mut check = ChainCheck::new(None, verifier);
    check.fault(ChainFault::BadLine { line: 1 });
    check.finish(true)
}

/// The lines of a file, none longer than it may be.
struct Lines<R> {
    file: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn is_over(&mut self) -> io::Result<bool> {
        self.file.fill_buf().map(<[u8]>::is_empty)
    }

    /// The next line, if it is one of an export.
    fn next(&mut self) -> io::Result<Option<ExportLine>> {
        self.number += 1;
        let mut line = Vec::new();
        io::Read::take(&mut self.file, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line).ok())
    }
}
