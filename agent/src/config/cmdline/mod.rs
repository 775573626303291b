//! Kernel arguments: the command line as words, and [`Params`], what was written.
//!
//! What the words mean together is [`crate::plan::boot`]'s business. Sources:
//! the kernel's `Documentation/admin-guide/kernel-parameters.rst`, and Warewulf's
//! iPXE and GRUB templates for the `wwinit.*` forms.

mod choices;
mod params;
mod words;

pub use choices::{Brake, Compress, Layout, OnFail, PrebootOnFail, PrebootParam};
pub use params::{Complaint, Params};
pub use words::{Word, words};
