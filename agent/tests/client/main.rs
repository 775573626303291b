//! The client on a node that is up: against the server double and nginx on loopback, over a
//! temporary root; and the binary itself in a root of its own.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod apply;
mod binary;
#[path = "../common/mod.rs"]
mod common;
mod fixed;
#[path = "../common/nginx.rs"]
mod nginx;
mod server;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use rsinit::layout::Layout;
use rsinit::stage::client::{Client, Event};
use rsinit::sys::Linux;
use rsinit::sys::notify::Notify;
use serde_json::Value;

/// Longest time for anything that a test waits for.
const LONG: Duration = Duration::from_secs(60);

/// A client that runs over a temporary root, and what it tells systemd.
struct Running {
    base: PathBuf,
    socket: UnixDatagram,
    events: Sender<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts one for a node booted with `cmdline`, in `base`; it asks every `interval` seconds.
    fn start(base: &Path, cmdline: &str, interval: u32) -> Self {
        let layout = Layout::under(base);
        let conf = layout.warewulf_conf();
        fs::create_dir_all(conf.parent().unwrap()).unwrap();
        fs::write(&conf, format!("warewulf:\n  update interval: {interval}\n")).unwrap();
        let path = base.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        let notify = Notify::new(path.to_str(), None).unwrap();
        let client = Client::new(&Linux, layout, cmdline, notify).unwrap();
        let events = client.events();
        let thread = Some(std::thread::spawn(|| client.run()));
        let running = Self { base: base.to_owned(), socket, events, thread };
        assert!(running.told().starts_with("READY=1\n"));
        running
    }

    /// What systemd is told next.
    fn told(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Has it ask now; its status afterwards.
    fn ask(&self) -> String {
        self.events.send(Event::Now).unwrap();
        self.told()
    }

    /// A file of the root.
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.base.join("sysroot").join(name)).unwrap_or_default()
    }

    /// `/run/rsinit/client.json`.
    fn state(&self) -> Value {
        let path = self.base.join("run/rsinit/client.json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.events.send(Event::End);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// Inode, and time of the last change of anything, of each file below `root`.
fn traces(root: &Path) -> Vec<(PathBuf, u64, (i64, i64))> {
    let survey = common::survey(root);
    let trace = |name: &PathBuf| {
        let meta = fs::symlink_metadata(root.join(name)).unwrap();
        (name.clone(), meta.ino(), (meta.ctime(), meta.ctime_nsec()))
    };
    survey.keys().map(trace).collect()
}
