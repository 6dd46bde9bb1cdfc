//! The keyring: all tenants' keys in one file outside the database.

use std::collections::{HashMap, btree_map};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use iassistance_domain::Entropy;
use iassistance_domain::id::TenantId;

use crate::record::Owner;
use crate::tenant::TenantVault;
use crate::wire::{self, Entry, Keys, Root};
use crate::{RootKey, VaultError, file};

const FILE_BYTES_MAX: u64 = 256 << 20;

/// The keys of the platform and of every tenant.
///
/// Every change rewrites the file whole and is on stable storage when the call returns; a call that fails
/// leaves the keys in use as they were and can be repeated. Changes block on the disk, and the file has about
/// 300 bytes per tenant: not for an async thread. One process at a time has the keyring open.
pub struct Keyring {
    path: PathBuf,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
    platform: TenantVault,
    tenants: RwLock<HashMap<TenantId, TenantVault>>,
    _lock: File,
}

struct State {
    root: Root,
    keys: Keys,
}

impl Keyring {
    /// Opens the keyring at `path`, or creates it there (mode 0600; its folder must exist). `store_exists`
    /// says whether there is a database already: then a keyring that is missing is refused, since new keys
    /// could not open what is stored. `entropy` is where keys and nonces come from:
    /// [`SystemEntropy`](crate::SystemEntropy), save in tests.
    ///
    /// # Errors
    /// [`VaultError::KeyringMissing`], [`VaultError::WrongRootKey`], [`VaultError::Damaged`],
    /// [`VaultError::UnknownFormat`], [`VaultError::PermissionsTooOpen`], [`VaultError::InUse`],
    /// [`VaultError::Io`].
    pub fn open(
        path: &Path,
        root: &RootKey,
        store_exists: bool,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, VaultError> {
        // A link is followed once, here: replacing the file must not replace the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let lock = file::lock(&path)?;
        let root = Root::new(root);
        let keys = match file::read_private(&path, FILE_BYTES_MAX)? {
            Some(bytes) => {
                let keys = wire::decode(&bytes, &root)?;
                if file::remove_leftover(&path)? {
                    tracing::warn!("removed what an interrupted write of the keyring had left behind");
                }
                keys
            }
            // What an interrupted write left stays too: it may be the last copy of the keys.
            None if store_exists => return Err(VaultError::KeyringMissing { path }),
            None => {
                let keys = Keys::new(&root, &*entropy)?;
                file::replace(&path, &wire::encode(&keys, &root)?)?;
                keys
            }
        };
        let vault = |owner, entry: &Entry| vault(owner, entry, &root, &entropy);
        let platform = vault(Owner::Platform, &keys.platform)?;
        let tenants = keys
            .tenants
            .iter()
            .map(|(tenant, entry)| vault(Owner::Tenant(*tenant), entry).map(|vault| (*tenant, vault)));
        let tenants = RwLock::new(tenants.collect::<Result<_, _>>()?);
        Ok(Self { path, entropy, state: Mutex::new(State { root, keys }), platform, tenants, _lock: lock })
    }

    /// The keyring's file as it is, to be kept apart. Its keys are wrapped by the root key. It may be open
    /// meanwhile: it is always replaced whole.
    ///
    /// # Errors
    /// [`VaultError::KeyringMissing`], [`VaultError::PermissionsTooOpen`], [`VaultError::Io`].
    pub fn export(path: &Path) -> Result<Vec<u8>, VaultError> {
        let bytes = file::read_private(path, FILE_BYTES_MAX)?;
        bytes.map(|bytes| bytes.to_vec()).ok_or_else(|| VaultError::KeyringMissing { path: path.to_owned() })
    }

    /// Puts an exported keyring where there is none. Whether a root key fits it is seen when it is opened.
    ///
    /// # Errors
    /// [`VaultError::InUse`], [`VaultError::Io`], also where there is one already.
    pub fn import(path: &Path, exported: &[u8]) -> Result<(), VaultError> {
        let _lock = file::lock(path)?;
        Self::write_private(path, exported)
    }

    /// Writes a new file that nobody else can read, lasting when this returns.
    ///
    /// # Errors
    /// [`VaultError::Io`], also where there is one already.
    pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
        if path.exists() {
            return Err(VaultError::io(path)(std::io::ErrorKind::AlreadyExists.into()));
        }
        file::replace(path, bytes)
    }

