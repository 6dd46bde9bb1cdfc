//! Whose each address is, in memory: asked for every element of every webhook.

use std::collections::HashMap;

use iassistance_domain::channel::{Channel, ChannelAddress, Route};
use iassistance_domain::id::{ChannelId, TenantId};

/// All channels of all tenants.
#[derive(Default)]
pub(super) struct Directory {
    routes: HashMap<ChannelAddress, Route>,
    channels: HashMap<ChannelId, (TenantId, ChannelAddress)>,
}

impl Directory {
    pub(super) fn put(&mut self, channel: &Channel) {
        let address = address_of(channel);
        let route = Route { tenant: channel.tenant, channel: channel.id, meta_app: channel.meta_app };
        let owner = (channel.tenant, address.clone());
        if let Some((_, former)) = self.channels.insert(channel.id, owner)
            && self.routes.get(&former).is_some_and(|route| route.channel == channel.id)
        {
            self.routes.remove(&former);
        }
        self.routes.insert(address, route);
    }

    pub(super) fn route(&self, address: &ChannelAddress) -> Option<Route> {
        self.routes.get(address).copied()
    }

    pub(super) fn owner(&self, channel: ChannelId) -> Option<TenantId> {
        self.channels.get(&channel).map(|(tenant, _)| *tenant)
    }
}

pub(super) fn address_of(channel: &Channel) -> ChannelAddress {
    ChannelAddress { kind: channel.kind, external_id: channel.external_id.clone() }
}
