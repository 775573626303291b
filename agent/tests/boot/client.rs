//! Who keeps the runtime overlays current on the node that was booted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use test_vm::server::{Certificate, Site};

use super::{Bench, MAC, static_program};

/// Gives the image a systemd.
fn with_systemd(tree: &Path) {
    let folder = tree.join("usr/lib/systemd");
    fs::create_dir_all(&folder).unwrap();
    static_program(&folder.join("systemd"));
}

/// What the boot says of the client, which must not have been a failure.
fn note(bench: &Bench, extra: &str) -> String {
    let (result, report) = bench.boot(&bench.recorder(), extra);
    assert_eq!(result, Ok(()));
    assert_eq!(report.warnings, [] as [String; 0]);
    report.stages.into_iter().find(|stage| stage.name == "client").unwrap().note
}

#[test]
fn a_node_with_systemd_gets_the_unit_and_the_binary() {
    let bench = Bench::new(with_systemd);
    assert_eq!(note(&bench, ""), "rsinit-client.service will");
    let units = bench.dir.path().join("run/systemd/system");
    let wanted = units.join("multi-user.target.wants/rsinit-client.service");
    let unit = fs::read_to_string(&wanted).unwrap();
    assert!(
        unit.contains("\nType=notify\n") && unit.contains("\nExecStart=/usr/sbin/rsinit client\n")
    );
    let program = fs::metadata(bench.sysroot().join("usr/sbin/rsinit")).unwrap();
    assert_eq!(program.permissions().mode() & 0o7777, 0o755);
    let own = fs::metadata(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(program.len(), own.len());
    // The image itself knows nothing of the unit.
    assert!(!bench.sysroot().join("etc/systemd").exists());
}

#[test]
fn the_images_own_binary_is_kept() {
    let bench = Bench::new(|tree| {
        with_systemd(tree);
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        // As Fedora has it.
        std::os::unix::fs::symlink("bin", tree.join("usr/sbin")).unwrap();
        fs::write(tree.join("usr/bin/rsinit"), "its own").unwrap();
    });
    assert_eq!(note(&bench, ""), "rsinit-client.service will");
    assert_eq!(fs::read(bench.sysroot().join("usr/bin/rsinit")).unwrap(), b"its own");
}

#[test]
fn warewulfs_own_client_is_left_to_it_and_without_systemd_there_is_none() {
    let bench = Bench::new(|tree| {
        with_systemd(tree);
        fs::create_dir_all(tree.join("warewulf")).unwrap();
        static_program(&tree.join("warewulf/wwclient"));
    });
    assert_eq!(note(&bench, ""), "not rsinit: the root has Warewulf's own, /warewulf/wwclient");
    assert!(!bench.dir.path().join("run/systemd").exists());
    assert!(!bench.sysroot().join("usr/sbin/rsinit").exists());

    let bench = Bench::new(|_| ());
    assert_eq!(note(&bench, ""), "not rsinit: the root has no systemd to run it");
    assert!(!bench.dir.path().join("run/systemd").exists());
}

#[test]
fn the_certificate_of_a_tls_server_is_kept_for_the_client() {
    let certificate = Certificate::new().unwrap();
    let bench =
        Bench::with_site(with_systemd, |site| Site { tls: Some(certificate.clone()), ..site });
    let ours = bench.dir.path().join("etc/rsinit");
    fs::create_dir_all(&ours).unwrap();
    fs::write(ours.join("server.crt"), certificate.pem()).unwrap();
    let port = bench.server.tls_addr().unwrap().port();
    note(&bench, &format!("rsinit.uri=https://127.0.0.1:{port}/provision/{MAC}"));
    let kept = fs::read_to_string(bench.dir.path().join("run/rsinit/server.crt")).unwrap();
    assert_eq!(kept, certificate.pem());
}

#[test]
fn a_client_that_cannot_be_installed_is_a_warning_and_no_failed_boot() {
    let bench = Bench::new(with_systemd);
    fs::create_dir_all(bench.dir.path().join("run")).unwrap();
    fs::write(bench.dir.path().join("run/systemd"), "a file").unwrap();
    let (result, report) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    assert!(report.warnings[0].starts_with("client: creating "), "{:?}", report.warnings);
}
