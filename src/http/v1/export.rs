//! Bulk export: everything of a kind that a tenant has, a line of JSON for each, to be taken up again where it broke
//! off.

use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;
use std::str::FromStr;

use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::event::EventSeq;
use iassistance_domain::id::{ConversationId, DeadLetterId, MessageId, TenantId, TurnId};
use iassistance_domain::permission::Act;
use iassistance_domain::tenant::TenantCtx;

use super::contacts::ContactView;
use super::conversations;
use super::dead_letters::DeadLetterView;
use super::input::Query;
use super::turn_view::TurnView;
use super::view::{MessageView, Problems};
use crate::http::auth::{Access, Allowed, Credential, Place, Principal, acts};
use crate::http::{Problem, State, access, mask};

/// Exports that run at once; a further one is told to come again.
pub const EXPORTS_MAX: usize = 4;
/// Records that are read at once: so much of an export is in memory.
const PAGE: usize = 200;
const BUSY_RETRY_S: u32 = 30;

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExportKind {
    /// Conversations, newest first.
    Conversations,
    /// Messages: conversation by conversation, newest first.
    Messages,
    /// Turns: conversation by conversation, newest first.
    Turns,
    /// The log, oldest first.
    Events,
    /// Contacts, the newest conversations first.
    Contacts,
    /// Dead letters, newest first.
    DeadLetters,
}

impl ExportKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::Messages => "messages",
            Self::Turns => "turns",
            Self::Events => "events",
            Self::Contacts => "contacts",
            Self::DeadLetters => "dead-letters",
        }
    }
}

/// What of which tenant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InExport {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// What is exported.
    #[param(inline)]
    kind: ExportKind,
}

/// From where on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// `cursor` of the last line that arrived; nothing for the beginning.
    cursor: Option<String>,
}

/// A line of an export.
#[derive(Serialize, ToSchema)]
pub struct ExportLine {
    /// To go on after this line, should it be the last that arrives.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// What is exported, as its route shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    item: Option<Value>,
    /// `true` in the last line alone: everything arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<bool>,
    /// In the last line: how many items there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<u64>,
}

/// Export everything of a kind
///
/// Lines of JSON, each `{"cursor": …, "item": …}`; the last is `{"end": true, "items": …}`, and without it the
/// export broke off: ask again with the last `cursor`. Records are read while they are sent, so that what is created
/// meanwhile may be missing. Packed by gzip for who says `Accept-Encoding: gzip`. It ends when the right to it does.
#[utoipa::path(get, path = "/tenants/{tenant}/export/{kind}", tag = "export", operation_id = "export",
    params(InExport, ExportQuery),
    responses((status = 200, body = ExportLine, content_type = "application/x-ndjson"), Problems))]
pub async fn export(
    state: web::Data<State>,
    request: HttpRequest,
    allowed: Allowed<acts::ExportContent>,
    path: web::Path<InExport>,
    query: Query<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    let InExport { tenant, kind } = path.into_inner();
    let ctx = allowed.ctx(tenant)?;
    allowed.access().must_see_all()?;
    let begins = Next::parse(kind, query.cursor.as_deref())?;
    let running = state.exports.clone().try_acquire_owned();
    let running = running
        .map_err(|_| Problem::unavailable(BUSY_RETRY_S, "as many exports as may run at once are running"))?;
    let entry = allowed.entry("content.exported").with("kind", &kind.name());
    allowed.record(entry.with("resumed", &query.cursor.is_some())).await?;
    let packed = accepts_gzip(request.headers());
    let export = Export {
        state: state.get_ref().clone(),
        ctx,
        access: allowed.access().clone(),
        credential: allowed.principal().credential(),
        from: state.door.ip(&request),
        next: Some(begins),
        told: 0,
        pack: packed.then(|| GzEncoder::new(Vec::new(), Compression::fast())),
        _running: running,
    };
    let parts = stream::try_unfold(export, |mut export| async move {
        let part = export.part().await.map_err(|problem| {
            tracing::warn!(%problem, tenant = %export.ctx.tenant(), "an export broke off");
            std::io::Error::other(problem.to_string())
        })?;
        Ok::<_, std::io::Error>(part.map(|part| (part, export)))
    });
    let mut answer = HttpResponse::Ok();
    let name = format!("attachment; filename=\"{}.ndjson\"", kind.name());
    answer
        .insert_header((CONTENT_TYPE, "application/x-ndjson"))
        .insert_header((CONTENT_DISPOSITION, name))
        .insert_header((VARY, "Accept-Encoding"));
    if packed {
        answer.insert_header((CONTENT_ENCODING, "gzip"));
    }
    Ok(answer.streaming(parts))
}

