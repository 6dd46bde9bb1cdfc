//! What else is asked of Meta for a channel: the subscription, templates, a new token.

use iassistance_domain::channel::{Channel, ChannelKind, Connection, MessageTemplate, StoredSecret};
use iassistance_domain::delivery::ProblemClass;
use reqwest::Method;
use serde_json::Value;

use crate::send::{FreshToken, SendError, uncoded};

use super::{GraphSender, Payload, below, sending_id};

/// How many templates are asked for at once, and how many pages of them are read.
const TEMPLATES_PER_PAGE: &str = "50";
const TEMPLATE_PAGES_MAX: usize = 100;

/// What a channel cannot do without (Meta: Messenger Platform, "Webhooks"; Instagram Platform,
/// "Webhooks").
pub(super) const FIELDS_NEEDED: [&str; 2] = ["messages", "messaging_postbacks"];
/// What is subscribed to on a page, also for the Instagram account behind it.
const PAGE_FIELDS: [&str; 13] = [
    "messages",
    "messaging_postbacks",
    "message_deliveries",
    "message_reads",
    "message_echoes",
    "message_reactions",
    "message_edits",
    "messaging_referrals",
    "messaging_optins",
    "messaging_handovers",
    "messaging_policy_enforcement",
    "standby",
    "feed",
];
/// What is subscribed to on an account that is connected by Instagram Login.
const INSTAGRAM_FIELDS: [&str; 9] = [
    "messages",
    "messaging_postbacks",
    "messaging_seen",
    "message_reactions",
    "message_edit",
    "messaging_referral",
    "messaging_optins",
    "standby",
    "comments",
];

impl GraphSender {
    /// `POST /{business account, page or account id}/subscribed_apps`.
    pub(super) async fn subscribed(&self, channel: &Channel) -> Result<(), SendError> {
        let fields: &[&str] = match &channel.connection {
            Connection::CloudApi { .. } => return self.subscribe_to(channel, &[]).await,
            Connection::Page | Connection::InstagramPage { .. } => &PAGE_FIELDS,
            Connection::InstagramLogin { .. } => &INSTAGRAM_FIELDS,
        };
        match self.subscribe_to(channel, fields).await {
            // One field that the app may not have, or that this version does not know, costs all.
            Err(SendError::Permanent { problem })
                if problem.class == ProblemClass::Request || is_permission(problem.code) =>
            {
                self.subscribe_to(channel, &FIELDS_NEEDED).await
            }
            outcome => outcome,
        }
    }

    async fn subscribe_to(&self, channel: &Channel, fields: &[&str]) -> Result<(), SendError> {
        let mut url = self.url(channel, &[account_id(channel)?, "subscribed_apps"])?;
        if !fields.is_empty() {
            url.query_pairs_mut().append_pair("subscribed_fields", &fields.join(","));
        }
        let answer = self.channel_call(channel, Method::POST, url, Payload::Nothing).await;
        let accepted = answer.and_then(|answer| answer.accepted(channel.kind().into()));
        accepted.map_err(SendError::repeatable)
    }

    /// `GET /{business account id}/message_templates`, page by page.
    pub(super) async fn all_templates(&self, channel: &Channel) -> Result<Vec<MessageTemplate>, SendError> {
        if channel.kind() != ChannelKind::Whatsapp {
            let kind = channel.kind();
            return Err(SendError::refused(format!("{kind} has no templates: they are for WhatsApp")));
        }
        let mut first = self.url(channel, &[account_id(channel)?, "message_templates"])?;
        first
            .query_pairs_mut()
            .append_pair("fields", "name,language,category,status,components")
            .append_pair("limit", TEMPLATES_PER_PAGE);
        let (mut templates, mut after) = (Vec::new(), None::<String>);
        for _ in 0..TEMPLATE_PAGES_MAX {
            let mut url = first.clone();
            if let Some(after) = &after {
                url.query_pairs_mut().append_pair("after", after);
            }
            let page = self.get(channel, url).await?;
            let data = page.get("data").and_then(Value::as_array).into_iter().flatten();
            templates.extend(data.filter_map(template));
            // The address of the next page would hold the token: only its place is taken from it.
            let next = page.pointer("/paging/next").and(page.pointer("/paging/cursors/after"));
            after = next.and_then(Value::as_str).map(ToOwned::to_owned);
            if after.is_none() {
                break;
            }
        }
        Ok(templates)
    }

    /// `GET /refresh_access_token?grant_type=ig_refresh_token` (Meta: Instagram Platform, "Refresh
    /// access token").
    pub(super) async fn refreshed(&self, channel: &Channel) -> Result<FreshToken, SendError> {
        if !matches!(channel.connection, Connection::InstagramLogin { .. }) {
            return Err(SendError::refused(
                "only the token of an Instagram Login can be renewed by itself: connect the channel again",
            ));
        }
        let mut url = below(&self.settings.instagram, ["refresh_access_token"].into_iter())?;
        url.query_pairs_mut().append_pair("grant_type", "ig_refresh_token");
        let answer = self.get(channel, url).await?;
        let token = answer.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let lives_s = answer.get("expires_in").and_then(Value::as_u64);
        let (Some(token), Some(lives_s)) = (token, lives_s) else {
            let title = "Meta answered without a new token: it is asked again";
            return Err(SendError::Retryable {
                after_ms: None,
                problem: uncoded(ProblemClass::Transient, title),
            });
        };
        Ok(FreshToken { token: StoredSecret::new(token), lives_ms: lives_s.saturating_mul(1_000) })
    }
}

/// What carries a channel's subscription and templates.
pub(super) fn account_id(channel: &Channel) -> Result<&str, SendError> {
    match &channel.connection {
        Connection::CloudApi { account_id: Some(id), .. } => Ok(id),
        Connection::CloudApi { account_id: None, .. } => Err(SendError::refused(
            "the id of the WhatsApp business account is not known: enter it, as WhatsApp Manager shows it",
        )),
        _ => Ok(sending_id(channel)),
    }
}

/// Whether a code says that a permission is missing.
pub(super) const fn is_permission(code: i64) -> bool {
    matches!(code, 3 | 10 | 200..=299)
}

fn template(template: &Value) -> Option<MessageTemplate> {
    let text = |name: &str| Some(template.get(name)?.as_str()?.to_owned());
    let components = template.get("components").and_then(Value::as_array).into_iter().flatten();
    let mut bodies = components.filter(|component| {
        component.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("body"))
    });
    let body = bodies.next().and_then(|body| body.get("text")?.as_str()).unwrap_or_default().to_owned();
    Some(MessageTemplate {
        name: text("name")?,
        language: text("language")?,
        category: text("category").unwrap_or_default(),
        status: text("status").unwrap_or_default(),
        body,
    })
}
