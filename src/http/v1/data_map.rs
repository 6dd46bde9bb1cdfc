//! The data map: what every stored field is, what it is kept for, on which basis and for how long.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use iassistance_domain::map::{Basis, Category, Line, Use};
use iassistance_domain::privacy::Class;
use iassistance_storage::keeping::{MappedKind, data_map};

use super::tag::{self, IfNoneMatch};
use super::view::Problems;
use crate::http::auth::{Allowed, acts};
use crate::http::{Problem, State};

/// A stored field.
#[derive(Serialize, ToSchema)]
pub struct DataMapField {
    /// Where it is in its record: `content.text`, with the variant in brackets where it is of one.
    path: String,
    /// What it is.
    category: &'static str,
    /// What it is kept for.
    purpose: &'static str,
    /// On which legal basis.
    basis: &'static str,
    /// With which class it goes.
    class: Class,
}

impl From<Line> for DataMapField {
    fn from(line: Line) -> Self {
        let Line { path, category, purpose, basis, class } = line;
        Self { path, category: category.name(), purpose: purpose.name(), basis: basis.name(), class }
    }
}

/// A kind of record.
#[derive(Serialize, ToSchema)]
pub struct DataMapKind {
    /// What it is called.
    kind: &'static str,
    /// Where it is: a `tenant`'s part of the store, the `platform`'s, `both`, or `files`.
    tree: &'static str,
    /// Its fields.
    fields: Vec<DataMapField>,
}

impl From<MappedKind> for DataMapKind {
    fn from(kind: MappedKind) -> Self {
        let MappedKind { kind, tree, fields } = kind;
        Self { kind, tree, fields: fields.into_iter().map(DataMapField::from).collect() }
    }
}

/// For how long a class is kept.
#[derive(Serialize, ToSchema)]
pub struct DataMapClass {
    /// Which.
    class: Class,
    /// How long, in words.
    kept: &'static str,
}

/// A word of the map, and what it means.
#[derive(Serialize, ToSchema)]
pub struct DataMapWord {
    /// The word.
    name: &'static str,
    /// What it means.
    means: &'static str,
}

/// The words of the map.
#[derive(Serialize, ToSchema)]
pub struct DataMapWords {
    /// What a field may be.
    categories: Vec<DataMapWord>,
    /// What it may be kept for.
    purposes: Vec<DataMapWord>,
    /// On which basis.
    bases: Vec<DataMapWord>,
}

/// The data map of this version.
#[derive(Serialize, ToSchema)]
#[schema(as = DataMap)]
pub struct DataMapView {
    /// Every kind of record that is stored.
    kinds: Vec<DataMapKind>,
    /// For how long what is kept.
    classes: Vec<DataMapClass>,
    /// What the words mean.
    words: DataMapWords,
}

impl DataMapView {
    /// The map of this version, which needs no store.
    pub fn of_this_version() -> Self {
        let word = |name, means| DataMapWord { name, means };
        Self {
            kinds: data_map().into_iter().map(DataMapKind::from).collect(),
            classes: Class::ALL.into_iter().map(|class| DataMapClass { class, kept: class.rule() }).collect(),
            words: DataMapWords {
                categories: Category::ALL.iter().map(|it| word(it.name(), it.says())).collect(),
                purposes: Use::ALL.iter().map(|it| word(it.name(), it.says())).collect(),
                bases: Basis::ALL.iter().map(|it| word(it.name(), it.says())).collect(),
            },
        }
    }
}

/// The data map
///
/// What every stored field is, what it is kept for, on which legal basis and for how long. It comes of the types
/// that are stored, and no build has a field without it.
#[utoipa::path(get, path = "/privacy/data-map", tag = "privacy", operation_id = "show_data_map",
    responses((status = 200, body = DataMapView), Problems))]
pub async fn show(
    state: web::Data<State>,
    _allowed: Allowed<acts::SeeDataMap>,
    has: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let map = DataMapView::of_this_version();
    Ok(has.show(&tag::of(&state, &map)?, &map))
}
