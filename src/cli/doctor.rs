//! `iassistance doctor`: is everything in the store as it should be?

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use url::Url;

use iassistance_actors::kernel::SystemClock;
use iassistance_config::{Settings, Sources};
use iassistance_domain::Clock;
use iassistance_egress::Destination;
use iassistance_storage::{Examination, Findings, OpenProblem, Progress, StorageError};
use iassistance_vault::VaultError;

use super::{Failure, Output};
use crate::app::{self, AppError, Vaulted};

/// Findings that are shown one by one.
const SHOWN_MAX: usize = 1_000;
/// How often a running server is asked how far it is, milliseconds.
const ASK_MS: u64 = 500;

/// Examine the whole store: every record opens, what it refers to is there, every index agrees.
///
/// Without a running server, on the store itself; with `--server`, by the server that has it open, while
/// it serves. Ends with 1 when something is lost and was not set aside.
#[derive(Args)]
pub struct Arguments {
    /// Mend what is found: indexes are made anew, records that do not open are set aside.
    #[arg(long)]
    repair: bool,
    /// First put back what was set aside and opens now, as after the right keyring is back.
    #[arg(long)]
    put_back: bool,
    /// The address of a running server that is to do it. An API key of the platform is read from
    /// `IASSISTANCE_API_KEY`: other users of this machine could see a flag.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// Examines the store that is open here.
pub async fn run(vaulted: &Vaulted, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let how = Examination {
        repair: arguments.repair,
        put_back: arguments.put_back,
        files: Some(vaulted.content.clone()),
    };
    let progress = |step: Progress| output.note(&progress(step.tenant, step.tenants, step.records));
    let found = vaulted.store.examine(&how, &progress).await?;
    for finding in found.findings.iter().take(SHOWN_MAX) {
        output.note(&format!("found: {finding}"));
    }
    output.answer(&summary(&found), &found)?;
    verdict(found.unmended)
}

/// Has a running server examine its store, and waits for it.
pub fn on_server(
    settings: &Settings,
    sources: &Sources,
    arguments: &Arguments,
    server: &str,
    output: &Output,
) -> Result<(), Failure> {
    let key = sources.variable("IASSISTANCE_API_KEY").ok_or(
        "set IASSISTANCE_API_KEY to an API key of the platform (not a flag: other users of this machine could see it)",
    )?;
    let base = Url::parse(server).map_err(|error| format!("--server is no address: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::new(settings, base, key)?;
        let wanted = json!({ "repair": arguments.repair, "put_back": arguments.put_back });
        let begun = server.ask("checks", Some(&wanted)).await?;
        let id = begun["id"].as_str().ok_or("the server's answer has no `id`")?.to_owned();
        let (clock, mut told) = (Arc::new(SystemClock), String::new());
        loop {
            let check = server.ask(&format!("checks/{id}"), None).await?;
            match check["state"].as_str() {
                Some("running") => {
                    let number = |name: &str| check[name].as_u64().unwrap_or_default();
                    let at = |name: &str| usize::try_from(number(name)).unwrap_or(usize::MAX);
                    let now = progress(at("tenant"), at("tenants"), number("records"));
                    if now != told {
                        output.note(&now);
                        told = now;
                    }
                    clock.sleep_millis(ASK_MS).await;
                }
                Some("ended") => return tell(&check, output),
                _ => return Err(check["problem"].as_str().unwrap_or("it did not end").to_owned().into()),
            }
        }
    })
}

/// The findings of a server, as those of a store.
fn tell(check: &Value, output: &Output) -> Result<(), Failure> {
    let number = |name: &str| check[name].as_u64().unwrap_or_default();
    let found = Findings {
        records: number("records"),
        set_aside: number("set_aside"),
        put_back: number("restored"),
        total: number("findings_total"),
        unmended: number("unmended"),
        findings: serde_json::from_value(check["findings"].clone())?,
    };
    for finding in &found.findings {
        output.note(&format!("found: {finding}"));
    }
    output.answer(&summary(&found), &found)?;
    verdict(found.unmended)
}

/// What to do when the store, or its keyring, is in use.
pub fn hint(failure: Failure) -> Failure {
    match failure.downcast_ref::<AppError>() {
        Some(
            AppError::Storage(StorageError::Open(OpenProblem::InUse { .. }))
            | AppError::Vault(VaultError::InUse { .. }),
        ) => format!(
            "{failure}; or let the server that has it open examine it: `iassistance doctor --server URL`"
        )
        .into(),
        _ => failure,
    }
}

fn progress(tenant: usize, tenants: usize, records: u64) -> String {
    match tenant {
        0 => format!("the platform: {records} records"),
        _ => format!("tenant {tenant} of {tenants}: {records} records"),
    }
}

fn summary(found: &Findings) -> String {
    let Findings { records, set_aside, put_back, total, unmended, .. } = found;
    let mut text = vec![match (total, unmended) {
        (0, _) => format!("All {records} records open, and everything agrees."),
        (_, 0) => format!("{total} findings, all mended, set aside or harmless; {records} records open."),
        _ => format!(
            "{total} findings, {unmended} of them as they were; {records} records open. The server runs without what \
             is damaged; `iassistance doctor --repair` mends what can be mended, and a backup has the rest."
        ),
    }];
    if *put_back > 0 {
        text.push(format!("{put_back} records were put back."));
    }
    if *set_aside > 0 {
        text.push(format!(
            "{set_aside} records are set aside: `iassistance doctor --put-back` puts back those that open again."
        ));
    }
    text.join(" ")
}

fn verdict(unmended: u64) -> Result<(), Failure> {
    if unmended == 0 { Ok(()) } else { Err("the store is not as it should be: see the findings".into()) }
}

/// A running server, asked by its REST interface.
struct Server {
    egress: iassistance_egress::Egress,
    base: Url,
    key: String,
}

impl Server {
    fn new(settings: &Settings, base: Url, key: &str) -> Result<Self, Failure> {
        let (egress, _) = app::way_out(settings)?;
        // The one address beside those of the settings that a command may call is the one given to it.
        Ok(Self { egress: egress.with_files(&base)?, base, key: key.to_owned() })
    }

    async fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = self.base.join(&format!("/v1/{path}"))?;
        let client = self.egress.client_for(Destination::Files, &url)?;
        let request = match body {
            Some(body) => client.post(url).json(body),
            None => client.get(url),
        };
        let answer = request.bearer_auth(&self.key).send().await;
        let answer =
            answer.map_err(|error| format!("cannot reach {}: {}", self.base, error.without_url()))?;
        let (status, text) = (answer.status(), answer.text().await?);
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        let detail = value["detail"].as_str().or(value["title"].as_str()).unwrap_or("no reason is given");
        Err(format!("the server answered {status}: {detail}").into())
    }
}
