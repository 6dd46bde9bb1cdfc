//! The processes: one simulator that outlives every kill, and the server's lives on one store.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use iassistance_domain::{Entropy, SeededEntropy};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::chores;

/// What `iassistance simulator` is set up with.
pub const APP_SECRET: &str = "simulated-app-secret";
const VERIFY_TOKEN: &str = "simulated-verify-token";
const ACCESS_TOKEN: &str = "simulated-access-token";
const MODEL_KEY: &str = "simulated-model-key";
/// One number per tenant.
pub const NUMBERS: [&str; 2] = ["200000000000001", "200000000000002"];

/// How long the server waits for news of a send that a kill cut short before it repeats it. The
/// simulator delivers the news anew within 500 ms of every start, so a send of which there is none
/// by then has not happened.
pub const UNKNOWN_MS: u64 = 4_000;

/// Nothing is summed up: the simulated model repeats what it hears, and so it would what a summary has
/// of messages that were answered long ago.
const ASSISTANT: &str = r#"
enabled = true
task = "Answer."
quiet_ms = 0
cap_ms = 0
[context]
summary = false
"#;

/// A start that takes longer than this has failed.
const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// The binary that is killed: the one that is named, so that a release build can be taken without
/// building everything a second time for this test; else the one of this build.
fn binary() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "which binary is said by scripts/test")]
    let named = std::env::var("IASSISTANCE_BINARY").ok();
    PathBuf::from(named.unwrap_or_else(|| env!("CARGO_BIN_EXE_iassistance").to_owned()))
}

pub type Listened = Duration;

pub struct Tenant {
    pub id: String,
    key: String,
}

impl Tenant {
    /// What its key is shown as.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }
}

pub struct System {
    pub http: Client,
    pub tenants: Vec<Tenant>,
    pub webhook_url: String,
    /// Of the platform.
    key: String,
    base: String,
    simulator: String,
    flags: Vec<String>,
    _simulator: Child,
    folder: Folder,
}

/// Where everything is kept; left there by a failure.
struct Folder(TempDir);

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.disable_cleanup(true);
            println!("the store and the server's log are left in {}", self.0.path().display());
        }
    }
}

/// A server that has been started.
pub struct Starting {
    pub server: Server,
    stdout: BufReader<ChildStdout>,
    since: Instant,
}

/// The server's process. It ends with the test at the latest.
pub struct Server {
    process: Child,
    log: PathBuf,
}

impl System {
    /// Starts the simulator and sets up two tenants, each with a number and an assistant, by the
    /// command line.
    pub async fn set_up(http: Client, seed: u64, entropy: &SeededEntropy) -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        let path = folder.0.path();
        let seed = seed.to_string();
        let mut arguments =
            vec!["simulator", "--json", "--port=0", "--no-limits", "--numbers=2", "--seed", &seed];
        arguments.extend(["--first-retry-ms=50", "--retry-max-ms=400", "--set=log.filter=warn"]);
        let mut simulator =
            command(path, &arguments, &log_file(&path.join("simulator.log"))).spawn().unwrap();
        let mut lines = BufReader::new(simulator.stdout.take().unwrap());
        let simulator_url = tokio::time::timeout(START_WITHIN, listening(&mut lines)).await.ok().flatten();
        let simulator_url = simulator_url.expect("the simulator starts");

