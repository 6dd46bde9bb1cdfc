//! Parsing a thousand events, beside what `serde_json` alone needs to divide the same body into raw
//! elements.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has no result")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use iassistance_channels::{parse, signature};
use iassistance_domain::Timestamp;
use iassistance_domain::channel::StoredSecret;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const EVENTS: usize = 1_000;
const NOW: Timestamp = Timestamp::from_secs(1_790_001_000);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    changes: Vec<Change<'a>>,
    #[serde(borrow, default)]
    messaging: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    value: Elements<'a>,
}

#[derive(Deserialize)]
struct Elements<'a> {
    #[serde(borrow, default)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    statuses: Vec<&'a RawValue>,
}

fn raw_elements(body: &[u8]) -> usize {
    let envelope: Envelope<'_> = serde_json::from_slice(body).unwrap();
    let count = |entry: &Entry<'_>| {
        let changes =
            entry.changes.iter().map(|change| change.value.messages.len() + change.value.statuses.len());
        entry.messaging.len() + changes.sum::<usize>()
    };
    envelope.entry.iter().map(count).sum()
}

fn wamid(number: usize) -> String {
    format!("wamid.HBgLMTU1NTAxMDAwMDEVAgASGBQzQTAwMDAwMDAw{number:016}AA==")
}

fn whatsapp(said: &Value) -> Vec<u8> {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550100001", "phone_number_id": "200000000000001" },
    });
    value.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    let change = json!({ "value": value, "field": "messages" });
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "100000000000001", "changes": [change] }] })
        .to_string()
        .into_bytes()
}

fn texts(length: usize) -> Vec<u8> {
    let message = |number: usize| {
        let text = "Do you have it in blue? ".repeat(length.div_ceil(24));
        json!({
            "from": "15550199001", "id": wamid(number), "timestamp": "1790000000",
            "text": { "body": &text[..length] }, "type": "text",
        })
    };
    let contacts = json!([{ "profile": { "name": "Ada Example" }, "wa_id": "15550199001" }]);
    whatsapp(&json!({ "contacts": contacts, "messages": (0..EVENTS).map(message).collect::<Vec<_>>() }))
}

fn statuses() -> Vec<u8> {
    let status = |number: usize| {
        json!({
            "id": wamid(number), "status": "delivered", "timestamp": "1790000000", "recipient_id": "15550199001",
            "pricing": { "billable": false, "pricing_model": "PMP", "category": "service", "type": "regular" },
        })
    };
    whatsapp(&json!({ "statuses": (0..EVENTS).map(status).collect::<Vec<_>>() }))
}

fn messenger() -> Vec<u8> {
    let event = |number: usize| {
        json!({
            "sender": { "id": "910000000000001" }, "recipient": { "id": "900000000000001" },
            "timestamp": 1_790_000_000_123_u64,
            "message": { "mid": format!("m_{number:080}"), "text": "Do you have it in blue?" },
        })
    };
    let messaging: Vec<_> = (0..EVENTS).map(event).collect();
    json!({ "object": "page", "entry": [{ "id": "900000000000001", "time": 1, "messaging": messaging }] })
        .to_string()
        .into_bytes()
}

fn parsing(criterion: &mut Criterion) {
    let secrets = [StoredSecret::new("bench")];
    let bodies = [
        ("texts", texts(90)),
        ("long_texts", texts(2_900)),
        ("statuses", statuses()),
        ("messenger", messenger()),
    ];
    for (name, body) in bodies {
        let body = Bytes::from(body);
        let header = signature::sign(b"bench", &body);
        let verified = signature::verify(&secrets, Some(header.as_bytes()), body.clone()).unwrap();
        let mut group = criterion.benchmark_group(name);
        group
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(3))
            .sample_size(30)
            .throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("serde_json_raw_elements", |bencher| {
            bencher.iter(|| assert_eq!(raw_elements(black_box(&body)), EVENTS));
        });
        assert_eq!(parse(verified.clone(), NOW).len(), EVENTS);
        group.bench_function("parse", |bencher| {
            let setup = || verified.clone();
            bencher.iter_batched(setup, |verified| parse(black_box(verified), NOW), BatchSize::PerIteration);
        });
        group.finish();
    }
}

criterion_group!(benches, parsing);
criterion_main!(benches);
