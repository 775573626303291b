//! What the site's own programs do to the boot, and what is left of their secrets.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

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
            Call::EndAll,
            unmount("/sysroot/secrets"),
            Call::EndAll,
        ]
    );
    assert!(!bench.sysroot().join("secrets").exists());
}

#[test]
fn folders_move_to_disks_when_the_hook_has_written_its_log_and_the_secrets_are_gone() {
    let bench = Bench::new(|_| ());
    let folder = bench.dir.path().join("system/etc/mkdisk");
    fs::create_dir_all(folder.join("profiles.d")).unwrap();
    let conf = "MKDISK_PROFILE=p\nMOVE_DIRS=/var/log:/system/log\n";
    fs::write(folder.join("mkdisk.conf"), conf).unwrap();
    fs::write(folder.join("profiles.d/p"), "disk_config[1]=none:ext4:/system\n").unwrap();
    let kernel = Recorder { says: "ok=2\n", ..bench.recorder() };
    let (result, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
    assert_eq!(result, Ok(()));
    let stage = |name: &str| report.stages.iter().position(|stage| stage.name == name).unwrap();
    assert!(stage("disks") < stage("preboot"), "{report:#?}");
    assert!(stage("preboot") < stage("secrets-gone"), "{report:#?}");
    assert!(stage("secrets-gone") < stage("mounts"), "{report:#?}");
    assert!(stage("mounts") < stage("hand-over"), "{report:#?}");
}

#[test]
fn the_secrets_server_is_found_by_its_name() {
    let bench = Bench::new(|_| ());
    let kernel = bench.recorder();
    let extra = "rsinit.preboot=/etc/preboot rsinit.secrets=nfs://localhost/cluster/keys?vers=4.2";
    let (result, report) = bench.boot(&kernel, extra);
    assert_eq!((result, report.outcome), (Ok(()), Outcome::Ok), "{report:?}");
    let Some(Call::Mount(fstype, source, target)) = kernel.calls().get(1).cloned() else {
        panic!("{:?}", kernel.calls())
    };
    assert_eq!((fstype.as_str(), target.as_str()), ("nfs4", "/sysroot/secrets"));
    assert_eq!(source, "localhost:/cluster/keys");
    // The kernel resolves no name: it is given the address besides.
    let options = kernel.options.lock().unwrap()[1].clone();
    let is_local = ["addr=127.0.0.1,", "addr=::1,"].iter().any(|word| options.contains(word));
    assert!(is_local && options.starts_with("vers=4.2,"), "{options}");

    fs::remove_dir_all(bench.sysroot()).unwrap();
    let kernel = bench.recorder();
    // Longer than a label may be: nobody is asked for it.
    let name = "x".repeat(64);
    let extra = format!(
        "rsinit.preboot=/etc/preboot rsinit.deadline=2 rsinit.secrets=nfs://{name}.test/keys"
    );
    let (_, report) = bench.boot(&kernel, &extra);
    assert!(report.warnings[0].starts_with("secrets: resolving xxx"), "{report:?}");
    assert!(!kernel.calls().iter().any(|call| matches!(call, Call::Run(..))));
}

#[test]
fn the_hook_resolves_names_as_the_initramfs_does_where_the_image_has_no_server_for_it() {
    // Ubuntu's link leads to a file of systemd-resolved, which does not run yet.
    const LINK: &str = "../run/systemd/resolve/stub-resolv.conf";
    type Make = fn(&std::path::Path);
    let images: [(Make, Option<&str>); 4] = [
        (|_| (), Some("/sysroot/etc/resolv.conf")),
        (|at| fs::write(at, "").unwrap(), Some("/sysroot/etc/resolv.conf")),
        (|at| symlink(LINK, at).unwrap(), Some("/sysroot/run/systemd/resolve/stub-resolv.conf")),
        (|at| fs::write(at, "nameserver 10.0.0.2\n").unwrap(), None),
    ];
    for (make, lent_at) in images {
        let bench = Bench::new(|tree| make(&tree.join("etc/resolv.conf")));
        fs::create_dir_all(bench.dir.path().join("etc")).unwrap();
        fs::write(bench.dir.path().join("etc/resolv.conf"), "nameserver 10.0.0.1\n").unwrap();
        let kernel = bench.recorder();
        let (result, _) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
        assert_eq!(result, Ok(()));
        let calls = kernel.calls();
        let at = |wanted: &Call| calls.iter().position(|call| call == wanted);
        let place = lent_at.unwrap_or("/sysroot/etc/resolv.conf");
        let lent = at(&mount("", "/etc/resolv.conf", place));
        let ran = at(&Call::Run("/etc/preboot".to_owned(), vec![]));
        let taken = at(&unmount(place));
        assert!(ran.is_some(), "{calls:?}");
        // Nothing is earlier than everything else.
        let wanted = match lent_at {
            Some(_) => lent.is_some() && lent < ran && ran < taken,
            None => lent.is_none(),
        };
        assert!(wanted, "{calls:?}");
    }
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
    assert!(kernel.calls().contains(&unmount("/sysroot/secrets")));
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
fn a_line_with_a_secret_in_it_is_in_no_log_and_no_report() {
    let bench = Bench::new(|_| ());
    let says = "good morning\nthe key is s3cretS3cret\n";
    let kernel = Recorder { says, hook: Ok(Exit::Status(2)), ..bench.recorder() };
    let (_, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
    let log = fs::read_to_string(bench.sysroot().join("var/log/dracut-preboot.log")).unwrap();
    assert_eq!(log, "good morning\n[rsinit: a line with a secret in it is left out]\n");
    assert!(report.warnings[0].contains("1 lines are left out"), "{:?}", report.warnings);
    assert!(!format!("{report:?}").contains("s3cretS3cret"));
}

#[test]
fn a_root_with_secrets_that_cannot_be_unmounted_is_not_handed_over() {
    let bench = Bench::new(|_| ());
    // EBUSY
    let kernel = Recorder { holds: vec![("/sysroot/secrets", 16)], ..bench.recorder() };
    let (result, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
    let error = result.unwrap_err();
    assert!(error.starts_with("secrets-gone: unmounting "), "{error}");
    assert!(error.ends_with("sysroot/secrets: Device or resource busy (os error 16)"), "{error}");
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(!report.stages.iter().any(|stage| stage.name == "hand-over"), "{report:?}");
    let detached = kernel.calls().contains(&Call::Unmount("/sysroot/secrets".to_owned(), true));
    assert!(!detached, "a detached mount is still there");
}

#[test]
fn secrets_that_the_hook_bound_elsewhere_are_unmounted_there_too() {
    let bench = Bench::new(|_| ());
    let meanwhile = |base: &std::path::Path| {
        let path = base.join("proc/self/mountinfo");
        let table = fs::read_to_string(&path).unwrap();
        let line = table.lines().find(|line| line.contains(" - nfs4 ")).unwrap();
        let bound = line.replace("/sysroot/secrets", "/sysroot/mnt");
        fs::write(path, format!("{table}{}\n", bound.replacen(' ', "9 ", 1))).unwrap();
    };
    let kernel = Recorder { meanwhile, ..bench.recorder() };
    let (result, _) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
    assert_eq!(result, Ok(()));
    let calls = kernel.calls();
    assert!(calls.contains(&unmount("/sysroot/mnt")), "{calls:?}");
    assert!(calls.contains(&unmount("/sysroot/secrets")), "{calls:?}");
}

#[test]
fn a_kernel_that_still_uses_the_secrets_file_system_hands_no_root_over() {
    let bench = Bench::new(|_| ());
    let meanwhile = |base: &std::path::Path| {
        let table = fs::read_to_string(base.join("proc/self/mountinfo")).unwrap();
        let line = table.lines().find(|line| line.contains(" - nfs4 ")).unwrap();
        let device = line.split(' ').nth(2).unwrap();
        fs::create_dir_all(base.join("proc/fs/nfsfs")).unwrap();
        let volumes = format!("NV SERVER   PORT DEV FSID FSC\nv4 7f000001  801 {device} 0:0 no\n");
        fs::write(base.join("proc/fs/nfsfs/volumes"), volumes).unwrap();
    };
    let kernel = Recorder { meanwhile, ..bench.recorder() };
    let error = bench.boot(&kernel, "rsinit.preboot=/etc/preboot").0.unwrap_err();
    assert!(error.contains("the kernel still uses their file system"), "{error}");
}

#[test]
fn a_panic_while_the_hook_runs_leaves_no_secrets() {
    let bench = Bench::new(|_| ());
    let kernel = Recorder { meanwhile: |_| panic!("as a test wants"), ..bench.recorder() };
    let (result, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot");
    assert_eq!(result, Ok(()));
    assert_eq!(report.warnings, ["preboot: panicked: as a test wants"]);
    assert!(kernel.calls().contains(&unmount("/sysroot/secrets")));
    assert!(!bench.sysroot().join("secrets").exists());
}

#[test]
fn the_hooks_of_a_folder_run_by_name_until_one_fails() {
    let bench = Bench::new(|tree| {
        let folder = tree.join("etc/preboot.d");
        fs::create_dir(&folder).unwrap();
        for (name, mode) in [("20-b", 0o755), ("10-a", 0o755), ("README", 0o644)] {
            fs::write(folder.join(name), "").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
    });
    let hook = |name: &str| Call::Run(format!("/etc/preboot.d/{name}"), vec![]);
    let runs = |kernel: &Recorder| {
        let calls = kernel.calls().into_iter();
        calls.filter(|call| matches!(call, Call::Run(..))).collect::<Vec<_>>()
    };
    let kernel = bench.recorder();
    let (result, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot.d");
    assert_eq!(result, Ok(()));
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    assert_eq!(runs(&kernel), [hook("10-a"), hook("20-b")]);

    fs::remove_dir_all(bench.sysroot()).unwrap();
    let kernel = Recorder { hook: Ok(Exit::Status(1)), ..bench.recorder() };
    let (_, report) = bench.boot(&kernel, "rsinit.preboot=/etc/preboot.d");
    assert_eq!(runs(&kernel), [hook("10-a")]);
    assert!(report.warnings[0].contains("/etc/preboot.d/10-a ended with"), "{report:?}");
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
