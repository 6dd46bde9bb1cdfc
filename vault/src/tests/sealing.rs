use iassistance_domain::Entropy;
use iassistance_domain::id::ContactId;
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::{PLACE, Room, opened, sealed};
use crate::{KeyRef, Place, SubjectKey, VaultError, epoch_of, peek_schema, subject_of};

const TEXT: &[u8] = b"see you at eight";

fn tenant_fixture() -> (Room, crate::TenantVault) {
    let room = Room::new();
    let vault = room.open().create_tenant(room.tenant()).ok().unwrap();
    (room, vault)
}

#[test]
fn what_is_sealed_opens_again_and_tells_its_schema() {
    let (room, vault) = tenant_fixture();
    let contact = room.contact();
    let (key, _) = vault.new_subject_key(contact).ok().unwrap();
    for (key, subject) in [(KeyRef::Tenant, None), (KeyRef::Subject(&key), Some(contact))] {
        for plaintext in [&b""[..], TEXT, &[9; 10_000]] {
            let record = vault.seal(PLACE, key, plaintext).unwrap();
            assert_eq!(peek_schema(&record), Some(3));
            assert_eq!(epoch_of(&record), Some(1));
            assert_eq!(subject_of(&record), subject);
            assert_eq!(record.capacity(), record.len());
            assert!(!record.windows(TEXT.len()).any(|window| window == TEXT));
            // A reader that knows a later schema still reads the former one, and is told which it is.
            let opened = vault.open(Place { schema: 4, ..PLACE }, key, &record).ok().unwrap();
            assert_eq!(opened.schema, 3);
            assert!(opened.plaintext.as_slice() == plaintext);
        }
    }
}

#[test]
fn sealing_twice_gives_different_bytes() {
    let (_room, vault) = tenant_fixture();
    assert_ne!(sealed(&vault, TEXT), sealed(&vault, TEXT));
}

#[test]
fn a_record_in_another_place_is_refused() {
    let (room, vault) = tenant_fixture();
    let (key, _) = vault.new_subject_key(room.contact()).ok().unwrap();
    let places = [
        Place { tree: "message", ..PLACE },
        Place { tree: "contacts", ..PLACE },
        Place { key: b"kez", ..PLACE },
        Place { key: b"", ..PLACE },
        // The same bytes in a row, cut elsewhere.
        Place { tree: "messagesk", key: b"ey", ..PLACE },
        Place { tree: "message", key: b"skey", ..PLACE },
    ];
    for key in [KeyRef::Tenant, KeyRef::Subject(&key)] {
        let record = vault.seal(PLACE, key, TEXT).unwrap();
        for place in places {
            let refusal = vault.open(place, key, &record).err().unwrap();
            assert!(matches!(&refusal, VaultError::NotAuthentic { place: at } if at == place.tree));
        }
    }
}

#[test]
fn an_altered_header_is_refused() {
    let room = Room::new();
    let keyring = room.open();
    let vault = keyring.create_tenant(room.tenant()).ok().unwrap();
    let record = sealed(&vault, TEXT);
    keyring.rotate_tenant_epoch(keyring.tenants()[0]).unwrap();

    let mut schema = record.clone();
    schema[2] = 4;
    assert_eq!(peek_schema(&schema), Some(4));
    assert!(matches!(opened(&vault, &schema), Err(VaultError::NotAuthentic { .. })));
    let mut epoch = record.clone();
    epoch[7] = 2;
    assert_eq!(epoch_of(&epoch), Some(2));
    assert!(matches!(opened(&vault, &epoch), Err(VaultError::NotAuthentic { .. })));
    epoch[7] = 9;
    assert!(matches!(opened(&vault, &epoch), Err(VaultError::UnknownEpoch { epoch: 9 })));
    assert!(opened(&vault, &record).unwrap() == TEXT);
}

#[test]
fn the_epoch_of_a_contacts_record_is_authenticated() {
    let (room, vault) = tenant_fixture();
    let (key, _) = vault.new_subject_key(room.contact()).ok().unwrap();
    let mut record = vault.seal(PLACE, KeyRef::Subject(&key), TEXT).unwrap();
    record[7] = 2;
    let refusal = vault.open(PLACE, KeyRef::Subject(&key), &record).err().unwrap();
    assert!(matches!(refusal, VaultError::NotAuthentic { .. }));
}

