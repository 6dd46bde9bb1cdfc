use iassistance_domain::ManualClock;
use iassistance_domain::channel::StoredSecret;
use url::Url;

use super::*;

const POLICY: BreakerPolicy = BreakerPolicy { failures_max: 3, window_ms: 1_000, open_ms: 500 };
const FAULT: GenerateError = GenerateError::Unreachable;

fn scene() -> (Breakers, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_secs(1_000));
    (Breakers::new(POLICY, Arc::new(clock.clone())), clock)
}

fn tenant(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

fn server(address: &str, model: &str) -> ModelServer {
    ModelServer {
        base_url: Url::parse(address).unwrap(),
        api_key: StoredSecret::new(""),
        model: model.to_owned(),
        covers: false,
    }
}

fn one() -> ModelServer {
    server("https://one.example/v1", "small")
}

fn report(breakers: &Breakers, error: Option<&GenerateError>) -> Result<(), u64> {
    breakers.enter(tenant(1), &one()).map(|pass| pass.report(error))
}

#[test]
fn failures_in_a_row_open_it_and_a_success_forgives_them() {
    let (breakers, clock) = scene();
    for error in [Some(&FAULT), Some(&FAULT), None, Some(&FAULT), Some(&FAULT)] {
        report(&breakers, error).unwrap();
    }
    assert_eq!(breakers.open(), 0);
    report(&breakers, Some(&FAULT)).unwrap();
    assert_eq!(breakers.open(), 1);
    assert_eq!(report(&breakers, None), Err(500));
    clock.advance_millis(499);
    assert_eq!(report(&breakers, None), Err(1));
    clock.advance_millis(1);
    assert_eq!(report(&breakers, None), Ok(()));
    assert_eq!(breakers.open(), 0);
    assert!(breakers.lock().is_empty());
}

#[test]
fn failures_far_apart_do_not_open_it() {
    let (breakers, clock) = scene();
    for _ in 0..10 {
        report(&breakers, Some(&FAULT)).unwrap();
        clock.advance_millis(600);
    }
    assert_eq!(breakers.open(), 0);
}

#[test]
fn one_call_decides_for_all() {
    let (breakers, clock) = scene();
    for _ in 0..3 {
        report(&breakers, Some(&FAULT)).unwrap();
    }
    clock.advance_millis(500);
    let (one, other) = (one(), one());
    let probe = breakers.enter(tenant(1), &one).unwrap_or_else(|_| panic!("it is asked again"));
    assert!(breakers.enter(tenant(1), &other).is_err(), "nobody else meanwhile");
    probe.report(Some(&FAULT));
    assert_eq!(report(&breakers, None), Err(500), "open again");
    clock.advance_millis(500);
    // A call that decides nothing leaves it to the next.
    drop(breakers.enter(tenant(1), &one));
    report(&breakers, Some(&GenerateError::Cancelled)).unwrap();
    report(&breakers, Some(&GenerateError::RateLimited { retry_after_ms: None })).unwrap();
    assert_eq!(breakers.open(), 1);
    report(&breakers, Some(&GenerateError::Auth)).unwrap();
    assert_eq!(breakers.open(), 0, "who refuses a key is there");
}

#[test]
fn calls_that_began_before_it_opened_do_not_keep_it_open() {
    let (breakers, clock) = scene();
    let server = one();
    let passes: Vec<_> = (0..10).map(|_| breakers.enter(tenant(1), &server)).collect();
    let mut passes = passes.into_iter().flatten();
    passes.by_ref().take(3).for_each(|pass| pass.report(Some(&FAULT)));
    clock.advance_millis(400);
    passes.by_ref().for_each(|pass| pass.report(Some(&FAULT)));
    clock.advance_millis(100);
    assert_eq!(report(&breakers, None), Ok(()));
}

#[test]
fn tenants_servers_and_models_are_apart() {
    let (breakers, _clock) = scene();
    for _ in 0..3 {
        report(&breakers, Some(&FAULT)).unwrap();
    }
    assert!(breakers.enter(tenant(1), &server("https://one.example/other", "small")).is_err());
    for (number, address, model) in [
        (2, "https://one.example/v1", "small"),
        (1, "https://two.example/v1", "small"),
        (1, "https://one.example:8443/v1", "small"),
        (1, "https://one.example/v1", "large"),
    ] {
        assert!(breakers.enter(tenant(number), &server(address, model)).is_ok());
    }
}

#[test]
fn it_can_be_turned_off_and_its_memory_has_a_limit() {
    let clock = ManualClock::at(Timestamp::from_secs(1_000));
    let never = Breakers::new(BreakerPolicy { failures_max: 0, ..POLICY }, Arc::new(clock.clone()));
    for _ in 0..100 {
        report(&never, Some(&FAULT)).unwrap();
    }
    let (breakers, clock) = scene();
    let fail = |number: usize| {
        let server = server("https://one.example", &number.to_string());
        breakers.enter(tenant(1), &server).map(|pass| pass.report(Some(&FAULT))).unwrap();
    };
    (0..TRACKED_MAX + 10).for_each(fail);
    assert_eq!(breakers.lock().len(), TRACKED_MAX);
    clock.advance_millis(2_000);
    fail(TRACKED_MAX + 10);
    assert_eq!(breakers.lock().len(), 1, "what is long ago is forgotten first");
}
