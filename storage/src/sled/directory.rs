//! Whose each address is, in memory: asked for every element of every webhook.

use std::collections::{BTreeMap, HashMap};

use iassistance_domain::channel::{AddressScope, Channel, ChannelAddress, Route};
use iassistance_domain::id::{ChannelId, MetaAppId, TenantId};

/// All channels of all tenants.
#[derive(Default)]
pub(super) struct Directory {
    routes: HashMap<ChannelAddress, BTreeMap<ChannelId, Route>>,
    channels: HashMap<ChannelId, Entry>,
}

struct Entry {
    tenant: TenantId,
    meta_app: MetaAppId,
    addresses: Vec<ChannelAddress>,
}

impl Directory {
    pub(super) fn put(&mut self, channel: &Channel) {
        self.remove(channel.id);
        let (tenant, meta_app) = (channel.tenant, channel.meta_app);
        let route = Route { tenant, channel: channel.id, meta_app };
        let addresses: Vec<_> = channel.addresses().collect();
        for address in &addresses {
            let routes = self.routes.entry(address.clone()).or_default();
            if address.scope == AddressScope::Channel {
                routes.clear();
            }
            routes.insert(channel.id, route);
        }
        self.channels.insert(channel.id, Entry { tenant, meta_app, addresses });
    }

    pub(super) fn remove(&mut self, id: ChannelId) {
        let Some(entry) = self.channels.remove(&id) else { return };
        for address in entry.addresses {
            if let Some(routes) = self.routes.get_mut(&address) {
                routes.remove(&id);
                if routes.is_empty() {
                    self.routes.remove(&address);
                }
            }
        }
    }

    /// Whose an address is, oldest first.
    pub(super) fn routes(&self, address: &ChannelAddress) -> Vec<Route> {
        self.routes.get(address).map(|routes| routes.values().copied().collect()).unwrap_or_default()
    }

    pub(super) fn owner(&self, channel: ChannelId) -> Option<TenantId> {
        self.channels.get(&channel).map(|entry| entry.tenant)
    }

    /// The channels that were connected through a Meta app, oldest first.
    pub(super) fn of_app(&self, meta_app: MetaAppId) -> BTreeMap<ChannelId, TenantId> {
        let its = self.channels.iter().filter(|(_, entry)| entry.meta_app == meta_app);
        its.map(|(id, entry)| (*id, entry.tenant)).collect()
    }
}

/// A channel's own address, which no other channel has.
pub(super) fn own_address(channel: &Channel) -> ChannelAddress {
    ChannelAddress::channel(channel.kind(), channel.external_id.clone())
}
