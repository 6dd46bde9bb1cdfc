//! A chain of the audit log, tampered with in every way that comes to mind: each is detected.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::io::BufReader;

use iassistance_domain::audit::{Actor, AuditEntry, Checkpoint, SealedAudit};
use iassistance_domain::id::TenantId;
use iassistance_domain::{Entropy, SeededEntropy, Timestamp};
use iassistance_storage::chain::{
    ChainFault, ChainVerdict, ExportLine, FORMAT, check_exported, check_stored, checkpoint,
};
use iassistance_storage::trail::link;
use iassistance_vault::{NoteSigner, NoteVerifier};

use support::rows::{damage, flip_last};
use support::*;

const ENTRIES: u64 = 24;
const TAMPERINGS: u64 = 10_000;
const AUDIT: u8 = 40;
const CHECKPOINT: u8 = 42;

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::of_seed(&[seed; 32]).unwrap()
}

/// An exported chain in its parts.
#[derive(Clone, PartialEq)]
struct Export {
    tenant: Option<TenantId>,
    checkpoints: Vec<Checkpoint>,
    entries: Vec<SealedAudit>,
    end: Option<u64>,
}

fn chain(tenant: Option<TenantId>, seed: u64) -> Vec<SealedAudit> {
    let entropy = SeededEntropy::new(seed);
    let (mut previous, mut entries) = ([0; 32], Vec::new());
    for seq in 1..=ENTRIES {
        let mut sealed = vec![0; 90 + usize::try_from(entropy.up_to(60)).unwrap()];
        entropy.fill(&mut sealed);
        let hash = link(tenant, seq, &previous, &sealed);
        entries.push(SealedAudit { seq, sealed, previous, hash });
        previous = hash;
    }
    entries
}

impl Export {
    fn of(tenant: Option<TenantId>, seed: u64) -> Self {
        let entries = chain(tenant, seed);
        let vouch = |seq: u64| {
            let at = Timestamp::from_secs(1_790_000_000).plus_millis(seq * 60_000);
            let entry = &entries[usize::try_from(seq - 1).unwrap()];
            checkpoint(&signer(7), tenant, (seq, entry.hash), at)
        };
        let checkpoints = [24, 16, 8].map(vouch).to_vec();
        Self { tenant, checkpoints, end: Some(ENTRIES), entries }
    }

    fn bytes(&self) -> Vec<u8> {
        let header = ExportLine::Header {
            format: FORMAT.to_owned(),
            tenant: self.tenant,
            at: Timestamp::EPOCH,
            key: signer(7).verifier().to_string(),
        };
        let checkpoints = self.checkpoints.iter().cloned().map(ExportLine::Checkpoint);
        let entries = self.entries.iter().cloned().map(ExportLine::Entry);
        let end = self.end.map(|entries| ExportLine::End { entries });
        let lines = std::iter::once(header).chain(checkpoints).chain(entries).chain(end);
        lines.flat_map(|line| [serde_json::to_vec(&line).unwrap(), b"\n".to_vec()].concat()).collect()
    }

    fn verdict(&self) -> ChainVerdict {
        check(&self.bytes(), signer(7).verifier())
    }

    /// Links everything from a place on anew, as somebody does who rewrites it.
    fn relink(&mut self, from: usize) {
        let mut previous = from.checked_sub(1).map_or([0; 32], |before| self.entries[before].hash);
        for (entry, seq) in self.entries[from..].iter_mut().zip(from as u64 + 1..) {
            (entry.seq, entry.previous) = (seq, previous);
            entry.hash = link(self.tenant, seq, &previous, &entry.sealed);
            previous = entry.hash;
        }
        self.end = Some(self.entries.len() as u64);
    }
}

fn check(bytes: &[u8], verifier: &NoteVerifier) -> ChainVerdict {
    check_exported(BufReader::new(bytes), verifier).unwrap()
}

