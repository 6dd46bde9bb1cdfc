//! Documents and their passages, and golden questions.

use std::collections::BTreeMap;

use iassistance_domain::Timestamp;
use iassistance_domain::event::EventKind;
use iassistance_domain::golden::GoldenQuestion;
use iassistance_domain::id::DocumentId;
use iassistance_domain::knowledge::{Document, DocumentState, Passage};

use super::Result;
use super::tenant::TenantData;
use crate::error::StorageError;
use crate::limits::{DOCUMENTS_MAX, GOLDEN_MAX, PASSAGES_MAX};

impl TenantData {
    pub(super) fn put_document(&mut self, document: Document, now: Timestamp) -> Result<()> {
        let id = document.id;
        let others = self.documents.len();
        match self.documents.get_mut(&id) {
            Some((known, _)) => *known = document,
            None if document.state != DocumentState::Indexing => {
                return Err(StorageError::NotFound("document"));
            }
            None if others >= DOCUMENTS_MAX => {
                return Err(StorageError::Full { what: "documents", most: DOCUMENTS_MAX });
            }
            None => drop(self.documents.insert(id, (document, BTreeMap::new()))),
        }
        self.tell_of(id, false, now);
        Ok(())
    }

    pub(super) fn put_passages(&mut self, id: DocumentId, passages: Vec<Passage>) -> Result<()> {
        let others = self.documents.iter().filter(|(other, _)| **other != id);
        let others: usize = others.map(|(_, (_, passages))| passages.len()).sum();
        let (_, known) = self.documents.get_mut(&id).ok_or(StorageError::NotFound("document"))?;
        if others + passages.len() > PASSAGES_MAX {
            return Err(StorageError::Full { what: "passages of documents", most: PASSAGES_MAX });
        }
        let of_document = |passage: Passage| (passage.place, Passage { document: id, ..passage });
        *known = passages.into_iter().map(of_document).collect();
        Ok(())
    }

    pub(super) fn remove_document(&mut self, id: DocumentId, now: Timestamp) -> bool {
        let removed = self.documents.remove(&id).is_some();
        if removed {
            self.tell_of(id, true, now);
        }
        removed
    }

    fn tell_of(&mut self, document: DocumentId, removed: bool, now: Timestamp) {
        self.record(None, EventKind::KnowledgeChanged { document, removed }, now);
        self.publish();
    }

    pub(super) fn put_golden(&mut self, question: GoldenQuestion) -> Result<()> {
        if !self.golden.contains_key(&question.id) && self.golden.len() >= GOLDEN_MAX {
            return Err(StorageError::Full { what: "golden questions", most: GOLDEN_MAX });
        }
        self.golden.insert(question.id, question);
        Ok(())
    }
}
