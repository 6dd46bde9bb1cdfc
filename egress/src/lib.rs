//! The only way out of the process: one client with a closed list of destinations.
