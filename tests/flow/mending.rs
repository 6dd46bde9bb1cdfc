//! The disk fails under a server that serves: it says so, loses nothing, and goes on by itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use iassistance::AppParts;
use iassistance::serving::{News, Serving};
use iassistance::telemetry::Metrics;
use iassistance_storage::sled::disk::{Disk, Step};
use iassistance_vault::SystemEntropy;
use tokio::sync::oneshot;

use crate::harness::{Flow, NUMBERS, messages, root_key, settings, within};

/// A disk that keeps nothing while it fails.
#[derive(Default)]
struct Failing(AtomicBool);

impl Disk for Failing {
    fn run(&self, step: Step<'_>, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let keeps = matches!(step, Step::SyncData(_) | Step::Write(_));
        if keeps && self.0.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(5)) } else { work() }
    }
}

/// What `/health/ready` answers; nothing where the connection was of the server that ends just now.
async fn ready(flow: &Flow) -> Option<(u16, String)> {
    let asked = flow.http.get(format!("http://{}/health/ready", flow.address)).send().await.ok()?;
    Some((asked.status().as_u16(), asked.text().await.ok()?))
}

/// Moves the clock on until the answer of `/health/ready` is this.
async fn until_ready(flow: &Flow, what: &str, is_it: impl Fn(u16, &str) -> bool) {
    within(what, async {
        loop {
            if ready(flow).await.is_some_and(|(status, text)| is_it(status, &text)) {
                return;
            }
            flow.clock.advance_millis(250);
        }
    })
    .await;
}

#[actix::test]
async fn a_server_whose_disk_fails_mends_itself_and_loses_nothing() {
    let mut flow = Flow::start().await;
    let folder = flow.end().await;
    // The flow still has its keyring open.
    let keyring = folder.path.join("its-own-keyring.json");
    std::fs::copy(folder.path.join("keyring.json"), &keyring).unwrap();
    let disk = Arc::new(Failing::default());
    let (clock, beneath) = (flow.clock.clone(), Arc::clone(&disk));
    let serving = Serving {
        settings: settings(
            &folder.path,
            &flow.simulator,
            &[&format!("vault.keyring_file={}", keyring.display())],
        ),
        root_key: Some(root_key()),
        parts: Arc::new(move || AppParts {
            clock: Some(Arc::new(clock.clone())),
            entropy: Some(Arc::new(SystemEntropy)),
            disk: Some(Arc::clone(&beneath) as _),
            ..AppParts::default()
        }),
        metrics: Metrics::install().unwrap(),
    };
    let (end, ended) = oneshot::channel::<()>();
    let (told, mut address) = (std::cell::Cell::new(None), None);
    let asked = async {
        ended.await.unwrap();
        Ok(())
    };
    let tell = |news: News<'_>| {
        if let News::Listening(at) = news {
            told.set(Some(at));
        }
        Ok(())
    };
    let body = async {
        within("an address", async {
            while address.is_none() {
                address = told.get();
                tokio::task::yield_now().await;
            }
        })
        .await;
        flow.address = address.unwrap();
        flow.simulator
            .set_callback(&format!("http://{}/webhooks/meta/{}", flow.address, flow.meta_app))
            .unwrap();
        let first = messages(NUMBERS[0], "15550199001", &[("wamid.1", 1_790_000_000, "before")]);
        let second = messages(NUMBERS[0], "15550199001", &[("wamid.2", 1_790_000_001, "meanwhile")]);
        assert_eq!(flow.post(first.clone()).await.status(), 200);
        flow.sends(1).await;

        disk.0.store(true, Ordering::SeqCst);
        let refused = flow.post(second.clone()).await;
        assert_eq!(refused.status(), 503);
        assert!(refused.headers().contains_key("retry-after"));
        until_ready(&flow, "word of the probe", |status, text| status == 503 && text.contains("probe")).await;
        let refused = flow.post(second.clone()).await;
        assert_eq!(refused.status(), 503, "the door is open, and takes nothing in");
        assert!(refused.headers().contains_key("retry-after"));
        let live = flow.http.get(format!("http://{}/health/live", flow.address)).send().await.unwrap();
        assert_eq!(live.status(), 200, "nobody has to start it anew");

        disk.0.store(false, Ordering::SeqCst);
        until_ready(&flow, "the store to be mended", |status, _| status == 200).await;
        assert_eq!(flow.post(first).await.status(), 200);
        assert_eq!(flow.post(second).await.status(), 200);
        flow.sends(2).await;
        let store = folder.path.join("store");
        assert_eq!(std::fs::read_to_string(store.join("CURRENT")).unwrap(), "gen-2\n", "it was written anew");
        assert!(!store.join("UNSYNCED").exists());
        end.send(()).unwrap();
        // The engine waits for its tasks by the clock.
        within("the end", async {
            loop {
                flow.clock.advance_millis(50);
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    tokio::select! {
        served = serving.run(asked, tell) => served.unwrap(),
        () = body => unreachable!("it waits for the server's end"),
    }
}
