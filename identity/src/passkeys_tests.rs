use iassistance_domain::{ManualClock, SeededEntropy};

use super::authenticator::Authenticator;
use super::*;
use crate::fakes::account;

const ORIGIN: &str = "https://desk.example";

struct Server {
    clock: ManualClock,
    passkeys: Passkeys,
}

fn server() -> Server {
    let clock = ManualClock::at(Timestamp::from_secs(1_790_000_000));
    let url = Url::parse("https://desk.example/").unwrap();
    let passkeys =
        Passkeys::new(&url, "Desk", Arc::new(clock.clone()), Arc::new(SeededEntropy::new(1))).unwrap();
    Server { clock, passkeys }
}

/// An account with the passkey of a new authenticator.
fn added(server: &Server, number: u8) -> (Account, Authenticator) {
    let (mut account, mut device) = (account(number), Authenticator::new(ORIGIN));
    let question = server.passkeys.start_adding(&account).unwrap();
    let answer = device.create(&question.options);
    let passkey = server.passkeys.finish_adding(&account, &question.id, answer, " My\u{7} key ").unwrap();
    account.second_factors.passkeys.push(passkey);
    (account, device)
}

fn sign_in(server: &Server, account: &mut Account, device: &mut Authenticator) -> Result<(), PasskeyError> {
    let question = server.passkeys.start_sign_in().unwrap();
    let answer = SignInAnswer::read(device.get(&question.options)).unwrap();
    server.passkeys.finish_sign_in(account, &question.id, &answer)
}

#[test]
fn a_passkey_is_added_and_signs_in() {
    let server = server();
    let (mut account, mut device) = added(&server, 1);
    let stored = &account.second_factors.passkeys[0];
    assert_eq!((stored.name.as_str(), stored.used_at), ("My key", None));
    let question = server.passkeys.start_sign_in().unwrap();
    assert!(question.options.get("mediation").is_none());
    assert_eq!(question.options["publicKey"]["userVerification"], "required");
    let answer = SignInAnswer::read(device.get(&question.options)).unwrap();
    assert_eq!(answer.account(), Some(account.id));
    assert_eq!(server.passkeys.finish_sign_in(&mut account, &question.id, &answer), Ok(()));
    assert_eq!(account.second_factors.passkeys[0].used_at, Some(server.clock.now()));
    // The same answer again, and to another question.
    assert_eq!(server.passkeys.finish_sign_in(&mut account, &question.id, &answer), Err(PasskeyError::Over));
    let other = server.passkeys.start_sign_in().unwrap();
    assert_eq!(server.passkeys.finish_sign_in(&mut account, &other.id, &answer), Err(PasskeyError::Refused));
    // What is kept survives its way through the store.
    let mut read: Account = serde_json::from_slice(&serde_json::to_vec(&account).unwrap()).unwrap();
    assert_eq!(sign_in(&server, &mut read, &mut device), Ok(()));
}

#[test]
fn it_proves_who_somebody_is_to_their_account_alone() {
    let server = server();
    let ((mut ada, mut device), (mut eva, mut other)) = (added(&server, 1), added(&server, 2));
    let question = server.passkeys.start_proof(&ada).unwrap();
    let answer = device.get(&question.options);
    assert_eq!(server.passkeys.finish_proof(&mut eva, &question.id, answer), Err(PasskeyError::Over));
    let question = server.passkeys.start_proof(&ada).unwrap();
    let answer = other.get(&question.options);
    assert_eq!(server.passkeys.finish_proof(&mut ada, &question.id, answer), Err(PasskeyError::Refused));
    let question = server.passkeys.start_proof(&ada).unwrap();
    let answer = device.get(&question.options);
    assert_eq!(server.passkeys.finish_proof(&mut ada, &question.id, answer), Ok(()));
    // Signing in with another account's passkey.
    let question = server.passkeys.start_sign_in().unwrap();
    let answer = SignInAnswer::read(device.get(&question.options)).unwrap();
    assert_eq!(server.passkeys.finish_sign_in(&mut eva, &question.id, &answer), Err(PasskeyError::Refused));
    assert_eq!(server.passkeys.start_proof(&account(3)).err(), Some(PasskeyError::None));
}

