//! The test of a channel: does its token hold, may it do what is needed, is its address Meta's, and
//! do its events come here?
//!
//! Meta: Graph API, "Debug token"; Cloud API, "Business phone numbers"; Messenger Platform and
//! Instagram Platform, "Webhooks", `subscribed_apps`.

use iassistance_domain::Timestamp;
use iassistance_domain::channel::{Channel, ChannelKind, ChannelState, Connection, MetaApp, StoredSecret};
use iassistance_domain::delivery::ProblemClass;
use iassistance_egress::Destination;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use crate::send::{Check, ProbeReport, SendError};

use super::account::{FIELDS_NEEDED, account_id, is_permission};
use super::{Call, GraphSender, Payload};

/// What is asked of a number; an older version may not know the second part.
const NUMBER_FIELDS: [&str; 2] = [
    "display_phone_number,verified_name,quality_rating",
    "throughput,status,code_verification_status,is_on_biz_app",
];
/// Messages a second of a number, as a rule, once raised, and with the owner's phone beside it
/// (Meta: Cloud API, "Throughput").
const STANDARD_PER_S: u32 = 80;
const HIGH_PER_S: u32 = 1_000;
const WITH_PHONE_PER_S: u32 = 20;

impl GraphSender {
    pub(super) async fn probed(&self, channel: &Channel, app: &MetaApp) -> ProbeReport {
        let mut probe = Probe::default();
        self.test_token(channel, app, &mut probe).await;
        if probe.worst != Some(ChannelState::Expired) {
            match &channel.connection {
                Connection::CloudApi { .. } => self.test_number(channel, &mut probe).await,
                Connection::Page => self.test_name(channel, "page", "name", &mut probe).await,
                Connection::InstagramPage { .. } => {
                    self.test_name(channel, "account", "username", &mut probe).await;
                }
                Connection::InstagramLogin { .. } => {}
            }
            self.test_subscription(channel, app, &mut probe).await;
            self.test_webhook(channel, app, &mut probe).await;
        }
        probe.finish()
    }

    async fn test_token(&self, channel: &Channel, app: &MetaApp, probe: &mut Probe) {
        if matches!(channel.connection, Connection::InstagramLogin { .. }) {
            return self.test_login(channel, probe).await;
        }
        match self.debugged(channel, app, probe).await {
            Some(token) => judge_token(channel, app, &token, probe),
            None => self.test_me(channel, probe).await,
        }
    }

    /// What Meta knows about the token, if the app's id and one of its secrets are right.
    async fn debugged(&self, channel: &Channel, app: &MetaApp, probe: &mut Probe) -> Option<Value> {
        let Some(app_id) = &app.app_id else {
            probe.pass(
                "app",
                "not looked at: enter the Meta app's id, and permissions and end are tested too",
            );
            return None;
        };
        let url = self.url(channel, &["debug_token"]).map(|mut url| {
            // Meta takes the token that is asked about in the address alone.
            url.query_pairs_mut().append_pair("input_token", channel.access_token.expose());
            url
        });
        let url = probe.taken("app", url)?;
        for secret in app.secrets.iter().filter(|secret| !secret.is_empty()) {
            let token = format!("{app_id}|{}", secret.expose());
            match self.ask_as_app(channel, url.clone(), &token).await {
                Ok(mut answer) => {
                    probe.app_token = Some(token);
                    return Some(answer["data"].take());
                }
                Err(SendError::Permanent { .. }) => {}
                Err(error) => {
                    probe.error("app", &error, ChannelState::Degraded);
                    return None;
                }
            }
        }
        let detail = "Meta does not accept the app's id with any of its secrets: correct them";
        probe.fail("app", ChannelState::Degraded, detail);
        None
    }

    async fn ask_as_app(&self, channel: &Channel, url: Url, token: &str) -> Result<Value, SendError> {
        let call = Call {
            method: Method::GET,
            destination: Destination::Graph,
            url,
            token,
            payload: Payload::Nothing,
            timeout_ms: self.settings.timeout_ms,
        };
        let answer = self.call(call).await.map_err(SendError::repeatable)?;
        answer.value(channel.kind().into()).map_err(SendError::repeatable)
    }

    /// Whether the token holds, where no more can be known.
    async fn test_me(&self, channel: &Channel, probe: &mut Probe) {
        let Some(me) = self.ask(channel, &["me"], "id", "token", probe).await else { return };
        probe.pass("token", "the access token holds");
        // Asked with a page's token, it is the page.
        if matches!(channel.connection, Connection::CloudApi { .. }) {
            probe.report.token_owner = text(&me, "id").map(StoredSecret::new);
        }
    }

