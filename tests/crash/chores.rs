//! Work that a server does beside its messages, and in which kills come too: a backup, a check of the
//! whole store. What the binary does not offer is left out.

use std::collections::BTreeMap;

use iassistance_domain::{Entropy, SeededEntropy};
use serde_json::Value;

use crate::system::System;

/// What is asked for, by its route.
const ROUTES: [&str; 2] = ["/v1/backups", "/v1/checks"];
/// One in so many lives has none.
const NONE_ONE_IN: u64 = 3;

/// What there is to do, and how often it was begun.
#[derive(Default)]
pub struct Chores {
    offered: Vec<&'static str>,
    pub begun: BTreeMap<&'static str, u64>,
}

impl Chores {
    /// Those that the binary's own description of its interface has.
    pub fn offered(description: &Value) -> Self {
        let offers = |route: &&str| description["paths"][*route].get("post").is_some();
        Self { offered: ROUTES.into_iter().filter(offers).collect(), begun: BTreeMap::new() }
    }

    /// Begins one of them, if there is any.
    pub async fn one(&mut self, system: &System, entropy: &SeededEntropy) {
        let (drawn, none) = (entropy.up_to(1_000), entropy.up_to(NONE_ONE_IN - 1) == 0);
        let count = self.offered.len() as u64;
        if none || count == 0 {
            return;
        }
        let route = self.offered[usize::try_from(drawn % count).unwrap()];
        // It may be under way already, or the server may be gone.
        if system.begins(route).await {
            *self.begun.entry(route).or_default() += 1;
        }
    }
}