#[test]
fn a_copy_of_a_passkey_is_noticed() {
    let server = server();
    let (mut account, mut device) = added(&server, 1);
    assert_eq!(sign_in(&server, &mut account, &mut device), Ok(()));
    device.count -= 1;
    assert_eq!(sign_in(&server, &mut account, &mut device), Err(PasskeyError::Refused));
    device.count += 5;
    assert_eq!(sign_in(&server, &mut account, &mut device), Ok(()));
}

#[test]
fn another_page_and_somebody_who_did_not_show_who_they_are_are_refused() {
    let server = server();
    let (mut account, mut device) = added(&server, 1);
    for origin in [
        "https://desk.example.evil",
        "http://desk.example",
        "https://evil.desk.example",
        "https://desk.example:8443",
    ] {
        origin.clone_into(&mut device.origin);
        assert_eq!(sign_in(&server, &mut account, &mut device), Err(PasskeyError::Refused), "{origin}");
    }
    ORIGIN.clone_into(&mut device.origin);
    // Present, but neither finger nor PIN.
    device.flags = 0x01;
    assert_eq!(sign_in(&server, &mut account, &mut device), Err(PasskeyError::Refused));
    device.flags = 0x05;
    assert_eq!(sign_in(&server, &mut account, &mut device), Ok(()));
}

#[test]
fn a_question_is_answered_once_and_in_time() {
    let server = server();
    let (mut account, mut device) = added(&server, 1);
    let question = server.passkeys.start_sign_in().unwrap();
    let answer = SignInAnswer::read(device.get(&question.options)).unwrap();
    server.clock.advance_millis(CEREMONY_MS);
    assert_eq!(server.passkeys.finish_sign_in(&mut account, &question.id, &answer), Err(PasskeyError::Over));
    for id in ["", "x", &"0".repeat(48)] {
        assert_eq!(server.passkeys.finish_sign_in(&mut account, id, &answer), Err(PasskeyError::Over));
    }
    assert!(SignInAnswer::read(serde_json::json!({ "id": 1 })).is_err());
}

#[test]
fn who_asks_for_many_keeps_nobody_from_adding_one() {
    let server = server();
    let account = account(1);
    let question = server.passkeys.start_adding(&account).unwrap();
    for _ in 0..=CEREMONIES_MAX {
        server.passkeys.start_sign_in().unwrap();
    }
    assert_eq!(lock(&server.passkeys.anybody).by_id.len(), CEREMONIES_MAX);
    let answer = Authenticator::new(ORIGIN).create(&question.options);
    assert!(server.passkeys.finish_adding(&account, &question.id, answer, "").is_ok());
}

#[test]
fn an_account_has_each_passkey_once_and_not_too_many() {
    let server = server();
    let (mut account, mut device) = added(&server, 1);
    let question = server.passkeys.start_adding(&account).unwrap();
    let excluded = &question.options["publicKey"]["excludeCredentials"];
    assert_eq!(excluded.as_array().map(Vec::len), Some(1), "the browser is told which there are");
    let again = device.create(&question.options);
    let added_again = server.passkeys.finish_adding(&account, &question.id, again, "");
    assert_eq!(added_again, Err(PasskeyError::Known));
    let one = account.second_factors.passkeys[0].clone();
    account.second_factors.passkeys = vec![one; PASSKEYS_MAX];
    assert_eq!(server.passkeys.start_adding(&account).err(), Some(PasskeyError::TooMany));
}

#[test]
fn passkeys_need_a_name() {
    let made = |url: &str| {
        let url = Url::parse(url).unwrap();
        let clock = ManualClock::at(Timestamp::EPOCH);
        Passkeys::new(&url, "Desk", Arc::new(clock), Arc::new(SeededEntropy::new(1))).err()
    };
    for url in ["http://127.0.0.1:8080", "https://[::1]/", "http://desk.example/"] {
        assert_eq!(made(url), Some(PasskeyError::NoName), "{url}");
    }
    for url in ["http://localhost:8080/", "https://desk.example:8443/"] {
        assert_eq!(made(url), None, "{url}");
    }
}
