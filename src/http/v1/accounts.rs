//! Accounts, as owners of the platform see them: where they belong, not what they do there.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use iassistance_domain::Timestamp;
use iassistance_domain::account::{Account, AccountState, MEMBERSHIPS_MAX};
use iassistance_domain::id::AccountId;
use iassistance_domain::pii::TenantView;

use super::input::{Body, Query};
use super::members::must_be_another;
use super::page::{self, Page};
use super::tag::{self, IfMatch, IfNoneMatch};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// An account, as owners of the platform see it: where it belongs, not what it does there.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountView {
    /// Its id.
    #[schema(value_type = String, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    id: AccountId,
    /// Its address.
    email: String,
    /// What its owner is called.
    name: String,
    /// Whether it owns the platform.
    owner: bool,
    /// Where it belongs.
    memberships: Vec<super::me::MembershipView>,
    /// Whether it has a second factor.
    second_factor: bool,
    /// Whether it may sign in.
    state: AccountState,
    /// When it was made.
    #[schema(value_type = i64)]
    created_at: Timestamp,
    /// When it was last signed in to.
    #[schema(value_type = Option<i64>)]
    signed_in_at: Option<Timestamp>,
}

impl From<&Account> for AccountView {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            email: account.email.reveal(TenantView).clone(),
            name: account.name.reveal(TenantView).clone(),
            owner: account.owner,
            memberships: account.memberships.iter().take(MEMBERSHIPS_MAX).map(Into::into).collect(),
            second_factor: account.second_factors.any(),
            state: account.state,
            created_at: account.created_at,
            signed_in_at: account.signed_in_at,
        }
    }
}

/// Which account.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InAccount {
    /// The account.
    #[param(value_type = String, example = "acc_0199a8a2c4007b3e8f5d6c1b2a390817")]
    account: AccountId,
}

/// What becomes of an account; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    /// Whether it may sign in. When it may not any more, its sessions end.
    state: Option<AccountState>,
    /// Whether it owns the platform.
    owner: Option<bool>,
}

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AccountsQuery {
    /// `next` of the page before; nothing for the first.
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
    /// Only those that may be signed in to, or may not.
    #[param(inline)]
    state: Option<AccountState>,
    /// Only those that own the platform, or do not.
    owner: Option<bool>,
}

/// An account with its tag.
fn shown(state: &State, account: &Account) -> Result<(String, AccountView), Problem> {
    tag::whole(state, &(account.state, account.owner), AccountView::from(account))
}

/// All accounts, newest first
#[utoipa::path(get, path = "/accounts", tag = "people", operation_id = "list_accounts", params(AccountsQuery),
    responses((status = 200, body = Page<AccountView>), Problems))]
pub async fn list(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageOwners>,
    query: Query<AccountsQuery>,
) -> Result<web::Json<Page<AccountView>>, Problem> {
    let (before, limit) = (page::cursor(query.cursor.as_deref())?, page::limit(query.limit)?);
    let people = state.app.store.people();
    let wants = |account: &Account| {
        query.state.is_none_or(|wanted| account.state == wanted)
            && query.owner.is_none_or(|wanted| account.owner == wanted)
    };
    let fetch = async |before, limit| Ok(people.accounts(before, limit, None).await?);
    let page = page::scan(before, limit, |account: &Account| account.id, wants, fetch).await?;
    Ok(web::Json(page.map(|account| AccountView::from(&account))))
}

/// One account
#[utoipa::path(get, path = "/accounts/{account}", tag = "people", operation_id = "show_account",
    params(InAccount), responses((status = 200, body = AccountView), Problems))]
pub async fn show(
    state: web::Data<State>,
    _allowed: Allowed<acts::ManageOwners>,
    path: web::Path<InAccount>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let account = state.app.store.people().account(path.account).await?.ok_or_else(Problem::not_found)?;
    let (tag, view) = shown(&state, &account)?;
    Ok(has.show(&tag, &view))
}

/// Remove an account
///
/// With its sessions and whatever it signs in with. What it did stays on the record, by its id.
#[utoipa::path(delete, path = "/accounts/{account}", tag = "people", operation_id = "remove_account",
    params(InAccount), responses((status = 204, description = "It is gone"), Problems))]
pub async fn remove(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageOwners>,
    path: web::Path<InAccount>,
) -> Result<HttpResponse, Problem> {
    let people = state.app.store.people();
    people.account(path.account).await?.ok_or_else(Problem::not_found)?;
    must_be_another(&allowed, path.account)?;
    allowed.record(allowed.entry("account.removed").on(&path.account)).await?;
    people.remove_account(path.account).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Disable an account, enable it, or change whether it owns the platform
#[utoipa::path(put, path = "/accounts/{account}", tag = "people", operation_id = "change_account",
    params(InAccount), request_body = AccountChange,
    responses((status = 200, body = AccountView), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::ManageOwners>,
    path: web::Path<InAccount>,
    seen: IfMatch,
    body: Body<AccountChange>,
) -> Result<HttpResponse, Problem> {
    let people = state.app.store.people();
    let mut account = people.account(path.account).await?.ok_or_else(Problem::not_found)?;
    must_be_another(&allowed, path.account)?;
    seen.check_set(&state, &(account.state, account.owner))?;
    account.state = body.value.state.unwrap_or(account.state);
    account.owner = body.value.owner.unwrap_or(account.owner);
    let state_name = if account.is_active() { "active" } else { "disabled" };
    let entry = allowed.entry("account.changed").on(&account.id).with("state", &state_name);
    allowed.record(entry.with("owner", &account.owner)).await?;
    people.put_account(account.clone(), account.revision).await?;
    if !account.is_active() {
        people.remove_sessions_of(account.id, None).await?;
    }
    let (tag, view) = shown(&state, &account)?;
    Ok(tag::tagged(&tag, &view))
}
