//! Fetching over loopback from the double: what breaks is resumed, what is damaged is fetched
//! again, and what cannot be had is one clear error.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking"
)]

mod common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{Random, archive, assert_equal_trees, gzip, make_tree, need_root};
use rsinit::net::Policy;
use rsinit::plan::fetch::{Compress, Provision, What};
use rsinit::stage::fetch::{Fetched, Options, fetch_and_unpack, fetch_small, raw_size};
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
        Self { server, gz: gz.len() as u64, temp, roots: 0 }
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
        ..Policy::until(Instant::now() + Duration::from_secs(60))
    };
    Options { policy, downloads: 5, sha256: None, pinned: None }
}

#[test]
fn an_image_comes_whole_and_compressed() {
    need_root();
    let mut setting = Setting::new(|_| {});
    let fetched = setting.good_image();
    assert_eq!(fetched.bytes, setting.gz);
    assert_eq!(fetched.retries, 0);
    let requests = setting.server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].query("compress"), Some("gz"));
    assert_eq!(requests[0].query("assetkey"), Some("se cret"));
    assert_eq!(requests[0].header("accept-encoding"), None);
}

#[test]
fn without_a_gz_the_raw_file_is_taken() {
    need_root();
    let mut setting = Setting::new(|_| {});
    fs::remove_file(setting.temp.path().join("image.img.gz")).unwrap();
    setting.good_image();
    assert_eq!(setting.statuses(), [404, 200]);
}

#[test]
fn an_old_server_knows_the_image_as_container() {
    need_root();
    for (version, statuses) in [
        (Version::V4_5_8, vec![400, 200]),
        (Version::V4_6_5, vec![200]),
        (Version::V4_7_0, vec![200]),
    ] {
        let mut setting = Setting::new(|site| site.version = version);
        setting.good_image();
        assert_eq!(setting.statuses(), statuses, "{version:?}");
    }
}

#[test]
fn cuts_resets_and_stalls_are_resumed_inside_the_stream() {
    need_root();
    let mut setting = Setting::new(|_| {});
    let third = setting.gz / 3;
    let faults = setting.server.faults();
    faults.add(Rule::once(Fault::Cut { at: 1 }));
    faults.add(Rule::once(Fault::Reset { at: third }));
    faults.add(Rule::once(Fault::Stall { at: 2 * third, pause: Duration::from_secs(9) }));
    faults.add(Rule::once(Fault::Cut { at: setting.gz - 1 }));
    let fetched = setting.good_image();
    assert_eq!((fetched.retries, fetched.bytes), (4, setting.gz));
    assert_eq!(setting.statuses(), [200, 206, 206, 206, 206]);
    let requests = setting.server.requests();
    assert!(requests[4].header("if-range").is_some());
    assert_eq!(requests[4].header("range"), Some(&*format!("bytes={}-", setting.gz - 1)));
}

#[test]
fn an_image_rebuilt_meanwhile_is_fetched_from_its_start() {
    need_root();
    let mut setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::once(Fault::Rebuild { at: setting.gz / 2 }));
    let fetched = setting.good_image();
    assert_eq!(setting.statuses(), [200, 200, 200]);
    assert_eq!(fetched.retries, 1);
}

#[test]
fn a_half_built_file_of_consistent_length_is_fetched_again() {
    need_root();
    let mut setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::once(Fault::Shortened { length: setting.gz / 2 }));
    setting.good_image();
    setting.server.faults().add(Rule::once(Fault::Shortened { length: 0 }));
    setting.good_image();
    setting.server.faults().add(Rule::once(Fault::WrongCrc));
    setting.good_image();
    setting.server.faults().add(Rule::once(Fault::Flip { at: setting.gz / 2 }));
    setting.good_image();
}

