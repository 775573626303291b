//! The boot, from top to bottom.

pub mod chroot;
pub mod context;
pub mod disks;
pub mod handover;
pub mod network;
pub mod preboot;
pub mod root;
pub mod secrets;
pub mod fetch;
pub mod progress;
pub mod mkfs;
pub mod unpack;
