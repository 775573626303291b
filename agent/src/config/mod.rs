//! Text to types, pure: no files, no clock, no network.

pub mod assignment;
pub mod mkdisk_conf;
pub mod node_path;
pub mod profile;