        let port = free_port(entropy);
        let mut system = Self {
            http,
            tenants: Vec::new(),
            webhook_url: String::new(),
            key: String::new(),
            base: format!("http://127.0.0.1:{port}"),
            flags: flags(path, &simulator_url, port),
            simulator: simulator_url,
            _simulator: simulator,
            folder,
        };
        let manual = system.says(&["config"]).await;
        system.flags.extend(chores::settings(&manual, system.folder.0.path()));
        let app = system.cli(&["meta-app", "create", "crash"]).await;
        system.webhook_url = format!("{}{}", system.base, app["webhook"].as_str().unwrap());
        for number in NUMBERS {
            let tenant = system.tenant(number, app["id"].as_str().unwrap()).await;
            system.tenants.push(tenant);
        }
        let key = system.cli(&["key", "create", "crash", "--scope", "platform"]).await;
        key["key"].as_str().unwrap().clone_into(&mut system.key);
        system.simulator("/sim/callback", Some(&json!({ "url": system.webhook_url }))).await;
        system
    }

    async fn tenant(&self, number: &str, meta_app: &str) -> Tenant {
        let tenant = self.cli(&["tenant", "create", number]).await;
        let id = tenant["id"].as_str().unwrap().to_owned();
        self.cli(&[
            "channel",
            "connect",
            "--tenant",
            &id,
            "--meta-app",
            meta_app,
            "--phone-number-id",
            number,
            "--name",
            number,
        ])
        .await;
        let assistant = self.folder.0.path().join("assistant.toml");
        std::fs::write(&assistant, ASSISTANT).unwrap();
        self.cli(&["assistant", "set", "--tenant", &id, assistant.to_str().unwrap()]).await;
        let key = self.cli(&["key", "create", "crash", "--tenant", &id, "--scope", "read"]).await;
        Tenant { id, key: key["key"].as_str().unwrap().to_owned() }
    }

    /// The folder of everything.
    pub fn path(&self) -> &Path {
        self.folder.0.path()
    }

    /// Runs a command on the store and returns its answer.
    async fn cli(&self, arguments: &[&str]) -> Value {
        let log = self.folder.0.path().join("commands.log");
        let mut command = command(self.folder.0.path(), arguments, &log_file(&log));
        let output = command.arg("--json").args(&self.flags).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}\n{}", output.status, tail(&log));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How the binary describes its interface.
    pub async fn description(&self) -> Value {
        serde_json::from_str(&self.says(&["openapi"]).await).expect("an OpenAPI document")
    }

    /// What a command says that needs no store.
    async fn says(&self, arguments: &[&str]) -> String {
        let folder = self.folder.0.path();
        let log = log_file(&folder.join("commands.log"));
        let output = command(folder, arguments, &log).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asks the server for work of the platform; whether it has begun.
    pub async fn begins(&self, route: &str) -> bool {
        let asked = self.http.post(format!("{}{route}", self.base)).bearer_auth(&self.key).json(&json!({}));
        match asked.send().await {
            Ok(answer) if answer.status().is_success() => true,
            Ok(answer) => {
                let status = answer.status().as_u16();
                assert!(matches!(status, 409 | 429 | 503), "{route} was answered by {status}");
                false
            }
            Err(_) => false,
        }
    }

    /// Where dashboards connect.
    pub fn live_url(&self) -> String {
        format!("{}/v1/live", self.base.replacen("http", "ws", 1))
    }

    /// Every record of the store opens, and everything agrees.
    pub async fn doctor(&self) {
        let found = self.cli(&["doctor"]).await;
        assert_eq!(found["findings"], json!([]));
    }

    /// Starts the server. It is alone on the store: whoever had it before is dead.
    pub fn serve(&self) -> Starting {
        let log = self.folder.0.path().join("server.log");
        let mut command = command(self.folder.0.path(), &["serve", "--json"], &log_file(&log));
        let mut process = command.args(&self.flags).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Starting { server: Server { process, log }, stdout, since: Instant::now() }
    }

    /// Asks the simulator's control API, by POST if there is a body.
    pub async fn simulator(&self, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}{path}", self.simulator);
        let request = match body {
            Some(body) => self.http.post(url).json(body),
            None => self.http.get(url),
        };
        let answer = request.send().await.expect("the simulator answers");
        let (status, value) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {value}");
        value
    }

    /// Has what waits delivered at once.
    pub async fn hurry(&self) {
        self.simulator("/sim/retry", Some(&json!({}))).await;
    }

    pub async fn state(&self) -> Value {
        self.simulator("/sim/state", None).await
    }

    /// What the simulator was sent, in the order of its acceptance.
    pub async fn sends(&self) -> Vec<Value> {
        let mut answer = self.simulator("/sim/sends", None).await;
        serde_json::from_value(answer["sends"].take()).unwrap()
    }

    pub async fn dead_letters(&self, tenant: &Tenant) -> Vec<Value> {
        self.page(tenant, "dead-letters").await.0
    }

    /// A tenant's whole log.
    pub async fn events(&self, tenant: &Tenant) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), Some(0));
        while let Some(place) = after {
            let (items, next) = self.page(tenant, &format!("events?limit=200&after={place}")).await;
            all.extend(items);
            after = next.as_u64();
        }
        all
    }

    /// A page of a tenant's list, and where the next one begins.
    async fn page(&self, tenant: &Tenant, list: &str) -> (Vec<Value>, Value) {
        let url = format!("{}/v1/tenants/{}/{list}", self.base, tenant.id);
        let answer = self.http.get(url).bearer_auth(&tenant.key).send().await.unwrap();
        let (status, mut page) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{status} {page}");
        (serde_json::from_value(page["items"].take()).unwrap(), page["next"].take())
    }
}

