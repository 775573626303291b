//! The disks of a node from settings to mounts, on a kernel that records its calls
//! and disks that are files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod arrays;
mod crash;
mod emptied;
mod fake;
mod fstab;
mod idle;
mod inventory;
mod moved;
mod profiles;
mod running;
mod safety;
mod swap;
mod witness;
