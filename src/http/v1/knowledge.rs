//! Knowledge: the documents that the assistant may look things up in.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_actors::knowledge::DOCUMENT_TYPES;
use iassistance_domain::id::{DocumentId, TenantId};
use iassistance_domain::knowledge::{Document, DocumentState};

use super::input;
use super::input::Query;
use super::page::{Page, PageQuery};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State, body};

/// A document must have arrived whole this long after its head, milliseconds: it may be large.
const UPLOAD_MS: u64 = 120_000;
/// The longest text that is looked for, characters.
const QUERY_CHARS_MAX: usize = 500;

/// Which document.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InDocument {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The document.
    #[param(value_type = String, example = "doc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    document: DocumentId,
}

/// What a document is called.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NewDocument {
    /// What people call it; answers name it so. 1 to 120 characters.
    #[param(required = true, example = "Returns and refunds", min_length = 1, max_length = 120)]
    title: Option<String>,
}

/// What is looked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// In the words of who asks; 1 to 500 characters.
    #[param(required = true, example = "how long can I return shoes", min_length = 1, max_length = 500)]
    q: Option<String>,
    /// How many passages at most.
    #[param(minimum = 1, maximum = 20)]
    limit: Option<usize>,
}

/// A passage that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = Found)]
pub struct FoundView {
    /// The document.
    #[schema(value_type = String)]
    document: DocumentId,
    /// Its title.
    title: String,
    /// The passage's place in it, from 0.
    place: u32,
    /// What it says.
    text: String,
    /// How well it fits: only to be compared with the others of this answer.
    score: f32,
}

/// What was found, the best first.
#[derive(Serialize, ToSchema)]
#[schema(as = KnowledgeSearch)]
pub struct SearchView {
    /// The passages.
    items: Vec<FoundView>,
}

/// How far a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentFilter {
    /// It is being read.
    Indexing,
    /// It can be found.
    Ready,
    /// It could not be read.
    Failed,
}

impl DocumentFilter {
    const fn is(self, state: &DocumentState) -> bool {
        matches!(
            (self, state),
            (Self::Indexing, DocumentState::Indexing)
                | (Self::Ready, DocumentState::Ready { .. })
                | (Self::Failed, DocumentState::Failed { .. })
        )
    }
}

/// Which documents.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DocumentsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that are so far.
    #[param(inline)]
    state: Option<DocumentFilter>,
}

/// The documents, oldest first
#[utoipa::path(get, path = "/tenants/{tenant}/knowledge", tag = "knowledge", operation_id = "list_knowledge",
    params(InTenant, DocumentsQuery), responses((status = 200, body = Page<Document>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadKnowledge>,
    path: web::Path<InTenant>,
    query: Query<DocumentsQuery>,
) -> Result<web::Json<Page<Document>>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let mut documents = store.documents().await?;
    documents.retain(|document| query.state.is_none_or(|wanted| wanted.is(&document.state)));
    Ok(web::Json(Page::of_all(query.cursor.as_deref(), query.limit, documents, |document| document.id)?))
}

/// One document
#[utoipa::path(get, path = "/tenants/{tenant}/knowledge/{document}", tag = "knowledge",
    operation_id = "show_knowledge", params(InDocument),
    responses((status = 200, body = Document), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadKnowledge>,
    path: web::Path<InDocument>,
) -> Result<web::Json<Document>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    Ok(web::Json(store.document(path.document).await?.ok_or_else(Problem::not_found)?))
}

/// A part of a document, as it is looked up.
#[derive(Serialize, ToSchema)]
#[schema(as = Passage)]
pub struct PassageView {
    /// Its place in the document, from 0.
    place: u32,
    /// What it says.
    text: String,
    /// Whether it is found by its meaning too, and not by its words alone.
    by_meaning: bool,
}

/// What a document was cut into, in its order
#[utoipa::path(get, path = "/tenants/{tenant}/knowledge/{document}/passages", tag = "knowledge",
    operation_id = "list_passages", params(InDocument, PageQuery),
    responses((status = 200, body = Page<PassageView>), Problems))]
pub async fn passages(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadKnowledge>,
    path: web::Path<InDocument>,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<PassageView>>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    store.document(path.document).await?.ok_or_else(Problem::not_found)?;
    let mut passages = store.passages().await?;
    passages.retain(|passage| passage.document == path.document);
    let page = query.of_all(passages, |passage| passage.place)?;
    Ok(web::Json(page.map(|passage| PassageView {
        place: passage.place,
        by_meaning: !passage.embedding.is_empty(),
        text: passage.text,
    })))
}

