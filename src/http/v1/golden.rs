//! Golden questions: what the assistant must get right, whatever its settings.

use actix_web::{HttpResponse, web};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::golden::{GoldenQuestion, Traits};
use iassistance_domain::id::{GoldenId, TenantId};
use iassistance_storage::TenantStore;

use super::input::{Body, Query};
use super::page::{Page, PageQuery};
use super::rehearsals::{self, By};
use super::tag::{self, IfMatch, IfNoneMatch};
use super::tenants::InTenant;
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::idempotency::{Created, Once};
use crate::http::{Problem, State};
use crate::replay::{self, Graded, Sum};

/// Questions of one run.
const RUN_MAX: usize = 50;
/// Traits of each kind, and how long each may be, in characters.
const PARTS_MAX: usize = 20;
const PART_CHARS_MAX: usize = 200;

/// Which question.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InGolden {
    /// The tenant.
    #[param(value_type = String)]
    tenant: TenantId,
    /// The question.
    #[param(value_type = String, example = "gld_0199a8a2c4007b3e8f5d6c1b2a390817")]
    golden: GoldenId,
}

/// A question with the traits that its answer must have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGolden {
    /// What is asked; 1 to 4,000 characters.
    #[schema(example = "Can I return shoes that I wore once?")]
    question: String,
    /// What the answer must have: at least one trait.
    expect: Traits,
}

/// Which questions, and by which settings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "questions": ["gld_0199a8a2c4007b3e8f5d6c1b2a390817"] }))]
pub struct Run {
    /// These, at most 50; left out, the first 50.
    #[schema(value_type = Option<Vec<String>>)]
    questions: Option<Vec<GoldenId>>,
    /// By which settings.
    #[serde(default)]
    by: By,
}

/// How a run went.
#[derive(Serialize, ToSchema)]
#[schema(as = GoldenRun)]
pub struct RunView {
    /// How many answers had every trait.
    passed: usize,
    /// How many had not.
    failed: usize,
    /// What it cost and how long it took.
    sum: Sum,
    /// Each question with its answer, oldest question first.
    items: Vec<Graded>,
}

fn check(expect: &Traits) -> Result<(), Problem> {
    let fits = |text: &String| (1..=PART_CHARS_MAX).contains(&text.chars().count());
    let parts = [&expect.contains, &expect.lacks];
    if parts.iter().any(|parts| parts.len() > PARTS_MAX || !parts.iter().all(fits)) {
        return Err(Problem::invalid(
            "`expect.contains` and `expect.lacks` must each have at most 20 texts of 1 to 200 characters",
        ));
    }
    if expect.calls.as_ref().is_some_and(|name| !(1..=64).contains(&name.len())) {
        return Err(Problem::invalid("`expect.calls` must be the name of a tool"));
    }
    if *expect == Traits::default() {
        return Err(Problem::invalid("`expect` must name at least one trait: any answer would do otherwise"));
    }
    Ok(())
}

/// The golden questions, oldest first
#[utoipa::path(get, path = "/tenants/{tenant}/golden", tag = "assistant", operation_id = "list_golden",
    params(InTenant, PageQuery), responses((status = 200, body = Page<GoldenQuestion>), Problems))]
pub async fn list(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadKnowledge>,
    path: web::Path<InTenant>,
    query: Query<PageQuery>,
) -> Result<web::Json<Page<GoldenQuestion>>, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    Ok(web::Json(query.of_all(store.golden().await?, |question| question.id)?))
}

/// Add a golden question
#[utoipa::path(post, path = "/tenants/{tenant}/golden", tag = "assistant", operation_id = "add_golden",
    params(InTenant), request_body = NewGolden,
    responses((status = 201, body = GoldenQuestion), Problems))]
pub async fn add(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    once: Once,
    body: Body<NewGolden>,
) -> Result<HttpResponse, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let Body { value: NewGolden { question, expect }, raw } = body;
    let question = rehearsals::text("question", &question)?;
    check(&expect)?;
    once.run(&state, &raw, async {
        let id = GoldenId::new(state.clock().now(), &**state.app.engine.entropy());
        let golden = GoldenQuestion { id, question, expect };
        allowed.record(allowed.entry("golden.added").on(&id)).await?;
        state.app.store.tenant(ctx).await?.put_golden(golden.clone()).await?;
        Created::at(None, &golden)
    })
    .await
}

