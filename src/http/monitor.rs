//! The live monitor at `/`: the files of a web app, which then talks to `/v1` as everybody does.

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderMap,
    IF_NONE_MATCH, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use iassistance_dashboard::{File, file, page};

use super::Problem;

/// Everything comes from this server and nothing is written into the page: no script, no style. What becomes
/// markup goes through the framework's own policy, which takes its compiled templates alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types svelte-trusted-html monitor-worker";
/// A file whose name changes with it.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// A file that is asked for again each time, and mostly is the same.
const ASK_AGAIN: &str = "no-cache";

/// Where the app has pages: each address begins with the same file. Where the links of mails lead is beside it (`links`).
const PAGES: [&str; 8] = [
    "/",
    "/sign-in",
    "/set-up",
    "/t/{rest:.*}",
    "/platform/{rest:.*}",
    "/account",
    "/account/{rest:.*}",
    "/forgotten-password",
];

/// Adds the app's pages and files.
pub fn configure(config: &mut web::ServiceConfig) {
    for path in PAGES {
        config.service(web::resource(path).route(web::get().to(show_page)).route(web::head().to(show_page)));
    }
    for path in ["/assets/{file}", "/icon.svg", "/manifest.webmanifest"] {
        config.service(web::resource(path).route(web::get().to(show_file)).route(web::head().to(show_file)));
    }
}

async fn show_page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Ok(answer(&request, page().ok_or_else(Problem::internal)?))
}

async fn show_file(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let found = file(request.path().trim_start_matches('/'));
    Ok(answer(&request, found.ok_or_else(Problem::not_found)?))
}

/// The file in the form that the browser takes; nothing but "the same" where it has this one already.
fn answer(request: &HttpRequest, file: &'static File) -> HttpResponse {
    let tag = format!("\"{}\"", file.tag);
    let caching = if file.hashed { FOR_EVER } else { ASK_AGAIN };
    let known = request.headers().get_all(IF_NONE_MATCH).any(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((ETAG, tag))
        .insert_header((VARY, "accept-encoding"))
        .insert_header((CACHE_CONTROL, caching))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .insert_header(("Permissions-Policy", "camera=(), microphone=(), geolocation=()"));
    if known {
        return answer.finish();
    }
    let (encoding, bytes) = form(request.headers(), file);
    if let Some(encoding) = encoding {
        answer.insert_header((CONTENT_ENCODING, encoding));
    }
    answer.content_type(file.mime).body(bytes)
}

/// How the file is sent, and its bytes so.
fn form(headers: &HeaderMap, file: &File) -> (Option<&'static str>, &'static [u8]) {
    let said = headers.get(ACCEPT_ENCODING).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let takes = |name: &str| {
        said.split(',').any(|part| {
            let mut words = part.split(';').map(str::trim);
            words.next() == Some(name)
                && words.all(|word| !matches!(word, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    };
    match (file.brotli, file.gzip) {
        (Some(bytes), _) if takes("br") => (Some("br"), bytes),
        (_, Some(bytes)) if takes("gzip") => (Some("gzip"), bytes),
        _ => (None, file.plain),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test::TestRequest;
    use iassistance_dashboard::FILES;

    use super::*;

    fn header<'a>(answer: &'a HttpResponse, name: &str) -> &'a str {
        answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[test]
    fn a_file_comes_in_the_form_that_is_taken() {
        let script =
            FILES.iter().find(|it| it.mime.starts_with("text/javascript") && it.brotli.is_some()).unwrap();
        for (takes, sent) in [
            ("", ""),
            ("identity", ""),
            ("gzip, deflate", "gzip"),
            ("gzip, deflate, br, zstd", "br"),
            ("br;q=0, gzip;q=0.5", "gzip"),
        ] {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, takes)).to_http_request();
            let answer = answer(&request, script);
            assert_eq!(header(&answer, "content-encoding"), sent, "{takes}");
            assert_eq!(header(&answer, "cache-control"), FOR_EVER);
        }
    }

    #[actix_web::test]
    async fn every_page_and_every_link_of_a_mail_leads_to_the_app_and_nothing_else_does() {
        let app = actix_web::test::init_service(actix_web::App::new().configure(configure)).await;
        let ask = async |path: &str| {
            let request = TestRequest::get().uri(path).to_request();
            actix_web::test::call_service(&app, request).await
        };
        for path in [
            "/",
            "/sign-in?to=%2Ft",
            "/set-up",
            "/account",
            "/account/sessions",
            "/forgotten-password",
            "/t/ten_1/break-glass",
            "/t/ten_1/live/cnv_1",
            "/platform/agencies",
        ] {
            let answer = ask(path).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert_eq!(answer.headers().get("content-type").unwrap(), "text/html; charset=utf-8");
            assert_eq!(answer.headers().get("content-security-policy").unwrap(), POLICY);
        }
        for path in ["/t", "/index.html", "/assets/x.js", "/assets/..%2findex.html", "/elsewhere"] {
            assert_eq!(ask(path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(ask("/icon.svg").await.headers().get("content-type").unwrap(), "image/svg+xml");
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let page = page().unwrap();
        let fresh = answer(&TestRequest::default().to_http_request(), page);
        assert_eq!((fresh.status(), header(&fresh, "cache-control")), (StatusCode::OK, ASK_AGAIN));
        let tag = header(&fresh, "etag").to_owned();
        let again = TestRequest::default().insert_header((IF_NONE_MATCH, tag)).to_http_request();
        assert_eq!(answer(&again, page).status(), StatusCode::NOT_MODIFIED);
        let other = TestRequest::default().insert_header((IF_NONE_MATCH, "\"x\"")).to_http_request();
        assert_eq!(answer(&other, page).status(), StatusCode::OK);
    }
}
