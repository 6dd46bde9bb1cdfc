//! A database that is being written anew into another one, piece by piece, while it is written.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use ::sled::{Batch, Db, IVec, Tree};

use super::disk::Disk;
use super::live::leak;
use super::open::failed;
use super::space::{Result, broken};
use super::tx::Overlay;

/// A piece has about so many bytes, and no more rows than this: whoever writes waits for one at most.
const PIECE_BYTES: u64 = 16 * 1_024;
const PIECE_ROWS: u64 = 64;
/// What sled calls the tree that every database has.
const DEFAULT_TREE: &[u8] = b"__sled__default";

/// A copy in the making. Whatever is written to the old database while it is made must be mirrored, and
/// neither may be done while a piece is copied.
///
/// Each tree is gone through twice: for its keys alone, and then for what is at them. sled writes a leaf
/// whole when it splits it; with the keys there, no leaf that has records in it is split, and the new files
/// are little larger than what is in them. Otherwise they would be two and a half times as large.
pub(super) struct Copy {
    disk: Arc<dyn Disk>,
    new: Db,
    /// Trees that are copied, or are being copied.
    begun: HashMap<IVec, Tree>,
    waiting: Vec<IVec>,
    at: Option<At>,
    copied: Counted,
    failed: bool,
}

/// How far the tree is that is being copied.
struct At {
    tree: IVec,
    pass: Pass,
    /// The last key that was gone through.
    last: Option<IVec>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Keys,
    Records,
}

/// What is alive in a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) bytes: u64,
    pub(super) rows: u64,
}

impl Counted {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += (key.len() + value.len()) as u64;
        self.rows += 1;
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if self.failed {
            leak(&self.new);
        }
    }
}

impl Copy {
    /// A copy of `old` into `new`, which is empty. Nothing is copied yet.
    pub(super) fn new(disk: Arc<dyn Disk>, old: &Db, new: Db) -> Self {
        let waiting = trees_of(old);
        Self {
            disk,
            new,
            begun: HashMap::new(),
            waiting,
            at: None,
            copied: Counted::default(),
            failed: false,
        }
    }

    /// The new database could not write what it was given.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// The new database.
    pub(super) fn new_database(&self) -> &Db {
        &self.new
    }

    /// What was copied so far.
    pub(super) fn copied(&self) -> Counted {
        self.copied
    }

    /// Copies the next piece; says whether anything is left.
    pub(super) fn piece(&mut self, old: &Db) -> Result<bool> {
        self.copy_piece(old).inspect_err(|_| self.failed = true)
    }

    fn copy_piece(&mut self, old: &Db) -> Result<bool> {
        let At { tree: name, pass, last } = match (self.at.take(), self.waiting.pop()) {
            (Some(at), waiting) => {
                self.waiting.extend(waiting);
                at
            }
            (None, Some(tree)) => {
                let created = self.disk.apply(|| self.new.open_tree(&tree));
                let created = created.map_err(failed("creating a tree of the new database"))?;
                self.begun.insert(tree.clone(), created);
                At { tree, pass: Pass::Keys, last: None }
            }
            (None, None) => return Ok(false),
        };
        let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let old = old.open_tree(&name).map_err(broken("reading what is rewritten"))?;
        let (mut batch, mut rest, mut piece) = (Batch::default(), None, Counted::default());
        for row in old.range::<&[u8], _>((from, Bound::Unbounded)) {
            let (key, record) = row.map_err(broken("reading what is rewritten"))?;
            let record = if pass == Pass::Keys { IVec::default() } else { record };
            piece.add(&key, &record);
            batch.insert(&key, record);
            if piece.bytes >= PIECE_BYTES || piece.rows >= PIECE_ROWS {
                rest = Some(key);
                break;
            }
        }
        if let Some(tree) = self.begun.get(&name) {
            let applied = self.disk.apply(|| tree.apply_batch(batch.clone()));
            applied.map_err(failed("writing the new database"))?;
        }
        if pass == Pass::Records {
            self.copied.bytes += piece.bytes;
            self.copied.rows += piece.rows;
        }
        self.at = match (rest, pass) {
            (Some(last), pass) => Some(At { tree: name, pass, last: Some(last) }),
            (None, Pass::Keys) => Some(At { tree: name, pass: Pass::Records, last: None }),
            (None, Pass::Records) => None,
        };
        Ok(self.at.is_some() || !self.waiting.is_empty())
    }

