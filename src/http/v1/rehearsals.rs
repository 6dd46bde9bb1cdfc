//! Rehearsals: what the assistant would say, without a channel and without changing anything.

use actix_web::web;
use serde::Deserialize;
use utoipa::ToSchema;

use iassistance_domain::assistant::AssistantSettings;
use iassistance_domain::id::TurnId;
use iassistance_domain::message::Author;
use iassistance_domain::tenant::TenantCtx;

use super::input::{self, Body};
use super::settings_form::NewAssistant;
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};
use crate::replay::{self, Said};

/// How many messages may be said before a question.
const HISTORY_MAX: usize = 50;
const TEXT_CHARS_MAX: usize = 4_000;

/// By which settings the assistant answers: those that count, if nothing is said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "model": "gpt-5-mini" }))]
pub struct By {
    /// Those of the draft.
    #[serde(default)]
    draft: bool,
    /// These. Secrets that are left out are those of the settings that count.
    settings: Option<Box<NewAssistant>>,
    /// Another model than theirs. At most 120 characters.
    model: Option<String>,
}

/// Who said something.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The end user.
    Contact,
    /// The assistant.
    Assistant,
    /// A person of the business.
    Operator,
}

/// What was said before.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// By whom.
    by: Speaker,
    /// What; 1 to 4,000 characters.
    text: String,
}

/// A question to the assistant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRehearsal {
    /// What the contact asks; 1 to 4,000 characters.
    #[schema(example = "Can I return shoes that I wore once?")]
    question: String,
    /// What was said before, oldest first; at most 50 messages.
    #[serde(default)]
    history: Vec<Line>,
    /// By which settings.
    #[serde(default)]
    by: By,
}

impl By {
    /// The settings that are meant.
    pub async fn settings(self, state: &State, ctx: TenantCtx) -> Result<AssistantSettings, Problem> {
        let mut settings = match (self.draft, self.settings) {
            (true, Some(_)) => return Err(Problem::invalid("give `draft` or `settings`, not both")),
            (true, None) => {
                let draft = state.app.engine.assistant_draft(ctx).await?;
                draft.ok_or_else(|| Problem::not_found().detail("there is no draft"))?.settings
            }
            (false, Some(settings)) => {
                let former = state.app.engine.assistant(ctx).await?;
                settings.over(&former.settings, &state.app.egress)?
            }
            (false, None) => state.app.engine.assistant(ctx).await?.settings.clone(),
        };
        if let Some(model) = self.model {
            settings.model = Some(input::name("by.model", &model)?);
        }
        Ok(settings)
    }
}

/// A text that somebody says.
pub fn text(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(Problem::invalid(format!("`{field}` must have 1 to 4,000 characters")))
    }
}

/// Ask the assistant without a channel
///
/// It answers as it would a contact: with its tools and its knowledge, at its cost. Tools that change
/// something are not called; they get an answer that stands in for theirs. Nothing is sent and nothing
/// is kept but what it costs.
#[utoipa::path(post, path = "/tenants/{tenant}/rehearsals", tag = "assistant", operation_id = "rehearse",
    params(InTenant), request_body = NewRehearsal, responses((status = 200, body = Said), Problems))]
pub async fn rehearse(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    body: Body<NewRehearsal>,
) -> Result<web::Json<Said>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let NewRehearsal { question, history, by } = body.value;
    let question = text("question", &question)?;
    if history.len() > HISTORY_MAX {
        return Err(Problem::invalid("`history` must have at most 50 messages"));
    }
    let engine = &state.app.engine;
    let turn = TurnId::new(state.clock().now(), &**engine.entropy());
    let history = history.into_iter().map(|line| {
        let author = match line.by {
            Speaker::Contact => Author::Contact,
            Speaker::Assistant => Author::Assistant { turn },
            Speaker::Operator => Author::Operator { name: "a person".to_owned() },
        };
        Ok((author, text("history.text", &line.text)?))
    });
    let history = history.collect::<Result<Vec<_>, Problem>>()?;
    let settings = by.settings(&state, ctx).await?;
    Ok(web::Json(replay::ask(engine, ctx, &settings, history, &question).await?))
}
