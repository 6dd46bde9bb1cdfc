//! Webhooks and requests to delete that Meta did not sign: altered, cut, put together of two, signed with another
//! secret. None is taken for Meta's. `IASSISTANCE_FORGERIES` says how many of each sort there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use iassistance_channels::{signature, signed_request};
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::{Entropy, SeededEntropy};
use sha2::Sha256;

const SECRETS: [&str; 2] = ["the-app-secret-of-today", "the-app-secret-of-before"];
/// Of other apps, and of none.
const FOREIGN: [&str; 4] = ["another-app-secret", "the-app-secret-of-toda", "the-app-secret-of-Today", ""];
const SORTS: u64 = 8;

fn forgeries() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how a test is told what to do")]
    let asked = std::env::var("IASSISTANCE_FORGERIES").ok();
    asked.map_or(20_000, |count| count.parse().unwrap())
}

fn secrets() -> Vec<StoredSecret> {
    SECRETS.map(StoredSecret::new).to_vec()
}

fn mac(secret: &str, signed: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

fn place(chance: &SeededEntropy, length: usize) -> usize {
    usize::try_from(chance.up_to(length as u64 - 1)).unwrap()
}

fn flip(chance: &SeededEntropy, bytes: &mut [u8]) {
    let at = place(chance, bytes.len());
    bytes[at] ^= 1 << chance.up_to(7);
}

/// What is claimed and what is signed, of a genuine one that both are of, made into a forgery of this sort.
fn forged(chance: &SeededEntropy, sort: u64, signed: &mut Vec<u8>, claimed: &mut Vec<u8>) {
    match sort {
        0 => flip(chance, signed),
        1 => flip(chance, claimed),
        2 => signed.truncate(place(chance, signed.len())),
        3 => signed.extend(*b"000"),
        4 => chance.fill(claimed),
        // Of another one that was signed, repeated under this one.
        5 => *claimed = mac(SECRETS[0], &[&signed[..], b"of another"].concat()),
        6 => *claimed = mac(FOREIGN[place(chance, FOREIGN.len())], signed),
        _ => claimed.truncate(place(chance, claimed.len())),
    }
}

fn webhook(chance: &SeededEntropy) -> Vec<u8> {
    let (from, words) = (chance.up_to(1 << 40), chance.up_to(1 << 60));
    format!(
        r#"{{"object":"page","entry":[{{"id":"7","messaging":[{{"sender":"{from}","text":"{words}"}}]}}]}}"#
    )
    .into_bytes()
}

#[test]
fn no_webhook_is_taken_that_meta_did_not_sign() {
    let (chance, secrets) = (SeededEntropy::new(7), secrets());
    let header = |mac: &[u8]| format!("sha256={}", hex::encode(mac)).into_bytes();
    let (mut taken, count) = (0, forgeries());
    for number in 0..count {
        let mut body = webhook(&chance);
        let mut claimed = mac(SECRETS[place(&chance, 2)], &body);
        let genuine = signature::verify(&secrets, Some(&header(&claimed)), Bytes::from(body.clone()));
        assert!(genuine.is_ok(), "what Meta signed is taken");
        forged(&chance, number % SORTS, &mut body, &mut claimed);
        taken += u64::from(signature::verify(&secrets, Some(&header(&claimed)), Bytes::from(body)).is_ok());
    }
    println!("{count} forged webhooks, {taken} taken");
    assert_eq!(taken, 0, "of {count} forged webhooks");
}

#[test]
fn nobody_is_deleted_by_a_request_that_meta_did_not_sign() {
    let (chance, secrets) = (SeededEntropy::new(8), secrets());
    let form = |mac: &[u8], payload: &[u8]| {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(mac), String::from_utf8_lossy(payload))
    };
    let (mut taken, count) = (0, forgeries());
    for number in 0..count {
        let user = chance.up_to(1 << 50);
        let payload = format!(r#"{{"algorithm":"HMAC-SHA256","user_id":"{user}"}}"#);
        let mut payload = URL_SAFE_NO_PAD.encode(payload).into_bytes();
        let mut claimed = mac(SECRETS[place(&chance, 2)], &payload);
        assert!(
            signed_request::verify(&secrets, &form(&claimed, &payload)).is_ok(),
            "what Meta signed is taken"
        );
        forged(&chance, number % SORTS, &mut payload, &mut claimed);
        taken += u64::from(signed_request::verify(&secrets, &form(&claimed, &payload)).is_ok());
    }
    println!("{count} forged requests to delete, {taken} taken");
    assert_eq!(taken, 0, "of {count} forged requests to delete");
}

/// Welch's t of two samples.
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let of = |sample: &[f64]| {
        #[expect(clippy::cast_precision_loss, reason = "a count of a sample")]
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((mean, spread), (other_mean, other_spread)) = (of(one), of(other));
    (mean - other_mean) / (spread + other_spread).sqrt()
}

/// Somebody who guesses a signature byte by byte must not learn from the time how much of it was right.
#[test]
#[ignore = "it measures time: run it in a release build, by itself"]
fn how_long_a_refusal_takes_does_not_say_how_near_it_was() {
    let (chance, secrets) = (SeededEntropy::new(9), vec![StoredSecret::new(SECRETS[0])]);
    let body = Bytes::from(webhook(&chance));
    let near_and_far = [31, 0].map(|at| {
        let mut claimed = mac(SECRETS[0], &body);
        claimed[at] ^= 1;
        format!("sha256={}", hex::encode(claimed)).into_bytes()
    });
    let mut taken: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..forgeries() {
        let which = place(&chance, 2);
        let began = Instant::now();
        let refused = black_box(signature::verify(&secrets, Some(&near_and_far[which]), body.clone()));
        taken[which].push(began.elapsed().as_secs_f64() * 1e9);
        assert!(refused.is_err());
    }
    // What interrupted the process says nothing: the slowest tenth is left out, of both by the same bound.
    let mut all: Vec<f64> = taken.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let bound = all[all.len() * 9 / 10];
    let [near, far] = taken.map(|sample| sample.into_iter().filter(|it| *it <= bound).collect::<Vec<_>>());
    let t = welch(&near, &far);
    println!("{} refusals, Welch's t {t:.2}", all.len());
    assert!(t.abs() < 4.5, "t = {t:.2}");
}
