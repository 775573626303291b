//! Kernel arguments: the command line as words, and [`Params`], what was written.
//!
//! What the words mean together is [`crate::plan::boot`]'s business. Sources:
//! the kernel's `Documentation/admin-guide/kernel-parameters.rst`, and Warewulf's
//! iPXE and GRUB templates for the `wwinit.*` forms.

mod params;
mod words;

pub use params::{Brake, Complaint, Compress, Layout, OnFail, Params, PrebootOnFail, PrebootParam};
pub use words::{Word, words};
