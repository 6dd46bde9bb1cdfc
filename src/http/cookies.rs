//! What browsers keep: the session's token and the device that they are known again by; and the proof that
//! a request comes from our own page.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::Method;
use actix_web::http::header::{HOST, ORIGIN};

use iassistance_config::Secret;
use iassistance_domain::session::{ABSOLUTE_MS, Session};
use iassistance_identity::devices::Devices;
use iassistance_vault::{Keyring, same};

use super::edge::cors;
use super::{Problem, State};

/// Holds the token of a session.
pub const SESSION: &str = "__Host-session";
/// Says which browser it is.
const DEVICE: &str = "__Host-device";
/// How long a browser is known again, days.
const DEVICE_DAYS: i64 = 400;
/// The header that a page repeats what it was told in.
pub const CSRF_HEADER: &str = "x-csrf-token";
const CSRF_LABEL: &str = "csrf";

/// The token of the session's cookie, given once.
pub fn session(request: &HttpRequest) -> Option<Secret> {
    one(request, SESSION).map(Secret::new)
}

/// The device of the browser, if it is known.
pub fn devices(request: &HttpRequest) -> Option<Devices> {
    one(request, DEVICE).and_then(|text| Devices::read(&text))
}

fn one(request: &HttpRequest, name: &str) -> Option<String> {
    let cookies = request.cookies().ok()?;
    let mut found = cookies.iter().filter(|cookie| cookie.name() == name);
    let value = found.next()?.value().to_owned();
    found.next().is_none().then_some(value)
}

fn cookie(name: &'static str, value: String, lasts: Duration) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(lasts)
        .finish()
}

/// Has the browser keep the token of a session.
pub fn keep_session(token: &Secret) -> Cookie<'static> {
    let lasts = Duration::milliseconds(i64::try_from(ABSOLUTE_MS).unwrap_or_default());
    cookie(SESSION, token.expose().to_owned(), lasts)
}

/// Has the browser forget it.
pub fn forget_session() -> Cookie<'static> {
    cookie(SESSION, String::new(), Duration::ZERO)
}

/// Has the browser keep which device it is.
pub fn keep_devices(devices: &Devices) -> Cookie<'static> {
    cookie(DEVICE, devices.cookie(), Duration::days(DEVICE_DAYS))
}

/// What a page of ours sends along with every change that it asks for in this session.
pub fn csrf_token(keyring: &Keyring, session: &Session) -> String {
    hex::encode(keyring.hash_secret(CSRF_LABEL, session.hash.as_bytes()))
}

/// Whether a request is for a change.
pub fn changes(method: &Method) -> bool {
    !(method.is_safe())
}

/// Refuses a change that another page than ours asks for in somebody's session.
///
/// # Errors
/// [`Problem`] 403.
pub fn check_page(state: &State, request: &HttpRequest, session: &Session) -> Result<(), Problem> {
    if !changes(request.method()) {
        return Ok(());
    }
    check_origin(state, request, true)?;
    let mut given = request.headers().get_all(CSRF_HEADER);
    let token = given.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.next().is_some() || !same(token.as_bytes(), csrf_token(&state.app.keyring, session).as_bytes()) {
        return Err(Problem::forged("repeat `csrf_token` of `/v1/auth/me` in the header X-CSRF-Token"));
    }
    Ok(())
}

/// Refuses a request that a page of another origin sends, unless `server.cors_origins` lists it. What is no page
/// says no origin: where `needed`, that is refused too.
///
/// # Errors
/// [`Problem`] 403.
pub fn check_origin(state: &State, request: &HttpRequest, needed: bool) -> Result<(), Problem> {
    let foreign = || Problem::forged("the request comes from a page of another origin");
    let mut origins = request.headers().get_all(ORIGIN);
    let (origin, other) = (origins.next(), origins.next());
    if other.is_some() {
        return Err(foreign());
    }
    if origin.is_some_and(|origin| cors::is_listed(state, origin.as_bytes())) {
        return Ok(());
    }
    let site = request.headers().get("sec-fetch-site").map(|site| site.to_str().unwrap_or_default());
    if site.is_some_and(|site| !["same-origin", "none"].contains(&site)) {
        return Err(foreign());
    }
    let Some(origin) = origin else {
        return if needed { Err(Problem::forged("the header Origin is missing")) } else { Ok(()) };
    };
    let origin = origin.to_str().unwrap_or_default();
    let public = state.app.settings.server.public_url.trim_end_matches('/');
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let own = |host: &str| origin == format!("http://{host}") || origin == format!("https://{host}");
    let allowed = if public.is_empty() { host.is_some_and(own) } else { origin == public };
    if allowed { Ok(()) } else { Err(foreign()) }
}
