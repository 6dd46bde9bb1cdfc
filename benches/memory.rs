//! What a conversation costs in memory: while its actor lives, and after it was put away.
//!
//! Another process fills the store and applies everything; then it is opened here and read through
//! once, so that its own caches are as they stay. A set of conversations is activated: what
//! the process grew by is theirs. It is put away and another set is activated, and so on: an allocator
//! does not give memory back, so what the put-away ones still cost shows as growth from set to set.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints what it found"
)]
#![allow(clippy::cast_precision_loss, reason = "byte counts are far below what a float holds exactly")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iassistance::app::way_out;
use iassistance_actors::conversation::ConversationKey;
use iassistance_actors::kernel::SystemClock;
use iassistance_actors::{Engine, EngineParts, EngineSettings};
use iassistance_assistant::scripted::Scripted;
use iassistance_assistant::tools::http::HttpTools;
use iassistance_channels::{parse, signature};
use iassistance_config::{Settings, Sources};
use iassistance_domain::Timestamp;
use iassistance_domain::channel::StoredSecret;
use iassistance_domain::id::{ConversationId, MetaAppId};
use iassistance_domain::tenant::TenantCtx;
use iassistance_hooks::NoHooks;
use iassistance_storage::content::ContentStore;
use iassistance_storage::{Limits, Store};
use iassistance_vault::SystemEntropy;
use serde_json::json;
use support::{SECRET, folder, message, messages_webhook, store, tenant};

/// Sets of conversations, and conversations in each.
const SETS: usize = 4;
const SET: usize = 10_000;
/// Webhooks under way while the store is filled.
const TOGETHER: usize = 256;
/// Conversations that are rung at once: fewer than a tenant remembers.
const RUNG: usize = 4_000;
/// How long the longest wait here may take.
const WAIT_MAX: Duration = Duration::from_mins(5);
const LOOK: Duration = Duration::from_millis(20);

/// The flag of the process that fills the store, with the folder after it.
const FILL: &str = "--fill";

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != FILL).skip(1);
    if let Some(folder) = arguments.next() {
        return actix::System::new().block_on(fill(Path::new(&folder)));
    }
    let folder = folder();
    let mut filling = Command::new(std::env::current_exe().unwrap());
    assert!(
        filling.arg(FILL).arg(folder.path()).status().unwrap().success(),
        "the store could not be filled"
    );
    let (mut live, mut rested) = (Vec::new(), Vec::new());
    let (ctx, before) = actix::System::new().block_on(async {
        let store = store(folder.path(), limits());
        let tenants = store.tenants().await.unwrap();
        let ctx = TenantCtx::platform(tenants[0].id);
        let engine = engine(&store);
        let conversations = read_through(&*store, ctx).await;
        let before = resident();
        for (number, set) in conversations.chunks(SET).enumerate() {
            activate(&engine, ctx, set).await;
            live.push(resident());
            engine.passivate_idle();
            until("every conversation is put away", || engine.live_conversations() == 0).await;
            rested.push(resident());
            eprintln!(
                "set {} of {SETS}: {} MiB live, {} MiB put away",
                number + 1,
                live[number] >> 20,
                rested[number] >> 20
            );
        }
        engine.stop(1_000).await.unwrap();
        store.close().await;
        (ctx, before)
    });
    let more = |from: u64, to: u64| to as f64 - from as f64;
    let per_live = more(before, live[0]) / SET as f64;
    let per_rested = more(live[0], live[SETS - 1]) / (SET * (SETS - 1)) as f64;
    let result = json!({
        "bench": "memory",
        "tenant": ctx.tenant().to_string(),
        "conversations_live": SET,
        "conversations_put_away": SET * (SETS - 1),
        "bytes_per_live": per_live.round(),
        "bytes_per_passivated": per_rested.round(),
        "resident_before": before,
        "resident_live": live,
        "resident_put_away": rested,
    });
    println!("{result}");
}

fn limits() -> Limits {
    // Everything stays in the cache, so that reading does not change what the process holds.
    Limits {
        inbox_entries_max: u64::MAX,
        cache_bytes: 4 << 30,
        contact_keys_max: 1 << 20,
        ..Limits::default()
    }
}

