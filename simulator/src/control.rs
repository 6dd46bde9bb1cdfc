//! The control API under `/sim/`, for tests, scripts and the phone page. See the crate's page for its paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::accounts::{Account, AccountKind, EventShape};
use crate::act::Deed;
use crate::contacts::NewContact;
use crate::core::{Core, FeedEvent};
use crate::faults::Faults;
use crate::model_script::{ModelScript, Objection, ScriptedAnswer, ScriptedTranscript};
use crate::report;
use crate::script::Script;
use crate::server::{Call, Reply, json_reply, not_found};
use crate::settings::SimulatorError;
use crate::tool_server::StandIn;
use crate::{graph_media, phone, scene, script};

const ANSWERS_MAX: usize = 1_000;
const SCRIPT_LIMIT_MS: u64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    contact: String,
    text: String,
    #[serde(default, alias = "account")]
    number: Option<String>,
    #[serde(default)]
    quoting: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetCallback {
    url: String,
    /// Of which app; the simulator's own if there is none.
    #[serde(default)]
    app_id: Option<String>,
    #[serde(default)]
    verify: bool,
}

/// An account to add: the ids that its kind has.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum NewAccount {
    Whatsapp {
        phone_number_id: String,
        waba_id: String,
        display_phone_number: String,
        #[serde(flatten)]
        rest: Rest,
    },
    Messenger {
        page_id: String,
        #[serde(flatten)]
        rest: Rest,
    },
    InstagramPage {
        ig_id: String,
        page_id: String,
        #[serde(flatten)]
        rest: Rest,
    },
    InstagramLogin {
        ig_id: String,
        user_id: String,
        #[serde(flatten)]
        rest: Rest,
    },
}

/// What every account has.
#[derive(Deserialize)]
struct Rest {
    name: String,
    access_token: String,
    #[serde(default)]
    app_id: Option<String>,
    #[serde(default)]
    shape: EventShape,
}

impl From<NewAccount> for Account {
    fn from(new: NewAccount) -> Self {
        let (kind, rest) = match new {
            NewAccount::Whatsapp { phone_number_id, waba_id, display_phone_number, rest } => {
                (AccountKind::Whatsapp { phone_number_id, waba_id, display_phone_number }, rest)
            }
            NewAccount::Messenger { page_id, rest } => (AccountKind::Messenger { page_id }, rest),
            NewAccount::InstagramPage { ig_id, page_id, rest } => {
                (AccountKind::InstagramPage { ig_id, page_id }, rest)
            }
            NewAccount::InstagramLogin { ig_id, user_id, rest } => {
                (AccountKind::InstagramLogin { ig_id, user_id }, rest)
            }
        };
        let Rest { name, access_token, app_id, shape } = rest;
        Self { kind, name, access_token, app_id, shape }
    }
}

