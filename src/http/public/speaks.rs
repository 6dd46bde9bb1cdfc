//! The language in which somebody is answered.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::{FromRequest, HttpRequest};
use url::form_urlencoded;

use iassistance_domain::account::Language;

/// Languages of one header that are looked at.
const RANGES_MAX: usize = 32;
/// Who says nothing that we speak is answered in the language of the law.
const OTHERWISE: Language = Language::Es;

/// In which language a request is to be answered: that of `?lang=es|pt|en`, else the first that the browser
/// names and that there is, else Spanish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaks(pub Language);

impl Speaks {
    /// What a query and an `Accept-Language` ask for.
    pub fn of(query: &str, accepted: Option<&str>) -> Self {
        let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "lang");
        let asked = asked.and_then(|(_, code)| Language::from_code(&code));
        Self(asked.or_else(|| accepted.and_then(first_accepted)).unwrap_or(OTHERWISE))
    }
}

impl FromRequest for Speaks {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        ready(Ok(Self::of(request.query_string(), accepted)))
    }
}

/// The best of what an `Accept-Language` names (RFC 9110, 12.5.4) that there is; of equal ones the first.
fn first_accepted(header: &str) -> Option<Language> {
    let mut best: Option<(f32, Language)> = None;
    for range in header.split(',').take(RANGES_MAX) {
        let mut parts = range.split(';').map(str::trim);
        let code = parts.next()?.split('-').next()?.to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
        let (Some(language), Some(weight)) = (Language::from_code(&code), weight) else { continue };
        let is_better = best.is_none_or(|(so_far, _)| weight > so_far);
        if weight > 0.0 && weight <= 1.0 && is_better {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

/// The same words in each language.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// In Spanish.
    pub es: &'static str,
    /// In Portuguese.
    pub pt: &'static str,
    /// In English.
    pub en: &'static str,
}

impl Words {
    /// The same words in Spanish, Portuguese and English.
    pub const fn new(es: &'static str, pt: &'static str, en: &'static str) -> Self {
        Self { es, pt, en }
    }

    /// Those of one language.
    pub const fn to(self, language: Language) -> &'static str {
        match language {
            Language::Es => self.es,
            Language::Pt => self.pt,
            Language::En => self.en,
        }
    }
}
