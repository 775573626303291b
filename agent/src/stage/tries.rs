//! How often in a row the node has failed to boot: kept by the firmware, as nothing else of
//! a diskless node outlives a reboot.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use rustix::mount::MountFlags;

use crate::layout::Layout;
use crate::sys::Kernel;
use crate::sys::efivar;
use crate::sys::guard::MountGuard;
use crate::sys::mount::Mount;

/// The variable. Its GUID was drawn for it and is nobody else's.
pub const VARIABLE: &str = "RsinitTries-ea1e15c5-c75d-4629-b2ca-80999f71d93e";

/// The form of its value: this byte, and the count as 32 bits, little endian.
const FORM: u8 = 1;

/// Counts one more failure; how many there are in a row now.
///
/// # Errors
/// Why they cannot be counted: no EFI, or what the firmware says.
pub fn count(kernel: &dyn Kernel, layout: &Layout) -> anyhow::Result<u32> {
    let variables = Variables::open(kernel, layout)?;
    let before = efivar::read(&variables.folder, VARIABLE).context("reading an EFI variable")?;
    let tries = before.as_deref().and_then(parse).unwrap_or(0).saturating_add(1);
    let value = [&[FORM][..], &tries.to_le_bytes()].concat();
    efivar::write(&variables.folder, VARIABLE, &value).context("writing an EFI variable")?;
    Ok(tries)
}

/// Forgets the failures: this boot is none.
///
/// # Errors
/// As [`count`].
pub fn forget(kernel: &dyn Kernel, layout: &Layout) -> anyhow::Result<()> {
    let variables = Variables::open(kernel, layout)?;
    efivar::remove(&variables.folder, VARIABLE).context("removing an EFI variable")
}

/// The folder of the variables, mounted for as long as this is there where nobody else has.
struct Variables<'a> {
    folder: PathBuf,
    _mount: Option<MountGuard<'a>>,
}

impl<'a> Variables<'a> {
    fn open(kernel: &'a dyn Kernel, layout: &Layout) -> anyhow::Result<Self> {
        let folder = layout.efivars();
        let Ok(mut entries) = fs::read_dir(&folder) else { bail!("there is no EFI firmware") };
        if entries.next().is_some() {
            return Ok(Self { folder, _mount: None });
        }
        // Built in, or not there: the mount tells.
        let _ = kernel.load_module(&layout.modules, "efivarfs");
        let mount = Mount {
            source: "efivarfs".to_owned(),
            target: folder.clone(),
            fstype: "efivarfs".to_owned(),
            flags: MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            data: String::new(),
        };
        let mount = MountGuard::mount(kernel, &mount).context("mounting efivarfs")?;
        Ok(Self { folder, _mount: Some(mount) })
    }
}

fn parse(value: &[u8]) -> Option<u32> {
    let (form, count) = value.split_first()?;
    if *form != FORM {
        return None;
    }
    count.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_form_counts_for_nothing() {
        assert_eq!(parse(&[1, 2, 1, 0, 0]), Some(258));
        for other in [&[][..], &[1], &[2, 1, 0, 0, 0], &[1, 1, 0, 0, 0, 0]] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }
}