async fn found(store: &dyn TenantStore, id: GoldenId) -> Result<GoldenQuestion, Problem> {
    store.golden().await?.into_iter().find(|question| question.id == id).ok_or_else(Problem::not_found)
}

/// One golden question
#[utoipa::path(get, path = "/tenants/{tenant}/golden/{golden}", tag = "assistant", operation_id = "show_golden",
    params(InGolden), responses((status = 200, body = GoldenQuestion), Problems))]
pub async fn show(
    state: web::Data<State>,
    allowed: Allowed<acts::ReadKnowledge>,
    path: web::Path<InGolden>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let golden = found(&*store, path.golden).await?;
    Ok(has.show(&tag::of(&state, &golden)?, &golden))
}

/// Change a golden question
#[utoipa::path(put, path = "/tenants/{tenant}/golden/{golden}", tag = "assistant",
    operation_id = "change_golden", params(InGolden), request_body = NewGolden,
    responses((status = 200, body = GoldenQuestion), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InGolden>,
    seen: IfMatch,
    body: Body<NewGolden>,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    let NewGolden { question, expect } = body.value;
    let question = rehearsals::text("question", &question)?;
    check(&expect)?;
    let _alone = state.changing.lock().await;
    seen.check(&tag::of(&state, &found(&*store, path.golden).await?)?)?;
    let golden = GoldenQuestion { id: path.golden, question, expect };
    allowed.record(allowed.entry("golden.changed").on(&golden.id)).await?;
    store.put_golden(golden.clone()).await?;
    Ok(tag::tagged(&tag::of(&state, &golden)?, &golden))
}

/// Remove a golden question
#[utoipa::path(delete, path = "/tenants/{tenant}/golden/{golden}", tag = "assistant",
    operation_id = "remove_golden", params(InGolden),
    responses((status = 204, description = "It is gone"), Problems))]
pub async fn remove(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InGolden>,
) -> Result<HttpResponse, Problem> {
    let store = state.app.store.tenant(allowed.ctx(path.tenant)?).await?;
    allowed.record(allowed.entry("golden.removed").on(&path.golden)).await?;
    if store.remove_golden(path.golden).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(Problem::not_found())
    }
}

/// Ask golden questions, and see what the answers lack
///
/// The answers cost what answers cost. Nothing is sent, and tools that change something are not called.
#[utoipa::path(post, path = "/tenants/{tenant}/golden/run", tag = "assistant", operation_id = "run_golden",
    params(InTenant), request_body = Run, responses((status = 200, body = RunView), Problems))]
pub async fn run(
    state: web::Data<State>,
    allowed: Allowed<acts::EditAssistant>,
    path: web::Path<InTenant>,
    body: Body<Run>,
) -> Result<web::Json<RunView>, Problem> {
    let ctx = allowed.ctx(path.tenant)?;
    let Run { questions, by } = body.value;
    let mut all = state.app.store.tenant(ctx).await?.golden().await?;
    all.sort_by_key(|question| question.id);
    if let Some(wanted) = questions {
        if !(1..=RUN_MAX).contains(&wanted.len()) {
            return Err(Problem::invalid("`questions` must name 1 to 50 golden questions"));
        }
        if wanted.iter().any(|id| !all.iter().any(|question| question.id == *id)) {
            return Err(Problem::not_found().detail("one of `questions` is not there"));
        }
        all.retain(|question| wanted.contains(&question.id));
    }
    all.truncate(RUN_MAX);
    let settings = by.settings(&state, ctx).await?;
    let graded: Vec<_> = replay::grade(&state.app.engine, ctx, &settings, all).collect().await;
    let items = graded.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut sum = Sum::default();
    for graded in &items {
        sum.add(&graded.answer);
    }
    let passed = items.iter().filter(|graded| graded.passed).count();
    Ok(web::Json(RunView { passed, failed: items.len() - passed, sum, items }))
}
