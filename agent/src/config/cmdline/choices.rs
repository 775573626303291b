//! What single arguments choose between.

use std::fmt;

use serde::Serialize;

/// Which form of the image and the overlays to ask for (`rsinit.compress=`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compress {
    /// gzip, and uncompressed where the server has no gzip.
    #[default]
    Auto,
    /// gzip only.
    Gz,
    /// Uncompressed only.
    Raw,
}

/// How the server lays out what it serves (`rsinit.layout=`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// Warewulf's `/provision/` route.
    #[default]
    Warewulf,
    /// Files of a plain web server.
    Static,
}

/// The operator's brake on everything that touches disks (`rsinit.disk=`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Brake {
    /// As `mkdisk.conf` says.
    #[default]
    Auto,
    /// Leave the disks alone.
    Off,
    /// Print the plan, touch nothing.
    Plan,
    /// Assemble what is there, never wipe.
    Keep,
}

/// What to do with a node whose boot failed (`rsinit.onfail=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFail {
    /// Reboot and try again.
    Reboot,
    /// dracut's emergency shell.
    Shell,
    /// Power off.
    Poweroff,
}

/// What a failed preboot hook does to the boot (`rsinit.preboot.onfail=`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrebootOnFail {
    /// Say so and boot on.
    #[default]
    Warn,
    /// The boot has failed.
    Fail,
}

/// Which hook runs in the new root (`rsinit.preboot=`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrebootParam {
    /// Not given: Ansible where `/.buildinfo` names a playbook.
    #[default]
    Auto,
    /// Ansible; no playbook is a failure of the hook.
    Ansible,
    /// No hook.
    None,
    /// An executable, by its absolute path in the image.
    Executable(String),
}

impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "gzip, or uncompressed where the server has no gzip",
            Self::Gz => "gzip",
            Self::Raw => "uncompressed",
        })
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "as mkdisk.conf says",
            Self::Off => "left alone",
            Self::Plan => "planned and printed, not touched",
            Self::Keep => "assembled, never wiped",
        })
    }
}

impl fmt::Display for PrebootParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("Ansible, where the image's /.buildinfo names a playbook"),
            Self::Ansible => f.write_str("Ansible"),
            Self::None => f.write_str("none"),
            Self::Executable(path) => f.write_str(path),
        }
    }
}
