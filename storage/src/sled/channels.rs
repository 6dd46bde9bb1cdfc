//! Channels: sealed with their tenants' keys, in the platform's tree, so that a channel and its
//! address change in one write.

use std::sync::{Arc, PoisonError};

use iassistance_domain::channel::{Channel, ChannelHealth};
use iassistance_domain::id::{ChannelId, MetaAppId, TenantId};
use iassistance_vault::{KeyRef, Keyring, TenantVault};

use super::directory::{Directory, own_address};
use super::keys::{self, CHANNEL, CHANNEL_ADDRESS, ChannelOwner, Hash, Key, id_in};
use super::space::{PLATFORM, Page, Read, Result, Space, open, seal, vault_error};
use super::tx::{Owner, Tx};
use super::{Core, blocking};
use crate::error::StorageError;

/// The channels of all tenants, as they are stored. One that does not open is left out: its webhooks
/// are kept as unrouted until it is put again.
pub(super) fn load_directory(platform: &Space, keyring: &Keyring) -> Result<Directory> {
    let mut directory = Directory::default();
    for (key, sealed) in platform.rows(CHANNEL.key().bytes(), Page::First, usize::MAX)? {
        match id_in(&key, 1).map(TenantId::from_bytes).map(|tenant| (tenant, keyring.tenant(tenant))) {
            Some((tenant, Ok(vault))) => match open_channel(&vault, &key, &sealed) {
                Ok(channel) => directory.put(&channel),
                Err(error) => tracing::error!(%tenant, %error, "a channel is not connected"),
            },
            Some((tenant, Err(error))) => tracing::error!(%tenant, %error, "a channel is not connected"),
            None => tracing::error!("the key of a channel is too short: it is not connected"),
        }
    }
    Ok(directory)
}

/// Channels are sealed with their tenant's key.
pub(super) fn open_channel(vault: &TenantVault, key: &[u8], sealed: &[u8]) -> Result<Channel> {
    open(vault, PLATFORM, CHANNEL, key, KeyRef::Tenant, sealed).map_err(|unopened| unopened.of(CHANNEL))
}

impl Tx<'_> {
    fn put_channel(&mut self, channel: &Channel, vault: &TenantVault) -> Result<()> {
        let key = keys::channel(channel.tenant, channel.id);
        let address = self.address_key(channel);
        let owner = ChannelOwner { tenant: channel.tenant, channel: channel.id };
        match self.get(&address)? {
            Some(other) if other.channel != channel.id => {
                return Err(StorageError::Conflict("channel address"));
            }
            Some(_) => {}
            None => {
                // What does not open is replaced; its former address, then, stays taken.
                let former = self.sealed(key.bytes())?;
                let former = former.and_then(|sealed| open_channel(vault, key.bytes(), &sealed).ok());
                if let Some(former) = former {
                    self.remove(&self.address_key(&former))?;
                }
                self.put(&address, Owner::Tenant, &owner)?;
            }
        }
        self.put_channel_record(&key, channel, vault)
    }

    fn put_channel_record(
        &mut self,
        key: &Key<Channel>,
        channel: &Channel,
        vault: &TenantVault,
    ) -> Result<()> {
        let sealed = seal(vault, PLATFORM, key, KeyRef::Tenant, channel)?;
        self.put_sealed(key, sealed);
        Ok(())
    }

    fn set_channel_health(
        &mut self,
        key: &Key<Channel>,
        health: ChannelHealth,
        vault: &TenantVault,
    ) -> Result<()> {
        let sealed = self.sealed(key.bytes())?.ok_or(StorageError::NotFound("channel"))?;
        let channel = open_channel(vault, key.bytes(), &sealed)?;
        self.put_channel_record(key, &Channel { health, ..channel }, vault)
    }

    fn remove_channel(&mut self, tenant: TenantId, id: ChannelId, vault: &TenantVault) -> Result<bool> {
        let key = keys::channel(tenant, id);
        let Some(sealed) = self.sealed(key.bytes())? else { return Ok(false) };
        let addresses = match open_channel(vault, key.bytes(), &sealed) {
            Ok(channel) => vec![self.address_key(&channel)],
            // It cannot say any more which address it has.
            Err(_) => {
                let owners = self.list(&CHANNEL_ADDRESS.key(), usize::MAX)?;
                let its = owners.iter().filter(|(_, owner)| owner.channel == id);
                its.filter_map(|(key, _)| id_in(key, 1)).map(address_of_hash).collect()
            }
        };
        for address in addresses {
            self.remove(&address)?;
        }
        self.remove(&key)
    }

    fn address_key(&self, channel: &Channel) -> Key<ChannelOwner> {
        address_key(self.space, channel)
    }
}

