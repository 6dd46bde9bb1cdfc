//! The simulator over real HTTP, on a clock that moves only when told.

#[cfg(test)]
mod acts;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod media;
#[cfg(test)]
mod model;
#[cfg(test)]
mod phone;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod support;
#[cfg(test)]
mod webhooks;
