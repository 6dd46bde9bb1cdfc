//! The `iassistance` binary.

use std::process::ExitCode;

/// The store makes and drops many small pieces of memory, in one thread and in another. This allocator gives back
/// to the system what was dropped; with others the process grew with the store (docs/adr/0016).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    iassistance::cli::main()
}
