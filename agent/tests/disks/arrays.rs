//! What is asked of the kernel to make and to start arrays.

use crate::fake::{Call, MIB, Node};

const SITE: &str = "disk_config[1]=\"\"\ndisk_config[2]=\"raid1:ext4:/system\"\n\
                    disk_config[4]=\"raid0:ext4:/scratch\"\n";

fn flush(device: &str) -> Call {
    Call::Flush(device.into())
}

fn write(device: &str, offset: u64, bytes: u64) -> Call {
    Call::Write { device: device.into(), offset, bytes }
}

#[test]
fn a_stripe_is_marked_then_written_then_started() {
    let mut node = Node::new(2, 32 * MIB);
    node.set("", "disk_config[1]=raid0:ext4:/scratch");
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert_eq!(prepared.lines.iter().filter(|line| line.contains("rror")).count(), 0);
    // Slots 1 and 2 are nvme1n1 and nvme0n1: names do not count.
    let (first, second) = ("nvme1n1", "nvme0n1");
    let calls = kernel.calls();
    let on_array = |call: &Call| match call {
        Call::Write { device, .. } | Call::Flush(device) => device == "md0",
        _ => false,
    };
    let start = calls.iter().position(on_array).unwrap();
    let formatting = calls[start..].iter().take_while(|call| on_array(call)).count();
    // The last but one write of the file system is its superblock beside the mark.
    let block = [write("md0", 0, 4096), flush("md0")];
    let end = start + formatting;
    assert_eq!(calls[end - 4..end], [block.clone(), block].concat());
    assert_eq!(
        [&calls[..start], &calls[end..]].concat(),
        [
            write(first, MIB, 4096),
            flush(first),
            write(first, 4096, 512),
            flush(first),
            write(second, 4096, 512),
            flush(second),
            Call::NewArray("md0".into()),
            Call::Begin { array: "md0".into(), minor: 2 },
            Call::Add { array: "md0".into(), device: first.into() },
            Call::Add { array: "md0".into(), device: second.into() },
            Call::Run("md0".into()),
            Call::Mount { source: "md0".into(), target: "/scratch".into() },
        ]
    );
}

#[test]
fn a_kept_mirror_has_a_bitmap_and_one_that_is_wiped_has_none() {
    for (conf, bitmaps) in [("WIPE_ON_BOOT=true", 0), ("WIPE_ON_BOOT=false", 2)] {
        let mut node = Node::new(2, 32 * MIB);
        node.set(conf, "disk_config[1]=raid1:ext4:/system");
        let kernel = node.kernel();
        node.boot(&kernel);
        let is_bitmap =
            |call: &&Call| matches!(call, Call::Write { offset: 8192, bytes: 4096, .. });
        assert_eq!(kernel.calls().iter().filter(is_bitmap).count(), bitmaps, "{conf}");
    }
}

#[test]
fn the_second_boot_finds_everything_and_writes_nothing() {
    let mut node = Node::new(5, 32 * MIB);
    node.set("WIPE_ON_BOOT=false", SITE);
    let kernel = node.kernel();
    node.boot(&kernel);
    kernel.power_off();
    let before: Vec<u64> = (1..=5).map(|slot| node.digest(slot)).collect();
    let again = node.kernel();
    let prepared = node.boot(&again);
    again.power_off();
    assert!(again.written().is_empty(), "{:?}", again.written());
    assert_eq!(
        again.mounts(),
        [("md0".into(), "/system".into()), ("md1".into(), "/scratch".into())]
    );
    assert_eq!(prepared.mounted, ["/system", "/scratch"]);
    let after: Vec<u64> = (1..=5).map(|slot| node.digest(slot)).collect();
    assert_eq!(before, after);
}

#[test]
fn a_mirror_that_lost_a_leg_starts_and_a_blank_disk_takes_its_place() {
    let mut node = Node::new(2, 32 * MIB);
    node.set("", "disk_config[1]=raid1:ext4:/system");
    let kernel = node.kernel();
    node.boot(&kernel);
    kernel.power_off();
    std::fs::write(node.disk(2), vec![0; 32 << 20]).unwrap();
    let again = node.kernel();
    let prepared = node.boot(&again);
    assert_eq!(prepared.mounted, ["/system"], "{:?}", prepared.lines);
    assert_eq!(again.written().into_iter().collect::<Vec<_>>(), ["nvme0n1"]);
    let adds = again.calls().into_iter().filter(|call| matches!(call, Call::Add { .. })).count();
    assert_eq!(adds, 2);
}

#[test]
fn a_mirror_that_runs_is_stopped_and_wiped_though_stopping_it_writes_to_its_members() {
    let mut node = Node::new(2, 32 * MIB);
    node.set("WIPE_ON_BOOT=true", "disk_config[1]=raid1:ext4");
    let kernel = node.kernel();
    node.boot(&kernel);
    let prepared = node.boot(&kernel);
    let failed = prepared.outcomes.iter().find(|outcome| outcome.error.is_some());
    assert_eq!(failed, None, "{:?}", prepared.lines);
    let stops = kernel.calls().into_iter().filter(|call| *call == Call::Stop("md0".into()));
    assert_eq!(stops.count(), 1);
}

#[test]
fn an_array_that_does_not_start_lets_go_of_its_members() {
    let mut node = Node::new(2, 32 * MIB);
    node.set("", "disk_config[1]=raid0:ext4:/scratch");
    // Eleven calls until the array would run: the last of them fails.
    let kernel = node.kernel().with_fuse(10);
    let prepared = node.boot(&kernel);
    assert!(prepared.mounted.is_empty());
    let error = prepared.outcomes[0].error.clone().unwrap();
    assert!(error.ends_with("starting md0: Input/output error (os error 5)"), "{error}");
}
