//! What the site's own programs do to the boot, and what is left of their secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rsinit::report::Outcome;
use rsinit::sys::process::Exit;

use super::kernel::{Call, Recorder};
use super::{Bench, mount, unmount};

#[test]
fn secrets_are_mounted_around_the_hook_and_gone_after_it() {
    let bench = Bench::new(|_| ());
    let kernel = bench.recorder();
    let (result, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
    assert_eq!(result, Ok(()));
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    let secrets = "127.0.0.1:/warewulf/secrets";
    assert_eq!(
        kernel.calls()[1..],
        [
            mount("nfs4", secrets, "/sysroot/secrets"),
            mount("proc", "proc", "/sysroot/proc"),
            mount("sysfs", "sysfs", "/sysroot/sys"),
            mount("", "/dev", "/sysroot/dev"),
            mount("devpts", "devpts", "/sysroot/dev/pts"),
            mount("tmpfs", "tmpfs", "/sysroot/dev/shm"),
            mount("", "/run", "/sysroot/run"),
            Call::Run("/etc/preboot".to_owned(), vec![]),
            Call::EndAll,
            unmount("/sysroot/run"),
            unmount("/sysroot/dev/shm"),
            unmount("/sysroot/dev/pts"),
            unmount("/sysroot/dev"),
            unmount("/sysroot/sys"),
            unmount("/sysroot/proc"),
            unmount("/sysroot/secrets"),
        ]
    );
    assert!(!bench.sysroot().join("secrets").exists());
}

#[test]
fn a_hook_that_fails_is_warned_about_and_leaves_no_secrets() {
    let bench = Bench::new(|_| ());
    let kernel = Recorder { hook: Ok(Exit::Status(1)), ..bench.recorder() };
    let (result, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
    assert_eq!(result, Ok(()));
    assert_eq!(report.outcome, Outcome::Warned);
    assert_eq!(
        report.warnings,
        [
            "preboot: /etc/preboot ended with exit status 1; its output is in /var/log/dracut-preboot.log"
        ]
    );
    assert_eq!(kernel.calls().last(), Some(&unmount("/sysroot/secrets")));
    assert!(!bench.sysroot().join("secrets").exists());
}

#[test]
fn a_hook_that_fails_is_a_failed_boot_where_the_operator_wants_it() {
    let bench = Bench::new(|_| ());
    let kernel = Recorder { hook: Err(2), ..bench.recorder() };
    let extra = "rsinit.preboot=/etc/preboot rsinit.preboot.onfail=fail";
    let (result, report) = bench.boot(&kernel, extra);
    let error =
        "preboot: starting /etc/preboot in the image: No such file or directory (os error 2)";
    assert_eq!(result, Err(error.to_owned()));
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.error.as_deref(), Some(error));
    assert_eq!(kernel.calls().last(), Some(&Call::Unmount("/sysroot".to_owned(), true)));
}

#[test]
fn without_its_secrets_the_hook_does_not_run() {
    let bench = Bench::new(|_| ());
    // EACCES: the server does not export it to this node.
    let kernel = Recorder { refuses: vec![("nfs4", 13)], ..bench.recorder() };
    let (result, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
    assert_eq!(result, Ok(()));
    assert!(!kernel.calls().iter().any(|call| matches!(call, Call::Run(..))));
    assert!(report.warnings[0].contains("/warewulf/secrets"), "{:?}", report.warnings);
    assert!(!bench.sysroot().join("secrets").exists());
}

#[test]
fn the_site_playbook_runs_with_the_sites_words_and_a_log_only_root_reads() {
    let bench = Bench::new(|tree| {
        fs::write(tree.join(".buildinfo"), "Playbook: compute.yml\n").unwrap();
    });
    let kernel = Recorder { says: "ok=2 changed=1\n", ..bench.recorder() };
    let (result, _) = bench.boot(&kernel, "");
    assert_eq!(result, Ok(()));
    let run = kernel.calls().into_iter().find_map(|call| match call {
        Call::Run(program, args) => Some((program, args.join(" "))),
        _ => None,
    });
    let words = "-e @/secrets/secrets.yml -i localhost, -c local -l localhost \
                 --tags secret,preboot compute.yml";
    assert_eq!(run, Some(("/opt/ansible/bin/ansible-playbook".to_owned(), words.to_owned())));
    let log = bench.sysroot().join("var/log/dracut-preboot.log");
    assert_eq!(fs::read_to_string(&log).unwrap(), "ok=2 changed=1\n");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn wwinit_d_scripts_run_by_name_before_the_root_is_there() {
    let bench = Bench::new(|_| ());
    let folder = bench.dir.path().join("system/warewulf/wwinit.d");
    fs::create_dir_all(&folder).unwrap();
    for name in ["20-mkfs.sh", "10-sfdisk.sh", ".hidden"] {
        fs::write(folder.join(name), "").unwrap();
    }
    // What a script would have left where the overlay was unpacked for it.
    let left = bench.dir.path().join("tmp/wwinit/warewulf/run");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join(".ignition-done"), "").unwrap();
    let kernel = bench.recorder();
    let (result, _) = bench.boot(&kernel, "");
    assert_eq!(result, Ok(()));
    let script = |name: &str| {
        let path = bench.dir.path().join("tmp/wwinit/warewulf/wwinit.d").join(name);
        Call::Run("/bin/sh".to_owned(), vec![path.display().to_string()])
    };
    assert_eq!(
        kernel.calls(),
        [script("10-sfdisk.sh"), script("20-mkfs.sh"), mount("tmpfs", "tmpfs", "/sysroot")]
    );
    assert!(bench.sysroot().join("warewulf/run/.ignition-done").exists());
    let prefix = bench.dir.path().join("tmp/wwinit").display().to_string();
    let environment = kernel.environment.lock().unwrap().clone();
    assert!(environment.contains(&("PREFIX".to_owned(), prefix)), "{environment:?}");
    // Fetched once, used twice: for the scripts, and over the image.
    assert!(bench.dir.path().join("tmp/wwinit/etc/hostname").exists());
    assert_eq!(fs::read_to_string(bench.sysroot().join("etc/hostname")).unwrap(), "node1\n");
    let requests = bench.server.requests();
    let system = requests.iter().filter(|one| one.query("stage") == Some("system")).count();
    assert_eq!(system, 1);
}

#[test]
fn a_wwinit_d_script_that_fails_is_a_failed_boot() {
    let bench = Bench::new(|_| ());
    let folder = bench.dir.path().join("system/warewulf/wwinit.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("10-sfdisk.sh"), "").unwrap();
    let kernel = Recorder { hook: Ok(Exit::Status(1)), ..bench.recorder() };
    let error = bench.boot(&kernel, "").0.unwrap_err();
    assert!(
        error.starts_with("wwinit.d: warewulf/wwinit.d/10-sfdisk.sh ended with exit status 1"),
        "{error}"
    );
}