    /// Where the keyring is: what to back up, apart from the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tenant's keys.
    ///
    /// # Errors
    /// [`VaultError::NoSuchTenant`]
    pub fn tenant(&self, tenant: TenantId) -> Result<TenantVault, VaultError> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.get(&tenant).cloned().ok_or(VaultError::NoSuchTenant(tenant))
    }

    /// The keys for what belongs to no tenant.
    pub fn platform(&self) -> TenantVault {
        self.platform.clone()
    }

    /// All tenants that have keys, in the order of their ids.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.state().keys.tenants.keys().copied().collect()
    }

    /// A peppered hash of a secret, to store and compare (see [`same`](crate::same)) in its stead: without the
    /// keyring it cannot be tried out. For secrets that are random, such as API keys; not for passwords, which
    /// need a slow hash. The same in every epoch.
    pub fn hash_secret(&self, label: &str, secret: &[u8]) -> [u8; 32] {
        self.platform.hash_secret(label, secret)
    }

    /// Makes keys for the tenant. One that has keys keeps them.
    pub fn create_tenant(&self, tenant: TenantId) -> Result<TenantVault, VaultError> {
        self.create_tenants(&[tenant])?;
        self.tenant(tenant)
    }

    /// Makes keys for many tenants in one write. Those that have keys keep them.
    pub fn create_tenants(&self, tenants: &[TenantId]) -> Result<(), VaultError> {
        let mut state = self.state();
        let mut keys = state.keys.clone();
        let mut created = HashMap::new();
        for &tenant in tenants {
            if let btree_map::Entry::Vacant(vacant) = keys.tenants.entry(tenant) {
                let owner = Owner::Tenant(tenant);
                let entry = Entry::new(owner, &state.root, &*self.entropy)?;
                created.insert(tenant, vault(owner, &entry, &state.root, &self.entropy)?);
                vacant.insert(entry);
            }
        }
        if !created.is_empty() {
            self.save(&mut state, keys)?;
            self.tenants.write().unwrap_or_else(PoisonError::into_inner).extend(created);
        }
        Ok(())
    }

    /// Destroys the tenant's keys: nothing sealed with them can be opened again, also not through a
    /// [`TenantVault`] that is still held. A tenant without keys is no error.
    pub fn destroy_tenant(&self, tenant: TenantId) -> Result<(), VaultError> {
        let mut state = self.state();
        let mut keys = state.keys.clone();
        if keys.tenants.remove(&tenant).is_none() {
            return Ok(());
        }
        self.save(&mut state, keys)?;
        let vault = self.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
        if let Some(vault) = vault {
            vault.forget_epochs(|_| true);
        }
        Ok(())
    }

    /// Adds an epoch to the tenant's keys, which seals from now on, and gives its number. The former ones
    /// still open what they sealed, until [`retire_epoch`](Self::retire_epoch).
    pub fn rotate_tenant_epoch(&self, tenant: TenantId) -> Result<u32, VaultError> {
        self.rotate_epoch(Owner::Tenant(tenant))
    }

    /// Adds an epoch to the platform's keys, as for a tenant.
    pub fn rotate_platform_epoch(&self) -> Result<u32, VaultError> {
        self.rotate_epoch(Owner::Platform)
    }

    /// Destroys the tenant's keys of one epoch; one that is retired already is no error.
    ///
    /// Before: every contact key that shall live is wrapped anew, every record of the tenant's own key is
    /// resealed, and every write that was sealed before the rotation is committed. What is left under this
    /// epoch cannot be opened again.
    ///
    /// # Errors
    /// [`VaultError::EpochInUse`] for the newest epoch, [`VaultError::UnknownEpoch`] for one that never was.
    pub fn retire_epoch(&self, tenant: TenantId, epoch: u32) -> Result<(), VaultError> {
        self.retire(Owner::Tenant(tenant), epoch)
    }

    /// Destroys the tenant's keys of all epochs before this one, in one write, as [`retire_epoch`](Self::retire_epoch)
    /// does of one.
    ///
    /// # Errors
    /// [`VaultError::UnknownEpoch`] where it has no epoch of this number.
    pub fn retire_epochs_before(&self, tenant: TenantId, epoch: u32) -> Result<(), VaultError> {
        let mut state = self.state();
        let mut keys = state.keys.clone();
        let owner = Owner::Tenant(tenant);
        if keys.entry_mut(owner)?.retire_before(epoch)? {
            self.save(&mut state, keys)?;
            self.vault_of(owner)?.forget_epochs(|number| number < epoch);
        }
        Ok(())
    }

    /// Takes in, from an exported keyring of the same root key, the epochs that tenants have no keys of any more:
    /// what a backup from before holds opens again, until they are retired anew. Tenants that were destroyed stay
    /// so. Says how many tenants have more keys by it.
    ///
    /// # Errors
    /// [`VaultError::WrongRootKey`], [`VaultError::Damaged`], [`VaultError::UnknownFormat`], [`VaultError::Io`].
    pub fn readmit(&self, exported: &[u8]) -> Result<usize, VaultError> {
        let mut state = self.state();
        let former = wire::decode(exported, &state.root)?;
        let mut keys = state.keys.clone();
        let mut readmitted = Vec::new();
        for (tenant, entry) in &former.tenants {
            if let Some(present) = keys.tenants.get_mut(tenant)
                && present.readmit(entry)
            {
                readmitted.push(*tenant);
            }
        }
        if readmitted.is_empty() {
            return Ok(0);
        }
        let mut opened = Vec::new();
        for tenant in &readmitted {
            if let Some(entry) = keys.tenants.get(tenant) {
                opened.push((*tenant, entry.open(Owner::Tenant(*tenant), &state.root)?.1));
            }
        }
        self.save(&mut state, keys)?;
        for (tenant, epochs) in opened {
            self.tenant(tenant)?.replace_epochs(epochs);
        }
        Ok(readmitted.len())
    }

    /// Destroys the platform's keys of one epoch, as for a tenant.
    pub fn retire_platform_epoch(&self, epoch: u32) -> Result<(), VaultError> {
        self.retire(Owner::Platform, epoch)
    }

    /// Wraps all keys anew under another root key, which the next start needs. If this fails, the keyring
    /// opens with the former root key, or, when only the folder could not be synced, with the new one: keep
    /// both until it succeeds. Copies of the keyring made before still open with the former.
    pub fn rotate_root(&self, new_root: &RootKey) -> Result<(), VaultError> {
        let mut state = self.state();
        let root = Root::new(new_root);
        let keys = state.keys.rewrap(&state.root, &root, &*self.entropy)?;
        file::replace(&self.path, &wire::encode(&keys, &root)?)?;
        *state = State { root, keys };
        Ok(())
    }

    fn rotate_epoch(&self, owner: Owner) -> Result<u32, VaultError> {
        let mut state = self.state();
        let mut keys = state.keys.clone();
        let entry = keys.entry_mut(owner)?;
        let epoch = entry.rotate(owner, &state.root, &*self.entropy)?;
        let number = entry.newest()?;
        self.save(&mut state, keys)?;
        self.vault_of(owner)?.add_epoch(epoch);
        Ok(number)
    }

    fn retire(&self, owner: Owner, epoch: u32) -> Result<(), VaultError> {
        let mut state = self.state();
        let mut keys = state.keys.clone();
        if keys.entry_mut(owner)?.retire(epoch)? {
            self.save(&mut state, keys)?;
            self.vault_of(owner)?.forget_epochs(|number| number == epoch);
        }
        Ok(())
    }

    fn vault_of(&self, owner: Owner) -> Result<TenantVault, VaultError> {
        match owner {
            Owner::Platform => Ok(self.platform()),
            Owner::Tenant(tenant) => self.tenant(tenant),
        }
    }

    /// Changes are made one after the other, on the disk as in memory.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, state: &mut State, keys: Keys) -> Result<(), VaultError> {
        file::replace(&self.path, &wire::encode(&keys, &state.root)?)?;
        state.keys = keys;
        Ok(())
    }
}

fn vault(
    owner: Owner,
    entry: &Entry,
    root: &Root,
    entropy: &Arc<dyn Entropy>,
) -> Result<TenantVault, VaultError> {
    let (index, epochs) = entry.open(owner, root)?;
    Ok(TenantVault::new(owner, Arc::clone(entropy), &index, epochs))
}
