//! Swapping: swapon(2), which rustix does not have.
#![allow(unsafe_code, reason = "swapon(2) takes a C string")]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;

/// Bytes of a page, which a swap area's header fills.
pub fn page_bytes() -> usize {
    rustix::param::page_size()
}

/// `swapon(2)` with the kernel's own choice of priority.
///
/// # Errors
/// `EINVAL` where there is no header of this kernel's page size; `EBUSY` where it is in
/// use already.
pub fn swap_on(node: &Path) -> io::Result<()> {
    let path = CString::new(node.as_os_str().as_bytes())?;
    // SAFETY: swapon reads a string up to its NUL, which `CString` ends with; it is
    // alive until the call is over, and the kernel keeps no pointer to it.
    let result = unsafe { libc::swapon(path.as_ptr(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_swap_area_is_an_error() {
        assert!(swap_on(Path::new("/dev/null")).is_err());
        assert!(swap_on(Path::new("/nowhere")).is_err());
        assert!(page_bytes().is_power_of_two());
    }
}
