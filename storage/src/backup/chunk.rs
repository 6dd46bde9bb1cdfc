//! What is in a file of records: which backup, its place there, then the records as they are stored.
//!
//! ```text
//! mark ‖ backup ‖ number ‖ ( 1 ‖ 0 or 1 ‖ tenant          the tree of what follows
//!                          | 2 ‖ key len ‖ len ‖ key ‖ record   a record
//!                          | 3 ‖ key len ‖ key )*               a record is there no more
//! ```
//!
//! Numbers are big-endian. A file that was put in the place of another says so itself.

use iassistance_domain::id::{BackupId, TenantId};

use super::error::BackupError;

const MARK: &[u8; 8] = b"iasbak1\n";
const SPACE: u8 = 1;
const PUT: u8 = 2;
const GONE: u8 = 3;
const HEAD_BYTES: usize = MARK.len() + 16 + 4;

/// A file of records that is being filled.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) records: u64,
    tree: Option<Tree>,
}

/// Whose tree; the platform's if nobody's.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Tree(Option<TenantId>);

impl Chunk {
    pub(super) fn new(backup: BackupId, number: u32) -> Self {
        let bytes = [&MARK[..], &backup.to_bytes(), &number.to_be_bytes()].concat();
        Self { bytes, records: 0, tree: None }
    }

    /// Adds a record, or that there is none any more.
    pub(super) fn add(
        &mut self,
        space: Option<TenantId>,
        key: &[u8],
        sealed: Option<&[u8]>,
    ) -> Result<(), BackupError> {
        if self.tree != Some(Tree(space)) {
            self.tree = Some(Tree(space));
            self.bytes.extend([SPACE, u8::from(space.is_some())]);
            self.bytes.extend(space.map(TenantId::to_bytes).unwrap_or_default());
        }
        let too_long = |_| BackupError::Place {
            doing: "writing a record",
            reason: "a key or a record is longer than a backup holds".to_owned(),
        };
        let key_length = u16::try_from(key.len()).map_err(too_long)?.to_be_bytes();
        match sealed {
            Some(sealed) => {
                let length = u32::try_from(sealed.len()).map_err(too_long)?.to_be_bytes();
                self.bytes.push(PUT);
                self.bytes.extend(key_length);
                self.bytes.extend(length);
                self.bytes.extend(key);
                self.bytes.extend(sealed);
            }
            None => {
                self.bytes.push(GONE);
                self.bytes.extend(key_length);
                self.bytes.extend(key);
            }
        }
        self.records += 1;
        Ok(())
    }
}

/// A record of a file, or that there is none any more.
pub(crate) struct Entry<'a> {
    /// Whose tree; the platform's if nobody's.
    pub(crate) space: Option<TenantId>,
    pub(crate) key: &'a [u8],
    pub(crate) sealed: Option<&'a [u8]>,
}

/// Reads a file of records; gives their number.
///
/// # Errors
/// What `each` says, and [`BackupError::Damaged`].
pub(super) fn read(
    name: &str,
    backup: BackupId,
    number: u32,
    bytes: &[u8],
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), BackupError>,
) -> Result<u64, BackupError> {
    let damaged = |reason: &str| BackupError::Damaged { file: name.to_owned(), reason: reason.to_owned() };
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(|| damaged("is too short"))?;
    if head != [&MARK[..], &backup.to_bytes(), &number.to_be_bytes()].concat() {
        return Err(damaged("belongs to another place or another backup"));
    }
    let mut reader = Reader { rest };
    let mut tree = None;
    let mut records = 0;
    while !reader.rest.is_empty() {
        let piece = reader.piece().ok_or_else(|| damaged("holds what is no record"))?;
        let (key, sealed) = match piece {
            Piece::Tree(its) => {
                tree = Some(its);
                continue;
            }
            Piece::Put(key, sealed) => (key, Some(sealed)),
            Piece::Gone(key) => (key, None),
        };
        let Tree(space) = tree.ok_or_else(|| damaged("does not say whose its records are"))?;
        each(Entry { space, key, sealed })?;
        records += 1;
    }
    Ok(records)
}

struct Reader<'a> {
    rest: &'a [u8],
}

enum Piece<'a> {
    Tree(Tree),
    Put(&'a [u8], &'a [u8]),
    Gone(&'a [u8]),
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// What comes next; nothing where it is damaged.
    fn piece(&mut self) -> Option<Piece<'a>> {
        match self.number::<1>()? {
            [SPACE] => {
                let [kind] = self.number()?;
                let tenant = TenantId::from_bytes(self.number()?);
                Some(Piece::Tree(Tree((kind == 1).then_some(tenant))))
            }
            [PUT] => {
                let key_length = u16::from_be_bytes(self.number()?);
                let length = usize::try_from(u32::from_be_bytes(self.number()?)).ok()?;
                Some(Piece::Put(self.take(key_length.into())?, self.take(length)?))
            }
            [GONE] => {
                let key_length = u16::from_be_bytes(self.number()?);
                Some(Piece::Gone(self.take(key_length.into())?))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (backup, tenant) = (BackupId::from_bytes([7; 16]), TenantId::from_bytes([3; 16]));
        let mut chunk = Chunk::new(backup, 4);
        chunk.add(None, b"a", Some(b"platform's")).unwrap();
        chunk.add(Some(tenant), b"b", Some(b"")).unwrap();
        chunk.add(Some(tenant), b"c", None).unwrap();
        let mut seen = Vec::new();
        let mut each = |entry: Entry<'_>| {
            seen.push((entry.space, entry.key.to_vec(), entry.sealed.map(<[u8]>::to_vec)));
            Ok(())
        };
        assert_eq!(read("f", backup, 4, &chunk.bytes, &mut each).unwrap(), 3);
        assert_eq!(
            seen,
            [
                (None, b"a".to_vec(), Some(b"platform's".to_vec())),
                (Some(tenant), b"b".to_vec(), Some(Vec::new())),
                (Some(tenant), b"c".to_vec(), None)
            ]
        );
    }

    #[test]
    fn what_is_cut_or_elsewhere_is_refused_and_nothing_panics() {
        let backup = BackupId::from_bytes([7; 16]);
        let mut chunk = Chunk::new(backup, 1);
        chunk.add(None, b"key", Some(b"a record")).unwrap();
        let whole = chunk.bytes;
        let refused = |number, bytes: &[u8]| read("f", backup, number, bytes, &mut |_| Ok(())).is_err();
        assert!(!refused(1, &whole));
        assert!(refused(2, &whole), "the place of another");
        for length in (0..whole.len()).filter(|length| *length != HEAD_BYTES) {
            // Cut behind the name of a tree it is whole, and the manifest counts its records.
            assert!(refused(1, &whole[..length]) || length == HEAD_BYTES + 18, "cut to {length}");
        }
    }
}
