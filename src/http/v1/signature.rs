//! What a handler's signature says of its route: who may ask, what it reads. The OpenAPI document takes it
//! from there, so that it cannot say anything else.

use actix_web::{Handler, HttpRequest, web};

use iassistance_domain::permission::Act;

use super::input::{Body, Query};
use super::tag::{IfMatch, IfNoneMatch};
use crate::http::auth::{Allowed, Right};
use crate::http::idempotency::Once;
use crate::http::sessions::Anybody;

/// What a route asks for and reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a part of a signature that is there or not")]
pub struct Signature {
    /// The act that it asks for; none where nobody has a credential yet.
    pub act: Option<Act>,
    /// Whether it is for those too who must add a second factor first.
    pub enrols: bool,
    /// Whether its path has parameters.
    pub path: bool,
    /// Whether it has a query.
    pub query: bool,
    /// Whether it takes a body of JSON.
    pub json: bool,
    /// Whether it takes a body of any other type.
    pub raw: bool,
    /// Whether it takes an `Idempotency-Key`.
    pub once: bool,
    /// Whether it takes `If-Match`.
    pub if_match: bool,
    /// Whether it takes `If-None-Match`.
    pub if_none_match: bool,
}

/// A part of a signature.
pub trait Part {
    /// Notes what it says.
    fn note(_: &mut Signature) {}
}

impl<T: 'static> Part for web::Data<T> {}
impl Part for HttpRequest {}
impl Part for Anybody {}

impl<R: Right> Part for Allowed<R> {
    fn note(signature: &mut Signature) {
        signature.act = Some(R::ACT);
        signature.enrols = R::ENROLS;
    }
}

impl<T> Part for web::Path<T> {
    fn note(signature: &mut Signature) {
        signature.path = true;
    }
}

impl<T> Part for Query<T> {
    fn note(signature: &mut Signature) {
        signature.query = true;
    }
}

impl<T> Part for Body<T> {
    fn note(signature: &mut Signature) {
        signature.json = true;
    }
}

impl Part for web::Payload {
    fn note(signature: &mut Signature) {
        signature.raw = true;
    }
}

impl Part for Once {
    fn note(signature: &mut Signature) {
        signature.once = true;
    }
}

impl Part for IfMatch {
    fn note(signature: &mut Signature) {
        signature.if_match = true;
    }
}

impl Part for IfNoneMatch {
    fn note(signature: &mut Signature) {
        signature.if_none_match = true;
    }
}

/// All parts of a signature.
pub trait Parts {
    /// What they say together.
    fn signature() -> Signature;
}

macro_rules! parts {
    ($($part:ident)*) => {
        impl<$($part: Part),*> Parts for ($($part,)*) {
            fn signature() -> Signature {
                let mut signature = Signature::default();
                $($part::note(&mut signature);)*
                signature
            }
        }
    };
}

parts! { A }
parts! { A B }
parts! { A B C }
parts! { A B C D }
parts! { A B C D E }
parts! { A B C D E F }
parts! { A B C D E F G }
parts! { A B C D E F G H }

/// What the signature of a handler says.
pub fn of<F: Handler<Args>, Args: Parts>(_: F) -> Signature {
    Args::signature()
}