/// Where it is written down whose a channel's own address is.
pub(super) fn address_key(platform: &Space, channel: &Channel) -> Key<ChannelOwner> {
    let text = keys::address_text(&own_address(channel));
    address_of_hash(platform.hash("channel address", &[text.as_bytes()]))
}

fn address_of_hash(hash: Hash) -> Key<ChannelOwner> {
    CHANNEL_ADDRESS.key().id(hash)
}

impl Core {
    /// The keys of a tenant that there is.
    fn vault_of(&self, tenant: TenantId) -> Result<TenantVault> {
        self.writer.health()?;
        if !self.platform.has(&keys::tenant(tenant))? {
            return Err(StorageError::NoSuchTenant(tenant));
        }
        self.keyring.tenant(tenant).map_err(vault_error)
    }

    pub(super) async fn put_channel(&self, channel: Channel) -> Result<()> {
        let vault = self.vault_of(channel.tenant)?;
        if self.directory().owner(channel.id).is_some_and(|owner| owner != channel.tenant) {
            return Err(StorageError::Conflict("channel"));
        }
        let directory = Arc::clone(&self.directory);
        let put = move |tx: &mut Tx<'_>| {
            tx.put_channel(&channel, &vault)?;
            tx.afterwards.push(Box::new(move || {
                directory.write().unwrap_or_else(PoisonError::into_inner).put(&channel);
            }));
            Ok(())
        };
        self.writer.write(&self.platform, put).await
    }

    pub(super) async fn set_channel_health(
        &self,
        tenant: TenantId,
        id: ChannelId,
        health: ChannelHealth,
    ) -> Result<()> {
        let vault = self.vault_of(tenant)?;
        let key = keys::channel(tenant, id);
        let set = move |tx: &mut Tx<'_>| tx.set_channel_health(&key, health, &vault);
        self.writer.write(&self.platform, set).await
    }

    pub(super) async fn remove_channel(self: &Arc<Self>, tenant: TenantId, id: ChannelId) -> Result<bool> {
        let vault = self.vault_of(tenant)?;
        let directory = Arc::clone(&self.directory);
        let remove = move |tx: &mut Tx<'_>| {
            let removed = tx.remove_channel(tenant, id, &vault)?;
            if removed {
                tx.afterwards.push(Box::new(move || {
                    directory.write().unwrap_or_else(PoisonError::into_inner).remove(id);
                }));
            }
            Ok(removed)
        };
        let removed = self.writer.write(&self.platform, remove).await?;
        if removed {
            // Apart, as they are in another tree: what a crash leaves is of no channel.
            let space = self.space(tenant).await?;
            self.writer.write(&space, move |tx| tx.remove(&keys::templates(id))).await?;
        }
        Ok(removed)
    }

    pub(super) async fn channels_of_app(&self, meta_app: MetaAppId) -> Result<Vec<Channel>> {
        self.writer.health()?;
        let of_app = self.directory().of_app(meta_app);
        let (platform, keyring) = (Arc::clone(&self.platform), Arc::clone(&self.keyring));
        blocking(move || {
            let mut channels = Vec::with_capacity(of_app.len());
            for (id, tenant) in of_app {
                let key = keys::channel(tenant, id);
                if let Some(sealed) = platform.sealed(key.bytes())? {
                    let vault = keyring.tenant(tenant).map_err(vault_error)?;
                    // One that does not open speaks for no app.
                    channels.extend(open_channel(&vault, key.bytes(), &sealed).ok());
                }
            }
            Ok(channels)
        })
        .await
    }
}
