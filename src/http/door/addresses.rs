//! What each address has: connections, and bytes of bodies in memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where somebody comes from. Of the newer addresses it is the network: one customer has all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

/// The part of an address of six that names a network (RFC 6177).
const NETWORK: u128 = !(u64::MAX as u128);

impl Address {
    /// Of this IP address.
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & NETWORK)),
            four @ IpAddr::V4(_) => four,
        })
    }
}

/// The count of all addresses that have anything. Clones are the same count.
#[derive(Clone)]
pub struct Addresses {
    loads: Arc<Mutex<HashMap<Address, Load>>>,
    seats_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Load {
    seats: usize,
    bytes: usize,
}

/// One connection, or one request, of an address in the count; until dropped.
pub struct Seat {
    addresses: Addresses,
    address: Address,
}

/// Bytes of an address in the count; until dropped.
pub struct AddressBytes {
    addresses: Addresses,
    address: Address,
    bytes: usize,
}

impl Addresses {
    /// At most so many connections and so many bytes of bodies for each.
    pub fn new(seats_max: usize, bytes_max: usize) -> Self {
        Self { loads: Arc::default(), seats_max, bytes_max }
    }

    /// A place for one more, if this address has fewer than it may.
    pub fn take_seat(&self, address: Address) -> Option<Seat> {
        let mut loads = self.lock();
        let load = loads.entry(address).or_default();
        if load.seats >= self.seats_max {
            forget_if_empty(&mut loads, address);
            drop(loads);
            metrics::counter!("iassistance_limited_total", "limit" => "address_connections").increment(1);
            return None;
        }
        load.seats += 1;
        Some(Seat { addresses: self.clone(), address })
    }

    /// The bytes that one body of this address will have.
    pub fn bytes(&self, address: Address) -> AddressBytes {
        AddressBytes { addresses: self.clone(), address, bytes: 0 }
    }

    /// How many addresses have anything.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Load>> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AddressBytes {
    /// Counts more; false if that is more than this address may have.
    pub fn grow(&mut self, by: usize) -> bool {
        let mut loads = self.addresses.lock();
        let load = loads.entry(self.address).or_default();
        load.bytes += by;
        self.bytes += by;
        load.bytes <= self.addresses.bytes_max
    }
}

impl Drop for AddressBytes {
    fn drop(&mut self) {
        let mut loads = self.addresses.lock();
        if let Some(load) = loads.get_mut(&self.address) {
            load.bytes -= self.bytes;
        }
        forget_if_empty(&mut loads, self.address);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut loads = self.addresses.lock();
        if let Some(load) = loads.get_mut(&self.address) {
            load.seats -= 1;
        }
        forget_if_empty(&mut loads, self.address);
    }
}

fn forget_if_empty(loads: &mut HashMap<Address, Load>, address: Address) {
    if loads.get(&address).is_some_and(|load| load.seats == 0 && load.bytes == 0) {
        loads.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::of(text.parse().unwrap())
    }

    #[test]
    fn an_address_has_what_it_may_and_nothing_is_kept_of_who_has_gone() {
        let addresses = Addresses::new(2, 100);
        let one = address("192.0.2.1");
        let seats = [addresses.take_seat(one), addresses.take_seat(one)];
        assert!(seats.iter().all(Option::is_some));
        assert!(addresses.take_seat(one).is_none());
        assert!(addresses.take_seat(address("192.0.2.2")).is_some(), "another is not concerned");
        let (mut body, mut second) = (addresses.bytes(one), addresses.bytes(one));
        assert!(body.grow(60) && second.grow(40) && !second.grow(1));
        drop(second);
        assert!(body.grow(40));
        drop((seats, body));
        assert!(addresses.is_empty());
    }

    #[test]
    fn one_customer_is_one_address() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