    /// A tree that was created meanwhile.
    pub(super) fn mirror_tree(&mut self, name: &[u8]) {
        self.waiting.push(name.into());
    }

    /// What was changed meanwhile. What was not gone through yet will be as it is then.
    pub(super) fn mirror(&mut self, name: &[u8], changes: &Overlay) -> Result<()> {
        let Some(tree) = self.begun.get(name) else { return Ok(()) };
        let up_to = match &self.at {
            Some(At { tree, pass: Pass::Keys, last }) if **tree == *name => match last {
                Some(last) => Bound::Included(&**last),
                None => return Ok(()),
            },
            _ => Bound::Unbounded,
        };
        let batch = batch(changes.range::<[u8], _>((Bound::Unbounded, up_to)));
        let applied = self.disk.apply(|| tree.apply_batch(batch.clone()));
        self.failed |= applied.is_err();
        applied.map_err(failed("writing the new database"))
    }
}

/// The changes as sled takes them.
pub(super) fn batch<'a>(changes: impl IntoIterator<Item = (&'a IVec, &'a Option<IVec>)>) -> Batch {
    let mut batch = Batch::default();
    for (key, change) in changes {
        match change {
            Some(sealed) => batch.insert(key, sealed),
            None => batch.remove(key),
        }
    }
    batch
}

/// The trees that are ours.
pub(super) fn trees_of(db: &Db) -> Vec<IVec> {
    db.tree_names().into_iter().filter(|name| **name != *DEFAULT_TREE).collect()
}

#[cfg(test)]
mod tests {
    use super::super::disk::SystemDisk;
    use super::*;

    fn database() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().unwrap();
        let db = ::sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        (folder, db)
    }

    fn content(db: &Db) -> Vec<(IVec, Vec<(IVec, IVec)>)> {
        let mut trees = trees_of(db);
        trees.sort();
        let rows = |name: &IVec| db.open_tree(name).unwrap().iter().collect::<::sled::Result<_>>().unwrap();
        trees.iter().map(|name| (name.clone(), rows(name))).collect()
    }

    #[test]
    fn a_copy_is_what_the_original_became_meanwhile() {
        let ((_old_kept, old), (_new_kept, new)) = (database(), database());
        // Long, so that the keys alone are several pieces.
        let key = |tree: u8, number: u32| [&[tree][..], &number.to_be_bytes(), &[7; 1_000]].concat();
        for tree in 0..3_u8 {
            let opened = old.open_tree([tree]).unwrap();
            for number in 0..400_u32 {
                opened.insert(key(tree, number), vec![tree; 2_000]).unwrap();
            }
        }
        let (mut copy, mut pieces) = (Copy::new(Arc::new(SystemDisk), &old, new.clone()), 0_u32);
        loop {
            let more = copy.piece(&old).unwrap();
            pieces += 1;
            for tree in 0..3_u8 {
                let mut changes = Overlay::new();
                for number in 0..40_u32 {
                    let number = (number * 11 + pieces * 7) % 500;
                    let change = (number % 3 > 0).then(|| IVec::from(format!("{pieces}").as_str()));
                    changes.insert(key(tree, number).into(), change);
                }
                old.open_tree([tree]).unwrap().apply_batch(batch(&changes)).unwrap();
                copy.mirror(&[tree], &changes).unwrap();
            }
            if pieces == 3 {
                old.open_tree([9]).unwrap().insert("late", "tree").unwrap();
                copy.mirror_tree(&[9]);
            }
            if !more {
                break;
            }
        }
        assert!(pieces > 20, "{pieces} pieces");
        assert!(copy.copied().rows > 700 && copy.copied().bytes > 1_000_000);
        assert_eq!(content(&new), content(&old));
        assert_eq!(content(&new).len(), 4);
    }
}
