//! Measures fetching and unpacking against `curl | gzip -d | cpio -ium`.
//!
//! A benchmark, not a test: it says how far the goals are reached and fails only when
//! something is wrong, such as two trees that differ. One image of real Debian packages is
//! made once; nginx serves it on loopback; the contenders run in turn, each into a tmpfs
//! of its own.

pub mod contender;
pub mod disks;
pub mod image;
pub mod inflate;
pub mod listing;
pub mod measure;
pub mod runner;
pub mod server;
pub mod table;
