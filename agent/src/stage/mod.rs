//! The boot, from top to bottom.

pub mod disks;
pub mod fetch;
pub mod progress;
pub mod unpack;
