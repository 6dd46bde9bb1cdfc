use std::sync::Arc;

use actix_web::ResponseError;
use iassistance_domain::{ManualClock, SeededEntropy};
use iassistance_storage::{Limits, MemoryStore};
use iassistance_vault::RootKey;

use super::*;

fn tenant(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

fn caller(tenant: Option<TenantId>, scopes: &[Scope]) -> Caller {
    Caller { key: ApiKeyId::from_bytes([1; 16]), tenant, scopes: scopes.to_vec() }
}

fn status<T>(result: Result<T, Problem>) -> Option<u16> {
    result.err().map(|problem| problem.status_code().as_u16())
}

#[test]
fn the_table_of_rules() {
    use Scope::{Manage as M, Operate as O, Platform as P, Read as R};
    let rules = [Read::RULE, Operate::RULE, SetUp::RULE, Manage::RULE, Platform::RULE];
    let own = Some(tenant(1));
    // Who, and whether they have: read, operate, set up, manage, platform.
    let table: &[(Option<TenantId>, &[Scope], [bool; 5])] = &[
        (own, &[R], [true, false, true, false, false]),
        (own, &[O], [false, true, true, false, false]),
        (own, &[M], [false, false, true, true, false]),
        (own, &[R, O, M], [true, true, true, true, false]),
        (own, &[P], [false; 5]),
        (own, &[], [false; 5]),
        (None, &[P], [false, false, true, true, true]),
        (None, &[P, R], [true, false, true, true, true]),
        (None, &[P, O], [false, true, true, true, true]),
        (None, &[R, O, M], [false; 5]),
    ];
    for (tenant, scopes, expected) in table {
        let caller = caller(*tenant, scopes);
        assert_eq!(rules.map(|rule| caller.has(&rule)), *expected, "{caller:?}");
    }
}

#[test]
fn another_tenant_is_as_if_it_were_not_there() {
    let mine = caller(Some(tenant(1)), &[Scope::Read]);
    assert_eq!(mine.ctx::<Read>(tenant(1)).unwrap().tenant(), tenant(1));
    assert_eq!(status(mine.ctx::<Read>(tenant(2))), Some(404));
    assert_eq!(status(mine.ctx::<Manage>(tenant(2))), Some(403));
    let platform = caller(None, &[Scope::Platform]);
    assert_eq!(platform.ctx::<Manage>(tenant(2)).unwrap().tenant(), tenant(2));
    assert_eq!(status(platform.ctx::<Read>(tenant(2))), Some(403));
}

#[test]
fn nobody_hands_out_what_they_do_not_hold() {
    let hands_out = |caller: &Caller| {
        [Scope::Read, Scope::Operate, Scope::Manage, Scope::Platform].map(|scope| caller.may_hand_out(scope))
    };
    assert_eq!(hands_out(&caller(Some(tenant(1)), &[Scope::Manage])), [false, false, true, false]);
    assert_eq!(hands_out(&caller(None, &[Scope::Platform, Scope::Read])), [true, false, true, false]);
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
    async fn sign_in(&self, now: Timestamp, text: &str) -> Result<Caller, Problem> {
        Caller::of_key(&self.store, &self.keyring, now, text).await
    }
}

#[actix_web::test]
async fn a_key_signs_in_while_it_lives() {
    let minted = minted().await;
    let text = minted.plain.expose();
    assert_eq!(text.len(), 4 + 32 + 1 + 43 + 1 + 6);
    assert!(!minted.key.hash.is_empty() && !text.contains(&minted.key.hash));
    let caller = minted.sign_in(NOW, text).await.unwrap();
    assert_eq!((caller.key(), caller.tenant()), (minted.key.id, Some(tenant(1))));
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
