//! The people who write to the businesses' numbers.

use std::collections::{HashMap, VecDeque};

use iassistance_domain::Timestamp;
use iassistance_domain::channel::ChannelKind;
use serde::{Deserialize, Serialize};

use crate::settings::{Limits, SimulatorError};

/// How many contacts a simulator keeps.
pub const CONTACTS_MAX: usize = 100_000;
const NAME_CHARS_MAX: usize = 64;

/// A simulated person with a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// The number, digits alone.
    pub wa_id: String,
    /// The business-scoped user id (Meta: "BSUID"), such as `US.SIMULATED12025550100`.
    pub user_id: String,
    /// The name on the profile.
    pub name: String,
    /// The person uses a username: webhooks carry the `user_id` alone.
    pub hides_number: bool,
}

/// A contact to add.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewContact {
    /// The name on the profile, 1 to 64 characters.
    pub name: String,
    /// The number, 7 to 15 digits; one is made up when it is not given.
    #[serde(default)]
    pub wa_id: Option<String>,
    /// See [`Contact::hides_number`].
    #[serde(default)]
    pub hides_number: bool,
}

/// A contact and what the simulator remembers of them.
pub(crate) struct Entry {
    pub contact: Contact,
    /// The numbers of their messages, oldest first.
    pub messages: VecDeque<u64>,
    /// What lies between them and each number.
    pub pairs: HashMap<String, Pair>,
    /// How often each `biz_opaque_callback_data` was accepted.
    pub opaques: HashMap<String, u64>,
    /// How often each text was accepted.
    pub texts: HashMap<String, u64>,
}

/// What lies between a contact and an account.
#[derive(Default)]
pub(crate) struct Pair {
    /// The contact's id there, on Messenger and Instagram.
    pub scoped_id: Option<String>,
    pub last_inbound: Option<Timestamp>,
    /// Until when an ad that they came through lets the business write.
    pub ad_until: Option<Timestamp>,
    /// The contact has blocked the business.
    pub blocked: bool,
    /// The contact wants no marketing.
    pub no_marketing: bool,
    /// Another app has the conversation; its id.
    pub held_by: Option<String>,
    pub rate: Rate,
}

/// A rate limit that remembers one moment (the generic cell rate algorithm).
#[derive(Default)]
pub(crate) struct Rate {
    full_until_us: i64,
}

impl Rate {
    /// Takes one if `burst`, refilled by one every `every_us`, has one; `every_us` 0 always has.
    pub fn take(&mut self, now: Timestamp, every_us: u64, burst: u64) -> bool {
        let now_us = now.as_millis().saturating_mul(1_000);
        let every = i64::try_from(every_us).unwrap_or(i64::MAX);
        let depth = every.saturating_mul(i64::try_from(burst.saturating_sub(1)).unwrap_or(i64::MAX));
        let from = self.full_until_us.max(now_us);
        let allowed = from.saturating_sub(now_us) <= depth;
        if allowed {
            self.full_until_us = from.saturating_add(every);
        }
        allowed
    }
}

impl Pair {
    pub fn take(&mut self, now: Timestamp, limits: Limits) -> bool {
        self.rate.take(now, limits.pair_every_ms.saturating_mul(1_000), limits.pair_burst)
    }
}

/// Everyone, found by name, number or user id.
#[derive(Default)]
pub(crate) struct Contacts {
    by_number: HashMap<String, Entry>,
    aliases: HashMap<String, String>,
    in_order: Vec<String>,
    made_up: u64,
    scoped: [u64; 2],
}

impl Contacts {
    pub fn len(&self) -> usize {
        self.in_order.len()
    }

