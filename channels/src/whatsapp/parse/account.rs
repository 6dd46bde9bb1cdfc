//! What Meta says about a business account, its numbers and its templates, which no number is the
//! address of; and every field that is not known here.

use iassistance_domain::channel::{ChannelAddress, Notice};
use iassistance_domain::inbound::InboundKind;

use super::{Entry, digits};
use crate::json::{Scalar, shape};
use crate::parse::{Reading, hashed};

shape! {
    struct Said<'a> {
        event: Scalar<'a>,
        reason: Scalar<'a>,
        display_phone_number: Scalar<'a>,
        current_limit: Scalar<'a>,
        max_daily_conversations_per_business: Scalar<'a>,
        message_template_name: Scalar<'a>,
        message_template_language: Scalar<'a>,
        new_category: Scalar<'a>,
        new_quality_score: Scalar<'a>,
    }
}

/// Reads a change of which only the business account may be known.
pub(super) fn read(
    reading: &mut Reading,
    entry: &Entry<'_>,
    channel: Option<&ChannelAddress>,
    field: &str,
    value: Scalar<'_>,
    raw: Scalar<'_>,
) {
    let Some(notice) = value.object().and_then(|said| notice(field, &said)) else {
        return reading.keep(channel.or(entry.account()), field, None, raw.get());
    };
    // The same may be said again later, and counts again: it is the same only at the same time.
    let dedup = hashed("n", &[field, entry.time().get(), raw.get()]);
    let address = entry.account().or(channel);
    reading.push(address, dedup, entry.moment(reading.now), InboundKind::Noticed(notice));
}

fn notice(field: &str, said: &Said<'_>) -> Option<Notice> {
    let event = said.event.owned();
    match field {
        "account_update" => Some(Notice::Account { event: event? }),
        "phone_number_quality_update" => {
            let limit = said.current_limit.owned();
            Some(Notice::Quality {
                event: event?,
                number: said.display_phone_number.id().map(|number| digits(&number).collect()),
                limit: limit.or_else(|| said.max_daily_conversations_per_business.owned()),
            })
        }
        "message_template_status_update" => template(said, "status", event?),
        "template_category_update" => template(said, "category", said.new_category.owned()?),
        "message_template_quality_update" => template(said, "quality", said.new_quality_score.owned()?),
        _ => None,
    }
}

/// Meta writes `NONE` where there is no reason.
fn template(said: &Said<'_>, what: &str, value: String) -> Option<Notice> {
    Some(Notice::Template {
        name: said.message_template_name.owned()?,
        language: said.message_template_language.owned()?,
        what: what.to_owned(),
        value,
        reason: said.reason.owned().filter(|reason| reason != "NONE"),
    })
}
