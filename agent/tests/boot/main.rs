//! The whole boot, without root and without a VM: a kernel that records what it was
//! asked, a temporary folder as the root, and the server double on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod kernel;
mod no_disks;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kernel::{Call, Recorder};
use rsinit::layout::Layout;
use rsinit::report::{Outcome, Report};
use rsinit::sys::process::Exit;
use test_vm::server::{Certificate, Fault, Node, Rule, Server, Site, Version};

const MAC: &str = "52:54:00:00:00:01";

/// A site with one node, and a folder for its root.
struct Bench {
    dir: tempfile::TempDir,
    server: Server,
}

impl Bench {
    /// `image` fills the image's folder.
    fn new(image: impl FnOnce(&Path)) -> Self {
        Self::with_site(image, |site| site)
    }

    /// The same with a site that `change` has had a look at.
    fn with_site(image: impl FnOnce(&Path), change: impl FnOnce(Site) -> Site) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (tree, system, runtime) = (folder("image"), folder("system"), folder("runtime"));
        fs::create_dir_all(tree.join("sbin")).unwrap();
        fs::create_dir_all(tree.join("etc")).unwrap();
        static_program(&tree.join("sbin/init"));
        image(&tree);
        fs::create_dir_all(system.join("etc")).unwrap();
        fs::write(system.join("etc/hostname"), "node1\n").unwrap();
        fs::create_dir_all(runtime.join("etc")).unwrap();
        fs::write(runtime.join("etc/hosts"), "10.0.0.1 head\n").unwrap();
        let archive = pack(dir.path(), &tree);
        let node = Node {
            mac: MAC.to_owned(),
            image: archive,
            system: vec![system],
            runtime: vec![runtime],
            ..Node::default()
        };
        let site = change(Site { nodes: vec![node], ..Site::default() });
        let server = Server::start("127.0.0.1:0".parse().unwrap(), site).unwrap();
        Self { dir, server }
    }

    fn recorder(&self) -> Recorder {
        Recorder::new(self.dir.path())
    }

    fn sysroot(&self) -> PathBuf {
        self.dir.path().join("sysroot")
    }

    /// Boots with `extra` kernel arguments.
    fn boot(&self, kernel: &Recorder, extra: &str) -> (Result<(), String>, Report) {
        let layout = Layout::under(self.dir.path());
        let uri = self.server.uri(MAC);
        let cmdline =
            format!("root=rsinit rsinit.uri={uri} rsinit.onfail=shell rsinit.deadline=20 {extra}");
        let result = rsinit::stage::run(kernel, &layout, &cmdline);
        let report = fs::read(layout.report()).unwrap();
        let report = serde_json::from_slice(&report).unwrap();
        (result.map_err(|error| format!("{error:#}")), report)
    }
}

