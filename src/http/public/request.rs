//! `/privacy/request`: where people ask about their own data, without an account and without a script.
//!
//! Whoever asks for whomever gets the same pages in the same time: nobody learns here who is known. What is held is
//! shown to whoever typed the code that was sent to the person in the conversation, for a short while.

use std::collections::BTreeMap;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded;

use iassistance_domain::Pii;
use iassistance_domain::account::Language;
use iassistance_domain::audit::Actor;
use iassistance_domain::channel::ChannelKind;
use iassistance_domain::id::IntakeId;
use iassistance_domain::pii::Rights;
use iassistance_domain::privacy::rights::{CaseState, RightKind, RightsCase};

use super::request_words as say;
use super::{Field, FieldKind, Page, Piece, Speaks};
use crate::http::{Problem, State, body, cookies};
use crate::rights::{Act, Asking, Bundle, Entered, RightsError, readable};

/// Where people ask without an account.
pub const PATH: &str = "/privacy/request";
/// Keeps what lets somebody back in.
const COOKIE: &str = "__Host-rights";
/// A form of ours is no longer.
const FORM_BYTES_MAX: usize = 16 * 1_024;
/// Characters of a name or number.
const NAME_CHARS_MAX: u16 = 120;
/// Digits of a code, with what people put between them.
const CODE_CHARS_MAX: u16 = 24;
const STATEMENT_CHARS_MAX: u16 = 2_000;

const PRODUCTS: [(ChannelKind, &str); 3] = [
    (ChannelKind::Whatsapp, "WhatsApp"),
    (ChannelKind::Instagram, "Instagram"),
    (ChannelKind::Messenger, "Messenger"),
];

/// Adds the pages.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource(PATH).route(web::get().to(show)).route(web::post().to(enter)))
        .service(
            web::resource("/privacy/request/{intake}")
                .route(web::get().to(status))
                .route(web::post().to(give_code)),
        )
        .service(web::resource("/privacy/request/{intake}/statement").route(web::post().to(state_case)))
        .service(web::resource("/privacy/request/{intake}/data").route(web::get().to(data)));
}

/// What a form said, by name; the first of each counts.
type Form = BTreeMap<String, String>;

async fn form(state: &State, request: &HttpRequest, payload: web::Payload) -> Result<Form, Problem> {
    cookies::check_origin(state, request, false)?;
    let deadline_ms = state.app.settings.server.body_deadline_ms;
    let read = body::read(request, payload, &state.bodies, FORM_BYTES_MAX, deadline_ms, &**state.clock());
    let (bytes, _held) = read.await?;
    let mut form = Form::new();
    for (name, value) in form_urlencoded::parse(&bytes) {
        form.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    Ok(form)
}

async fn show(state: web::Data<State>, speaks: Speaks) -> HttpResponse {
    asking(&state, speaks, &Form::new(), None).respond()
}

/// The page with the form, with what was filled in and what is wrong with it.
fn asking(state: &State, speaks: Speaks, form: &Form, wrong: Option<&str>) -> Page {
    let language = speaks.0;
    let mut page = state.page(speaks, PATH, say::TITLE);
    if let Some(wrong) = wrong {
        page.notice(wrong);
    }
    page.paragraph(say::INTRODUCTION.to(language));
    page.paragraph(say::NO_COST.to(language));
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let kinds = RightKind::ALL.map(|kind| (kind.name(), say::kind(language, kind)));
    let products = PRODUCTS.map(|(kind, name)| (kind.name(), name));
    let line = FieldKind::Line { max: NAME_CHARS_MAX, autocomplete: "off" };
    let own = FieldKind::Line { max: NAME_CHARS_MAX, autocomplete: "tel" };
    let fields = [
        Field {
            value: given("right"),
            ..Field::new("right", say::WHAT.to(language), FieldKind::One(&kinds))
        },
        Field {
            value: given("product"),
            ..Field::new("product", say::WHERE.to(language), FieldKind::One(&products))
        },
        Field {
            value: given("business"),
            hint: say::BUSINESS_HINT.to(language),
            ..Field::new("business", say::BUSINESS.to(language), line)
        },
        Field {
            value: given("person"),
            hint: say::PERSON_HINT.to(language),
            ..Field::new("person", say::PERSON.to(language), own)
        },
    ];
    page.form(PATH, &[], &fields, say::SEND.to(language));
    page
}

async fn enter(
    state: web::Data<State>,
    request: HttpRequest,
    speaks: Speaks,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let language = speaks.0;
    if state.rates.take_page(&state.door, &request).is_err() {
        return Ok(too_many(&state, speaks, &Form::new()));
    }
    let form = form(&state, &request, payload).await?;
    let Some(asked) = asked(&form, language) else {
        let page = asking(&state, speaks, &form, Some(say::INCOMPLETE.to(language)));
        return Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY).respond());
    };
    Ok(match state.app.registrar.enter(asked).await? {
        Some(id) => see(&format!("{PATH}/{id}"), language, None),
        None => too_many(&state, speaks, &form),
    })
}

