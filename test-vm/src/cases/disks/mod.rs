//! Local disks. Tiny nodes, blank disks; what the agent made is read by others.

pub mod eight;
mod hands;
pub mod power;
pub mod settings;
