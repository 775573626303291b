//! Emptying disks as a whole before anything is made on them: what is asked for, what the
//! disks can do, and what is proven by it.

use crate::config::profile::Volume;

use super::build::member;
use super::inventory::{Disk, NvmeFacts, Transport};
use super::step::{Step, Tables};

/// The discards that the volume asks for, and what to say of disks that cannot.
pub(super) fn plan_discard(volume: &Volume, disks: &[(u32, &Disk)]) -> (Vec<Step>, Vec<String>) {
    let Some(limit_s) = volume.options.discard_s else { return Default::default() };
    let (able, unable): (Vec<_>, Vec<_>) =
        disks.iter().copied().partition(|(_, disk)| disk.discard_bytes > 0);
    let say =
        |(number, disk): &(u32, &Disk)| format!("disk {number} ({}) cannot discard", disk.label());
    let disks: Vec<_> = able.into_iter().map(member).collect();
    let step = (!disks.is_empty()).then_some(Step::Discard { disks, limit_s });
    (step.into_iter().collect(), unable.iter().map(say).collect())
}

/// Why a disk cannot be erased by a new key.
pub(super) fn check_erase(number: u32, disk: &Disk) -> Result<(), String> {
    let name = format!("disk {number} ({})", disk.label());
    let Some(NvmeFacts { controller, namespaces, .. }) = disk.nvme else {
        return Err(match disk.transport {
            Transport::Nvme => format!("{name} does not answer Identify: crypto_erase refused"),
            _ => format!("{name} is no NVMe disk: crypto_erase refused"),
        });
    };
    if !(controller.can_format && controller.can_crypto_erase) {
        return Err(format!("{name} has no Format NVM with a new key: crypto_erase refused"));
    }
    if controller.formats_all && namespaces != 1 {
        return Err(format!(
            "{name} is one of {namespaces} namespaces, all of which Format would hit: \
             crypto_erase refused"
        ));
    }
    Ok(())
}

/// What is known of inode tables once the disks are emptied, by Format where
/// `is_erased`.
pub(super) fn judge_tables(volume: &Volume, disks: &[(u32, &Disk)], is_erased: bool) -> Tables {
    let kernel = |reason: String| Tables::Kernel { reason };
    if !is_erased && volume.options.discard_s.is_none() {
        return kernel("no discard is asked for".to_owned());
    }
    for (number, disk) in disks {
        let name = format!("disk {number} ({})", disk.name);
        if !is_erased && disk.discard_bytes == 0 {
            return kernel(format!("{name} cannot discard"));
        }
        if !disk.nvme.is_some_and(|facts| facts.namespace.deallocated_reads_zero) {
            return kernel(format!("{name} does not say that emptied blocks read as zeros"));
        }
    }
    let how = if is_erased { "erased" } else { "discarded to the end" };
    Tables::Medium {
        disks: disks.iter().copied().map(member).collect(),
        reason: format!("{how}: the disks say that emptied blocks read as zeros (DLFEAT)"),
    }
}
