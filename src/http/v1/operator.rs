//! What an operator does in a conversation: take over, reply, hand back, assign, note.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use iassistance_actors::conversation::Done;
use iassistance_domain::Pii;
use iassistance_domain::account::MemberOf;
use iassistance_domain::content::Content;
use iassistance_domain::id::{AccountId, MessageId};
use iassistance_domain::pii::TenantView;
use iassistance_domain::tenant::TenantCtx;

use super::conversations::InConversation;
use super::input::{self, Body, Given};
use super::view::{ControlView, Problems};
use crate::http::auth::{Allowed, Principal, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};

/// The longest text that is taken, in characters. One that is longer than its channel carries in a
/// message leaves in several.
const TEXT_CHARS_MAX: usize = 4_096;

/// Who takes over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeOver {
    /// Who; it stands in the log. 1 to 120 characters. For programs: who signed in acts by their own name.
    #[schema(example = "Ada")]
    operator: Option<String>,
}

/// A reply by a person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "operator": "Ada", "text": "Your parcel leaves today." }))]
pub struct NewReply {
    /// Who; it stands in the log. 1 to 120 characters. For programs: who signed in acts by their own name.
    #[schema(example = "Ada")]
    operator: Option<String>,
    /// A plain text of 1 to 4,096 characters. Give this or `content`.
    #[schema(example = "Your parcel leaves today.")]
    text: Option<String>,
    /// Any other form: media, buttons, a list, a template, a reaction. A channel that cannot carry it
    /// refuses it and says why, or carries it in another form.
    content: Option<Content>,
    /// The message that it answers. A reaction needs it; a public comment is answered in private by it.
    #[schema(value_type = Option<String>)]
    reply_to: Option<MessageId>,
}

/// Whom a conversation is given to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "account": "acc_0199a8a2c4007b3e8f5d6c1b2a390817" }))]
pub struct Assign {
    /// Who, by a name; 1 to 120 characters. `null` for nobody. This or `account` must be said: a field that
    /// was forgotten takes nobody's work away.
    #[schema(value_type = Option<String>, example = "Ada")]
    #[serde(default)]
    operator: Given<String>,
    /// Who, by the account of one of the tenant's people. Who sees what is assigned to them alone sees what is
    /// assigned so.
    #[schema(value_type = Option<String>, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    account: Option<AccountId>,
}

/// A note for the other people.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// Who; it stands in the log. 1 to 120 characters. For programs: who signed in acts by their own name.
    #[schema(example = "Ada")]
    operator: Option<String>,
    /// What; 1 to 4,096 characters. The contact and the model never see it.
    #[schema(example = "Called her: she wants the blue one.")]
    text: String,
}

/// How the conversation stands now.
#[derive(Serialize, ToSchema)]
pub struct DoneView {
    /// Who answers.
    control: ControlView,
    /// Counts what ended the validity of earlier words.
    epoch: u64,
    /// The message that was committed, if one was.
    #[schema(value_type = Option<String>)]
    message: Option<MessageId>,
}

impl From<Done> for DoneView {
    fn from(done: Done) -> Self {
        Self { control: (&done.control).into(), epoch: done.epoch.0, message: done.message }
    }
}

fn content(text: Option<String>, content: Option<Content>) -> Result<Content, Problem> {
    match (text, content) {
        (Some(text), None) => plain(text),
        (None, Some(Content::Note { .. })) => {
            Err(Problem::invalid("a note is no reply: write it to `…/notes`"))
        }
        (None, Some(content)) => Ok(content),
        _ => Err(Problem::invalid("give either `text` or `content`")),
    }
}

fn plain(text: String) -> Result<Content, Problem> {
    if text.trim().is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return Err(Problem::invalid("`text` must have 1 to 4,096 characters, not all of them blank"));
    }
    Ok(Content::text(text))
}

/// The conversation must be there, and theirs to see: what is put on the record is done after that.
async fn must_see(
    state: &State,
    allowed: &Allowed<acts::Send>,
    path: &InConversation,
) -> Result<(), Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let found = store.conversation(path.conversation).await?;
    let seen = found.is_some_and(|(conversation, _)| allowed.access().sees(&conversation));
    if seen { Ok(()) } else { Err(Problem::not_found()) }
}

/// Puts on the record what is about to be done in a conversation.
async fn record(allowed: &Allowed<acts::Send>, act: &str, path: &InConversation) -> Result<(), Problem> {
    allowed.record(allowed.entry(act).on(&path.conversation)).await
}

/// One of the tenant's people, as a conversation is assigned to them.
async fn member(state: &State, ctx: TenantCtx, id: AccountId) -> Result<String, Problem> {
    let found = state.app.store.people().member(MemberOf::Tenant(ctx.tenant()), id).await?;
    let account = found.ok_or_else(|| Problem::invalid("`account`: one of the tenant's people"))?;
    Ok(account.id.to_string())
}

/// By which name somebody acts in a conversation that they see. Nobody who signed in acts by another's.
async fn acting(
    state: &State,
    allowed: &Allowed<acts::Send>,
    path: &InConversation,
    said: Option<&str>,
) -> Result<String, Problem> {
    must_see(state, allowed, path).await?;
    match (allowed.principal(), said) {
        (Principal::Person(person), said) => {
            let own = person.account.name.reveal(TenantView).clone();
            match said {
                Some(other) if other.trim() != own => {
                    Err(Problem::invalid("`operator`: you act by your own name: leave it out"))
                }
                _ => Ok(own),
            }
        }
        (Principal::Key(_), Some(said)) => input::name("operator", said),
        (Principal::Key(_), None) => Err(Problem::invalid("`operator`: say who acts")),
    }
}

