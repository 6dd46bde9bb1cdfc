//! Finding passages: by their words (BM25) and by their meaning (the cosine of embeddings), the two
//! orders joined by reciprocal ranks (Cormack, Clarke and Büttcher, 2009).

use std::collections::BTreeMap;
use std::sync::Arc;

use bm25::{Embedder, EmbedderBuilder, Scorer};
use iassistance_domain::id::DocumentId;
use iassistance_domain::knowledge::{Document, Passage};

use super::Found;
use super::stems::Stems;

/// The constant of reciprocal ranks: how little the first place counts above the next.
const RANK_OFFSET: f32 = 60.0;
/// How many places of each order are joined.
const PLACES_MAX: usize = 50;
/// What points further away than this has nothing to do with the question.
const COSINE_LEAST: f32 = 0.1;
/// How much of a question is read, characters.
const QUERY_CHARS_MAX: usize = 1_000;

/// The passages of a tenant, ready to be searched. Holds what documents say, so it has no `Debug`.
pub struct Index {
    entries: Vec<Entry>,
    words: Embedder<u32, Stems>,
    scorer: Scorer<u32, u32>,
    /// One after the other, each of length 1, for those entries that have one.
    vectors: Vec<f32>,
    dimensions: usize,
    bytes: usize,
}

struct Entry {
    title: Arc<str>,
    passage: Arc<Passage>,
    /// Which of the vectors is its own.
    vector: Option<usize>,
}

impl Index {
    /// Makes one of these passages: of those whose document is there. Embeddings count where they are
    /// of `embedding_model`, all of one length; others cannot be compared with a question's. It reads
    /// every word: not for a thread that answers.
    pub fn new(documents: &[Document], passages: Vec<Passage>, embedding_model: Option<&str>) -> Self {
        let titles: BTreeMap<DocumentId, Arc<str>> =
            documents.iter().map(|document| (document.id, Arc::from(&*document.title))).collect();
        let (mut entries, mut vectors, mut dimensions) = (Vec::new(), Vec::new(), 0);
        for mut passage in passages {
            let Some(title) = titles.get(&passage.document) else { continue };
            let embedding = std::mem::take(&mut passage.embedding);
            let usable = embedding_model.is_some() && passage.embedding_model.as_deref() == embedding_model;
            let unit = Some(embedding).filter(|_| usable).and_then(unit);
            let unit = unit.filter(|unit| dimensions == 0 || unit.len() == dimensions);
            let vector = unit.map(|unit| {
                dimensions = unit.len();
                vectors.extend(unit);
                vectors.len() / dimensions - 1
            });
            entries.push(Entry { title: Arc::clone(title), passage: Arc::new(passage), vector });
        }
        let texts: Vec<_> = entries.iter().map(Entry::text).collect();
        let borrowed: Vec<_> = texts.iter().map(String::as_str).collect();
        let words = EmbedderBuilder::with_tokenizer_and_fit_to_corpus(Stems::new(), &borrowed).build();
        let (mut scorer, mut stems) = (Scorer::new(), 0);
        for (place, text) in (0..).zip(&texts) {
            let embedded = words.embed(text);
            stems += embedded.len();
            scorer.upsert(&place, embedded);
        }
        let text_bytes: usize = texts.iter().map(String::len).sum();
        // A stem is in the passage and in the list of those that have it.
        let bytes = text_bytes + 4 * vectors.len() + 32 * stems + 200 * entries.len();
        Self { entries, words, scorer, vectors, dimensions, bytes }
    }

    /// How many passages there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether any can be found by its meaning: only then is a question's embedding of use.
    pub const fn by_meaning(&self) -> bool {
        !self.vectors.is_empty()
    }

    /// About how much memory it takes, bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The passages that fit best, the best first: by their words, and by their meaning where the
    /// question's is given and theirs is known. What is found has no embedding any more.
    pub fn search(&self, query: &str, query_embedding: Option<&[f32]>, limit: usize) -> Vec<Found> {
        let query: String = query.chars().take(QUERY_CHARS_MAX).collect();
        let by_words = self.scorer.matches(&self.words.embed(&query));
        let by_words = by_words.into_iter().map(|found| (found.id as usize, found.score)).collect();
        let by_meaning = query_embedding.map_or_else(Vec::new, |embedding| self.near(embedding));
        let mut joined: BTreeMap<usize, f32> = BTreeMap::new();
        for order in [by_words, by_meaning] {
            for (rank, place) in (0_u8..).zip(ordered(order)) {
                *joined.entry(place).or_default() += 1.0 / (RANK_OFFSET + 1.0 + f32::from(rank));
            }
        }
        let scores = joined.clone();
        let best = ordered(joined.into_iter().collect()).into_iter().take(limit);
        best.filter_map(|place| {
            let (entry, score) = (self.entries.get(place)?, scores.get(&place).copied()?);
            Some(Found { title: entry.title.to_string(), passage: Arc::clone(&entry.passage), score })
        })
        .collect()
    }

    fn near(&self, embedding: &[f32]) -> Vec<(usize, f32)> {
        let Some(query) = unit(embedding.to_vec()).filter(|query| query.len() == self.dimensions) else {
            return Vec::new();
        };
        let cosine = |vector: usize| {
            let from = vector * self.dimensions;
            let vector = &self.vectors[from..from + self.dimensions];
            vector.iter().zip(&query).map(|(left, right)| left * right).sum::<f32>()
        };
        let entries = self.entries.iter().enumerate();
        let near = entries.filter_map(|(place, entry)| Some((place, cosine(entry.vector?))));
        near.filter(|(_, cosine)| *cosine >= COSINE_LEAST).collect()
    }
}

impl Entry {
    /// What it is found by: a title says what its passages are about.
    fn text(&self) -> String {
        format!("{}\n{}", self.title, self.passage.text)
    }
}

/// Their places, the best first; equals in the order of the documents.
fn ordered(mut scored: Vec<(usize, f32)>) -> Vec<usize> {
    scored.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    scored.into_iter().take(PLACES_MAX).map(|(place, _)| place).collect()
}

/// The vector at length 1; nothing where it points nowhere.
fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
    if !length.is_finite() || length <= 0.0 {
        return None;
    }
    for part in &mut vector {
        *part /= length;
    }
    Some(vector)
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
