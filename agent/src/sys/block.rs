//! Block devices: size, exclusive open, and the arrays made of them.

use super::Linux;

/// What the disk stages ask of the kernel.
pub trait Disks {}

impl Disks for Linux {}