fn engine(store: &Arc<impl Store>) -> Engine {
    let mut settings: Settings = Sources::default().settings().unwrap();
    settings.limits.tenant_steps_per_s = 1_000_000;
    settings.limits.tenant_burst = 1_000_000;
    settings.actors.idle_ms = 1;
    settings.actors.conversations_max = 2 * SET * SETS;
    // Nothing is ever sent here; whatever were, would not get far.
    settings.meta.graph_base_url = "http://127.0.0.1:1".parse().unwrap();
    let (egress, sender) = way_out(&settings).unwrap();
    let keys: Arc<dyn Store> = Arc::clone(store) as _;
    let clock = Arc::new(SystemClock);
    let (model, entropy) =
        (Arc::new(Scripted::new(Arc::clone(&clock) as _, Vec::new())), Arc::new(SystemEntropy));
    let parts = EngineParts {
        clock: Arc::clone(&clock) as _,
        entropy: Arc::clone(&entropy) as _,
        store: Arc::clone(store) as _,
        content: ContentStore::memory(settings.media.file_bytes_max, keys),
        sender,
        generator: Arc::clone(&model) as _,
        services: model,
        http: Arc::new(HttpTools::new(egress, settings.tools.concurrency, clock, entropy)),
        hooks: Arc::new(NoHooks),
    };
    Engine::start(EngineSettings::from(&settings), parts).unwrap()
}

/// Every contact writes once; all of it is accepted, applied and closed.
async fn fill(folder: &Path) {
    eprintln!("filling the store with {} conversations", SETS * SET);
    let store = store(folder, limits());
    let (ctx, _, meta_app) = tenant(&*store).await;
    let engine = engine(&store);
    for first in (0..SETS * SET).step_by(TOGETHER) {
        let webhooks = (first..(first + TOGETHER).min(SETS * SET))
            .map(|contact| accept(&engine, meta_app, contact as u64));
        futures::future::join_all(webhooks).await;
    }
    let tenant = store.tenant(ctx).await.unwrap();
    let started = Instant::now();
    while !tenant.unfinished(None, 1).await.unwrap().is_empty() {
        assert!(started.elapsed() < WAIT_MAX, "waited in vain until everything is applied");
        tokio::time::sleep(LOOK).await;
    }
    engine.stop(1_000).await.unwrap();
    store.close().await;
}

async fn accept(engine: &Engine, meta_app: MetaAppId, contact: u64) {
    let body = messages_webhook(contact, &[message(contact, contact, "Do you have it in blue, please?")]);
    let header = signature::sign(SECRET.as_bytes(), &body);
    let verified =
        signature::verify(&[StoredSecret::new(SECRET)], Some(header.as_bytes()), body.into()).unwrap();
    let accepted = engine.accept(meta_app, parse(verified, Timestamp::EPOCH)).await.unwrap();
    assert_eq!(accepted.new, 1);
}

/// Reads what an actor reads when it is activated; all conversations.
async fn read_through(store: &dyn Store, ctx: TenantCtx) -> Vec<ConversationId> {
    let tenant = store.tenant(ctx).await.unwrap();
    let mut ids = Vec::new();
    loop {
        let page = tenant.conversations(ids.last().copied(), 1_000).await.unwrap();
        if page.is_empty() {
            break;
        }
        ids.extend(page.iter().map(|conversation| conversation.id));
    }
    for id in &ids {
        assert!(tenant.conversation(*id).await.unwrap().is_some());
        assert!(
            tenant.outbox(*id).await.unwrap().is_empty() && tenant.inbox(*id, 64).await.unwrap().is_empty()
        );
    }
    assert_eq!(ids.len(), SETS * SET);
    ids
}

/// Wakes conversations and waits until all have loaded their state.
async fn activate(engine: &Engine, ctx: TenantCtx, set: &[ConversationId]) {
    for some in set.chunks(RUNG) {
        let before = engine.live_conversations();
        engine.ring(ctx.tenant(), some);
        until("conversations are activated", || engine.live_conversations() == before + some.len()).await;
    }
    for id in set {
        let started = Instant::now();
        while engine.show(ConversationKey { tenant: ctx.tenant(), conversation: *id }).await.is_none() {
            assert!(started.elapsed() < WAIT_MAX, "waited in vain until a conversation has loaded");
            tokio::time::sleep(LOOK).await;
        }
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < WAIT_MAX, "waited in vain until {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}
