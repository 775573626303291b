//! Boots rsinit in QEMU against a double of a Warewulf server.

pub mod server;
