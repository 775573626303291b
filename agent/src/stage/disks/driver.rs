//! Kernel modules that the disks need, where nobody has loaded them.

use crate::layout::Layout;
use crate::sys::Kernel;

/// Loads a kernel module that is not there yet. One that cannot be loaded is told by what
/// then fails, by name.
pub(super) fn load_module(kernel: &dyn Kernel, layout: &Layout, name: &str) {
    // Asked to load it again, the kernel would read the whole file and check its signature
    // before it says that it has it.
    let known = layout.sys.join("module").join(name.replace('-', "_"));
    if !known.is_dir() {
        let _ = kernel.load_module(&layout.modules, name);
    }
}