#[test]
fn lasting_damage_is_one_error_that_says_so() {
    let mut setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::always(Fault::WrongCrc));
    let error = setting.bad_image(&quick());
    let url = format!("{}?stage=image&compress=gz", setting.server.uri(MAC));
    assert_eq!(
        error,
        format!(
            "3 downloads ended in the same error: reading {url}: \
             corrupt gzip stream does not have a matching checksum"
        )
    );
    assert_eq!(setting.statuses(), [200, 200, 200]);
}

#[test]
fn what_is_not_there_is_refused_after_three_tries() {
    let mut setting = Setting::new(|_| {});
    for name in ["image.img", "image.img.gz"] {
        fs::remove_file(setting.temp.path().join(name)).unwrap();
    }
    let error = setting.bad_image(&quick());
    let url = setting.server.uri(MAC);
    assert_eq!(
        error,
        format!("GET {url}?stage=image: 404 after 3 tries: the server has no such image built")
    );
    assert_eq!(setting.statuses(), [404; 6]);
}

#[test]
fn an_unknown_node_and_a_wrong_key_are_refused() {
    let mut unknown = Setting::new(|site| site.nodes[0].mac = "52:54:00:00:00:99".to_owned());
    let error = unknown.bad_image(&quick());
    assert!(error.contains("400 after 3 tries: the server does not know this node"), "{error}");
    let mut wrong = Setting::new(|site| site.nodes[0].asset_key = Some("other".to_owned()));
    let error = wrong.bad_image(&quick());
    assert!(error.contains("401 after 3 tries: the asset key is not the node's"), "{error}");
}

#[test]
fn the_runtime_overlay_is_fetched_from_a_low_port() {
    need_root();
    let setting = Setting::new(|site| site.secure = true);
    let mut request = setting.provision().request(What::Runtime);
    let bytes = fetch_small(&request, &quick()).unwrap();
    let found = find_files(&bytes, |name| name == b"etc/secret").unwrap();
    assert_eq!(found, [(b"etc/secret".to_vec(), b"s".to_vec())]);
    let port = setting.server.requests()[0].peer.port();
    assert!((512..1024).contains(&port), "{port}");
    request.privileged = false;
    let error = fetch_small(&request, &quick()).unwrap_err().to_string();
    assert!(error.contains("401 after 3 tries") && error.contains("below 1024"), "{error}");
}

#[test]
fn busy_and_absent_servers_are_waited_for() {
    need_root();
    let mut setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::once(Fault::Status(503)).times(7));
    setting.good_image();
    assert_eq!(setting.statuses().len(), 8);
    setting.stop_listening(Duration::from_millis(700));
    setting.good_image();
}

#[test]
fn the_deadline_ends_it_with_the_last_cause() {
    let mut setting = Setting::new(|_| {});
    setting.stop_listening(Duration::from_secs(60));
    let mut options = quick();
    options.policy.deadline = Instant::now() + Duration::from_millis(500);
    let started = Instant::now();
    let error = setting.bad_image(&options);
    assert!(started.elapsed() < Duration::from_secs(30), "the server was down for 60 s");
    assert!(
        error.contains("connecting: Connection refused (os error 111) after")
            && error.ends_with("out of time"),
        "{error}"
    );
}

#[test]
fn a_body_that_trickles_is_ended_by_the_deadline() {
    let mut setting = Setting::new(|_| {});
    setting.server.faults().limit(Some(100_000));
    let mut options = quick();
    options.policy.deadline = Instant::now() + Duration::from_millis(1500);
    let error = setting.bad_image(&options);
    assert!(error.contains("out of time"), "{error}");
}

#[test]
fn a_slow_first_byte_is_no_stall() {
    need_root();
    let mut setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::once(Fault::Late(Duration::from_millis(900))));
    assert_eq!(setting.good_image().retries, 0);
    assert_eq!(setting.statuses(), [200]);
}

#[test]
fn redirects_are_followed_also_when_resuming() {
    need_root();
    let mut setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::once(Fault::Redirect));
    setting.server.faults().add(Rule::once(Fault::Cut { at: setting.gz / 2 }));
    setting.server.faults().add(Rule::once(Fault::Redirect));
    setting.good_image();
    assert_eq!(setting.statuses(), [302, 200, 302, 206]);
}

