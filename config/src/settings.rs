//! The settings as types. What each means is said in `default.toml`, in the same order.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use crate::Secret;
use crate::hooks::HookSettings;
use crate::identity::{IdentitySettings, MailSettings};
use crate::privacy::PrivacySettings;
use crate::retention::RetentionSettings;
use crate::rights::RightsSettings;
use crate::trail::{AccessSettings, AuditSettings};
use crate::turns::{KnowledgeSettings, PriceSettings, ToolSettings};

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The HTTP door.
    pub server: ServerSettings,
    /// Where data is kept.
    pub storage: StorageSettings,
    /// Where keys are kept.
    pub vault: VaultSettings,
    /// Copies of it.
    pub backup: BackupSettings,
    /// Meta's Graph API.
    pub meta: MetaSettings,
    /// How long channels let a business write.
    pub windows: WindowSettings,
    /// The files of messages.
    pub media: MediaSettings,
    /// The model server.
    pub model: ModelSettings,
    /// What models cost.
    pub prices: PriceSettings,
    /// The tools that tenants name.
    pub tools: ToolSettings,
    /// Outgoing webhooks.
    pub hooks: HookSettings,
    /// The documents that tenants give.
    pub knowledge: KnowledgeSettings,
    /// What a tenant has before it sets anything.
    pub assistant: AssistantDefaults,
    /// Mailboxes, restarts and idleness.
    pub actors: ActorSettings,
    /// Rates.
    pub limits: LimitSettings,
    /// Sends.
    pub dispatch: DispatchSettings,
    /// The websocket.
    pub live: LiveSettings,
    /// Who signs in, and how.
    pub identity: IdentitySettings,
    /// How mails leave.
    pub mail: MailSettings,
    /// The audit log.
    pub audit: AuditSettings,
    /// The access log.
    pub access: AccessSettings,
    /// How long data is kept.
    pub retention: RetentionSettings,
    /// How people's rights are served.
    pub rights: RightsSettings,
    /// What is told to people about their data.
    pub privacy: PrivacySettings,
    /// The log.
    pub log: LogSettings,
}

/// The HTTP door.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address to listen on. Without TLS of its own an address other than loopback needs a proxy that ends it.
    pub bind: String,
    /// Port to listen on; 0 takes a free one. PORT in the environment, as platforms set it, wins.
    pub port: u16,
    /// The certificate chain, a PEM file, where this server speaks TLS itself. Empty: it does not.
    pub tls_certificate: PathBuf,
    /// The private key of the certificate, a PEM file.
    pub tls_key: PathBuf,
    /// The networks of proxies before this server, whose word counts about where a request comes from.
    #[serde(deserialize_with = "crate::edge::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The origins of other pages that may use `/v1` in somebody's session, exactly.
    pub cors_origins: Vec<String>,
    /// Where to report what somebody found, for `/.well-known/security.txt`. Empty: there is none.
    pub security_contact: String,
    /// Requests to `/v1` that one address may send at once; 0: as many as it likes.
    pub rate_address_burst: u32,
    /// How long until it may send one more, milliseconds.
    pub rate_address_interval_ms: u64,
    /// Requests to `/v1` that may be sent with one API key at once; 0: any number.
    pub rate_key_burst: u32,
    /// How long until one more may be sent, milliseconds.
    pub rate_key_interval_ms: u64,
    /// Requests to `/v1` that may be sent in one session at once; 0: any number.
    pub rate_session_burst: u32,
    /// How long until one more may be sent, milliseconds.
    pub rate_session_interval_ms: u64,
    /// Web worker threads. 0: as many as there are cores.
    pub workers: usize,
    /// Largest webhook body, bytes. Meta sends up to 3 MB.
    pub webhook_body_bytes_max: usize,
    /// Largest body of an administrative request, bytes.
    pub json_body_bytes_max: usize,
    /// A body must have arrived whole this long after its head, milliseconds.
    pub body_deadline_ms: u64,
    /// A head must have arrived within this, milliseconds.
    pub head_deadline_ms: u64,
    /// Idle keep-alive connections are closed after this, milliseconds.
    pub keep_alive_ms: u64,
    /// Connections in all; further ones wait in the system's queue.
    pub connections_max: usize,
    /// Connections of one address; further ones get 503. Through a trusted proxy: requests under
    /// way, by the address that it names.
    pub connections_per_address_max: usize,
    /// Largest head of a request, bytes; at most 131072.
    pub head_bytes_max: usize,
    /// Who sends a body or takes an answer slower than this, on average over the window, is cut off.
    pub bytes_per_s_min: u64,
    /// Who sends a body or takes an answer slower than this, on average over the window, is cut off,
    /// milliseconds.
    pub pace_window_ms: u64,
    /// Bodies in memory at once, bytes, of which one address may have half; beyond it 503 with Retry-After.
    pub webhook_bytes_in_flight_max: usize,
    /// How long a stop may take, milliseconds; what is not done by then goes on at the next start.
    pub shutdown_ms: u64,
    /// How long before a stop `/health/ready` says so while everything is still taken, milliseconds.
    pub drain_notice_ms: u64,
    /// Where this server is reached from outside, for links and for Origin checks of the websocket. Empty:
    /// only same-address origins.
    pub public_url: String,
    /// How the last run of the tests of the promises ended, as they wrote it: told at `/privacy/promises`.
    pub promises_file: PathBuf,
}

