//! The chain from the firmware on: DHCP, TFTP, iPXE, HTTP, kernel, dracut, rsinit.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::chain::WHOLE;
use crate::facts::Facts;
use crate::network::{IPXE_BIOS, IPXE_UEFI};
use crate::node::Node;
use crate::qemu::Firmware;
use crate::server::{Fault, Rule, Template, Version};

/// From SeaBIOS.
pub const BIOS: Case = Case {
    name: "pxe-bios",
    about: "BIOS, PXE, undionly.kpxe by TFTP, an administrator's kernel line by HTTP",
    size: Size::Tiny,
    run: |bench, facts| boot(bench, IPXE_BIOS, Version::V4_6_1, Template::Administrator, facts),
};

/// From OVMF.
pub const UEFI: Case = Case {
    name: "pxe-uefi",
    about: "UEFI, its own PXE, ipxe.efi by TFTP, Warewulf 4.7.0's kernel line by HTTP",
    size: Size::Tiny,
    run: |bench, facts| boot(bench, IPXE_UEFI, Version::V4_7_0, Template::Warewulf, facts),
};

/// What the firmware keeps.
pub const TRIES: Case = Case {
    name: "efi-tries",
    about: "boots that fail in a row are counted in a variable of real EFI firmware, and forgotten by one that works",
    size: Size::Tiny,
    run: tries,
};

/// What each version writes, by BIOS.
pub const VERSIONS_BIOS: Case = Case {
    name: "pxe-bios-versions",
    about: "BIOS and PXE with the kernel lines of Warewulf 4.5.8, 4.6.1, 4.6.5 and 4.7.0",
    size: Size::Tiny,
    run: |bench, facts| versions(bench, IPXE_BIOS, facts),
};

/// What each version writes, by UEFI.
pub const VERSIONS_UEFI: Case = Case {
    name: "pxe-uefi-versions",
    about: "UEFI and PXE with the kernel lines of Warewulf 4.5.8, 4.6.1, 4.6.5 and 4.7.0",
    size: Size::Tiny,
    run: |bench, facts| versions(bench, IPXE_UEFI, facts),
};

fn versions(bench: &Bench, ipxe: &str, facts: &mut Facts) -> Result<()> {
    for version in [Version::V4_5_8, Version::V4_6_1, Version::V4_6_5, Version::V4_7_0] {
        boot(bench, ipxe, version, Template::Warewulf, facts)?;
    }
    Ok(())
}

fn boot(
    bench: &Bench,
    ipxe: &str,
    version: Version,
    template: Template,
    facts: &mut Facts,
) -> Result<()> {
    let mut node = bench.tiny()?;
    node.version = version;
    let firmware = if ipxe == IPXE_UEFI { Firmware::uefi(node.folder())? } else { Firmware::Bios };
    node.boot_by(firmware, template);
    node.link_init()?;
    let boot = node.boot(|_| {})?;
    let what = format!("{ipxe} {version:?} {template:?}");
    judge_chain(&boot, ipxe, facts);
    let answer = boot.answer().with_context(|| format!("booting by {what}"))?;
    let script = node.script().context("making the script")?;
    let script = script.render(version, &node.number.mac());
    let line = script.lines().last().and_then(|line| line.strip_prefix("boot kernel "));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let given = words(&answer.cmdline);
    // iPXE for UEFI puts the kernel's own name first, as firmware does for any program.
    let given = given.iter().filter(|word| *word != "kernel").cloned();
    facts.equal(
        &format!("{what}: the kernel was given the template's line"),
        given.collect::<Vec<_>>(),
        words(line.unwrap_or_default()),
    );
    let name = answer.text("/etc/hostname").trim();
    facts.equal(&format!("{what}: the node is up"), name, &node.number.name());
    facts.holds(&format!("{what}: it has a report"), answer.report.is_some(), "none");
    Ok(())
}

/// Each link was passed, after the one before it.
fn judge_chain(boot: &Boot, ipxe: &str, facts: &mut Facts) {
    let links = boot.links();
    let names: Vec<&str> = links.iter().map(|link| link.name).collect();
    facts.equal("every link of the chain was passed", names, WHOLE.to_vec());
    let sent = links.iter().find(|link| link.saw.contains("sent "));
    let saw = sent.map_or("nothing", |link| &link.saw);
    facts.contains("the firmware's kind of iPXE was sent", saw, &[ipxe]);
}

/// The name of the variable, as EFI writes it.
const VARIABLE: &str = "RsinitTries";

/// Two boots fail, the third works; each begins anew, with the variables of the one before.
fn tries(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = Node::with_tools(bench.stand())?;
    let firmware = Firmware::uefi(node.folder())?;
    let Firmware::Uefi { variables } = firmware.clone() else { bail!("OVMF has variables") };
    node.boot_by(firmware, Template::Warewulf);
    node.link_init()?;
    node.argue("rsinit.onfail", "reboot");
    node.argue("rsinit.deadline", "25");
    facts.equal("nothing is counted yet", counts(&variables)?, vec![]);
    for count in 1..=2 {
        let gone = Rule::always(Fault::Status(404)).stage("image");
        let boot = node.boot(|faults| faults.add(gone))?;
        let said = format!("after try {count} in a row");
        facts.contains("the console says which try it was", &boot.lines().join("\n"), &[&said]);
        facts.equal("the firmware keeps it", counts(&variables)?.last(), Some(&count));
    }
    node.argue("rsinit.deadline", "900");
    node.ask_command(&["sh", "-c", LIST]);
    let boot = node.boot(|_| {})?;
    let listed = boot.answer()?.said(&["sh"]);
    facts.contains("the node reads the firmware's variables", &listed, &["BootOrder-"]);
    facts.holds("and the count is not among them", !listed.contains(VARIABLE), &listed);
    Ok(())
}

/// Mounts the firmware's variables on the running node, and lists them.
const LIST: &str = "mount -t efivarfs efivarfs /sys/firmware/efi/efivars &&
                    cd /sys/firmware/efi/efivars && echo *";

/// The counts that the flash of the firmware holds, the newest last: EFI appends each value that
/// is set behind the ones before. The value follows the name: a form, and 32 bits.
fn counts(variables: &Path) -> Result<Vec<u32>> {
    let flash = fs::read(variables).with_context(|| format!("reading {}", variables.display()))?;
    let name: Vec<u8> = VARIABLE.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let mut counts = Vec::new();
    for (at, window) in flash.windows(name.len()).enumerate() {
        if window == name {
            let value = flash.get(at + name.len()..).and_then(|rest| rest.first_chunk::<5>());
            let [form, count @ ..] = value.context("the flash ends within a variable")?;
            anyhow::ensure!(*form == 1, "the value has the form {form}");
            counts.push(u32::from_le_bytes(*count));
        }
    }
    Ok(counts)
}
