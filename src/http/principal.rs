//! Who asks: somebody with a session, or a program with a key.

use std::net::IpAddr;
use std::rc::Rc;

use actix_web::{HttpMessage, HttpRequest};

use iassistance_domain::account::{Account, MemberOf};
use iassistance_domain::audit::Actor;
use iassistance_domain::id::{AccountId, AgencyId, ApiKeyId, SessionId, TenantId};
use iassistance_domain::key::ApiKey;
use iassistance_domain::session::Session;
use iassistance_domain::{Pii, Timestamp};
use iassistance_identity::tokens;

use super::{Problem, State, api_keys, cookies};

/// Who asks, as they are at this moment.
#[derive(Clone)]
pub enum Principal {
    /// A person.
    Person(Box<Person>),
    /// A program.
    Key(Box<ApiKey>),
}

/// Somebody who signed in.
#[derive(Clone)]
pub struct Person {
    /// Their account.
    pub account: Account,
    /// Their session.
    pub session: Session,
}

/// What a principal is known again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Credential {
    /// A session of an account.
    Session(AccountId, SessionId),
    /// A key.
    Key(ApiKeyId),
}

/// Whose requests belong together, whatever they signed in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asker {
    /// A person's.
    Account(AccountId),
    /// A program's.
    Key(ApiKeyId),
}

impl std::fmt::Display for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(account) => account.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

impl Principal {
    /// Who sends a request: `Authorization: Bearer iak_…`, or else the cookie of a session. Their use is noted.
    ///
    /// # Errors
    /// [`Problem`] 401 where there is neither, or what is there does not work; it does not say which.
    pub async fn of(state: &State, request: &HttpRequest) -> Result<Self, Problem> {
        let from = state.door.ip(request);
        let now = state.clock().now();
        let people = state.app.store.people();
        if request.headers().contains_key(actix_web::http::header::AUTHORIZATION) {
            let text = api_keys::bearer(request).ok_or_else(Problem::unauthorized)?;
            let key = api_keys::check(&*state.app.store, &state.app.keyring, now, from, text).await?;
            if let Some(from) = from {
                people.touch_key(key.id, now, from).await?;
            }
            return Ok(Self::Key(Box::new(key)));
        }
        let hash = cookies::session(request).and_then(|token| tokens::hash(token.expose()));
        let hash = hash.ok_or_else(Problem::unauthorized)?;
        let session = people.session_by_hash(&hash).await?.ok_or_else(Problem::unauthorized)?;
        let person = Person::of(state, session, now).await?;
        let address = from.map_or_else(|| person.session.address.clone(), |ip| Pii::new(ip.to_string()));
        people.touch_session(person.account.id, person.session.id, now, address).await?;
        Ok(Self::Person(Box::new(person)))
    }

    /// The one of a credential, if it still works. `from` is where it came from, where a key is bound to that.
    ///
    /// # Errors
    /// [`Problem`] 401 where it does not.
    pub async fn again(state: &State, credential: Credential, from: Option<IpAddr>) -> Result<Self, Problem> {
        let now = state.clock().now();
        match credential {
            Credential::Key(id) => {
                let key = state.app.store.api_key(id).await?;
                let key = key.filter(|key| api_keys::works(key, now, from));
                Ok(Self::Key(Box::new(key.ok_or_else(Problem::unauthorized)?)))
            }
            Credential::Session(account, id) => {
                let sessions = state.app.store.people().sessions_of(account).await?;
                let session = sessions.into_iter().find(|session| session.id == id);
                let session = session.ok_or_else(Problem::unauthorized)?;
                Ok(Self::Person(Box::new(Person::of(state, session, now).await?)))
            }
        }
    }

    /// The principal of a request that was looked at already, as all under `/v1` are.
    ///
    /// # Errors
    /// [`Problem`] where there is none: why.
    pub fn known(request: &HttpRequest) -> Result<Rc<Self>, Problem> {
        let known = request.extensions();
        let why = || known.get::<Rc<Problem>>().map_or_else(Problem::unauthorized, |why| (**why).clone());
        known.get::<Rc<Self>>().cloned().ok_or_else(why)
    }

    /// What they are known again by.
    pub fn credential(&self) -> Credential {
        match self {
            Self::Person(person) => Credential::Session(person.account.id, person.session.id),
            Self::Key(key) => Credential::Key(key.id),
        }
    }

    /// Whose requests theirs are.
    pub fn asker(&self) -> Asker {
        match self {
            Self::Person(person) => Asker::Account(person.account.id),
            Self::Key(key) => Asker::Key(key.id),
        }
    }

    /// Who they are on the record.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Person(person) => Actor::Account { account: person.account.id },
            Self::Key(key) => Actor::Key { key: key.id },
        }
    }

    /// Until when the credential works if nothing else happens.
    pub fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::Person(person) => {
                let idle = person.session.seen_at.plus_millis(iassistance_domain::session::IDLE_MS);
                Some(person.session.expires_at.min(idle))
            }
            Self::Key(key) => key.expires_at.into_iter().chain(key.overlap_until).min(),
        }
    }
}

impl Person {
    async fn of(state: &State, session: Session, now: Timestamp) -> Result<Self, Problem> {
        if !session.is_live(now) {
            return Err(Problem::unauthorized());
        }
        let account = state.app.store.people().account(session.account).await?;
        let account = account.filter(Account::is_active).ok_or_else(Problem::unauthorized)?;
        Ok(Self { account, session })
    }

    /// Whether a second factor is still to be given before they may do anything else.
    pub fn lacks_second_factor(&self) -> bool {
        self.account.needs_second_factor() && !self.session.second_factor
    }

    /// The agencies that they belong to.
    pub fn agencies(&self) -> impl Iterator<Item = AgencyId> {
        self.account.memberships.iter().filter_map(|membership| match membership.of {
            MemberOf::Agency(agency) => Some(agency),
            MemberOf::Tenant(_) => None,
        })
    }

    /// The tenants that they belong to.
    pub fn tenants(&self) -> impl Iterator<Item = TenantId> {
        self.account.memberships.iter().filter_map(|membership| match membership.of {
            MemberOf::Tenant(tenant) => Some(tenant),
            MemberOf::Agency(_) => None,
        })
    }
}
