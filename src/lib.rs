//! The binary: command line, HTTP edge, composition root.

pub mod access_log;
pub mod app;
pub mod cli;
pub mod copies;
pub mod erasures;
pub mod http;
pub mod identity;
pub mod incidents;
pub mod keeping;
pub mod notary;
pub mod orders;
pub mod register;
pub mod replay;
pub mod rights;
pub mod serving;
pub mod settings_check;
pub mod telemetry;

pub use app::{App, AppError, AppParts};
