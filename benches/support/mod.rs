//! What the benches share: folders on a real disk, webhooks as Meta writes them, a store, a server.
#![allow(dead_code, reason = "each bench uses its part of this")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has no result")]

pub mod server;
pub mod wire;

use std::path::Path;
use std::sync::Arc;

use iassistance_actors::kernel::SystemClock;
use iassistance_domain::channel::{Channel, ChannelHealth, Connection, MetaApp, StoredSecret};
use iassistance_domain::id::{ChannelId, MetaAppId, TenantId};
use iassistance_domain::tenant::{Tenant, TenantCtx};
use iassistance_domain::{Clock, Entropy};
use iassistance_storage::{Limits, SledOptions, SledStore, Store};
use iassistance_vault::{Keyring, RootKey, SystemEntropy};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The app secret of every bench; also that of `iassistance bare-ingress`.
pub const SECRET: &str = "bare-ingress";
/// The number that every webhook comes to.
pub const PHONE_NUMBER_ID: &str = "200000000000001";

/// A new folder in the build's own: on the disk that the build is on, unlike /tmp on many machines.
pub fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Meta's id of the message with this number, as long as Meta's are.
pub fn wamid(number: u64) -> String {
    format!("wamid.HBgLMTU1NTAxMDAwMDEVAgASGBQzQTAwMDAwMDAw{number:016}AA==")
}

/// The number of a message from its id.
pub fn number_of(wamid: &str) -> Option<u64> {
    wamid.strip_suffix("AA==")?.get(wamid.len() - 20..)?.parse().ok()
}

/// A text message of a contact.
pub fn message(number: u64, contact: u64, text: &str) -> Value {
    json!({
        "from": format!("1555{contact:07}"),
        "id": wamid(number),
        "timestamp": (1_790_000_000 + number / 1_000).to_string(),
        "text": { "body": text },
        "type": "text",
    })
}

/// A report on a message that went out.
pub fn status(number: u64, contact: u64) -> Value {
    json!({
        "id": wamid(number),
        "status": "delivered",
        "timestamp": "1790000000",
        "recipient_id": format!("1555{contact:07}"),
        "conversation": { "id": "6ceb9a5a53b3ad6d6fc7f1a0a7a7a7a7", "origin": { "type": "service" } },
        "pricing": { "billable": false, "pricing_model": "PMP", "category": "service", "type": "free_customer_service" },
    })
}

/// A webhook with messages of one contact.
pub fn messages_webhook(contact: u64, messages: &[Value]) -> Vec<u8> {
    let contacts = json!([{ "profile": { "name": "Ada Example" }, "wa_id": format!("1555{contact:07}") }]);
    webhook(&json!({ "contacts": contacts, "messages": messages }))
}

/// A webhook with statuses.
pub fn statuses_webhook(statuses: &[Value]) -> Vec<u8> {
    webhook(&json!({ "statuses": statuses }))
}

fn webhook(said: &Value) -> Vec<u8> {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550100001", "phone_number_id": PHONE_NUMBER_ID },
    });
    if let (Some(value), Some(said)) = (value.as_object_mut(), said.as_object()) {
        value.extend(said.clone());
    }
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": "100000000000001", "changes": [{ "value": value, "field": "messages" }] }],
    })
    .to_string()
    .into_bytes()
}

/// A store on sled in `folder`, as it was left or new.
pub fn store(folder: &Path, limits: Limits) -> Arc<SledStore> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let root = RootKey::from_text(&"0123456789abcdef".repeat(4)).unwrap();
    let path = folder.join("store");
    let keyring = Keyring::open(&folder.join("keyring"), &root, path.exists(), Arc::clone(&entropy)).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Arc::new(SledStore::open(SledOptions::new(path, limits), Arc::new(keyring), clock, entropy).unwrap())
}

/// A tenant with a number, in a new store.
pub async fn tenant(store: &dyn Store) -> (TenantCtx, ChannelId, MetaAppId) {
    let now = SystemClock.now();
    let (tenant, channel) = (TenantId::new(now, &SystemEntropy), ChannelId::new(now, &SystemEntropy));
    let meta_app = MetaAppId::new(now, &SystemEntropy);
    let app = MetaApp {
        id: meta_app,
        app_id: None,
        name: "bench".into(),
        secrets: vec![StoredSecret::new(SECRET)],
        verify_token: StoredSecret::new("bench"),
        created_at: now,
    };
    store.put_meta_app(app).await.unwrap();
    store.create_tenant(Tenant::new(tenant, "bench".into(), now)).await.unwrap();
    let connected = Channel {
        id: channel,
        tenant,
        meta_app,
        connection: Connection::CloudApi { account_id: None, number: None },
        external_id: PHONE_NUMBER_ID.into(),
        name: "bench".into(),
        access_token: StoredSecret::new("bench"),
        token_owner: None,
        health: ChannelHealth::connecting(now),
        created_at: now,
    };
    store.put_channel(connected).await.unwrap();
    (TenantCtx::platform(tenant), channel, meta_app)
}

/// With two digits after the point: more would be noise.
pub fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
