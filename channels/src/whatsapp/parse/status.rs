//! How far messages of ours got. Meta: Cloud API, webhooks, `statuses[]`.

use iassistance_domain::channel::ChannelAddress;
use iassistance_domain::delivery::{Delivery, DeliveryProblem, DeliveryStatus, Pricing, ProblemClass};
use iassistance_domain::inbound::InboundKind;
use iassistance_domain::{Pii, Timestamp};

use super::identity;
use crate::errors::{Product, classify};
use crate::json::{Element, List, Object, Scalar, shape};
use crate::moment::moment;
use crate::parse::{Reading, dotted, kept};

shape! {
    pub(super) struct Report<'a> {
        id: Scalar<'a>,
        status: Scalar<'a>,
        timestamp: Scalar<'a>,
        recipient_id: Scalar<'a>,
        recipient_user_id: Scalar<'a>,
        recipient_type: Scalar<'a>,
        recipient_participant_id: Scalar<'a>,
        biz_opaque_callback_data: Scalar<'a>,
        pricing: Object<Price<'a>>,
        errors: Scalar<'a>,
    }
}

shape! {
    pub(super) struct Price<'a> {
        billable: Scalar<'a>,
        pricing_model: Scalar<'a>,
        category: Scalar<'a>,
        kind as "type": Scalar<'a>,
    }
}

shape! {
    struct Problem<'a> { code: Scalar<'a>, error_subcode: Scalar<'a>, error_data: Scalar<'a> }
}

pub(super) fn read(
    reading: &mut Reading,
    channel: Option<&ChannelAddress>,
    element: &Element<'_, Report<'_>>,
) {
    let raw = element.raw.get();
    let Some(status) = element.object() else {
        return reading.keep(channel, "status.unreadable", None, raw);
    };
    let to_group = status.recipient_type.is("group");
    // In a group the recipient is the group, and the contact is the participant.
    let wa_id = if to_group { status.recipient_participant_id } else { status.recipient_id };
    let recipient = identity(wa_id, status.recipient_user_id);
    let (Some(id), Some(word)) = (status.id.id(), status.status.id()) else {
        return reading.keep(channel, "status.unreadable", recipient, raw);
    };
    let at = moment(status.timestamp, reading.now);
    let whom = wa_id.id().or_else(|| status.recipient_user_id.id()).unwrap_or_default();
    let dedup = ["s:", &id, ":", &word, ":", &whom].concat();
    let kind = match stage(&word).filter(|_| !to_group) {
        Some(stage) => InboundKind::StatusChanged {
            provider_id: Pii::new(id.into_owned()),
            message: status.biz_opaque_callback_data.text().and_then(|ours| ours.parse().ok()),
            recipient,
            delivery: delivery(stage, at, status),
        },
        None if to_group => kept("status.group".to_owned(), recipient, raw),
        None => kept(dotted(&format!("status.{word}")), recipient, raw),
    };
    reading.push(channel, dedup, at, kind);
}

/// A voice message that was played was also read.
fn stage(word: &str) -> Option<DeliveryStatus> {
    match word {
        "sent" => Some(DeliveryStatus::Sent),
        "delivered" => Some(DeliveryStatus::Delivered),
        "read" | "played" => Some(DeliveryStatus::Read),
        "failed" => Some(DeliveryStatus::Failed),
        _ => None,
    }
}

fn delivery(status: DeliveryStatus, at: Timestamp, report: &Report<'_>) -> Delivery {
    let problem = (status == DeliveryStatus::Failed).then(|| problem(report.errors));
    let pricing = report.pricing.0.as_ref().map(|price| Pricing {
        billable: price.billable.is("true"),
        model: price.pricing_model.owned(),
        category: price.category.owned(),
        kind: price.kind.owned(),
    });
    Delivery { status, at, problem, pricing }
}

/// The first error that has a code, in our words.
fn problem(errors: Scalar<'_>) -> DeliveryProblem {
    let errors: List<'_, Object<Problem<'_>>> = errors.list();
    let coded = errors.iter().filter_map(|error| error.0.as_ref()).find_map(|error| {
        let code = error.code.integer()?;
        let said = classify(Product::Whatsapp, code, error.error_subcode.integer(), None);
        Some(said.with_details(error.error_data.member("details").text().as_deref()).problem)
    });
    coded.unwrap_or_else(|| DeliveryProblem {
        class: ProblemClass::Request,
        code: 0,
        title: "WhatsApp gave the message up and does not say why: ask the contact, or send it again"
            .to_owned(),
    })
}
