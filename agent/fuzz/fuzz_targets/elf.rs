//! What a program needs to be started, from its first bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsinit::format::elf::{Program, read_program};

fuzz_target!(|bytes: &[u8]| {
    if let Program::Interpreted(path) = read_program(bytes) {
        // Replacing what is not UTF-8 can make a path three times as long, and no more.
        assert!(path.len() <= 3 * bytes.len());
        assert!(!path.contains('\0'), "no path has a NUL");
    }
});
