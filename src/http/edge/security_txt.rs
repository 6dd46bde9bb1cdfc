//! `/.well-known/security.txt` (RFC 9116): where to report what somebody found.

use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, web};
use iassistance_domain::Timestamp;

use crate::http::{Problem, State};

/// Where it is.
pub const PATH: &str = "/.well-known/security.txt";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// How long from now it is good, days. RFC 9116, 2.5.5: less than a year is recommended.
const GOOD_DAYS: i64 = 180;

/// Adds the route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource(PATH).route(web::get().to(show)));
}

async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let contact = &state.app.settings.server.security_contact;
    if contact.is_empty() {
        return Err(Problem::not_found());
    }
    let text = text(contact, &state.door.own_url(&request), state.clock().now());
    Ok(HttpResponse::Ok().content_type(ContentType::plaintext()).body(text))
}

fn text(contact: &str, own_url: &str, now: Timestamp) -> String {
    // The same all day.
    let midnight = now.as_millis().div_euclid(DAY_MS) * DAY_MS;
    let expires = Timestamp::from_millis(midnight + GOOD_DAYS * DAY_MS).to_rfc3339();
    let canonical =
        if own_url.starts_with("https://") { format!("Canonical: {own_url}{PATH}\n") } else { String::new() };
    format!("Contact: {contact}\nExpires: {expires}\n{canonical}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_good_for_half_a_year_from_any_day() {
        let now = Timestamp::from_rfc3339("2026-03-01T13:37:00Z").unwrap();
        let said = text("mailto:security@example.org", "https://chat.example.org", now);
        assert_eq!(
            said,
            "Contact: mailto:security@example.org\nExpires: 2026-08-28T00:00:00Z\n\
             Canonical: https://chat.example.org/.well-known/security.txt\n"
        );
        let later = text("tel:+1", "http://127.0.0.1", now.plus_millis(400 * 86_400_000));
        assert_eq!(later, "Contact: tel:+1\nExpires: 2027-10-02T00:00:00Z\n");
    }
}
