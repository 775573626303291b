//! Text to types, pure: no files, no clock, no network.

pub mod cmdline;
pub mod mkdisk_conf;
pub mod profile;
