//! Taking events in, durably: how much the callers gain by sharing a sync.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench that fails has no result")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::inbound::{Arrival, InboundEvent, InboundKind};
use iassistance_domain::message::Content;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::{Limits, Store};
use support::{folder, store, tenant, wamid};

const CALLERS: [u64; 3] = [1, 64, 256];
const CONTACTS: u64 = 2_000;

fn event(number: u64) -> InboundEvent {
    let kind = InboundKind::MessageReceived {
        provider_id: Pii::new(wamid(number)),
        from: ContactIdentity {
            wa_id: Some(Pii::new(format!("1555{:07}", number % CONTACTS))),
            ..ContactIdentity::default()
        },
        profile_name: Some(Pii::new("Ada Example".to_owned())),
        content: Content::text("Do you have it in blue?"),
        context: None,
        referral: None,
        arrival: Arrival::Live,
    };
    let occurred_at = Timestamp::from_secs(1_790_000_000);
    InboundEvent { dedup: Pii::new(format!("m:{}", wamid(number))), occurred_at, kind }
}

fn accept(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = folder();
    let limits = Limits { inbox_entries_max: u64::MAX, ..Limits::default() };
    let store = store(folder.path(), limits);
    let (tenant, channel) = runtime.block_on(async {
        let (ctx, channel, _) = tenant(&*store).await;
        let tenant = store.tenant(ctx).await.unwrap();
        let everybody: Vec<_> = (0..CONTACTS).map(event).collect();
        tenant.accept(channel, &everybody).await.unwrap();
        (tenant, channel)
    });
    let next = AtomicU64::new(CONTACTS);
    let mut group = criterion.benchmark_group("accept");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5)).sample_size(10);
    group.throughput(Throughput::Elements(1));
    for callers in CALLERS {
        group.bench_function(callers.to_string(), |bencher| {
            // An iteration is one event. Every caller waits for its answer before its next event.
            bencher.iter_custom(|iterations| {
                let each = iterations.div_ceil(callers);
                let calls = (0..callers).map(|_| {
                    let (tenant, next) = (Arc::clone(&tenant), &next);
                    async move {
                        for _ in 0..each {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            let accepted = tenant.accept(channel, &[event(number)]).await.unwrap();
                            assert_eq!(accepted.new, [true]);
                        }
                    }
                });
                let started = Instant::now();
                runtime.block_on(join_all(calls));
                // What was done beyond `iterations` to give every caller as much is not counted.
                let done = u128::from(each * callers);
                let nanos = started.elapsed().as_nanos() * u128::from(iterations) / done;
                Duration::from_nanos(nanos.try_into().unwrap())
            });
        });
    }
    group.finish();
    runtime.block_on(store.close());
}

criterion_group!(benches, accept);
criterion_main!(benches);
