use std::fs;

use super::{PLACE, Room, mode, opened, root, sealed, set_mode};
use crate::{KeyRef, Owner, VaultError, file, same};

const TEXT: &[u8] = b"see you at eight";

#[test]
fn keys_survive_a_restart() {
    let room = Room::new();
    let (tenant, contact) = (room.tenant(), room.contact());
    let keyring = room.open();
    let vault = keyring.create_tenant(tenant).ok().unwrap();
    assert_eq!(vault.owner(), Owner::Tenant(tenant));
    let (record, own) = (sealed(&vault, TEXT), sealed(&keyring.platform(), TEXT));
    let (key, wrapped) = vault.new_subject_key(contact).ok().unwrap();
    let personal = vault.seal(PLACE, KeyRef::Subject(&key), TEXT).unwrap();
    drop((keyring, vault));

    let keyring = room.try_open(&root(1), true).ok().unwrap();
    assert_eq!(keyring.tenants(), [tenant]);
    let vault = keyring.tenant(tenant).ok().unwrap();
    assert!(opened(&vault, &record).unwrap() == TEXT);
    assert!(opened(&keyring.platform(), &own).unwrap() == TEXT);
    let key = vault.unwrap_subject_key(contact, &wrapped).ok().unwrap();
    assert!(vault.open(PLACE, KeyRef::Subject(&key), &personal).ok().unwrap().plaintext.as_slice() == TEXT);
}

#[test]
fn the_file_is_private_and_stays_so() {
    let room = Room::new();
    let keyring = room.open();
    assert_eq!(mode(&room.path()), 0o600);
    keyring.create_tenant(room.tenant()).ok().unwrap();
    assert_eq!(mode(&room.path()), 0o600);
    drop(keyring);
    set_mode(&room.path(), 0o644);
    let refusal = room.try_open(&root(1), true).err().unwrap();
    assert!(matches!(refusal, VaultError::PermissionsTooOpen { mode: 0o644, .. }));
}

#[test]
fn a_missing_keyring_beside_a_store_is_refused() {
    let room = Room::new();
    let leftover = file::temporary(&room.path());
    fs::write(&leftover, "perhaps the last copy").unwrap();
    let refusal = room.try_open(&root(1), true).err().unwrap();
    assert!(matches!(&refusal, VaultError::KeyringMissing { path } if *path == room.path()));
    assert!(refusal.to_string().contains("restore the keyring file"));
    assert!(!room.path().exists());
    assert!(leftover.exists());
}

#[test]
fn a_wrong_root_key_is_told_apart_from_damage() {
    let room = Room::new();
    room.open().create_tenant(room.tenant()).ok().unwrap();
    assert!(matches!(room.try_open(&root(2), true), Err(VaultError::WrongRootKey)));

    let whole = fs::read_to_string(room.path()).unwrap();
    let swap = |from: &str, to: &str| {
        assert!(whole.contains(from));
        fs::write(room.path(), whole.replacen(from, to, 1)).unwrap();
        room.try_open(&root(1), true).err().unwrap()
    };
    assert!(matches!(swap("\"number\":1", "\"number\":2"), VaultError::Damaged { .. }));
    assert!(matches!(swap("\"root_check\":\"", "\"root_check\":\"0"), VaultError::Damaged { .. }));
    assert!(matches!(swap("\"mac\":\"", "\"mac\":\"0"), VaultError::Damaged { .. }));
    assert!(matches!(swap("\"platform\"", "\"plattform\""), VaultError::Damaged { .. }));
    assert!(matches!(swap("\"format\":1", "\"format\":7"), VaultError::UnknownFormat { found: 7 }));
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(room.path(), &whole[..length]).unwrap();
        assert!(matches!(room.try_open(&root(1), true), Err(VaultError::Damaged { .. })), "{length}");
    }
    fs::write(room.path(), &whole).unwrap();
    assert_eq!(room.try_open(&root(1), true).ok().unwrap().tenants().len(), 1);
}

#[test]
fn no_altered_character_of_the_file_is_accepted() {
    let room = Room::new();
    room.open().create_tenant(room.tenant()).ok().unwrap();
    let whole = fs::read(room.path()).unwrap();
    for position in 0..whole.len() {
        let mut altered = whole.clone();
        altered[position] ^= 1;
        fs::write(room.path(), altered).unwrap();
        assert!(room.try_open(&root(1), true).is_err(), "byte {position}");
    }
}

