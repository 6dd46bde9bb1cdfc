//! A stand-in for a tenant's own tool server: `GET|POST /tools/{name}`. It records every call and answers what it was
//! told, through `POST /sim/tools`; a tool that it was told nothing of, it does not have.
//!
//! Strict in what a call looks like: a GET has no body; a POST has one, a JSON object, and says so.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use hyper::{Method, StatusCode};
use iassistance_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::core::{Core, lock};
use crate::server::{Call, Reply, Step, json_reply, play, respond};
use crate::settings::SimulatorError;

/// How many tools there may be, and how many answers each may have in store.
const TOOLS_MAX: usize = 100;
const ANSWERS_MAX: usize = 1_000;
/// How many calls are remembered, and how much of each.
const CALLS_KEPT_MAX: usize = 1_000;
const BODY_BYTES_KEPT_MAX: usize = 64 * 1024;
/// The longest answer that can be asked for.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What an answer is filled up with, a piece at a time.
const FILLING: [u8; 16 * 1024] = [b' '; 16 * 1024];
const NAME_CHARS_MAX: usize = 64;

/// A tool that there is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StandIn {
    /// What it answers, in this order; the last one again and again. Without any: `{}`.
    pub answers: Vec<ToolAnswer>,
    /// `GET` or `POST`, if only one of them is taken.
    pub method: Option<String>,
    /// A header that proves who calls; without it 401 is answered.
    pub secret: Option<ToolHeader>,
}

impl StandIn {
    /// A tool that answers this, as JSON.
    pub fn answering(body: Value) -> Self {
        Self { answers: vec![ToolAnswer { body, ..ToolAnswer::default() }], ..Self::default() }
    }

    /// A tool that answers so, one after the other; the last one again and again.
    pub fn with(answers: impl IntoIterator<Item = ToolAnswer>) -> Self {
        Self { answers: answers.into_iter().collect(), ..Self::default() }
    }
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// One answer of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolAnswer {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// What is answered: a string as it is, anything else as JSON.
    pub body: Value,
    /// The `Content-Type`; by what the body is if there is none.
    pub content_type: Option<String>,
    /// How long it takes.
    pub delay_ms: u64,
    /// How many bytes there are at least, filled up with spaces, up to 64 MB.
    pub bytes: usize,
    /// The `Location` header; with it the status should be one of 301 to 308.
    pub redirect: Option<String>,
    /// The `Retry-After` header, seconds.
    pub retry_after_s: Option<u64>,
    /// Nothing is ever answered.
    pub hang: bool,
    /// The connection is closed without an answer.
    pub cut: bool,
}

impl Default for ToolAnswer {
    fn default() -> Self {
        Self {
            status: 200,
            body: json!({}),
            content_type: None,
            delay_ms: 0,
            bytes: 0,
            redirect: None,
            retry_after_s: None,
            hang: false,
            cut: false,
        }
    }
}

impl ToolAnswer {
    /// This, as JSON, with 200.
    pub fn of(body: Value) -> Self {
        Self { body, ..Self::default() }
    }

    /// Nothing but a status.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn fits(&self) -> bool {
        let header = |text: &Option<String>| text.iter().all(|text| HeaderValue::from_str(text).is_ok());
        (200..=599).contains(&self.status)
            && self.bytes <= ANSWER_BYTES_MAX
            && header(&self.content_type)
            && header(&self.redirect)
    }
}

/// A call that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCallSeen {
    /// Counted from 1, over all tools.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The tool.
    pub tool: String,
    /// `GET` or `POST`.
    pub method: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
    /// All headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, at most 64 KB of it.
    pub body: String,
    /// The status that it gets; 0: none.
    pub status: u16,
}

/// What was counted of the tools since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ToolCounters {
    /// Calls, refused ones too.
    pub calls: u64,
    /// Those that were no proper calls, or of a tool that there is not.
    pub refused: u64,
    /// Those whose `Idempotency-Key` had come before.
    pub repeated: u64,
}

/// The tools, and the calls that came.
#[derive(Default)]
pub(crate) struct ToolServer {
    state: Mutex<Tools>,
}

/// A tool and how it was used.
struct Tool {
    stand_in: StandIn,
    /// How many answers it has given.
    played: usize,
    /// How many calls came, refused ones too.
    calls: u64,
}

#[derive(Default)]
struct Tools {
    by_name: BTreeMap<String, Tool>,
    calls: VecDeque<ToolCallSeen>,
    counters: ToolCounters,
}

