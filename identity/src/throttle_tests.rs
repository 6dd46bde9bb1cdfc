use std::net::{Ipv4Addr, Ipv6Addr};

use iassistance_domain::{ManualClock, Timestamp};

use super::*;
use crate::fakes::settings;

fn start() -> (ManualClock, Throttles) {
    let clock = ManualClock::at(Timestamp::from_secs(1_790_000_000));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    (clock, Throttles::new(&settings(), &shared))
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0800_0000 + number))
}

fn email(name: &str) -> Pii<String> {
    Pii::new(format!("{name}@example.com"))
}

#[test]
fn an_address_gets_its_burst_and_then_one_each_twenty_seconds() {
    let (clock, throttles) = start();
    for number in 0..3 {
        assert_eq!(throttles.password(address(1), &email(&format!("a{number}")), None), Ok(()));
    }
    let until = clock.now().plus_millis(20_000);
    assert_eq!(throttles.password(address(1), &email("a3"), None), Err(Throttled { until }));
    assert_eq!(throttles.address(address(1)), Err(Throttled { until }));
    assert_eq!(throttles.password(address(2), &email("a3"), None), Ok(()), "another address goes on");
    clock.advance_millis(19_999);
    assert!(throttles.address(address(1)).is_err());
    clock.advance_millis(1);
    assert_eq!(throttles.address(address(1)), Ok(()));
}

#[test]
fn an_address_of_ipv6_is_that_of_a_network() {
    let (_, throttles) = start();
    let within = |low: u128| IpAddr::V6(Ipv6Addr::from_bits(0x2a00_1450_4009_0001 << 64 | low));
    for low in 0..3 {
        assert_eq!(throttles.address(within(low << 40 | low)), Ok(()));
    }
    assert!(throttles.address(within(77)).is_err());
    let mapped = |number: u8| IpAddr::V6(Ipv4Addr::new(8, 8, 8, number).to_ipv6_mapped());
    for number in 0..10 {
        assert_eq!(throttles.address(mapped(number)), Ok(()), "mapped addresses are those of IPv4");
    }
}

#[test]
fn a_million_guesses_from_many_addresses_stay_at_the_rate_and_the_owner_signs_in() {
    const GUESSES: u32 = 1_000_000;
    let (clock, throttles) = start();
    let (victim, device) = (email("victim"), DeviceId::from_bytes([7; 16]));
    let (mut guessed, mut tried, mut signed_in) = (0, 0, 0);
    // 1,000 a second from 10,000 addresses; the owner once a minute.
    for number in 0..GUESSES {
        if number % 60_000 == 59_999 {
            tried += 1;
            signed_in +=
                u32::from(throttles.password(address(number % 10_000), &victim, Some(device)).is_ok());
        }
        guessed += u32::from(throttles.password(address(number % 10_000), &victim, None).is_ok());
        clock.advance_millis(1);
    }
    // Five at once, and one each six seconds of a thousand seconds.
    assert!((165..=172).contains(&guessed), "{guessed}");
    assert_eq!((signed_in, tried), (tried, 16), "always");
}

#[test]
fn whoever_floods_the_tables_gets_no_try_back() {
    let (_, throttles) = start();
    let victim = email("victim");
    let allowed = |number| throttles.password(address(number), &victim, None).is_ok();
    let first = (0..100).filter(|number| allowed(*number)).count();
    for number in 0..300_000 {
        // Refused or not: it must not make anybody forget the victim.
        _ = throttles.password(address(1_000 + number), &email(&number.to_string()), None);
    }
    let after = (2_000_000..2_000_100).filter(|number| allowed(*number)).count();
    assert_eq!((first, after), (5, 0));
}

#[test]
fn a_quiet_address_is_seldom_refused_for_others() {
    let (_, throttles) = start();
    for number in 0..10_000 {
        while throttles.address(address(number)).is_ok() {}
    }
    let refused = (100_000..110_000).filter(|number| throttles.address(address(*number)).is_err()).count();
    // About 0.5 in 100; twice that would be no accident.
    assert!(refused < 120, "{refused} of 10000");
}

#[test]
fn a_known_device_has_tries_of_its_own_but_not_more() {
    let (_, throttles) = start();
    let (device, other) = (DeviceId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16]));
    let tries =
        |device| (0..50).filter(|_| throttles.password(address(1), &email("a"), device).is_ok()).count();
    assert_eq!((tries(Some(device)), tries(Some(other)), tries(None)), (5, 5, 3));
}

#[test]
fn second_factors_get_five_tries_and_then_one_each_six_seconds() {
    let (clock, throttles) = start();
    let account = AccountId::from_bytes([1; 16]);
    let tries = || (0..50).filter(|_| throttles.second_factor(account, None).is_ok()).count();
    assert_eq!((tries(), tries()), (5, 0));
    clock.advance_millis(6_000);
    assert_eq!(tries(), 1);
    assert_eq!(throttles.second_factor(account, Some(DeviceId::from_bytes([1; 16]))), Ok(()));
}

#[test]
fn nobodys_mailbox_is_filled() {
    let (clock, throttles) = start();
    let mails = || (0..50).filter(|_| throttles.mail(&email("a")).is_ok()).count();
    assert_eq!((mails(), mails()), (3, 0));
    clock.advance_millis(600_000);
    assert_eq!(mails(), 1);
}
