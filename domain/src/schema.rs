//! How the plain values look in the OpenAPI document.

use std::borrow::Cow;

use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
// What its own derive macro implements; there is no other way for a type that is shown as another.
use utoipa::__dev::ComposeSchema;

use crate::id::MediaId;
use crate::{Pii, Timestamp};

impl<T: ToSchema> ComposeSchema for Pii<T> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        T::schema()
    }
}

impl<T: ToSchema> ToSchema for Pii<T> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Personal")
    }
}

impl ComposeSchema for Timestamp {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .description(Some("milliseconds since the Unix epoch"))
            .into()
    }
}

impl ToSchema for Timestamp {}

impl ComposeSchema for MediaId {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("`med_` and 32 hexadecimal digits"))
            .into()
    }
}

impl ToSchema for MediaId {}