/// Add a document
///
/// The body is the document itself, with its type in `Content-Type`: `text/plain`, `text/markdown`,
/// `text/html` or `application/pdf`. It is read beside everything else; `knowledge.changed` tells when
/// it can be found, or why it cannot.
#[utoipa::path(post, path = "/tenants/{tenant}/knowledge", tag = "knowledge", operation_id = "add_knowledge",
    params(InTenant, NewDocument),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Document), Problems))]
pub async fn add(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    query: Query<NewDocument>,
    once: Once,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let title = input::name("title", query.title.as_deref().unwrap_or_default())?;
    let mime = mime(&request)?;
    let bytes_max = state.app.settings.knowledge.document_bytes_max;
    let clock = state.clock();
    let (bytes, _held) = body::read(&request, payload, &state.bodies, bytes_max, UPLOAD_MS, &**clock).await?;
    if bytes.is_empty() {
        return Err(Problem::bad_request("the body is empty: send the document itself"));
    }
    // A hash stands for the document: it is large, and is not copied for the sake of a comparison.
    let hash = state.app.keyring.hash_secret("document", &bytes);
    let about = [title.as_bytes(), &[0], mime.as_bytes(), &[0], &hash].concat();
    once.run(&state, &about, async {
        allowed.record(allowed.entry("knowledge.added")).await?;
        let document = state.app.engine.add_document(ctx, &title, &mime, bytes).await?;
        tracing::info!(tenant = %ctx.tenant(), document = %document.id, "a document was added");
        let location = format!("/v1/tenants/{}/knowledge/{}", ctx.tenant(), document.id);
        Created::at(location, &document)
    })
    .await
}

/// Read a document again
///
/// After its reading failed, or when another model says where texts point by their meaning.
#[utoipa::path(post, path = "/tenants/{tenant}/knowledge/{document}/reindex", tag = "knowledge",
    operation_id = "reindex_knowledge", params(InDocument),
    responses((status = 200, body = Document), Problems))]
pub async fn reindex(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InDocument>,
) -> Result<web::Json<Document>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    allowed.record(allowed.entry("knowledge.reindexed").on(&path.document)).await?;
    Ok(web::Json(state.app.engine.reindex_document(ctx, path.document).await?))
}

/// Remove a document, and everything that was made of it
///
/// No answer is made of it any more.
#[utoipa::path(delete, path = "/tenants/{tenant}/knowledge/{document}", tag = "knowledge",
    operation_id = "remove_knowledge", params(InDocument),
    responses((status = 204, description = "It is gone"), Problems))]
pub async fn remove(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InDocument>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    allowed.record(allowed.entry("knowledge.removed").on(&path.document)).await?;
    if !state.app.engine.remove_document(ctx, path.document).await? {
        return Err(Problem::not_found());
    }
    tracing::info!(tenant = %ctx.tenant(), document = %path.document, "a document was removed");
    Ok(HttpResponse::NoContent().finish())
}

/// Look something up, as the assistant would
#[utoipa::path(get, path = "/tenants/{tenant}/knowledge/search", tag = "knowledge",
    operation_id = "search_knowledge", params(InTenant, SearchQuery),
    responses((status = 200, body = SearchView), Problems))]
pub async fn search(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadKnowledge>,
    path: web::Path<InTenant>,
    query: Query<SearchQuery>,
) -> Result<web::Json<SearchView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let text = query.q.as_deref().unwrap_or_default().trim();
    if !(1..=QUERY_CHARS_MAX).contains(&text.chars().count()) {
        return Err(Problem::invalid("`q` must have 1 to 500 characters"));
    }
    let found_max = state.app.settings.knowledge.found_max;
    let limit @ 1..=20 = query.limit.unwrap_or(found_max) else {
        return Err(Problem::invalid("`limit` must be 1 to 20"));
    };
    let found = state.app.engine.search_knowledge(ctx, text, limit).await?;
    let items = found.into_iter().map(|found| FoundView {
        document: found.passage.document,
        title: found.title,
        place: found.passage.place,
        text: found.passage.text.clone(),
        score: found.score,
    });
    Ok(web::Json(SearchView { items: items.collect() }))
}

/// The type of the body, without its parameters.
fn mime(request: &HttpRequest) -> Result<String, Problem> {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if DOCUMENT_TYPES.contains(&essence.as_str()) {
        Ok(essence)
    } else {
        Err(Problem::unsupported_type(
            "say what it is in `Content-Type`: text/plain, text/markdown, text/html or application/pdf are read",
        ))
    }
}
