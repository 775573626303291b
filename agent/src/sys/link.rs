//! A folder and a symbolic link that take each other's places.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Puts a link to `leads_to` in the place of `folder`, in one moment: nobody finds neither. The
/// folder is then beside its place, under the name that is returned.
///
/// # Errors
/// Those of symlink(2) and renameat2(2), `EINVAL` where the file system cannot exchange: the
/// folder is where it was.
pub fn exchange_for_link(folder: &Path, leads_to: &Path) -> io::Result<PathBuf> {
    let mut name = OsString::from(".");
    name.push(folder.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(".rsinit~");
    let aside = folder.with_file_name(name);
    // One that was killed here has left its link; a folder of that name is an error below.
    let _ = std::fs::remove_file(&aside);
    symlink(leads_to, &aside)?;
    if let Err(error) = renameat_with(CWD, &aside, CWD, folder, RenameFlags::EXCHANGE) {
        // Nobody needs the link; what went wrong first is what is reported.
        let _ = std::fs::remove_file(&aside);
        return Err(error.into());
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_in_the_folders_place_and_the_folder_beside_it() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("log");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
        symlink("left by one that was killed", temp.path().join(".log.rsinit~")).unwrap();
        let aside = exchange_for_link(&folder, Path::new("/system/log")).unwrap();
        assert_eq!(std::fs::read_link(&folder).unwrap(), Path::new("/system/log"));
        assert!(aside.join("file").exists());
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 2);
    }

    #[test]
    fn where_it_cannot_be_done_all_is_as_before() {
        let temp = tempfile::tempdir().unwrap();
        assert!(exchange_for_link(&temp.path().join("none"), Path::new("/x")).is_err());
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
        let folder = temp.path().join("log");
        std::fs::create_dir_all(temp.path().join(".log.rsinit~/kept")).unwrap();
        std::fs::create_dir(&folder).unwrap();
        assert!(exchange_for_link(&folder, Path::new("/x")).is_err());
        assert!(folder.is_dir() && temp.path().join(".log.rsinit~/kept").is_dir());
    }
}
