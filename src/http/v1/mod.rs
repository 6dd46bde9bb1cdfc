//! Administration by REST, version 1: one file per group of endpoints.
//!
//! [`ROUTES`] is the one table of routes: what is served and what the OpenAPI document describes both
//! come of it. Nothing here answers without a credential.

use std::future::ready;

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};
use utoipa::OpenApi;

use super::{Problem, auth};

mod access_log;
mod accounts;
mod agencies;
mod assistant;
mod assistant_draft;
mod assistant_versions;
mod audit;
mod backups;
mod break_glass;
mod certificates;
mod channels;
mod checks;
mod contacts;
mod conversations;
mod data_map;
mod dead_letters;
mod deliveries;
mod disclosures;
mod email;
mod erasures;
mod events;
mod export;
mod factors;
mod golden;
mod holds;
mod incidents;
mod input;
mod invitations;
mod keys;
mod knowledge;
mod live_tickets;
mod me;
mod media;
mod members;
mod meta_apps;
mod notice;
mod operator;
mod orders;
mod page;
mod passwords;
mod proof;
mod quarantine;
mod rehearsals;
mod retention;
mod rights;
mod rights_view;
mod search;
mod settings_form;
mod sign_in;
mod signature;
mod spending;
mod tag;
mod tenants;
#[cfg(test)]
mod tests;
mod turn_view;
mod unrouted;
mod view;
mod waiting;
mod webhooks;

pub use data_map::DataMapView;
pub use export::EXPORTS_MAX;
pub use settings_form::SettingsView;
pub use signature::Signature;
pub use tag::{HEADER_BYTES_MAX, IfNoneMatch, unchanged};
pub use view::Problems;

/// Where those sign in who have no credential yet.
const AUTH: &str = "/auth";

macro_rules! routes {
    ($($path:literal => { $($method:ident: $group:ident::$handler:ident),+ })+) => {
        /// Every route under `/v1`, and its methods.
        pub const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];

        /// What each handler's signature says: path, method and that.
        pub fn signatures() -> Vec<(&'static str, &'static str, Signature)> {
            vec![$($(($path, stringify!($method), signature::of($group::$handler))),+),+]
        }

        /// What the OpenAPI document says of them.
        #[derive(OpenApi)]
        #[openapi(paths($($($group::$handler),+),+))]
        pub struct Documented;

        /// Those that are under `/auth`, or the others.
        fn resources(config: &mut web::ServiceConfig, of_auth: bool) {
            $(if $path.starts_with(AUTH) == of_auth {
                config.service(
                    web::resource($path.strip_prefix(AUTH).unwrap_or($path))
                        $(.route(web::$method().to($group::$handler)))+
                        .default_service(wrong_method(&[$(stringify!($method)),+])),
                );
            })+
        }
    };
}

