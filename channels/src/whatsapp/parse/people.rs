//! The people whom a change introduces.

use std::borrow::Cow;
use std::collections::BTreeMap;

use iassistance_domain::Pii;
use iassistance_domain::contact::ContactIdentity;

use super::{Message, Value};
use crate::json::{Object, Scalar, shape};
use crate::parse::pii;

shape! {
    pub(super) struct Profile<'a> { name: Scalar<'a>, username: Scalar<'a> }
}

shape! {
    /// Meta: Cloud API, `contacts[]`.
    pub(super) struct Person<'a> { wa_id: Scalar<'a>, user_id: Scalar<'a>, profile: Object<Profile<'a>> }
}

impl Person<'_> {
    fn name(&self) -> Option<Pii<String>> {
        let profile = self.profile.0.as_ref()?;
        pii(profile.name).or_else(|| pii(profile.username))
    }
}

/// The people whom a change introduces, by each of their ids.
pub(super) struct People<'l, 'a> {
    by_id: BTreeMap<Cow<'a, str>, &'l Person<'a>>,
    /// Where there is but one person and one message they belong together, even if their ids differ:
    /// a `wa_id` may be another form of the number in `from` (Brazil, Mexico).
    alone: Option<&'l Person<'a>>,
}

impl<'l, 'a> People<'l, 'a> {
    pub(super) fn of(value: &'l Value<'a>) -> Self {
        let mut by_id = BTreeMap::new();
        let people = value.contacts.iter().filter_map(|person| person.0.as_ref());
        let mut alone = people.clone().next();
        if people.clone().nth(1).is_some() || value.messages.len() != 1 {
            alone = None;
        }
        for person in people {
            for id in [person.wa_id.id(), person.user_id.id()].into_iter().flatten() {
                by_id.entry(id).or_insert(person);
            }
        }
        Self { by_id, alone }
    }

    /// Who wrote: what the message says, and what else is known of the same person; and their name.
    /// In what order people come says nothing.
    pub(super) fn sender(&self, message: &Message<'a>) -> (Option<ContactIdentity>, Option<Pii<String>>) {
        let (wa_id, user_id) = (message.from.id(), message.from_user_id.id());
        let by = |id: &Option<Cow<'a, str>>| self.by_id.get(id.as_deref()?).copied();
        let person = by(&wa_id).or_else(|| by(&user_id));
        let known = |pick: fn(&Person<'a>) -> Scalar<'a>| person.and_then(|person| pick(person).id());
        let wa_id = wa_id.or_else(|| known(|person| person.wa_id)).map(Cow::into_owned);
        let user_id = user_id.or_else(|| known(|person| person.user_id)).map(Cow::into_owned);
        let from = ContactIdentity::new(wa_id, user_id);
        (from, person.or(self.alone).and_then(Person::name))
    }
}
