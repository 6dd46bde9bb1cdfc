//! An event in one line.

use iassistance_domain::Pii;
use iassistance_domain::Timestamp;
use iassistance_domain::channel::{AddressScope, Notice};
use iassistance_domain::contact::ContactIdentity;
use iassistance_domain::content::{Content, Context, Media, MediaSource, Referral};
use iassistance_domain::inbound::{InboundKind, SeenMark};
use iassistance_domain::message::Elsewhere;
use iassistance_domain::pii::TenantView;

use super::NOW;
use crate::parse::Parsed;

/// Where it belongs, its dedup key (hashes cut short), when, and what.
pub(super) fn line(parsed: &Parsed) -> String {
    let address = parsed.address.as_ref().map_or("-".to_owned(), |address| {
        let account = if address.scope == AddressScope::Account { "account:" } else { "" };
        format!("{}/{account}{}", address.kind.name(), address.external_id)
    });
    let dedup = short(show(&parsed.event.dedup));
    let at = match parsed.event.occurred_at {
        NOW => "now".to_owned(),
        at => millis(at),
    };
    let what = what(&parsed.event.kind);
    format!("{address} {dedup} {at} {}: {what}", parsed.event.kind.name())
}

fn millis(at: Timestamp) -> String {
    at.as_millis().to_string()
}

fn show(text: &Pii<String>) -> &str {
    text.reveal(TenantView)
}

/// Without a hash at the end, and cut when it is long.
fn short(text: &str) -> String {
    let (head, tail) = text.rsplit_once(':').unwrap_or(("", text));
    let is_hash = tail.len() == 64 && tail.bytes().all(|byte| byte.is_ascii_hexdigit());
    let text = if is_hash { head } else { text };
    if text.len() > 80 { format!("{}...({})", &text[..20], text.len()) } else { text.to_owned() }
}

fn maybe(name: &str, text: Option<&Pii<String>>) -> String {
    text.map_or(String::new(), |text| format!(" {name}={:?}", short(show(text))))
}

fn plain(name: &str, text: Option<&String>) -> String {
    text.map_or(String::new(), |text| format!(" {name}={text}"))
}

pub(super) fn whom(contact: Option<&ContactIdentity>) -> String {
    let parts: Vec<String> = contact
        .into_iter()
        .flat_map(ContactIdentity::parts)
        .map(|(name, id)| format!("{name}={}", show(id)))
        .collect();
    if parts.is_empty() { "nobody".to_owned() } else { parts.join(",") }
}

