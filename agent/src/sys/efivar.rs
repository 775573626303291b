//! Variables that the firmware keeps over a reboot, through efivarfs.
//!
//! Source: `Documentation/filesystems/efivarfs.rst`, and the UEFI specification, 8.2.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

/// `EFI_VARIABLE_NON_VOLATILE | _BOOTSERVICE_ACCESS | _RUNTIME_ACCESS`: the first four
/// bytes of each file. Source: UEFI specification, `SetVariable()`.
const ATTRIBUTES: [u8; 4] = 7u32.to_le_bytes();

/// The value of the variable `name` (`<name>-<GUID>`); none where there is no such one.
///
/// # Errors
/// `EIO` where the firmware refuses.
pub fn read(folder: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(bytes.get(ATTRIBUTES.len()..).map(<[u8]>::to_vec)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets the variable, for good; of a length that it always has.
///
/// # Errors
/// `ENOSPC` where the firmware has no room, `EROFS` where efivarfs is read-only.
pub fn write(folder: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    make_mutable(&path)?;
    let mut file = File::options().write(true).create(true).truncate(false).open(&path)?;
    // The firmware takes the whole in one write(2).
    file.write_all(&[&ATTRIBUTES, value].concat())
}

/// Removes the variable, where there is one.
///
/// # Errors
/// As [`write`].
pub fn remove(folder: &Path, name: &str) -> io::Result<()> {
    let path = folder.join(name);
    make_mutable(&path)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// efivarfs marks what it does not know immutable, against a careless `rm -rf`.
fn make_mutable(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // ENOTTY: a file system without such flags has none in the way.
    let Ok(flags) = ioctl_getflags(&file) else { return Ok(()) };
    if flags.contains(IFlags::IMMUTABLE) {
        ioctl_setflags(&file, flags - IFlags::IMMUTABLE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "Test-11111111-2222-3333-4444-555555555555";

    #[test]
    fn a_variable_is_attributes_and_value_and_can_be_set_again_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path(), NAME).unwrap(), None);
        write(dir.path(), NAME, &[1, 2]).unwrap();
        write(dir.path(), NAME, &[3, 4]).unwrap();
        assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), [7, 0, 0, 0, 3, 4]);
        assert_eq!(read(dir.path(), NAME).unwrap(), Some(vec![3, 4]));
        remove(dir.path(), NAME).unwrap();
        remove(dir.path(), NAME).unwrap();
        assert_eq!(read(dir.path(), NAME).unwrap(), None);
    }

    #[test]
    fn an_immutable_variable_is_made_mutable_first() {
        assert!(rustix::process::geteuid().is_root(), "the immutable flag needs root");
        // Not in /tmp: a tmpfs of an older kernel has no such flag.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        write(dir.path(), NAME, &[1]).unwrap();
        let file = File::open(dir.path().join(NAME)).unwrap();
        let flags = ioctl_getflags(&file).unwrap();
        ioctl_setflags(&file, flags | IFlags::IMMUTABLE).unwrap();
        assert!(File::options().write(true).open(dir.path().join(NAME)).is_err());
        write(dir.path(), NAME, &[2]).unwrap();
        ioctl_setflags(&file, flags | IFlags::IMMUTABLE).unwrap();
        remove(dir.path(), NAME).unwrap();
    }
}
