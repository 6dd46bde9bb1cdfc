//! How sessions begin, and the few minutes between a password and a second factor.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::{FromRequest, HttpRequest, web};

use iassistance_config::Secret;
use iassistance_domain::account::Account;
use iassistance_domain::id::{AccountId, DeviceId, SessionId};
use iassistance_domain::session::{ABSOLUTE_MS, STEP_UP_MS, Session};
use iassistance_domain::{Entropy, Pii, Timestamp};
use iassistance_identity::devices::{Devices, agent};
use iassistance_identity::tokens;
use iassistance_storage::{People, StorageError};

use super::recent::{Bounds, Recent};
use super::{Problem, State, cookies};

/// How long somebody may take to find their second factor, milliseconds.
const PENDING_MS: u64 = 5 * 60 * 1_000;
/// So many may be looking for theirs.
const PENDING: Bounds = Bounds { keep_ms: PENDING_MS, entries_max: 20_000, per_owner_max: 20 };

/// Where a session begins.
pub struct Origin {
    /// From which address.
    pub address: Pii<String>,
    /// Browser and system.
    pub agent: String,
    /// Which browser.
    pub device: DeviceId,
}

/// Begins a session of `account`; gives its token, which its browser alone has. `second_factor`: whether one
/// was given. Who has just proved who they are need not do so anew for ten minutes.
///
/// # Errors
/// [`StorageError`]
pub async fn begin(
    people: &dyn People,
    entropy: &dyn Entropy,
    now: Timestamp,
    account: &Account,
    origin: Origin,
    second_factor: bool,
) -> Result<(Secret, Session), StorageError> {
    let (token, hash) = tokens::mint(entropy);
    let session = Session {
        id: SessionId::new(now, entropy),
        account: account.id,
        hash,
        created_at: now,
        seen_at: now,
        expires_at: now.plus_millis(ABSOLUTE_MS),
        address: origin.address,
        agent: origin.agent,
        device: origin.device,
        step_up_until: Some(now.plus_millis(STEP_UP_MS)),
        second_factor,
        revoked_at: None,
    };
    people.create_session(session.clone()).await?;
    Ok((token, session))
}

/// Who gave a password and has yet to give a second factor, in memory: a restart means starting again.
pub struct Pending(Mutex<Recent<AccountId, String, AccountId>>);

impl Default for Pending {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(PENDING)))
    }
}

impl Pending {
    /// A ticket for the second step.
    pub fn issue(&self, account: AccountId, now: Timestamp, entropy: &dyn Entropy) -> Secret {
        let (ticket, hash) = tokens::mint(entropy);
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.insert(now, account, hash, account);
        ticket
    }

    /// Whose ticket it is, if it is good.
    pub fn whose(&self, ticket: &str, now: Timestamp) -> Option<AccountId> {
        let hash = tokens::hash(ticket)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(now, &hash).copied()
    }

    /// Ends a ticket that has done its work; false if another was faster.
    pub fn end(&self, ticket: &str, now: Timestamp) -> bool {
        let Some(hash) = tokens::hash(ticket) else { return false };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(now, &hash).is_some()
    }
}

/// How long a link that signs somebody in is good, milliseconds.
pub const LINK_MS: u64 = 60 * 60 * 1_000;
const LINKS: Bounds = Bounds { keep_ms: LINK_MS, entries_max: 64, per_owner_max: 8 };

/// Links that sign somebody in, once, in memory. No route makes one: only who runs the process does.
pub struct Links(Mutex<Recent<AccountId, String, AccountId>>);

impl Default for Links {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(LINKS)))
    }
}

impl Links {
    /// The token of a new link.
    pub fn issue(&self, account: AccountId, now: Timestamp, entropy: &dyn Entropy) -> Secret {
        let (token, hash) = tokens::mint(entropy);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(now, account, hash, account);
        token
    }

    /// Whom it signs in, if it is good. It is good once.
    pub fn redeem(&self, token: &str, now: Timestamp) -> Option<AccountId> {
        let hash = tokens::hash(token)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(now, &hash)
    }
}

/// Somebody at a door that needs no credential. Pages of other origins are refused.
pub struct Anybody {
    /// Where they come from.
    pub ip: IpAddr,
    /// Their browser, as far as it is known.
    pub devices: Option<Devices>,
    /// What it calls itself.
    pub agent: String,
}

impl Anybody {
    /// The browser: the one that is known, or a new one.
    pub fn device(&self, now: Timestamp, entropy: &dyn Entropy) -> Devices {
        self.devices.clone().unwrap_or_else(|| Devices::fresh(now, entropy))
    }

    /// Where a session of theirs begins.
    pub fn origin(&self, devices: &Devices) -> Origin {
        Origin { address: Pii::new(self.ip.to_string()), agent: self.agent.clone(), device: devices.device() }
    }
}

impl FromRequest for Anybody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = request.app_data::<web::Data<State>>().ok_or_else(Problem::internal)?;
            cookies::check_origin(state, &request, false)?;
            let said = request.headers().get(USER_AGENT).and_then(|said| said.to_str().ok());
            Ok(Self {
                // Who cannot be told apart shares one rate.
                ip: state.door.ip(&request).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                devices: cookies::devices(&request),
                agent: agent(said.unwrap_or_default()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use iassistance_domain::SeededEntropy;

    use super::*;

    #[test]
    fn a_link_signs_in_once_and_not_for_ever() {
        let (links, entropy, now) = (Links::default(), SeededEntropy::new(1), Timestamp::EPOCH);
        let account = AccountId::from_bytes([1; 16]);
        let token = links.issue(account, now, &entropy);
        assert_eq!(links.redeem("x", now), None);
        assert_eq!(links.redeem(token.expose(), now), Some(account));
        assert_eq!(links.redeem(token.expose(), now), None, "once");
        let late = links.issue(account, now, &entropy);
        assert_eq!(links.redeem(late.expose(), now.plus_millis(LINK_MS)), None, "for an hour");
    }

    #[test]
    fn a_ticket_is_good_until_it_has_done_its_work() {
        let (pending, entropy, now) = (Pending::default(), SeededEntropy::new(1), Timestamp::EPOCH);
        let account = AccountId::from_bytes([1; 16]);
        let ticket = pending.issue(account, now, &entropy);
        assert_eq!(pending.whose(ticket.expose(), now), Some(account));
        assert_eq!(pending.whose(ticket.expose(), now.plus_millis(PENDING_MS)), None, "for five minutes");
        assert_eq!(pending.whose("x", now), None);
        assert!(pending.end(ticket.expose(), now) && !pending.end(ticket.expose(), now), "once");
        assert_eq!(pending.whose(ticket.expose(), now), None);
    }
}