/// Where data is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    /// "sled" keeps data in `path`; "memory" keeps nothing after the process ends.
    pub backend: Backend,
    /// "sled" keeps data in `path`; "memory" keeps nothing after the process ends.
    pub path: PathBuf,
    /// sled's page cache, bytes.
    pub cache_bytes: usize,
    /// Writes that may wait for the writer thread; beyond it 503 with Retry-After.
    pub write_queue_max: usize,
    /// How many of them may be one tenant's.
    pub write_queue_per_tenant_max: usize,
    /// Writes that share one sync at most.
    pub group_max: usize,
    /// Unprocessed letters per tenant; beyond it 503 with Retry-After.
    pub inbox_entries_max: u64,
    /// Unprocessed letters of all tenants together; beyond it who has many gets 503.
    pub letters_max: u64,
    /// Events of unknown numbers that are kept, all in all.
    pub unrouted_max: usize,
    /// Statuses per tenant that wait for a message that is not known yet.
    pub parked_max: usize,
    /// How long a webhook event is remembered against repetition, days. Meta repeats for 7; at least 8.
    pub dedup_days: u32,
    /// So much of the disk must be free for anything new to be taken in, bytes; a sixteenth of it for what
    /// was taken in already. 0 takes no look.
    pub free_bytes_min: u64,
    /// The store is rewritten, beside the traffic, when its files are so many times as large as what is
    /// alive in them; 0 never. At least 1.5.
    pub rewrite_ratio: f64,
    /// Files that are smaller than this, bytes, are left as they are.
    pub rewrite_bytes_min: u64,
}

/// Where keys are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSettings {
    /// The keyring: outside the store, so that deleting a key is final. Back it up apart from the data.
    pub keyring_file: PathBuf,
    /// The root key that opens the keyring, if `IASSISTANCE_ROOT_KEY` is not set (64 hexadecimal digits or
    /// base64 of 32 bytes). Created at the first start.
    pub root_key_file: PathBuf,
    /// Copies of the keyring from before keys were destroyed, for so many days (at most 7; 0: none): with them
    /// a backup from before can be restored.
    pub copies_folder: PathBuf,
    /// See `copies_folder`.
    pub copies_days: u32,
    /// Whether the root key is a key service's that destroys former versions: receipts say so.
    pub root_in_kms: bool,
}

/// Where backups go, and how often.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupSettings {
    /// A folder, or `s3://bucket/prefix`; empty: nowhere.
    pub to: String,
    /// Who can open them: age public keys.
    pub recipients: Vec<String>,
    /// How often the running server makes one, minutes; 0: only when asked to.
    pub every_minutes: u64,
    /// How often that is a base, hours.
    pub base_hours: u64,
    /// How many bases are kept, with what follows each.
    pub keep: usize,
    /// For the changes between two backups that are kept in mind, bytes.
    pub changed_bytes_max: usize,
    /// The age identity for restoring one tenant into the running server; empty: the request names one.
    pub identity_file: PathBuf,
    /// The largest tenant that is restored into the running server, bytes.
    pub tenant_bytes_max: usize,
    /// Where the bucket is reached; empty for the cloud's own address.
    pub s3_endpoint: String,
    /// The bucket's region.
    pub s3_region: String,
    /// The key's id for the bucket.
    pub s3_access_key_id: String,
    /// The key for the bucket.
    pub s3_secret_access_key: Secret,
}

