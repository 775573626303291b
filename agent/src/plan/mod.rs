//! Types to steps, pure: what will be done and why, before anything is done.

pub mod disks;
pub mod fetch;
