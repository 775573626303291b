//! The boot, from top to bottom.

pub mod disks;
pub mod unpack;
