//! A page for everybody: its frame, and what may stand in it.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, ContentType, REFERRER_POLICY, VARY,
};

use iassistance_domain::account::Language;

use super::STYLE;
use super::speaks::Words;

/// Nothing but our own style, and, where there is a form, our own address to send it to.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const POLICY_WITH_FORM: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The languages, in the order in which they are offered.
const LANGUAGES: [(Language, &str); 3] =
    [(Language::Es, "Español"), (Language::Pt, "Português"), (Language::En, "English")];

/// The pages that each page leads to.
const PLACES: [(&str, Words); 3] = [
    ("/privacy", Words::new("Privacidad", "Privacidade", "Privacy")),
    ("/privacy/subprocessors", Words::new("Proveedores", "Provedores", "Providers")),
    ("/privacy/request", Words::new("Ejercer sus derechos", "Exercer seus direitos", "Use your rights")),
];

/// A piece of a line.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// Words.
    Text(&'a str),
    /// Words that matter.
    Strong(&'a str),
    /// Words that lead somewhere: a page of ours (`/…`), or elsewhere by https, mail or telephone. What leads
    /// anywhere else is shown as words.
    Link {
        /// Where.
        to: &'a str,
        /// What it says.
        text: &'a str,
    },
}

/// A page that is being written. What it is given is text: it escapes it.
pub struct Page {
    brand: String,
    pub(super) language: Language,
    path: String,
    title: String,
    pub(super) body: String,
    pub(super) has_form: bool,
    status: StatusCode,
    cache_s: Option<u32>,
}

impl Page {
    /// A page of the platform `brand` at `path` (without query), with `title` as its heading.
    pub fn new(brand: &str, language: Language, path: &str, title: &str) -> Self {
        Self {
            brand: brand.to_owned(),
            language,
            path: path.to_owned(),
            title: title.to_owned(),
            body: String::new(),
            has_form: false,
            status: StatusCode::OK,
            cache_s: None,
        }
    }

    /// Its language.
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Answered with this status; 200 otherwise.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Says nothing of anybody: browsers and caches may keep it so long, seconds. Otherwise nobody keeps it.
    #[must_use]
    pub const fn for_everybody(mut self, seconds: u32) -> Self {
        self.cache_s = Some(seconds);
        self
    }

    /// A heading of a part, which `#id` leads to; the id is of small letters and hyphens.
    pub fn heading(&mut self, id: &str, text: &str) -> &mut Self {
        self.put(&["<h2 id=\"", &escaped(id), "\">", &escaped(text), "</h2>\n"])
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.line(&[Piece::Text(text)])
    }

    /// A paragraph of pieces.
    pub fn line(&mut self, pieces: &[Piece<'_>]) -> &mut Self {
        self.put(&["<p>", &inline(pieces), "</p>\n"])
    }

    /// A paragraph in another language than the page's, such as words that the law gives.
    pub fn quotation(&mut self, language: Language, text: &str) -> &mut Self {
        self.put(&["<blockquote lang=\"", language.code(), "\"><p>", &escaped(text), "</p></blockquote>\n"])
    }

    /// A list.
    pub fn list<'a>(&mut self, items: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let items: Vec<_> = items.into_iter().map(|item| vec![Piece::Text(item)]).collect();
        self.list_of(&items)
    }

    /// A list of lines of pieces.
    pub fn list_of(&mut self, items: &[Vec<Piece<'_>>]) -> &mut Self {
        self.put(&["<ul>\n"]);
        for item in items {
            self.put(&["<li>", &inline(item), "</li>\n"]);
        }
        self.put(&["</ul>\n"])
    }

    /// What each thing is: names, and what is said of them.
    pub fn facts<'a>(&mut self, facts: impl IntoIterator<Item = (&'a str, &'a str)>) -> &mut Self {
        self.put(&["<dl>\n"]);
        for (name, said) in facts {
            self.put(&["<dt>", &escaped(name), "</dt><dd>", &escaped(said), "</dd>\n"]);
        }
        self.put(&["</dl>\n"])
    }

    /// A notice that stands out, and that screen readers say at once: what was wrong, or that it was done.
    pub fn notice(&mut self, text: &str) -> &mut Self {
        self.put(&["<p class=\"notice\" role=\"status\">", &escaped(text), "</p>\n"])
    }

    /// The page as it is sent.
    pub fn respond(self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        let policy = if self.has_form { POLICY_WITH_FORM } else { POLICY };
        answer
            .insert_header((CONTENT_SECURITY_POLICY, policy))
            .insert_header((CONTENT_LANGUAGE, self.language.code()))
            .insert_header((VARY, "accept-language"));
        if self.has_form {
            // From a page that says nothing of itself a browser sends a form with `Origin: null`, as if it were a stranger's.
            answer.insert_header((REFERRER_POLICY, "same-origin"));
        }
        if let Some(seconds) = self.cache_s {
            answer.insert_header((CACHE_CONTROL, format!("public, max-age={seconds}")));
        }
        answer.content_type(ContentType::html()).body(self.html())
    }

    /// The page as text.
    pub fn html(&self) -> String {
        let (code, brand, title) = (self.language.code(), escaped(&self.brand), escaped(&self.title));
        let mut html = format!(
            "<!doctype html>\n<html lang=\"{code}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} · {brand}</title>\n<link rel=\"stylesheet\" href=\"{STYLE}\">\n</head>\n<body>\n\
             <header><p class=\"brand\">{brand}</p>\n<nav aria-label=\"Idioma · Language\">\n"
        );
        let path = escaped(&self.path);
        for (language, name) in LANGUAGES {
            let code = language.code();
            let current = if language == self.language { " aria-current=\"true\"" } else { "" };
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                html,
                "<a href=\"{path}?lang={code}\" hreflang=\"{code}\" lang=\"{code}\"{current}>{name}</a>"
            );
        }
        let _ =
            write!(html, "</nav></header>\n<main>\n<h1>{title}</h1>\n{}</main>\n<footer><nav>\n", self.body);
        for (place, name) in PLACES {
            let _ = writeln!(html, "<a href=\"{place}?lang={code}\">{}</a>", name.to(self.language));
        }
        html.push_str("</nav></footer>\n</body>\n</html>\n");
        html
    }

    pub(super) fn put(&mut self, parts: &[&str]) -> &mut Self {
        self.body.extend(parts.iter().copied());
        self
    }
}

fn inline(pieces: &[Piece<'_>]) -> String {
    let mut html = String::new();
    for piece in pieces {
        match piece {
            Piece::Strong(text) => html.extend(["<strong>", &escaped(text), "</strong>"]),
            Piece::Link { to, text } if leads_well(to) => {
                html.extend(["<a href=\"", &escaped(to), "\">", &escaped(text), "</a>"]);
            }
            Piece::Text(text) | Piece::Link { text, .. } => html.push_str(&escaped(text)),
        }
    }
    html
}

/// Whether a page may lead there: to ourselves, or elsewhere by a way that runs nothing.
fn leads_well(to: &str) -> bool {
    let is_ours = to.starts_with('/') && !to.starts_with("//") && !to.contains('\\');
    is_ours || to.starts_with('#') || ["https://", "mailto:", "tel:"].iter().any(|way| to.starts_with(way))
}

/// Text as it may stand in markup, and between quotation marks in it.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}
