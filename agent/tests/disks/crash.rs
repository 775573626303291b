//! Power goes, or the agent is killed, at every point of a plan: the next boot ends
//! where an undisturbed one would have.
//!
//! For power, all writes and flushes of an undisturbed boot are recorded and replayed
//! up to each point, with what was not flushed then lost in several ways. All of these
//! states are tried with `RSINIT_ALL_CUTS=1`, and some of them without.

use std::process::Command;

use rsinit::stage::disks::Prepared;

use crate::fake::{Event, FakeKernel, LOSSES, MIB, Node, replay};

/// Small disks: there are many boots here.
const DISK: u64 = 18 * MIB;
const PROFILE: &str = "disk_config[1]=\"\"\ndisk_config[2]=\"raid1:ext4:/system\"\n\
                       disk_config[4]=\"raid0:ext4:/scratch\"\ndisk_config[6]=\"none:ext4:/data\"\n\
                       disk_config[7]=\"raid0\"\n";
const MOUNTED: [&str; 3] = ["/system", "/scratch", "/data"];
/// Of all states after a power cut, one in so many is tried: no multiple of any way to
/// lose writes, so that each way comes with many points.
const STRIDE: usize = 47;

/// One in so many is tried.
fn stride(short: usize) -> usize {
    if std::env::var_os("RSINIT_ALL_CUTS").is_some() { 1 } else { short }
}

type Prepare = fn(&mut Node);

fn blank(_: &mut Node) {}

fn dirty(node: &mut Node) {
    node.write(2, 0, b"XFSB");
    node.write(5, 512, b"LABELONE");
    node.write(6, DISK - 512, b"EFI PART");
}

/// A node whose disk 1 is somebody else's.
fn node(conf: &str, prepare: Prepare) -> Node {
    let mut node = Node::new(8, DISK);
    node.set(conf, PROFILE);
    node.write(1, 12345, b"canary");
    prepare(&mut node);
    node
}

/// What the disks hold, as a plan says it.
fn contents(prepared: &Prepared) -> Vec<String> {
    let plan = prepared.plan.as_ref().unwrap();
    plan.disks.iter().map(|disk| disk.contents.clone()).collect()
}

/// What a boot that changes nothing finds on the disks, and how many lines it says.
type End = (Vec<String>, usize);

/// Boots without wiping on what is there: all is mounted, nothing is written, every disk is
/// equal before and after, and `e2fsck -fn` finds nothing in what is mounted.
fn boot_unchanged(node: &Node, mounted: &[&str], what: &str) -> End {
    let before = node.digests();
    let kernel = node.kernel();
    let prepared = node.boot(&kernel);
    assert_eq!(prepared.mounted, mounted, "{what}: {:#?}", prepared.lines);
    assert!(kernel.written().is_empty(), "{what}: {:?}", kernel.calls());
    check(node, &kernel, what);
    kernel.power_off();
    assert_eq!(before, node.digests(), "{what}");
    (contents(&prepared), prepared.lines.len())
}

fn check(node: &Node, kernel: &FakeKernel, what: &str) {
    for (device, _) in kernel.mounts() {
        let path = node.layout.dev.join(&device);
        let done = Command::new("/sbin/e2fsck").arg("-fn").arg(path).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{what}: {device}: {text}");
    }
}

/// Cuts the power everywhere in a boot; returns the number of points.
fn cut_everywhere(first: &str, second: &str, prepare: Prepare) -> usize {
    let mut whole = node(first, prepare);
    let kernel = whole.kernel();
    assert_eq!(whole.boot(&kernel).mounted, MOUNTED);
    kernel.power_off();
    let events = kernel.events();
    whole.set("WIPE_ON_BOOT=false", PROFILE);
    let expected = boot_unchanged(&whole, &MOUNTED, "undisturbed");
    let states = (0..=events.len()).flat_map(|point| LOSSES.map(|loss| (point, loss)));
    for (point, loss) in states.step_by(stride(STRIDE)) {
        let what = format!("power cut after {point} of {}, {loss:?} lost", events.len());
        let mut node = node(first, prepare);
        let canary = node.digest(1);
        replay(&node, &events[..point], loss);
        node.set(second, PROFILE);
        let kernel = node.kernel();
        let prepared = node.boot(&kernel);
        assert_eq!(prepared.mounted, MOUNTED, "{what}: {:#?}", prepared.lines);
        kernel.power_off();
        node.set("WIPE_ON_BOOT=false", PROFILE);
        assert_eq!(boot_unchanged(&node, &MOUNTED, &what), expected, "{what}");
        assert_eq!(canary, node.digest(1), "{what}");
    }
    let writes = events.iter().filter(|event| matches!(event, Event::Write { .. }));
    println!("{} writes, {} points", writes.count(), events.len());
    events.len()
}

#[test]
fn power_may_go_anywhere_while_arrays_are_made_on_blank_disks() {
    let points = cut_everywhere("WIPE_ON_BOOT=false", "WIPE_ON_BOOT=false", blank);
    assert!(points >= 40, "{points}");
}

