//! The pages behind the links of mails: to take up an invitation, to choose a password anew, to confirm an
//! address. One small page without anything from elsewhere; it speaks Spanish, Portuguese and English.
//!
//! The token stands behind the `#` of the link, which no browser sends: the page takes it out of the address
//! and hands it to `/v1/auth` in a body.

use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType};
use actix_web::{HttpResponse, web};

/// Where mails lead.
const PAGES: [&str; 3] = ["/invitation", "/reset-password", "/confirm-email"];
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

const PAGE: &str = include_str!("links/page.html");
/// The way on to the monitor, where it is built in.
const ONWARDS: &str = r#"<p class="buttons" id="onwards" hidden><a href="/sign-in"></a></p>"#;

/// Adds the pages and what they are made of.
pub fn configure(config: &mut web::ServiceConfig) {
    for path in PAGES {
        config.service(web::resource(path).route(web::get().to(page)));
    }
    config
        .service(web::resource("/links/page.js").route(web::get().to(script)))
        .service(web::resource("/links/page.css").route(web::get().to(style)));
}

async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .content_type(ContentType::html())
        .body(if cfg!(feature = "dashboard") { PAGE.to_owned() } else { PAGE.replace(ONWARDS, "") })
}

async fn script() -> HttpResponse {
    HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(include_str!("links/page.js"))
}

async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("links/page.css"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let page = PAGE;
        assert!(page.contains(ONWARDS));
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("://"));
        assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/links/").count());
        assert!(!page.contains(" on"), "no handler is inline");
        let script = include_str!("links/page.js");
        for unsafe_way in
            ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "://", "Storage"]
        {
            assert!(!script.contains(unsafe_way), "{unsafe_way}");
        }
        assert!(!POLICY.contains("unsafe"));
    }
}
