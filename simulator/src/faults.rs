//! What goes wrong on purpose: at the start or, through `POST /sim/faults`, at any time.
//!
//! In JSON, everything may be left out:
//!
//! ```json
//! {"webhooks": {"extra_deliveries": 1, "shuffle": {"events_max": 16, "hold_ms": 300}, "delay_ms": 0,
//!               "drop_statuses_per_mille": 50},
//!  "sends":    [{"fault": {"kind": "refuse", "status": 400, "code": 130429}, "next": 3},
//!               {"fault": {"kind": "cut", "accepted": true}, "per_mille": 10},
//!               {"fault": {"kind": "error", "on": "instagram", "code": 613, "subcode": 2534040}, "next": 1},
//!               {"fault": {"kind": "error", "on": "whatsapp", "code": 131026, "later": true}, "next": 1}],
//!  "media":    [{"fault": {"kind": "error", "code": 131052}, "next": 1}],
//!  "usage":    {"app": {"call_count": 95}, "business": {"kind": "messenger", "estimated_time_to_regain_access": 4}},
//!  "model":    [{"fault": {"kind": "refuse", "status": 429, "retry_after_s": 2}, "next": 1},
//!               {"fault": {"kind": "cut", "after_tokens": 3}, "next": 1},
//!               {"fault": {"kind": "unknown_tool"}, "next": 1},
//!               {"fault": {"kind": "tools_for_ever"}, "per_mille": 1000},
//!               {"fault": {"kind": "of", "model": "simulated-1", "fault": {"kind": "refuse", "status": 503}}, "per_mille": 1000},
//!               {"fault": {"kind": "of", "at": "embeddings", "fault": {"kind": "hang"}}, "next": 1}]}
//! ```
//!
//! The faults of the model are listed at [`ModelFault`]; those that are not `of` something are of chats.

use iassistance_domain::Entropy;
use serde::{Deserialize, Serialize};

use crate::settings::SimulatorError;

pub use crate::model_faults::ModelFault;

const RULES_MAX: usize = 32;
const EXTRA_DELIVERIES_MAX: u8 = 10;

/// Everything that goes wrong on purpose. The default: nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// What happens to webhooks.
    pub webhooks: WebhookFaults,
    /// What happens to sends; the first rule that is due is taken. At most 32.
    pub sends: Vec<Rule<SendFault>>,
    /// What happens to uploads, look-ups and downloads of files; the first rule that is due is taken. At most 32.
    pub media: Vec<Rule<SendFault>>,
    /// The usage that Graph's answers tell of in their headers.
    pub usage: Usage,
    /// What happens to the model's answers; the first rule that is due is taken. At most 32.
    pub model: Vec<Rule<ModelFault>>,
}

/// The usage headers of Graph's answers (Meta: rate limiting); without figures there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// `X-App-Usage`.
    pub app: Option<AppUsage>,
    /// `X-Business-Use-Case-Usage`, of the account that is called.
    pub business: Option<BusinessUsage>,
}

/// How much of an app's limits is used, percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppUsage {
    /// Calls.
    pub call_count: u32,
    /// Processor time.
    pub total_cputime: u32,
    /// Time.
    pub total_time: u32,
}

/// How much of a business's limits is used, percent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusinessUsage {
    /// What Meta calls the use case, such as `messenger`, `instagram` or `whatsapp`.
    #[serde(rename(serialize = "type"), alias = "type")]
    pub kind: String,
    /// Calls.
    pub call_count: u32,
    /// Processor time.
    pub total_cputime: u32,
    /// Time.
    pub total_time: u32,
    /// When calls are taken again, minutes; 0: now.
    pub estimated_time_to_regain_access: u32,
}

/// What happens to webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFaults {
    /// How many more times each webhook is delivered, up to 10, all at once.
    pub extra_deliveries: u8,
    /// Webhooks are held and let go in a random order.
    pub shuffle: Option<Shuffle>,
    /// Each delivery waits this long first.
    pub delay_ms: u64,
    /// How many of a thousand status webhooks are lost.
    pub drop_statuses_per_mille: u16,
}

/// Webhooks are held until there are enough of them or the oldest has waited, then go in a random order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shuffle {
    /// How many are held at most, 2 to 10,000.
    pub events_max: usize,
    /// How long the oldest is held at most.
    pub hold_ms: u64,
}

/// A fault and when it is due: the next `next` times, and after them by chance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule<F> {
    /// What goes wrong.
    pub fault: F,
    /// How many more times for certain.
    #[serde(default)]
    pub next: u32,
    /// How many of a thousand after that.
    #[serde(default)]
    pub per_mille: u16,
}

