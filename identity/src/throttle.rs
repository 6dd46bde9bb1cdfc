//! Throttles of sign-in: guessing gets slower, and its victim is not locked out.
//!
//! * Each address has a rate, and so has each account.
//! * A device that an account has signed in on before (see [`Devices`](crate::devices::Devices)) has a rate
//!   of its own for that account and needs neither of these: whoever guesses from elsewhere does not take
//!   its tries away.
//! * Passkeys and links sent by mail cannot be guessed and go by the address alone: a way in for the owner
//!   of an account that is under attack, on a device that is new to it.
//!
//! Addresses that have no account have a rate like those that have one, so the rates tell nothing.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use iassistance_config::IdentitySettings;
use iassistance_domain::id::{AccountId, DeviceId};
use iassistance_domain::pii::SignIn;
use iassistance_domain::{Clock, Pii, Timestamp};

const NANOS_PER_MS: u64 = 1_000_000;
/// Places for addresses, in each of the two tables: 1 MiB each.
const ADDRESSES: usize = 1 << 17;
/// Places for accounts, in each of the two tables.
const ACCOUNTS: usize = 1 << 16;

/// Too much. Nothing was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many tries: try again later")]
pub struct Throttled {
    /// When the next is allowed, if nobody else takes it.
    pub until: Timestamp,
}

/// All throttles of sign-in. They take a fixed amount of memory, and a restart forgets what was tried.
pub struct Throttles {
    addresses: Table,
    accounts: Table,
    devices: Table,
    second_factors: Table,
    mails: Table,
}

impl Throttles {
    /// Throttles that have allowed nothing yet, with the rates of the settings.
    pub fn new(settings: &IdentitySettings, clock: &Arc<dyn Clock>) -> Self {
        let table = |burst, interval_ms, places| Table::new(burst, interval_ms, places, Arc::clone(clock));
        Self {
            addresses: table(settings.address_burst, settings.address_interval_ms, ADDRESSES),
            accounts: table(settings.account_burst, settings.account_interval_ms, ACCOUNTS),
            devices: table(settings.account_burst, settings.account_interval_ms, ACCOUNTS),
            second_factors: table(settings.second_factor_burst, settings.second_factor_interval_ms, ACCOUNTS),
            mails: table(settings.mail_burst, settings.mail_interval_ms, ACCOUNTS),
        }
    }

    /// Takes one try of a password for the account of `email`, whether there is one or not, from
    /// `address`. `known` is the device, if the account has signed in on it before.
    ///
    /// # Errors
    /// [`Throttled`] with the moment to try again.
    pub fn password(
        &self,
        address: IpAddr,
        email: &Pii<String>,
        known: Option<DeviceId>,
    ) -> Result<(), Throttled> {
        let email = email.reveal(SignIn);
        match known {
            Some(device) => self.devices.check(&(email, device.to_bytes())),
            None => {
                self.addresses.check(&network(address))?;
                self.accounts.check(email)
            }
        }
    }

    /// Takes one try of something that cannot be guessed (a passkey, a token of a link) from `address`.
    ///
    /// # Errors
    /// [`Throttled`] with the moment to try again.
    pub fn address(&self, address: IpAddr) -> Result<(), Throttled> {
        self.addresses.check(&network(address))
    }

    /// Takes one try of a second factor. Only who gave the password gets this far.
    ///
    /// # Errors
    /// [`Throttled`] with the moment to try again.
    pub fn second_factor(&self, account: AccountId, known: Option<DeviceId>) -> Result<(), Throttled> {
        self.second_factors.check(&(account.to_bytes(), known.map(DeviceId::to_bytes)))
    }

    /// Takes one mail to `email` that somebody asked for without having signed in.
    ///
    /// # Errors
    /// [`Throttled`] with the moment to try again.
    pub fn mail(&self, email: &Pii<String>) -> Result<(), Throttled> {
        self.mails.check(email.reveal(SignIn))
    }
}

/// What one customer of a network has: an address of IPv4, 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

/// One rate for each key, in a fixed number of places, without remembering the keys.
///
/// A key has a place in either of two tables, by two hashes that nobody can foresee; it is refused when
/// both places refuse. So nothing has to be forgotten to make room, which would give tries back to whoever
/// floods the table, and who shares one place with somebody that guesses still has the other. With 10,000
/// busy keys one in 170 that are quiet shares both places of a table of 2^17.
struct Table {
    rows: [RateLimiter<usize, Places, OurClock, NoOpMiddleware<Nanos>>; 2],
    hashers: [RandomState; 2],
    places: usize,
}

impl Table {
    /// `burst` at once and then one in `interval_ms`; both at least 1.
    fn new(burst: u32, interval_ms: u64, places: usize, clock: Arc<dyn Clock>) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        // The settings are within a day.
        let interval = Duration::from_millis(interval_ms.clamp(1, 86_400_000));
        let quota = Quota::with_period(interval)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let clock = OurClock { base: clock.now(), clock };
        let row = || RateLimiter::new(quota, Places::new(places), clock.clone());
        Self { rows: [row(), row()], hashers: [RandomState::new(), RandomState::new()], places }
    }

    fn check(&self, key: &(impl Hash + ?Sized)) -> Result<(), Throttled> {
        let mut until = Timestamp::MAX;
        let mut allowed = false;
        for (row, hasher) in self.rows.iter().zip(&self.hashers) {
            let place = usize::try_from(hasher.hash_one(key)).unwrap_or_default() % self.places;
            match row.check_key(&place) {
                Ok(()) => allowed = true,
                Err(refused) => until = until.min(row.clock().moment(refused.earliest_possible())),
            }
        }
        if allowed { Ok(()) } else { Err(Throttled { until }) }
    }
}

/// Our clock as governor wants it: the time since it was made.
#[derive(Clone)]
struct OurClock {
    clock: Arc<dyn Clock>,
    base: Timestamp,
}

impl OurClock {
    fn moment(&self, instant: Nanos) -> Timestamp {
        self.base.plus_millis(instant.as_u64().div_ceil(NANOS_PER_MS))
    }
}

impl GovernorClock for OurClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.clock.now().millis_since(self.base).saturating_mul(NANOS_PER_MS))
    }
}

/// The state of each place.
struct Places(Box<[InMemoryState]>);

impl Places {
    fn new(places: usize) -> Self {
        Self((0..places).map(|_| InMemoryState::default()).collect())
    }
}

impl StateStore for Places {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, place: &usize, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[*place % self.0.len()].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