/// Whether the asker takes gzip.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let said = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    let takes = |part: &str| {
        let mut words = part.split(';').map(str::trim);
        let named = words.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = |word: &str| word.strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0_f32);
        named && !words.any(refused)
    };
    said.flat_map(|line| line.split(',')).any(takes)
}

/// What is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Conversations(Option<ConversationId>),
    Contacts(Option<ConversationId>),
    DeadLetters(Option<DeadLetterId>),
    Events(EventSeq),
    Messages(Within<MessageId>),
    Turns(Within<TurnId>),
}

/// A place in what conversations have, conversation by conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Within<I> {
    /// The conversation that is read; none before the first.
    conversation: Option<ConversationId>,
    /// What was read of it last; nothing when it is over or not begun.
    before: Option<I>,
}

impl<I: FromStr> Within<I> {
    fn parse(cursor: Option<&str>) -> Result<Self, Problem> {
        let Some(text) = cursor else { return Ok(Self { conversation: None, before: None }) };
        let (conversation, before) = text.split_once('.').ok_or_else(bad_cursor)?;
        Ok(Self { conversation: Some(read(conversation)?), before: Some(read(before)?) })
    }
}

fn bad_cursor() -> Problem {
    Problem::invalid("`cursor` must be that of the last line that arrived, as it was")
}

fn read<C: FromStr>(text: &str) -> Result<C, Problem> {
    text.parse().map_err(|_| bad_cursor())
}

impl Next {
    fn parse(kind: ExportKind, cursor: Option<&str>) -> Result<Self, Problem> {
        Ok(match kind {
            ExportKind::Conversations => Self::Conversations(cursor.map(read).transpose()?),
            ExportKind::Contacts => Self::Contacts(cursor.map(read).transpose()?),
            ExportKind::DeadLetters => Self::DeadLetters(cursor.map(read).transpose()?),
            ExportKind::Events => Self::Events(EventSeq(cursor.map(read).transpose()?.unwrap_or(0))),
            ExportKind::Messages => Self::Messages(Within::parse(cursor)?),
            ExportKind::Turns => Self::Turns(Within::parse(cursor)?),
        })
    }
}

/// An export under way.
struct Export {
    state: State,
    ctx: TenantCtx,
    access: Access,
    credential: Credential,
    from: Option<IpAddr>,
    /// Nothing when everything was told.
    next: Option<Next>,
    told: u64,
    pack: Option<GzEncoder<Vec<u8>>>,
    _running: OwnedSemaphorePermit,
}

/// Lines, and where to go on after them.
type Read = (Vec<ExportLine>, Option<Next>);

