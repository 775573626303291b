//! Swap areas: made, found again, and as mkswap would make them.

use std::process::Command;

use crate::fake::{Call, MIB, Node};

const PROFILE: &str = "disk_config[1]=\"raid0:swap\"\ndisk_config[3]=\"none:swap::label=page\"\n\
                       disk_config[4]=\"raid1:swap:\"\n";

fn node() -> Node {
    let mut node = Node::new(5, 32 * MIB);
    node.set("WIPE_ON_BOOT=false", PROFILE);
    node
}

#[test]
fn swap_is_made_on_stripes_mirrors_and_single_disks_and_switched_on() {
    let node = node();
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert_eq!(prepared.swaps, ["md0", "nvme2n1", "md1"], "{:#?}", prepared.lines);
    assert!(prepared.mounted.is_empty());
    let on: Vec<Call> = kernel.calls().into_iter().rev().take(3).collect();
    assert!(on.iter().all(|call| matches!(call, Call::SwapOn(_))), "{on:?}");
    // Once more on the running node, as `mkdisk -c` would.
    kernel.mend();
    assert_eq!(node.boot(&kernel).swaps, ["md0", "nvme2n1", "md1"]);
    assert!(kernel.calls().is_empty(), "{:?}", kernel.calls());
}

#[test]
fn the_next_boot_swaps_to_the_same_areas_and_writes_nothing() {
    let node = node();
    let kernel = node.kernel();
    node.boot(&kernel);
    kernel.power_off();
    let again = node.kernel();
    let prepared = node.boot(&again);
    assert_eq!(prepared.swaps, ["md0", "nvme2n1", "md1"], "{:#?}", prepared.lines);
    assert!(again.written().is_empty());
}

#[test]
fn somebody_elses_swap_is_not_taken() {
    let node = node();
    node.write(3, 4086, b"SWAPSPACE2");
    let prepared = node.boot(&node.kernel());
    assert_eq!(prepared.swaps, ["md0", "md1"]);
    let line = "none swap (disk 3, line 2): disk 3 (nvme2n1 serial S3) holds swap, \
                not swap labelled \"page\"";
    assert!(prepared.lines.contains(&line.to_owned()), "{:#?}", prepared.lines);
}

#[test]
fn the_header_is_the_one_that_mkswap_writes() {
    let node = node();
    node.boot(&node.kernel());
    let ours = std::fs::read(node.disk(3)).unwrap();
    let uuid: String = ours[1036..1052].iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)].map(|(a, b)| &uuid[a..b]);
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(32 * MIB).unwrap();
    let done = Command::new("/sbin/mkswap")
        .args(["-L", "page", "-U", &parts.join("-")])
        .arg(file.path())
        .output()
        .expect("running mkswap, the witness");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(ours == std::fs::read(file.path()).unwrap(), "differs from mkswap's");
}
