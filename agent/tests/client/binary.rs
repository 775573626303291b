//! The binary itself, as systemd starts it: in a root of its own, with real signals.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use test_vm::server::{Node, Server, Site};

use super::LONG;
use super::common::need_root;

const MAC: &str = "52:54:00:00:00:01";

/// Starts the client with `root` as its `/`: the host's `/usr` for its libraries, and files where
/// a node has procfs.
fn start(root: &Path, cmdline: &str) -> Child {
    for folder in ["usr", "proc", "etc/warewulf", "run"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for name in ["lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    fs::write(root.join("proc/cmdline"), cmdline).unwrap();
    fs::write(root.join("etc/warewulf/warewulf.conf"), "warewulf:\n  update interval: 3600\n")
        .unwrap();
    fs::copy(env!("CARGO_BIN_EXE_rsinit"), root.join("rsinit")).unwrap();
    // Each exec keeps the process: the child is the client in the end.
    let script = "mount --bind /usr \"$1/usr\" && exec chroot \"$1\" /rsinit client";
    Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(root)
        .env("NOTIFY_SOCKET", "/run/notify")
        .env("WATCHDOG_USEC", "1000000")
        .env("JOURNAL_STREAM", "8:1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a message to systemd that contains `word`.
fn wait_for(socket: &UnixDatagram, word: &str) -> String {
    let (began, mut message) = (Instant::now(), [0; 4096]);
    while began.elapsed() < LONG {
        let length = socket.recv(&mut message).unwrap();
        let text = String::from_utf8_lossy(&message[..length]).into_owned();
        if text.contains(word) {
            return text;
        }
    }
    panic!("systemd was not told {word}");
}

#[test]
fn systemd_is_told_a_hangup_asks_at_once_and_a_termination_ends_at_once() {
    need_root();
    let temp = tempfile::tempdir().unwrap();
    let (root, runtime) = (temp.path().join("root"), temp.path().join("runtime"));
    fs::create_dir_all(runtime.join("etc")).unwrap();
    fs::write(runtime.join("etc/hosts"), "from the server").unwrap();
    let node = Node { mac: MAC.to_owned(), runtime: vec![runtime], ..Node::default() };
    let site = Site { nodes: vec![node], secure: true, ..Site::default() };
    let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), site).unwrap();
    fs::create_dir_all(root.join("run")).unwrap();
    let socket = UnixDatagram::bind(root.join("run/notify")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut child = start(&root, &format!("root=wwinit wwinit.uri={}\n", server.uri(MAC)));
    let pid = Pid::from_child(&child);

    let ready = wait_for(&socket, "READY=1");
    assert!(ready.contains("STATUS="), "{ready}");
    wait_for(&socket, "WATCHDOG=1");
    kill_process(pid, Signal::HUP).unwrap();
    let status = wait_for(&socket, "STATUS=");
    assert_eq!(status, "STATUS=1 file changed: /etc/hosts");
    assert_eq!(fs::read_to_string(root.join("etc/hosts")).unwrap(), "from the server");
    assert!(root.join("run/rsinit/client.json").exists());

    let told = Instant::now();
    kill_process(pid, Signal::TERM).unwrap();
    wait_for(&socket, "STOPPING=1");
    let output = child.wait().unwrap();
    assert!(told.elapsed() < Duration::from_secs(10));
    assert!(output.success(), "{output}");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("<6>rsinit: client: asking http://127.0.0.1:"), "{said}");
    assert_eq!(lines[1], "<6>rsinit: client: 1 file changed: /etc/hosts");
}

#[test]
fn a_termination_ends_a_question_that_hangs() {
    need_root();
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir_all(root.join("run")).unwrap();
    let socket = UnixDatagram::bind(root.join("run/notify")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    // It takes the connection and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let uri = format!("root=rsinit rsinit.uri=http://{address}/provision/{MAC}\n");
    let mut child = start(&root, &uri);
    let pid = Pid::from_child(&child);
    wait_for(&socket, "READY=1");
    kill_process(pid, Signal::HUP).unwrap();
    let _connection = silent.accept().unwrap();
    let told = Instant::now();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
}
