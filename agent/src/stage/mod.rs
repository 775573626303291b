//! The boot, from top to bottom.

pub mod disks;
pub mod progress;
pub mod unpack;
