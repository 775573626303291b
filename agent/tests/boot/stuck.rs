//! A boot that hangs where no time limit reaches it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use rsinit::layout::Layout;
use rsinit::report::{Outcome, Report};
use rsinit::stage::run_with;

use super::kernel::Recorder;
use super::{Bench, MAC};

/// In whose process the boot hangs: the end of a stuck boot is the end of its process.
const STUCK: &str = "RSINIT_TEST_STUCK";

#[test]
fn a_boot_that_is_stuck_past_its_deadline_ends_with_a_cause_and_without_secrets() {
    if let Ok(uri) = std::env::var(STUCK) {
        return hang(&uri);
    }
    let bench = Bench::new(|_| ());
    let name =
        "stuck::a_boot_that_is_stuck_past_its_deadline_ends_with_a_cause_and_without_secrets";
    let child = Command::new("timeout")
        .args(["--signal=KILL", "60"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", name])
        .env(STUCK, bench.server.uri(MAC))
        .current_dir(bench.dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8(child.stderr).unwrap();
    assert_eq!(child.status.code(), Some(1), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("rsinit: ")).collect();
    let cause = "failed: the deadline is long over and the boot still hangs in the stage above";
    let at = lines.iter().position(|line| line.ends_with(cause)).unwrap();
    assert!(lines[at - 1].contains("no root to hand over; a shell now, because:"), "{said}");
    assert!(lines[..at].iter().any(|line| line.starts_with("rsinit: preboot: running ")));
    let report: Report =
        serde_json::from_slice(&fs::read(Layout::under(bench.dir.path()).report()).unwrap())
            .unwrap();
    assert_eq!((report.outcome, report.error.as_deref()), (Outcome::Failed, Some(cause)));
    let mounts = fs::read_to_string(bench.dir.path().join("proc/self/mountinfo")).unwrap();
    assert!(!mounts.contains(" - nfs"), "{mounts}");
    assert!(!bench.sysroot().join("secrets").exists());
}

/// A hook that no time limit ends, in the folder that is the current one.
fn hang(uri: &str) {
    let base = std::env::current_dir().unwrap();
    let kernel = Recorder {
        meanwhile: |_| loop {
            std::thread::park()
        },
        ..Recorder::new(&base)
    };
    let cmdline = format!(
        "root=rsinit rsinit.uri={uri} rsinit.onfail=shell rsinit.deadline=2 rsinit.preboot=/etc/preboot"
    );
    let _ = run_with(&kernel, &Layout::under(&base), &cmdline, Duration::from_secs(1));
    panic!("the boot came back");
}
