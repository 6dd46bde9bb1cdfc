//! Orders of authorities: what a court or an authority may be handed, no more than that, and whether the client
//! may be told.

use serde::{Deserialize, Serialize};

use super::retention::Class;
use crate::Mapped;
use crate::audit::Actor;
use crate::id::{ContactId, OrderId};
use crate::{Pii, Timestamp};

/// Characters of an authority's name and of a reference.
pub const AUTHORITY_CHARS_MAX: usize = 200;
/// Contacts that an order may name.
pub const ORDER_CONTACTS_MAX: usize = 1_000;
/// Answers to one order.
pub const ANSWERS_MAX: usize = 100;

/// What an order covers, or what is to be handed over: nothing outside it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(example = json!({
    "contacts": ["con_0199a8a2c4007b3e8f5d6c1b2a390817"], "classes": ["message"],
    "from": 1_790_000_000_000_i64, "until": 1_790_086_400_000_i64
})))]
#[data(part)]
#[serde(deny_unknown_fields)]
pub struct OrderScope {
    /// Whose data; that of everybody who wrote with the tenant, if none is named. At most 1,000.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    #[data(id)]
    pub contacts: Vec<ContactId>,
    /// Which classes: `contact`, `message`, `execution`, `event`.
    #[cfg_attr(feature = "schema", schema(example = json!(["message"])))]
    #[data(operational)]
    pub classes: Vec<Class>,
    /// From this moment on.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    #[data(operational)]
    pub from: Timestamp,
    /// Before this moment.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    #[data(operational)]
    pub until: Timestamp,
}

impl OrderScope {
    /// The classes that can be handed over.
    pub const CLASSES: [Class; 4] = [Class::Contact, Class::Message, Class::Execution, Class::Event];

    /// Whether all of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        let of_everybody = self.contacts.is_empty();
        let contacts = of_everybody
            || (!other.contacts.is_empty() && other.contacts.iter().all(|id| self.contacts.contains(id)));
        contacts
            && other.classes.iter().all(|class| self.classes.contains(class))
            && other.from >= self.from
            && other.until <= self.until
    }

    /// Whether something of this contact, class and moment is in it.
    pub fn has(&self, contact: ContactId, class: Class, at: Timestamp) -> bool {
        self.names(contact) && self.classes.contains(&class) && at >= self.from && at < self.until
    }

    /// Whether it is about this contact.
    pub fn names(&self, contact: ContactId) -> bool {
        self.contacts.is_empty() || self.contacts.contains(&contact)
    }

    fn check(&self) -> Result<(), OrderProblem> {
        let sound =
            !self.classes.is_empty() && self.classes.iter().all(|class| Self::CLASSES.contains(class));
        if !sound {
            return Err(OrderProblem::Classes);
        }
        if self.contacts.len() > ORDER_CONTACTS_MAX {
            return Err(OrderProblem::Contacts);
        }
        if self.from >= self.until { Err(OrderProblem::Period) } else { Ok(()) }
    }
}

/// Who did something about an order, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct OrderStep {
    /// When.
    #[data(operational)]
    pub at: Timestamp,
    /// Who.
    #[data(parts)]
    pub by: Actor,
}

/// What was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct OrderAnswer {
    /// When and by whom.
    #[data(parts)]
    pub step: OrderStep,
    /// What was asked for.
    #[data(parts)]
    pub scope: OrderScope,
    /// How many records.
    #[data(operational)]
    pub records: u64,
    /// SHA-256 of what was handed over, in hexadecimal.
    #[data(technical)]
    pub sha256: String,
}

/// An order of an authority about one tenant's data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct LegalOrder {
    /// Its identifier.
    #[data(id)]
    pub id: OrderId,
    /// Who ordered it.
    #[data(operational)]
    pub authority: String,
    /// Its file, norm and date.
    #[data(operational)]
    pub reference: String,
    /// The document, and where it is kept.
    #[data(account)]
    pub document: Pii<String>,
    /// What it covers.
    #[data(parts)]
    pub scope: OrderScope,
    /// Whether the client may be told of it.
    #[data(operational)]
    pub may_tell: bool,
    /// Who entered it.
    #[data(parts)]
    pub entered: OrderStep,
    /// Who looked at it and approved: somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub approved: Option<OrderStep>,
    /// When the client was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub told_at: Option<Timestamp>,
    /// What was handed over.
    #[serde(default)]
    #[data(parts)]
    pub answers: Vec<OrderAnswer>,
}

/// Why an order is not taken, or not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderProblem {
    /// It names no authority.
    #[error(
        "name the authority in `authority` and its file in `reference`, in 1 to {AUTHORITY_CHARS_MAX} characters each"
    )]
    Authority,
    /// It names no document.
    #[error("name the document and where it is kept in `document`, in 1 to 1000 characters")]
    Document,
    /// It names no class that can be handed over.
    #[error("`classes` must name at least one of contact, message, execution and event, and nothing else")]
    Classes,
    /// It names too many people.
    #[error("`contacts` may name at most {ORDER_CONTACTS_MAX}")]
    Contacts,
    /// Its period is none.
    #[error("`from` must be before `until`")]
    Period,
    /// Whoever entered it cannot approve it.
    #[error("whoever entered an order cannot approve it: somebody else does")]
    SamePerson,
    /// It was approved before.
    #[error("the order is approved already")]
    Approved,
    /// Nobody approved it.
    #[error("nobody has approved the order: somebody other than who entered it does")]
    NotApproved,
    /// More is asked for than the order covers.
    #[error(
        "what is asked for goes beyond the order's scope: nothing was handed over, and that is on the record"
    )]
    OutOfScope,
    /// It was answered too often.
    #[error("the order was answered {ANSWERS_MAX} times: enter it anew")]
    TooOften,
}

