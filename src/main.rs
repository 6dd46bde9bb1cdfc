//! The `iassistance` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    iassistance::cli::main()
}