/// One tampering, of the kind that the number says.
fn tamper(export: &mut Export, kind: u64, entropy: &SeededEntropy) {
    let up_to = |most: usize| usize::try_from(entropy.up_to(most as u64)).unwrap();
    let last = export.entries.len() - 1;
    let at = up_to(last);
    match kind {
        // Edits.
        0 => {
            let place = up_to(export.entries[at].sealed.len() - 1);
            export.entries[at].sealed[place] ^= 1 << up_to(7);
        }
        1 => export.entries[at].hash[up_to(31)] ^= 1 << up_to(7),
        2 => export.entries[at].previous[up_to(31)] ^= 1 << up_to(7),
        3 => export.entries[at].seq += 1 + up_to(5) as u64,
        4 => {
            // One entry, with its own hash made to fit.
            let entry = &mut export.entries[at];
            entry.sealed.push(7);
            entry.hash = link(export.tenant, entry.seq, &entry.previous, &entry.sealed);
        }
        // Deletions.
        5 => drop(export.entries.remove(at)),
        6 => {
            let to = at + up_to(last - at);
            export.entries.drain(at..=to);
            export.end = Some(export.entries.len() as u64);
        }
        7 => {
            // With everything behind it linked anew.
            export.entries.remove(at);
            export.relink(at.min(last - 1));
        }
        // Another order.
        8 => export.entries.swap(at, (at + 1 + up_to(last - 1)) % (last + 1)),
        9 => {
            export.entries[..].rotate_left(1 + up_to(last - 1));
            export.relink(0);
        }
        // Cut below a checkpoint.
        10 => {
            export.entries.truncate(at);
            export.end = Some(at as u64);
        }
        11 => {
            export.entries.truncate(at);
            export.end = None;
        }
        // Something put in between, or at the end.
        12 => {
            let twice = export.entries[at].clone();
            export.entries.insert(at, twice);
            export.end = Some(export.entries.len() as u64);
        }
        13 => {
            let foreign = chain(export.tenant, 99).remove(at);
            export.entries.push(foreign);
            export.relink(last + 1);
        }
        // Rewritten from a place on: with the checkpoints as they are, without them, with forged ones.
        14..=17 => {
            export.entries[at].sealed = b"somebody else's words".to_vec();
            export.relink(at);
            let whole = (ENTRIES, export.entries[last].hash);
            match kind {
                14 => {}
                15 => export.checkpoints.clear(),
                16 => {
                    let forged = checkpoint(&signer(8), export.tenant, whole, Timestamp::EPOCH);
                    export.checkpoints = vec![forged];
                }
                // The old signature under what it did not sign.
                _ => export.checkpoints[0].hash = whole.1,
            }
        }
        // The checkpoints themselves.
        18 => export.checkpoints.truncate(0),
        19 => export.checkpoints[up_to(2)].seq += 1,
        20 => {
            let note = &mut export.checkpoints[up_to(2)].note;
            *note = note.replacen('\n', "\u{a0}\n", 1);
        }
        21 => drop(export.checkpoints.remove(0)),
        // Another chain in this one's place.
        22 => export.tenant = Some(TenantId::from_bytes([9; 16])),
        23 => export.entries = chain(export.tenant, 98),
        _ => export.end = Some(ENTRIES - 1),
    }
}

#[test]
fn ten_thousand_tamperings_are_each_detected() {
    let tenant = Some(TenantId::from_bytes([1; 16]));
    let whole = Export::of(tenant, 5);
    let sound = whole.verdict();
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!((sound.entries, sound.vouched_to), (ENTRIES, ENTRIES));
    let entropy = SeededEntropy::new(11);
    let mut by_kind = [0_u64; 25];
    for number in 0..TAMPERINGS {
        let kind = number % 25;
        let mut tampered = whole.clone();
        tamper(&mut tampered, kind, &entropy);
        assert!(tampered != whole, "tampering {number} of kind {kind} changes something");
        assert!(!tampered.verdict().is_sound(), "tampering {number} of kind {kind} went unseen");
        by_kind[usize::try_from(kind).unwrap()] += 1;
    }
    assert!(by_kind.iter().all(|count| *count == TAMPERINGS / 25));
}