fn what(kind: &InboundKind) -> String {
    match kind {
        InboundKind::MessageReceived {
            provider_id,
            from,
            profile_name,
            content: said,
            context: to,
            referral: came,
            arrival,
        } => {
            assert!(!show(provider_id).is_empty());
            format!(
                "{}{}{} by {}{} {arrival:?}",
                content(said),
                context(to.as_deref()),
                referral(came.as_deref()),
                whom(Some(from)),
                maybe("named", profile_name.as_ref()),
            )
        }
        InboundKind::EchoReceived {
            provider_id,
            to,
            message,
            content: said,
            context: about,
            through,
            arrival,
        } => {
            assert!(!show(provider_id).is_empty());
            let ours = message.map_or(String::new(), |message| format!(" ours={message}"));
            let through = match through {
                Elsewhere::App { app_id } => format!("app {}", app_id.as_deref().unwrap_or("-")),
                other => other.name().to_owned(),
            };
            format!(
                "{}{} to {} through {through}{ours} {arrival:?}",
                content(said),
                context(about.as_deref()),
                whom(Some(to))
            )
        }
        InboundKind::MessageEdited { provider_id, contact, content: said } => {
            let said = said.as_ref().map_or("?".to_owned(), content);
            format!("{} is {said} of {}", show(provider_id), whom(contact.as_ref()))
        }
        InboundKind::MessageRemoved { provider_id, contact } => {
            format!("{} of {}", show(provider_id), whom(contact.as_ref()))
        }
        InboundKind::Reacted { provider_id, contact, by_business, emoji } => {
            let by = if *by_business { " by the business" } else { "" };
            format!("{}{} of {}{by}", show(provider_id), maybe("emoji", emoji.as_ref()), whom(Some(contact)))
        }
        InboundKind::StatusChanged { provider_id, message, recipient, delivery } => {
            let problem =
                delivery.problem.as_ref().map_or(String::new(), |problem| format!(" {}", problem.code));
            let price = delivery.pricing.as_ref().map_or(String::new(), |price| {
                format!(" priced {} {:?} {:?} {:?}", price.billable, price.model, price.category, price.kind)
            });
            let ours = message.map_or(String::new(), |message| format!(" ours={message}"));
            format!(
                "{} {:?}{problem}{ours}{price} for {}",
                show(provider_id),
                delivery.status,
                whom(recipient.as_ref())
            )
        }
        InboundKind::SeenUpTo { contact, up_to, status } => {
            let up_to = match up_to {
                SeenMark::Moment { at } => millis(*at),
                SeenMark::Message { provider_id } => show(provider_id).to_owned(),
            };
            format!("{status:?} up to {up_to} by {}", whom(Some(contact)))
        }
        InboundKind::ContactActed { contact, profile_name, what, referral: came, opens_window, raw } => {
            let opens = if *opens_window { " opens" } else { "" };
            let raw = if raw.is_some() { " raw" } else { "" };
            let came = referral(came.as_deref());
            format!(
                "{what}{came} by {}{}{opens}{raw}",
                whom(Some(contact)),
                maybe("named", profile_name.as_ref())
            )
        }
        InboundKind::MarketingChanged { contact, allowed } => format!("{allowed} by {}", whom(Some(contact))),
        InboundKind::IdentityChanged { from, to } => format!("{} is {}", whom(Some(from)), whom(Some(to))),
        InboundKind::ThreadControlChanged { contact, change, owner } => {
            format!("{change:?}{} of {}", plain("owner", owner.as_ref()), whom(Some(contact)))
        }
        InboundKind::Noticed(notice) => notice_line(notice),
        InboundKind::Kept { kind, contact, raw } => {
            assert!(!show(raw).is_empty());
            format!("{kind} of {}", whom(contact.as_ref()))
        }
        _ => panic!("a kind that this test does not know"),
    }
}

fn notice_line(notice: &Notice) -> String {
    serde_json::to_string(notice).unwrap()
}

fn context(context: Option<&Context>) -> String {
    context.map_or(String::new(), |context| {
        let forwarded = context.forwarded.map_or(String::new(), |often| format!(" forwarded={often:?}"));
        let reply = maybe("reply_to", context.reply_to.as_ref());
        let product = maybe("product", context.product.as_ref());
        format!("{reply}{forwarded}{product}{}", maybe("story", context.story.as_ref()))
    })
}

fn referral(referral: Option<&Referral>) -> String {
    referral.map_or(String::new(), |referral| format!(" came {}", serde_json::to_string(referral).unwrap()))
}

fn content(content: &Content) -> String {
    match content {
        Content::Text { body, preview: false } => format!("text {:?}", show(body)),
        Content::Media { items, caption } => {
            let items: Vec<String> = items.iter().map(media).collect();
            format!("media [{}]{}", items.join("; "), maybe("caption", caption.as_ref()))
        }
        other => serde_json::to_string(other).unwrap(),
    }
}

fn media(media: &Media) -> String {
    let source = match &media.source {
        MediaSource::Meta { id, url } => {
            format!("{}{}", maybe("id", id.as_ref()), maybe("url", url.as_ref()))
        }
        MediaSource::Missing { reason } => format!(" missing: {reason}"),
        _ => panic!("what comes in is at Meta"),
    };
    let named = maybe("named", media.filename.as_ref());
    let sha256 = if media.sha256.is_some() { " hashed" } else { "" };
    format!("{}{}{named}{sha256}{source}", media.kind.name(), plain("mime", media.mime.as_ref()))
}
