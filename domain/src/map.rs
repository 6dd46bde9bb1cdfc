//! The data map: what every stored field is, what it is kept for, on which basis and for how long.
//!
//! Each stored type says it itself, field by field, through `#[derive(Mapped)]`, and the store takes no type that
//! does not ([ADR 20](../../docs/adr/0020-data-map-at-the-types.md)):
//!
//! ```compile_fail
//! use iassistance_domain::Mapped;
//! #[derive(Mapped)]
//! #[data(purpose = "deliver", basis = "contract", keep = "message")]
//! struct Note {
//!     text: String, // says nothing of itself
//! }
//! ```
//! ```
//! use iassistance_domain::Mapped;
//! #[derive(Mapped)]
//! #[data(purpose = "deliver", basis = "contract", keep = "message")]
//! struct Note {
//!     #[data(content)]
//!     text: String,
//! }
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::privacy::Class;
use crate::{Pii, Timestamp};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $word:ident = $text:literal: $says:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$of])* #[doc = $says] $word,)* }

        impl $name {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$word),*];

            /// Its name, as in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }

            /// What it means.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$word => $says,)* }
            }
        }
    )*};
}

words! {
    /// What a field is.
    Category {
        Id = "id": "A random identifier, which says nothing by itself.",
        Identity = "identity": "What an end user is known by: number, channel id, name, notes about them.",
        Content = "content": "What was written or sent, or was made of it.",
        Account = "account": "Who works with the platform: name, e-mail address, role.",
        Credential = "credential": "A secret, or what a secret is checked with.",
        Technical = "technical": "Addresses, devices, browsers, protocol facts, hashes.",
        Operational = "operational": "Moments, states, counts and reasons of the service.",
        Money = "money": "What something costs.",
        Setting = "setting": "How a tenant or the operator has set the platform up.",
    }
    /// What a field is kept for.
    Use {
        Deliver = "deliver": "Carrying messages between end users and the tenant.",
        Reply = "reply": "Writing replies: what the assistant reads, and its record.",
        TenantView = "tenant_view": "Showing the tenant its own data.",
        SignIn = "sign_in": "Letting people in who work here, and keeping others out.",
        Rights = "rights": "Serving the rights of the people whom data is about, and proving it.",
        Operate = "operate": "Running, securing and billing the service.",
    }
    /// On which legal basis.
    Basis {
        Contract = "contract": "Needed for the service that was agreed with the client.",
        Interest = "interest": "Security, prevention of abuse and improvement of the service.",
        Obligation = "obligation": "Demanded by the law.",
    }
}

/// What a type says for all of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// What they are kept for.
    pub purpose: Use,
    /// On which basis.
    pub basis: Basis,
    /// With which class they go.
    pub keep: Class,
}

/// A field as the map has it.
pub struct Field {
    /// Its name in the JSON.
    pub name: &'static str,
    /// Of which variant it is, if of one.
    pub variant: Option<&'static str>,
    /// What it is; nothing where what it is made of says it.
    pub category: Option<Category>,
    /// What it is kept for, where that is not what its type says.
    pub purpose: Option<Use>,
    /// On which basis, likewise.
    pub basis: Option<Basis>,
    /// With which class it goes, likewise.
    pub keep: Option<Class>,
    /// Whether its own fields stand among those of what holds it.
    pub flat: bool,
    /// What is in it.
    pub shape: Shape,
}

