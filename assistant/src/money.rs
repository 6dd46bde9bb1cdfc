//! What calls cost, and who says whether there is money for one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iassistance_domain::budget::{Cost, Price};
use iassistance_domain::turn::Usage;

/// What models cost, by their names.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    /// Each model's; what a name of the list begins is priced so too (`gpt-4.1-mini` prices
    /// `gpt-4.1-mini-2025-04-14`), the longest first.
    pub models: BTreeMap<String, Price>,
    /// Any other model's, if there is such a price.
    pub others: Option<Price>,
}

impl Prices {
    /// What a model costs.
    pub fn of(&self, model: &str) -> Option<Price> {
        let named = self.models.iter().rev().find(|(name, _)| model.starts_with(name.as_str()));
        named.map(|(_, price)| *price).or(self.others)
    }

    /// What this usage of a model costs, if the model has a price.
    pub fn cost(&self, model: &str, usage: Usage) -> Option<Cost> {
        self.of(model).map(|price| price.of(usage))
    }
}

/// Where the money for a turn's calls comes from. One reservation is open at a time.
#[async_trait]
pub trait Purse: Send + Sync {
    /// Sets money aside before a call: at most `most`, and nothing at all where less than `least` is
    /// left. Where there is no limit, it is `most`.
    async fn reserve(&self, least: Cost, most: Cost) -> Option<Cost>;
    /// Says what the call cost in the end; the rest is free again.
    async fn settle(&self, spent: Cost);
    /// Whether it never says no: then nothing needs to be set aside and nothing is told to it.
    fn is_unlimited(&self) -> bool {
        false
    }
}

/// A purse without an end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[async_trait]
impl Purse for Unlimited {
    async fn reserve(&self, _least: Cost, most: Cost) -> Option<Cost> {
        Some(most)
    }

    async fn settle(&self, _spent: Cost) {}

    fn is_unlimited(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_that_fits_prices_a_model() {
        let price = |input| Price { input, output: 2 * input };
        let models = [("gpt-4.1", price(2_000)), ("gpt-4.1-mini", price(400)), ("o", price(1))];
        let models = models.into_iter().map(|(name, price)| (name.to_owned(), price)).collect();
        let prices = Prices { models, others: None };
        assert_eq!(prices.of("gpt-4.1-mini-2025-04-14"), Some(price(400)));
        assert_eq!(prices.of("gpt-4.1-2025-04-14"), Some(price(2_000)));
        assert_eq!(prices.of("o3"), Some(price(1)));
        assert_eq!(prices.of("llama"), None);
        let usage = Usage { input_tokens: 1_000, output_tokens: 10 };
        assert_eq!(prices.cost("gpt-4.1-mini", usage), Some(Cost(408)));
        let others = Prices { others: Some(price(7)), ..prices };
        assert_eq!(others.of("llama"), Some(price(7)));
    }
}