    /// An account that is connected by itself: its token is its own.
    async fn test_login(&self, channel: &Channel, probe: &mut Probe) {
        let Some(me) = self.ask(channel, &["me"], "id,user_id,username", "token", probe).await else {
            return;
        };
        probe.pass("token", "the access token holds");
        let (id, user_id) = (text(&me, "id"), text(&me, "user_id"));
        probe.report.token_owner = id.clone().map(StoredSecret::new);
        probe.report.name = text(&me, "username");
        let known = [&user_id, &id].into_iter().flatten().any(|id| *id == channel.external_id);
        probe.report.user_id = id.filter(|id| *id != channel.external_id);
        if known {
            probe.pass("account", "the account is reached");
        } else {
            let detail =
                "the access token is another account's: enter this account's token, or correct its id";
            probe.fail("account", ChannelState::Blocked, detail);
        }
    }

    async fn test_number(&self, channel: &Channel, probe: &mut Probe) {
        let all = NUMBER_FIELDS.join(",");
        let found = match self.question(channel, &[&channel.external_id], &all).await {
            Err(SendError::Permanent { problem }) if problem.class == ProblemClass::Request => {
                self.question(channel, &[&channel.external_id], NUMBER_FIELDS[0]).await
            }
            found => found,
        };
        let Some(number) = probe.asked("number", found) else { return };
        judge_number(&number, probe);
    }

    /// Whether a page or account can be reached, and what it is called.
    async fn test_name(&self, channel: &Channel, name: &'static str, field: &str, probe: &mut Probe) {
        let Some(found) = self.ask(channel, &[&channel.external_id], field, name, probe).await else {
            return;
        };
        probe.report.name = text(&found, field);
        probe.pass(name, format!("the {name} is reached"));
    }

    /// `GET /{business account, page or account id}/subscribed_apps`.
    async fn test_subscription(&self, channel: &Channel, app: &MetaApp, probe: &mut Probe) {
        let told = probe.report.account_id.clone();
        let account = match (&channel.connection, &told) {
            (Connection::CloudApi { account_id: None, .. }, Some(told)) => Ok(&**told),
            _ => account_id(channel),
        };
        let name = "subscription";
        let account = match account {
            Ok(account) => account,
            Err(error) => return probe.error(name, &error, ChannelState::Degraded),
        };
        let url = self.url(channel, &[account, "subscribed_apps"]);
        let found = match url {
            Ok(url) => self.get(channel, url).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => judge_subscription(&found, app, probe),
            Err(error) => probe.error(name, &error, ChannelState::Degraded),
        }
    }

    /// `GET /{app id}/subscriptions`: where Meta sends the product's webhooks, as it was last told. It
    /// counts where the app speaks for itself; who cannot be asked proves nothing.
    async fn test_webhook(&self, channel: &Channel, app: &MetaApp, probe: &mut Probe) {
        let (Some(token), Some(app_id)) = (probe.app_token.take(), &app.app_id) else { return };
        let Ok(url) = self.url(channel, &[app_id, "subscriptions"]) else { return };
        if let Ok(found) = self.ask_as_app(channel, url, &token).await {
            judge_webhook(&found, channel, app, probe);
        }
    }

    async fn question(&self, channel: &Channel, parts: &[&str], fields: &str) -> Result<Value, SendError> {
        let mut url = self.url(channel, parts)?;
        url.query_pairs_mut().append_pair("fields", fields);
        self.get(channel, url).await
    }

    /// Asks, and reports it if there is no answer.
    async fn ask(
        &self,
        channel: &Channel,
        parts: &[&str],
        fields: &str,
        name: &'static str,
        probe: &mut Probe,
    ) -> Option<Value> {
        let found = self.question(channel, parts, fields).await;
        probe.asked(name, found)
    }
}

fn judge_token(channel: &Channel, app: &MetaApp, token: &Value, probe: &mut Probe) {
    let moment = |name: &str| token.get(name).and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    probe.report.token_expires_at = moment("expires_at").map(Timestamp::from_secs);
    probe.report.token_owner = text(token, "user_id").map(StoredSecret::new);
    if token.get("is_valid").and_then(Value::as_bool) != Some(true) {
        let detail = "the access token expired or was revoked: connect the channel with a new one";
        return probe.fail("token", ChannelState::Expired, detail);
    }
    probe.pass("token", "the access token holds");
    match text(token, "app_id") {
        Some(id) if app.app_id.as_ref() != Some(&id) => {
            let detail = "the access token is another app's: make one with this app";
            probe.fail("app", ChannelState::Degraded, detail);
        }
        _ => probe.pass("app", "the access token is this app's"),
    }
    let (needed, wanted) = permissions(&channel.connection);
    let has = |name: &str| {
        let scopes = token.get("scopes").and_then(Value::as_array);
        scopes.is_some_and(|scopes| scopes.iter().any(|scope| scope.as_str() == Some(name)))
    };
    let missing = |names: &'static [&'static str]| {
        names.iter().copied().filter(|name| !has(name)).collect::<Vec<_>>().join(", ")
    };
    let (needed, wanted) = (missing(needed), missing(wanted));
    let detail = |names: &str| format!("the access token lacks {names}: grant it and make a new token");
    match (&*needed, &*wanted) {
        ("", "") => probe.pass("permissions", "the access token has what is needed"),
        ("", wanted) => probe.fail("permissions", ChannelState::Degraded, detail(wanted)),
        (needed, _) => probe.fail("permissions", ChannelState::Blocked, detail(needed)),
    }
    if matches!(channel.connection, Connection::CloudApi { .. }) {
        probe.report.account_id = only_account(token);
    }
}

