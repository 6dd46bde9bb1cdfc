//! The edge: what stands between the network and the routes, whichever they are.

pub mod cors;
pub mod headers;
pub mod rates;
pub mod security_txt;
pub mod tls;