#[test]
fn a_record_of_another_tenant_is_refused() {
    let room = Room::new();
    let keyring = room.open();
    let a = keyring.create_tenant(room.tenant()).ok().unwrap();
    let b = keyring.create_tenant(room.tenant()).ok().unwrap();
    let record = sealed(&a, TEXT);
    for other in [&b, &keyring.platform()] {
        assert!(matches!(opened(other, &record), Err(VaultError::NotAuthentic { .. })));
    }

    // Also with the contact's right key, be it unwrapped by the other tenant or handed over to it.
    let contact = room.contact();
    let (key, wrapped) = a.new_subject_key(contact).ok().unwrap();
    let record = a.seal(PLACE, KeyRef::Subject(&key), TEXT).unwrap();
    assert!(matches!(b.unwrap_subject_key(contact, &wrapped), Err(VaultError::NotAuthentic { .. })));
    let handed = b.open(PLACE, KeyRef::Subject(&key), &record);
    assert!(matches!(handed, Err(VaultError::WrongKey { .. })));
    assert!(matches!(b.seal(PLACE, KeyRef::Subject(&key), TEXT), Err(VaultError::WrongKey { .. })));
}

#[test]
fn contacts_of_one_tenant_cannot_be_exchanged() {
    let (room, vault) = tenant_fixture();
    let (ana, ben) = (room.contact(), room.contact());
    let (anas, wrapped) = vault.new_subject_key(ana).ok().unwrap();
    let (bens, _) = vault.new_subject_key(ben).ok().unwrap();
    let record = vault.seal(PLACE, KeyRef::Subject(&anas), TEXT).unwrap();

    assert!(matches!(vault.unwrap_subject_key(ben, &wrapped), Err(VaultError::NotAuthentic { .. })));
    for key in [KeyRef::Subject(&bens), KeyRef::Tenant] {
        assert!(matches!(vault.open(PLACE, key, &record), Err(VaultError::WrongKey { .. })));
    }
    let mut renamed = record.clone();
    renamed[8..24].copy_from_slice(&ben.to_bytes());
    assert_eq!(subject_of(&renamed), Some(ben));
    let refusal = vault.open(PLACE, KeyRef::Subject(&bens), &renamed).err().unwrap();
    assert!(matches!(refusal, VaultError::NotAuthentic { .. }));

    let own = sealed(&vault, TEXT);
    assert!(matches!(vault.open(PLACE, KeyRef::Subject(&anas), &own), Err(VaultError::WrongKey { .. })));
}

#[test]
fn a_contact_key_opens_after_unwrapping() {
    let (room, vault) = tenant_fixture();
    let contact = room.contact();
    let (key, wrapped) = vault.new_subject_key(contact).ok().unwrap();
    let record = vault.seal(PLACE, KeyRef::Subject(&key), TEXT).unwrap();
    let again: SubjectKey = vault.unwrap_subject_key(contact, &wrapped).ok().unwrap();
    assert_eq!(again.contact(), contact);
    assert!(vault.open(PLACE, KeyRef::Subject(&again), &record).ok().unwrap().plaintext.as_slice() == TEXT);
}

#[test]
fn records_cut_short_are_refused_at_every_length() {
    let (room, vault) = tenant_fixture();
    let contact = room.contact();
    let (key, wrapped) = vault.new_subject_key(contact).ok().unwrap();
    for key in [KeyRef::Tenant, KeyRef::Subject(&key)] {
        let record = vault.seal(PLACE, key, TEXT).unwrap();
        for length in 0..record.len() {
            assert!(vault.open(PLACE, key, &record[..length]).is_err(), "{length}");
        }
        assert!(vault.open(PLACE, key, &[&record[..], &[0]].concat()).is_err());
    }
    for length in 0..wrapped.len() {
        assert!(vault.unwrap_subject_key(contact, &wrapped[..length]).is_err(), "{length}");
    }
}

#[test]
fn every_flipped_bit_of_a_wrapped_key_is_refused() {
    let (room, vault) = tenant_fixture();
    let contact: ContactId = room.contact();
    let (_, wrapped) = vault.new_subject_key(contact).ok().unwrap();
    for bit in 0..wrapped.len() * 8 {
        let mut altered = wrapped.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(vault.unwrap_subject_key(contact, &altered).is_err(), "bit {bit}");
        assert!(vault.rewrap_subject_key(contact, &altered).is_err(), "bit {bit}");
    }
}

#[test]
fn errors_name_the_tree_and_not_the_key() {
    let (_room, vault) = tenant_fixture();
    let record = sealed(&vault, TEXT);
    let refusal =
        vault.open(Place { key: b"5491155550000", ..PLACE }, KeyRef::Tenant, &record).err().unwrap();
    assert!(refusal.to_string().contains("`messages`"));
    assert!(!format!("{refusal} {refusal:?}").contains("5491155550000"));
}

/// What [`whatever_is_altered_swapped_taken_back_or_cut_is_refused`] does to a record.
const ALTERATIONS: usize = 10;

