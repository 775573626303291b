//! Bytes to and from types, pure: no paths, no system calls.

pub mod archive;
pub mod compression;
pub mod cpio;
pub mod deflate;
pub mod elf;
pub mod ext4;
pub mod gzip;
pub mod links;
pub mod md;
pub mod merge;
pub mod nvme;
pub mod signature;
pub mod swap;
pub mod syslog;
pub mod zstd;
