//! Fetching over loopback from the double: what breaks is resumed, what is damaged is fetched
//! again, and what cannot be had is one clear error.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod forms;
mod framing;
mod reach;
mod refused;
mod stream;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Random, archive, assert_equal_trees, gzip, make_tree, need_root};
use rsinit::net::Policy;
use rsinit::plan::fetch::{Compress, Provision, Routes, What};
use rsinit::stage::fetch::{
    Fetched, Options, fetch_and_read, fetch_and_unpack, fetch_small, raw_size,
};
use rsinit::stage::unpack::find_files;
use tempfile::{TempDir, tempdir};
use test_vm::server::{Fault, Node, Rule, Server, Site, Version};

const MAC: &str = "52:54:00:00:00:01";

/// A server with one node, and the tree its image was made of.
struct Setting {
    temp: TempDir,
    server: Server,
    /// Bytes of the image's .gz.
    gz: u64,
    roots: u32,
    routes: Routes,
}

impl Setting {
    fn new(change: impl FnOnce(&mut Site)) -> Self {
        let temp = tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        fs::create_dir_all(path("source")).unwrap();
        make_tree(&path("source"), 60, &mut Random(4711));
        fs::create_dir_all(path("system/etc/mkdisk")).unwrap();
        fs::write(path("system/etc/mkdisk/mkdisk.conf"), "WIPE_ON_BOOT=true\n").unwrap();
        fs::create_dir_all(path("runtime/etc")).unwrap();
        fs::write(path("runtime/etc/secret"), "s").unwrap();
        let raw = archive(&path("source"), "newc");
        let gz = gzip(&raw);
        fs::write(path("image.img"), &raw).unwrap();
        fs::write(path("image.img.gz"), &gz).unwrap();
        let node = Node {
            mac: MAC.to_owned(),
            image: path("image.img"),
            system: vec![path("system")],
            runtime: vec![path("runtime")],
            ..Node::default()
        };
        let mut site = Site { nodes: vec![node], ..Site::default() };
        change(&mut site);
        let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), site).unwrap();
        Self { server, gz: gz.len() as u64, temp, roots: 0, routes: Routes::default() }
    }

    /// Stops listening, and waits until it has.
    fn stop_listening(&self, pause: Duration) {
        self.server.faults().stop_listening(pause);
        while std::net::TcpStream::connect(self.server.addr()).is_ok() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn provision(&self) -> Provision {
        let mut provision = Provision::from_uri(&self.server.uri(MAC)).unwrap();
        provision.assetkey = "se cret".to_owned();
        provision.routes = self.routes.clone();
        provision
    }

    /// Fetches the image into a fresh root.
    fn image(&mut self, options: &Options) -> (PathBuf, anyhow::Result<Fetched>) {
        self.roots += 1;
        let root = self.temp.path().join(format!("root{}", self.roots));
        fs::create_dir(&root).unwrap();
        let request = self.provision().request(What::Image);
        let fetched = fetch_and_unpack(&request, &root, options, &mut |_| {});
        (root, fetched)
    }

    /// Fetches the image, and expects it to come out right.
    fn good_image(&mut self) -> Fetched {
        let (root, fetched) = self.image(&quick());
        let fetched = fetched.unwrap();
        assert_equal_trees(&self.temp.path().join("source"), &root);
        fs::remove_dir_all(root).unwrap();
        fetched
    }

    /// Fetches the image, and expects this error.
    fn bad_image(&mut self, options: &Options) -> String {
        let text = format!("{:#}", self.image(options).1.unwrap_err());
        assert!(!text.contains("cret"), "the asset key is in: {text}");
        text
    }

    /// Statuses in the order of the requests.
    fn statuses(&self) -> Vec<u16> {
        self.server.requests().iter().map(|request| request.status).collect()
    }
}

/// The patience of a test.
fn quick() -> Options {
    let policy = Policy {
        connect: Duration::from_secs(2),
        stall: Duration::from_millis(300),
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(50),
        refused_wait: Duration::from_millis(20),
        refusals: Some(3),
        ..Policy::until(Instant::now() + Duration::from_secs(60))
    };
    Options { policy, downloads: 5, sha256: None, pinned: None, retries: Default::default() }
}
