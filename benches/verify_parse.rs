//! The first two stages of a message: signature and parsing.
#![allow(missing_docs, reason = "criterion's macros make public items")]

mod support;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use iassistance_channels::{parse, signature};
use iassistance_domain::Timestamp;
use iassistance_domain::channel::StoredSecret;
use support::{SECRET, message, messages_webhook, status, statuses_webhook};

/// Characters of each text in the large batch: a thousand of them make three megabytes.
const LONG_TEXT: usize = 2_900;

fn verify_parse(criterion: &mut Criterion) {
    let long = "x".repeat(LONG_TEXT);
    let thousand: Vec<_> = (0..1_000).map(|number| message(number, 1, &long)).collect();
    let bodies = [
        ("message", 1, messages_webhook(1, &[message(1, 1, "Do you have it in blue?")])),
        ("status", 1, statuses_webhook(&[status(1, 1)])),
        ("batch_of_1000", 1_000, messages_webhook(1, &thousand)),
    ];
    let secrets = [StoredSecret::new(SECRET)];
    let mut group = criterion.benchmark_group("verify_parse");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3)).sample_size(20);
    for (name, events, body) in bodies {
        let body = Bytes::from(body);
        let header = signature::sign(SECRET.as_bytes(), &body);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let verified = signature::verify(&secrets, Some(header.as_bytes()), black_box(body.clone()));
                let parsed = verified.map(|verified| parse(verified, Timestamp::EPOCH)).unwrap_or_default();
                assert_eq!(parsed.len(), events);
                parsed
            });
        });
    }
    group.finish();
}

criterion_group!(benches, verify_parse);
criterion_main!(benches);
