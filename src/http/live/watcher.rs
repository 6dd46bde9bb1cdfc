//! Who watches, and whether they still may.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;

use iassistance_domain::account::MemberOf;
use iassistance_domain::id::TenantId;
use iassistance_domain::permission::Act;
use iassistance_domain::tenant::TenantCtx;
use iassistance_domain::{Pii, Timestamp};
use iassistance_storage::Revocation;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::http::access::{self, Access, Asked, Place};
use crate::http::principal::{Credential, Principal};
use crate::http::{Problem, State, auth};

/// The tenants that are watched, and how far.
pub(super) type Watched = HashMap<TenantId, Access>;

/// Who watches.
pub(super) struct Watcher {
    /// As they were when they came.
    pub(super) principal: Principal,
    /// The one tenant that their ticket is for.
    pub(super) only: Option<TenantId>,
    /// Where they came from.
    pub(super) from: Option<IpAddr>,
    /// When the look of the platform's owner ends by which they watch.
    look_ends_at: Cell<Option<Timestamp>>,
    /// Told when that changed.
    look_changed: Notify,
}

impl Watcher {
    /// Somebody who watches nothing yet; with a ticket, one tenant at most.
    pub(super) fn new(principal: Principal, only: Option<TenantId>, from: Option<IpAddr>) -> Self {
        Self { principal, only, from, look_ends_at: Cell::default(), look_changed: Notify::new() }
    }

    /// Begins to watch a tenant, if they may. A look by break-glass is on its record first.
    pub(super) async fn begin(
        &self,
        state: &State,
        tenant: TenantId,
    ) -> Result<(TenantCtx, Access), Problem> {
        let (ctx, access) = self.may_watch(state, tenant).await?;
        if let Some(grant) = access.break_glass() {
            let (actor, at) = (access.actor(&self.principal), state.clock().now());
            let address = self.from.map(|ip| Pii::new(ip.to_string()));
            let entry = auth::entry("break_glass.used", actor, at, Some(tenant), address);
            auth::record(state, entry.on(&grant).with("route", &"/v1/live")).await?;
            let look = state.app.store.people().break_glass(ctx, grant).await?;
            let ends_at = look.and_then(|look| look.ends_at).unwrap_or(at);
            let earliest = self.look_ends_at.get().map_or(ends_at, |other| other.min(ends_at));
            self.look_ends_at.set(Some(earliest));
            self.look_changed.notify_one();
        }
        Ok((ctx, access))
    }

    /// Proof that they may watch this tenant, and how far.
    pub(super) async fn may_watch(
        &self,
        state: &State,
        tenant: TenantId,
    ) -> Result<(TenantCtx, Access), Problem> {
        let principal = Principal::again(state, self.principal.credential(), self.from).await?;
        if self.only.is_some_and(|only| only != tenant) {
            return Err(Problem::not_found());
        }
        let asked =
            Asked { act: Act::WatchLive, place: Place::Tenant(tenant), enrols: false, changes: false };
        let access = access::authorise(state, &principal, asked).await?;
        Ok((TenantCtx::authenticated(tenant), access))
    }

    /// Resolves when what they came with ends, is revoked, or does not open any more what they watch.
    pub(super) async fn until_over(
        &self,
        state: &State,
        mut revocations: Receiver<Revocation>,
        watched: &RefCell<Watched>,
    ) {
        let mut credential_ends_at = self.principal.ends_at();
        loop {
            let ends_at = credential_ends_at.into_iter().chain(self.look_ends_at.get()).min();
            let ending = state.clock().sleep_until(ends_at.unwrap_or(Timestamp::MAX));
            tokio::select! {
                () = ending, if ends_at.is_some() => {}
                () = self.look_changed.notified() => {}
                told = revocations.recv() => match told {
                    Ok(revocation) if !self.concerns(revocation, watched) => continue,
                    Err(RecvError::Closed) => return std::future::pending().await,
                    // Who falls behind looks at everything anew.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                },
            }
            // What is read here cannot be older than what was told.
            match Principal::again(state, self.principal.credential(), self.from).await {
                Ok(principal) => credential_ends_at = principal.ends_at(),
                Err(_) => return,
            }
            let tenants = watched.borrow().clone();
            for (tenant, access) in tenants {
                // Who sees less than before, or more, begins anew: what is on its way is of what they saw.
                match self.may_watch(state, tenant).await {
                    Ok((_, now)) if now == access => {}
                    _ => return,
                }
            }
        }
    }

    fn concerns(&self, revocation: Revocation, watched: &RefCell<Watched>) -> bool {
        let credential = self.principal.credential();
        match revocation {
            Revocation::Session(id) => matches!(credential, Credential::Session(_, own) if own == id),
            Revocation::Account(id) => matches!(credential, Credential::Session(own, _) if own == id),
            Revocation::Key(id) => credential == Credential::Key(id),
            Revocation::Tenant(id) => watched.borrow().contains_key(&id),
            Revocation::Agency(id) => match &self.principal {
                Principal::Person(person) => person.account.membership(MemberOf::Agency(id)).is_some(),
                Principal::Key(_) => false,
            },
        }
    }
}