/// What goes wrong with a well-formed send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SendFault {
    /// Refused with a Graph error; nothing is accepted.
    Refuse {
        /// The HTTP status, 400 to 599.
        status: u16,
        /// The Graph error code.
        code: u32,
    },
    /// Never answered.
    Hang {
        /// The message is accepted all the same.
        #[serde(default)]
        accepted: bool,
    },
    /// The connection is closed without an answer.
    Cut {
        /// The message is accepted all the same.
        #[serde(default)]
        accepted: bool,
    },
    /// Accepted, but the answer (200) breaks off in the middle.
    Truncate,
    /// Refused with any error of any product, or accepted and failed later.
    Error {
        /// The account's id or its product; any account if there is none.
        #[serde(default)]
        on: Option<String>,
        /// The Graph error code.
        code: u32,
        /// Its subcode.
        #[serde(default)]
        subcode: Option<u32>,
        /// The HTTP status, 200 to 599; the code's own if there is none.
        #[serde(default)]
        status: Option<u16>,
        /// WhatsApp: accepted, then a `failed` status brings the code.
        #[serde(default)]
        later: bool,
    },
}

impl SendFault {
    /// Whether it is meant for an account of this id and product.
    pub(crate) fn is_for(&self, id: &str, product: &str) -> bool {
        match self {
            Self::Error { on: Some(on), later, .. } => {
                (on == id || on == product) && (!later || product == "whatsapp")
            }
            Self::Error { later: true, .. } => product == "whatsapp",
            _ => true,
        }
    }
}

impl Faults {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<(), SimulatorError> {
        let bad = |reason| Err(SimulatorError::Faults(reason));
        if [self.sends.len(), self.media.len(), self.model.len()].iter().any(|count| *count > RULES_MAX) {
            return bad("at most 32 rules each");
        }
        if self.webhooks.extra_deliveries > EXTRA_DELIVERIES_MAX {
            return bad("extra_deliveries is at most 10");
        }
        if self.webhooks.shuffle.is_some_and(|shuffle| !(2..=10_000).contains(&shuffle.events_max)) {
            return bad("shuffle.events_max is 2 to 10000");
        }
        let chances = self.sends.iter().chain(&self.media).map(|rule| rule.per_mille);
        let chances = chances.chain(self.model.iter().map(|rule| rule.per_mille));
        if chances.chain([self.webhooks.drop_statuses_per_mille]).any(|chance| chance > 1000) {
            return bad("chances are 0 to 1000 of a thousand");
        }
        let statuses = self.sends.iter().chain(&self.media).filter_map(|rule| match rule.fault {
            SendFault::Refuse { status, .. } => Some(status),
            // An error inside a 200 is seen too.
            SendFault::Error { status: Some(status), .. } if status != 200 => Some(status),
            _ => None,
        });
        let statuses = statuses.chain(self.model.iter().filter_map(|rule| rule.fault.status()));
        if !self.model.iter().all(|rule| rule.fault.fits()) {
            return bad("a fault of certain models or services has one fault in it, which they can have");
        }
        for status in statuses {
            if !(400..=599).contains(&status) {
                return bad("a refusal has an http status of 400 to 599");
            }
        }
        Ok(())
    }
}

/// The fault that is due now among those that fit, if any; counts it off.
pub(crate) fn due<F: Clone>(
    rules: &mut [Rule<F>],
    entropy: &dyn Entropy,
    fits: impl Fn(&F) -> bool,
) -> Option<F> {
    rules.iter_mut().filter(|rule| fits(&rule.fault)).find_map(|rule| {
        if rule.next > 0 {
            rule.next -= 1;
            return Some(rule.fault.clone());
        }
        happens(rule.per_mille, entropy).then(|| rule.fault.clone())
    })
}

/// Whether something with this chance of a thousand happens now.
pub(crate) fn happens(per_mille: u16, entropy: &dyn Entropy) -> bool {
    per_mille > 0 && entropy.up_to(999) < u64::from(per_mille)
}

#[cfg(test)]
mod tests {
    use super::*;
    use iassistance_domain::SeededEntropy;

    #[test]
    fn rules_are_taken_in_order_and_counted_off() {
        let entropy = SeededEntropy::new(3);
        let mut rules = vec![
            Rule { fault: 'a', next: 2, per_mille: 0 },
            Rule { fault: 'b', next: 1, per_mille: 0 },
            Rule { fault: 'c', next: 0, per_mille: 1000 },
        ];
        let taken: String = (0..5).filter_map(|_| due(&mut rules, &entropy, |_| true)).collect();
        assert_eq!(taken, "aabcc");
    }

    #[test]
    fn senseless_faults_are_refused() {
        let parse = |text: &str| serde_json::from_str::<Faults>(text).map(|faults| faults.check().is_ok());
        assert_eq!(parse(r#"{"webhooks":{"drop_statuses_per_mille":1001}}"#).ok(), Some(false));
        assert_eq!(
            parse(r#"{"sends":[{"fault":{"kind":"refuse","status":200,"code":1}}]}"#).ok(),
            Some(false)
        );
        assert_eq!(parse(r#"{"webhooks":{"shuffle":{"events_max":1,"hold_ms":5}}}"#).ok(), Some(false));
        assert_eq!(
            parse(r#"{"sends":[{"fault":{"kind":"cut","accepted":true},"next":1}]}"#).ok(),
            Some(true)
        );
        assert_eq!(
            parse(r#"{"sends":[{"fault":{"kind":"error","code":36000,"status":200},"next":1}]}"#).ok(),
            Some(true)
        );
        assert!(parse(r#"{"send":[]}"#).is_err());
    }
}
