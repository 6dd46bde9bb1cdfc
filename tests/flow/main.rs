//! The whole system in one process: real HTTP, real sled, the simulator for Meta, a scripted or the
//! simulated model, and a clock that moves only when told.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails has to say so")]

mod faulty;
mod harness;
mod products;
mod trials;
mod turning;

mod acknowledged;
mod backups;
mod bad_input;
mod channels;
mod collecting;
mod commands;
mod context;
mod control;
mod damage;
mod disclosure;
mod doors;
mod draining;
mod duties;
mod edge;
mod erasing;
mod errors;
mod explain;
mod fairness;
mod hooks;
mod hostile;
mod inbound;
mod isolation;
mod knowledge;
mod limits;
mod live;
mod media;
mod mending;
mod model_failures;
mod money;
mod once;
mod other_models;
mod outbound;
mod overload;
mod people;
mod privacy;
mod records;
mod rehearsing;
mod replaying;
mod rest;
mod supersede;
mod supervision;
mod takeover;
mod tools;
mod trail;
mod unknown;
mod unsend;
mod versions;
mod windows;
