//! Backups that were damaged are refused by name, and nothing of them is put anywhere.

use std::fs;

use iassistance_storage::backup::{BackupError, Identity, Which, new_identity};

use crate::setup::*;
use crate::support::*;

async fn two_backups() -> (Room, Vec<String>) {
    let room = Room::new().await;
    let tenant = room.world.tenant(1).await;
    let backups = room.backups();
    room.keep_file(1, 1, b"a file").await;
    room.make(&backups).await;
    hear(&*tenant, 1, "5491100000001", "words").await;
    room.make(&backups).await;
    let place = room.place_folder();
    let mut names = Vec::new();
    for folder in ["backups", "chunks", "media"] {
        for file in fs::read_dir(place.join(folder)).unwrap() {
            names.push(format!("{folder}/{}", file.unwrap().file_name().into_string().unwrap()));
        }
    }
    names.sort();
    assert_eq!(names.len(), 6, "two manifests, two files of records, a list, a file: {names:?}");
    (room, names)
}

/// Each file in turn is cut, altered in every tenth byte or so, emptied and taken away.
#[tokio::test]
async fn a_file_that_is_damaged_cut_or_missing_is_named() {
    let (room, names) = two_backups().await;
    let (mut tries, mut number) = (0, 0);
    for name in &names {
        let path = room.place_folder().join(name);
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 12).max(1);
        let mut versions: Vec<Option<Vec<u8>>> = vec![None, Some(Vec::new())];
        for place in (0..whole.len()).step_by(step) {
            let mut flipped = whole.clone();
            flipped[place] ^= 1;
            versions.push(Some(flipped));
            versions.push(Some(whole[..place].to_vec()));
        }
        for version in versions {
            match &version {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            tries += 1;
            number += 1;
            let gone = version.is_none();
            // Each time it is looked at anew, as another process would.
            let source = room.source();
            let refused = match source.chain(Which::Latest, None).await {
                Ok(chain) => match source.verify(&chain, Some(&room.identity), &|_, _| {}).await {
                    Ok(verified) if name.starts_with("backups/") => {
                        // The newest cannot be read, so the newest is the one before: its id still tells.
                        assert_eq!(verified.backups, 1, "{name}");
                        continue;
                    }
                    Ok(_) => panic!("{name} is damaged and nobody noticed"),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let told = refused.to_string();
            assert!(told.contains(name.as_str()), "{name}: {told}");
            match refused {
                BackupError::Missing { .. } => assert!(gone || name.starts_with("backups/"), "{told}"),
                BackupError::Damaged { .. } => {}
                other => panic!("{name}: {other}"),
            }
            room.restore(Which::Latest, number).await.unwrap_err();
            assert!(!room.target(number).store.exists(), "nothing appears");
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(tries > 100, "{tries}");
    room.restore(Which::Latest, 9_999).await.unwrap();
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_named_when_it_is_asked_for() {
    let (room, names) = two_backups().await;
    let (all, _) = room.backups().list().await.unwrap();
    let newest = all[0].id;
    let path = room.place_folder().join(format!("backups/{newest}.json"));
    fs::write(&path, "{}").unwrap();
    let refused = room.source().chain(Which::Id(newest), None).await.err().unwrap().to_string();
    assert!(refused.contains(&format!("backups/{newest}.json")), "{refused}");
    let (all, unreadable) = room.backups().list().await.unwrap();
    assert_eq!((all.len(), unreadable.len(), names.len()), (1, 1, 6));
}

/// Whoever changes the places of files and their hashes in a manifest too is told by the files.
#[tokio::test]
async fn files_in_another_order_are_refused() {
    let (room, names) = two_backups().await;
    let chunks: Vec<_> = names.iter().filter(|name| name.ends_with("000001.age")).collect();
    let [first, second] = chunks.map_paths(&room);
    let (one, other) = (fs::read(&first).unwrap(), fs::read(&second).unwrap());
    fs::write(&first, &other).unwrap();
    fs::write(&second, &one).unwrap();
    let refused = room.restore(Which::Latest, 1).await.unwrap_err().to_string();
    assert!(refused.contains(chunks[0].as_str()), "{refused}");
}

trait Paths {
    fn map_paths(&self, room: &Room) -> [std::path::PathBuf; 2];
}

impl Paths for Vec<&String> {
    fn map_paths(&self, room: &Room) -> [std::path::PathBuf; 2] {
        assert_eq!(self.len(), 2);
        [0, 1].map(|at| room.place_folder().join(self[at]))
    }
}

#[tokio::test]
async fn another_identity_opens_nothing_and_is_told_for_whom_it_was_made() {
    let (mut room, _) = two_backups().await;
    let made_for = room.settings.recipients[0].clone();
    let right = std::mem::replace(&mut room.identity, Identity::read(new_identity().0.expose()).unwrap());
    let refused = room.restore(Which::Latest, 1).await.unwrap_err();
    assert!(matches!(refused, BackupError::WrongIdentity { .. }), "{refused}");
    assert!(refused.to_string().contains(&made_for), "{refused}");
    assert!(!room.target(1).store.exists());
    room.identity = right;
    room.restore(Which::Latest, 1).await.unwrap();
    for bad in ["", "# nothing\n", "AGE-SECRET-KEY-1NONE"] {
        let refused = Identity::read(bad).unwrap_err().to_string();
        assert!(!refused.contains("1NONE"), "a secret is not repeated: {refused}");
    }
}
