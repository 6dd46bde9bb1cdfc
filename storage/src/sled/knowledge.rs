//! Documents and their passages, and golden questions.
//!
//! A document's passages may be many megabytes, and are written in parts, so that nobody else waits for
//! all of them. Each time they are replaced they are a new edition; the document's record says which
//! one counts, and the former one goes afterwards. What a crash leaves of an edition counts for nothing
//! and goes with the next one, or with the document.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use iassistance_domain::Mapped;
use iassistance_domain::Timestamp;
use iassistance_domain::event::EventKind;
use iassistance_domain::golden::GoldenQuestion;
use iassistance_domain::id::DocumentId;
use iassistance_domain::knowledge::{Document, DocumentState, Passage};

use super::keys::{self, DOCUMENT, GOLDEN, PASSAGE, id_in, number_in};
use super::line::Urgency;
use super::space::{Page, Read, Result, Space};
use super::tx::{Owner, Tx};
use super::writer::Writer;
use crate::error::StorageError;
use crate::limits::{DOCUMENTS_MAX, GOLDEN_MAX, PASSAGES_MAX};

/// Passages that one write puts.
const PUT_ROWS: usize = 32;
/// Passages that one write removes.
const FORGET_ROWS: usize = 256;

/// A document at rest.
#[derive(Serialize, Deserialize, Mapped)]
#[data(purpose = "reply", basis = "contract", keep = "setting")]
pub(super) struct StoredDocument {
    #[data(parts)]
    pub(super) document: Document,
    /// The edition of its passages that counts; none while it is 0.
    #[data(setting)]
    edition: u64,
    /// The latest edition that was begun.
    #[data(setting)]
    begun: u64,
    /// How many passages it has, or will have.
    #[data(setting)]
    passages: usize,
}

impl StoredDocument {
    /// The edition of its passages that counts, and how many those are; nothing while there is none.
    pub(super) fn counted(&self) -> Option<(u64, usize)> {
        (self.edition > 0 && self.edition == self.begun).then_some((self.edition, self.passages))
    }

    /// Whether passages of an edition count, or may come to count.
    pub(super) fn may_count(&self, edition: u64) -> bool {
        edition >= self.edition && edition <= self.begun
    }
}

/// A passage at rest. Its key says of which document, and where in it.
#[derive(Serialize, Deserialize, Mapped)]
#[data(purpose = "reply", basis = "contract", keep = "setting")]
pub(super) struct StoredPassage {
    #[data(setting)]
    text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "packed")]
    #[data(setting, leaf)]
    embedding: Vec<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(setting)]
    embedding_model: Option<String>,
}

/// Numbers as their bytes: in digits they would be three times as long.
mod packed {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(numbers: &[f32], to: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        to.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let bytes = STANDARD_NO_PAD.decode(&*text).map_err(D::Error::custom)?;
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(D::Error::custom("part of a number"));
        }
        Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

impl Tx<'_> {
    pub(super) fn put_document(&mut self, document: Document, now: Timestamp) -> Result<()> {
        let id = document.id;
        let key = keys::document(id);
        let stored = match self.get_readable(&key)? {
            Some(stored) => StoredDocument { document, ..stored },
            None if document.state != DocumentState::Indexing => {
                return Err(StorageError::NotFound("document"));
            }
            None => {
                if !self.has(&key)?
                    && self.rows(DOCUMENT.key().bytes(), DOCUMENTS_MAX)?.len() == DOCUMENTS_MAX
                {
                    return Err(StorageError::Full { what: "documents", most: DOCUMENTS_MAX });
                }
                StoredDocument { document, edition: 0, begun: 0, passages: 0 }
            }
        };
        self.put(&key, Owner::Tenant, &stored)?;
        self.record(None, EventKind::KnowledgeChanged { document: id, removed: false }, now)
    }

    pub(super) fn remove_document(&mut self, id: DocumentId, now: Timestamp) -> Result<bool> {
        let removed = self.remove(&keys::document(id))?;
        if removed {
            self.record(None, EventKind::KnowledgeChanged { document: id, removed: true }, now)?;
        }
        Ok(removed)
    }

    /// Begins a new edition of a document's passages.
    fn begin_edition(&mut self, id: DocumentId, passages: usize) -> Result<u64> {
        let key = keys::document(id);
        let mut stored = self.get(&key)?.ok_or(StorageError::NotFound("document"))?;
        let documents = self.list(&DOCUMENT.key(), usize::MAX)?;
        let others = documents.iter().filter(|(_, other)| other.document.id != id);
        if others.map(|(_, other)| other.passages).sum::<usize>() + passages > PASSAGES_MAX {
            return Err(StorageError::Full { what: "passages of documents", most: PASSAGES_MAX });
        }
        // A document whose record was lost counts anew, beside what is left of its passages.
        let left = self.space.rows(keys::passages(id).bytes(), Page::Last, 1)?.pop();
        let left = left.and_then(|(key, _)| number_in(&key, 17)).unwrap_or_default();
        stored.begun = stored.begun.max(left) + 1;
        stored.passages = stored.passages.max(passages);
        self.put(&key, Owner::Tenant, &stored)?;
        Ok(stored.begun)
    }

