//! What Messenger's and Instagram's webhooks say.
//!
//! Meta: Messenger Platform, "Webhooks"; Instagram Platform, "Webhooks": `{id, time, messaging |
//! standby | changes}`, where the id is the page's or the account's, which is where it is routed.
//! With Instagram Login, and from Meta's dashboard, an event may also come as the value of a change.

mod change;
mod content;
mod event;
mod message;

use std::borrow::Cow;
use std::cell::OnceCell;

use iassistance_domain::Timestamp;
use iassistance_domain::channel::{ChannelAddress, ChannelKind};
use iassistance_domain::inbound::Arrival;

use crate::json::{Cursor, Scalar};
use crate::moment::past;
use crate::parse::Reading;

/// An entry: a page or an account, and what all its events share.
struct Entry<'a> {
    kind: ChannelKind,
    /// Meta's id of the page or account.
    id: Option<Cow<'a, str>>,
    address: Option<ChannelAddress>,
    start: Cursor<'a>,
    time: OnceCell<Scalar<'a>>,
}

impl Entry<'_> {
    /// Whether this is the page or account itself.
    fn is_itself(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }

    /// When something happened: as it says, or else as the entry says.
    fn moment(&self, said: Scalar<'_>, now: Timestamp) -> Timestamp {
        let of_entry = || past(*self.time.get_or_init(|| self.start.find("time")), now);
        past(said, now).or_else(of_entry).unwrap_or(now)
    }

    /// A kind of this product, for what is kept.
    fn kind(&self, what: &str) -> String {
        format!("{}.{what}", self.kind.name())
    }
}

/// Reads one entry: what a page or an account has to say.
pub(crate) fn entry<'a>(reading: &mut Reading, kind: ChannelKind, cursor: &mut Cursor<'a>) {
    let id = cursor.find("id").id();
    let address = id.as_ref().map(|id| ChannelAddress::channel(kind, id.clone().into_owned()));
    let entry = Entry { kind, id, address, start: *cursor, time: OnceCell::new() };
    let mut said = false;
    let (mut field, mut value) = (Scalar::default(), Scalar::default());
    let (raw, _) = cursor.with_raw(|cursor| {
        cursor.members(|name, cursor| {
            let mut any = |arrival: Arrival, cursor: &mut Cursor<'a>| {
                cursor.elements(|cursor| {
                    said = true;
                    event::read(reading, &entry, arrival, cursor);
                });
            };
            match name {
                "messaging" => any(Arrival::Live, cursor),
                "standby" => any(Arrival::Standby, cursor),
                "changes" => {
                    cursor.elements(|cursor| {
                        said = true;
                        let raw = cursor.value();
                        change::read(reading, &entry, raw.member("field"), raw.member("value"), raw);
                    });
                }
                "field" => field = cursor.value(),
                "value" => value = cursor.value(),
                _ => {}
            }
        })
    });
    if field.is_some() && value.is_some() {
        // Instagram's documentation prints comments without `changes`.
        change::read(reading, &entry, field, value, raw);
    } else if !said {
        reading.keep(entry.address.as_ref(), &entry.kind("entry"), None, raw.get());
    }
}