routes! {
    "/auth/sign-in" => { post: sign_in::with_password }
    "/auth/second-factor" => { post: sign_in::second_factor }
    "/auth/second-factor/passkey" => { post: sign_in::second_factor_passkey }
    "/auth/passkey" => { post: sign_in::ask_passkey }
    "/auth/passkey/sign-in" => { post: sign_in::with_passkey }
    "/auth/link" => { post: sign_in::with_link }
    "/auth/supabase" => { post: sign_in::with_supabase }
    "/auth/sign-out" => { post: sign_in::sign_out }
    "/auth/me" => { get: me::show, put: me::change }
    "/auth/sessions" => { get: me::sessions, delete: me::end_other_sessions }
    "/auth/sessions/{session}" => { delete: me::end_session }
    "/auth/step-up" => { post: me::step_up }
    "/auth/step-up/passkey" => { post: me::step_up_passkey }
    "/auth/email" => { post: email::change }
    "/auth/email/confirm" => { post: email::confirm }
    "/auth/password" => { put: passwords::change }
    "/auth/password/forgotten" => { post: passwords::forgotten }
    "/auth/password/reset" => { post: passwords::reset }
    "/auth/invitations/accept" => { post: passwords::accept }
    "/auth/totp" => { post: factors::add_totp, delete: factors::remove_totp }
    "/auth/totp/confirm" => { post: factors::confirm_totp }
    "/auth/recovery-codes" => { post: factors::recovery_codes }
    "/auth/passkeys" => { post: factors::add_passkey }
    "/auth/passkeys/question" => { post: factors::ask_passkey }
    "/auth/passkeys/{passkey}" => { delete: factors::remove_passkey }
    "/tenants" => { get: tenants::list, post: tenants::create }
    "/tenants/{tenant}" => { get: tenants::show, put: tenants::change }
    "/tenants/{tenant}/suspend" => { post: tenants::suspend }
    "/tenants/{tenant}/resume" => { post: tenants::resume }
    "/tenants/{tenant}/close" => { post: tenants::close }
    "/tenants/{tenant}/agency-reading" => { put: tenants::agency_reading }
    "/tenants/{tenant}/members" => { get: members::list }
    "/tenants/{tenant}/members/{account}" => {
        get: members::show, put: members::change, delete: members::remove_from_tenant
    }
    "/tenants/{tenant}/invitations" => { get: invitations::to_tenant, post: invitations::invite_to_tenant }
    "/tenants/{tenant}/invitations/{invitation}" => {
        get: invitations::show, delete: invitations::take_back_from_tenant
    }
    "/tenants/{tenant}/break-glass" => { get: break_glass::list, post: break_glass::ask }
    "/tenants/{tenant}/break-glass/{grant}" => { get: break_glass::show }
    "/tenants/{tenant}/break-glass/{grant}/approve" => { post: break_glass::approve }
    "/tenants/{tenant}/break-glass/{grant}/end" => { post: break_glass::end }
    "/agencies" => { get: agencies::list, post: agencies::create }
    "/agencies/{agency}" => { get: agencies::show, put: agencies::change }
    "/agencies/{agency}/members" => { get: members::of_agency }
    "/agencies/{agency}/members/{account}" => {
        get: members::show_of_agency, delete: members::remove_from_agency
    }
    "/agencies/{agency}/invitations" => { get: invitations::to_agency, post: invitations::invite_to_agency }
    "/agencies/{agency}/invitations/{invitation}" => { delete: invitations::take_back_from_agency }
    "/accounts" => { get: accounts::list }
    "/accounts/{account}" => { get: accounts::show, put: accounts::change, delete: accounts::remove }
    "/owners/invitations" => { get: invitations::to_own, post: invitations::invite_owner }
    "/owners/invitations/{invitation}" => { delete: invitations::take_back_owner }
    "/keys" => { get: keys::list_of_platform, post: keys::create_of_platform }
    "/keys/{key}" => { get: keys::show_of_platform, delete: keys::revoke_of_platform }
    "/meta-apps" => { get: meta_apps::list, post: meta_apps::create }
    "/meta-apps/{meta_app}" => { get: meta_apps::show, put: meta_apps::change }
    "/meta-apps/{meta_app}/channels" => { get: meta_apps::channels }
    "/unrouted" => { get: unrouted::list }
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
    "/tenants/{tenant}/golden/{golden}" => { get: golden::show, put: golden::change, delete: golden::remove }
    "/tenants/{tenant}/knowledge" => { get: knowledge::list, post: knowledge::add }
    "/tenants/{tenant}/knowledge/search" => { get: knowledge::search }
    "/tenants/{tenant}/knowledge/{document}" => { get: knowledge::show, delete: knowledge::remove }
    "/tenants/{tenant}/knowledge/{document}/passages" => { get: knowledge::passages }
    "/tenants/{tenant}/knowledge/{document}/reindex" => { post: knowledge::reindex }
    "/tenants/{tenant}/spending" => { get: spending::show }
    "/tenants/{tenant}/contacts" => { get: contacts::list }
    "/tenants/{tenant}/contacts/{contact}" => { get: contacts::show }
    "/tenants/{tenant}/contacts/{contact}/consents" => { get: rights::consents }
    "/tenants/{tenant}/contacts/{contact}/corrections" => { get: rights::corrections }
    "/tenants/{tenant}/rights" => { get: rights::list, post: rights::open }
    "/tenants/{tenant}/rights/{case}" => { get: rights::show }
    "/tenants/{tenant}/rights/{case}/steps" => { post: rights::step }
    "/tenants/{tenant}/rights/{case}/data" => { get: rights::data }
    "/tenants/{tenant}/contacts/{contact}/disclosures" => { get: disclosures::list }
    "/tenants/{tenant}/contacts/{contact}/erasure" => { post: erasures::erase }
    "/tenants/{tenant}/erasures" => { get: erasures::list }
    "/tenants/{tenant}/erasures/{erasure}" => { get: erasures::show }
    "/tenants/{tenant}/holds" => { get: holds::list, post: holds::lay }
    "/tenants/{tenant}/holds/{hold}" => { get: holds::show, delete: holds::release }
    "/tenants/{tenant}/notice" => { get: notice::draft }
    "/tenants/{tenant}/retention" => { get: retention::show, put: retention::change }
    "/tenants/{tenant}/retention/{id}" => { get: retention::explain }
    "/certificates" => { get: certificates::list }
    "/certificates/{destroyed}" => { get: certificates::show }
    "/privacy/data-map" => { get: data_map::show }
    "/tenants/{tenant}/export/{kind}" => { get: export::export }
    "/tenants/{tenant}/conversations" => { get: conversations::list }
    "/tenants/{tenant}/conversations/search" => { post: search::find }
    "/tenants/{tenant}/conversations/{conversation}" => { get: conversations::show }
    "/tenants/{tenant}/conversations/{conversation}/messages" => {
        get: conversations::messages, post: operator::reply
    }
    "/tenants/{tenant}/conversations/{conversation}/messages/{message}" => { get: conversations::message }
    "/tenants/{tenant}/conversations/{conversation}/messages/{message}/files/{place}" => { get: media::of_message }
    "/tenants/{tenant}/media" => { post: media::upload }
    "/tenants/{tenant}/conversations/{conversation}/turns" => { get: conversations::turns }
    "/tenants/{tenant}/conversations/{conversation}/turns/{turn}" => { get: conversations::turn }
    "/tenants/{tenant}/conversations/{conversation}/snapshot" => { get: conversations::snapshot }
    "/tenants/{tenant}/conversations/{conversation}/outbox" => { get: waiting::outbox }
    "/tenants/{tenant}/conversations/{conversation}/summary" => { get: waiting::summary }
    "/tenants/{tenant}/conversations/{conversation}/takeover" => { post: operator::take_over }
    "/tenants/{tenant}/conversations/{conversation}/handback" => { post: operator::hand_back }
    "/tenants/{tenant}/conversations/{conversation}/assign" => { post: operator::assign }
    "/tenants/{tenant}/conversations/{conversation}/notes" => { post: operator::note }
    "/tenants/{tenant}/events" => { get: events::list }
    "/tenants/{tenant}/dead-letters" => { get: dead_letters::list }
    "/tenants/{tenant}/dead-letters/{dead_letter}" => { get: dead_letters::show }
    "/tenants/{tenant}/dead-letters/{dead_letter}/replay" => { post: dead_letters::replay }
    "/tenants/{tenant}/quarantine" => { get: quarantine::of_tenant }
    "/quarantine" => { get: quarantine::of_platform }
    "/checks" => { get: checks::list, post: checks::begin }
    "/checks/{check}" => { get: checks::show }
    "/tenants/{tenant}/keys" => { get: keys::list, post: keys::create }
    "/tenants/{tenant}/keys/{key}" => { get: keys::show, put: keys::change, delete: keys::revoke }
    "/tenants/{tenant}/keys/{key}/rotate" => { post: keys::rotate }
    "/backups" => { get: backups::list, post: backups::make }
    "/backups/{backup}" => { get: backups::show }
    "/tenants/{tenant}/restore" => { post: backups::restore }
    "/tenants/{tenant}/audit" => { get: audit::of_tenant }
    "/tenants/{tenant}/audit/checkpoints" => { get: audit::checkpoints }
    "/tenants/{tenant}/audit/export" => { get: audit::export_tenant }
    "/tenants/{tenant}/access-log" => { get: access_log::of_tenant }
    "/audit" => { get: audit::of_platform }
    "/audit/checkpoints" => { get: audit::checkpoints_of_platform }
    "/audit/export" => { get: audit::export_platform }
    "/access-log" => { get: access_log::of_platform }
    "/me/access-log" => { get: access_log::own }
    "/incidents" => { get: incidents::list, post: incidents::open }
    "/incidents/{incident}" => { get: incidents::show, put: incidents::change }
    "/incidents/{incident}/scope" => { post: incidents::scope }
    "/incidents/{incident}/drafts" => { get: incidents::draft }
    "/incidents/{incident}/dossier" => { get: incidents::file }
    "/incidents/{incident}/told" => { post: incidents::told }
    "/incidents/{incident}/close" => { post: incidents::close }
    "/tenants/{tenant}/orders" => { get: orders::list, post: orders::enter }
    "/tenants/{tenant}/orders/{order}" => { get: orders::show }
    "/tenants/{tenant}/orders/{order}/approve" => { post: orders::approve }
    "/tenants/{tenant}/orders/{order}/tell" => { post: orders::tell }
    "/tenants/{tenant}/orders/{order}/answer" => { post: orders::answer }
    "/tenants/{tenant}/webhooks" => { get: webhooks::list, post: webhooks::create }
    "/tenants/{tenant}/webhooks/{webhook}" => {
        get: webhooks::show, put: webhooks::change, delete: webhooks::remove
    }
    "/tenants/{tenant}/webhooks/{webhook}/test" => { post: webhooks::test }
    "/tenants/{tenant}/webhooks/{webhook}/secret" => { post: webhooks::rotate, delete: webhooks::drop_former }
    "/tenants/{tenant}/webhooks/{webhook}/deliveries" => { get: deliveries::list }
    "/tenants/{tenant}/webhooks/{webhook}/deliveries/{delivery}" => { get: deliveries::show }
    "/tenants/{tenant}/webhooks/{webhook}/replay" => { post: deliveries::replay }
    "/tenants/{tenant}/live-tickets" => { post: live_tickets::issue }
}

/// Adds everything, to a scope at `/v1`.
pub fn configure(config: &mut web::ServiceConfig) {
    let nothing = || web::to(|| ready(Err::<HttpResponse, _>(Problem::not_found())));
    let signing_in = web::scope(AUTH)
        .configure(refusals)
        .wrap(from_fn(auth::recognise))
        .configure(|config| resources(config, true))
        .default_service(nothing());
    let others = web::scope("")
        .configure(refusals)
        .wrap(from_fn(auth::authenticate))
        .configure(|config| resources(config, false))
        .default_service(nothing());
    config.service(signing_in).service(others);
}

/// What cannot be read is refused in words.
fn refusals(config: &mut web::ServiceConfig) {
    config.app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found().into()));
}

fn wrong_method(methods: &'static [&'static str]) -> actix_web::Route {
    web::to(move || ready(Err::<HttpResponse, _>(Problem::method_not_allowed(methods))))
}
