//! The pages for everybody: the privacy notice, the providers, how far a deletion is, and what people ask for.
//!
//! They need no account and no script, are written in Spanish, Portuguese and English ([`Speaks`]: `?lang=`,
//! else what the browser says), and take nothing from elsewhere: their one style comes from this server, and
//! their policy allows no more than that. What is put on a [`Page`] is text; markup is made here alone.

pub mod clients;
mod form;
pub mod notice;
mod page;
pub mod providers;
mod record;
mod request;
mod request_words;
mod speaks;
#[cfg(test)]
mod tests;

pub use form::{Field, FieldKind};
pub use page::{Page, Piece};
pub use request::{PATH as REQUEST_PATH, data_page};
pub use speaks::{Speaks, Words};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use super::State;

/// Where the style of the pages is.
const STYLE: &str = "/privacy/page.css";
const TRIAL: Words = Words::new(
    "Esta es una prueba: no hay aquí datos de nadie.",
    "Isto é um teste: aqui não há dados de ninguém.",
    "This is a trial: nobody's data is here.",
);
/// A day; it changes with the program alone.
const A_DAY: &str = "public, max-age=86400";

/// Adds what the pages are made of.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource(STYLE).route(web::get().to(style)))
        .configure(notice::configure)
        .configure(providers::configure)
        .configure(record::configure)
        .configure(request::configure);
}

impl State {
    /// A page of this platform at `path` (without query), in the language of whoever asks.
    pub fn page(&self, speaks: Speaks, path: &str, title: Words) -> Page {
        let settings = &self.app.settings;
        let mut page = Page::new(&settings.identity.name, speaks.0, path, title.to(speaks.0));
        if settings.privacy.trial {
            page.notice(TRIAL.to(speaks.0));
        }
        page
    }
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, A_DAY))
        .content_type("text/css; charset=utf-8")
        .body(include_str!("page.css"))
}
