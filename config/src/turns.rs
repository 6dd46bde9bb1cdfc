//! What turns need: prices, tools, knowledge. What each setting means is said in `default.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What models cost.
#[derive(Debug, Clone, Deserialize)]
pub struct PriceSettings {
    /// In what the prices are given.
    pub currency: String,
    /// What any model costs that is not listed; without it such a model costs nothing.
    #[serde(default)]
    pub others: Option<ModelPrice>,
    /// What models cost, by the beginning of their names; the longest counts.
    #[serde(flatten)]
    pub models: BTreeMap<String, ModelPrice>,
}

impl PriceSettings {
    /// All prices.
    pub fn all(&self) -> impl Iterator<Item = &ModelPrice> {
        self.models.values().chain(&self.others)
    }
}

/// What a million tokens of a model cost.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// Of the prompt.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

impl ModelPrice {
    /// Whether both are amounts that can be counted with.
    pub fn is_sound(&self) -> bool {
        [self.input, self.output].iter().all(|price| (0.0..=1_000_000.0).contains(price))
    }

    /// Of the prompt, for a million tokens, in thousandths.
    pub fn input_thousandths(&self) -> u64 {
        thousandths(self.input)
    }

    /// Of the answer, for a million tokens, in thousandths.
    pub fn output_thousandths(&self) -> u64 {
        thousandths(self.output)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked by is_sound"
)]
fn thousandths(price: f64) -> u64 {
    // Prices below a thousandth for a million tokens count as one: free is only what is 0.
    (price * 1_000.0 - 1e-6).ceil().clamp(0.0, 1e9) as u64
}

/// The tools that tenants name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSettings {
    /// Hosts that tools may reach although they are private, over plain http too.
    pub private_hosts: Vec<String>,
    /// The largest answer of a tool that is read, bytes.
    pub answer_bytes_max: usize,
    /// Calls of tools in one turn.
    pub calls_per_turn_max: u32,
    /// Calls of tools under way at once.
    pub concurrency: usize,
}

/// The documents that tenants give.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnowledgeSettings {
    /// The largest document that is taken, bytes, and how much of its text is read, characters.
    pub document_bytes_max: usize,
    /// The largest document that is taken, bytes, and how much of its text is read, characters.
    pub characters_max: usize,
    /// Documents of a tenant, at most 500.
    pub documents_max: usize,
    /// Documents that are read at once.
    pub concurrency: usize,
    /// About how long a passage is, tokens.
    pub passage_tokens: usize,
    /// How many passages a search finds.
    pub found_max: usize,
    /// Tenants whose documents are held in memory, ready to be searched.
    pub indexes_max: usize,
}
