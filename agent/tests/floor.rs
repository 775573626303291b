//! The agent on the floor of Linux 4.18: every later system call is answered by `ENOSYS`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking"
)]

mod common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Random, archive, assert_equal_trees, file, gzip, link, make_tree, need_root, whole};
use rsinit::plan::fetch::{Provision, What};
use rsinit::stage::fetch::{Options, fetch_and_unpack, fetch_small};
use rsinit::stage::progress::Progress;
use rsinit::stage::unpack::unpack;
use rsinit::sys::Linux;
use rsinit::sys::holders::Sought;
use rsinit::sys::process::{Exit, Heard, Processes as _, RootCommand};
use test_vm::server::{Node, Server, Site};
use witness::floor::stand_on_the_floor;

const MAC: &str = "52:54:00:00:00:01";

/// Runs `work` in a thread that knows no call newer than 4.18.
fn on_the_floor<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let below = scope.spawn(|| {
            stand_on_the_floor().unwrap();
            let flags = rustix::fs::OFlags::PATH;
            let (mode, resolve) = (rustix::fs::Mode::empty(), rustix::fs::ResolveFlags::IN_ROOT);
            let opened = rustix::fs::openat2(rustix::fs::CWD, "/", flags, mode, resolve);
            assert_eq!(opened.map(drop), Err(rustix::io::Errno::NOSYS), "this is no floor");
            work()
        });
        below.join().unwrap()
    })
}

#[test]
fn a_tree_is_unpacked_whole_and_nothing_leaves_its_root() {
    need_root();
    let temp = tempfile::tempdir().unwrap();
    let (source, root) = (temp.path().join("source"), temp.path().join("root"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&root).unwrap();
    make_tree(&source, 200, &mut Random::new());
    let bytes = gzip(&archive(&source, "newc"));
    let into = |bytes: &[u8]| on_the_floor(|| unpack(&root, bytes, &Progress::default()));
    into(&bytes).unwrap();
    assert_equal_trees(&source, &root);
    // Once more over what is there, through links that an earlier archive made.
    into(&whole(&[link("up", ".."), link("out", temp.path().to_str().unwrap())])).unwrap();
    for name in ["up/evil", "out/evil", "../evil"] {
        assert!(into(&whole(&[file(name, b"x")])).is_err(), "{name}");
    }
    let mut names: Vec<_> =
        fs::read_dir(temp.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["root", "source"]);
}

#[test]
fn an_image_and_an_overlay_are_fetched_also_from_a_low_port() {
    need_root();
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name);
    for folder in ["source", "runtime", "root"] {
        fs::create_dir(path(folder)).unwrap();
    }
    make_tree(&path("source"), 60, &mut Random(7));
    let raw = archive(&path("source"), "newc");
    fs::write(path("image.img"), &raw).unwrap();
    fs::write(path("image.img.gz"), gzip(&raw)).unwrap();
    let node = Node {
        mac: MAC.to_owned(),
        image: path("image.img"),
        runtime: vec![path("runtime")],
        ..Node::default()
    };
    let site = Site { nodes: vec![node], secure: true, ..Site::default() };
    let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), site).unwrap();
    let provision = Provision::from_uri(&server.uri(MAC)).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    on_the_floor(|| {
        let options = |what| Options::until(until, what);
        let image = provision.request(What::Image);
        fetch_and_unpack(&image, &path("root"), &options(What::Image), &mut |_| {}).unwrap();
        fetch_small(&provision.request(What::Runtime), &options(What::Runtime)).unwrap();
    });
    assert_equal_trees(&path("source"), &path("root"));
}

#[test]
fn a_hook_runs_in_the_new_root_and_its_end_is_seen() {
    need_root();
    let temp = tempfile::tempdir().unwrap();
    let command = |script: &str, seconds| RootCommand {
        root: "/".into(),
        program: "/bin/sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: Vec::new(),
        cwd: "/".to_owned(),
        timeout: Duration::from_secs(seconds),
    };
    let run = |script: &str, seconds| {
        on_the_floor(|| {
            let mut said = Vec::new();
            let exit = Linux.run_in_root(&command(script, seconds), &mut |heard| {
                if let Heard::Output(bytes) = heard {
                    said.extend_from_slice(bytes);
                }
            });
            (exit.unwrap(), String::from_utf8(said).unwrap())
        })
    };
    assert_eq!(run("echo hello; exit 3", 60), (Exit::Status(3), "hello\n".to_owned()));
    assert_eq!(run("while :; do sleep 60; done", 1), (Exit::TimedOut, String::new()));
    // What it leaves behind, with its folder below one that must be free.
    let folder = temp.path().display();
    let leave = format!("setsid sh -c 'cd {folder}; sleep 600 >/dev/null 2>&1 &'");
    assert_eq!(run(&leave, 60).0, Exit::Status(0));
    let sought = Sought { below: vec![temp.path().to_owned()], ..Sought::default() };
    let ended = on_the_floor(|| Linux.end_all(Path::new("/proc"), &sought).unwrap());
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(on_the_floor(|| Linux.end_all(Path::new("/proc"), &sought).unwrap()), [""; 0]);
}

#[test]
fn the_program_itself_unpacks_and_makes_file_systems() {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name);
    fs::create_dir(path("root")).unwrap();
    fs::write(path("image"), whole(&[file("etc/motd", b"hello")])).unwrap();
    fs::File::create(path("disk")).unwrap().set_len(64 << 20).unwrap();
    let rsinit = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsinit"));
        command.args(arguments).current_dir(temp.path()).stdin(Stdio::null());
        let output = on_the_floor(|| command.output().unwrap());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    rsinit(&["unpack", "--root", "root", "image"]);
    assert_eq!(fs::read(path("root/etc/motd")).unwrap(), b"hello");
    rsinit(&["mkfs.ext4", "disk"]);
    common::run("/sbin/e2fsck", &["-fn", "disk"], temp.path(), b"");
}
