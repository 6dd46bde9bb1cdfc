//! Whether what was acknowledged is there.

use std::collections::HashMap;
use std::path::Path;

use iassistance::app::{AppParts, Vaulted};
use iassistance_config::Sources;
use iassistance_domain::event::{EventKind, EventSeq};
use iassistance_domain::id::TenantId;
use iassistance_domain::pii::TenantView;
use iassistance_domain::tenant::TenantCtx;

use crate::support::number_of;
use crate::support::server::SetUp;

/// Opens the store and looks for every acknowledged message in the tenant's log; how many are there,
/// each exactly once. Fails if one is missing or is there twice.
pub fn acknowledged(folder: &Path, set_up: &SetUp, acknowledged: &[u64]) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sources = Sources { file: Some(folder.join("iassistance.toml")), ..Sources::default() };
        let settings = sources.settings().unwrap();
        let vaulted = Vaulted::open(settings, None, &mut AppParts::default()).unwrap();
        let tenant: TenantId = set_up.tenant.parse().unwrap();
        let store = vaulted.store.tenant(TenantCtx::platform(tenant)).await.unwrap();
        assert!(store.unfinished(None, 1).await.unwrap().is_empty(), "everything was applied before the end");
        let mut times: HashMap<u64, usize> = HashMap::new();
        let mut after = EventSeq(0);
        loop {
            let events = store.events(after, 1_000).await.unwrap();
            let Some(last) = events.last() else { break };
            after = last.seq;
            for event in &events {
                let EventKind::MessageReceived { message, .. } = &event.kind else { continue };
                let id = message.provider_id.as_ref().expect("Meta's id");
                *times.entry(number_of(id.reveal(TenantView)).expect("an id of this bench")).or_default() +=
                    1;
            }
        }
        for number in acknowledged {
            assert_eq!(
                times.get(number),
                Some(&1),
                "message {number} was acknowledged and is in the log once"
            );
        }
        vaulted.store.close().await;
        acknowledged.len()
    })
}
