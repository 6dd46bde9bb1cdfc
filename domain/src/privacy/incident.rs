//! Incidents: something got into hands that it was not for. What was reached, who is to be told by when, and that
//! they were.

use serde::{Deserialize, Serialize};

use crate::Mapped;
use crate::audit::Actor;
use crate::id::{AccountId, ApiKeyId, ContactId, ConversationId, IncidentId, TenantId};
use crate::{Pii, Timestamp};

/// Characters of each text of an incident.
pub const FACT_CHARS_MAX: usize = 4_000;
/// What may have been misused, at most.
pub const SUSPECTS_MAX: usize = 50;
/// People of all tenants together that one incident can hold; a larger one is opened as several.
pub const REACHED_MAX: usize = 200_000;
/// At these shares of a clock whoever runs the platform is reminded, percent.
pub const REMINDERS: [u8; 3] = [50, 80, 100];

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// What may have been misused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[data(part)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Suspect {
    /// A program's key.
    Key {
        /// Which.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        #[data(id)]
        key: ApiKeyId,
    },
    /// Somebody's account, with whatever it looked into by break-glass.
    Account {
        /// Whose.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        #[data(id)]
        account: AccountId,
    },
    /// An address, as the access log has it: whole, or its network once it was shortened.
    Address {
        /// Which.
        #[cfg_attr(feature = "schema", schema(max_length = 64))]
        #[data(technical)]
        address: Pii<String>,
    },
}

/// What the authority asks of an incident; each is empty until somebody knows it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[data(part)]
#[serde(default, deny_unknown_fields)]
pub struct IncidentFacts {
    /// What happened.
    #[cfg_attr(feature = "schema", schema(max_length = 4_000))]
    #[data(account)]
    pub what_happened: Pii<String>,
    /// Which vulnerabilities made it possible.
    #[cfg_attr(feature = "schema", schema(max_length = 4_000))]
    #[data(account)]
    pub vulnerabilities: Pii<String>,
    /// What was done against it.
    #[cfg_attr(feature = "schema", schema(max_length = 4_000))]
    #[data(account)]
    pub mitigation: Pii<String>,
    /// Which measures of security there were (Law 25.326, art. 9).
    #[cfg_attr(feature = "schema", schema(max_length = 4_000))]
    #[data(account)]
    pub measures: Pii<String>,
    /// What it may mean for the people.
    #[cfg_attr(feature = "schema", schema(max_length = 4_000))]
    #[data(account)]
    pub consequences: Pii<String>,
}

impl IncidentFacts {
    /// All of them, by name.
    pub const fn all(&self) -> [(&'static str, &Pii<String>); 5] {
        [
            ("what_happened", &self.what_happened),
            ("vulnerabilities", &self.vulnerabilities),
            ("mitigation", &self.mitigation),
            ("measures", &self.measures),
            ("consequences", &self.consequences),
        ]
    }
}

/// Whose data was reached in one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[data(part)]
pub struct Reached {
    /// The tenant.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    #[data(id)]
    pub tenant: TenantId,
    /// The people whose data was answered.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    #[data(id)]
    pub contacts: Vec<ContactId>,
    /// Conversations that were answered and of which nobody is known any more.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    #[data(id)]
    pub conversations: Vec<ConversationId>,
    /// Requests that were answered.
    #[data(operational)]
    pub requests: u64,
    /// Entries of the audit log.
    #[data(operational)]
    pub acts: u64,
}

/// What was reached, as the access and audit logs say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[data(part)]
pub struct IncidentScope {
    /// When the logs were read.
    #[cfg_attr(feature = "schema", schema(value_type = i64))]
    #[data(operational)]
    pub read_at: Timestamp,
    /// Requests by what may have been misused, also those that were refused.
    #[data(operational)]
    pub requests: u64,
    /// Tenant by tenant.
    #[data(parts)]
    pub tenants: Vec<Reached>,
}

impl IncidentScope {
    /// How many people there are in it.
    pub fn people(&self) -> usize {
        self.tenants.iter().map(|reached| reached.contacts.len() + reached.conversations.len()).sum()
    }
}

/// Who is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Mapped)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[data(part)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Meta.
    Meta,
    /// The clients whose data it is.
    Clients,
    /// The authority.
    Authority,
    /// The people whom the data is about.
    People,
}

impl Party {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Meta, Self::Clients, Self::Authority, Self::People];

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Clients => "clients",
            Self::Authority => "authority",
            Self::People => "people",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|party| party.name() == name)
    }
}