impl Starting {
    /// Resolves when it listens, with how long that took.
    pub async fn listens(&mut self) -> Listened {
        if listening(&mut self.stdout).await.is_none() {
            let status = self.server.process.wait().await.unwrap();
            panic!("a start needed a hand ({status}):\n{}", tail(&self.server.log));
        }
        self.since.elapsed()
    }

    /// The server when it listens, and how long that took.
    pub async fn listened(mut self) -> (Server, Listened) {
        match tokio::time::timeout(START_WITHIN, self.listens()).await {
            Ok(listened) => (self.server, listened),
            Err(_) => panic!("the server did not come to listen:\n{}", tail(&self.server.log)),
        }
    }
}

impl Server {
    /// `kill -9`.
    pub async fn kill(&mut self) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("the server ended by itself ({status}):\n{}", tail(&self.log));
        }
        self.process.kill().await.unwrap();
    }

    /// `kill -SIGNAL`.
    pub async fn signal(&self, signal: &str) {
        let id = self.process.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// What it ended with, when it has ended.
    pub async fn status(&mut self) -> std::process::ExitStatus {
        self.process.wait().await.unwrap()
    }

    /// `kill`, and it ends in good order.
    pub async fn ask_to_stop(&mut self) {
        self.signal("TERM").await;
        match tokio::time::timeout(STOP_WITHIN, self.process.wait()).await {
            Ok(status) => assert!(status.unwrap().success(), "{}", tail(&self.log)),
            Err(_) => panic!("the server did not stop:\n{}", tail(&self.log)),
        }
    }
}

/// The binary, with nothing of this process's environment but the secrets that the commands read.
fn command(folder: &Path, arguments: &[&str], log: &File) -> Command {
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("IASSISTANCE_APP_SECRET", APP_SECRET)
        .env("IASSISTANCE_VERIFY_TOKEN", VERIFY_TOKEN)
        .env("IASSISTANCE_ACCESS_TOKEN", ACCESS_TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone().unwrap())
        .kill_on_drop(true);
    command
}

fn flags(folder: &Path, simulator: &str, port: u16) -> Vec<String> {
    let within = |name: &str| folder.join(name).display().to_string();
    [
        ("storage.path", within("store")),
        ("vault.keyring_file", within("keyring.json")),
        ("media.folder", within("media")),
        ("vault.root_key_file", within("root.key")),
        ("meta.graph_base_url", simulator.to_owned()),
        ("model.base_url", format!("{simulator}/v1")),
        ("model.api_key", MODEL_KEY.to_owned()),
        ("model.model", "simulated-1".to_owned()),
        ("server.port", port.to_string()),
        // Limits belong to other tests: here they would only slow the load.
        ("limits.pair_burst", "100000".to_owned()),
        ("limits.number_sends_per_s", "10000".to_owned()),
        ("limits.conversation_turns_per_min", "100000".to_owned()),
        ("limits.conversation_burst", "100000".to_owned()),
        ("limits.tenant_steps_per_s", "100000".to_owned()),
        ("limits.tenant_burst", "100000".to_owned()),
        ("dispatch.unknown_ms", UNKNOWN_MS.to_string()),
        ("dispatch.unknown_policy", "resend".to_owned()),
        ("log.filter", "warn".to_owned()),
    ]
    .map(|(key, value)| format!("--set={key}={value}"))
    .into()
}

fn log_file(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// The end of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Where a process says that it listens; nothing if it ended before.
async fn listening(lines: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).await.unwrap() == 0 {
            return None;
        }
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = said["listening"].as_str() {
            return Some(address.to_owned());
        }
    }
}

/// A port for all lives of the server, below those that the system gives to connections: one of the
/// simulator's, tried while the server is dead, could otherwise take it and be connected to itself.
fn free_port(entropy: &SeededEntropy) -> u16 {
    loop {
        let port = 20_000 + u16::try_from(entropy.up_to(11_999)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
