//! Any form value whatever, as a signed request.
#![no_main]

use iassistance_channels::signed_request::{Rejected, verify};
use iassistance_domain::channel::StoredSecret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|form: &str| {
    // Nobody finds a signature of this secret by chance.
    let refused = verify(&[StoredSecret::new("a secret that no input knows")], form);
    assert!(matches!(refused, Err(Rejected::Malformed | Rejected::Mismatch)));
    assert!(matches!(verify(&[], form), Err(Rejected::Malformed | Rejected::NoSecret)));
});
