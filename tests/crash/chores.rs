//! Work that a server does beside its messages, and in which kills come too: a backup, a check of the
//! whole store, a rewrite of its files. What the binary does not offer is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use iassistance_domain::{Entropy, SeededEntropy};
use serde_json::Value;
use toml::Table;

use crate::system::System;

/// What is asked for, by its route.
const ROUTES: [&str; 2] = ["/v1/backups", "/v1/checks"];
/// Who could read the backups; nobody does.
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
/// One in so many lives has none.
const NONE_ONE_IN: u64 = 3;

/// Settings without which there is none of that in so short a time, as flags; `manual` has the settings
/// that the binary knows.
pub fn settings(manual: &str, folder: &Path) -> Vec<String> {
    let known: Table = manual.parse().expect("the settings are toml");
    let backups = folder.join("backups").display().to_string();
    let wanted = [
        ("storage", "rewrite_bytes_min", "1048576".to_owned()),
        ("backup", "to", backups),
        ("backup", "recipients", format!("[\"{RECIPIENT}\"]")),
    ];
    let knows =
        |section: &str, key: &str| known.get(section).is_some_and(|section| section.get(key).is_some());
    let wanted = wanted.into_iter().filter(|(section, key, _)| knows(section, key));
    wanted.map(|(section, key, value)| format!("--set={section}.{key}={value}")).collect()
}

/// What there is to do, how often it was begun, and how often a kill came while it was under way.
#[derive(Default)]
pub struct Chores {
    offered: Vec<&'static str>,
    pub begun: BTreeMap<&'static str, u64>,
    /// Kills that left a backup without its manifest.
    pub cut_backups: BTreeSet<String>,
    /// Kills that left a second database.
    pub cut_rewrites: u64,
}

impl Chores {
    /// Those that the binary's own description of its interface has.
    pub fn offered(description: &Value) -> Self {
        let offers = |route: &&str| description["paths"][*route].get("post").is_some();
        Self { offered: ROUTES.into_iter().filter(offers).collect(), ..Self::default() }
    }

    /// Looks, after a kill, at what it cut short.
    pub fn cut_short(&mut self, folder: &Path) {
        let databases = names(&folder.join("store"));
        self.cut_rewrites += u64::from(databases.iter().filter(|name| name.starts_with("gen-")).count() > 1);
        let whole = names(&folder.join("backups/backups"));
        for chunk in names(&folder.join("backups/chunks")) {
            let id = chunk.rsplit_once('-').map_or(&*chunk, |(id, _)| id);
            if !whole.iter().any(|name| name.trim_end_matches(".json") == id) {
                self.cut_backups.insert(id.to_owned());
            }
        }
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

/// What is in a folder; nothing where there is none.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