impl Export {
    /// The next bytes; nothing after the last. What is read next is settled before it is sent, so that memory
    /// holds a page at most.
    async fn part(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let Some(next) = self.next else { return Ok(None) };
            self.still_may().await?;
            let (mut lines, next) = self.read(next).await?;
            self.told += lines.len() as u64;
            self.next = next;
            if next.is_none() {
                let (end, items) = (Some(true), Some(self.told));
                lines.push(ExportLine { cursor: None, item: None, end, items });
            }
            let mut text = Vec::new();
            for line in &lines {
                serde_json::to_writer(&mut text, line).map_err(|error| failed(&error))?;
                text.push(b'\n');
            }
            let bytes = self.packed(text)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// Whoever asked may have lost the right since.
    async fn still_may(&self) -> Result<(), Problem> {
        let principal = Principal::again(&self.state, self.credential, self.from).await?;
        let place = Place::Tenant(self.ctx.tenant());
        let may = access::may(&self.state, &principal, Act::ExportContent, place).await?;
        if may { Ok(()) } else { Err(Problem::forbidden("the right to export was taken back meanwhile")) }
    }

    fn packed(&mut self, text: Vec<u8>) -> Result<Bytes, Problem> {
        let Some(pack) = &mut self.pack else { return Ok(Bytes::from(text)) };
        let written = pack.write_all(&text).and_then(|()| pack.flush());
        written.map_err(|error| failed(&error))?;
        if self.next.is_none() {
            pack.try_finish().map_err(|error| failed(&error))?;
        }
        Ok(Bytes::from(std::mem::take(pack.get_mut())))
    }

    fn line<T: Serialize>(&self, cursor: impl Display, item: &T) -> Result<ExportLine, Problem> {
        let item = if self.access.is_masked() {
            mask::value(item)?
        } else {
            serde_json::to_value(item).map_err(|error| failed(&error))?
        };
        Ok(ExportLine { cursor: Some(cursor.to_string()), item: Some(item), end: None, items: None })
    }

    async fn read(&self, next: Next) -> Result<Read, Problem> {
        let store = self.state.app.store.tenant(self.ctx).await?;
        let mut lines = Vec::new();
        let next = match next {
            Next::Conversations(before) => {
                let found = store.conversations(before, PAGE).await?;
                for conversation in &found {
                    let view = conversations::view(&self.state, &*store, conversation).await?;
                    lines.push(self.line(conversation.id, &view)?);
                }
                last(&found, |it| it.id).map(|id| Next::Conversations(Some(id)))
            }
            Next::Contacts(before) => {
                let found = store.conversations(before, PAGE).await?;
                for conversation in &found {
                    if let Some(contact) = store.contact(conversation.contact).await? {
                        lines.push(self.line(conversation.id, &ContactView::from(contact))?);
                    }
                }
                last(&found, |it| it.id).map(|id| Next::Contacts(Some(id)))
            }
            Next::DeadLetters(before) => {
                let found = store.dead_letters(before, PAGE).await?;
                let next = last(&found, |it| it.id).map(|id| Next::DeadLetters(Some(id)));
                for letter in found {
                    lines.push(self.line(letter.id, &DeadLetterView::from(letter))?);
                }
                next
            }
            Next::Events(after) => {
                let found = store.events(after, PAGE).await?;
                for event in &found {
                    lines.push(self.line(event.seq.0, event)?);
                }
                last(&found, |it| it.seq).map(Next::Events)
            }
            Next::Messages(place) => {
                let Some(at) = self.conversation(place).await? else { return Ok((lines, None)) };
                let found = store.messages(at, place.before, PAGE).await?;
                let next = Within { conversation: Some(at), before: last(&found, |it| it.id) };
                for message in found {
                    let cursor = format!("{at}.{}", message.id);
                    lines.push(self.line(cursor, &MessageView::from(message))?);
                }
                Some(Next::Messages(next))
            }
            Next::Turns(place) => {
                let Some(at) = self.conversation(place).await? else { return Ok((lines, None)) };
                let found = store.turns(at, place.before, PAGE).await?;
                let next = Within { conversation: Some(at), before: last(&found, |it| it.id) };
                for turn in found {
                    let cursor = format!("{at}.{}", turn.id);
                    lines.push(self.line(cursor, &TurnView::from(turn))?);
                }
                Some(Next::Turns(next))
            }
        };
        Ok((lines, next))
    }

    /// The conversation that is read: the same while something is left of it, else the one after it.
    async fn conversation<I>(&self, place: Within<I>) -> Result<Option<ConversationId>, Problem> {
        if place.before.is_some() {
            return Ok(place.conversation);
        }
        let store = self.state.app.store.tenant(self.ctx).await?;
        Ok(store.conversations(place.conversation, 1).await?.first().map(|it| it.id))
    }
}

/// The last of a full page: there may be more after it.
fn last<T, I>(found: &[T], id: impl Fn(&T) -> I) -> Option<I> {
    found.last().filter(|_| found.len() == PAGE).map(id)
}

fn failed(error: &dyn Display) -> Problem {
    tracing::error!(%error, "a line of an export could not be written");
    Problem::internal()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        let accepts = |value: &str| {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, value)).to_http_request();
            accepts_gzip(request.headers())
        };
        assert!(accepts("gzip") && accepts("br, GZIP;q=0.5") && accepts("deflate,gzip"));
        assert!(!accepts("") && !accepts("br") && !accepts("gzip;q=0") && !accepts("gzip; q=0.0"));
    }

    #[test]
    fn a_cursor_is_what_a_line_gave_and_nothing_else() {
        let id = ConversationId::from_bytes([7; 16]);
        let message = MessageId::from_bytes([8; 16]);
        let cursor = format!("{id}.{message}");
        let next = Next::parse(ExportKind::Messages, Some(&cursor)).ok();
        let place = Within { conversation: Some(id), before: Some(message) };
        assert_eq!(next, Some(Next::Messages(place)));
        assert_eq!(Next::parse(ExportKind::Events, Some("7")).ok(), Some(Next::Events(EventSeq(7))));
        for (kind, wrong) in [
            (ExportKind::Messages, id.to_string()),
            (ExportKind::Turns, cursor),
            (ExportKind::Events, "x".to_owned()),
            (ExportKind::Conversations, message.to_string()),
        ] {
            assert!(Next::parse(kind, Some(&wrong)).is_err(), "{wrong}");
        }
    }
}