/// Take control of a conversation
///
/// When this is answered, no word of the assistant leaves any more.
#[utoipa::path(post, path = "/tenants/{tenant}/conversations/{conversation}/takeover", tag = "operators",
    operation_id = "take_over", params(InConversation), request_body = TakeOver,
    responses((status = 200, body = DoneView), Problems))]
pub async fn take_over(
    state: web::Data<State>,
    allowed: Allowed<acts::Send>,
    path: web::Path<InConversation>,
    body: Body<TakeOver>,
) -> Result<web::Json<DoneView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let operator = acting(&state, &allowed, &path, body.value.operator.as_deref()).await?;
    record(&allowed, "conversation.taken_over", &path).await?;
    Ok(web::Json(state.app.engine.take_over(ctx, path.conversation, operator).await?.into()))
}

/// Give control back to the assistant
#[utoipa::path(post, path = "/tenants/{tenant}/conversations/{conversation}/handback", tag = "operators",
    operation_id = "hand_back", params(InConversation),
    responses((status = 200, body = DoneView), Problems))]
pub async fn hand_back(
    state: web::Data<State>,
    allowed: Allowed<acts::Send>,
    path: web::Path<InConversation>,
) -> Result<web::Json<DoneView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    must_see(&state, &allowed, &path).await?;
    record(&allowed, "conversation.handed_back", &path).await?;
    Ok(web::Json(state.app.engine.hand_back(ctx, path.conversation).await?.into()))
}

/// Reply as a person
///
/// The message is committed to be sent when this is answered. It does not take control.
#[utoipa::path(post, path = "/tenants/{tenant}/conversations/{conversation}/messages", tag = "operators",
    operation_id = "reply", params(InConversation), request_body = NewReply,
    responses((status = 201, body = DoneView), Problems))]
pub async fn reply(
    state: web::Data<State>,
    allowed: Allowed<acts::Send>,
    path: web::Path<InConversation>,
    once: Once,
    body: Body<NewReply>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let Body { value, raw } = body;
    let NewReply { operator, text, content: form, reply_to } = value;
    let operator = acting(&state, &allowed, &path, operator.as_deref()).await?;
    let content = content(text, form)?;
    once.run(&state, &raw, async {
        record(&allowed, "message.sent", &path).await?;
        let done = state.app.engine.reply(ctx, path.conversation, operator, content, reply_to).await?;
        Created::at(None, &DoneView::from(done))
    })
    .await
}

/// Give a conversation to one of the people
///
/// Or to nobody. It says who is to look after it; who answers stays as it is.
#[utoipa::path(post, path = "/tenants/{tenant}/conversations/{conversation}/assign", tag = "operators",
    operation_id = "assign", params(InConversation), request_body = Assign,
    responses((status = 200, body = DoneView), Problems))]
pub async fn assign(
    state: web::Data<State>,
    allowed: Allowed<acts::Send>,
    path: web::Path<InConversation>,
    body: Body<Assign>,
) -> Result<web::Json<DoneView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    must_see(&state, &allowed, &path).await?;
    let Assign { operator, account } = body.value;
    // A name is somebody's words; an account is none.
    let to = account.map_or_else(|| "by name".to_owned(), |account| account.to_string());
    let operator = match (operator, account) {
        (Given::Value(name), None) => Some(input::name("operator", &name)?),
        (Given::Null, None) => None,
        (Given::Absent, Some(account)) => Some(member(&state, ctx, account).await?),
        _ => {
            let rule =
                "give `operator`: a name, or null for nobody; or else `account`: one of the tenant's people";
            return Err(Problem::invalid(rule));
        }
    };
    let to = if operator.is_none() { "nobody".to_owned() } else { to };
    let entry = allowed.entry("conversation.assigned").on(&path.conversation).with("to", &to);
    allowed.record(entry).await?;
    Ok(web::Json(state.app.engine.assign(ctx, path.conversation, operator).await?.into()))
}

/// Write a note
///
/// It stands among the messages, for people alone.
#[utoipa::path(post, path = "/tenants/{tenant}/conversations/{conversation}/notes", tag = "operators",
    operation_id = "add_note", params(InConversation), request_body = NewNote,
    responses((status = 201, body = DoneView), Problems))]
pub async fn note(
    state: web::Data<State>,
    allowed: Allowed<acts::Send>,
    path: web::Path<InConversation>,
    once: Once,
    body: Body<NewNote>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let Body { value: NewNote { operator, text }, raw } = body;
    let operator = acting(&state, &allowed, &path, operator.as_deref()).await?;
    once.run(&state, &raw, async {
        record(&allowed, "note.added", &path).await?;
        let done = state.app.engine.note(ctx, path.conversation, operator, Pii::new(text)).await?;
        Created::at(None, &DoneView::from(done))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_says_something_and_fits_the_channel() {
        assert!(content(Some("ok".to_owned()), None).is_ok());
        assert!(content(Some("é".repeat(4_096)), None).is_ok());
        assert!(content(None, Some(Content::Heart)).is_ok());
        for wrong in ["", " \n", &"é".repeat(4_097)] {
            assert!(content(Some(wrong.to_owned()), None).is_err());
        }
        assert!(content(None, None).is_err());
        assert!(content(Some("ok".to_owned()), Some(Content::Heart)).is_err());
    }
}