impl ToolServer {
    /// Has a tool from now on; one of the same name is replaced.
    pub fn set(&self, name: &str, tool: StandIn) -> Result<(), SimulatorError> {
        let bad = |reason| Err(SimulatorError::Tool(reason));
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
            return bad("a name has 1 to 64 of a-z, 0-9, _ and -");
        }
        if !matches!(tool.method.as_deref(), None | Some("GET" | "POST")) {
            return bad("the method is GET or POST");
        }
        if tool.answers.len() > ANSWERS_MAX || !tool.answers.iter().all(ToolAnswer::fits) {
            return bad(
                "at most 1000 answers, each with a status of 200 to 599, at most 64 MB and proper headers",
            );
        }
        let mut state = lock(&self.state);
        if state.by_name.len() >= TOOLS_MAX && !state.by_name.contains_key(name) {
            return bad("there are 100 tools already");
        }
        let calls = state.by_name.get(name).map_or(0, |tool| tool.calls);
        state.by_name.insert(name.to_owned(), Tool { stand_in: tool, played: 0, calls });
        Ok(())
    }

    /// Has a tool no more; whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        lock(&self.state).by_name.remove(name).is_some()
    }

    pub fn all(&self) -> BTreeMap<String, StandIn> {
        let state = lock(&self.state);
        state.by_name.iter().map(|(name, tool)| (name.clone(), tool.stand_in.clone())).collect()
    }

    /// The calls that are remembered, oldest first: of one tool, or of all.
    pub fn calls(&self, name: Option<&str>) -> Vec<ToolCallSeen> {
        let state = lock(&self.state);
        let of = |call: &&ToolCallSeen| name.is_none_or(|name| call.tool == name);
        state.calls.iter().filter(of).cloned().collect()
    }

    /// How many calls of a tool came.
    pub fn count(&self, name: &str) -> u64 {
        lock(&self.state).by_name.get(name).map_or(0, |tool| tool.calls)
    }

    pub fn counters(&self) -> ToolCounters {
        lock(&self.state).counters
    }

    /// Records a call and decides its answer.
    fn take(&self, mut seen: ToolCallSeen, body: &[u8]) -> Result<ToolAnswer, (u16, &'static str)> {
        let state = &mut *lock(&self.state);
        let decided = match state.by_name.get_mut(&seen.tool) {
            None => Err((404, "there is no such tool: tell it at /sim/tools")),
            Some(tool) => {
                tool.calls += 1;
                match improper(&tool.stand_in, &seen, body) {
                    Some(refused) => Err(refused),
                    None => Ok(tool.next()),
                }
            }
        };
        let counters = &mut state.counters;
        counters.calls += 1;
        counters.refused += u64::from(decided.is_err());
        seen.number = counters.calls;
        seen.status = match &decided {
            Ok(answer) if answer.hang || answer.cut => 0,
            Ok(answer) => answer.status,
            Err((status, _)) => *status,
        };
        let key = |call: &ToolCallSeen| call.headers.get("idempotency-key").cloned();
        let own = key(&seen);
        counters.repeated += u64::from(
            own.is_some() && state.calls.iter().any(|call| call.tool == seen.tool && key(call) == own),
        );
        state.calls.push_back(seen);
        if state.calls.len() > CALLS_KEPT_MAX {
            state.calls.pop_front();
        }
        decided
    }
}

impl Tool {
    /// The answer that is due; the last one again and again.
    fn next(&mut self) -> ToolAnswer {
        let answers = &self.stand_in.answers;
        let answer = answers.get(self.played).or_else(|| answers.last()).cloned();
        self.played = self.played.saturating_add(1);
        answer.unwrap_or_default()
    }
}

/// Why a call is none that this tool takes.
fn improper(tool: &StandIn, seen: &ToolCallSeen, body: &[u8]) -> Option<(u16, &'static str)> {
    let header = |name: &str| seen.headers.get(name).map_or("", String::as_str);
    if tool.method.as_ref().is_some_and(|method| *method != seen.method) {
        return Some((405, "this tool is called with the other method"));
    }
    if tool.secret.as_ref().is_some_and(|secret| header(&secret.name.to_ascii_lowercase()) != secret.value) {
        return Some((401, "the header that proves who calls is missing or wrong"));
    }
    if seen.method == "GET" {
        return (!body.is_empty()).then_some((400, "a GET has no body: the arguments are the query"));
    }
    if header("content-type").split(';').next() != Some("application/json") {
        return Some((415, "a POST has a body of the type application/json"));
    }
    let object = serde_json::from_slice::<Value>(body).is_ok_and(|body| body.is_object());
    (!object).then_some((400, "the body is no JSON object"))
}

fn seen(core: &Core, call: &Call, name: &str) -> ToolCallSeen {
    let query = call.head.uri.query().unwrap_or_default();
    let headers = call.head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let kept = call.body.get(..BODY_BYTES_KEPT_MAX).unwrap_or(&call.body);
    ToolCallSeen {
        number: 0,
        at: core.clock.now(),
        tool: name.to_owned(),
        method: call.head.method.to_string(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(kept).into_owned(),
        status: 0,
    }
}

/// `GET|POST /tools/{name}`.
pub(crate) async fn answer(core: &Arc<Core>, call: &Call, name: &str) -> Reply {
    if !matches!(call.head.method, Method::GET | Method::POST) {
        return refuse(405, "a tool is called with GET or POST");
    }
    let decided = core.tools.take(seen(core, call, name), &call.body);
    core.changed();
    let answer = match decided {
        Ok(answer) => answer,
        Err((status, reason)) => return refuse(status, reason),
    };
    if answer.delay_ms > 0 {
        core.clock.sleep_millis(answer.delay_ms).await;
    }
    if answer.hang {
        return Reply::Hang;
    }
    if answer.cut {
        return Reply::Cut;
    }
    told(core, answer)
}

/// The answer as it was told.
fn told(core: &Core, answer: ToolAnswer) -> Reply {
    let (text, kind) = match answer.body {
        Value::String(text) => (text, "text/plain; charset=utf-8"),
        body => (body.to_string(), "application/json; charset=utf-8"),
    };
    let mut missing = answer.bytes.saturating_sub(text.len());
    let mut steps = vec![Step::send(0, text)];
    while missing > 0 {
        let piece = missing.min(FILLING.len());
        steps.push(Step::send(0, Bytes::from_static(FILLING.get(..piece).unwrap_or(&FILLING))));
        missing -= piece;
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = respond(status, kind, play(core, steps, |_| {}));
    let headers = response.headers_mut();
    let given = [(CONTENT_TYPE, answer.content_type), (LOCATION, answer.redirect)];
    for (name, value) in given {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    if let Some(seconds) = answer.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Reply::Answer(response)
}

fn refuse(status: u16, reason: &str) -> Reply {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    json_reply(status, &json!({ "error": format!("[simulated] {reason}") }))
}
