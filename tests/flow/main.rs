//! The whole system in one process: real HTTP, real sled, the simulator for Meta, a scripted or the
//! simulated model, and a clock that moves only when told.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails has to say so")]

mod faulty;
mod harness;
mod products;
mod turning;

mod acknowledged;
mod bad_input;
mod channels;
mod context;
mod control;
mod duties;
mod errors;
mod explain;
mod hostile;
mod inbound;
mod isolation;
mod knowledge;
mod limits;
mod live;
mod media;
mod once;
mod outbound;
mod privacy;
mod supervision;
mod tools;
mod unsend;
mod windows;
