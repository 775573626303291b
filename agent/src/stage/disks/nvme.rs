//! What NVMe disks say that they can do, and erasing one by a new key.

use std::fs::File;

use anyhow::{Context, ensure};

use crate::format::nvme::{
    CNS_ACTIVE, CNS_ALLOCATED, CNS_CONTROLLER, CNS_NAMESPACE, IDENTIFY_BYTES, decode_controller,
    decode_list, decode_namespace,
};
use crate::layout::Layout;
use crate::plan::disks::inventory::{Disk, NvmeFacts};
use crate::sys::Kernel;

use super::inventory::device_node;

/// Milliseconds that a Format may take. A new key takes seconds; the boot has minutes.
const FORMAT_TIMEOUT_MS: u32 = 120_000;

/// Asks a disk; `None` where it does not answer.
pub(super) fn read_nvme_facts(
    kernel: &dyn Kernel,
    layout: &Layout,
    name: &str,
) -> Option<NvmeFacts> {
    let device = kernel.open_readable(&device_node(layout, name)).ok()?;
    let nsid = kernel.nvme_namespace(&device).ok()?;
    let ask = |nsid: u32, cns: u32| {
        let mut page = [0; IDENTIFY_BYTES];
        kernel.nvme_identify(&device, nsid, cns, &mut page).ok()?;
        Some(page)
    };
    let controller = decode_controller(&ask(0, CNS_CONTROLLER)?);
    let namespace = decode_namespace(&ask(nsid, CNS_NAMESPACE)?);
    // A list holds the numbers above the one that is given.
    let mut namespaces = decode_list(&ask(0, CNS_ACTIVE)?).len();
    if controller.manages_namespaces {
        // An older controller has no such list although it manages namespaces.
        let allocated = ask(0, CNS_ALLOCATED).map_or(0, |page| decode_list(&page).len());
        namespaces = namespaces.max(allocated);
    }
    Some(NvmeFacts { nsid, controller, namespace, namespaces })
}

/// Has an open disk replace the key that its medium is encrypted with.
///
/// # Errors
/// A disk that is not the namespace that the plan saw; the command's status.
pub(super) fn crypto_erase(kernel: &dyn Kernel, device: &File, disk: &Disk) -> anyhow::Result<()> {
    let name = &disk.name;
    let facts = disk.nvme.with_context(|| format!("{name} was not asked what it can do"))?;
    let nsid = kernel.nvme_namespace(device).with_context(|| format!("asking {name}"))?;
    ensure!(nsid == facts.nsid, "{name} is not the namespace that the plan saw");
    kernel
        .nvme_format(device, nsid, facts.namespace.crypto_erase(), FORMAT_TIMEOUT_MS)
        .with_context(|| format!("formatting {name} with a new key"))
}
