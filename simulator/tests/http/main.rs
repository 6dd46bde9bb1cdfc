//! The simulator over real HTTP, on a clock that moves only when told.

#[cfg(test)]
mod graph;
#[cfg(test)]
mod model;
#[cfg(test)]
mod phone;
#[cfg(test)]
mod support;
#[cfg(test)]
mod webhooks;
