//! Reading JSON that may be anything.
//!
//! A webhook holds many elements of many tenants, and one that is odd must cost itself alone. So
//! lists are split into raw elements first, an object is read member by member, and whatever has
//! another type than expected reads as absent. Text is decoded last, from its own raw element: a
//! lone surrogate, which makes JSON that no parser turns into text, spoils one value.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// An object whose members are read by name. Later duplicates of a name win.
pub(crate) trait Shape<'a>: Default {
    /// Takes the member `name`, whose value is next in `map`, or leaves it to [`skip`].
    fn member<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

/// Passes over a member that is not wanted; does not recurse, however deep it nests.
pub(crate) fn skip<'a, A: MapAccess<'a>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// An object, or nothing when it is anything else.
pub(crate) struct Object<T>(pub(crate) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// The raw elements of a list, or nothing when it is anything else.
#[derive(Default)]
pub(crate) struct List<'a>(pub(crate) Option<Vec<&'a RawValue>>);

impl<'a> List<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a RawValue> + '_ {
        self.0.iter().flatten().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, Vec::len)
    }
}

/// The objects of a list, read at one go, or nothing when it is anything else.
pub(crate) struct Objects<T>(pub(crate) Option<Vec<Object<T>>>);

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// One value, whatever it is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scalar<'a>(Option<&'a RawValue>);

impl<'a> Scalar<'a> {
    /// Whether there is a value that is not `null`.
    pub(crate) fn is_some(self) -> bool {
        self.0.is_some_and(|raw| raw.get() != "null")
    }

    /// Whether it is written so, or as a string of it: flags come both ways.
    pub(crate) fn is(self, word: &str) -> bool {
        self.0.is_some_and(|raw| raw.get().trim_matches('"') == word)
    }

    /// Its text, for an id or a text: a string as it reads, a number as it is written (so no digit
    /// of a large one is lost). Nothing for anything else and for what is no text.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let raw = self.0?.get();
        match raw.as_bytes().first()? {
            b'"' => unquote(raw),
            b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
            _ => None,
        }
    }

    /// Its text, unless there is nothing to see in it.
    pub(crate) fn id(self) -> Option<Cow<'a, str>> {
        self.text().filter(|text| !text.trim().is_empty())
    }

    /// A whole number, or a string of one.
    pub(crate) fn integer(self) -> Option<i64> {
        self.text()?.trim().parse().ok()
    }

    /// The object that it is, if it is one.
    pub(crate) fn object<T: Shape<'a>>(self) -> Option<T> {
        self.0.and_then(|raw| object(raw.get()))
    }
}

/// The object in `json`, if it is one and nothing else.
pub(crate) fn object<'a, T: Shape<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str::<Object<T>>(json).ok().and_then(|object| object.0)
}

/// A raw JSON string, decoded; borrowed when nothing in it is escaped.
fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Self(Some(raw)))
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData)).map(Self)
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Objects<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData)).map(Self)
    }
}

/// What both visitors answer to a value that is neither list nor object.
macro_rules! otherwise_nothing {
    ($value:ty) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON value")
        }

        fn visit_bool<Error>(self, _: bool) -> Result<$value, Error> {
            Ok(Default::default())
        }

        fn visit_i64<Error>(self, _: i64) -> Result<$value, Error> {
            Ok(Default::default())
        }

        fn visit_u64<Error>(self, _: u64) -> Result<$value, Error> {
            Ok(Default::default())
        }

        fn visit_f64<Error>(self, _: f64) -> Result<$value, Error> {
            Ok(Default::default())
        }

        fn visit_str<Error>(self, _: &str) -> Result<$value, Error> {
            Ok(Default::default())
        }

        fn visit_unit<Error>(self) -> Result<$value, Error> {
            Ok(Default::default())
        }
    };
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    otherwise_nothing!(Object<T>);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Object<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Object(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<T>, A::Error> {
        let mut object = T::default();
        // A key is read raw too: one that is no text is a name that nobody asks for.
        while let Some(key) = map.next_key::<&RawValue>()? {
            match unquote(key.get()) {
                Some(name) => object.member(&name, &mut map)?,
                None => skip(&mut map)?,
            }
        }
        Ok(Object(Some(object)))
    }
}

struct ListVisitor<E>(PhantomData<E>);

impl<'de, E: Deserialize<'de>> Visitor<'de> for ListVisitor<E> {
    type Value = Option<Vec<E>>;

    otherwise_nothing!(Option<Vec<E>>);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<Vec<E>>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Some(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Vec<E>>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Declares a [`Shape`] whose members have the names of its fields, or the name that is given.
macro_rules! shape {
    ($(#[$doc:meta])* struct $name:ident<'a> { $($field:ident $(as $member:literal)?: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        struct $name<'a> { $($field: $type),* }

        impl<'a> $crate::json::Shape<'a> for $name<'a> {
            fn member<A: serde::de::MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
                match name {
                    $($crate::json::member_name!($field $($member)?) => self.$field = map.next_value()?,)*
                    _ => $crate::json::skip(map)?,
                }
                Ok(())
            }
        }
    };
}

macro_rules! member_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $member:literal) => {
        $member
    };
}
pub(crate) use {member_name, shape};
