//! Knowledge: a tenant's documents, cut into passages that can be found by their words and by their
//! meaning.
//!
//! Works the same for Spanish, Portuguese and English, also mixed: words are compared without accents
//! and without their endings. Where no server gives meanings, passages are found by words alone.

mod index;
mod split;
mod stems;

use std::sync::Arc;

use async_trait::async_trait;
use iassistance_domain::knowledge::{Citation, Passage};

pub use self::index::Index;
pub use self::split::{PASSAGE_TOKENS, split, split_into};

/// A passage that was found. Holds what a document says, so it has no `Debug`.
#[derive(Clone)]
pub struct Found {
    /// The title of its document.
    pub title: String,
    /// The passage.
    pub passage: Arc<Passage>,
    /// How well it fits; only good for putting those of one search in order.
    pub score: f32,
}

impl Found {
    /// It, to be named in an execution record.
    pub fn citation(&self) -> Citation {
        Citation { document: self.passage.document, title: self.title.clone(), place: self.passage.place }
    }
}

/// Where the assistant looks things up: the documents of one tenant.
#[async_trait]
pub trait Knowledge: Send + Sync {
    /// The passages that fit best, the best first; or why there are none to be had, in words that can
    /// be shown.
    async fn search(&self, query: &str, limit: usize) -> Result<Vec<Found>, String>;
}
