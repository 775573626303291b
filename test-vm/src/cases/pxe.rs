//! The chain from the firmware on: DHCP, TFTP, iPXE, HTTP, kernel, dracut, rsinit.

use anyhow::{Context as _, Result};

use super::{Bench, Case, Size};
use crate::boot::Boot;
use crate::chain::WHOLE;
use crate::facts::Facts;
use crate::network::{IPXE_BIOS, IPXE_UEFI};
use crate::qemu::Firmware;
use crate::server::{Template, Version};

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

/// The templates of every version, by both.
pub const VERSIONS: Case = Case {
    name: "pxe-versions",
    about: "BIOS and UEFI with the kernel lines of Warewulf 4.5.8, 4.6.1, 4.6.5, 4.7.0, and an administrator's",
    size: Size::Tiny,
    run: |bench, facts| {
        for version in [Version::V4_5_8, Version::V4_6_1, Version::V4_6_5, Version::V4_7_0] {
            for ipxe in [IPXE_BIOS, IPXE_UEFI] {
                boot(bench, ipxe, version, Template::Warewulf, facts)?;
            }
            boot(bench, IPXE_BIOS, version, Template::Administrator, facts)?;
        }
        Ok(())
    },
};

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
