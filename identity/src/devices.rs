//! Devices: browsers that are known again, and what they call themselves.

use iassistance_domain::id::{AccountId, DeviceId};
use iassistance_domain::{Entropy, Timestamp};
use iassistance_vault::{Keyring, same};
use woothee::parser::Parser;

const LABEL: &str = "device";
/// Accounts that a device is known by, at most; the oldest is forgotten first.
const ACCOUNTS_MAX: usize = 5;
const TAG_BYTES: usize = 16;
/// What of a browser's own description is read.
const AGENT_BYTES_MAX: usize = 512;

/// What the cookie of a browser says: which device it is, and which accounts have signed in on it.
///
/// Nobody but this platform can write it: it holds a keyed hash of device and account for each. It gives
/// no right but to tries of its own (see [`Throttles`](crate::throttle::Throttles)) and to no mail about a
/// new device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    device: DeviceId,
    tags: Vec<String>,
}

impl Devices {
    /// A device that is new.
    pub fn fresh(now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self { device: DeviceId::new(now, entropy), tags: Vec::new() }
    }

    /// The one of this cookie; nothing for what is not written as one.
    pub fn read(cookie: &str) -> Option<Self> {
        let mut parts = cookie.split('.');
        let device = parts.next()?.parse().ok()?;
        let tags: Vec<_> = parts.map(str::to_owned).take(ACCOUNTS_MAX + 1).collect();
        let well_written =
            |tag: &String| tag.len() == 2 * TAG_BYTES && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        (tags.len() <= ACCOUNTS_MAX && tags.iter().all(well_written)).then_some(Self { device, tags })
    }

    /// The cookie's text.
    pub fn cookie(&self) -> String {
        let mut text = self.device.to_string();
        for tag in &self.tags {
            text.push('.');
            text.push_str(tag);
        }
        text
    }

    /// Which device it is.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// The device, if `account` has signed in on it before.
    pub fn known(&self, keyring: &Keyring, account: AccountId) -> Option<DeviceId> {
        let tag = self.tag(keyring, account);
        // All are looked at, so that the time is the same.
        let found = self.tags.iter().fold(false, |found, kept| found | same(kept.as_bytes(), tag.as_bytes()));
        found.then_some(self.device)
    }

    /// Notes that `account` has signed in on it.
    #[must_use]
    pub fn with(mut self, keyring: &Keyring, account: AccountId) -> Self {
        let tag = self.tag(keyring, account);
        self.tags.retain(|kept| *kept != tag);
        self.tags.insert(0, tag);
        self.tags.truncate(ACCOUNTS_MAX);
        self
    }

    fn tag(&self, keyring: &Keyring, account: AccountId) -> String {
        let both = [self.device.to_bytes(), account.to_bytes()].concat();
        hex::encode(&keyring.hash_secret(LABEL, &both)[..TAG_BYTES])
    }
}

/// Browser and system by what a browser says of itself (its `User-Agent`), like `Firefox, Windows 10`;
/// empty when it says nothing that is known. For people to tell their sessions apart; it proves nothing.
pub fn agent(user_agent: &str) -> String {
    let end = user_agent.floor_char_boundary(AGENT_BYTES_MAX);
    let Some(found) = Parser::new().parse(&user_agent[..end]) else { return String::new() };
    let told = |text: &str| !text.is_empty() && text != "UNKNOWN";
    let name = |text: &str| match text {
        "Mac OSX" => "macOS".to_owned(),
        other => other.to_owned(),
    };
    let parts: Vec<_> = [found.name, found.os].into_iter().filter(|text| told(text)).map(name).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use iassistance_domain::SeededEntropy;

    use super::*;
    use crate::fakes::keyring;

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes([number; 16])
    }

    #[test]
    fn a_device_is_known_by_the_accounts_that_signed_in_on_it_alone() {
        let (_folder, keyring) = keyring();
        let entropy = SeededEntropy::new(1);
        let device = Devices::fresh(Timestamp::from_secs(1_790_000_000), &entropy);
        assert_eq!(device.known(&keyring, account(1)), None);
        let read = Devices::read(&device.clone().with(&keyring, account(1)).cookie()).unwrap();
        assert_eq!(read.known(&keyring, account(1)), Some(device.device()));
        assert_eq!(read.known(&keyring, account(2)), None);
        // A tag is of its device: put beside another device it says nothing.
        let tag = read.cookie().split_once('.').unwrap().1.to_owned();
        let other = Devices::fresh(Timestamp::from_secs(1_790_000_001), &entropy);
        let forged = Devices::read(&format!("{}.{tag}", other.device())).unwrap();
        assert_eq!(forged.known(&keyring, account(1)), None);
    }

    #[test]
    fn the_oldest_account_is_forgotten() {
        let (_folder, keyring) = keyring();
        let mut device = Devices::fresh(Timestamp::EPOCH, &SeededEntropy::new(1));
        for number in [1, 2, 3, 4, 5, 1, 6] {
            device = device.with(&keyring, account(number));
        }
        let known = |number| device.known(&keyring, account(number)).is_some();
        assert_eq!((1..=6).map(known).collect::<Vec<_>>(), [true, false, true, true, true, true]);
        assert_eq!(Devices::read(&device.cookie()), Some(device));
    }

    #[test]
    fn what_is_no_cookie_is_no_device() {
        let fresh = Devices::fresh(Timestamp::EPOCH, &SeededEntropy::new(1)).cookie();
        let tag = format!(".{}", "a".repeat(32));
        for bad in [
            "",
            "dev_1",
            "acc_00000000000000000000000000000000",
            &format!("{fresh}."),
            &format!("{fresh}.xyz"),
            &format!("{fresh}{}", tag.repeat(6)),
        ] {
            assert_eq!(Devices::read(bad), None, "{bad}");
        }
        assert!(Devices::read(&format!("{fresh}{}", tag.repeat(5))).is_some());
    }

    #[test]
    fn browsers_and_systems_have_names() {
        for (said, name) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
                "Chrome, Windows 10",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
                "Edge, Windows 10",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "Firefox, Linux"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
                "Safari, macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari, iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
                "Chrome, Android",
            ),
            ("", ""),
            ("ñandú", ""),
        ] {
            assert_eq!(agent(said), name, "{said}");
        }
        assert!(agent(&"é".repeat(10_000)).is_empty(), "only its beginning is read");
    }
}
