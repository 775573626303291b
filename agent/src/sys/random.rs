//! Random bytes from the kernel.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// `getrandom(2)`, which waits until the kernel has entropy: a thousand nodes boot at once.
/// Up to 256 bytes come whole.
///
/// # Errors
/// The errno of the call; an error where more was asked for than came.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let count = getrandom(&mut bytes, GetRandomFlags::empty())?;
    if count == N { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
