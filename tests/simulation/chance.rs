//! Chance that depends on what it is for and not on who asks first: so that threads that take turns
//! in another order do not change what happens.

use iassistance_domain::{Entropy, SeededEntropy};

/// A sequence of draws.
pub struct Chance(SeededEntropy);

impl Chance {
    /// The draws of a seed for this purpose.
    pub fn of(seed: u64, purpose: &str) -> Self {
        // FNV-1a.
        let hash = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let chance = Self(SeededEntropy::new(hash));
        // Neighbouring seeds differ in few bits; the first draw mixes them.
        chance.below(2);
        chance
    }

    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.0.up_to(end.max(1) - 1)
    }

    /// A number of these, both ends included.
    pub fn between(&self, first: u64, last: u64) -> u64 {
        first + self.0.up_to(last - first)
    }

    /// Whether something with this chance of a thousand happens.
    pub fn happens(&self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of these, by weight.
    pub fn weighed<T: Copy>(&self, choices: &[(u64, T)]) -> T {
        let sum = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.below(sum);
        for (weight, choice) in choices {
            if drawn < *weight {
                return *choice;
            }
            drawn -= weight;
        }
        choices[choices.len() - 1].1
    }
}
