//! What is in the keyring file: every key wrapped by the root key, and a mark over the whole.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::XChaCha20Poly1305;
use hmac::Mac;
use iassistance_domain::Entropy;
use iassistance_domain::id::TenantId;
use serde::{Deserialize, Serialize};

use crate::crypto::{self, Key, same};
use crate::record::Owner;
use crate::tenant::EpochKeys;
use crate::{RootKey, VaultError};

const FORMAT: u32 = 1;
/// The role of the index key in a wrapped key's authenticated data; epochs count from 1.
const INDEX: u32 = 0;
const FIRST_EPOCH: u32 = 1;

#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<K> {
    format: u32,
    /// Follows from the root key alone: tells a wrong key from a damaged file.
    root_check: String,
    keys: K,
    /// HMAC over format and keys: nothing can be taken out, put in or exchanged without the root key.
    mac: String,
}

/// All keys, wrapped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) platform: Entry,
    pub(crate) tenants: BTreeMap<TenantId, Entry>,
}

/// One owner's keys, wrapped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    index: String,
    /// Ascending, never empty.
    epochs: Vec<Epoch>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Epoch {
    number: u32,
    key: String,
}

/// The root key at work on the keyring.
pub(crate) struct Root {
    wrapping: XChaCha20Poly1305,
    mac: hmac::Hmac<sha2::Sha256>,
    check: String,
}

impl Root {
    pub(crate) fn new(key: &RootKey) -> Self {
        Self {
            wrapping: key.0.derive("keyring wrapping").cipher(),
            mac: key.0.derive("keyring mac").hmac(),
            check: hex::encode(key.0.derive("keyring check").bytes()),
        }
    }

    fn wrap(&self, owner: Owner, role: u32, key: &Key, entropy: &dyn Entropy) -> Result<String, VaultError> {
        let (mut out, bytes) = (Vec::new(), key.bytes());
        crypto::seal_into(&mut out, &self.wrapping, entropy, &aad(owner, role), bytes)
            .ok_or(VaultError::TooLong { bytes: bytes.len() })?;
        Ok(STANDARD.encode(out))
    }

    fn unwrap(&self, owner: Owner, role: u32, wrapped: &str) -> Result<Key, VaultError> {
        let bytes = STANDARD.decode(wrapped).ok();
        let bytes = bytes.and_then(|bytes| crypto::open(&self.wrapping, &aad(owner, role), &bytes));
        bytes.and_then(|bytes| Key::from_slice(&bytes)).ok_or_else(|| {
            VaultError::damaged(match owner {
                Owner::Platform => "a key of the platform does not open".to_owned(),
                Owner::Tenant(tenant) => format!("a key of {tenant} does not open"),
            })
        })
    }

    fn mac_of(&self, keys: &Keys) -> Result<String, VaultError> {
        let bytes = serde_json::to_vec(keys).map_err(|_| VaultError::damaged("it cannot be written"))?;
        let mac = self.mac.clone().chain_update(FORMAT.to_be_bytes()).chain_update(bytes);
        Ok(hex::encode(mac.finalize().into_bytes()))
    }
}

fn aad(owner: Owner, role: u32) -> Vec<u8> {
    [&owner.to_bytes()[..], &role.to_be_bytes()].concat()
}

/// The file's bytes.
pub(crate) fn encode(keys: &Keys, root: &Root) -> Result<Vec<u8>, VaultError> {
    let document = Document { format: FORMAT, root_check: root.check.clone(), keys, mac: root.mac_of(keys)? };
    serde_json::to_vec(&document).map_err(|_| VaultError::damaged("it cannot be written"))
}

