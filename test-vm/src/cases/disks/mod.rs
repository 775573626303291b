//! Local disks. Tiny nodes, blank disks; what the agent made is read by others.

pub mod eight;
pub mod failing;
mod hands;
pub mod killed;
pub mod lives;
pub mod power;
pub mod settings;
pub mod sizes;
