//! What is said about a panic: where, never what. Its message may hold personal data.

use std::panic::Location;

/// Counts and logs a panic that was caught at `place`: the name of a task or a kind of actor.
pub(crate) fn note(place: &'static str) {
    metrics::counter!("iassistance_panics_total", "place" => place).increment(1);
    tracing::error!(place, "panicked");
}

/// Replaces the process's panic hook, which prints the message of every panic, by one that logs the
/// place in the source and the thread alone. For the process to call, once, when logging is set up.
pub fn install_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        tracing::error!(
            location = panic.location().map_or_else(String::new, Location::to_string),
            thread = thread.name().unwrap_or("unnamed"),
            "a panic began"
        );
    }));
}
