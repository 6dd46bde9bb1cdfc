//! The place: tenants with a channel of each kind in a server of its own process, and in this process
//! what stands in for Meta and the model.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use iassistance_actors::kernel::SystemClock;
use iassistance_simulator::{
    Account, AccountKind, EventShape, Number, Simulator, SimulatorSettings, StatusDelays,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::server::{Server, made};
use crate::support::{SECRET, folder};

const APP_ID: &str = "1000000001";
const MODEL_KEY: &str = "bench-model-key";

/// Tenants, each with channels of its own.
pub const TENANTS: usize = 3;

/// How long nothing is known of a send before it is sent again, milliseconds. News of one that was
/// accepted is here long before: the stand-in never keeps it to itself.
pub const UNKNOWN_MS: u64 = 15_000;

pub struct Place {
    pub simulator: Simulator,
    pub server: Server,
    pub tenants: Vec<Tenant>,
    pub folder: TempDir,
}

pub struct Tenant {
    pub id: String,
    /// May read and operate.
    pub key: String,
    /// A number, a page and an Instagram account, by Meta's ids.
    pub accounts: [String; 3],
}

impl Place {
    /// Sets everything up, as a person would, and starts it. The stand-ins run in `runtime`.
    pub fn new(runtime: &Runtime, seed: u64) -> Self {
        let simulator = runtime.block_on(Simulator::start(simulated(seed), Arc::new(SystemClock))).unwrap();
        let folder = folder();
        let path = folder.path();
        fs::write(path.join("iassistance.toml"), settings(path, &simulator)).unwrap();
        let meta_app = made(path, "-", &["meta-app", "create", "soak", "--app-id", APP_ID], "id");
        let tenants = (0..TENANTS).map(|index| tenant(path, &meta_app, index)).collect();
        let server = Server::durable(path);
        let callback = format!("http://{}/webhooks/meta/{meta_app}", server.address);
        simulator.set_callback(&callback).unwrap();
        Self { simulator, server, tenants, folder }
    }
}

fn accounts(index: usize) -> [String; 3] {
    ["2000000000000", "9000000000000", "178400000000000"].map(|ids| format!("{ids}{:02}", index + 1))
}

/// What opens an account. The last one is opened by Instagram Login.
fn token(index: usize, account: usize) -> String {
    let of = ["number", "page", "instagram"][account];
    format!("bench-{of}-token-{index}")
}

fn tenant(folder: &Path, meta_app: &str, index: usize) -> Tenant {
    let id = made(folder, "-", &["tenant", "create", &format!("Soak {index}")], "id");
    let accounts = accounts(index);
    for (account, flag) in ["--phone-number-id", "--page-id", "--instagram-id"].into_iter().enumerate() {
        let (name, to) = (&accounts[account], ["--tenant", &id, "--meta-app", meta_app]);
        made(
            folder,
            &token(index, account),
            &[&["channel", "connect", "--name", name, flag, name][..], &to].concat(),
            "id",
        );
    }
    let scopes = ["--tenant", &id, "--scope", "read", "--scope", "operate"];
    let key = made(folder, "-", &[&["key", "create", "soak"][..], &scopes].concat(), "key");
    Tenant { id, key, accounts }
}

fn simulated(seed: u64) -> SimulatorSettings {
    let number = |index: usize| {
        let [phone_number_id, ..] = accounts(index);
        Number {
            phone_number_id,
            waba_id: format!("1000000000000{:02}", index + 1),
            display_phone_number: format!("+1 555-010-{:04}", index + 1),
            verified_name: format!("Soak {index}"),
            access_token: token(index, 0),
        }
    };
    let social = |index: usize| {
        let [_, page_id, ig_id] = accounts(index);
        let user_id = format!("27840{}", &ig_id[5..]);
        let kinds = [AccountKind::Messenger { page_id }, AccountKind::InstagramLogin { ig_id, user_id }];
        kinds.into_iter().zip(1..).map(move |(kind, account)| Account {
            kind,
            name: format!("Soak {index}"),
            access_token: token(index, account),
            app_id: None,
            shape: EventShape::Messaging,
        })
    };
    SimulatorSettings {
        seed,
        numbers: (0..TENANTS).map(number).collect(),
        accounts: (0..TENANTS).flat_map(social).collect(),
        app_id: APP_ID.into(),
        app_secret: SECRET.into(),
        verify_token: "bench-verify-token".into(),
        model_key: MODEL_KEY.into(),
        statuses: StatusDelays { sent_ms: 50, delivered_ms: 200, read_ms: Some(1_000) },
        ..SimulatorSettings::default()
    }
}

/// The product's own limits count. What is smaller than usual is what would take hours to fill: caches,
/// and how long a conversation stays in memory.
fn settings(folder: &Path, simulator: &Simulator) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    format!(
        "[server]\nport = 0\n\n[storage]\npath = {:?}\ncache_bytes = 33554432\n\n\
         [vault]\nkeyring_file = {:?}\nroot_key_file = {:?}\n\n[media]\nfolder = {:?}\n\n\
         [meta]\ngraph_base_url = {:?}\ninstagram_base_url = {:?}\n\
         send_timeout_ms = 3000\nchannel_test_hours = 0\n\n\
         [model]\nbase_url = {:?}\napi_key = {MODEL_KEY:?}\nmodel = \"simulated-1\"\n\
         embedding_model = \"\"\nfirst_token_ms = 3000\nattempt_ms = 8000\n\
         # What one tenant's model failing does to its turns is another test's.\n\
         breaker_failures_max = 1000000\n\n\
         [assistant]\nenabled = true\ntask = \"Answer questions about a shop for shoes.\"\n\
         quiet_ms = 300\ncap_ms = 3000\nlanguages = [\"en\"]\n\n\
         [actors]\nidle_ms = 10000\n\n\
         [dispatch]\nunknown_ms = {UNKNOWN_MS}\nunknown_policy = \"resend\"\n\n\
         [log]\nfilter = \"warn\"\n",
        at("store"),
        at("keyring.json"),
        at("root.key"),
        at("media"),
        simulator.graph_url(),
        simulator.instagram_url(),
        simulator.model_url(),
    )
}