#[test]
fn power_may_go_anywhere_while_disks_are_wiped_and_made_anew() {
    let points = cut_everywhere("WIPE_ON_BOOT=true", "WIPE_ON_BOOT=true", dirty);
    assert!(points >= 40, "{points}");
}

#[test]
fn a_boot_that_was_cut_is_finished_without_wiping_where_only_ours_is_left() {
    let points = cut_everywhere("WIPE_ON_BOOT=true", "WIPE_ON_BOOT=false", blank);
    assert!(points >= 40, "{points}");
}

/// What boots leave that lost their power in the middle of making the mirror, the stripe
/// and the bare stripe. One at a time: it is to be the same whenever it is made.
fn unfinished(node: &mut Node) {
    for (entry, calls) in [
        ("disk_config[2]=\"raid1:ext4:/system\"\ndisk_config[4]=\"\"", 18),
        ("disk_config[4]=\"raid0:ext4:/scratch\"\ndisk_config[6]=\"\"", 9),
        ("disk_config[7]=\"raid0\"", 5),
    ] {
        node.set("WIPE_ON_BOOT=false", entry);
        let kernel = node.kernel().with_fuse(calls);
        node.boot(&kernel);
        kernel.power_off();
    }
    node.set("WIPE_ON_BOOT=false", PROFILE);
}

#[test]
fn power_may_go_again_while_the_rest_of_a_cut_boot_is_cleared_away() {
    let points = cut_everywhere("WIPE_ON_BOOT=false", "WIPE_ON_BOOT=false", unfinished);
    assert!(points >= 40, "{points}");
}

/// The agent ends after each call in turn, arrays run on, and it is started again, on these and
/// after a reboot.
#[test]
fn the_agent_may_be_killed_anywhere_and_started_again() {
    let whole = node("WIPE_ON_BOOT=false", blank);
    let kernel = whole.kernel();
    whole.boot(&kernel);
    kernel.power_off();
    let expected = boot_unchanged(&whole, &MOUNTED, "undisturbed");
    let mut killed = 0;
    for point in (0..).step_by(stride(13)) {
        let node = node("WIPE_ON_BOOT=false", blank);
        let canary = node.digest(1);
        let kernel = node.kernel().with_fuse(point);
        killed = point;
        let is_whole = node.boot(&kernel).mounted.len() == MOUNTED.len();
        kernel.mend();
        let prepared = node.boot(&kernel);
        assert_eq!(prepared.mounted, MOUNTED, "after {point}: {:#?}", prepared.lines);
        kernel.mend();
        let ready = node.digests();
        let again = node.boot(&kernel);
        assert_eq!(again.mounted, MOUNTED, "after {point}: {:#?}", again.lines);
        assert!(kernel.calls().is_empty(), "after {point}: {:?}", kernel.calls());
        assert_eq!(ready, node.digests(), "after {point}");
        kernel.power_off();
        let what = format!("after {point} and a reboot");
        assert_eq!(boot_unchanged(&node, &MOUNTED, &what), expected, "{what}");
        assert_eq!(canary, node.digest(1), "after {point}");
        if is_whole {
            break;
        }
    }
    assert!(killed >= 40, "{killed}");
}

#[test]
fn a_mirror_with_a_spare_is_finished_after_cuts_anywhere() {
    const SPARE: &str = "disk_config[1]=\"\"\ndisk_config[2]=raid1:ext4:/system:spare";
    let boot = |node: &Node, fuse: usize| {
        let kernel = node.kernel().with_fuse(fuse);
        let prepared = node.boot(&kernel);
        kernel.power_off();
        prepared
    };
    let fresh = || {
        let mut node = Node::new(4, DISK);
        node.set("WIPE_ON_BOOT=false", SPARE);
        node.write(1, 12345, b"canary");
        node
    };
    let whole = fresh();
    assert_eq!(boot(&whole, usize::MAX).mounted, ["/system"]);
    let expected = boot_unchanged(&whole, &["/system"], "undisturbed");
    let canary = whole.digest(1);
    let mut points = 0;
    for first in (0..).step_by(stride(3)) {
        let mut is_cut = true;
        for second in (0..).step_by(stride(3) * 2) {
            let node = fresh();
            is_cut = boot(&node, first).mounted.is_empty();
            let what = format!("cut before calls {first} and {second}");
            let is_again = is_cut && boot(&node, second).mounted.is_empty();
            let prepared = boot(&node, usize::MAX);
            assert_eq!(prepared.mounted, ["/system"], "{what}: {:#?}", prepared.lines);
            assert_eq!(boot_unchanged(&node, &["/system"], &what), expected, "{what}");
            assert_eq!(canary, node.digest(1), "{what}");
            points += 1;
            if !is_again {
                break;
            }
        }
        if !is_cut {
            break;
        }
    }
    assert!(points >= 20, "{points}");
}
