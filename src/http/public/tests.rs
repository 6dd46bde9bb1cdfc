use actix_web::http::header;
use iassistance_domain::account::Language;

use super::*;

fn spoken(query: &str, accepted: &str) -> Language {
    Speaks::of(query, Some(accepted)).0
}

#[test]
fn the_query_counts_before_the_browser_and_the_best_that_there_is_is_taken() {
    assert_eq!(spoken("lang=pt", "en"), Language::Pt);
    assert_eq!(spoken("a=1&lang=en", "es"), Language::En);
    assert_eq!(spoken("lang=xx", "en-GB,en;q=0.9"), Language::En);
    assert_eq!(spoken("", "de, pt-BR;q=0.4, EN;q=0.8"), Language::En);
    assert_eq!(spoken("", "en;q=0.5, pt;q=0.5"), Language::En);
    assert_eq!(spoken("", "en;q=0, pt;q=0.1"), Language::Pt);
    for nothing in ["", "de", "*", ",;=,", "en;q=x", "en;q=2", "en;q=NaN"] {
        assert_eq!(spoken("", nothing), Language::Es, "{nothing}");
    }
    assert_eq!(Speaks::of("", None).0, Language::Es);
}

fn header(answer: &HttpResponse, name: header::HeaderName) -> &str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn page() -> Page {
    Page::new("A & B", Language::En, "/privacy", "<Title>")
}

#[test]
fn what_is_put_on_a_page_is_text() {
    let hostile = "<script>alert('1')</script>\" onload=\"x";
    let mut page = page();
    page.heading("part", hostile)
        .paragraph(hostile)
        .list([hostile])
        .facts([(hostile, hostile)])
        .notice(hostile)
        .quotation(Language::Es, hostile)
        .line(&[
            Piece::Strong(hostile),
            Piece::Link { to: "javascript:alert(1)", text: hostile },
            Piece::Link { to: "//evil.example", text: hostile },
            Piece::Link { to: "https://good.example/\"><script>", text: hostile },
        ]);
    let choices = [(hostile, hostile)];
    let fields = [
        Field {
            value: hostile,
            hint: hostile,
            wrong: hostile,
            ..Field::new("a", hostile, FieldKind::Text { max: 9 })
        },
        Field {
            value: hostile,
            ..Field::new("b", hostile, FieldKind::Line { max: 9, autocomplete: hostile })
        },
        Field::new("c", hostile, FieldKind::One(&choices)),
    ];
    page.form("/privacy/request", &[("h", hostile)], &fields, hostile);
    let html = page.html();
    assert!(!html.contains("<script") && !html.contains("\" onload") && !html.contains("javascript:"));
    assert!(!html.contains("href=\"//") && !html.contains("style=") && !html.contains("<style"));
    assert!(html.contains("<title>&lt;Title&gt; · A &amp; B</title>"));
    assert!(html.contains("action=\"/privacy/request?lang=en\""));
    assert!(html.contains("aria-describedby=\"a-about\"") && html.contains("id=\"a-about\""));
}

#[test]
fn every_language_is_offered_and_the_one_that_is_spoken_is_marked() {
    let html = page().html();
    assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"));
    for code in ["es", "pt", "en"] {
        assert!(html.contains(&format!("href=\"/privacy?lang={code}\"")), "{code}");
    }
    assert_eq!(html.matches("aria-current").count(), 1);
}

#[test]
fn a_page_may_do_nothing_but_look_like_itself() {
    let policy = |page: Page| {
        let answer = page.respond();
        header(&answer, header::CONTENT_SECURITY_POLICY).to_owned()
    };
    let plain = policy(page());
    assert!(plain.starts_with("default-src 'none'") && plain.contains("form-action 'none'"));
    let mut asking = page();
    asking.form("/privacy/request", &[], &[], "Go");
    let answer = asking.respond();
    assert_eq!(header(&answer, header::REFERRER_POLICY), "same-origin", "its form says whence it comes");
    let asking = header(&answer, header::CONTENT_SECURITY_POLICY);
    assert!(
        asking.contains("form-action 'self'") && !asking.contains("script") && !asking.contains("unsafe")
    );
    let answer = page().for_everybody(60).respond();
    assert_eq!(header(&answer, header::CACHE_CONTROL), "public, max-age=60");
    assert_eq!(header(&answer, header::CONTENT_LANGUAGE), "en");
    assert!(
        !page().respond().headers().contains_key(header::CACHE_CONTROL),
        "the default of all answers counts"
    );
}

#[test]
fn the_style_takes_nothing_from_elsewhere() {
    let style = include_str!("page.css");
    assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("://"));
}
