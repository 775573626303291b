//! Measures making disks ready against mdadm and mke2fs, in one virtual machine.
//!
//! A benchmark, not a test: a goal that is missed is printed and is no error. The machine
//! has eight sparse NVMe disks of 4 TiB; its initramfs holds this program as `/init`, rsinit,
//! and Debian's mdadm and mke2fs. The contenders run in turn on disks that are blank again.

mod act;
pub mod guest;
pub mod host;
mod job;
mod programs;
mod table;
mod trial;
