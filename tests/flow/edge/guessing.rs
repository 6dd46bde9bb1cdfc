//! Guesses of a password, from many addresses over real HTTP: they stay at the set rate, and whose account it is
//! signs in meanwhile as ever.

use futures::future::join_all;
use iassistance_config::Secret;
use iassistance_domain::account::{
    Account, AccountState, Language, MemberOf, Membership, Role, SecondFactors, normalised_email,
};
use iassistance_domain::id::AccountId;
use iassistance_domain::{Clock, Pii};
use iassistance_identity::passwords::Cost;
use iassistance_vault::SystemEntropy;
use serde_json::json;

use super::{PROXIED, header, sent, with};
use crate::harness::Flow;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple 7";
/// So many guesses, so many of them at once, and how long after those the next come, milliseconds.
const GUESSES: u32 = 20_000;
const AT_ONCE: u32 = 200;
const EVERY_MS: u64 = 2_000;
/// `identity.account_burst` and `identity.account_interval_ms`.
const BURST: u64 = 5;
const INTERVAL_MS: u64 = 6_000;

async fn account(flow: &Flow) {
    let now = flow.clock.now();
    let of = MemberOf::Tenant(flow.tenants[0]);
    let made =
        flow.app.identity.passwords.create(&Secret::new(PASSWORD), Cost::of(false), &[], Language::En).await;
    let account = Account {
        id: AccountId::new(now, &SystemEntropy),
        email: normalised_email(EMAIL).unwrap(),
        name: Pii::new("Ada".to_owned()),
        password: Some(made.unwrap()),
        second_factors: SecondFactors::default(),
        owner: false,
        memberships: vec![Membership { of, role: Role::Operator, assigned_only: false, since: now }],
        supabase_subject: None,
        language: Language::En,
        state: AccountState::Active,
        revision: 0,
        created_at: now,
        signed_in_at: None,
    };
    flow.app.store.people().create_account(account).await.unwrap();
}

/// One try: its status, and the cookie of the device.
async fn sign_in(flow: &Flow, from: &str, password: &str, device: &str) -> (u16, String) {
    let request = flow.request("POST", "/v1/auth/sign-in").header("x-forwarded-for", from);
    let request = if device.is_empty() { request } else { request.header("cookie", device) };
    let answer = sent(request.json(&json!({ "email": EMAIL, "password": password }))).await;
    if answer.status() == 429 {
        assert_ne!(header(&answer, "retry-after"), "");
    }
    let kept = answer.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let device =
        kept.filter(|cookie| cookie.starts_with("__Host-device=")).find_map(|it| it.split(';').next());
    (answer.status().as_u16(), device.unwrap_or_default().to_owned())
}

#[actix::test]
async fn guesses_from_many_addresses_stay_at_the_rate_and_lock_nobody_out() {
    let flow = with(&[PROXIED]).await;
    account(&flow).await;
    let (status, device) = sign_in(&flow, "203.0.113.7", PASSWORD, "").await;
    assert_eq!(status, 200);
    // The first sign-in was one of them: its device was new. So 37 of 20,000 are looked at.
    let rate = BURST - 1 + u64::from(GUESSES / AT_ONCE - 1) * EVERY_MS / INTERVAL_MS;
    let (mut looked_at, mut refused, mut own) = (0, 0, 0);
    for begin in (0..GUESSES).step_by(AT_ONCE as usize) {
        let guesses = (begin..begin + AT_ONCE).map(async |guess| {
            let from = std::net::Ipv4Addr::from_bits(0x0800_0000 + guess).to_string();
            sign_in(&flow, &from, "not it", "").await.0
        });
        for status in join_all(guesses).await {
            match status {
                403 => looked_at += 1,
                429 => refused += 1,
                other => panic!("{other}"),
            }
        }
        assert!(looked_at <= rate, "{looked_at} were looked at");
        if begin % (5 * AT_ONCE) == 0 {
            let signed_in = sign_in(&flow, "198.51.100.9", PASSWORD, &device).await;
            assert_eq!(signed_in.0, 200, "after {begin} guesses");
            own += 1;
        }
        flow.clock.advance_millis(EVERY_MS);
    }
    assert_eq!((looked_at, refused), (rate, u64::from(GUESSES) - rate));
    assert_eq!(own, 20);
    flow.finish().await;
}
