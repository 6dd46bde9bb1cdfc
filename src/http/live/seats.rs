//! How many sockets there may be: in all, and for each tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iassistance_config::LiveSettings;
use iassistance_domain::id::TenantId;

use crate::http::Problem;

/// Open sockets, in all and per tenant.
#[derive(Clone)]
pub struct Sockets {
    taken: Arc<Mutex<Taken>>,
    all_max: usize,
    per_tenant_max: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    watching: BTreeMap<TenantId, usize>,
}

/// One open socket in the count.
pub(super) struct Seat(Sockets);

/// One socket that watches a tenant in that tenant's count.
pub(super) struct TenantSeat {
    sockets: Sockets,
    tenant: TenantId,
}

impl Sockets {
    /// None yet.
    pub fn new(settings: &LiveSettings) -> Self {
        Self {
            taken: Arc::default(),
            all_max: settings.sockets_max,
            per_tenant_max: settings.sockets_per_tenant_max,
        }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.lock().all
    }

    pub(super) fn take(&self) -> Result<Seat, Problem> {
        let mut taken = self.lock();
        if taken.all >= self.all_max {
            metrics::counter!("iassistance_limited_total", "limit" => "sockets").increment(1);
            return Err(Problem::unavailable(10, "too many live connections are open"));
        }
        taken.all += 1;
        Ok(Seat(self.clone()))
    }

    /// A place among those who watch this tenant, if there is one.
    pub(super) fn take_for(&self, tenant: TenantId) -> Option<TenantSeat> {
        let mut taken = self.lock();
        let watching = taken.watching.entry(tenant).or_default();
        if *watching >= self.per_tenant_max {
            metrics::counter!("iassistance_limited_total", "limit" => "tenant_sockets").increment(1);
            return None;
        }
        *watching += 1;
        Some(TenantSeat { sockets: self.clone(), tenant })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.lock().all -= 1;
    }
}

impl Drop for TenantSeat {
    fn drop(&mut self) {
        let mut taken = self.sockets.lock();
        if let Some(watching) = taken.watching.get_mut(&self.tenant) {
            *watching -= 1;
            if *watching == 0 {
                taken.watching.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(all_max: usize, per_tenant_max: usize) -> Sockets {
        Sockets { taken: Arc::default(), all_max, per_tenant_max }
    }

    #[test]
    fn a_seat_is_free_again_when_its_socket_is_gone() {
        let sockets = sockets(1, 1);
        let seat = sockets.take().ok().unwrap();
        assert!(sockets.take().is_err());
        assert_eq!(sockets.open(), 1);
        drop(seat);
        assert!(sockets.take().is_ok());
        assert_eq!(sockets.open(), 0);
    }

    #[test]
    fn one_tenants_watchers_leave_room_for_anothers() {
        let (sockets, one, other) =
            (sockets(9, 2), TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        let seats = [sockets.take_for(one), sockets.take_for(one)];
        assert!(seats.iter().all(Option::is_some));
        assert!(sockets.take_for(one).is_none());
        assert!(sockets.take_for(other).is_some());
        drop(seats);
        assert!(sockets.lock().watching.is_empty());
        assert!(sockets.take_for(one).is_some());
    }
}
