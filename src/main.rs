//! The `iassistance` binary.

use std::process::ExitCode;

/// The store makes and drops many small pieces of memory on several threads; this allocator does that
/// with half the work of the system's (see `scripts/bench ingress`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    iassistance::cli::main()
}