/// A stored type.
pub struct Type {
    /// What it is called in the code.
    pub name: &'static str,
    /// What it says for all of its fields; nothing where what holds it does.
    pub said: Option<Said>,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// What a value is made of.
pub enum Shape {
    /// One value, or a list of such.
    Leaf,
    /// JSON whose form is its writer's.
    Free,
    /// A type with fields.
    Record(fn() -> Type),
    /// The fields of a variant.
    Inline(Vec<Field>),
    /// Values by names that are data themselves.
    Named(Box<Shape>),
}

/// A type whose values may be stored.
pub trait Mapped {
    /// What a value is made of.
    fn shape() -> Shape;
}

macro_rules! leaves {
    ($($leaf:ty),* $(,)?) => {$(
        impl Mapped for $leaf {
            fn shape() -> Shape {
                Shape::Leaf
            }
        }
    )*};
}

leaves! {
    (), bool, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, usize, char, String, Box<str>, Arc<str>, &'static str,
    std::borrow::Cow<'static, str>, Timestamp, std::net::IpAddr, ipnet::IpNet, std::num::NonZeroU32,
}

macro_rules! of_inner {
    ($($(#[$bound:meta])* [$($generics:tt)*] $holder:ty => $inner:ty;)*) => {$(
        impl<$($generics)*> Mapped for $holder {
            fn shape() -> Shape {
                <$inner>::shape()
            }
        }
    )*};
}

of_inner! {
    [T: Mapped] Option<T> => T;
    [T: Mapped] Box<T> => T;
    [T: Mapped] Arc<T> => T;
    [T: Mapped] Vec<T> => T;
    [T: Mapped] VecDeque<T> => T;
    [T: Mapped] BTreeSet<T> => T;
    [T: Mapped, S] HashSet<T, S> => T;
    [T: Mapped, const N: usize] [T; N] => T;
    [T: Mapped] Pii<T> => T;
}

impl<K, V: Mapped> Mapped for BTreeMap<K, V> {
    fn shape() -> Shape {
        Shape::Named(Box::new(V::shape()))
    }
}

impl<K, V: Mapped, S> Mapped for HashMap<K, V, S> {
    fn shape() -> Shape {
        Shape::Named(Box::new(V::shape()))
    }
}

/// Pairs are lists in JSON; what they are made of are values.
impl<A, B> Mapped for (A, B) {
    fn shape() -> Shape {
        Shape::Free
    }
}

impl Mapped for Value {
    fn shape() -> Shape {
        Shape::Free
    }
}

/// A stored field, with everything that is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Where it is in the record: `content.text`, with the variant in brackets where it is of one.
    pub path: String,
    /// What it is.
    pub category: Category,
    /// What it is kept for.
    pub purpose: Use,
    /// On which basis.
    pub basis: Basis,
    /// With which class it goes.
    pub class: Class,
}

/// A field that nothing is said of, although the build let it through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` says neither what it is nor what it is made of, or none of its holders says what it is kept for"
)]
pub struct Unsaid(pub String);

/// How deep types may be nested.
const DEPTH_MAX: usize = 24;

/// All fields of a stored type, with what is said of each. A record that is one value has one line.
///
/// # Errors
/// [`Unsaid`]
pub fn lines(record: &str, shape: &Shape, whole: Option<(Category, Said)>) -> Result<Vec<Line>, Unsaid> {
    let mut found = Vec::new();
    match (shape, whole) {
        (Shape::Record(of), _) => {
            let of = of();
            collect(&of.fields, of.said, "", &mut vec![of.name], &mut found)?;
        }
        (_, Some((category, said))) => found.push(line(record, category, said)),
        _ => return Err(Unsaid(record.to_owned())),
    }
    Ok(found)
}

fn line(path: &str, category: Category, said: Said) -> Line {
    Line { path: path.to_owned(), category, purpose: said.purpose, basis: said.basis, class: said.keep }
}

fn collect(
    fields: &[Field],
    said: Option<Said>,
    above: &str,
    within: &mut Vec<&'static str>,
    found: &mut Vec<Line>,
) -> Result<(), Unsaid> {
    for field in fields {
        let variant = field.variant.map(|variant| format!("[{variant}]")).unwrap_or_default();
        let path = match (above.is_empty(), field.flat) {
            (true, true) => String::new(),
            (false, true) => above.to_owned(),
            (true, false) => format!("{}{variant}", field.name),
            (false, false) => format!("{above}.{}{variant}", field.name),
        };
        let own = said.map(|said| Said {
            purpose: field.purpose.unwrap_or(said.purpose),
            basis: field.basis.unwrap_or(said.basis),
            keep: field.keep.unwrap_or(said.keep),
        });
        let mut shape = &field.shape;
        let mut path = path;
        while let Shape::Named(inner) = shape {
            path.push_str(".*");
            shape = inner;
        }
        match (shape, field.category) {
            (Shape::Record(of), category) => {
                let of = of();
                if within.contains(&of.name) || within.len() > DEPTH_MAX {
                    continue;
                }
                // Who declares a part decides for it; what it is kept for may be the part's own.
                let deeper = of.said.or(own);
                within.push(of.name);
                collect(&of.fields, deeper, &path, within, found)?;
                within.pop();
                if let (Some(category), Some(own), true) = (category, own, of.fields.is_empty()) {
                    found.push(line(&path, category, own));
                }
            }
            (Shape::Inline(fields), _) => collect(fields, own, &path, within, found)?,
            (Shape::Leaf | Shape::Free | Shape::Named(_), Some(category)) => {
                let own = own.ok_or_else(|| Unsaid(path.clone()))?;
                found.push(line(&path, category, own));
            }
            (Shape::Leaf | Shape::Free | Shape::Named(_), None) => return Err(Unsaid(path)),
        }
    }
    Ok(())
}

