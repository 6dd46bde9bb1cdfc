//! The database in use, for all who read it and the one who writes it. A rewrite exchanges it under
//! them, and closing takes it from them, whoever still holds a handle.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ::sled::{Db, Tree};

use super::copy::Copy;
use super::files::Files;
use super::space::{Result, Space, broken};
use crate::error::StorageError;

pub(super) struct Live {
    current: Mutex<Option<Current>>,
    spaces: Mutex<Vec<Weak<Space>>>,
}

/// The database in use.
pub(super) struct Current {
    /// The number of its generation.
    pub(super) number: u64,
    pub(super) db: Db,
    pub(super) files: Arc<Mutex<Files>>,
    /// Its successor, while it is being written.
    pub(super) copy: Option<Copy>,
    /// Keeps other processes out.
    pub(super) _lock: File,
}

/// Keeps a database whose disk failed from ever being dropped. It costs the memory that it has, once per
/// failure; dropping it would wait for ever for what it can not write, and hold up every other database of
/// the process meanwhile.
pub(super) fn leak(db: &Db) {
    std::mem::forget(db.clone());
}

impl Drop for Live {
    /// A store that was not closed, as by a panic on the way: whether its database can still write is not known.
    fn drop(&mut self) {
        if let Some(current) = &*self.lock() {
            leak(&current.db);
        }
    }
}

impl Live {
    pub(super) fn new(current: Current) -> Self {
        Self { current: Mutex::new(Some(current)), spaces: Mutex::default() }
    }

    /// Whoever holds this is alone with the database: nothing is applied and nothing copied meanwhile.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database in use, and the number of its generation.
    pub(super) fn database(&self) -> Result<(Db, u64)> {
        let current = self.lock();
        current.as_ref().map(|current| (current.db.clone(), current.number)).ok_or(StorageError::Closed)
    }

    /// Opens one of the trees and makes a space of it that follows the database. `open` may take long,
    /// and nobody may write to the tree meanwhile.
    pub(super) fn space(&self, name: &[u8], open: impl FnOnce(Tree) -> Result<Space>) -> Result<Arc<Space>> {
        let opening = |db: &Db| db.open_tree(name).map_err(broken("opening a tree"));
        let (db, number) = self.database()?;
        let space = Arc::new(open(opening(&db)?)?);
        let current = self.lock();
        let current = current.as_ref().ok_or(StorageError::Closed)?;
        if current.number != number {
            space.follow(Some(opening(&current.db)?));
        }
        self.spaces().push(Arc::downgrade(&space));
        Ok(space)
    }

    /// Gives every space its tree of this database.
    pub(super) fn hand_over(&self, db: &Db) -> Result<()> {
        for space in self.spaces().iter().filter_map(Weak::upgrade) {
            let tree = db.open_tree(space.tree_name()).map_err(broken("opening a tree"))?;
            space.follow(Some(tree));
        }
        Ok(())
    }

    /// Takes the database from everybody: its folder is free once those who read just now have ended.
    pub(super) fn close(&self) {
        let current = self.lock().take();
        for space in self.spaces().drain(..).filter_map(|space| space.upgrade()) {
            space.follow(None);
        }
        drop(current);
    }

    fn spaces(&self) -> MutexGuard<'_, Vec<Weak<Space>>> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
