//! ext4 as others read it: e2fsprogs as witnesses, and the kernel.
//!
//! The modules `mounted` and `devices` need root and loop devices, and fail
//! without them. Sizes above what a file may have elsewhere are made on `/dev/shm`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what these helpers of tests cannot do is a failed test"
)]

mod checked;
mod devices;
mod image;
mod mounted;
