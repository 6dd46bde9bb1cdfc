//! Personal data: a value that can be kept and delivered but not printed.

use serde::{Deserialize, Serialize};

/// Personal data. It has no `Debug`, no `Display` and no log form, so it cannot slip into a log,
/// an error or a panic message; whoever reads it says for what [`Purpose`].
///
/// ```compile_fail
/// println!("{:?}", iassistance_domain::Pii::new("Ada".to_owned()));
/// ```
/// ```compile_fail
/// println!("{}", iassistance_domain::Pii::new("Ada".to_owned()));
/// ```
///
/// It serialises as the bare value: for sealed records and for answers to those who may read them.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    /// Marks a value as personal.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for one of the purposes that the published policy allows. There are no others:
    ///
    /// ```compile_fail
    /// struct Advertising;
    /// iassistance_domain::Pii::new("Ada".to_owned()).reveal(Advertising);
    /// ```
    pub fn reveal(&self, _purpose: impl Purpose) -> &T {
        &self.0
    }

    /// The value itself, for one of the purposes that the published policy allows.
    pub fn into_inner(self, _purpose: impl Purpose) -> T {
        self.0
    }
}

impl<T> From<T> for Pii<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// What personal data may be read for. Closed: a new purpose is a change to this file.
pub trait Purpose: sealed::Sealed {}

macro_rules! purposes {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;
        impl sealed::Sealed for $name {}
        impl Purpose for $name {}
    )*};
}

purposes! {
    /// Routing and handing a message over to its channel, in or out.
    Deliver;
    /// Writing a reply: what the assistant reads.
    Reply;
    /// Showing the tenant its own data.
    TenantView;
    /// Signing in the people who work here, keeping others out, and writing to them about it.
    SignIn;
    /// Serving the rights of the person whom the data is about.
    Rights;
}
