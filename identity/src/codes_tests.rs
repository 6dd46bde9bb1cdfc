use std::collections::BTreeSet;

use iassistance_domain::SeededEntropy;

use super::*;
use crate::fakes::keyring;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_010);

fn email() -> Pii<String> {
    Pii::new("ada@example.com".to_owned())
}

/// The code of the authenticator so many steps from now.
fn code(stored: &StoredTotp, now: Timestamp, steps: i64) -> String {
    let secret = totp_rs::Secret::try_from_base32(stored.secret.expose()).unwrap();
    let seconds = now.as_millis() / 1_000 + steps * 30;
    totp(secret).generate(seconds.cast_unsigned()).to_string()
}

#[test]
fn the_codes_are_those_of_the_standard() {
    // RFC 6238, appendix B: the last six digits of the codes for SHA-1.
    let secret = || totp_rs::Secret::new(Box::from(*b"12345678901234567890"));
    for (seconds, expected) in [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ] {
        let mut stored =
            StoredTotp { secret: StoredSecret::new(secret().to_base32()), last_step: 0, confirmed_at: None };
        assert_eq!(take_totp(&mut stored, expected, Timestamp::from_secs(seconds)), Ok(()), "{seconds}");
    }
}

#[test]
fn an_authenticator_is_set_up_by_an_address() {
    let new = new_totp(&SeededEntropy::new(1), "Mia: Platform", &email());
    let secret = new.secret.expose();
    assert_eq!(secret.len(), 32);
    assert_eq!(
        new.uri.expose(),
        format!(
            "otpauth://totp/Mia%20%20Platform:ada%40example.com?secret={secret}&issuer=Mia%20%20Platform"
        )
    );
    assert_eq!(new.stored.confirmed_at, None);
}

#[test]
fn a_code_works_once_and_neither_does_an_earlier_one_after_it() {
    let mut stored = new_totp(&SeededEntropy::new(2), "IAssistance", &email()).stored;
    let (before, now, after) = (code(&stored, NOW, -1), code(&stored, NOW, 0), code(&stored, NOW, 1));
    assert_eq!(take_totp(&mut stored, &now, NOW), Ok(()));
    assert_eq!(stored.confirmed_at, Some(NOW));
    for _ in 0..3 {
        assert_eq!(take_totp(&mut stored, &now, NOW), Err(BadCode::Used));
    }
    assert_eq!(take_totp(&mut stored, &before, NOW), Err(BadCode::Used), "older than the one that was used");
    let spaced = format!(" {} {} ", &after[..3], &after[3..]);
    assert_eq!(take_totp(&mut stored, &spaced, NOW), Ok(()), "a clock may be one step ahead");
    assert_eq!(take_totp(&mut stored, &now, NOW.plus_millis(30_000)), Err(BadCode::Used));
    assert_eq!(stored.confirmed_at, Some(NOW));
}

#[test]
fn a_code_of_another_time_or_shape_is_wrong() {
    let mut stored = new_totp(&SeededEntropy::new(3), "IAssistance", &email()).stored;
    let right = code(&stored, NOW, 0);
    for wrong in [
        code(&stored, NOW, -2),
        code(&stored, NOW, 2),
        String::new(),
        format!("{right}0"),
        "+12345".to_owned(),
        "ááá".to_owned(),
        right[1..].to_owned(),
    ] {
        assert_eq!(take_totp(&mut stored, &wrong, NOW), Err(BadCode::Wrong), "{wrong}");
    }
    assert_eq!((stored.last_step, stored.confirmed_at), (0, None), "a wrong code changes nothing");
}

#[test]
fn each_recovery_code_works_once_and_for_its_account_alone() {
    let (_folder, keyring) = keyring();
    let (account, other) = (AccountId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
    let (codes, hashes) = new_recovery_codes(&keyring, &SeededEntropy::new(4), account);
    assert_eq!((codes.len(), hashes.len()), (RECOVERY_CODES, RECOVERY_CODES));
    let distinct: BTreeSet<_> = codes.iter().map(|code| code.expose().to_owned()).collect();
    assert_eq!(distinct.len(), RECOVERY_CODES);
    let mut foreign = hashes.clone();
    assert_eq!(take_recovery_code(&keyring, other, &mut foreign, codes[0].expose()), Err(BadCode::Wrong));
    let mut left = hashes;
    for (used, code) in codes.iter().enumerate() {
        assert_eq!(left.len(), RECOVERY_CODES - used);
        let written =
            if used % 2 == 0 { code.expose().to_uppercase() } else { code.expose().replace('-', " ") };
        let written = written.replace('0', "o").replace('1', "L");
        assert_eq!(take_recovery_code(&keyring, account, &mut left, &written), Ok(()));
        assert_eq!(take_recovery_code(&keyring, account, &mut left, code.expose()), Err(BadCode::Wrong));
    }
    assert!(left.is_empty());
    assert_eq!(take_recovery_code(&keyring, account, &mut left, ""), Err(BadCode::Wrong));
}
