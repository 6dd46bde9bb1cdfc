//! Serving, life after life: when the disk fails under the store, nothing is acknowledged any more; then
//! the disk is probed until it does its work again, and everything is opened anew, in the same process and
//! in the same way as at a start.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use iassistance_actors::kernel::SystemClock;
use iassistance_config::{Secret, Settings};
use iassistance_storage::StorageError;
use iassistance_storage::sled::disk::{Disk, SystemDisk, probe};

use crate::app::{App, AppError, AppParts, Vaulted};
use crate::http::State;
use crate::http::closed::{Reason, close_door};
use crate::http::edge::tls::Tls;
use crate::http::server::{self, CannotListen, Closing, Listening};
use crate::telemetry::Metrics;

/// How often the store is asked whether it still keeps what it is given, milliseconds.
const LOOK_MS: u64 = 500;
/// How long after a try to mend the store the next one comes, milliseconds: at first, and at most. Each
/// one that fails doubles it.
const MEND_MS: u64 = 5_000;
const MEND_MS_MAX: u64 = 60_000;
/// So often in a row the store may refuse to open on a disk that does its work. Then this process cannot mend
/// it, and whoever started it starts another.
const REFUSALS_MAX: u32 = 4;

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// The application could not be put together.
    #[error(transparent)]
    App(#[from] AppError),
    /// The server could not listen.
    #[error(transparent)]
    Listen(#[from] CannotListen),
    /// The disk does its work again, and the store does not open all the same.
    #[error("the disk works again, but the store does not open in this process ({0}): start the server anew")]
    Stuck(Box<ServingError>),
    /// The disk does not do its work.
    #[error("{why} (a probe of the disk says: {probe})")]
    Probe {
        /// What failed first.
        why: StorageError,
        /// What the probe says.
        probe: std::io::Error,
    },
    /// The server ended, or a signal could not be waited for.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

type Result<T> = std::result::Result<T, ServingError>;

impl ServingError {
    /// Whether it can get better by itself.
    const fn is_of_the_disk(&self) -> bool {
        let Self::App(AppError::Storage(error)) = self else { return matches!(self, Self::Probe { .. }) };
        matches!(error, StorageError::Disk { .. } | StorageError::NoRoom { .. })
    }
}

/// What every life begins with.
pub struct Serving {
    /// The settings.
    pub settings: Settings,
    /// The root key of the environment, if it is there.
    pub root_key: Option<Secret>,
    /// The parts that are exchanged in tests; asked for several times in each life.
    pub parts: Arc<dyn Fn() -> AppParts + Send + Sync>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

/// What happens while it serves, for whoever runs it.
pub enum News<'a> {
    /// A root key was made, here.
    RootKey(&'a Path),
    /// It serves at this address.
    Listening(SocketAddr),
    /// It was asked to end.
    Stopping,
}

/// Resolves when the process is to end.
type Asked<'a> = Pin<&'a mut (dyn Future<Output = std::io::Result<()>> + 'a)>;

impl Serving {
    /// Serves until `asked` resolves. Needs an actix system on this thread.
    pub async fn run(
        &self,
        asked: impl Future<Output = std::io::Result<()>>,
        mut tell: impl FnMut(News<'_>) -> std::io::Result<()>,
    ) -> Result<()> {
        let mut asked: Asked<'_> = std::pin::pin!(asked);
        let mut vaulted = self.open(false).await?;
        if let Some(path) = &vaulted.root_key_created {
            tell(News::RootKey(path))?;
        }
        let mut app = App::start(&vaulted, (self.parts)()).await?;
        let mut listening = server::listen(State::new(app.clone(), self.metrics.clone()))?;
        tell(News::Listening(listening.address))?;
        loop {
            drop(vaulted);
            let tls = listening.tls.clone();
            let broken = serve(&app, listening, asked.as_mut(), &mut tell).await?;
            let Some((why, door)) = broken else { return Ok(()) };
            let mended = self.mend(app, (&door, tls.clone()), &why, asked.as_mut()).await?;
            let Some(mended) = mended else { return Ok(()) };
            (vaulted, app) = mended;
            listening = server::listen_at(State::new(app.clone(), self.metrics.clone()), door, tls)?;
            tracing::info!("the store is mended: it goes on");
        }
    }

    async fn open(&self, suspect: bool) -> Result<Vaulted> {
        let (settings, root_key) = (self.settings.clone(), self.root_key.clone());
        let parts = Arc::clone(&self.parts);
        // It may take long, and the door is served meanwhile.
        let opened = tokio::task::spawn_blocking(move || {
            let mut parts = AppParts { suspect, ..parts() };
            Vaulted::open(settings, root_key.as_ref(), &mut parts)
        });
        Ok(opened.await.map_err(std::io::Error::other)??)
    }

    /// Ends what is left of a life whose store is broken, and begins the next one as soon as the disk does
    /// its work. Nothing when it was asked to end before.
    async fn mend(
        &self,
        app: App,
        (door, tls): (&TcpListener, Option<Tls>),
        why: &StorageError,
        mut asked: Asked<'_>,
    ) -> Result<Option<(Vaulted, App)>> {
        let (reason, metrics) = (Reason::new(why.to_string()), self.metrics.clone());
        let (settings, clock) = (&self.settings.server, Arc::clone(app.engine.clock()));
        let (closed, handle) = close_door(door.try_clone()?, settings, clock, tls, reason.clone(), metrics)?;
        let mending = async {
            stop(app).await;
            let clock = (self.parts)().clock.unwrap_or_else(|| Arc::new(SystemClock));
            let (mut pause, mut refusals) = (MEND_MS, 0);
            let mended = loop {
                tokio::select! {
                    asked = asked.as_mut() => break asked.map(|()| None).map_err(ServingError::from),
                    () = clock.sleep_millis(pause) => {}
                }
                match self.begin_anew(why).await {
                    Ok(mended) => break Ok(Some(mended)),
                    Err(error) => {
                        refusals = if error.is_of_the_disk() { 0 } else { refusals + 1 };
                        if refusals == REFUSALS_MAX {
                            break Err(ServingError::Stuck(Box::new(error)));
                        }
                        if reason.set(error.to_string()) {
                            tracing::warn!(%error, "the store is not mended yet; it is tried again");
                        }
                        pause = (pause * 2).min(MEND_MS_MAX);
                    }
                }
            };
            handle.stop(true).await;
            mended
        };
        let (served, mended) = tokio::join!(closed, mending);
        served?;
        mended
    }

    async fn begin_anew(&self, why: &StorageError) -> Result<(Vaulted, App)> {
        let folder = self.settings.storage.path.clone();
        let disk: Arc<dyn Disk> = (self.parts)().disk.unwrap_or_else(|| Arc::new(SystemDisk));
        let probed = tokio::task::spawn_blocking(move || probe(&folder, &*disk)).await;
        let probed = probed.map_err(std::io::Error::other)?;
        probed.map_err(|probe| ServingError::Probe { why: why.clone(), probe })?;
        let vaulted = self.open(true).await?;
        match App::start(&vaulted, (self.parts)()).await {
            Ok(app) => Ok((vaulted, app)),
            Err(error) => {
                vaulted.store.close().await;
                Err(error.into())
            }
        }
    }
}

/// Serves until it is asked to end, or the store is broken: then it says why, and gives the door back.
async fn serve(
    app: &App,
    listening: Listening,
    asked: Asked<'_>,
    tell: &mut impl FnMut(News<'_>) -> std::io::Result<()>,
) -> Result<Option<(StorageError, TcpListener)>> {
    let closing = listening.closing();
    let Listening { server, listener, .. } = listening;
    let ending = async {
        tokio::select! {
            asked = asked => {
                asked.and_then(|()| tell(News::Stopping))?;
                // While it is held, whoever comes waits at a door that nobody opens any more.
                drop(listener);
                wind_down(app, closing).await;
                Ok(None)
            }
            why = broken(app) => {
                // A live connection ends by no request: it would be waited for in vain.
                app.engine.close_live();
                closing.close().await;
                Ok::<_, std::io::Error>(Some((why, listener)))
            }
        }
    };
    let (served, ended) = tokio::join!(server, ending);
    served?;
    Ok(ended?)
}

/// Ends a server in good order: it says that it ends, nobody new is let in, who watches is told where to go
/// on, requests, turns and sends in hand are finished as far as there is time, and the store is closed. What
/// is left goes on at the next start.
pub async fn wind_down(app: &App, closing: Closing) {
    let server = &app.settings.server;
    closing.announce();
    if server.drain_notice_ms > 0 {
        app.engine.clock().sleep_millis(server.drain_notice_ms).await;
    }
    // A live connection ends by no request: it would be waited for in vain.
    app.engine.close_live();
    let (drained, ()) = tokio::join!(app.engine.drain(server.shutdown_ms / 4 * 3), closing.close());
    if !drained {
        tracing::warn!("turns or sends took longer than there was time for; they go on at the next start");
    }
    stop(app.clone()).await;
}

/// Resolves when the store is broken in a way that only opening it anew can mend.
async fn broken(app: &App) -> StorageError {
    loop {
        if let Err(error @ StorageError::Disk { .. }) = app.store.health() {
            return error;
        }
        app.engine.clock().sleep_millis(LOOK_MS).await;
    }
}

async fn stop(app: App) {
    if let Err(late) = app.stop().await {
        tracing::warn!(%late, "not everything ended in time; it goes on at the next start");
    }
}
