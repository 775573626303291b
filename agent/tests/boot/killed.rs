//! A boot that was killed: what the next one finds, takes away and says.

use std::fs;
use std::path::Path;

use rsinit::report::{Outcome, Report};

use super::kernel::{Call, Recorder};
use super::outcome::{hear, syslog};
use super::{Bench, unmount};

const HOOK: &str = "rsinit.preboot=/etc/preboot";

/// What of a boot is there while its hook runs.
const FILES: [&str; 2] = ["run/rsinit/report.json", "proc/self/mountinfo"];

fn keep(base: &Path) {
    for file in FILES {
        fs::copy(base.join(file), base.join(file).with_extension("kept")).unwrap();
    }
}

/// Boots up to the hook: afterwards all is as if the agent had been killed while that ran.
fn kill_a_boot(bench: &Bench) {
    let kernel = Recorder { meanwhile: keep, ..bench.recorder() };
    bench.boot(&kernel, HOOK).0.unwrap();
    let base = bench.dir.path();
    for file in FILES {
        fs::rename(base.join(file).with_extension("kept"), base.join(file)).unwrap();
    }
    fs::create_dir(bench.sysroot().join("secrets")).unwrap();
    fs::write(bench.sysroot().join("secrets/secrets.yml"), "key: s3cretS3cret\n").unwrap();
}

#[test]
fn a_boot_that_was_killed_leaves_no_secrets_and_has_failed_with_a_cause() {
    let bench = Bench::new(|_| ());
    kill_a_boot(&bench);
    let kernel = bench.recorder();
    let (server, argument) = syslog();
    let extra = format!("{HOOK} {argument} rsinit.onfail=reboot rsinit.onfail.wait=0");
    let (result, report) = bench.boot(&kernel, &extra);
    let cause = "preboot: the agent was killed in this stage";
    assert_eq!(result, Err(cause.to_owned()));
    let taken = [Call::EndAll, unmount("/sysroot/secrets"), Call::EndAll];
    let root = Call::Unmount("/sysroot".to_owned(), true);
    assert_eq!(kernel.calls(), [&taken[..], &[root, Call::Reboot]].concat());
    assert!(!bench.sysroot().join("secrets").exists());

    let stages: Vec<(&str, Outcome)> =
        report.stages.iter().map(|stage| (stage.name.as_str(), stage.outcome)).collect();
    let [.., secrets, preboot, gone] = stages.as_slice() else { panic!("{stages:?}") };
    assert_eq!(*secrets, ("secrets", Outcome::Ok));
    assert_eq!(*preboot, ("preboot", Outcome::Failed));
    assert_eq!(*gone, ("secrets-gone", Outcome::Ok));
    assert!(report.next_step.as_deref().is_some_and(|step| step.contains("who killed it")));
    assert!(hear(&server).contains(&format!("boot failed: {cause}; next step: ")));
    let sent: Report = serde_json::from_str(hear(&server).split_once("@cee: ").unwrap().1).unwrap();
    assert_eq!(sent, report);

    // It is told once: who calls again, after a shell, boots the node.
    fs::remove_dir_all(bench.sysroot()).unwrap();
    assert_eq!(bench.boot(&bench.recorder(), HOOK).0, Ok(()));
}

#[test]
fn memory_is_named_where_the_kernel_has_ended_processes_for_want_of_it() {
    let bench = Bench::new(|_| ());
    kill_a_boot(&bench);
    fs::write(bench.dir.path().join("proc/vmstat"), "pgfault 7\noom_kill 2\n").unwrap();
    let error = bench.boot(&bench.recorder(), HOOK).0.unwrap_err();
    assert!(error.ends_with("has ended 2 processes for want of memory"), "{error}");
}

#[test]
fn secrets_of_a_killed_boot_that_cannot_be_unmounted_are_the_cause() {
    let bench = Bench::new(|_| ());
    kill_a_boot(&bench);
    // EBUSY
    let kernel = Recorder { holds: vec![("/sysroot/secrets", 16)], ..bench.recorder() };
    let (result, report) = bench.boot(&kernel, HOOK);
    let error = result.unwrap_err();
    assert!(error.starts_with("secrets-gone: unmounting "), "{error}");
    assert_eq!(report.warnings, ["preboot: the agent was killed in this stage"]);
    let mounted = kernel.calls().into_iter().any(|call| matches!(call, Call::Mount(..)));
    assert!(!mounted, "it booted nothing");
}

#[test]
fn secrets_of_a_killed_boot_are_found_where_its_hook_had_moved_them() {
    let bench = Bench::new(|_| ());
    kill_a_boot(&bench);
    let path = bench.dir.path().join("proc/self/mountinfo");
    let table = fs::read_to_string(&path).unwrap();
    fs::write(&path, table.replace("/sysroot/secrets", "/sysroot/mnt")).unwrap();
    fs::remove_dir_all(bench.sysroot().join("secrets")).unwrap();
    let kernel = bench.recorder();
    assert!(bench.boot(&kernel, HOOK).0.is_err());
    assert!(kernel.calls().contains(&unmount("/sysroot/mnt")), "{:?}", kernel.calls());
}