impl LegalOrder {
    /// Whether it says what it must.
    ///
    /// # Errors
    /// [`OrderProblem`]
    pub fn check(&self, document_chars: usize) -> Result<(), OrderProblem> {
        for text in [&self.authority, &self.reference] {
            if text.trim().is_empty() || text.chars().count() > AUTHORITY_CHARS_MAX {
                return Err(OrderProblem::Authority);
            }
        }
        if !(1..=super::DOCUMENT_CHARS_MAX).contains(&document_chars) {
            return Err(OrderProblem::Document);
        }
        self.scope.check()
    }

    /// It with somebody's approval.
    ///
    /// # Errors
    /// [`OrderProblem::SamePerson`], [`OrderProblem::Approved`]
    pub fn approve(mut self, by: Actor, at: Timestamp) -> Result<Self, OrderProblem> {
        if self.approved.is_some() {
            return Err(OrderProblem::Approved);
        }
        if self.entered.by == by {
            return Err(OrderProblem::SamePerson);
        }
        self.approved = Some(OrderStep { at, by });
        Ok(self)
    }

    /// Whether so much may be handed over.
    ///
    /// # Errors
    /// [`OrderProblem`]
    pub fn allows(&self, asked: &OrderScope) -> Result<(), OrderProblem> {
        asked.check()?;
        if self.approved.is_none() {
            return Err(OrderProblem::NotApproved);
        }
        if self.answers.len() >= ANSWERS_MAX {
            return Err(OrderProblem::TooOften);
        }
        if self.scope.covers(asked) { Ok(()) } else { Err(OrderProblem::OutOfScope) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AccountId;

    fn contact(number: u8) -> ContactId {
        ContactId::from_bytes([number; 16])
    }

    fn scope(contacts: &[u8], classes: &[Class], from: i64, until: i64) -> OrderScope {
        OrderScope {
            contacts: contacts.iter().copied().map(contact).collect(),
            classes: classes.to_vec(),
            from: Timestamp::from_secs(from),
            until: Timestamp::from_secs(until),
        }
    }

    fn order(scope: OrderScope) -> LegalOrder {
        let by = Actor::Account { account: AccountId::from_bytes([1; 16]) };
        LegalOrder {
            id: OrderId::from_bytes([9; 16]),
            authority: "Juzgado Federal 3".to_owned(),
            reference: "FRO 123/2026".to_owned(),
            document: Pii::new("folder 7".to_owned()),
            scope,
            may_tell: true,
            entered: OrderStep { at: Timestamp::from_secs(1), by },
            approved: None,
            told_at: None,
            answers: Vec::new(),
        }
    }

    #[test]
    fn nothing_outside_the_scope_is_allowed() {
        let within = scope(&[1, 2], &[Class::Message, Class::Event], 10, 20);
        let order = order(within.clone()).approve(Actor::CommandLine, Timestamp::from_secs(2)).unwrap();
        assert_eq!(order.allows(&within), Ok(()));
        assert_eq!(order.allows(&scope(&[2], &[Class::Message], 12, 13)), Ok(()));
        for beyond in [
            scope(&[], &[Class::Message], 10, 20),
            scope(&[1, 3], &[Class::Message], 10, 20),
            scope(&[1], &[Class::Contact], 10, 20),
            scope(&[1], &[Class::Message], 9, 20),
            scope(&[1], &[Class::Message], 10, 21),
        ] {
            assert_eq!(order.allows(&beyond), Err(OrderProblem::OutOfScope), "{beyond:?}");
        }
        assert_eq!(order.allows(&scope(&[1], &[Class::Account], 10, 20)), Err(OrderProblem::Classes));
        assert_eq!(order.allows(&scope(&[1], &[Class::Message], 20, 10)), Err(OrderProblem::Period));
        assert!(within.has(contact(1), Class::Event, Timestamp::from_secs(19)));
        assert!(!within.has(contact(1), Class::Event, Timestamp::from_secs(20)));
        assert!(!within.has(contact(4), Class::Event, Timestamp::from_secs(19)));
    }

    #[test]
    fn another_approves_and_only_once() {
        let order = order(scope(&[], &[Class::Message], 0, 1));
        assert_eq!(order.allows(&order.scope), Err(OrderProblem::NotApproved));
        let by = order.entered.by;
        assert!(order.clone().approve(by, Timestamp::EPOCH) == Err(OrderProblem::SamePerson));
        let approved = order.approve(Actor::CommandLine, Timestamp::EPOCH).unwrap_or_else(|_| unreachable!());
        assert!(approved.clone().approve(Actor::Platform, Timestamp::EPOCH) == Err(OrderProblem::Approved));
        assert_eq!(approved.allows(&approved.scope), Ok(()));
        assert_eq!(approved.check(0), Err(OrderProblem::Document));
        assert_eq!(approved.check(5), Ok(()));
    }
}