fn asked(form: &Form, language: Language) -> Option<Asking> {
    let text = |name: &str| {
        let text = form.get(name)?.trim();
        (!text.is_empty() && text.chars().nth(NAME_CHARS_MAX.into()).is_none())
            .then(|| Pii::new(text.to_owned()))
    };
    let product = form.get("product")?;
    Some(Asking {
        kind: RightKind::from_name(form.get("right")?)?,
        product: PRODUCTS.iter().find(|(kind, _)| kind.name() == product)?.0,
        business: text("business")?,
        person: text("person")?,
        language,
    })
}

fn too_many(state: &State, speaks: Speaks, form: &Form) -> HttpResponse {
    let page = asking(state, speaks, form, Some(say::TOO_MANY.to(speaks.0)));
    page.with_status(StatusCode::TOO_MANY_REQUESTS).respond()
}

/// Sends a browser on to a page of ours.
fn see(path: &str, language: Language, cookie: Option<Cookie<'static>>) -> HttpResponse {
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((LOCATION, format!("{path}?lang={}", language.code())));
    if let Some(cookie) = cookie {
        answer.cookie(cookie);
    }
    answer.finish()
}

/// The request of the address, with its case for who may see it; nothing where there is none.
async fn found(
    state: &State,
    request: &HttpRequest,
    id: &str,
) -> Result<Option<(IntakeId, Entered)>, Problem> {
    let Ok(id) = id.parse::<IntakeId>() else { return Ok(None) };
    let token = request.cookie(COOKIE).map(|cookie| cookie.value().to_owned());
    let entered = state.app.registrar.entered(id, token.as_deref()).await?;
    Ok(entered.map(|entered| (id, entered)))
}

fn nothing(state: &State, speaks: Speaks) -> HttpResponse {
    let mut page = state.page(speaks, PATH, say::TITLE);
    page.notice(say::GONE.to(speaks.0));
    page.line(&[Piece::Link { to: PATH, text: say::AGAIN.to(speaks.0) }]);
    page.with_status(StatusCode::NOT_FOUND).respond()
}

async fn status(
    state: web::Data<State>,
    request: HttpRequest,
    speaks: Speaks,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    Ok(match found(&state, &request, &path).await? {
        Some((id, entered)) => of_request(&state, speaks, id, &entered, None).respond(),
        None => nothing(&state, speaks),
    })
}

fn of_request(state: &State, speaks: Speaks, id: IntakeId, entered: &Entered, notice: Option<&str>) -> Page {
    let (language, path) = (speaks.0, format!("{PATH}/{id}"));
    let mut page = state.page(speaks, &path, say::STATUS_TITLE);
    if let Some(notice) = notice {
        page.notice(notice);
    }
    let (at, due_at) = (entered.intake.at.to_rfc3339(), entered.intake.due_at.to_rfc3339());
    let id = id.to_string();
    page.facts([
        (say::NUMBER.to(language), id.as_str()),
        (say::WHAT.to(language), say::kind(language, entered.intake.kind)),
        (say::CAME.to(language), &at),
        (say::DUE.to(language), &due_at),
    ]);
    match &entered.case {
        Some(case) => proven(&mut page, language, &path, case),
        None => {
            page.paragraph(say::CODE_SENT.to(language));
            page.paragraph(say::CODE_MISSING.to(language));
            let code = Field {
                hint: say::CODE_HINT.to(language),
                ..Field::new("code", say::CODE.to(language), FieldKind::Code { max: CODE_CHARS_MAX })
            };
            page.form(&path, &[], &[code], say::PROVE.to(language));
            page.line(&[Piece::Link { to: PATH, text: say::AGAIN.to(language) }]);
        }
    }
    page
}

