//! Text to types, pure: no files, no clock, no network.

pub mod assignment;
pub mod buildinfo;
pub mod cmdline;
pub mod identity;
pub mod mkdisk_conf;
pub mod mountinfo;
pub mod networkd;
pub mod node_path;
pub mod profile;
pub mod report_to;
pub mod secret_words;
pub mod secrets;
pub mod update;
pub mod uri;
pub mod warewulf;