/// The permissions without which nothing is sent, and those without which something else is amiss
/// (Meta: "Permissions reference").
const fn permissions(connection: &Connection) -> (&'static [&'static str], &'static [&'static str]) {
    match connection {
        Connection::CloudApi { .. } => (&["whatsapp_business_messaging"], &["whatsapp_business_management"]),
        Connection::Page => (&["pages_messaging"], &["pages_manage_metadata"]),
        Connection::InstagramPage { .. } => {
            (&["instagram_manage_messages"], &["instagram_basic", "pages_manage_metadata"])
        }
        // Its tokens say nothing of them.
        Connection::InstagramLogin { .. } => (&[], &[]),
    }
}

/// The business account for which the token was made, if it is one.
fn only_account(token: &Value) -> Option<String> {
    let scopes = token.get("granular_scopes")?.as_array()?;
    let managed = scopes.iter().find(|scope| scope["scope"] == "whatsapp_business_management")?;
    match &**managed.get("target_ids")?.as_array()? {
        [only] => Some(only.as_str()?.to_owned()),
        _ => None,
    }
}

fn judge_number(number: &Value, probe: &mut Probe) {
    let report = &mut probe.report;
    let digits = text(number, "display_phone_number")
        .map(|shown| shown.chars().filter(char::is_ascii_digit).collect());
    report.number = digits.filter(|digits: &String| !digits.is_empty());
    report.name = text(number, "verified_name");
    report.quality = text(number, "quality_rating");
    let with_phone = number.get("is_on_biz_app").and_then(Value::as_bool) == Some(true);
    report.sends_per_s = match number.pointer("/throughput/level").and_then(Value::as_str) {
        Some(_) if with_phone => Some(WITH_PHONE_PER_S),
        Some("HIGH") => Some(HIGH_PER_S),
        Some("STANDARD") => Some(STANDARD_PER_S),
        _ => None,
    };
    let (status, quality) = (text(number, "status"), report.quality.clone());
    let verified = text(number, "code_verification_status");
    let said = |status: &str, what: &str| format!("Meta says that the number is {status}: {what}");
    match status.as_deref() {
        Some(status @ ("BANNED" | "DELETED" | "DISCONNECTED" | "MIGRATED")) => {
            let detail = said(status, "see WhatsApp Manager, and register the number again if it is yours");
            probe.fail("number", ChannelState::Blocked, detail);
        }
        Some(status @ ("PENDING" | "UNVERIFIED")) => {
            probe.fail("number", ChannelState::Blocked, said(status, "register it with the Cloud API"));
        }
        Some(status @ ("FLAGGED" | "RESTRICTED" | "RATE_LIMITED")) => {
            let detail = said(status, "see its quality in WhatsApp Manager, and send less advertising");
            probe.fail("number", ChannelState::Degraded, detail);
        }
        _ if quality.as_deref() == Some("RED") => {
            let detail =
                "Meta rates the number's quality as low: send less advertising, or it will be limited";
            probe.fail("number", ChannelState::Degraded, detail);
        }
        // A code that is no longer good is the rule with numbers that were verified long ago.
        None if verified.as_deref() == Some("NOT_VERIFIED") => {
            let detail = "the number is not verified: verify it in WhatsApp Manager and register it";
            probe.fail("number", ChannelState::Blocked, detail);
        }
        _ => probe.pass("number", "the number is reached"),
    }
}