    /// Puts a part of an edition, unless a later one counts already; says whether it did.
    fn put_part(&mut self, id: DocumentId, edition: u64, part: Vec<Passage>) -> Result<bool> {
        let stored = self.get(&keys::document(id))?.ok_or(StorageError::NotFound("document"))?;
        if stored.edition > edition {
            return Ok(false);
        }
        for Passage { place, text, embedding, embedding_model, .. } in part {
            let passage = StoredPassage { text, embedding, embedding_model };
            self.put(&keys::passage(id, edition, place), Owner::Tenant, &passage)?;
        }
        Ok(true)
    }

    /// From now on an edition counts, unless a later one does.
    fn end_edition(&mut self, id: DocumentId, edition: u64, passages: usize) -> Result<()> {
        let key = keys::document(id);
        let stored = self.get(&key)?.ok_or(StorageError::NotFound("document"))?;
        if stored.edition > edition {
            return Ok(());
        }
        self.put(&key, Owner::Tenant, &StoredDocument { edition, passages, ..stored })
    }

    /// Removes some passages of former editions, or of a document that is gone; says whether there may
    /// be more.
    pub(super) fn forget_passages(&mut self, id: DocumentId) -> Result<bool> {
        let key = keys::document(id);
        let counts = match self.get_readable(&key)? {
            Some(stored) => stored.edition,
            None if self.has(&key)? => 0,
            None => u64::MAX,
        };
        let mut rows = self.rows(keys::passages(id).bytes(), FORGET_ROWS)?;
        rows.retain(|(key, _)| number_in(key, 17).is_none_or(|edition| edition < counts));
        for (key, _) in &rows {
            self.remove_row(key)?;
        }
        Ok(rows.len() == FORGET_ROWS)
    }

    pub(super) fn put_golden(&mut self, question: &GoldenQuestion) -> Result<()> {
        let key = keys::golden(question.id);
        if !self.has(&key)? && self.rows(GOLDEN.key().bytes(), GOLDEN_MAX)?.len() == GOLDEN_MAX {
            return Err(StorageError::Full { what: "golden questions", most: GOLDEN_MAX });
        }
        self.put(&key, Owner::Tenant, question)
    }
}

impl Writer {
    pub(super) async fn put_passages(
        &self,
        space: &Arc<Space>,
        id: DocumentId,
        mut passages: Vec<Passage>,
    ) -> Result<()> {
        let number = passages.len();
        let edition = self.write(space, move |tx| tx.begin_edition(id, number)).await?;
        while !passages.is_empty() {
            let rest = passages.split_off(PUT_ROWS.min(passages.len()));
            let part = std::mem::replace(&mut passages, rest);
            let put = move |tx: &mut Tx<'_>| tx.put_part(id, edition, part);
            if !self.write_as(Urgency::Patient, space, put).await? {
                break;
            }
        }
        self.write(space, move |tx| tx.end_edition(id, edition, number)).await?;
        self.forget_passages(space, id).await
    }

    /// Removes what counts for nothing of a document's passages.
    pub(super) async fn forget_passages(&self, space: &Arc<Space>, id: DocumentId) -> Result<()> {
        while self.write_as(Urgency::Patient, space, move |tx| tx.forget_passages(id)).await? {}
        Ok(())
    }
}

impl Space {
    pub(super) fn documents(&self) -> Result<Vec<Document>> {
        let stored = self.list(&DOCUMENT.key(), Page::First, usize::MAX)?;
        Ok(stored.into_iter().map(|(_, stored)| stored.document).collect())
    }

    /// All passages that count. Blocking.
    pub(super) fn passages(&self) -> Result<Vec<Passage>> {
        let mut passages = Vec::new();
        for (_, stored) in self.list(&DOCUMENT.key(), Page::First, usize::MAX)? {
            let mut counts = Some(stored);
            while let Some(StoredDocument { document: Document { id: document, .. }, edition, .. }) = counts {
                let prefix = keys::passages(document).number(edition);
                let found = self.list(&prefix, Page::First, usize::MAX)?;
                // An edition is whole as long as it counts.
                counts = self.get_readable(&keys::document(document))?.filter(|now| now.edition != edition);
                if counts.is_none() && self.has(&keys::document(document))? {
                    passages.extend(found.into_iter().map(|(key, stored)| Passage {
                        document,
                        place:
                            number_in(&key, 25).and_then(|place| place.try_into().ok()).unwrap_or_default(),
                        text: stored.text,
                        embedding: stored.embedding,
                        embedding_model: stored.embedding_model,
                    }));
                }
            }
        }
        Ok(passages)
    }

    /// Documents that are gone and have passages: a crash may leave them. Blocking.
    pub(super) fn forsaken_passages(&self) -> Result<Vec<DocumentId>> {
        let mut forsaken = Vec::new();
        let mut last: Option<Vec<u8>> = None;
        loop {
            let page = last.as_deref().map_or(Page::First, Page::After);
            let row = self.rows(PASSAGE.key().bytes(), page, 1)?.pop();
            let Some(id) = row.and_then(|(key, _)| id_in(&key, 1)).map(DocumentId::from_bytes) else {
                return Ok(forsaken);
            };
            if !self.has(&keys::document(id))? {
                forsaken.push(id);
            }
            last = Some(keys::passage(id, u64::MAX, u32::MAX).bytes().to_vec());
        }
    }
}
