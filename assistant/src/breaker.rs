//! Sparing a server that fails: after so many failures in a row it is not asked for a while.
//!
//! What is counted is one tenant's calls of one model at one server. A tenant whose key or address is
//! bad holds up nobody else, and where one model is down another one of the same server can be asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iassistance_domain::id::TenantId;
use iassistance_domain::{Clock, Timestamp};

use crate::error::GenerateError;
use crate::generate::ModelServer;

/// How many that fail are remembered at once; any more are asked as if they never failed.
const TRACKED_MAX: usize = 10_000;

/// When a server is spared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// So many failures without a success between them; 0 never spares a server.
    pub failures_max: u32,
    /// All of them within this time, milliseconds.
    pub window_ms: u64,
    /// For how long it is not asked then, milliseconds. After that one call goes through, and what
    /// becomes of it decides for the others.
    pub open_ms: u64,
}

/// Who is asked for whom.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    server: String,
    model: String,
}

impl Key {
    fn of(tenant: TenantId, server: &ModelServer) -> Self {
        let origin = server.base_url.origin().ascii_serialization();
        Self { tenant, server: origin, model: server.model.clone() }
    }
}

/// Somebody who failed.
struct Failing {
    failures: u32,
    /// When the first of these failures was.
    since: Timestamp,
    /// Until when it is spared, if it is.
    open_until: Option<Timestamp>,
    /// Whether the call that decides is under way.
    probing: bool,
}

/// All breakers. Where nothing fails, passing one costs an atomic read.
pub struct Breakers {
    policy: BreakerPolicy,
    clock: Arc<dyn Clock>,
    failing: Mutex<HashMap<Key, Failing>>,
    /// How many are in the map.
    tracked: AtomicUsize,
}

/// The permission for one call. Dropped without a word it counts as nothing.
#[must_use = "what becomes of the call is to be told"]
pub struct Pass<'a> {
    breakers: &'a Breakers,
    tenant: TenantId,
    server: &'a ModelServer,
    probe: bool,
}

impl Breakers {
    /// Breakers of which none is open.
    pub fn new(policy: BreakerPolicy, clock: Arc<dyn Clock>) -> Self {
        Self { policy, clock, failing: Mutex::default(), tracked: AtomicUsize::new(0) }
    }

    /// Lets a call through, or says in how many milliseconds one may be let through again.
    pub fn enter<'a>(&'a self, tenant: TenantId, server: &'a ModelServer) -> Result<Pass<'a>, u64> {
        let mut pass = Pass { breakers: self, tenant, server, probe: false };
        if self.tracked.load(Ordering::Acquire) == 0 {
            return Ok(pass);
        }
        let mut failing = self.lock();
        let Some(state) = failing.get_mut(&Key::of(tenant, server)) else { return Ok(pass) };
        let Some(until) = state.open_until else { return Ok(pass) };
        let now = self.clock.now();
        if now < until || state.probing {
            // While the call that decides is under way, nobody knows when it ends: soon.
            return Err(until.millis_since(now).max(1));
        }
        state.probing = true;
        pass.probe = true;
        Ok(pass)
    }

    /// How many are spared just now, or wait for the call that decides.
    pub fn open(&self) -> usize {
        self.lock().values().filter(|state| state.open_until.is_some()).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_success(&self, tenant: TenantId, server: &ModelServer) {
        if self.tracked.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut failing = self.lock();
        failing.remove(&Key::of(tenant, server));
        self.tracked.store(failing.len(), Ordering::Release);
    }

    fn note_failure(&self, tenant: TenantId, server: &ModelServer, probe: bool) {
        let BreakerPolicy { failures_max, window_ms, open_ms } = self.policy;
        if failures_max == 0 {
            return;
        }
        let now = self.clock.now();
        let mut failing = self.lock();
        let key = Key::of(tenant, server);
        if failing.len() >= TRACKED_MAX && !failing.contains_key(&key) {
            failing.retain(|_, state| {
                state.probing || now.millis_since(state.since) <= window_ms.saturating_add(open_ms)
            });
            if failing.len() >= TRACKED_MAX {
                return;
            }
        }
        let state = failing.entry(key).or_insert(Failing {
            failures: 0,
            since: now,
            open_until: None,
            probing: false,
        });
        if state.open_until.is_none() && now.millis_since(state.since) > window_ms {
            (state.failures, state.since) = (0, now);
        }
        state.failures = state.failures.saturating_add(1);
        if probe {
            state.probing = false;
        }
        // A call that began before it was opened says nothing new.
        if probe || (state.open_until.is_none() && state.failures >= failures_max) {
            state.open_until = Some(now.plus_millis(open_ms));
            state.since = now;
        }
        self.tracked.store(failing.len(), Ordering::Release);
    }

    fn give_back(&self, tenant: TenantId, server: &ModelServer) {
        if let Some(state) = self.lock().get_mut(&Key::of(tenant, server)) {
            state.probing = false;
        }
    }
}

impl Pass<'_> {
    /// Tells what became of the call: nothing where it went well. Only what is the server's fault
    /// counts; that it refuses a request, a key or one more request shows that it is there.
    pub(crate) fn report(mut self, error: Option<&GenerateError>) {
        let probe = std::mem::take(&mut self.probe);
        match error {
            Some(error) if error.is_fault_of_server() => {
                self.breakers.note_failure(self.tenant, self.server, probe);
            }
            Some(GenerateError::Cancelled | GenerateError::RateLimited { .. }) => self.probe = probe,
            Some(error) if !error.shows_server_alive() => self.probe = probe,
            _ => self.breakers.note_success(self.tenant, self.server),
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breakers.give_back(self.tenant, self.server);
        }
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