#[test]
fn a_file_is_checked_by_the_key_that_was_had_before() {
    let whole = Export::of(None, 5);
    assert!(whole.verdict().is_sound());
    // Made by somebody else from the beginning, with a key and checkpoints of their own.
    let other = signer(8);
    assert!(!check(&whole.bytes(), other.verifier()).is_sound());
    let bytes = whole.bytes();
    for cut in 1..bytes.len() - 1 {
        if cut % 97 == 0 {
            assert!(!check(&bytes[..cut], signer(7).verifier()).is_sound(), "cut at {cut}");
        }
    }
    for text in ["", "\n", "{}\n", "no json\n", "{\"line\":\"end\",\"entries\":0}\n"] {
        assert!(!check(text.as_bytes(), signer(7).verifier()).is_sound(), "{text:?}");
    }
    let faults = check(b"", signer(7).verifier()).faults;
    assert_eq!(faults, [ChainFault::BadLine { line: 1 }]);
}

async fn with_five(world: &World, tenant: TenantId) -> Vec<Checkpoint> {
    let trail = world.store.trail();
    let mut checkpoints = Vec::new();
    for number in 1..=5_u64 {
        let entry = AuditEntry::new(START, Actor::Platform, "key.created").on(&number);
        trail.append_audit(Some(tenant), entry).await.unwrap();
        if number == 2 || number == 4 {
            let head = trail.audit_head(Some(tenant)).await.unwrap().unwrap();
            let made = checkpoint(&signer(7), Some(tenant), head, START);
            trail.put_checkpoint(made.clone()).await.unwrap();
            checkpoints.push(made);
        }
    }
    checkpoints
}

async fn stored(world: &World, tenant: TenantId, elsewhere: &[Checkpoint]) -> ChainVerdict {
    let signer = signer(7);
    check_stored(world.store.trail(), Some(tenant), signer.verifier(), elsewhere).await.unwrap()
}

#[tokio::test]
async fn the_chains_of_a_store_are_checked_where_they_are() {
    for mut world in [World::memory(), World::sled()] {
        drop(world.tenant(1).await);
        drop(world.tenant(2).await);
        with_five(&world, tenant_id(1)).await;
        world.reopen().await;
        let sound = stored(&world, tenant_id(1), &[]).await;
        assert!(sound.is_sound(), "{sound:?}");
        assert_eq!((sound.entries, sound.vouched_to), (5, 4), "the newest is not vouched for yet");
        let empty = stored(&world, tenant_id(2), &[]).await;
        assert!(empty.is_sound() && empty.entries == 0);
    }
}

#[tokio::test]
async fn a_damaged_a_lost_and_a_foreign_chain_show_in_the_store() {
    let mut world = World::sled();
    drop(world.tenant(1).await);
    let elsewhere = with_five(&world, tenant_id(1)).await;
    damage(&mut world, &[1; 16], AUDIT, |value| flip_last(value)).await;
    world.reopen().await;
    let lost = stored(&world, tenant_id(1), &[]).await;
    assert!(lost.faults.contains(&ChainFault::CutShort { seq: 4, last: 0 }), "{lost:?}");
    // Without its own checkpoints too: those that were kept elsewhere tell.
    damage(&mut world, &[1; 16], CHECKPOINT, |value| flip_last(value)).await;
    world.reopen().await;
    let lost = stored(&world, tenant_id(1), &elsewhere).await;
    assert!(lost.faults.contains(&ChainFault::CutShort { seq: 4, last: 0 }), "{lost:?}");

    // A chain that was written anew, as long as the true one, with its own checkpoints.
    let world = World::sled();
    drop(world.tenant(1).await);
    drop(world.tenant(2).await);
    with_five(&world, tenant_id(1)).await;
    let before: Vec<_> =
        elsewhere.into_iter().map(|it| checkpoint(&signer(7), it.tenant, (it.seq, it.hash), it.at)).collect();
    let rewritten = stored(&world, tenant_id(1), &before).await;
    assert!(rewritten.faults.contains(&ChainFault::Rewritten { seq: 2 }), "{rewritten:?}");
    assert!(stored(&world, tenant_id(1), &[]).await.is_sound(), "by itself it looks well");
}