/// That somebody was told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Told {
    /// When.
    #[data(operational)]
    pub at: Timestamp,
    /// By whom.
    #[data(parts)]
    pub by: Actor,
    /// What proves it, and where that is kept.
    #[data(account)]
    pub proof: Pii<String>,
}

/// A clock that runs: somebody is to be told until then.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(part)]
pub struct Duty {
    /// Who.
    #[data(operational)]
    pub party: Party,
    /// Until when.
    #[data(operational)]
    pub due_at: Timestamp,
    /// That they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub told: Option<Told>,
    /// Up to which share of the clock was reminded, percent.
    #[serde(default)]
    #[data(operational)]
    pub reminded: u8,
}

/// How long each party may wait, hours from when the incident was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncidentHours {
    /// Meta (Platform Terms).
    pub meta: u32,
    /// Clients.
    pub clients: u32,
    /// The authority (GDPR, art. 33).
    pub authority: u32,
    /// The people (GDPR, art. 34: without delay).
    pub people: u32,
}

impl IncidentHours {
    /// That of one party.
    pub const fn of(&self, party: Party) -> u32 {
        match party {
            Party::Meta => self.meta,
            Party::Clients => self.clients,
            Party::Authority => self.authority,
            Party::People => self.people,
        }
    }
}

/// An incident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Mapped)]
#[data(purpose = "rights", basis = "obligation", keep = "proof")]
pub struct Incident {
    /// Its identifier.
    #[data(id)]
    pub id: IncidentId,
    /// What it is called.
    #[data(account)]
    pub title: Pii<String>,
    /// When it was known: the clocks run from there.
    #[data(operational)]
    pub known_at: Timestamp,
    /// When it was opened here.
    #[data(operational)]
    pub opened_at: Timestamp,
    /// By whom.
    #[data(parts)]
    pub opened_by: Actor,
    /// What may have been misused.
    #[data(parts)]
    pub suspects: Vec<Suspect>,
    /// Since when.
    #[data(operational)]
    pub from: Timestamp,
    /// Until when.
    #[data(operational)]
    pub until: Timestamp,
    /// What is known of it.
    #[serde(default)]
    #[data(parts)]
    pub facts: IncidentFacts,
    /// What was reached, once somebody had it looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(parts)]
    pub scope: Option<IncidentScope>,
    /// Who is to be told by when.
    #[data(parts)]
    pub duties: Vec<Duty>,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[data(operational)]
    pub closed_at: Option<Timestamp>,
}

/// What is wrong with an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IncidentProblem {
    /// It has no name.
    #[error("say what it is in `title`, in 1 to 200 characters")]
    Title,
    /// A text is too long.
    #[error("each text may have at most {FACT_CHARS_MAX} characters")]
    Fact,
    /// Too much may have been misused.
    #[error("name at most {SUSPECTS_MAX} keys, accounts and addresses that may have been misused")]
    Suspects,
    /// The period is none.
    #[error("`from` must be before `until`, and the incident known no later than now")]
    Period,
    /// More people than one incident can hold.
    #[error("more than {REACHED_MAX} people were reached: open an incident for each part of the period")]
    TooMany,
    /// Somebody is still to be told.
    #[error("somebody is still to be told: mark each party as told, with the proof, before it is closed")]
    Untold,
    /// It is closed.
    #[error("the incident is closed")]
    Closed,
    /// They were told before.
    #[error("that party was told already")]
    ToldAlready,
}

impl Incident {
    /// The clocks of an incident that was known at this moment.
    pub fn duties(known_at: Timestamp, hours: &IncidentHours) -> Vec<Duty> {
        let duty = |party| Duty {
            party,
            due_at: known_at.plus_millis(u64::from(hours.of(party)) * HOUR_MS),
            told: None,
            reminded: 0,
        };
        Party::ALL.into_iter().map(duty).collect()
    }

    /// Whether it says what it must. `title_chars` and `fact_chars` (the longest) are its texts' lengths.
    ///
    /// # Errors
    /// [`IncidentProblem`]
    pub fn check(&self, title_chars: usize, fact_chars: usize) -> Result<(), IncidentProblem> {
        if !(1..=200).contains(&title_chars) {
            return Err(IncidentProblem::Title);
        }
        if fact_chars > FACT_CHARS_MAX {
            return Err(IncidentProblem::Fact);
        }
        if self.suspects.len() > SUSPECTS_MAX {
            return Err(IncidentProblem::Suspects);
        }
        let sound = self.from < self.until && self.known_at <= self.opened_at;
        if sound { Ok(()) } else { Err(IncidentProblem::Period) }
    }

