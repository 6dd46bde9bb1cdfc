use std::sync::Arc;

use actix_web::ResponseError;
use iassistance_domain::{ManualClock, SeededEntropy};
use iassistance_storage::{Limits, MemoryStore};
use iassistance_vault::RootKey;

use super::*;

fn tenant(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

fn status<T>(result: Result<T, Problem>) -> Option<u16> {
    result.err().map(|problem| problem.status_code().as_u16())
}

#[test]
fn useless_keys_are_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let entropy = Arc::new(SeededEntropy::new(5));
    let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
    let keyring = Keyring::open(&folder.path().join("keyring.json"), &root, false, entropy.clone()).unwrap();
    let refusal = |tenant, scopes: &[Scope], ends| {
        mint(&keyring, &*entropy, &ManualClock::at(NOW), "x".into(), tenant, scopes.to_vec(), ends).err()
    };
    assert_eq!(refusal(None, &[], None), Some(BadKey::NoScope));
    assert_eq!(refusal(None, &[Scope::Read], None), Some(BadKey::NobodysKey));
    assert_eq!(refusal(Some(tenant(1)), &[Scope::Platform], None), Some(BadKey::PlatformOfTenant));
    assert_eq!(refusal(Some(tenant(1)), &[Scope::Read], Some(NOW)), Some(BadKey::EndsInThePast));
    assert_eq!(refusal(None, &[Scope::Platform], None), None);
}

#[test]
fn base_62_counts() {
    assert_eq!(base62(&mut [0, 61], 3), "00z");
    assert_eq!(base62(&mut [0, 62], 3), "010");
    assert_eq!(base62(&mut [255; 4], 6), "4gfFC3");
    let all = base62(&mut [255; 32], SECRET_DIGITS);
    assert!(all.len() == SECRET_DIGITS && !all.starts_with('0'), "256 bits need all 43 digits");
}

struct Minted {
    _folder: tempfile::TempDir,
    keyring: Keyring,
    store: MemoryStore,
    key: ApiKey,
    plain: PlainKey,
}

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

async fn minted() -> Minted {
    let folder = tempfile::tempdir().unwrap();
    let entropy = Arc::new(SeededEntropy::new(5));
    let clock = ManualClock::at(NOW);
    let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
    let path = folder.path().join("keyring.json");
    let keyring = Keyring::open(&path, &root, false, entropy.clone()).unwrap();
    let limits = Limits::default();
    let store = MemoryStore::new(limits, Arc::new(clock.clone()), entropy.clone());
    let (key, plain) = mint(
        &keyring,
        &*entropy,
        &clock,
        "desk".to_owned(),
        Some(tenant(1)),
        vec![Scope::Read],
        Some(NOW.plus_millis(1_000)),
    )
    .unwrap();
    store.put_api_key(key.clone()).await.unwrap();
    Minted { _folder: folder, keyring, store, key, plain }
}

impl Minted {
    async fn sign_in(&self, now: Timestamp, text: &str) -> Result<ApiKey, Problem> {
        check(&self.store, &self.keyring, now, None, text).await
    }
}

#[actix_web::test]
async fn a_key_signs_in_while_it_lives() {
    let minted = minted().await;
    let text = minted.plain.expose();
    assert_eq!(text.len(), 4 + 32 + 1 + 43 + 1 + 6);
    assert!(!minted.key.hash.is_empty() && !text.contains(&minted.key.hash));
    let caller = minted.sign_in(NOW, text).await.unwrap();
    assert_eq!((caller.id, caller.tenant), (minted.key.id, Some(tenant(1))));
    assert_eq!(status(minted.sign_in(NOW.plus_millis(1_000), text).await), Some(401));
    minted.store.put_api_key(ApiKey { revoked_at: Some(NOW), ..minted.key.clone() }).await.unwrap();
    assert_eq!(status(minted.sign_in(NOW, text).await), Some(401));
}

#[actix_web::test]
async fn every_other_key_gets_the_same_answer() {
    let minted = minted().await;
    let text = minted.plain.expose();
    let typo = format!("{}x{}", &text[..50], &text[51..]);
    let forged = |id: &str, secret: &str| {
        let checked = format!("{PREFIX}{id}_{secret}");
        format!("{checked}_{}", checksum(&checked))
    };
    let (id, secret) = (digits_of(minted.key.id), &text[37..80]);
    let unknown = forged(&"0".repeat(32), secret);
    let wrong_secret = forged(&id, &"0".repeat(43));
    let answer = serde_json::to_string(&Problem::unauthorized()).unwrap();
    for wrong in ["", "iak_", "iak___", "iak_é_é_é", &typo, &unknown, &wrong_secret, &text[..86]] {
        let refusal = minted.sign_in(NOW, wrong).await.err().unwrap();
        assert_eq!(serde_json::to_string(&refusal).unwrap(), answer);
    }
    assert!(minted.sign_in(NOW, &forged(&id, secret)).await.is_ok());
}

#[actix_web::test]
async fn a_key_works_from_its_networks_alone() {
    let minted = minted().await;
    let networks = vec!["203.0.113.0/24".parse().unwrap()];
    minted.store.put_api_key(ApiKey { networks, ..minted.key.clone() }).await.unwrap();
    for (from, works) in [("203.0.113.9", true), ("::ffff:203.0.113.9", true), ("203.0.114.1", false)] {
        let from = Some(from.parse().unwrap());
        let checked = check(&minted.store, &minted.keyring, NOW, from, minted.plain.expose()).await;
        assert_eq!(checked.is_ok(), works, "{from:?}");
    }
    assert!(minted.sign_in(NOW, minted.plain.expose()).await.is_err(), "from an address that is not known");
}
