//! The boot, from top to bottom.

pub mod disks;
pub mod mkfs;
pub mod unpack;