    /// Marks a party as told.
    ///
    /// # Errors
    /// [`IncidentProblem::ToldAlready`], [`IncidentProblem::Closed`]
    pub fn tell(&mut self, party: Party, told: Told) -> Result<(), IncidentProblem> {
        if self.closed_at.is_some() {
            return Err(IncidentProblem::Closed);
        }
        let duty = self.duties.iter_mut().find(|duty| duty.party == party && duty.told.is_none());
        duty.ok_or(IncidentProblem::ToldAlready)?.told = Some(told);
        Ok(())
    }

    /// Closes it.
    ///
    /// # Errors
    /// [`IncidentProblem::Untold`], [`IncidentProblem::Closed`]
    pub fn close(&mut self, now: Timestamp) -> Result<(), IncidentProblem> {
        if self.closed_at.is_some() {
            return Err(IncidentProblem::Closed);
        }
        if self.duties.iter().any(|duty| duty.told.is_none()) {
            return Err(IncidentProblem::Untold);
        }
        self.closed_at = Some(now);
        Ok(())
    }

    /// Takes note of the reminders that are due, and says which: the party and the share of its clock, percent.
    pub fn remind(&mut self, now: Timestamp) -> Vec<(Party, u8)> {
        let (known_at, is_open) = (self.known_at, self.closed_at.is_none());
        let mut due = Vec::new();
        for duty in self.duties.iter_mut().filter(|duty| is_open && duty.told.is_none()) {
            let whole = duty.due_at.millis_since(known_at).max(1);
            let gone = now.millis_since(known_at);
            let reached = |share: &u8| u128::from(gone) * 100 >= u128::from(whole) * u128::from(*share);
            if let Some(share) =
                REMINDERS.into_iter().rev().find(reached).filter(|share| *share > duty.reminded)
            {
                duty.reminded = share;
                due.push((duty.party, share));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: IncidentHours = IncidentHours { meta: 24, clients: 24, authority: 72, people: 72 };

    fn incident() -> Incident {
        let known_at = Timestamp::from_secs(1_000_000);
        Incident {
            id: IncidentId::from_bytes([1; 16]),
            title: Pii::new("a key was stolen".to_owned()),
            known_at,
            opened_at: known_at,
            opened_by: Actor::CommandLine,
            suspects: Vec::new(),
            from: Timestamp::EPOCH,
            until: known_at,
            facts: IncidentFacts::default(),
            scope: None,
            duties: Incident::duties(known_at, &HOURS),
            closed_at: None,
        }
    }

    #[test]
    fn each_clock_reminds_at_half_at_four_fifths_and_at_its_end() {
        let mut incident = incident();
        let (start, mut said) = (incident.known_at, Vec::new());
        for minute in 0..(100 * 60) {
            for (party, share) in incident.remind(start.plus_millis(minute * 60_000)) {
                said.push((party, share, minute));
            }
        }
        let at = |party| {
            said.iter()
                .filter(|(of, ..)| *of == party)
                .map(|(_, share, at)| (*share, *at))
                .collect::<Vec<_>>()
        };
        assert_eq!(at(Party::Meta), [(50, 720), (80, 1_152), (100, 1_440)]);
        assert_eq!(at(Party::Clients), at(Party::Meta));
        assert_eq!(at(Party::Authority), [(50, 2_160), (80, 3_456), (100, 4_320)]);
        assert_eq!(at(Party::People), at(Party::Authority));
    }

    #[test]
    fn a_jump_of_the_clock_reminds_once_and_who_was_told_is_not_spoken_of() {
        let mut incident = incident();
        let (by, now) = (Actor::CommandLine, incident.known_at.plus_millis(5 * HOUR_MS));
        let told = || Told { at: now, by, proof: Pii::new("mail 7".to_owned()) };
        assert_eq!(incident.tell(Party::Meta, told()), Ok(()));
        assert_eq!(incident.tell(Party::Meta, told()), Err(IncidentProblem::ToldAlready));
        let years = incident.known_at.plus_millis(10 * 365 * 24 * HOUR_MS);
        assert_eq!(
            incident.remind(years),
            [(Party::Clients, 100), (Party::Authority, 100), (Party::People, 100)]
        );
        assert!(incident.remind(years).is_empty());
        let back = Timestamp::EPOCH;
        assert!(incident.remind(back).is_empty());
        assert_eq!(incident.close(now), Err(IncidentProblem::Untold));
        for party in [Party::Clients, Party::Authority, Party::People] {
            incident.tell(party, told()).unwrap();
        }
        assert_eq!(incident.close(now), Ok(()));
        assert_eq!(incident.close(now), Err(IncidentProblem::Closed));
    }
}