/// `IASSISTANCE_ALTERATIONS` says how many.
#[test]
fn whatever_is_altered_swapped_taken_back_or_cut_is_refused() {
    #[expect(clippy::disallowed_methods, reason = "how a test is told what to do")]
    let asked = std::env::var("IASSISTANCE_ALTERATIONS").ok();
    let count = asked.map_or(20_000, |count| count.parse().unwrap());
    let room = Room::new();
    let keyring = room.open();
    let (own, other) = (room.tenant(), room.tenant());
    let (vault, others) =
        (keyring.create_tenant(own).ok().unwrap(), keyring.create_tenant(other).ok().unwrap());
    let (ana, _) = vault.new_subject_key(room.contact()).ok().unwrap();
    let (ben, _) = vault.new_subject_key(room.contact()).ok().unwrap();
    let rows: Vec<[u8; 2]> = (0..64_u16).map(u16::to_be_bytes).collect();
    let at = |row: usize| Place { tree: "messages", key: &rows[row], schema: 3 };
    let seal = |row: usize| {
        let key = if row.is_multiple_of(2) { KeyRef::Tenant } else { KeyRef::Subject(&ana) };
        vault.seal(at(row), key, format!("words of row {row}").as_bytes()).unwrap()
    };
    let former: Vec<Vec<u8>> = (0..rows.len()).map(seal).collect();
    let turned = keyring.rotate_tenant_epoch(own).unwrap();
    let sealed: Vec<Vec<u8>> = (0..rows.len()).map(seal).collect();
    keyring.retire_epochs_before(own, turned).unwrap();
    let mut opened = 0;
    for number in 0..count {
        let chance = |below: usize| usize::try_from(room.entropy.up_to(below as u64 - 1)).unwrap();
        let row = chance(rows.len());
        let key = if row.is_multiple_of(2) { KeyRef::Tenant } else { KeyRef::Subject(&ana) };
        let (mut record, mut place, mut key_used, mut reader) = (sealed[row].clone(), at(row), key, &vault);
        match number % ALTERATIONS {
            0 => record[chance(sealed[row].len())] ^= 1 << chance(8),
            1 => (0..=chance(16)).for_each(|_| {
                let byte = chance(record.len());
                record[byte] = record[byte].wrapping_add(1);
            }),
            2 => record.truncate(chance(record.len())),
            3 => record.extend((0..=chance(40)).map(|_| 0)),
            // Rows, in one tree and in two.
            4 => place = at((row + 1 + chance(rows.len() - 1)) % rows.len()),
            5 => place = Place { tree: "turns", ..place },
            6 => reader = &others,
            7 => key_used = KeyRef::Subject(&ben),
            // Another epoch is claimed; or a record of a former one is put back.
            8 => record[7] = record[7].wrapping_sub(1 + u8::try_from(chance(200)).unwrap()),
            _ if row.is_multiple_of(2) => record.clone_from(&former[row]),
            _ => record[4..8].copy_from_slice(&turned.wrapping_add(1).to_be_bytes()),
        }
        opened += usize::from(reader.open(place, key_used, &record).is_ok());
    }
    println!("{count} alterations, {opened} opened");
    assert_eq!(opened, 0, "of {count} alterations");
    assert!((0..rows.len()).all(|row| {
        let key = if row.is_multiple_of(2) { KeyRef::Tenant } else { KeyRef::Subject(&ana) };
        vault.open(at(row), key, &sealed[row]).is_ok()
    }));
}

proptest! {
    // Every case opens a keyring, which syncs files: few cases, with many flips each.
    #![proptest_config(Config { cases: 32, failure_persistence: None, ..Config::default() })]

    #[test]
    fn flipped_bits_are_refused_anywhere(
        plaintext in prop::collection::vec(any::<u8>(), 0..200),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..200),
    ) {
        let (room, vault) = tenant_fixture();
        let (key, _) = vault.new_subject_key(room.contact()).ok().unwrap();
        for key in [KeyRef::Tenant, KeyRef::Subject(&key)] {
            let record = vault.seal(PLACE, key, &plaintext).unwrap();
            for (index, bit) in &flips {
                let mut altered = record.clone();
                altered[index.index(record.len())] ^= 1_u8 << *bit;
                prop_assert!(vault.open(PLACE, key, &altered).is_err());
                prop_assert!(vault.reseal(PLACE, &altered).map_or(true, |resealed| resealed.is_none()));
            }
            prop_assert!(vault.open(PLACE, key, &record).ok().unwrap().plaintext.as_slice() == plaintext);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        kind in 0..4_u8,
    ) {
        let (room, vault) = tenant_fixture();
        let contact = room.contact();
        let (key, _) = vault.new_subject_key(contact).ok().unwrap();
        let plausible = [&[1, 0, 3, kind, 0, 0, 0, 1][..], &bytes].concat();
        for bytes in [&bytes, &plausible] {
            let _ = (peek_schema(bytes), subject_of(bytes), epoch_of(bytes));
            prop_assert!(vault.open(PLACE, KeyRef::Tenant, bytes).is_err());
            prop_assert!(vault.open(PLACE, KeyRef::Subject(&key), bytes).is_err());
            prop_assert!(vault.unwrap_subject_key(contact, bytes).is_err());
        }
    }
}
