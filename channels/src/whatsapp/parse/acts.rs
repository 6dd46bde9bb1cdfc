//! What end users do that is no message: they call, refuse advertising, get another id.

use iassistance_domain::channel::ChannelAddress;
use iassistance_domain::inbound::InboundKind;
use iassistance_domain::{Pii, Timestamp};

use super::{Value, identity};
use crate::json::{Scalar, shape};
use crate::moment::moment;
use crate::parse::{Reading, hashed};

shape! {
    /// Meta: Cloud API, "Calling", `calls[]`.
    struct Call<'a> {
        id: Scalar<'a>,
        from: Scalar<'a>,
        from_user_id: Scalar<'a>,
        to: Scalar<'a>,
        to_user_id: Scalar<'a>,
        event: Scalar<'a>,
        direction: Scalar<'a>,
        timestamp: Scalar<'a>,
    }
}

/// A call of theirs lets the business write for a while; one of the business does not.
pub(super) fn calls(reading: &mut Reading, channel: Option<&ChannelAddress>, value: &Value<'_>) {
    for raw in reading.each(&value.calls) {
        let call: Call<'_> = raw.object().unwrap_or_default();
        let theirs = match call.direction.id() {
            Some(direction) => direction.eq_ignore_ascii_case("USER_INITIATED"),
            None => !value.is_own(call.from),
        };
        let who =
            if theirs { identity(call.from, call.from_user_id) } else { identity(call.to, call.to_user_id) };
        let (Some(contact), Some(id)) = (who.clone(), call.id.id()) else {
            reading.keep(channel, "calls", who, raw.get());
            continue;
        };
        let event = call.event.id().unwrap_or_default();
        let dedup = ["c:", &id, ":", &event].concat();
        let at = moment(call.timestamp, reading.now);
        let acted = InboundKind::ContactActed {
            contact,
            profile_name: None,
            what: "call".to_owned(),
            referral: None,
            opens_window: theirs,
            raw: Some(Pii::new(raw.get().to_owned())),
        };
        reading.push(channel, dedup, at, acted);
    }
    for status in reading.each(&value.statuses) {
        let contact = status.raw.object::<Party<'_>>().and_then(|party| party.contact());
        reading.keep(channel, "calls.status", contact, status.raw.get());
    }
    for raw in reading.each(&value.errors) {
        reading.keep(channel, "value.errors", None, raw.get());
    }
}

shape! {
    /// Whom an element is about.
    struct Party<'a> {
        wa_id: Scalar<'a>,
        user_id: Scalar<'a>,
        recipient_id: Scalar<'a>,
        recipient_user_id: Scalar<'a>,
        contact: Scalar<'a>,
    }
}

impl Party<'_> {
    fn contact(&self) -> Option<iassistance_domain::contact::ContactIdentity> {
        identity(self.wa_id, self.user_id)
            .or_else(|| identity(self.recipient_id, self.recipient_user_id))
            .or_else(|| identity(self.contact.member("phone_number"), self.contact.member("user_id")))
    }
}

shape! {
    /// Meta: `user_preferences[]`.
    struct Preference<'a> {
        wa_id: Scalar<'a>,
        user_id: Scalar<'a>,
        category: Scalar<'a>,
        value: Scalar<'a>,
        timestamp: Scalar<'a>,
    }
}

pub(super) fn preferences(reading: &mut Reading, channel: Option<&ChannelAddress>, value: &Value<'_>) {
    for raw in reading.each(&value.user_preferences) {
        let said: Preference<'_> = raw.object().unwrap_or_default();
        let who = identity(said.wa_id, said.user_id);
        let marketing = !said.category.is_some() || said.category.is("marketing_messages");
        let allowed = match said.value.id().as_deref() {
            Some("stop") => Some(false),
            Some("resume") => Some(true),
            _ => None,
        };
        let (Some(contact), Some(allowed), true) = (who.clone(), allowed, marketing) else {
            reading.keep(channel, "user_preferences", who, raw.get());
            continue;
        };
        let parts = [said.wa_id, said.user_id, said.value, said.timestamp].map(Scalar::get);
        let at = moment(said.timestamp, reading.now);
        let kind = InboundKind::MarketingChanged { contact, allowed };
        reading.push(channel, hashed("p", &parts), at, kind);
    }
}

shape! {
    /// What is known of it varies: the ids are told beside each other or within `user_id`.
    struct NewId<'a> {
        wa_id: Scalar<'a>,
        user_id: Scalar<'a>,
        previous_user_id: Scalar<'a>,
        old_user_id: Scalar<'a>,
        current_user_id: Scalar<'a>,
        new_user_id: Scalar<'a>,
        timestamp: Scalar<'a>,
    }
}

impl<'a> NewId<'a> {
    fn was(&self) -> Scalar<'a> {
        let told = [
            self.previous_user_id,
            self.old_user_id,
            self.user_id.member("previous"),
            self.user_id.member("old"),
        ];
        first(&told)
    }

    fn is(&self) -> Scalar<'a> {
        let told = [
            self.current_user_id,
            self.new_user_id,
            self.user_id.member("current"),
            self.user_id.member("new"),
            self.user_id,
        ];
        first(&told)
    }
}

fn first<'a>(told: &[Scalar<'a>]) -> Scalar<'a> {
    told.iter().copied().find(|told| told.id().is_some()).unwrap_or_default()
}

/// Somebody's business-scoped id was changed.
pub(super) fn new_ids(reading: &mut Reading, channel: Option<&ChannelAddress>, value: &Value<'_>) {
    for raw in reading.each(&value.user_id_update) {
        let said: NewId<'_> = raw.object().unwrap_or_default();
        let (from, to) = (identity(said.wa_id, said.was()), identity(said.wa_id, said.is()));
        match (from, to) {
            (Some(from), Some(to)) if from != to => {
                let at: Timestamp = moment(said.timestamp, reading.now);
                let kind = InboundKind::IdentityChanged { from, to };
                reading.push(channel, hashed("i", &[raw.get()]), at, kind);
            }
            (from, to) => reading.keep(channel, "user_id_update", from.or(to), raw.get()),
        }
    }
}

/// The owner's address book on the phone.
pub(super) fn address_book(reading: &mut Reading, channel: Option<&ChannelAddress>, value: &Value<'_>) {
    for raw in reading.each(&value.state_sync) {
        let contact = raw.object::<Party<'_>>().and_then(|party| party.contact());
        reading.keep(channel, "smb_app_state_sync", contact, raw.get());
    }
}
