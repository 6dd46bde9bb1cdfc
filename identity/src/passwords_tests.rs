use iassistance_domain::SeededEntropy;
use tempfile::TempDir;

use super::*;
use crate::fakes::{keyring, keyring_of, settings};

fn pool(at_once: usize, queue: usize) -> (TempDir, Passwords) {
    let (folder, keyring) = keyring();
    let settings = IdentitySettings { hash_concurrency: at_once, hash_queue_max: queue, ..settings() };
    (folder, Passwords::new(&settings, keyring, Arc::new(SeededEntropy::new(1))))
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

async fn created(pool: &Passwords, text: &str, cost: Cost) -> PasswordHash {
    pool.create(&secret(text), cost, &[], Language::En).await.unwrap()
}

async fn checked(pool: &Passwords, text: &str, kept: &PasswordHash, cost: Cost) -> Verdict {
    pool.check(&secret(text), Candidate::Account { kept, cost }).await.unwrap()
}

const LONG: &str = "ñandú azul come alfajores";
const RIGHT: Verdict = Verdict::Right { rehashed: None };

#[tokio::test]
async fn a_password_is_known_again_and_nothing_else_is() {
    let (_folder, pool) = pool(2, 8);
    let kept = created(&pool, LONG, Cost::Everyone).await;
    assert!(kept.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.expose());
    assert_eq!(checked(&pool, LONG, &kept, Cost::Everyone).await, RIGHT);
    for wrong in ["", "ñandú azul come alfajore", "Ñandú azul come alfajores", "ñandú azul come alfajores "]
    {
        assert_eq!(checked(&pool, wrong, &kept, Cost::Everyone).await, Verdict::Wrong, "{wrong}");
    }
    let other = created(&pool, LONG, Cost::Everyone).await;
    assert_ne!(kept.expose(), other.expose(), "each has a salt of its own");
}

#[tokio::test]
async fn how_it_was_typed_does_not_matter() {
    let (_folder, pool) = pool(2, 8);
    let kept = created(&pool, LONG, Cost::Everyone).await;
    let decomposed: String = LONG.nfd().collect();
    assert_ne!(decomposed, LONG);
    assert_eq!(checked(&pool, &decomposed, &kept, Cost::Everyone).await, RIGHT);
}

#[tokio::test]
async fn without_the_keyring_it_cannot_be_tried_out() {
    let (_folder, pool) = pool(2, 8);
    let kept = created(&pool, LONG, Cost::Everyone).await;
    let parsed = phc::PasswordHash::new(kept.expose()).unwrap();
    assert!(Argon2::default().verify_password(LONG.as_bytes(), &parsed).is_err());
    let (_other_folder, keyring) = keyring_of(8);
    let other = Passwords::new(&settings(), keyring, Arc::new(SeededEntropy::new(1)));
    assert_eq!(checked(&other, LONG, &kept, Cost::Everyone).await, Verdict::Wrong);
}

#[tokio::test]
async fn who_becomes_an_owner_is_hashed_anew_when_they_sign_in() {
    let (_folder, pool) = pool(2, 8);
    let kept = created(&pool, LONG, Cost::Everyone).await;
    let Verdict::Right { rehashed: Some(anew) } = checked(&pool, LONG, &kept, Cost::Owner).await else {
        panic!("it is hashed anew");
    };
    assert!(anew.expose().starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{}", anew.expose());
    assert_eq!(checked(&pool, LONG, &anew, Cost::Owner).await, RIGHT);
    assert_eq!(checked(&pool, "wrong", &kept, Cost::Owner).await, Verdict::Wrong);
}

#[tokio::test]
async fn nobody_has_no_password_and_takes_as_long_as_somebody() {
    let (_folder, pool) = pool(2, 8);
    let email = Pii::new("nobody@example.com".to_owned());
    let nobody = Candidate::Nobody { email: &email };
    assert_eq!(pool.check(&secret(LONG), nobody).await.unwrap(), Verdict::Wrong);
    // An owner is not told by the time that it takes: some that are nobody take as long, always the same.
    let address = |number: u32| Pii::new(format!("nobody{number}@example.com"));
    let owners: Vec<_> = (0..800).filter(|n| pool.cost_of_nobody(&address(*n)) == Cost::Owner).collect();
    assert!((60..140).contains(&owners.len()), "{}", owners.len());
    assert!(owners.iter().all(|n| pool.cost_of_nobody(&address(*n)) == Cost::Owner));
}

#[tokio::test]
async fn a_weak_one_is_refused_before_it_is_hashed() {
    let (_folder, pool) = pool(2, 8);
    let email = Pii::new("ada.lovelace@example.com".to_owned());
    let refused = pool.create(&secret("lovelace1"), Cost::Owner, &[&email], Language::Es).await;
    let Err(PasswordError::Weak(weak)) = refused else { panic!("it is weak") };
    assert!(!weak.advice.is_empty());
    assert_eq!(format!("{weak:?}"), "Weak");
}

#[tokio::test]
async fn only_so_many_wait() {
    let (_folder, pool) = pool(1, 3);
    let kept = created(&pool, LONG, Cost::Everyone).await;
    let wrong = secret("wrong");
    let all = (0..12).map(|_| pool.check(&wrong, Candidate::Account { kept: &kept, cost: Cost::Everyone }));
    let answers = futures::future::join_all(all).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(PasswordError::Busy))).count();
    assert_eq!((answers.len() - busy, busy), (4, 8));
    // Then there is room again.
    assert_eq!(checked(&pool, LONG, &kept, Cost::Everyone).await, RIGHT);
}

#[tokio::test]
async fn who_goes_away_does_not_make_room_for_more_than_there_is() {
    let (_folder, pool) = pool(1, 0);
    let kept = created(&pool, LONG, Cost::Everyone).await;
    let wrong = secret("wrong");
    {
        let check = pool.check(&wrong, Candidate::Account { kept: &kept, cost: Cost::Everyone });
        futures::pin_mut!(check);
        assert!(futures::poll!(check.as_mut()).is_pending());
    }
    let next = pool.check(&wrong, Candidate::Account { kept: &kept, cost: Cost::Everyone });
    assert!(matches!(next.await, Err(PasswordError::Busy)), "the work in hand keeps its place");
}

#[tokio::test]
async fn what_is_damaged_is_said_to_be() {
    let (_folder, pool) = pool(2, 8);
    let good = created(&pool, LONG, Cost::Everyone).await.expose().to_owned();
    let (without_hash, _) = good.rsplit_once('$').unwrap();
    let other_kind = good.replace("argon2id", "scrypt");
    for kept in
        ["", "argon2id", "$argon2id$v=19$m=x", without_hash, &good.replace("m=19456", "m=0"), &other_kind]
    {
        let kept = PasswordHash::new(kept.to_owned());
        let (right, candidate) = (secret(LONG), Candidate::Account { kept: &kept, cost: Cost::Everyone });
        let checked = pool.check(&right, candidate).await;
        assert!(matches!(checked, Err(PasswordError::Damaged)), "{}: {checked:?}", kept.expose());
    }
}
