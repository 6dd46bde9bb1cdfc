//! One owner's keys at work: sealing, opening, contact keys, keyed hashes.

use std::sync::{Arc, PoisonError, RwLock};

use chacha20poly1305::XChaCha20Poly1305;
use hmac::Hmac;
use iassistance_domain::Entropy;
use iassistance_domain::id::ContactId;
use sha2::Sha256;

use crate::VaultError;
use crate::content::ContentKey;
use crate::crypto::{self, Key, NONCE_BYTES, TAG_BYTES};
use crate::record::{Header, KeyRef, Opened, Owner, Place};

const WRAPPED_FORMAT: u8 = 1;
const WRAPPED_HEADER_BYTES: usize = 5;
const WRAPPED_PLACE: &str = "contact key";

/// The ciphers of one epoch. The data key they come from is not kept.
pub(crate) struct EpochKeys {
    number: u32,
    records: XChaCha20Poly1305,
    subject_keys: XChaCha20Poly1305,
}

impl EpochKeys {
    pub(crate) fn new(number: u32, data_key: &Key) -> Self {
        Self {
            number,
            records: data_key.derive("records").cipher(),
            subject_keys: data_key.derive("subject keys").cipher(),
        }
    }
}

struct Inner {
    owner: Owner,
    entropy: Arc<dyn Entropy>,
    index: Hmac<Sha256>,
    pepper: Hmac<Sha256>,
    /// Ascending; sealing takes the last. Empty once the owner's keys are destroyed.
    epochs: RwLock<Vec<Arc<EpochKeys>>>,
}

/// The keys of one tenant, or of the platform. Cheap to clone.
///
/// All clones follow the [`Keyring`](crate::Keyring): a new epoch is used from the next call on, and once the
/// tenant is destroyed every call that needs its keys answers [`VaultError::NoSuchTenant`].
#[derive(Clone)]
pub struct TenantVault(Arc<Inner>);

impl TenantVault {
    pub(crate) fn new(
        owner: Owner,
        entropy: Arc<dyn Entropy>,
        index_key: &Key,
        epochs: Vec<EpochKeys>,
    ) -> Self {
        Self(Arc::new(Inner {
            owner,
            entropy,
            index: index_key.derive("index").hmac(),
            pepper: index_key.derive("pepper").hmac(),
            epochs: RwLock::new(epochs.into_iter().map(Arc::new).collect()),
        }))
    }

    /// Whose keys these are.
    pub fn owner(&self) -> Owner {
        self.0.owner
    }

    /// The epochs whose keys are held, ascending; empty once the tenant is destroyed.
    pub fn epochs(&self) -> Vec<u32> {
        self.read().iter().map(|keys| keys.number).collect()
    }

    /// Seals `plaintext` for `place`: the bytes to store there. Takes some microseconds per KiB.
    ///
    /// # Errors
    /// [`VaultError::NoSuchTenant`] once the tenant is destroyed, [`VaultError::WrongKey`] with the contact key
    /// of another tenant, [`VaultError::TooLong`] over 256 GiB.
    pub fn seal(&self, place: Place<'_>, key: KeyRef<'_>, plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let epoch = self.newest()?;
        let (cipher, subject) = match key {
            KeyRef::Tenant => (&epoch.records, None),
            KeyRef::Subject(subject) => (self.cipher_of(subject, place)?, Some(subject.contact)),
        };
        let header = Header { schema: place.schema, epoch: epoch.number, subject };
        let mut out = Vec::with_capacity(header.len() + NONCE_BYTES + plaintext.len() + TAG_BYTES);
        header.write(&mut out);
        let aad = header.aad(self.0.owner, place);
        crypto::seal_into(&mut out, cipher, &*self.0.entropy, &aad, plaintext)
            .ok_or(VaultError::TooLong { bytes: plaintext.len() })?;
        Ok(out)
    }

