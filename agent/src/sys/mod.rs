//! The kernel: system calls, ioctls and all `unsafe`. No policy, no retries, no logging.
//!
//! Stages reach the kernel through [`Kernel`], so a test can record what they
//! would have done. Errors are bare [`std::io::Error`]s: which disk it was and
//! whether it matters is known to the caller.

pub mod attributes;
pub mod block;
pub mod efivar;
pub mod guard;
pub mod holders;
pub mod link;
pub mod md;
pub mod media;
mod module;
pub mod mount;
pub mod notify;
pub mod nvme;
pub mod power;
pub mod process;
pub mod random;
pub mod root;
pub mod route;
pub mod signal;
pub mod socket;
pub mod swap;
pub mod terminal;
pub mod tree;
mod uevent;
mod within;

/// Everything that a stage asks of the kernel and that a test wants to record.
///
/// One supertrait an area; [`Linux`] is the real kernel.
pub trait Kernel:
    mount::Mounts
    + block::Disks
    + media::Media
    + process::Processes
    + route::Routes
    + power::Power
    + Sync
{
}

/// The running kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Linux;

impl Kernel for Linux {}
