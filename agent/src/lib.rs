//! rsinit: from "the kernel is up" to "systemd starts on the real root" on a
//! network-booted compute node.
//!
//! Start reading at [`stage`]: the boot, top to bottom. The other rooms:
//! [`config`] text to types, [`format`] bytes to and from types, [`plan`] types
//! to steps (all three pure), [`sys`] the kernel, [`net`] HTTP, [`report`] what
//! happened.

pub mod cli;
pub mod config;
pub mod format;
pub mod layout;
pub mod log;
pub mod net;
pub mod plan;
pub mod report;
pub mod stage;
pub mod sys;
