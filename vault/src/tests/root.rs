use std::fs;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use iassistance_domain::SeededEntropy;

use super::{mode, set_mode};
use crate::{RootKey, VaultError};

fn bytes() -> Vec<u8> {
    // Begins with bytes whose base64 differs between the alphabets.
    [0xfb, 0xff, 0xfe].into_iter().chain(0..29).collect()
}

#[test]
fn hexadecimal_and_every_base64_give_the_same_key() {
    let bytes = bytes();
    let texts = [
        hex::encode(&bytes),
        hex::encode_upper(&bytes),
        STANDARD.encode(&bytes),
        STANDARD_NO_PAD.encode(&bytes),
        URL_SAFE.encode(&bytes),
        URL_SAFE_NO_PAD.encode(&bytes),
        format!("  {}\n", hex::encode(&bytes)),
    ];
    for text in texts {
        let key = RootKey::from_text(&text).ok().unwrap();
        assert!(key.0.bytes().as_slice() == bytes, "{text}");
    }
}

#[test]
fn other_text_is_refused_and_not_repeated() {
    let texts =
        ["", "secret", &"zz".repeat(32), &hex::encode(&bytes()[1..]), &"00".repeat(32), &"é".repeat(32)];
    for text in texts {
        let refusal = RootKey::from_text(text).err().unwrap();
        assert!(matches!(refusal, VaultError::BadRootKeyText), "{text}");
        assert!(text.is_empty() || !refusal.to_string().contains(text));
        assert!(refusal.to_string().contains("openssl rand -hex 32"));
    }
}

#[test]
fn the_file_is_made_once_private_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, entropy) = (folder.path().join("root.key"), SeededEntropy::new(1));
    let (made, created) = RootKey::load_or_create_file(&path, &entropy).ok().unwrap();
    assert!(created);
    assert_eq!(mode(&path), 0o600);
    let (read, created) = RootKey::load_or_create_file(&path, &entropy).ok().unwrap();
    assert!(!created);
    assert!(made.0.bytes() == read.0.bytes());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text == hex::encode(made.0.bytes()) + "\n");
}

#[test]
fn a_file_open_to_others_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (path, entropy) = (folder.path().join("root.key"), SeededEntropy::new(1));
    RootKey::load_or_create_file(&path, &entropy).ok().unwrap();
    for open in [0o640, 0o604, 0o620, 0o601] {
        set_mode(&path, open);
        let refusal = RootKey::load_or_create_file(&path, &entropy).err().unwrap();
        assert!(matches!(refusal, VaultError::PermissionsTooOpen { mode, .. } if mode == open));
        assert!(refusal.to_string().contains(&format!("chmod 600 {}", path.display())));
    }
}

#[test]
fn a_file_without_a_key_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    for content in [&b""[..], b"not a key", &[0xff; 40], &[b'a'; 4096]] {
        fs::write(&path, content).unwrap();
        set_mode(&path, 0o600);
        let refusal = RootKey::load_or_create_file(&path, &SeededEntropy::new(1)).err().unwrap();
        assert!(matches!(refusal, VaultError::BadRootKeyFile { .. } | VaultError::Io { .. }));
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn an_interrupted_making_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    fs::write(folder.path().join(".root.key.tmp"), "half").unwrap();
    let (_, created) = RootKey::load_or_create_file(&path, &SeededEntropy::new(1)).ok().unwrap();
    assert!(created);
    assert!(!folder.path().join(".root.key.tmp").exists());
}