    /// Opens what was sealed for `place`; `place.schema` is not looked at, the record tells its own.
    ///
    /// # Errors
    /// [`VaultError::NotAuthentic`] if anything differs from what was sealed, [`VaultError::WrongKey`] if the
    /// record needs another key ([`subject_of`](crate::subject_of) tells which),
    /// [`VaultError::UnknownEpoch`] if its epoch was retired, [`VaultError::NoSuchTenant`] once the tenant is
    /// destroyed.
    pub fn open(&self, place: Place<'_>, key: KeyRef<'_>, sealed: &[u8]) -> Result<Opened, VaultError> {
        let (header, body) = Header::read(sealed).ok_or_else(|| not_authentic(place.tree))?;
        let aad = header.aad(self.0.owner, place);
        let plaintext = match (key, header.subject) {
            (KeyRef::Tenant, None) => crypto::open(&self.epoch(header.epoch)?.records, &aad, body),
            (KeyRef::Subject(subject), Some(contact)) if subject.contact == contact => {
                self.newest()?;
                crypto::open(self.cipher_of(subject, place)?, &aad, body)
            }
            _ => return Err(wrong_key(place.tree)),
        };
        let plaintext = plaintext.ok_or_else(|| not_authentic(place.tree))?;
        Ok(Opened { schema: header.schema, plaintext })
    }

    /// Brings a record that is sealed with the tenant's own key to the newest epoch; `None` if it needs none
    /// (it is there already, or is sealed with a contact's key). For every record, before an epoch is retired.
    pub fn reseal(&self, place: Place<'_>, sealed: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        let (header, _) = Header::read(sealed).ok_or_else(|| not_authentic(place.tree))?;
        if header.subject.is_some() || header.epoch == self.newest()?.number {
            return Ok(None);
        }
        let opened = self.open(place, KeyRef::Tenant, sealed)?;
        self.seal(Place { schema: opened.schema, ..place }, KeyRef::Tenant, &opened.plaintext).map(Some)
    }

    /// Makes a contact's key, and its wrapped form to store.
    pub fn new_subject_key(&self, contact: ContactId) -> Result<(SubjectKey, Vec<u8>), VaultError> {
        let key = Key::random(&*self.0.entropy);
        let wrapped = self.wrap(contact, &key)?;
        Ok((self.subject_key(contact, &key), wrapped))
    }

    /// The contact's key from its stored form.
    pub fn unwrap_subject_key(&self, contact: ContactId, wrapped: &[u8]) -> Result<SubjectKey, VaultError> {
        self.unwrap(contact, wrapped).map(|key| self.subject_key(contact, &key))
    }

    /// The same contact key, wrapped under the newest epoch. The records sealed with it stay as they are.
    pub fn rewrap_subject_key(&self, contact: ContactId, wrapped: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.wrap(contact, &self.unwrap(contact, wrapped)?)
    }

    /// The key of the contact's files.
    ///
    /// # Errors
    /// [`VaultError::NoSuchTenant`] once the tenant is destroyed, [`VaultError::WrongKey`] with the contact key
    /// of another tenant, and always for the platform, which has no files.
    pub fn content_key(&self, subject: &SubjectKey) -> Result<ContentKey, VaultError> {
        self.newest()?;
        match self.0.owner {
            Owner::Tenant(tenant) if subject.owner == self.0.owner => {
                Ok(ContentKey::new(tenant, &subject.content, Arc::clone(&self.0.entropy)))
            }
            _ => Err(wrong_key("content store")),
        }
    }

    /// A keyed hash that only this tenant has: for keys of indexes (phone numbers, message ids) and for ids
    /// shown outside. The same in every epoch; another tenant or another `label` gives another hash.
    pub fn hash(&self, label: &str, bytes: &[u8]) -> [u8; 32] {
        crypto::keyed_hash(&self.0.index, label, bytes)
    }

    pub(crate) fn hash_secret(&self, label: &str, bytes: &[u8]) -> [u8; 32] {
        crypto::keyed_hash(&self.0.pepper, label, bytes)
    }

    pub(crate) fn replace_epochs(&self, epochs: Vec<EpochKeys>) {
        let epochs = epochs.into_iter().map(Arc::new).collect();
        *self.0.epochs.write().unwrap_or_else(PoisonError::into_inner) = epochs;
    }

