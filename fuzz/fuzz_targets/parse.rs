//! Any body whatever, as a webhook that is signed.
#![no_main]

use bytes::Bytes;
use iassistance_channels::{Parsed, parse, signature};
use iassistance_domain::Timestamp;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::pii::TenantView;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_100);

fn read(body: &[u8]) -> Vec<Parsed> {
    let header = signature::sign(b"fuzz", body);
    let body = Bytes::copy_from_slice(body);
    let verified = signature::verify(&[StoredSecret::new("fuzz")], Some(header.as_bytes()), body);
    parse(verified.expect("it is signed"), NOW)
}

fuzz_target!(|body: &[u8]| {
    let (first, again) = (read(body), read(body));
    assert_eq!(first.len(), again.len());
    for (parsed, again) in first.iter().zip(&again) {
        assert!(parsed.event == again.event && parsed.address == again.address);
        assert!(!parsed.event.dedup.reveal(TenantView).is_empty());
        assert!(parsed.event.occurred_at <= NOW);
        assert!(parsed.address.as_ref().is_none_or(|address| !address.external_id.is_empty()));
    }
});
