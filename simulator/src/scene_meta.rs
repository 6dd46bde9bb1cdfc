//! What Meta itself says of accounts, numbers and templates; and any JSON.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::accounts::Account;
use crate::act::{Act, Deed, Done};
use crate::core::Core;
use crate::envelope::{self, Place, seconds};
use crate::scene::NOT_HERE;
use crate::settings::SimulatorError;
use crate::templates::Template;
use crate::webhook;

/// Whether nobody has to do it.
pub(crate) const fn is_metas(act: &Act) -> bool {
    matches!(
        act,
        Act::AccountUpdate { .. }
            | Act::Quality { .. }
            | Act::TemplateStatus { .. }
            | Act::TemplateCategory { .. }
            | Act::TemplateQuality { .. }
            | Act::Policy { .. }
            | Act::History { .. }
            | Act::Raw { .. }
            | Act::Whole { .. }
    )
}

pub(crate) fn play(core: &Arc<Core>, account: &Account, deed: Deed) -> Result<Done, SimulatorError> {
    let body = match deed.act {
        Act::Whole { body } => body,
        Act::Raw { field, value } => raw(core, account, field.as_deref(), &value),
        Act::Policy { action, reason } if !account.is_whatsapp() => {
            policy(core, account, &action, reason.as_deref())
        }
        act if account.is_whatsapp() => of_whatsapp(core, account, act, deed.contact.as_deref())?,
        _ => return Err(NOT_HERE),
    };
    webhook::emit(core, account, &body, None);
    Ok(Done::default())
}

fn raw(core: &Core, account: &Account, field: Option<&str>, value: &Value) -> Value {
    let now = core.clock.now();
    match field {
        _ if account.is_whatsapp() => envelope::change(account, field.unwrap_or("messages"), value),
        Some(field) => envelope::page_change(account, field, now, value),
        None => envelope::event(account, "messages", now, Place::Messaging, value),
    }
}

/// It has no sender (Meta: Messenger, policy enforcement).
fn policy(core: &Core, account: &Account, action: &str, reason: Option<&str>) -> Value {
    let now = core.clock.now();
    let mut told = json!({ "action": action });
    if let Some(reason) = reason {
        told["reason"] = json!(reason);
    }
    let event = json!({"recipient": {"id": account.id()}, "timestamp": now.as_millis(),
                       "policy_enforcement": told});
    envelope::event(account, "messaging_policy_enforcement", now, Place::Messaging, &event)
}

fn of_whatsapp(
    core: &Core,
    account: &Account,
    act: Act,
    contact: Option<&str>,
) -> Result<Value, SimulatorError> {
    let (field, value) = match act {
        Act::AccountUpdate { event } => {
            ("account_update", account_update(&event, &account.digits().unwrap_or_default()))
        }
        Act::Quality { event, limit } => {
            let mut value = json!({"display_phone_number": account.digits(), "event": event});
            if let Some(limit) = limit {
                value["current_limit"] = json!(limit);
                value["old_limit"] = json!("TIER_10K");
            }
            ("phone_number_quality_update", value)
        }
        Act::TemplateStatus { name, language, status, reason } => {
            let number = template(core, account, &name, &language, |one| one.status.clone_from(&status))?.0;
            let value = json!({"event": status, "message_template_id": number, "message_template_name": name,
                               "message_template_language": language, "reason": reason.as_deref().unwrap_or("NONE")});
            ("message_template_status_update", value)
        }
        Act::TemplateCategory { name, language, category } => {
            let (number, before) = template(core, account, &name, &language, |one| {
                std::mem::replace(&mut one.category, category.clone())
            })?;
            let value = json!({"message_template_id": number, "message_template_name": name,
                               "message_template_language": language, "previous_category": before,
                               "new_category": category});
            ("template_category_update", value)
        }
        Act::TemplateQuality { name, language, quality } => {
            let number = template(core, account, &name, &language, |_| ())?.0;
            let value = json!({"previous_quality_score": "GREEN", "new_quality_score": quality,
                               "message_template_id": number, "message_template_name": name,
                               "message_template_language": language});
            ("message_template_quality_update", value)
        }
        Act::History { declined } => ("history", history(core, account, contact, declined)),
        _ => return Err(NOT_HERE),
    };
    Ok(envelope::change(account, field, &value))
}

/// Some events bring more than their name.
fn account_update(event: &str, number: &str) -> Value {
    let mut value = json!({"event": event, "phone_number": number});
    match event {
        "DISABLED_UPDATE" => {
            value["ban_info"] = json!({"waba_ban_state": "DISABLE", "waba_ban_date": "2026-01-01"});
        }
        "ACCOUNT_VIOLATION" => value["violation_info"] = json!({"violation_type": "SPAM"}),
        "ACCOUNT_RESTRICTION" => {
            value["restriction_info"] = json!([{"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": 1_790_600_000}]);
        }
        _ => {}
    }
    value
}

/// Changes a template; the number that webhooks name it by, and what the change answers.
fn template<T>(
    core: &Core,
    account: &Account,
    name: &str,
    language: &str,
    change: impl FnOnce(&mut Template) -> T,
) -> Result<(usize, T), SimulatorError> {
    core.with_templates(account.waba_id().unwrap_or_default(), |all| {
        let found = all.iter().position(|one| one.name == name && one.language == language);
        let index = found.ok_or(SimulatorError::Act("the account has no such template"))?;
        let one = all.get_mut(index).ok_or(SimulatorError::Act("the account has no such template"))?;
        Ok((Template::number(index), change(one)))
    })
}

/// A chunk of old messages, or the refusal to share them (Meta: onboarding Business app users).
fn history(core: &Core, account: &Account, contact: Option<&str>, declined: bool) -> Value {
    if declined {
        let title = "History sync is turned off by the business";
        let error = json!({"code": 2_593_109, "title": title, "message": title,
                           "error_data": {"details": "History sharing is turned off by the business"}});
        return envelope::number_value(account, &json!({"history": [{"errors": [error]}]}));
    }
    let who = contact.and_then(|who| core.world().contacts.find(who));
    let who = who.unwrap_or_else(|| "15550199999".to_owned());
    let old = core.clock.now().minus_millis(90 * 24 * 3_600_000);
    let message = |from: &str, to: Option<&str>, text: &str| {
        let id = format!("wamid.{}", core.new_trace());
        let mut message = json!({"from": from, "id": id, "timestamp": seconds(old), "type": "text",
                                 "text": {"body": text}, "history_context": {"status": "READ"}});
        if let Some(to) = to {
            message["to"] = json!(to);
        }
        message
    };
    let own = account.digits().unwrap_or_default();
    let messages = [message(&who, None, "An old question"), message(&own, Some(&who), "An old answer")];
    let chunk = json!({"metadata": {"phase": 0, "chunk_order": 1, "progress": 100},
                       "threads": [{"id": who, "messages": messages}]});
    envelope::number_value(account, &json!({ "history": [chunk] }))
}
