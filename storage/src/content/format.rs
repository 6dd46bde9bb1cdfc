//! How a file is laid out.
//!
//! ```text
//! "IAmf" │ format u8 │ owner u8 │ contact [16] │ mark [16] │ write [16] │ length u32 │ label, sealed │ frames …
//! └───────────────────────── head, readable and authenticated ─────────────────────┘
//! ```
//!
//! Numbers are big-endian. The label tells type, name and the size of a frame. Each frame is sealed by
//! itself, as the one that stands at its place in this writing of this file, and says whether it is the
//! last: what was altered, cut short, put in another order or taken from another file does not open.
//! All frames but the last are full; an empty file has one, which is empty.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use iassistance_domain::Mapped;
use iassistance_domain::Pii;
use iassistance_domain::id::{ContactId, MediaId};
use iassistance_vault::{ContentKey, MARK_BYTES, PART_OVERHEAD_BYTES, Part, PartKind, WRITE_BYTES};

use super::error::ContentError;
use super::{ContentOwner, Result};

const MAGIC: [u8; 4] = *b"IAmf";
const FORMAT: u8 = 1;
const OWNER_TENANT: u8 = 0;
const OWNER_CONTACT: u8 = 1;
/// What a frame holds.
pub(super) const FRAME_BYTES: usize = 64 << 10;
/// What a frame of a later version may hold: more is not taken into memory.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// A sealed label.
const LABEL_BYTES_MAX: usize = 16 << 10;

/// What stands readable at the beginning.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) owner: ContentOwner,
    pub(super) mark: [u8; MARK_BYTES],
    pub(super) write: [u8; WRITE_BYTES],
    /// The length of the sealed label.
    pub(super) label_len: usize,
}

impl Head {
    pub(super) const BYTES: usize = 4 + 1 + 1 + 16 + MARK_BYTES + WRITE_BYTES + 4;

    /// The head at the beginning of `bytes`; nothing if they begin otherwise.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let ([format, owner], rest) = rest.split_first_chunk::<2>()?;
        let (contact, rest) = rest.split_first_chunk::<16>()?;
        let (mark, rest) = rest.split_first_chunk::<MARK_BYTES>()?;
        let (write, rest) = rest.split_first_chunk::<WRITE_BYTES>()?;
        let (length, _) = rest.split_first_chunk::<4>()?;
        if *magic != MAGIC || *format != FORMAT {
            return None;
        }
        let owner = match *owner {
            OWNER_TENANT => ContentOwner::Tenant,
            OWNER_CONTACT => ContentOwner::Contact(ContactId::from_bytes(*contact)),
            _ => return None,
        };
        let label_len = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let known = (PART_OVERHEAD_BYTES..=LABEL_BYTES_MAX).contains(&label_len);
        known.then_some(Self { owner, mark: *mark, write: *write, label_len })
    }

    fn bytes(&self) -> [u8; Self::BYTES] {
        let (owner, contact) = match self.owner {
            ContentOwner::Tenant => (OWNER_TENANT, [0; 16]),
            ContentOwner::Contact(contact) => (OWNER_CONTACT, contact.to_bytes()),
        };
        // At most LABEL_BYTES_MAX, which is far below what 4 bytes can say.
        let length = u32::try_from(self.label_len).unwrap_or_default().to_be_bytes();
        let mut bytes = [0; Self::BYTES];
        let parts: [&[u8]; 6] = [&MAGIC, &[FORMAT, owner], &contact, &self.mark, &self.write, &length];
        let mut rest = &mut bytes[..];
        for part in parts {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = after;
        }
        bytes
    }

    /// Which part of the file something sealed is.
    pub(super) fn part<'a>(&self, media: MediaId, kind: PartKind<'a>) -> Part<'a> {
        Part { media, write: self.write, kind }
    }

    /// Opens the label.
    pub(super) fn open_label(&self, media: MediaId, key: &ContentKey, sealed: &[u8]) -> Result<Label> {
        if key.mark() != self.mark {
            return Err(ContentError::WrongKey { media });
        }
        let readable = self.bytes();
        let opened = key.open(self.part(media, PartKind::Header(&readable)), sealed).ok();
        let label: Option<Label> = opened.and_then(|json| serde_json::from_slice(&json).ok());
        label.filter(Label::is_sound).ok_or(ContentError::Damaged { media })
    }
}

/// What a file is.
#[derive(Serialize, Deserialize, Mapped)]
#[data(purpose = "deliver", basis = "contract", keep = "message")]
pub(super) struct Label {
    #[data(operational)]
    pub(super) mime: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(content)]
    pub(super) filename: Option<Pii<String>>,
    #[data(operational)]
    pub(super) frame_bytes: usize,
}

impl Label {
    pub(super) fn new(mime: String, filename: Option<Pii<String>>) -> Self {
        Self { mime, filename, frame_bytes: FRAME_BYTES }
    }

    fn is_sound(&self) -> bool {
        (1..=FRAME_BYTES_MAX).contains(&self.frame_bytes)
    }
}

/// How many frames there are, and how long.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    /// What a full one holds.
    each: usize,
    /// How many there are, at least one.
    count: u64,
    /// What all of them hold.
    pub(super) bytes_len: u64,
}

