//! Another e-mail address: it counts once its owner has shown that it is theirs.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use iassistance_config::Secret;
use iassistance_domain::Pii;
use iassistance_domain::account::{Account, normalised_email};
use iassistance_domain::audit::Actor;
use iassistance_domain::invitation::{TOKEN_MS, Token, TokenKind};
use iassistance_identity::mail::{Letter, Recipient};
use iassistance_identity::tokens;

use super::input::Body;
use super::proof;
use super::view::Problems;
use crate::http::auth::{self, Allowed, acts};
use crate::http::sessions::Anybody;
use crate::http::{Problem, State};
use crate::identity::recipient;

/// Where somebody is to be reached from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEmail {
    /// The new e-mail address.
    #[schema(example = "ada@example.com")]
    email: String,
}

/// The proof that an address is theirs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailToken {
    /// The token of the mail's link.
    #[schema(value_type = String)]
    token: Secret,
}

/// Change your e-mail address
///
/// A mail with a link goes to the new one; until it is followed the former one counts. The answer is the same
/// whether the address is somebody's already or not.
#[utoipa::path(post, path = "/auth/email", tag = "your account", operation_id = "change_email",
    request_body = NewEmail, responses((status = 202, description = "A mail is on its way"), Problems))]
pub async fn change(
    state: web::Data<State>,
    allowed: Allowed<acts::OwnAccount>,
    body: Body<NewEmail>,
) -> Result<HttpResponse, Problem> {
    let (person, now) = (allowed.person()?, state.clock().now());
    if !person.session.is_stepped_up(now) {
        return Err(Problem::step_up_needed());
    }
    let email = normalised_email(&body.value.email);
    let email = email.map_err(|error| Problem::invalid(format!("`email`: {error}")))?;
    let identity = &state.app.identity;
    identity.throttles.mail(&email).map_err(proof::slower(&state))?;
    let (token, hash) = tokens::mint(&**state.app.engine.entropy());
    let kept = Token {
        kind: TokenKind::EmailChange,
        account: person.account.id,
        hash,
        email: Some(email.clone()),
        created_at: now,
        expires_at: now.plus_millis(TOKEN_MS),
    };
    allowed.record(allowed.entry("account.email_asked").on(&person.account.id)).await?;
    let people = state.app.store.people();
    people.put_token(kept).await?;
    if people.account_by_email(&email).await?.is_none() {
        let link = identity.link("/confirm-email", token.expose());
        let to = Recipient { email, ..recipient(&person.account) };
        identity.write(&to, &Letter::EmailChange { link: &link, minutes: TOKEN_MS / 60_000 });
    }
    Ok(HttpResponse::Accepted().finish())
}

/// Show that an e-mail address is yours
///
/// With the token of the mail's link, which works once and for 30 minutes. The former address is told.
#[utoipa::path(post, path = "/auth/email/confirm", tag = "signing in", operation_id = "confirm_email",
    security(()), request_body = EmailToken,
    responses((status = 204, description = "It counts from now on"), Problems))]
pub async fn confirm(
    state: web::Data<State>,
    anybody: Anybody,
    body: Body<EmailToken>,
) -> Result<HttpResponse, Problem> {
    state.app.identity.throttles.address(anybody.ip).map_err(proof::slower(&state))?;
    let used_up = || Problem::wrong_credentials("the link was used already or is too old: ask for a new one");
    let (people, now) = (state.app.store.people(), state.clock().now());
    let hash = tokens::hash(body.value.token.expose()).ok_or_else(used_up)?;
    let token = people.take_token(TokenKind::EmailChange, &hash, now).await?.ok_or_else(used_up)?;
    let account = people.account(token.account).await?.filter(Account::is_active);
    let (before, email) = account.zip(token.email).ok_or_else(used_up)?;
    let (actor, address) = (Actor::Account { account: before.id }, Pii::new(anybody.ip.to_string()));
    let entry = auth::entry("account.email_changed", actor, now, None, Some(address)).on(&before.id);
    auth::record(&state, entry).await?;
    people.put_account(Account { email, ..before.clone() }, before.revision).await?;
    let link = state.app.identity.link("/account/sessions", "");
    state.app.identity.write(&recipient(&before), &Letter::CredentialsChanged { link: &link });
    Ok(HttpResponse::NoContent().finish())
}