#[test]
fn tenants_in_the_file_cannot_be_exchanged() {
    let room = Room::new();
    let keyring = room.open();
    let (a, b) = (room.tenant(), room.tenant());
    keyring.create_tenants(&[a, b]).unwrap();
    drop(keyring);
    let text = fs::read_to_string(room.path()).unwrap();
    let swapped = text.replace(&a.to_string(), "A").replace(&b.to_string(), &a.to_string());
    fs::write(room.path(), swapped.replace("\"A\"", &format!("\"{b}\""))).unwrap();
    assert!(matches!(room.try_open(&root(1), true), Err(VaultError::Damaged { .. })));
}

#[test]
fn what_a_crash_left_is_removed() {
    let room = Room::new();
    let tenant = room.tenant();
    room.open().create_tenant(tenant).ok().unwrap();
    let leftover = file::temporary(&room.path());
    fs::write(&leftover, "{\"format\":1,\"ro").unwrap();
    let keyring = room.try_open(&root(1), true).ok().unwrap();
    assert!(!leftover.exists());
    assert_eq!(keyring.tenants(), [tenant]);
}

#[test]
fn a_change_that_cannot_be_written_changes_nothing() {
    let room = Room::new();
    let keyring = room.open();
    let (old, new) = (room.tenant(), room.tenant());
    let vault = keyring.create_tenant(old).ok().unwrap();
    let before = fs::read(room.path()).unwrap();
    // A folder in the temporary file's place makes writing fail.
    fs::create_dir(file::temporary(&room.path())).unwrap();
    assert!(matches!(keyring.create_tenant(new), Err(VaultError::Io { .. })));
    assert!(matches!(keyring.destroy_tenant(old), Err(VaultError::Io { .. })));
    assert!(matches!(keyring.rotate_tenant_epoch(old), Err(VaultError::Io { .. })));
    assert!(matches!(keyring.rotate_root(&root(2)), Err(VaultError::Io { .. })));
    assert_eq!(keyring.tenants(), [old]);
    assert!(matches!(keyring.tenant(new), Err(VaultError::NoSuchTenant(_))));
    assert_eq!(vault.epochs(), [1]);
    assert_eq!(fs::read(room.path()).unwrap(), before);

    fs::remove_dir(file::temporary(&room.path())).unwrap();
    keyring.create_tenant(new).ok().unwrap();
    drop(keyring);
    assert_eq!(room.try_open(&root(1), true).ok().unwrap().tenants().len(), 2);
}

#[test]
fn one_process_at_a_time() {
    let room = Room::new();
    let keyring = room.open();
    assert!(matches!(room.try_open(&root(1), true), Err(VaultError::InUse { .. })));
    drop(keyring);
    assert!(room.try_open(&root(1), true).is_ok());
}

#[test]
fn a_link_to_the_keyring_stays_a_link() {
    let room = Room::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("keyring.json");
    room.open();
    fs::rename(room.path(), &target).unwrap();
    std::os::unix::fs::symlink(&target, room.path()).unwrap();
    let before = fs::read(&target).unwrap();
    room.try_open(&root(1), true).ok().unwrap().create_tenant(room.tenant()).ok().unwrap();
    assert!(fs::symlink_metadata(room.path()).unwrap().is_symlink());
    assert_ne!(fs::read(&target).unwrap(), before);
}

#[test]
fn the_root_key_can_be_changed() {
    let room = Room::new();
    let tenant = room.tenant();
    let keyring = room.open();
    let vault = keyring.create_tenant(tenant).ok().unwrap();
    let first = sealed(&vault, TEXT);
    keyring.rotate_tenant_epoch(tenant).unwrap();
    let second = sealed(&vault, TEXT);
    let pepper = keyring.hash_secret("api key", b"secret");
    keyring.rotate_root(&root(2)).unwrap();
    // Changes after it are under the new root key too.
    let late = room.tenant();
    keyring.create_tenant(late).ok().unwrap();
    drop(keyring);

    assert!(matches!(room.try_open(&root(1), true), Err(VaultError::WrongRootKey)));
    let keyring = room.try_open(&root(2), true).ok().unwrap();
    let vault = keyring.tenant(tenant).ok().unwrap();
    for record in [first, second] {
        assert!(opened(&vault, &record).unwrap() == TEXT);
    }
    assert!(keyring.tenant(late).is_ok());
    assert_eq!(keyring.hash_secret("api key", b"secret"), pepper);
}