impl Frames {
    /// What the sealed frames must be, if all of them take `sealed` bytes; nothing if they cannot be.
    pub(super) fn of(label: &Label, sealed: u64) -> Option<Self> {
        let overhead = PART_OVERHEAD_BYTES as u64;
        let count = sealed.div_ceil(label.frame_bytes as u64 + overhead);
        let bytes_len = sealed.checked_sub(count.checked_mul(overhead)?)?;
        let needed = bytes_len.div_ceil(label.frame_bytes as u64).max(1);
        (count == needed).then_some(Self { each: label.frame_bytes, count, bytes_len })
    }

    /// Frame number `index`, from 0 on, and how many bytes it takes sealed; nothing after the last.
    pub(super) fn frame(&self, index: u64) -> Option<(PartKind<'static>, usize)> {
        let before = self.each as u64 * index;
        let holds =
            usize::try_from(self.bytes_len.saturating_sub(before)).unwrap_or(usize::MAX).min(self.each);
        let last = index + 1 == self.count;
        (index < self.count).then_some((PartKind::Frame { index, last }, holds + PART_OVERHEAD_BYTES))
    }
}

/// Seals a file as its bytes come.
pub(super) struct Sealer {
    key: ContentKey,
    media: MediaId,
    head: Head,
    /// What is not sealed yet: a frame is sealed when it is known whether it is the last.
    pending: Vec<u8>,
    index: u64,
}

impl Sealer {
    /// A sealer and what the file begins with.
    pub(super) fn begin(
        key: ContentKey,
        media: MediaId,
        owner: ContentOwner,
        label: &Label,
    ) -> Result<(Self, Bytes)> {
        let too_long = || ContentError::LabelTooLong { bytes_max: LABEL_BYTES_MAX };
        let json = serde_json::to_vec(label).map_err(|_| too_long())?;
        let label_len = json.len() + PART_OVERHEAD_BYTES;
        if label_len > LABEL_BYTES_MAX {
            return Err(too_long());
        }
        let head = Head { owner, mark: key.mark(), write: key.new_write(), label_len };
        let readable = head.bytes();
        let sealed = key.seal(head.part(media, PartKind::Header(&readable)), &json);
        let mut begin = readable.to_vec();
        begin.extend_from_slice(&sealed.map_err(|_| too_long())?);
        let sealer = Self { key, media, head, pending: Vec::new(), index: 0 };
        Ok((sealer, begin.into()))
    }

    /// Takes from `piece`; gives a sealed frame when one is full and more comes after it. Nothing
    /// when all of the piece is taken.
    pub(super) fn fill(&mut self, piece: &mut Bytes) -> Result<Option<Bytes>> {
        let room = FRAME_BYTES.saturating_sub(self.pending.len()).min(piece.len());
        self.pending.extend_from_slice(&piece.split_to(room));
        if piece.is_empty() {
            return Ok(None);
        }
        let frame = self.seal(false)?;
        self.pending.clear();
        self.index += 1;
        Ok(Some(frame))
    }

    /// The last frame.
    pub(super) fn finish(self) -> Result<Bytes> {
        self.seal(true)
    }

    fn seal(&self, last: bool) -> Result<Bytes> {
        let part = self.head.part(self.media, PartKind::Frame { index: self.index, last });
        // A frame is never too long for the cipher.
        self.key
            .seal(part, &self.pending)
            .map(Bytes::from)
            .map_err(|_| ContentError::Damaged { media: self.media })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iassistance_domain::SeededEntropy;
    use iassistance_domain::id::TenantId;

    use super::*;

    #[test]
    fn a_head_survives_its_bytes_and_others_are_refused() {
        let key = ContentKey::fleeting(TenantId::from_bytes([1; 16]), Arc::new(SeededEntropy::new(1)));
        for owner in [ContentOwner::Tenant, ContentOwner::Contact(ContactId::from_bytes([3; 16]))] {
            let head = Head { owner, mark: key.mark(), write: key.new_write(), label_len: 99 };
            let bytes = head.bytes();
            let read = Head::read(&bytes).unwrap();
            assert!(read.owner == owner && read.mark == head.mark && read.write == head.write);
            assert_eq!(read.label_len, 99);
            for short in 0..bytes.len() {
                assert!(Head::read(&bytes[..short]).is_none());
            }
            for place in [0, 4, 5] {
                let mut other = bytes;
                other[place] ^= 0x40;
                assert!(Head::read(&other).is_none(), "byte {place}");
            }
        }
        let long = Head { owner: ContentOwner::Tenant, mark: [0; 16], write: [0; 16], label_len: 1 << 20 };
        assert!(Head::read(&long.bytes()).is_none());
    }

    #[test]
    fn frames_add_up_to_the_file() {
        let label = Label { frame_bytes: 10, ..Label::new(String::new(), None) };
        let overhead = PART_OVERHEAD_BYTES as u64;
        for (bytes, count) in [(0, 1), (1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3)] {
            let frames = Frames::of(&label, bytes + count * overhead).unwrap();
            assert_eq!((frames.bytes_len, frames.count), (bytes, count));
            let sealed: usize = (0..).map_while(|index| frames.frame(index)).map(|(_, sealed)| sealed).sum();
            assert_eq!(sealed as u64, bytes + count * overhead);
        }
        for impossible in [0, overhead - 1, overhead + 10 + overhead - 1] {
            assert!(Frames::of(&label, impossible).is_none(), "{impossible}");
        }
    }
}