/// Why a control request was refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the body is not what this path takes: {0}")]
    Body(#[from] serde_json::Error),
    #[error("say whom it is about: ?contact=<name, number or user id of one that is known>")]
    NoContact,
    #[error("at most {ANSWERS_MAX} of them")]
    TooManyAnswers,
    #[error("limit_ms is a number of milliseconds")]
    BadLimit,
    #[error("newest is how many messages are wanted, the newest of them")]
    BadNewest,
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    #[error(transparent)]
    Script(#[from] script::ScriptError),
}

pub(crate) async fn route(core: &Arc<Core>, call: &Call, path: &[&str]) -> Reply {
    if !is_local(call) {
        let error = json!({"error": "the control api answers pages and programs of this machine alone"});
        return json_reply(StatusCode::FORBIDDEN, &error);
    }
    let done = match (&call.head.method, path) {
        (&Method::GET, ["phone"]) => return phone::page(),
        (&Method::GET, ["phone.css"]) => return phone::style(),
        (&Method::GET, ["phone.js"]) => return phone::program(),
        (&Method::GET, ["cards.js"]) => return phone::cards(),
        (&Method::GET, ["phone.svg"]) => return phone::icon(),
        (&Method::GET, ["media", id]) => return media(core, id),
        (&Method::GET, ["events"]) => return phone::events(core),
        (&Method::GET, ["state"]) => Ok(json!(report::state(core))),
        (&Method::GET, ["monitor"]) => Ok(json!({ "url": core.monitor() })),
        (&Method::GET, ["numbers"]) => Ok(numbers(core)),
        (&Method::GET, ["accounts"]) => Ok(accounts(core)),
        (&Method::POST, ["accounts"]) => add_account(core, call),
        (&Method::POST, ["act"]) => act(core, call),
        (&Method::GET, ["contacts"]) => Ok(json!(report::contacts(core))),
        (&Method::POST, ["contacts"]) => add_contact(core, call),
        (&Method::POST, ["say"]) => say(core, call),
        (&Method::GET, ["transcript"]) => transcript(core, call),
        (&Method::GET, ["sends"]) => sends(core, call),
        (&Method::GET, ["faults"]) => Ok(json!(*core.faults())),
        (&Method::POST, ["faults"]) => set_faults(core, call),
        (&Method::POST, ["answers"]) => tell::<ScriptedAnswer>(core, call, |script| &mut script.answers),
        (&Method::POST, ["transcripts"]) => {
            tell::<ScriptedTranscript>(core, call, |script| &mut script.transcripts)
        }
        (&Method::POST, ["objections"]) => tell::<Objection>(core, call, |script| &mut script.objections),
        (&Method::GET, ["chats"]) => Ok(json!(core.model.chats())),
        (&Method::GET, ["cuts"]) => Ok(json!(core.model.cuts())),
        (&Method::GET, ["tools"]) => Ok(json!(core.tools.all())),
        (&Method::POST, ["tools"]) => set_tools(core, call),
        (&Method::DELETE, ["tools", name]) => Ok(json!({ "removed": core.tools.remove(name) })),
        (&Method::GET, ["calls"]) => Ok(json!(core.tools.calls(call.query("tool").as_deref()))),
        (&Method::POST, ["callback"]) => set_callback(core, call).await,
        (&Method::POST, ["retry"]) => {
            core.webhooks.hurry();
            Ok(json!({}))
        }
        (&Method::POST, ["script"]) => play(core, call).await,
        _ => return not_found(),
    };
    match done {
        Ok(value) => json_reply(StatusCode::OK, &value),
        Err(refused) => json_reply(StatusCode::BAD_REQUEST, &json!({"error": refused.to_string()})),
    }
}

/// Whether the request came to a loopback name and, from a browser, from our own page: other pages that are open in
/// the same browser must not reach the phone.
fn is_local(call: &Call) -> bool {
    let host = call.header("host");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let origin = call.header("origin");
    matches!(name, "127.0.0.1" | "localhost") && (origin.is_empty() || origin == format!("http://{host}"))
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refused> {
    Ok(serde_json::from_slice(&call.body)?)
}

fn accounts(core: &Core) -> Value {
    Value::Array(core.accounts().all().iter().map(|account| account.public()).collect())
}

/// The WhatsApp numbers among the accounts.
fn numbers(core: &Core) -> Value {
    let accounts = core.accounts();
    let public = accounts.all().iter().filter_map(|account| match &account.kind {
        AccountKind::Whatsapp { phone_number_id, waba_id, display_phone_number } => {
            Some(json!({"phone_number_id": phone_number_id, "waba_id": waba_id,
                        "display_phone_number": display_phone_number, "verified_name": account.name}))
        }
        _ => None,
    });
    Value::Array(public.collect())
}

fn add_account(core: &Core, call: &Call) -> Result<Value, Refused> {
    let account = core.add_account(read::<NewAccount>(call)?.into())?;
    Ok(account.public())
}

fn act(core: &Arc<Core>, call: &Call) -> Result<Value, Refused> {
    Ok(json!(scene::play(core, read::<Deed>(call)?)?))
}

/// A file's bytes, for the phone page.
fn media(core: &Core, id: &str) -> Reply {
    let file = core.files().get(id, core.clock.now()).cloned();
    file.filter(|file| file.link.is_none()).map_or_else(not_found, |file| graph_media::serve(&file))
}

fn add_contact(core: &Core, call: &Call) -> Result<Value, Refused> {
    let contact = core.world().contacts.add(read::<NewContact>(call)?)?;
    core.publish(FeedEvent::Contact { contact: contact.clone() });
    Ok(json!(contact))
}

fn say(core: &Arc<Core>, call: &Call) -> Result<Value, Refused> {
    let say: Say = read(call)?;
    let wamid = core.say(&say.contact, say.number.as_deref(), &say.text, say.quoting)?;
    Ok(json!({ "wamid": wamid }))
}

/// The number of the contact that the query names.
fn named(core: &Core, call: &Call) -> Result<String, Refused> {
    let who = call.query("contact").ok_or(Refused::NoContact)?;
    core.world().contacts.find(&who).ok_or(Refused::NoContact)
}

fn transcript(core: &Core, call: &Call) -> Result<Value, Refused> {
    let wa_id = named(core, call)?;
    let count = call.query("newest").map(|count| count.parse().map_err(|_| Refused::BadNewest));
    Ok(json!(core.world().newest(&wa_id, count.transpose()?.unwrap_or(usize::MAX))))
}

/// The accepted sends in their order, and how often each text was accepted; of one contact, or of all.
fn sends(core: &Core, call: &Call) -> Result<Value, Refused> {
    let wa_id = match call.query("contact") {
        Some(_) => Some(named(core, call)?),
        None => None,
    };
    let sends = core.world().sends(wa_id.as_deref());
    let texts = report::texts(&sends);
    Ok(json!({"sends": sends, "texts": texts}))
}

fn set_faults(core: &Core, call: &Call) -> Result<Value, Refused> {
    let faults: Faults = read(call)?;
    core.set_faults(faults.clone())?;
    Ok(json!(faults))
}

/// Replaces a part of what the model was told.
fn tell<T: DeserializeOwned>(
    core: &Core,
    call: &Call,
    part: impl FnOnce(&mut ModelScript) -> &mut Vec<T>,
) -> Result<Value, Refused> {
    let told: Vec<T> = read(call)?;
    if told.len() > ANSWERS_MAX {
        return Err(Refused::TooManyAnswers);
    }
    core.model.change_script(|script| *part(script) = told);
    Ok(json!({}))
}

fn set_tools(core: &Core, call: &Call) -> Result<Value, Refused> {
    for (name, tool) in read::<BTreeMap<String, StandIn>>(call)? {
        core.tools.set(&name, tool)?;
    }
    Ok(json!(core.tools.all()))
}

async fn set_callback(core: &Core, call: &Call) -> Result<Value, Refused> {
    let wanted: SetCallback = read(call)?;
    core.webhooks.set_callback(wanted.app_id.as_deref(), &wanted.url)?;
    if wanted.verify {
        verify(core).await?;
    }
    Ok(json!({}))
}

/// Asks the callback to echo a challenge.
pub(crate) async fn verify(core: &Core) -> Result<(), SimulatorError> {
    let callback = core.webhooks.callback(None).ok_or(SimulatorError::NoCallback)?;
    callback.verify(core, &core.settings.verify_token, &core.new_trace()).await
}

async fn play(core: &Arc<Core>, call: &Call) -> Result<Value, Refused> {
    let limit = call.query("limit_ms").map(|limit| limit.parse().map_err(|_| Refused::BadLimit));
    let limit_ms = limit.transpose()?.unwrap_or(SCRIPT_LIMIT_MS);
    let script = Script::parse(&String::from_utf8_lossy(&call.body))?;
    Ok(json!(script::run(core, &script, limit_ms).await))
}