#[test]
fn creating_a_tenant_again_keeps_its_keys() {
    let room = Room::new();
    let tenant = room.tenant();
    let keyring = room.open();
    let record = sealed(&keyring.create_tenant(tenant).ok().unwrap(), TEXT);
    let before = fs::read(room.path()).unwrap();
    assert!(opened(&keyring.create_tenant(tenant).ok().unwrap(), &record).unwrap() == TEXT);
    assert_eq!(fs::read(room.path()).unwrap(), before);
}

#[test]
fn a_destroyed_tenant_is_unreadable_for_good() {
    let room = Room::new();
    let (tenant, other, contact) = (room.tenant(), room.tenant(), room.contact());
    let keyring = room.open();
    let vault = keyring.create_tenant(tenant).ok().unwrap();
    let neighbour = keyring.create_tenant(other).ok().unwrap();
    let (record, untouched) = (sealed(&vault, TEXT), sealed(&neighbour, TEXT));
    let (key, wrapped) = vault.new_subject_key(contact).ok().unwrap();
    let personal = vault.seal(PLACE, KeyRef::Subject(&key), TEXT).unwrap();
    keyring.destroy_tenant(tenant).unwrap();
    keyring.destroy_tenant(tenant).unwrap();

    // Also through a vault, and with a contact's key, that were held all the while.
    let gone = |result: Result<(), VaultError>| {
        assert!(matches!(result, Err(VaultError::NoSuchTenant(gone)) if gone == tenant));
    };
    gone(opened(&vault, &record).map(drop));
    gone(vault.open(PLACE, KeyRef::Subject(&key), &personal).map(drop));
    gone(vault.seal(PLACE, KeyRef::Tenant, TEXT).map(drop));
    gone(vault.seal(PLACE, KeyRef::Subject(&key), TEXT).map(drop));
    gone(vault.reseal(PLACE, &record).map(drop));
    gone(vault.new_subject_key(contact).map(drop));
    gone(vault.unwrap_subject_key(contact, &wrapped).map(drop));
    gone(keyring.tenant(tenant).map(drop));
    gone(keyring.rotate_tenant_epoch(tenant).map(drop));
    assert!(!fs::read_to_string(room.path()).unwrap().contains(&tenant.to_string()));
    assert!(opened(&neighbour, &untouched).unwrap() == TEXT);

    // A tenant of the same id made later has other keys, and revives nothing.
    let again = keyring.create_tenant(tenant).ok().unwrap();
    assert!(matches!(opened(&again, &record), Err(VaultError::NotAuthentic { .. })));
    assert!(matches!(again.unwrap_subject_key(contact, &wrapped), Err(VaultError::NotAuthentic { .. })));
    gone(opened(&vault, &record).map(drop));
}

#[test]
fn an_epoch_is_turned_and_what_was_left_behind_is_gone() {
    let room = Room::new();
    let (tenant, kept, erased) = (room.tenant(), room.contact(), room.contact());
    let keyring = room.open();
    let vault = keyring.create_tenant(tenant).ok().unwrap();
    let (own, ghost) = (sealed(&vault, TEXT), sealed(&vault, TEXT));
    let (key, wrapped) = vault.new_subject_key(kept).ok().unwrap();
    let (_, wrapped_ghost) = vault.new_subject_key(erased).ok().unwrap();
    let personal = vault.seal(PLACE, KeyRef::Subject(&key), TEXT).unwrap();

    assert_eq!(keyring.rotate_tenant_epoch(tenant).unwrap(), 2);
    assert_eq!(vault.epochs(), [1, 2]);
    assert_eq!(crate::epoch_of(&sealed(&vault, TEXT)), Some(2));
    assert!(opened(&vault, &own).unwrap() == TEXT);
    let own = vault.reseal(PLACE, &own).unwrap().unwrap();
    assert_eq!((crate::epoch_of(&own), crate::peek_schema(&own)), (Some(2), Some(3)));
    assert!(vault.reseal(PLACE, &own).unwrap().is_none());
    assert!(vault.reseal(PLACE, &personal).unwrap().is_none());
    let rewrapped = vault.rewrap_subject_key(kept, &wrapped).unwrap();
    keyring.retire_epoch(tenant, 1).unwrap();
    keyring.retire_epoch(tenant, 1).unwrap();

    let check = |vault: &crate::TenantVault| {
        assert_eq!(vault.epochs(), [2]);
        assert!(opened(vault, &own).unwrap() == TEXT);
        let key = vault.unwrap_subject_key(kept, &rewrapped).ok().unwrap();
        let read = vault.open(PLACE, KeyRef::Subject(&key), &personal).ok().unwrap();
        assert!(read.plaintext.as_slice() == TEXT);
        assert!(matches!(opened(vault, &ghost), Err(VaultError::UnknownEpoch { epoch: 1 })));
        for (contact, wrapped) in [(erased, &wrapped_ghost), (kept, &wrapped)] {
            let refusal = vault.unwrap_subject_key(contact, wrapped).err().unwrap();
            assert!(matches!(refusal, VaultError::UnknownEpoch { epoch: 1 }));
        }
    };
    check(&vault);
    drop(keyring);
    let keyring = room.try_open(&root(1), true).ok().unwrap();
    check(&keyring.tenant(tenant).ok().unwrap());
    // A number is never used twice.
    assert_eq!(keyring.rotate_tenant_epoch(tenant).unwrap(), 3);
}

