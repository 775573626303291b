//! Terminals: the console is one.

use std::fs::File;
use std::io;

/// `ioctl(TCSBRK, 1)`: waits until everything written to the terminal has been sent.
///
/// # Errors
/// `ENOTTY` for anything that is no terminal.
pub fn drain(terminal: &File) -> io::Result<()> {
    Ok(rustix::termios::tcdrain(terminal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_terminal() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(drain(&file).unwrap_err().raw_os_error(), Some(25));
    }
}
