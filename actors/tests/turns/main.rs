//! Turns on real arbiters: a store in memory, a scripted model, a sender that remembers, and a clock
//! that the tests move.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod answering;
mod context;
mod people;
mod schedules;
mod tenants;
mod world;