#[test]
fn the_newest_and_unknown_epochs_are_not_retired() {
    let room = Room::new();
    let tenant = room.tenant();
    let keyring = room.open();
    let vault = keyring.create_tenant(tenant).ok().unwrap();
    assert!(matches!(keyring.retire_epoch(tenant, 1), Err(VaultError::EpochInUse { epoch: 1 })));
    for unknown in [0, 2, u32::MAX] {
        let refusal = keyring.retire_epoch(tenant, unknown);
        assert!(matches!(refusal, Err(VaultError::UnknownEpoch { epoch }) if epoch == unknown));
    }
    assert_eq!(vault.epochs(), [1]);
}

#[test]
fn the_platform_turns_its_epochs_too() {
    let room = Room::new();
    let keyring = room.open();
    let platform = keyring.platform();
    let record = sealed(&platform, TEXT);
    assert_eq!(keyring.rotate_platform_epoch().unwrap(), 2);
    let record_2 = platform.reseal(PLACE, &record).unwrap().unwrap();
    keyring.retire_platform_epoch(1).unwrap();
    assert!(matches!(opened(&platform, &record), Err(VaultError::UnknownEpoch { epoch: 1 })));
    assert!(opened(&platform, &record_2).unwrap() == TEXT);
}

#[test]
fn hashes_differ_by_tenant_and_label_and_outlive_epochs() {
    let room = Room::new();
    let (a, b) = (room.tenant(), room.tenant());
    let keyring = room.open();
    keyring.create_tenants(&[a, b]).unwrap();
    let hash =
        |keyring: &crate::Keyring, tenant, label| keyring.tenant(tenant).ok().unwrap().hash(label, b"1");
    let phone = hash(&keyring, a, "phone");
    let all = [
        phone,
        hash(&keyring, b, "phone"),
        hash(&keyring, a, "message"),
        keyring.platform().hash("phone", b"1"),
        keyring.hash_secret("phone", b"1"),
        keyring.hash_secret("message", b"1"),
        keyring.tenant(a).ok().unwrap().hash("phone", b"2"),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(all[at + 1..].iter().all(|other| !same(one, other)));
    }
    keyring.rotate_tenant_epoch(a).unwrap();
    keyring.retire_epoch(a, 1).unwrap();
    assert!(same(&hash(&keyring, a, "phone"), &phone));
    drop(keyring);
    assert!(same(&hash(&room.try_open(&root(1), true).ok().unwrap(), a, "phone"), &phone));
}

#[test]
fn sealing_goes_on_while_epochs_turn() {
    let room = Room::new();
    let tenant = room.tenant();
    let keyring = room.open();
    let vault = keyring.create_tenant(tenant).ok().unwrap();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| (0..500).map(|_| sealed(&vault, TEXT)).collect::<Vec<_>>()))
            .collect();
        for epoch in 2..6 {
            assert_eq!(keyring.rotate_tenant_epoch(tenant).unwrap(), epoch);
        }
        for writer in writers {
            for record in writer.join().unwrap() {
                assert!(opened(&vault, &record).unwrap() == TEXT);
            }
        }
    });
}