/// What the file's bytes say, if the root key vouches for it.
pub(crate) fn decode(bytes: &[u8], root: &Root) -> Result<Keys, VaultError> {
    let damaged = |_| VaultError::damaged("it is not the JSON document it should be");
    let Version { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format != FORMAT {
        return Err(VaultError::UnknownFormat { found: format });
    }
    let document: Document<Keys> = serde_json::from_slice(bytes).map_err(damaged)?;
    let authentic = same(root.mac_of(&document.keys)?.as_bytes(), document.mac.as_bytes());
    let fits = same(root.check.as_bytes(), document.root_check.as_bytes());
    match (fits, authentic) {
        (true, true) => Ok(document.keys),
        (false, false) => Err(VaultError::WrongRootKey),
        (true, false) => Err(VaultError::damaged("its content was altered")),
        (false, true) => Err(VaultError::damaged("its check of the root key was altered")),
    }
}

impl Keys {
    pub(crate) fn new(root: &Root, entropy: &dyn Entropy) -> Result<Self, VaultError> {
        Ok(Self { platform: Entry::new(Owner::Platform, root, entropy)?, tenants: BTreeMap::new() })
    }

    pub(crate) fn entry_mut(&mut self, owner: Owner) -> Result<&mut Entry, VaultError> {
        match owner {
            Owner::Platform => Ok(&mut self.platform),
            Owner::Tenant(tenant) => self.tenants.get_mut(&tenant).ok_or(VaultError::NoSuchTenant(tenant)),
        }
    }

    /// The same keys under another root.
    pub(crate) fn rewrap(&self, from: &Root, to: &Root, entropy: &dyn Entropy) -> Result<Self, VaultError> {
        let tenants = self.tenants.iter().map(|(tenant, entry)| {
            entry.rewrap(Owner::Tenant(*tenant), from, to, entropy).map(|entry| (*tenant, entry))
        });
        Ok(Self {
            platform: self.platform.rewrap(Owner::Platform, from, to, entropy)?,
            tenants: tenants.collect::<Result<_, _>>()?,
        })
    }
}

impl Entry {
    pub(crate) fn new(owner: Owner, root: &Root, entropy: &dyn Entropy) -> Result<Self, VaultError> {
        let wrap = |role| root.wrap(owner, role, &Key::random(entropy), entropy);
        let first = Epoch { number: FIRST_EPOCH, key: wrap(FIRST_EPOCH)? };
        Ok(Self { index: wrap(INDEX)?, epochs: vec![first] })
    }

    pub(crate) fn newest(&self) -> Result<u32, VaultError> {
        let newest = self.epochs.last().ok_or_else(|| VaultError::damaged("an owner without epochs"))?;
        Ok(newest.number)
    }

    /// Adds the next epoch.
    pub(crate) fn rotate(
        &mut self,
        owner: Owner,
        root: &Root,
        entropy: &dyn Entropy,
    ) -> Result<EpochKeys, VaultError> {
        let next = self.newest()?.checked_add(1);
        let number = next.ok_or_else(|| VaultError::damaged("its epochs are used up"))?;
        let key = Key::random(entropy);
        self.epochs.push(Epoch { number, key: root.wrap(owner, number, &key, entropy)? });
        Ok(EpochKeys::new(number, &key))
    }

    /// Takes an epoch out; tells whether it was there.
    pub(crate) fn retire(&mut self, epoch: u32) -> Result<bool, VaultError> {
        let newest = self.newest()?;
        if epoch == newest {
            return Err(VaultError::EpochInUse { epoch });
        }
        if epoch > newest || epoch < FIRST_EPOCH {
            return Err(VaultError::UnknownEpoch { epoch });
        }
        let before = self.epochs.len();
        self.epochs.retain(|kept| kept.number != epoch);
        Ok(self.epochs.len() < before)
    }

    /// Takes all epochs before this one out; tells whether there was any.
    pub(crate) fn retire_before(&mut self, epoch: u32) -> Result<bool, VaultError> {
        if !self.epochs.iter().any(|kept| kept.number == epoch) {
            return Err(VaultError::UnknownEpoch { epoch });
        }
        let before = self.epochs.len();
        self.epochs.retain(|kept| kept.number >= epoch);
        Ok(self.epochs.len() < before)
    }

    /// Takes in the epochs of a former self that are not there any more; tells whether there was any.
    pub(crate) fn readmit(&mut self, former: &Self) -> bool {
        let newest = self.epochs.last().map_or(0, |epoch| epoch.number);
        let mut any = false;
        for epoch in former.epochs.iter().filter(|epoch| epoch.number < newest) {
            if !self.epochs.iter().any(|kept| kept.number == epoch.number) {
                self.epochs.push(epoch.clone());
                any = true;
            }
        }
        self.epochs.sort_by_key(|epoch| epoch.number);
        any
    }

    /// The index key and the epochs, unwrapped.
    pub(crate) fn open(&self, owner: Owner, root: &Root) -> Result<(Key, Vec<EpochKeys>), VaultError> {
        if !self.epochs.is_sorted_by(|a, b| a.number < b.number) {
            return Err(VaultError::damaged("epochs out of order"));
        }
        self.newest()?;
        let epochs = self.epochs.iter().map(|epoch| {
            let key = root.unwrap(owner, epoch.number, &epoch.key)?;
            Ok(EpochKeys::new(epoch.number, &key))
        });
        Ok((root.unwrap(owner, INDEX, &self.index)?, epochs.collect::<Result<_, VaultError>>()?))
    }

    fn rewrap(
        &self,
        owner: Owner,
        from: &Root,
        to: &Root,
        entropy: &dyn Entropy,
    ) -> Result<Self, VaultError> {
        let again = |role, wrapped: &str| {
            from.unwrap(owner, role, wrapped).and_then(|key| to.wrap(owner, role, &key, entropy))
        };
        let epochs = self
            .epochs
            .iter()
            .map(|epoch| Ok(Epoch { number: epoch.number, key: again(epoch.number, &epoch.key)? }));
        Ok(Self { index: again(INDEX, &self.index)?, epochs: epochs.collect::<Result<_, VaultError>>()? })
    }
}