/// The smallest file that is a static program: an ELF header without program headers.
fn static_program(path: &Path) {
    let mut elf = vec![0; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    fs::write(path, elf).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The tree as `<dir>/image.img` and `.img.gz`.
fn pack(dir: &Path, tree: &Path) -> PathBuf {
    let path = dir.join("image.img");
    let mut raw = Vec::new();
    test_vm::server::write_archive(&[tree.to_owned()], &Default::default(), &mut raw).unwrap();
    fs::write(&path, &raw).unwrap();
    let gz = fs::File::create(dir.join("image.img.gz")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::default());
    std::io::Write::write_all(&mut gz, &raw).unwrap();
    gz.finish().unwrap();
    path
}

fn mount(fstype: &str, source: &str, target: &str) -> Call {
    Call::Mount(fstype.to_owned(), source.to_owned(), target.to_owned())
}

fn unmount(target: &str) -> Call {
    Call::Unmount(target.to_owned(), false)
}

#[test]
fn a_node_without_hook_and_disks_is_image_and_overlays() {
    let bench = Bench::new(|_| ());
    let kernel = bench.recorder();
    let (result, report) = bench.boot(&kernel, "");
    assert_eq!(result, Ok(()));
    assert_eq!(kernel.calls(), [mount("tmpfs", "tmpfs", "/sysroot")]);
    assert_eq!(fs::read_to_string(bench.sysroot().join("etc/hostname")).unwrap(), "node1\n");
    assert_eq!(fs::read_to_string(bench.sysroot().join("etc/hosts")).unwrap(), "10.0.0.1 head\n");
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    let names: Vec<&str> = report.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names.first(), Some(&"arguments"));
    assert_eq!(names.last(), Some(&"hand-over"));
}

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
fn an_image_that_is_cut_once_is_resumed() {
    let bench = Bench::new(|tree| fs::write(tree.join("etc/large"), noise(300_000)).unwrap());
    bench.server.faults().add(Rule::once(Fault::Cut { at: 100_000 }).stage("image"));
    let (result, report) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    assert_eq!(fs::read(bench.sysroot().join("etc/large")).unwrap(), noise(300_000));
    let image = report.stages.iter().find(|stage| stage.name == "image").unwrap();
    assert_eq!(image.retries, 1);
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_server_without_the_image_is_named_and_nothing_is_handed_over() {
    let bench = Bench::new(|_| ());
    for name in ["image.img", "image.img.gz"] {
        fs::remove_file(bench.dir.path().join(name)).unwrap();
    }
    let kernel = bench.recorder();
    let (result, report) = bench.boot(&kernel, "");
    let error = result.unwrap_err();
    assert!(error.starts_with("image: GET http://127.0.0.1:"), "{error}");
    assert!(error.contains("stage=image") && error.contains("404"), "{error}");
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(kernel.calls().last(), Some(&Call::Unmount("/sysroot".to_owned(), true)));
}

#[test]
fn a_root_without_init_is_not_handed_over() {
    let bench = Bench::new(|tree| fs::remove_file(tree.join("sbin/init")).unwrap());
    let kernel = bench.recorder();
    let (result, _) = bench.boot(&kernel, "");
    assert_eq!(
        result,
        Err("hand-over: checking init /sbin/init: the root has no /sbin/init".to_owned())
    );
    assert_eq!(kernel.calls().last(), Some(&Call::Unmount("/sysroot".to_owned(), true)));
}

#[test]
fn nothing_to_boot_from_is_said_by_the_arguments_name() {
    let dir = tempfile::tempdir().unwrap();
    let kernel = Recorder::new(dir.path());
    let layout = Layout::under(dir.path());
    let error =
        rsinit::stage::run(&kernel, &layout, "root=rsinit rsinit.onfail=shell").unwrap_err();
    assert!(format!("{error:#}").starts_with("arguments: no rsinit.uri="), "{error:#}");
}

#[test]
fn wwinit_d_scripts_run_by_name_before_the_root_is_there() {
    let bench = Bench::new(|_| ());
    let folder = bench.dir.path().join("system/warewulf/wwinit.d");
    fs::create_dir_all(&folder).unwrap();
    for name in ["20-mkfs.sh", "10-sfdisk.sh", ".hidden"] {
        fs::write(folder.join(name), "").unwrap();
    }
    fs::create_dir_all(bench.dir.path().join("system/warewulf/run")).unwrap();
    fs::write(bench.dir.path().join("system/warewulf/run/.ignition-done"), "").unwrap();
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

#[test]
fn an_image_that_does_not_fit_is_refused_before_it_is_fetched() {
    let bench = Bench::new(|tree| fs::write(tree.join("etc/large"), noise(3 << 20)).unwrap());
    fs::create_dir(bench.dir.path().join("proc")).unwrap();
    let meminfo = "MemTotal: 4096 kB\nMemAvailable: 2048 kB\n";
    fs::write(bench.dir.path().join("proc/meminfo"), meminfo).unwrap();
    let kernel = bench.recorder();
    let error = bench.boot(&kernel, "").0.unwrap_err();
    assert_eq!(
        error,
        "root: the image takes 3 MiB in memory, and 2 MiB are available for the root"
    );
    let fetched = |stage: &str| {
        let requests = bench.server.requests();
        requests
            .iter()
            .any(|one| one.head.query("stage") == Some(stage) && one.head.method == "GET")
    };
    assert!(fetched("system") && !fetched("image"));
}

/// A site of Warewulf 4.7 in TLS, whose system overlay names the port and brings
/// `pem` as the server's certificate.
fn tls_bench(pem: impl FnOnce(&Certificate) -> String) -> Bench {
    let certificate = Certificate::new().unwrap();
    let bench = Bench::with_site(
        |_| (),
        |site| Site { version: Version::V4_7_0, tls: Some(certificate.clone()), ..site },
    );
    let overlay = bench.dir.path().join("system/warewulf");
    fs::create_dir_all(overlay.join("tls")).unwrap();
    fs::write(overlay.join("tls/warewulf.crt"), pem(&certificate)).unwrap();
    let port = bench.server.tls_addr().unwrap().port();
    let config = format!("WWTLS=true\nWWTLSPORT={port}\nWWIPADDR=127.0.0.1\n");
    fs::write(overlay.join("config"), config).unwrap();
    bench
}

#[test]
fn a_tls_server_gives_the_runtime_overlay_to_who_knows_its_certificate() {
    let bench = tls_bench(|certificate| certificate.pem().to_owned());
    let (result, _) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    assert!(bench.sysroot().join("etc/hosts").exists());
}

#[test]
fn a_server_with_another_certificate_gets_no_runtime_overlay_from_us() {
    let bench = tls_bench(|_| Certificate::new().unwrap().pem().to_owned());
    let (result, _) = bench.boot(&bench.recorder(), "rsinit.deadline=3");
    let error = result.unwrap_err();
    assert!(error.starts_with("runtime-overlay: GET https://127.0.0.1:"), "{error}");
    assert!(error.contains("certificate"), "{error}");
}

#[test]
fn without_a_certificate_the_servers_refusal_is_said() {
    let bench = tls_bench(|_| String::new());
    let config = bench.dir.path().join("system/warewulf/config");
    fs::write(config, "WWTLS=false\n").unwrap();
    let (result, _) = bench.boot(&bench.recorder(), "rsinit.deadline=3");
    let error = result.unwrap_err();
    assert!(error.contains("403") && error.contains("wants TLS"), "{error}");
}

#[test]
fn every_warewulf_boots_a_node_with_the_arguments_that_it_writes() {
    let mac_uri = |bench: &Bench| format!("wwinit.uri={}", bench.server.uri(MAC));
    let server = |bench: &Bench| {
        let base = format!("http://{}", bench.server.addr());
        format!("wwinit.server={base} wwinit.uri={base}/provision/{MAC} wwid={MAC}")
    };
    type Arguments = fn(&Bench) -> String;
    let versions: [(Version, Arguments, &str); 4] = [
        (Version::V4_5_8, mac_uri, "container"),
        (Version::V4_6_1, mac_uri, "image"),
        (Version::V4_6_5, mac_uri, "image"),
        (Version::V4_7_0, server, ""),
    ];
    for (version, arguments, stage) in versions {
        let bench = Bench::with_site(|_| (), |site| Site { version, ..site });
        let layout = Layout::under(bench.dir.path());
        let cmdline = format!("root=wwinit {} rsinit.onfail=shell", arguments(&bench));
        let result = rsinit::stage::run(&bench.recorder(), &layout, &cmdline);
        assert!(result.is_ok(), "{version:?}: {:#}", result.unwrap_err());
        let served = bench.server.requests().into_iter().any(|one| {
            let named = one.head.query("stage") == Some(stage);
            let routed = one.head.path == format!("/image/{MAC}");
            one.status == 200 && one.head.method == "GET" && (named || routed)
        });
        assert!(served, "{version:?} served no {stage:?}");
    }
}

#[test]
fn the_asset_tag_of_the_firmware_opens_the_server_and_is_told_to_nobody() {
    let tag = "rack 7/ö&key";
    let bench = Bench::with_site(
        |_| (),
        |mut site| {
            site.nodes[0].asset_key = Some(tag.to_owned());
            site
        },
    );
    let dmi = bench.dir.path().join("sys/class/dmi/id");
    fs::create_dir_all(&dmi).unwrap();
    fs::write(dmi.join("chassis_asset_tag"), format!("{tag}\n")).unwrap();
    fs::write(dmi.join("product_uuid"), "4c4c4544-0042-3510-8051-b4c04f4d3332\n").unwrap();
    let (result, report) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    let requests = bench.server.requests();
    let uuid = Some("4c4c4544-0042-3510-8051-b4c04f4d3332");
    assert!(requests.iter().all(|one| one.head.query("uuid") == uuid));
    assert!(!serde_json::to_string(&report).unwrap().contains("key"));

    fs::write(dmi.join("chassis_asset_tag"), "another key\n").unwrap();
    let (result, report) = bench.boot(&bench.recorder(), "rsinit.deadline=2");
    let error = result.unwrap_err();
    assert!(error.contains("401") && error.contains("the asset key is not the node's"), "{error}");
    assert!(!serde_json::to_string(&report).unwrap().contains("another"));
}