/// Meta's Graph API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaSettings {
    /// The Graph API and its version.
    pub graph_base_url: Url,
    /// The Graph API and its version.
    pub graph_version: String,
    /// The Graph API of accounts that are connected by Instagram Login.
    pub instagram_base_url: Url,
    /// The domains from which Meta hands media out; nothing is fetched from anywhere else.
    pub media_domains: Vec<String>,
    /// How long a call may take, milliseconds.
    pub send_timeout_ms: u64,
    /// How often a channel is tested with Meta, hours; 0 is never.
    pub channel_test_hours: u64,
    /// How long before its end a token is told of, and Instagram's is renewed, days.
    pub token_notice_days: u64,
}

/// How long after what a contact does the channel lets a business write.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSettings {
    /// After a message or another act, hours.
    pub free_hours: u64,
    /// Messenger and Instagram: after an ad, hours.
    pub page_ad_hours: u64,
    /// Messenger and Instagram: for what a person wrote, hours.
    pub page_human_hours: u64,
    /// Messenger and Instagram: for one private answer to a comment, hours.
    pub page_comment_hours: u64,
}

/// The files of messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaSettings {
    /// The folder in which they are kept, sealed, unless there is a bucket.
    pub folder: PathBuf,
    /// The bucket in which they are kept; empty for the folder.
    pub s3_bucket: String,
    /// Where the bucket is reached; empty for the cloud's own address.
    pub s3_endpoint: String,
    /// The bucket's region.
    pub s3_region: String,
    /// The key's id for the bucket.
    pub s3_access_key_id: String,
    /// The key for the bucket.
    pub s3_secret_access_key: Secret,
    /// The largest file that is taken, bytes.
    pub file_bytes_max: u64,
    /// How many files are fetched at once.
    pub fetch_concurrency: usize,
    /// How often a file is tried.
    pub fetch_attempts_max: u32,
    /// How long a try may take, milliseconds.
    pub fetch_timeout_ms: u64,
}

impl MediaSettings {
    /// The host of the bucket in which files are kept; nothing where they are in a folder.
    pub fn bucket_host(&self) -> Option<String> {
        (!self.s3_bucket.is_empty()).then(|| bucket_host(&self.s3_endpoint, &self.s3_region))
    }
}

/// The host of a bucket's server; Amazon's own in that region where none is named.
pub(crate) fn bucket_host(endpoint: &str, region: &str) -> String {
    let named = Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
    named.unwrap_or_else(|| format!("s3.{region}.amazonaws.com"))
}

/// The model server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// An OpenAI-compatible server. A tenant may name another whose host is in `hosts`.
    pub base_url: Url,
    /// The key for it. Better by `IASSISTANCE__MODEL__API_KEY` than in a file.
    pub api_key: Secret,
    /// The model where the tenant names none.
    pub model: String,
    /// Hosts that a tenant's own base address may have, besides that of `base_url`.
    pub hosts: Vec<String>,
    /// How long an attempt may take until its first word, and in all, milliseconds.
    pub first_token_ms: u64,
    /// How long an attempt may take until its first word, and in all, milliseconds.
    pub attempt_ms: u64,
    /// Attempts per turn, and the pause before the second, milliseconds (it doubles).
    pub attempts_max: u32,
    /// Attempts per turn, and the pause before the second, milliseconds (it doubles).
    pub retry_ms: u64,
    /// Turns that may wait for a model at once, in all and per tenant.
    pub turns_max: usize,
    /// Turns that may wait for a model at once, in all and per tenant.
    pub turns_per_tenant_max: usize,
    /// How long a turn may take in all, tools and attempts together, milliseconds.
    pub turn_ms: u64,
    /// So many failures within the window, and a tenant does not ask the server for a while.
    pub breaker_failures_max: u32,
    /// So many failures within the window, and a tenant does not ask the server for a while.
    pub breaker_window_ms: u64,
    /// So many failures within the window, and a tenant does not ask the server for a while.
    pub breaker_open_ms: u64,
    /// The model that says where texts point by their meaning; empty: documents are found by their words.
    pub embedding_model: String,
    /// The model that writes down what is spoken; empty: voice messages are not.
    pub transcription_model: String,
    /// The model that moderates, for tenants who want that.
    pub moderation_model: String,
}

/// What a tenant has before it sets anything.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssistantDefaults {
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub enabled: bool,
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub task: String,
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub instructions: String,
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub temperature: f32,
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub quiet_ms: u64,
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub cap_ms: u64,
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub output_tokens_max: u32,
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub prompt_tokens_max: u32,
    /// What a tenant has before it sets anything. An assistant answers only with a task.
    pub fallback_text: String,
    /// The languages of the business; the platform's own sentences are said in the first that they exist in.
    pub languages: Vec<String>,
    /// Models that are asked, in order, when the one before gives no answer.
    pub fallback_models: Vec<String>,
    /// How long an answer is held back for files that are still fetched or listened to, milliseconds.
    pub media_cap_ms: u64,
    /// Rounds of tools in a turn.
    pub tool_rounds_max: u32,
}