    pub(crate) fn add_epoch(&self, keys: EpochKeys) {
        self.0.epochs.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(keys));
    }

    pub(crate) fn forget_epochs(&self, gone: impl Fn(u32) -> bool) {
        self.0.epochs.write().unwrap_or_else(PoisonError::into_inner).retain(|keys| !gone(keys.number));
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<EpochKeys>>> {
        self.0.epochs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> Result<Arc<EpochKeys>, VaultError> {
        self.read().last().cloned().ok_or_else(|| self.destroyed())
    }

    fn epoch(&self, number: u32) -> Result<Arc<EpochKeys>, VaultError> {
        let epochs = self.read();
        if epochs.is_empty() {
            return Err(self.destroyed());
        }
        let found = epochs.iter().find(|keys| keys.number == number).cloned();
        found.ok_or(VaultError::UnknownEpoch { epoch: number })
    }

    fn destroyed(&self) -> VaultError {
        match self.0.owner {
            Owner::Tenant(tenant) => VaultError::NoSuchTenant(tenant),
            Owner::Platform => VaultError::damaged("no key of the platform"),
        }
    }

    fn subject_key(&self, contact: ContactId, key: &Key) -> SubjectKey {
        SubjectKey {
            owner: self.0.owner,
            contact,
            cipher: key.derive("subject records").cipher(),
            content: key.derive("subject content"),
        }
    }

    fn cipher_of<'a>(
        &self,
        subject: &'a SubjectKey,
        place: Place<'_>,
    ) -> Result<&'a XChaCha20Poly1305, VaultError> {
        if subject.owner == self.0.owner { Ok(&subject.cipher) } else { Err(wrong_key(place.tree)) }
    }

    /// format u8 ‖ epoch u32 ‖ nonce ‖ sealed key ‖ tag.
    fn wrap(&self, contact: ContactId, key: &Key) -> Result<Vec<u8>, VaultError> {
        let epoch = self.newest()?;
        let bytes = key.bytes();
        let mut out = Vec::with_capacity(WRAPPED_HEADER_BYTES + NONCE_BYTES + bytes.len() + TAG_BYTES);
        out.push(WRAPPED_FORMAT);
        out.extend_from_slice(&epoch.number.to_be_bytes());
        let aad = self.wrapping_aad(contact, epoch.number);
        crypto::seal_into(&mut out, &epoch.subject_keys, &*self.0.entropy, &aad, bytes)
            .ok_or(VaultError::TooLong { bytes: bytes.len() })?;
        Ok(out)
    }

    fn unwrap(&self, contact: ContactId, wrapped: &[u8]) -> Result<Key, VaultError> {
        let forged = || not_authentic(WRAPPED_PLACE);
        let ([format, epoch @ ..], body) =
            wrapped.split_first_chunk::<WRAPPED_HEADER_BYTES>().ok_or_else(forged)?;
        if *format != WRAPPED_FORMAT {
            return Err(forged());
        }
        let epoch = self.epoch(u32::from_be_bytes(*epoch))?;
        let aad = self.wrapping_aad(contact, epoch.number);
        let bytes = crypto::open(&epoch.subject_keys, &aad, body).ok_or_else(forged)?;
        Key::from_slice(&bytes).ok_or_else(forged)
    }

    fn wrapping_aad(&self, contact: ContactId, epoch: u32) -> Vec<u8> {
        [&[WRAPPED_FORMAT][..], &self.0.owner.to_bytes(), &contact.to_bytes(), &epoch.to_be_bytes()].concat()
    }
}

/// The epoch that a contact's wrapped key needs, without checking it.
pub fn wrapped_epoch(wrapped: &[u8]) -> Option<u32> {
    let ([format, epoch @ ..], _) = wrapped.split_first_chunk::<WRAPPED_HEADER_BYTES>()?;
    (*format == WRAPPED_FORMAT).then_some(u32::from_be_bytes(*epoch))
}

/// One contact's key, wiped when dropped.
pub struct SubjectKey {
    owner: Owner,
    contact: ContactId,
    cipher: XChaCha20Poly1305,
    content: Key,
}

impl SubjectKey {
    /// Whose it is.
    pub fn contact(&self) -> ContactId {
        self.contact
    }
}

fn not_authentic(place: &str) -> VaultError {
    VaultError::NotAuthentic { place: place.to_owned() }
}

fn wrong_key(place: &str) -> VaultError {
    VaultError::WrongKey { place: place.to_owned() }
}
