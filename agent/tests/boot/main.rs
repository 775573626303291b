//! The whole boot, without root and without a VM: a kernel that records what it was
//! asked, a temporary folder as the root, and the server double on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod client;
mod hooks;
mod kernel;
mod killed;
#[path = "../common/nginx.rs"]
mod nginx;
mod no_disks;
mod outcome;
mod protocol;
mod server;
mod static_layout;
mod stuck;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kernel::{Call, Recorder};
use rsinit::layout::Layout;
use rsinit::report::{Outcome, Report};
use test_vm::server::{Node, Server, Site};

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
        Self::at("127.0.0.1:0".parse().unwrap(), image, change)
    }

    /// The same with a server that listens there.
    fn at(
        address: SocketAddr,
        image: impl FnOnce(&Path),
        change: impl FnOnce(Site) -> Site,
    ) -> Self {
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
        let server = Server::start(address, site).unwrap();
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
fn the_report_says_who_booted_from_what_and_how_each_part_ended() {
    let bench = Bench::new(|_| ());
    let (result, report) = bench.boot(&bench.recorder(), "rsinit.preboot=/etc/preboot");
    assert_eq!(result, Ok(()));
    let node = report.node;
    assert_eq!(node.mac.as_deref(), Some(MAC));
    assert_eq!(node.hostname.as_deref(), Some("node1"));
    assert_eq!(node.address.as_deref(), Some("127.0.0.1"));
    assert_eq!(node.server, Some(bench.server.uri(MAC).split("/provision").next().unwrap().into()));
    let digest = |bytes: &[u8]| -> String {
        use sha2::Digest as _;
        sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let served = fs::read(bench.dir.path().join("image.img.gz")).unwrap();
    let stages: Vec<&str> = report.archives.iter().map(|one| one.stage.as_str()).collect();
    assert_eq!(stages, ["system-overlay", "image", "runtime-overlay"]);
    assert_eq!(report.archives[1].bytes, u64::try_from(served.len()).unwrap());
    assert_eq!(report.archives[1].sha256, Some(digest(&served)));
    assert!(report.archives[0].sha256.is_some() && report.archives[2].sha256.is_some());
    assert_eq!(report.hooks.len(), 1);
    assert_eq!((report.hooks[0].name.as_str(), report.hooks[0].status), ("/etc/preboot", Some(0)));
    assert_eq!(report.disks, None);
    assert_eq!(
        (report.kernel.as_str(), report.agent.as_str()),
        ("4.18.0", env!("CARGO_PKG_VERSION"))
    );
    let fetched = report.stages.iter().find(|stage| stage.name == "image").unwrap();
    assert!(fetched.end_ms >= Some(fetched.start_ms));
    assert_eq!(fetched.bytes, Some(report.archives[1].bytes));
}

#[test]
fn an_uncompressed_image_is_hashed_only_where_its_digest_is_asked_for() {
    let bench = Bench::new(|_| ());
    let (result, report) = bench.boot(&bench.recorder(), "rsinit.compress=raw");
    assert_eq!(result, Ok(()));
    assert_eq!(report.archives[1].sha256, None);
    let wrong = format!("rsinit.compress=raw rsinit.sha256={}", "0".repeat(64));
    let error = bench.boot(&bench.recorder(), &wrong).0.unwrap_err();
    assert!(error.contains("the SHA-256 of what the server sent is "), "{error}");
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