/// What is shown to who proved who they are.
fn proven(page: &mut Page, language: Language, path: &str, case: &RightsCase) {
    page.notice(say::state(language, &case.state));
    match &case.state {
        CaseState::Answered { text: Some(text), .. } => {
            page.paragraph(text.reveal(Rights));
        }
        CaseState::Refused { ground, text, .. } => {
            page.paragraph(crate::rights::ground(language, *ground));
            page.paragraph(text.reveal(Rights));
            page.paragraph(say::AUTHORITY.to(language));
        }
        _ => {}
    }
    if case.kind == RightKind::Access
        && matches!(case.state, CaseState::Verified | CaseState::Answered { .. })
    {
        let code = language.code();
        let (html, json) = (format!("{path}/data?lang={code}"), format!("{path}/data?lang={code}&form=json"));
        page.list_of(&[
            vec![Piece::Link { to: &html, text: say::TO_READ.to(language) }],
            vec![Piece::Link { to: &json, text: say::AS_JSON.to(language) }],
        ]);
        page.paragraph(say::FOR_A_WHILE.to(language));
    } else if matches!(case.state, CaseState::Verified) {
        let text = FieldKind::Text { max: STATEMENT_CHARS_MAX };
        let field = Field {
            hint: say::STATEMENT_HINT.to(language),
            ..Field::new("statement", say::STATEMENT.to(language), text)
        };
        page.form(&format!("{path}/statement"), &[], &[field], say::SEND.to(language));
    }
}

async fn give_code(
    state: web::Data<State>,
    request: HttpRequest,
    speaks: Speaks,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    if state.rates.take_page(&state.door, &request).is_err() {
        return Ok(too_many(&state, speaks, &Form::new()));
    }
    let form = form(&state, &request, payload).await?;
    let Some((id, entered)) = found(&state, &request, &path).await? else {
        return Ok(nothing(&state, speaks));
    };
    let code = form.get("code").map(String::as_str).unwrap_or_default();
    Ok(match state.app.registrar.try_code(id, code).await? {
        Some(token) => {
            let lasts = Duration::minutes(i64::from(state.app.settings.rights.link_minutes));
            let cookie = Cookie::build(COOKIE, token.to_string())
                .path("/")
                .secure(true)
                .http_only(true)
                .same_site(SameSite::Strict)
                .max_age(lasts)
                .finish();
            see(&format!("{PATH}/{id}"), speaks.0, Some(cookie))
        }
        None => {
            let page = of_request(&state, speaks, id, &entered, Some(say::WRONG_CODE.to(speaks.0)));
            page.with_status(StatusCode::FORBIDDEN).respond()
        }
    })
}

async fn state_case(
    state: web::Data<State>,
    request: HttpRequest,
    speaks: Speaks,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let form = form(&state, &request, payload).await?;
    let Some((id, entered)) = found(&state, &request, &path).await? else {
        return Ok(nothing(&state, speaks));
    };
    let (Some(tenant), Some(case)) = (entered.intake.tenant, &entered.case) else {
        return Ok(see(&format!("{PATH}/{id}"), speaks.0, None));
    };
    let text = form.get("statement").map(String::as_str).unwrap_or_default();
    let (notice, code) = match state.app.registrar.say(tenant, case, text).await {
        Ok(()) => (say::NOTED, StatusCode::OK),
        Err(RightsError::Note { .. }) => (say::STATEMENT_HINT, StatusCode::UNPROCESSABLE_ENTITY),
        Err(error) => return Err(error.into()),
    };
    let page = of_request(&state, speaks, id, &entered, Some(notice.to(speaks.0)));
    Ok(page.with_status(code).respond())
}

async fn data(
    state: web::Data<State>,
    request: HttpRequest,
    speaks: Speaks,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let Some((id, entered)) = found(&state, &request, &path).await? else {
        return Ok(nothing(&state, speaks));
    };
    let (Some(tenant), Some(case)) = (entered.intake.tenant, entered.case) else {
        return Ok(see(&format!("{PATH}/{id}"), speaks.0, None));
    };
    if case.kind != RightKind::Access {
        return Ok(see(&format!("{PATH}/{id}"), speaks.0, None));
    }
    let bundle = match state.app.registrar.bundle(tenant, case.contact, speaks.0).await {
        Err(RightsError::NoSuchContact) => return Ok(nothing(&state, speaks)),
        other => other?,
    };
    if case.state.is_open() {
        // It is handed out: it is answered.
        state.app.registrar.act(tenant, case.id, Act::Answer(None), Actor::Platform).await?;
    }
    let is_json = form_urlencoded::parse(request.query_string().as_bytes())
        .any(|(name, value)| name == "form" && value == "json");
    if is_json {
        let name = format!("attachment; filename=\"{}.json\"", case.id);
        return Ok(HttpResponse::Ok().insert_header((CONTENT_DISPOSITION, name)).json(bundle.json()));
    }
    Ok(data_page(&state, speaks, &bundle).respond())
}

/// All that is held about somebody, as a page.
pub fn data_page(state: &State, speaks: Speaks, bundle: &Bundle) -> Page {
    let mut page = state.page(speaks, PATH, say::DATA_TITLE);
    for part in readable(bundle, speaks.0) {
        page.heading(&part.name.replace('_', "-"), part.heading);
        for record in &part.records {
            page.facts(record.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        }
    }
    page
}