#[test]
fn small_files_are_sound_when_they_arrive() {
    let setting = Setting::new(|_| {});
    let faults = setting.server.faults();
    faults.add(Rule::once(Fault::WrongCrc));
    faults.add(Rule::once(Fault::Shortened { length: 30 }));
    faults.add(Rule::once(Fault::Cut { at: 20 }));
    let bytes = fetch_small(&setting.provision().request(What::System), &quick()).unwrap();
    let found = find_files(&bytes, |name| name.starts_with(b"etc/mkdisk/")).unwrap();
    assert_eq!(found[0].1, b"WIPE_ON_BOOT=true\n");
}

#[test]
fn a_digest_that_is_given_must_agree() {
    need_root();
    let mut setting = Setting::new(|_| {});
    let sum = common::run("sha256sum", &["image.img.gz"], setting.temp.path(), b"");
    let text = String::from_utf8(sum).unwrap();
    let bytes = |from: usize| u8::from_str_radix(&text[from..from + 2], 16).unwrap();
    let digest: [u8; 32] = std::array::from_fn(|index| bytes(2 * index));
    let options = Options { sha256: Some(digest), ..quick() };
    assert_eq!(setting.image(&options).1.unwrap().sha256, Some(digest));
    let wrong = Options { sha256: Some([7; 32]), ..quick() };
    let error = setting.bad_image(&wrong);
    assert!(error.contains("the SHA-256 of what the server sent is"), "{error}");
}

#[test]
fn a_root_that_holds_something_is_never_emptied() {
    need_root();
    let setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::once(Fault::WrongCrc));
    let root = setting.temp.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("mine"), "x").unwrap();
    let request = setting.provision().request(What::Image);
    assert!(fetch_and_unpack(&request, &root, &quick(), &mut |_| {}).is_err());
    assert_eq!(fs::read(root.join("mine")).unwrap(), b"x");
}

#[test]
fn a_hostile_image_is_refused_and_named() {
    let mut setting = Setting::new(|_| {});
    let bytes = common::whole(&[common::file("../evil", b"")]);
    fs::write(setting.temp.path().join("image.img.gz"), gzip(&bytes)).unwrap();
    let error = setting.bad_image(&quick());
    assert!(error.ends_with("unpacking ../evil: its name has a component \"..\""), "{error}");
    assert!(!setting.temp.path().join("evil").exists());
}

#[test]
fn the_raw_size_is_known_beforehand() {
    let setting = Setting::new(|_| {});
    let length = fs::metadata(setting.temp.path().join("image.img")).unwrap().len();
    let size = raw_size(&setting.provision().raw_image(), &quick()).unwrap();
    assert_eq!(size, Some(length));
    assert_eq!(setting.server.requests()[0].head.method, "HEAD");
    let raw = Provision { compress: Compress::Raw, ..setting.provision() }.request(What::Image);
    assert_eq!(raw, setting.provision().raw_image());
}

#[test]
fn a_writer_that_fails_stops_the_download() {
    let mut setting = Setting::new(|_| {});
    let stall = Fault::Stall { at: 350_000, pause: Duration::from_secs(30) };
    setting.server.faults().add(Rule::always(stall));
    let bytes = common::whole(&[common::file("../evil", b"")]);
    let mut random = Random(3);
    let padding: Vec<u8> = (0..400_000).map(|_| random.below(256) as u8).collect();
    let all = gzip(&[bytes, padding].concat());
    fs::write(setting.temp.path().join("image.img.gz"), &all).unwrap();
    let mut options = quick();
    options.downloads = 1;
    options.policy.stall = Duration::from_secs(20);
    let started = Instant::now();
    let error = setting.bad_image(&options);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(error.contains("../evil"), "{error}");
    assert_eq!(setting.server.requests()[0].fault, Some(stall));
    assert!(setting.server.requests()[0].sent < all.len() as u64);
}
