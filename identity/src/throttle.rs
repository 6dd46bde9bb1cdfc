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

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use iassistance_config::IdentitySettings;
use iassistance_domain::id::{AccountId, DeviceId};
use iassistance_domain::pii::SignIn;
use iassistance_domain::{Clock, Pii};

use crate::rate::{Rate, Throttled};

/// Places for addresses, in each of the two rows: 1 MiB each.
const ADDRESSES: usize = 1 << 17;
/// Places for accounts, in each of the two rows.
const ACCOUNTS: usize = 1 << 16;

/// All throttles of sign-in. They take a fixed amount of memory, and a restart forgets what was tried.
pub struct Throttles {
    addresses: Rate,
    accounts: Rate,
    devices: Rate,
    second_factors: Rate,
    mails: Rate,
}

impl Throttles {
    /// Throttles that have allowed nothing yet, with the rates of the settings.
    pub fn new(settings: &IdentitySettings, clock: &Arc<dyn Clock>) -> Self {
        let rate = |burst, interval_ms, places| {
            let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
            Rate::new(burst, interval_ms, places, Arc::clone(clock))
        };
        Self {
            addresses: rate(settings.address_burst, settings.address_interval_ms, ADDRESSES),
            accounts: rate(settings.account_burst, settings.account_interval_ms, ACCOUNTS),
            devices: rate(settings.account_burst, settings.account_interval_ms, ACCOUNTS),
            second_factors: rate(settings.second_factor_burst, settings.second_factor_interval_ms, ACCOUNTS),
            mails: rate(settings.mail_burst, settings.mail_interval_ms, ACCOUNTS),
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
            Some(device) => self.devices.take(&(email, device.to_bytes()))?,
            None => {
                self.addresses.take(&network(address))?;
                self.accounts.take(email)?
            }
        };
        Ok(())
    }

    /// Takes one try of something that cannot be guessed (a passkey, a token of a link) from `address`.
    ///
    /// # Errors
    /// [`Throttled`] with the moment to try again.
    pub fn address(&self, address: IpAddr) -> Result<(), Throttled> {
        self.addresses.take(&network(address)).map(drop)
    }

    /// Takes one try of a second factor. Only who gave the password gets this far.
    ///
    /// # Errors
    /// [`Throttled`] with the moment to try again.
    pub fn second_factor(&self, account: AccountId, known: Option<DeviceId>) -> Result<(), Throttled> {
        self.second_factors.take(&(account.to_bytes(), known.map(DeviceId::to_bytes))).map(drop)
    }

    /// Takes one mail to `email` that somebody asked for without having signed in.
    ///
    /// # Errors
    /// [`Throttled`] with the moment to try again.
    pub fn mail(&self, email: &Pii<String>) -> Result<(), Throttled> {
        self.mails.take(email.reveal(SignIn)).map(drop)
    }
}

/// What one customer of a network has: an address of IPv4, 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