/// Mailboxes, restarts and idleness.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorSettings {
    /// Threads that run actors. 0: as many as there are cores.
    pub arbiters: usize,
    /// Messages waiting in one mailbox.
    pub tenant_mailbox: usize,
    /// Messages waiting in one mailbox.
    pub conversation_mailbox: usize,
    /// Conversations in memory; the longest idle ones are put away first.
    pub conversations_max: usize,
    /// How many of them may be one tenant's; more wait until others of its own are done.
    pub conversations_per_tenant_max: usize,
    /// A conversation is put away after this long without anything to do, milliseconds.
    pub idle_ms: u64,
    /// Letters that one step takes at once.
    pub letters_per_step: usize,
    /// A conversation that fails more often than this within the window is quarantined.
    pub restarts_max: u32,
    /// A conversation that fails more often than this within the window is quarantined.
    pub restart_window_ms: u64,
    /// The pause before the first restart, milliseconds; it doubles, up to `restart_pause_max_ms`.
    pub restart_pause_ms: u64,
    /// The pause before the first restart, milliseconds; it doubles, up to `restart_pause_max_ms`.
    pub restart_pause_max_ms: u64,
    /// How often forgotten work is looked for, milliseconds.
    pub sweep_ms: u64,
}

/// Rates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Steps of conversations per second and tenant, with the burst: a tenant beyond it waits its turn.
    pub tenant_steps_per_s: u32,
    /// Steps of conversations per second and tenant, with the burst: a tenant beyond it waits its turn.
    pub tenant_burst: u32,
    /// Turns per minute and conversation, with the burst: more are held back.
    pub conversation_turns_per_min: u32,
    /// Turns per minute and conversation, with the burst: more are held back.
    pub conversation_burst: u32,
    /// Sends per second and number. WhatsApp allows 80.
    pub number_sends_per_s: u32,
    /// WhatsApp: one message per pair of number and contact in this time, milliseconds, after the burst.
    pub pair_interval_ms: u64,
    /// WhatsApp: one message per pair of number and contact in this time, milliseconds, after the burst.
    pub pair_burst: u32,
}

/// Sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatchSettings {
    /// Sends under way at once.
    pub concurrency: usize,
    /// How many of them may be one tenant's.
    pub concurrency_per_tenant: usize,
    /// Tries of one send, and the pause before the second, milliseconds (it doubles, with jitter).
    pub attempts_max: u32,
    /// Tries of one send, and the pause before the second, milliseconds (it doubles, with jitter).
    pub retry_ms: u64,
    /// Tries of one send, and the pause before the second, milliseconds (it doubles, with jitter).
    pub retry_max_ms: u64,
    /// A send whose answer never came is reconciled by the channel's reports for this long, milliseconds.
    pub unknown_ms: u64,
    /// What happens then: "hold" leaves it to a person (a dead letter), "resend" sends it again.
    pub unknown_policy: UnknownPolicy,
}

/// The websocket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveSettings {
    /// Websockets in all and per tenant.
    pub sockets_max: usize,
    /// Websockets in all and per tenant.
    pub sockets_per_tenant_max: usize,
    /// Frames and bytes on their way to one socket that it has not confirmed. A slower reader is told
    /// `lagged` and catches up from the log.
    pub frames_in_flight_max: usize,
    /// Frames and bytes on their way to one socket that it has not confirmed. A slower reader is told
    /// `lagged` and catches up from the log.
    pub bytes_in_flight_max: usize,
    /// Largest frame from a client, bytes.
    pub frame_bytes_max: usize,
    /// A socket that says nothing for this long is closed, milliseconds; it is pinged in between.
    pub silence_ms: u64,
    /// How long a ticket is good for, milliseconds.
    pub ticket_ms: u64,
    /// Events of each tenant that are kept in memory to be shared by its sockets.
    pub tail_events: usize,
}

/// The log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// What is logged, in the words of tracing's `EnvFilter`, and how: "text" or "json".
    pub filter: String,
    /// What is logged, in the words of tracing's `EnvFilter`, and how: "text" or "json".
    pub format: LogFormat,
}

/// Where data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// On disk.
    Sled,
    /// In memory: nothing stays after the process ends.
    Memory,
}

/// What happens to a send whose fate the channel never told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPolicy {
    /// A person decides.
    Hold,
    /// It is sent again.
    Resend,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}