/// What a stored value has that its type does not say: the paths of it, none where they agree.
pub fn unknown_in(shape: &Shape, value: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    look(shape, value, "", &mut unknown, &mut |_| ());
    unknown
}

/// The declared fields that a stored value has, by the names of [`lines`] without variants.
pub fn seen_in(shape: &Shape, value: &Value, mut see: impl FnMut(&str)) {
    look(shape, value, "", &mut Vec::new(), &mut see);
}

fn look(shape: &Shape, value: &Value, path: &str, unknown: &mut Vec<String>, see: &mut dyn FnMut(&str)) {
    match (shape, value) {
        // A variant without fields is its name.
        (_, Value::Null) | (Shape::Free, _) | (Shape::Record(_) | Shape::Inline(_), Value::String(_)) => {}
        (Shape::Named(inner), Value::Object(entries)) => {
            for value in entries.values() {
                look(inner, value, &format!("{path}.*"), unknown, see);
            }
        }
        (_, Value::Array(items)) => items.iter().for_each(|item| look(shape, item, path, unknown, see)),
        (Shape::Record(of), Value::Object(_)) => look_at(&of().fields, value, path, unknown, see),
        (Shape::Inline(fields), Value::Object(_)) => look_at(fields, value, path, unknown, see),
        (Shape::Leaf, Value::Object(_)) | (Shape::Record(_) | Shape::Inline(_) | Shape::Named(_), _) => {
            unknown.push(path.to_owned());
        }
        (Shape::Leaf, _) => {}
    }
}

fn look_at(
    fields: &[Field],
    value: &Value,
    path: &str,
    unknown: &mut Vec<String>,
    see: &mut dyn FnMut(&str),
) {
    let Value::Object(entries) = value else { return };
    let mut all = Vec::new();
    flattened(fields, &mut all, 0);
    for (name, value) in entries {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        // Variants may have fields of one name and different forms: the one counts that fits.
        let mut best: Option<(usize, Vec<String>)> = None;
        for (place, (_, shape)) in all.iter().enumerate().filter(|(_, (of, _))| *of == name.as_str()) {
            let mut strange = Vec::new();
            shape(&mut |shape| look(shape, value, &below, &mut strange, &mut |_| ()));
            if best.as_ref().is_none_or(|(_, best)| strange.len() < best.len()) {
                best = Some((place, strange));
            }
        }
        let Some((place, strange)) = best else {
            unknown.push(below);
            continue;
        };
        unknown.extend(strange);
        see(&below);
        all[place].1(&mut |shape| look(shape, value, &below, &mut Vec::new(), see));
    }
}

type WithShape<'a> = Box<dyn Fn(&mut dyn FnMut(&Shape)) + 'a>;

/// All fields by their names, those of flat ones among them.
fn flattened<'a>(fields: &'a [Field], all: &mut Vec<(&'a str, WithShape<'a>)>, depth: usize) {
    for field in fields {
        if !field.flat {
            let shape = &field.shape;
            all.push((field.name, Box::new(move |with| with(shape))));
            continue;
        }
        if let Shape::Inline(fields) = &field.shape {
            flattened(fields, all, depth + 1);
        }
        if let Shape::Record(of) = field.shape
            && depth < DEPTH_MAX
        {
            for (place, inner) in of().fields.iter().enumerate() {
                if inner.flat {
                    flat_of(of, place, all, depth + 1);
                } else {
                    all.push((
                        inner.name,
                        Box::new(move |with| {
                            if let Some(field) = of().fields.get(place) {
                                with(&field.shape);
                            }
                        }),
                    ));
                }
            }
        }
    }
}

fn flat_of<'a>(of: fn() -> Type, place: usize, all: &mut Vec<(&'a str, WithShape<'a>)>, depth: usize) {
    let Some(Field { shape: Shape::Record(inner), .. }) = of().fields.into_iter().nth(place) else { return };
    if depth > DEPTH_MAX {
        return;
    }
    for (place, field) in inner().fields.iter().enumerate() {
        if field.flat {
            flat_of(inner, place, all, depth + 1);
        } else {
            all.push((
                field.name,
                Box::new(move |with| {
                    if let Some(field) = inner().fields.get(place) {
                        with(&field.shape);
                    }
                }),
            ));
        }
    }
}
