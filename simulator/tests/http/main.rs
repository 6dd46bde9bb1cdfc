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
mod model_faults;
#[cfg(test)]
mod model_tools;
#[cfg(test)]
mod phone;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod script_model;
#[cfg(test)]
mod services;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tool_server;
#[cfg(test)]
mod webhooks;
