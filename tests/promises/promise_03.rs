//! Account data and all other: every stored field says what it is, what it is kept for, on which basis and for how
//! long; a build without one fails (the examples of `domain/src/map.rs`), and every record of a live store is held
//! against what the code says.

use std::collections::BTreeSet;

use iassistance_storage::keeping::data_map;

use crate::book::Proof;
use crate::folder::{Place, close};
use crate::people::{tenants, writes};

/// A path without the variants in it, whose names have dots too.
fn bare(path: &str) -> String {
    let mut inside = false;
    let outside = path.chars().filter(|letter| {
        let is_out = !inside && *letter != '[';
        inside = *letter == '[' || (inside && *letter != ']');
        is_out
    });
    outside.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_03() {
    let proof = Proof::of(3);
    let map = data_map();
    for kind in &map {
        assert!(!kind.fields.is_empty(), "{}", kind.kind);
        for line in &kind.fields {
            assert!(!line.path.starts_with("UNSAID"), "{}: {}", kind.kind, line.path);
        }
    }
    let mut place = Place::new();
    let vaulted = place.open();
    tenants(&vaulted, 2).await;
    for number in 0..20 {
        writes(&vaulted, 1 + u8::try_from(number % 2).unwrap(), number).await;
    }
    let scan = vaulted.store.keeping().scan_map().await.unwrap();
    close(vaulted).await;
    assert_eq!(scan.unknown, BTreeSet::new(), "the store has fields that the map does not know");
    assert_eq!(scan.unreadable, 0);
    let mapped: BTreeSet<_> = map.iter().map(|kind| kind.kind).collect();
    for kind in scan.kinds.keys() {
        assert!(mapped.contains(kind), "{kind} is stored and not mapped");
    }
    for seen in &scan.seen {
        let (kind, path) = seen.split_once(": ").unwrap();
        let fields = &map.iter().find(|mapped| mapped.kind == kind).unwrap().fields;
        let is_said = fields.iter().any(|line| bare(&line.path).starts_with(&bare(path)));
        assert!(is_said, "{seen} is stored, and the map has no line for it");
    }
    let lines: usize = map.iter().map(|kind| kind.fields.len()).sum();
    proof.kept(format!(
        "{} kinds with {lines} fields; {} records of {} kinds scanned, {} fields seen, 0 unknown",
        map.len(),
        scan.records,
        scan.kinds.len(),
        scan.seen.len()
    ));
}
