//! Types to steps, pure: what will be done and why, before anything is done.

pub mod boot;
pub mod check;
pub mod disks;
pub mod failure;
pub mod fetch;
pub mod network;
pub mod preboot;
pub mod root;
pub mod secrets;
pub mod update;
