//! The binary: hands the command line to [`rsinit::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    rsinit::cli::run(std::env::args_os())
}
