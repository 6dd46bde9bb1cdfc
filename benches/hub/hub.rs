//! The server, which writes what it is told into a tenant's log.

use std::path::Path;

use iassistance::app::{App, AppParts, Vaulted};
use iassistance::http::{State, server};
use iassistance::telemetry::Metrics;
use iassistance_config::Sources;
use iassistance_domain::Pii;
use iassistance_domain::event::EventKind;
use iassistance_domain::tenant::TenantCtx;
use tokio::sync::mpsc;

use crate::waves::{filler, told};

/// Writes of one wave: they come together, as those of many conversations do.
const WRITES: usize = 16;

/// Serves a folder that was set up until its input ends. Says where; then writes so many events with so many bytes as it
/// is told to.
pub fn serve(folder: &str, tenant: &str) {
    let flags = [
        "live.sockets_per_tenant_max=10000",
        // A wave and more.
        "live.tail_events=4096",
        "server.connections_per_address_max=100000",
        "server.rate_address_burst=0",
        "server.rate_key_burst=0",
    ];
    let sources = Sources {
        file: Some(Path::new(folder).join("iassistance.toml")),
        flags: flags.map(str::to_owned).to_vec(),
        ..Sources::default()
    };
    let (settings, tenant) = (sources.settings().unwrap(), tenant.parse().unwrap());
    actix::System::new().block_on(async move {
        let mut parts = AppParts::default();
        let vaulted = Vaulted::open(settings, None, &mut parts).unwrap();
        let app = App::start(&vaulted, parts).await.unwrap();
        let listening = server::listen(State::new(app.clone(), Metrics::install().unwrap())).unwrap();
        println!("{}", listening.address);
        let (lines, mut waves) = mpsc::channel(1);
        told(move |count, bytes| lines.blocking_send((count, bytes)).unwrap());
        let writing = async move {
            let store = app.store.tenant(TenantCtx::platform(tenant)).await.unwrap();
            while let Some((count, bytes)) = waves.recv().await {
                let said = |_| EventKind::MessageReacted {
                    message: None,
                    by_contact: true,
                    emoji: Some(Pii::new(filler(bytes))),
                };
                let of_one = count.div_ceil(WRITES);
                let writes = (0..count)
                    .step_by(of_one)
                    .map(|begin| store.append(None, (begin..count.min(begin + of_one)).map(said).collect()));
                futures::future::try_join_all(writes).await.unwrap();
            }
        };
        // Who tells it ends the process.
        let (served, ()) = futures::join!(listening.server, writing);
        served.unwrap();
    });
}
