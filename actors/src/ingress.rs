//! From parsed webhook elements into the durable inbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use iassistance_channels::Parsed;
use iassistance_domain::channel::{ChannelAddress, Notice, Route};
use iassistance_domain::id::{ChannelId, MetaAppId, TenantId};
use iassistance_domain::inbound::{InboundEvent, InboundKind};
use iassistance_domain::tenant::TenantCtx;
use iassistance_storage::{Accepted, StorageError, TenantStore};
use tokio::sync::oneshot;

use crate::engine::Engine;

/// What became of the elements of one webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Events that were new.
    pub new: usize,
    /// Events that had been accepted before.
    pub duplicates: usize,
    /// Events of addresses that nobody connected: kept, and no tenant touched.
    pub unrouted: usize,
}

impl Engine {
    /// Takes the elements of one signed webhook in. When this returns they are on stable storage,
    /// each once, and their conversations are rung. On an error nothing may be acknowledged; what was
    /// taken in already is recognised when the webhook is repeated.
    pub async fn accept(&self, meta_app: MetaAppId, elements: Vec<Parsed>) -> Result<Ingested, StorageError> {
        let mut ingested = Ingested::default();
        let mut routed: BTreeMap<(TenantId, ChannelId), Vec<InboundEvent>> = BTreeMap::new();
        for Parsed { address, event } in elements {
            // A signature speaks for the app's own channels: another app's number is unknown here.
            let routes = self.routed(meta_app, address.as_ref());
            let Some((last, others)) = routes.split_last() else {
                ingested.unrouted += 1;
                self.store().keep_unrouted(address, event).await?;
                continue;
            };
            for route in others {
                routed.entry((route.tenant, route.channel)).or_default().push(event.clone());
            }
            routed.entry((last.tenant, last.channel)).or_default().push(event);
        }
        for ((tenant, channel), events) in routed {
            let store = self.store().tenant(TenantCtx::routed(tenant)).await?;
            let (accepted, events) = self.take_in(tenant, store, channel, events).await?;
            let new = accepted.new.iter().filter(|new| **new).count();
            ingested.new += new;
            ingested.duplicates += accepted.new.len() - new;
            for notice in events.iter().filter_map(notice) {
                // Also when it was accepted before: it may not have been taken to heart then.
                self.heed(tenant, channel, notice).await?;
            }
        }
        for (outcome, count) in
            [("new", ingested.new), ("duplicate", ingested.duplicates), ("unrouted", ingested.unrouted)]
        {
            metrics::counter!("iassistance_accept_events_total", "outcome" => outcome)
                .increment(count as u64);
        }
        Ok(ingested)
    }

    /// Takes events in and rings for them. A task of its own: whoever sent them may be gone before they
    /// are written down, and what is written down but not rung for would wait for the next sweep.
    async fn take_in(
        &self,
        tenant: TenantId,
        store: Arc<dyn TenantStore>,
        channel: ChannelId,
        events: Vec<InboundEvent>,
    ) -> Result<(Accepted, Vec<InboundEvent>), StorageError> {
        let (engine, (answer, answered)) = (self.clone(), oneshot::channel());
        self.shared.tasks.spawn("accept", async move {
            let accepted = store.accept(channel, &events).await;
            if let Ok(accepted) = &accepted {
                engine.ring(tenant, &accepted.conversations);
            }
            let _gone = answer.send(accepted.map(|accepted| (accepted, events)));
        });
        answered.await.unwrap_or(Err(StorageError::Closed))
    }

    /// The channels that an address means: several where it is a whole business account's.
    fn routed(&self, meta_app: MetaAppId, address: Option<&ChannelAddress>) -> Vec<Route> {
        let mut routes = address.map(|address| self.store().routes(address)).unwrap_or_default();
        routes.retain(|route| route.meta_app == meta_app);
        routes
    }
}

fn notice(event: &InboundEvent) -> Option<&Notice> {
    match &event.kind {
        InboundKind::Noticed(notice) => Some(notice),
        _ => None,
    }
}
