//! The record of processing (Law 25.326, art. 21; GDPR, art. 30): made of the data map, so that it cannot say
//! anything else.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpResponse, web};
use serde::Serialize;

use iassistance_domain::map::{Basis, Category, Use};
use iassistance_domain::privacy::Class;
use iassistance_storage::keeping::data_map;

use crate::http::State;

/// One processing: what is kept of one kind for one purpose.
#[derive(Debug, Serialize)]
struct Processing {
    /// The kind of record.
    record: &'static str,
    /// Whose it is: `tenant` (the client answers for it, this platform processes it for them), `platform`, `both` or
    /// `files` (of a client's messages).
    tree: &'static str,
    /// What it is kept for.
    purpose: &'static str,
    purpose_says: &'static str,
    /// On which legal basis.
    basis: &'static str,
    basis_says: &'static str,
    /// With which class it goes, and for how long that is kept.
    class: &'static str,
    kept: &'static str,
    /// What it is, field by field.
    fields: BTreeMap<String, &'static str>,
    categories: BTreeSet<&'static str>,
}

/// Adds the route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/v1/privacy/processing-record").route(web::get().to(show)));
}

fn processings() -> Vec<Processing> {
    let mut all = Vec::new();
    for kind in data_map() {
        let mut groups: BTreeMap<(Use, Basis, Class), Vec<(String, Category)>> = BTreeMap::new();
        for line in kind.fields {
            let fields = groups.entry((line.purpose, line.basis, line.class)).or_default();
            fields.push((line.path, line.category));
        }
        all.extend(groups.into_iter().map(|((purpose, basis, class), fields)| Processing {
            record: kind.kind,
            tree: kind.tree,
            purpose: purpose.name(),
            purpose_says: purpose.says(),
            basis: basis.name(),
            basis_says: basis.says(),
            class: class.name(),
            kept: class.rule(),
            categories: fields.iter().map(|(_, category)| category.name()).collect(),
            fields: fields.into_iter().map(|(path, category)| (path, category.name())).collect(),
        }));
    }
    all
}

async fn show(state: web::Data<State>) -> HttpResponse {
    let privacy = &state.app.settings.privacy;
    HttpResponse::Ok().json(serde_json::json!({
        "operator": privacy.operator,
        "address": privacy.address,
        "contact": privacy.contact,
        "processings": processings(),
    }))
}
