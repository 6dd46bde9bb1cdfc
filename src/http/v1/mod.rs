//! Administration by REST, version 1: one file per group of endpoints.
//!
//! [`ROUTES`] is the one table of routes: what is served and what the OpenAPI document describes both
//! come of it. Nothing here answers without a credential.

use std::future::ready;

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};
use utoipa::OpenApi;

use super::{Problem, auth};

mod assistant;
mod assistant_draft;
mod assistant_versions;
mod backups;
mod channels;
mod checks;
mod conversations;
mod dead_letters;
mod deliveries;
mod events;
mod golden;
mod input;
mod keys;
mod knowledge;
mod live_tickets;
mod media;
mod meta_apps;
mod operator;
mod page;
mod quarantine;
mod rehearsals;
mod settings_form;
mod spending;
mod tenants;
#[cfg(test)]
mod tests;
mod turn_view;
mod view;
mod webhooks;

pub use settings_form::SettingsView;
pub use view::Problems;

macro_rules! routes {
    ($($path:literal => { $($method:ident: $group:ident::$handler:ident),+ })+) => {
        /// Every route under `/v1`, and its methods.
        pub const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];

        /// What the OpenAPI document says of them.
        #[derive(OpenApi)]
        #[openapi(paths($($($group::$handler),+),+))]
        pub struct Documented;

        fn resources(config: &mut web::ServiceConfig) {
            $(config.service(
                web::resource($path)
                    $(.route(web::$method().to($group::$handler)))+
                    .default_service(wrong_method(&[$(stringify!($method)),+])),
            );)+
        }
    };
}

routes! {
    "/tenants" => { get: tenants::list, post: tenants::create }
    "/tenants/{tenant}" => { get: tenants::show }
    "/meta-apps" => { get: meta_apps::list, post: meta_apps::create }
    "/meta-apps/{meta_app}" => { get: meta_apps::show, put: meta_apps::change }
    "/tenants/{tenant}/channels" => { get: channels::list, post: channels::connect }
    "/tenants/{tenant}/channels/{channel}" => {
        get: channels::show, put: channels::change, delete: channels::disconnect
    }
    "/tenants/{tenant}/channels/{channel}/test" => { post: channels::test }
    "/tenants/{tenant}/channels/{channel}/subscribe" => { post: channels::subscribe }
    "/tenants/{tenant}/channels/{channel}/templates" => { get: channels::templates }
    "/tenants/{tenant}/assistant" => { get: assistant::show, put: assistant::change }
    "/tenants/{tenant}/assistant/draft" => {
        get: assistant_draft::show, put: assistant_draft::save, delete: assistant_draft::discard
    }
    "/tenants/{tenant}/assistant/draft/publish" => { post: assistant_draft::publish }
    "/tenants/{tenant}/assistant/versions" => { get: assistant_versions::list }
    "/tenants/{tenant}/assistant/versions/{version}" => { get: assistant_versions::show }
    "/tenants/{tenant}/assistant/rollback" => { post: assistant_versions::roll_back }
    "/tenants/{tenant}/rehearsals" => { post: rehearsals::rehearse }
    "/tenants/{tenant}/golden" => { get: golden::list, post: golden::add }
    "/tenants/{tenant}/golden/run" => { post: golden::run }
    "/tenants/{tenant}/golden/{golden}" => { delete: golden::remove }
    "/tenants/{tenant}/knowledge" => { get: knowledge::list, post: knowledge::add }
    "/tenants/{tenant}/knowledge/search" => { get: knowledge::search }
    "/tenants/{tenant}/knowledge/{document}" => { get: knowledge::show, delete: knowledge::remove }
    "/tenants/{tenant}/knowledge/{document}/reindex" => { post: knowledge::reindex }
    "/tenants/{tenant}/spending" => { get: spending::show }
    "/tenants/{tenant}/conversations" => { get: conversations::list }
    "/tenants/{tenant}/conversations/{conversation}" => { get: conversations::show }
    "/tenants/{tenant}/conversations/{conversation}/messages" => {
        get: conversations::messages, post: operator::reply
    }
    "/tenants/{tenant}/conversations/{conversation}/messages/{message}/files/{place}" => { get: media::of_message }
    "/tenants/{tenant}/media" => { post: media::upload }
    "/tenants/{tenant}/conversations/{conversation}/turns" => { get: conversations::turns }
    "/tenants/{tenant}/conversations/{conversation}/turns/{turn}" => { get: conversations::turn }
    "/tenants/{tenant}/conversations/{conversation}/snapshot" => { get: conversations::snapshot }
    "/tenants/{tenant}/conversations/{conversation}/takeover" => { post: operator::take_over }
    "/tenants/{tenant}/conversations/{conversation}/handback" => { post: operator::hand_back }
    "/tenants/{tenant}/conversations/{conversation}/assign" => { post: operator::assign }
    "/tenants/{tenant}/conversations/{conversation}/notes" => { post: operator::note }
    "/tenants/{tenant}/events" => { get: events::list }
    "/tenants/{tenant}/dead-letters" => { get: dead_letters::list }
    "/tenants/{tenant}/dead-letters/{dead_letter}/replay" => { post: dead_letters::replay }
    "/tenants/{tenant}/quarantine" => { get: quarantine::of_tenant }
    "/quarantine" => { get: quarantine::of_platform }
    "/checks" => { post: checks::begin }
    "/checks/{check}" => { get: checks::show }
    "/tenants/{tenant}/keys" => { get: keys::list, post: keys::create }
    "/tenants/{tenant}/keys/{key}" => { delete: keys::revoke }
    "/backups" => { get: backups::list, post: backups::make }
    "/tenants/{tenant}/restore" => { post: backups::restore }
    "/tenants/{tenant}/webhooks" => { get: webhooks::list, post: webhooks::create }
    "/tenants/{tenant}/webhooks/{webhook}" => {
        get: webhooks::show, put: webhooks::change, delete: webhooks::remove
    }
    "/tenants/{tenant}/webhooks/{webhook}/test" => { post: webhooks::test }
    "/tenants/{tenant}/webhooks/{webhook}/secret" => { post: webhooks::rotate, delete: webhooks::drop_former }
    "/tenants/{tenant}/webhooks/{webhook}/deliveries" => { get: deliveries::list }
    "/tenants/{tenant}/webhooks/{webhook}/replay" => { post: deliveries::replay }
    "/tenants/{tenant}/live-tickets" => { post: live_tickets::issue }
}

/// Adds everything, to a scope at `/v1`.
pub fn configure(config: &mut web::ServiceConfig) {
    let scope = web::scope("")
        .app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found().into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| {
            Problem::bad_request(format!("the query {}", input::explain(&error.to_string()))).into()
        }))
        .wrap(from_fn(auth::authenticate))
        .configure(resources)
        .default_service(web::to(|| ready(Err::<HttpResponse, _>(Problem::not_found()))));
    config.service(scope);
}

fn wrong_method(methods: &'static [&'static str]) -> actix_web::Route {
    web::to(move || ready(Err::<HttpResponse, _>(Problem::method_not_allowed(methods))))
}

/// The header that makes a request to create something repeatable.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is read by idempotency::Once; this describes it")]
struct IdempotencyKey {
    /// 1 to 255 visible ASCII characters, new for every new request. The same request with the same
    /// key gets the first answer for 24 hours; another request with it is refused (422). It does not
    /// outlast a restart of the server.
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}