    /// Everyone, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.in_order.iter().filter_map(|number| self.by_number.get(number))
    }

    /// The number of whoever has this name, number (in any spelling) or user id.
    pub fn find(&self, who: &str) -> Option<String> {
        if let Some(number) = self.aliases.get(who) {
            return Some(number.clone());
        }
        phone_digits(who).filter(|digits| self.by_number.contains_key(digits))
    }

    pub fn get(&self, wa_id: &str) -> Option<&Entry> {
        self.by_number.get(wa_id)
    }

    pub fn get_mut(&mut self, wa_id: &str) -> Option<&mut Entry> {
        self.by_number.get_mut(wa_id)
    }

    /// Adds a contact; a name that is taken is no hindrance, but then finds who had it first.
    pub fn add(&mut self, new: NewContact) -> Result<Contact, SimulatorError> {
        let name = new.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err(SimulatorError::BadContact);
        }
        if self.len() >= CONTACTS_MAX {
            return Err(SimulatorError::ContactsFull { max: CONTACTS_MAX });
        }
        let wa_id = match new.wa_id {
            Some(given) => phone_digits(&given).ok_or(SimulatorError::BadContact)?,
            None => self.make_up_number(),
        };
        if self.by_number.contains_key(&wa_id) {
            return Err(SimulatorError::BadContact);
        }
        let user_id = format!("US.SIMULATED{wa_id}");
        let contact =
            Contact { wa_id: wa_id.clone(), user_id: user_id.clone(), name, hides_number: new.hides_number };
        self.aliases.insert(user_id, wa_id.clone());
        self.aliases.entry(contact.name.clone()).or_insert_with(|| wa_id.clone());
        self.in_order.push(wa_id.clone());
        let entry = Entry {
            contact: contact.clone(),
            messages: VecDeque::new(),
            pairs: HashMap::new(),
            opaques: HashMap::new(),
            texts: HashMap::new(),
        };
        self.by_number.insert(wa_id, entry);
        Ok(contact)
    }

    /// A new id on Messenger or Instagram for a contact; it finds them from now on.
    pub fn make_up_scoped(&mut self, wa_id: &str, product: ChannelKind) -> String {
        let (index, prefix) = if product == ChannelKind::Instagram { (1, 92) } else { (0, 91) };
        self.scoped[index] += 1;
        let id = format!("{prefix}{:013}", self.scoped[index]);
        self.aliases.insert(id.clone(), wa_id.to_owned());
        id
    }

    /// The contact moves to another number (Meta: `user_changed_number`).
    pub fn renumber(&mut self, wa_id: &str, new: &str) -> Result<Contact, SimulatorError> {
        let new = phone_digits(new).filter(|new| !self.by_number.contains_key(new));
        let new = new.ok_or(SimulatorError::BadContact)?;
        let mut entry = self.by_number.remove(wa_id).ok_or(SimulatorError::BadContact)?;
        entry.contact.wa_id.clone_from(&new);
        for number in self.aliases.values_mut().chain(&mut self.in_order).filter(|number| *number == wa_id) {
            number.clone_from(&new);
        }
        let contact = entry.contact.clone();
        self.by_number.insert(new, entry);
        Ok(contact)
    }

    fn make_up_number(&mut self) -> String {
        loop {
            self.made_up += 1;
            let number = format!("1555{:07}", 2_000_000 + self.made_up);
            if !self.by_number.contains_key(&number) {
                return number;
            }
        }
    }
}

/// The digits of a phone number as people write it: 7 to 15 of them, or it is none.
pub(crate) fn phone_digits(text: &str) -> Option<String> {
    let rest = text.strip_prefix('+').unwrap_or(text);
    let mut digits = String::new();
    for letter in rest.chars() {
        match letter {
            '0'..='9' => digits.push(letter),
            ' ' | '-' | '(' | ')' | '.' => {}
            _ => return None,
        }
    }
    (7..=15).contains(&digits.len()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_limit_lends_a_burst_and_refills() {
        let (mut pair, limits) = (Pair::default(), Limits::default());
        let start = Timestamp::from_secs(1_000);
        assert_eq!((0..100).filter(|_| pair.take(start, limits)).count(), 45);
        assert!(!pair.take(start.plus_millis(5_999), limits));
        assert!(pair.take(start.plus_millis(6_000), limits));
        assert!(!pair.take(start.plus_millis(6_000), limits));
    }

    #[test]
    fn contacts_are_found_by_name_number_and_user_id() {
        let mut contacts = Contacts::default();
        let new =
            NewContact { name: "Ana".into(), wa_id: Some("+1 (202) 555-0100".into()), hides_number: false };
        let ana = contacts.add(new.clone()).unwrap();
        for who in ["Ana", "12025550100", "+1 202 555 0100", "US.SIMULATED12025550100"] {
            assert_eq!(contacts.find(who).as_deref(), Some(ana.wa_id.as_str()), "{who}");
        }
        assert!(contacts.add(new).is_err());
        assert_eq!(contacts.find("Ben"), None);
        assert_eq!(phone_digits("12 34"), None);
        assert_eq!(phone_digits("call 5550100"), None);
    }
}