fn judge_subscription(found: &Value, app: &MetaApp, probe: &mut Probe) {
    let name = "subscription";
    let apps = found.get("data").and_then(Value::as_array).map_or(&[][..], |apps| apps);
    // WhatsApp wraps the app; Instagram Login names the fields alone.
    let id = |of: &Value| {
        let wrapped = of.pointer("/whatsapp_business_api_data/id").and_then(Value::as_str);
        wrapped.or_else(|| of.get("id").and_then(Value::as_str)).map(ToOwned::to_owned)
    };
    let ours = apps.iter().find(|of| match (&app.app_id, id(of)) {
        (Some(ours), Some(id)) => *ours == id,
        _ => true,
    });
    let Some(ours) = ours else {
        let detail = "Meta does not send this channel's events to the app: subscribe it";
        return probe.fail(name, ChannelState::Degraded, detail);
    };
    if let Some(fields) = ours.get("subscribed_fields").and_then(Value::as_array) {
        // A field comes as its name, or as an object with it.
        let named = |field: &Value, name: &str| field == name || field["name"] == name;
        let lacks = |name: &&&str| !fields.iter().any(|field| named(field, name));
        let missing: Vec<&str> = FIELDS_NEEDED.iter().filter(lacks).copied().collect();
        if !missing.is_empty() {
            let detail = format!("Meta does not send {} to the app: subscribe again", missing.join(", "));
            return probe.fail(name, ChannelState::Degraded, detail);
        }
    }
    probe.pass(name, "Meta sends the channel's events to the app");
}

/// Meta: Graph API, "App subscriptions": `{data: [{object, callback_url, active, fields}]}`.
fn judge_webhook(found: &Value, channel: &Channel, app: &MetaApp, probe: &mut Probe) {
    let Some(webhooks) = found.get("data").and_then(Value::as_array) else { return };
    let product = match channel.kind() {
        ChannelKind::Whatsapp => "whatsapp_business_account",
        ChannelKind::Messenger => "page",
        ChannelKind::Instagram => "instagram",
    };
    let (name, path) = ("webhook", format!("/webhooks/meta/{}", app.id));
    let ours = webhooks.iter().find(|webhook| webhook["object"] == product);
    let address = ours.and_then(|webhook| text(webhook, "callback_url"));
    let active = ours.is_some_and(|webhook| webhook["active"] != false);
    match address {
        Some(address) if active && address.ends_with(&path) => {
            probe.pass(name, "Meta sends this product's webhooks here");
        }
        Some(_) if active => {
            let detail =
                format!("Meta sends this product's webhooks elsewhere: its address must end in {path}");
            probe.fail(name, ChannelState::Degraded, detail);
        }
        _ => {
            let detail = format!(
                "Meta has no webhook for this product: enter this server's address with {path} in the app's dashboard"
            );
            probe.fail(name, ChannelState::Degraded, detail);
        }
    }
}

fn text(object: &Value, name: &str) -> Option<String> {
    match object.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What was found so far.
#[derive(Default)]
struct Probe {
    report: ProbeReport,
    /// The worst state that something calls for.
    worst: Option<ChannelState>,
    /// Whether Meta could not be asked about something.
    unasked: bool,
    /// The token by which the app asks for itself, once it is known to be right.
    app_token: Option<String>,
}

impl Probe {
    fn pass(&mut self, name: &'static str, detail: impl Into<String>) {
        self.report.checks.push(Check { name, ok: true, detail: detail.into() });
    }

    fn fail(&mut self, name: &'static str, state: ChannelState, detail: impl Into<String>) {
        let weight = |state| match state {
            ChannelState::Connecting | ChannelState::Live => 0,
            ChannelState::Degraded => 1,
            ChannelState::Blocked => 2,
            ChannelState::Expired => 3,
        };
        if self.worst.is_none_or(|worst| weight(state) > weight(worst)) {
            self.worst = Some(state);
        }
        self.report.checks.push(Check { name, ok: false, detail: detail.into() });
    }

    /// A question that was not answered: the channel is `state` for it, unless it is the token, or
    /// Meta's own trouble.
    fn error(&mut self, name: &'static str, error: &SendError, state: ChannelState) {
        let problem = error.problem();
        let detail = problem.title.clone();
        match (error, problem.class) {
            (SendError::Permanent { .. }, ProblemClass::Auth) if !is_permission(problem.code) => {
                self.fail(name, ChannelState::Expired, detail);
            }
            (SendError::Permanent { .. }, _) => self.fail(name, state, detail),
            _ => {
                self.unasked = true;
                self.report.checks.push(Check { name, ok: false, detail });
            }
        }
    }

    fn taken<T>(&mut self, name: &'static str, value: Result<T, SendError>) -> Option<T> {
        value.map_err(|error| self.error(name, &error, ChannelState::Degraded)).ok()
    }

    fn asked(&mut self, name: &'static str, found: Result<Value, SendError>) -> Option<Value> {
        found.map_err(|error| self.error(name, &error, ChannelState::Blocked)).ok()
    }

    fn finish(mut self) -> ProbeReport {
        self.report.state = match self.worst {
            Some(worst) => Some(worst),
            None if self.unasked => None,
            None => Some(ChannelState::Live),
        };
        self.report
    }
}
