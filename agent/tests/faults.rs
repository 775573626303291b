//! Three hundred downloads that go wrong at random places: each ends in the right tree, or in an
//! error where the damage lasts; none in a wrong tree.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking"
)]

mod common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Random, archive, assert_equal_trees, gzip, make_tree, need_root};
use rsinit::net::Policy;
use rsinit::plan::fetch::{Compress, Provision, What};
use rsinit::stage::fetch::{Options, fetch_and_unpack};
use test_vm::server::{Fault, Node, Rule, Server, Site};

const MAC: &str = "52:54:00:00:00:01";
const ROUNDS: u64 = 300;

fn options() -> Options {
    let policy = Policy {
        stall: Duration::from_millis(100),
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_millis(10),
        ..Policy::until(Instant::now() + Duration::from_secs(60))
    };
    Options { policy, downloads: 8, sha256: None, pinned: None }
}

/// A fault somewhere in `length` bytes.
fn random_fault(random: &mut Random, length: u64, compressed: bool) -> Fault {
    let at = random.below(length);
    match random.below(if compressed { 10 } else { 8 }) {
        0 | 1 => Fault::Cut { at },
        2 | 3 => Fault::Reset { at },
        4 => Fault::Stall { at, pause: Duration::from_millis(400) },
        5 => Fault::Rebuild { at },
        6 => Fault::Shortened { length: at },
        7 => Fault::Status([500, 503, 404][random.below(3) as usize]),
        8 => Fault::WrongCrc,
        // Without a checksum, as in a raw newc archive, nobody could tell.
        _ => Fault::Flip { at },
    }
}

/// Whether what arrives is complete and wrong.
fn is_damage(fault: &Fault) -> bool {
    matches!(fault, Fault::Shortened { .. } | Fault::WrongCrc | Fault::Flip { .. })
}

fn fetch(server: &Server, source: &Path, root: &Path, compress: Compress, lasting: bool) {
    fs::create_dir(root).unwrap();
    let node = Provision { compress, ..Provision::from_uri(&server.uri(MAC)).unwrap() };
    let request = node.request(What::Image);
    match fetch_and_unpack(&request, root, &options(), &mut |_| {}) {
        Ok(_) => assert_equal_trees(source, root),
        Err(error) => {
            let text = format!("{error:#}");
            assert!(lasting, "the damage was passing: {text}");
            assert!(text.contains("stage=image"), "{text}");
        }
    }
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn no_fault_anywhere_ends_in_a_wrong_tree() {
    need_root();
    let mut random = Random::new();
    let temp = tempfile::tempdir().unwrap();
    let source = temp.path().join("source");
    fs::create_dir(&source).unwrap();
    make_tree(&source, 30, &mut Random(99));
    // Three hundred times is often: no large files.
    for path in common::survey(&source).keys().map(|name| source.join(name)) {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_file() && meta.len() > 50_000 {
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(50_000).unwrap();
        }
    }
    let raw = archive(&source, "newc");
    let gz = gzip(&raw);
    fs::write(temp.path().join("image.img"), &raw).unwrap();
    fs::write(temp.path().join("image.img.gz"), &gz).unwrap();
    let image = temp.path().join("image.img");
    let node = Node { mac: MAC.to_owned(), image, ..Node::default() };
    let site = Site { nodes: vec![node], ..Site::default() };
    let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), site).unwrap();
    for round in 0..ROUNDS {
        server.faults().clear();
        let compressed = random.below(3) > 0;
        let length = if compressed { gz.len() } else { raw.len() } as u64;
        let mut faults = Vec::new();
        for _ in 0..=random.below(3) {
            faults.push(random_fault(&mut random, length, compressed));
        }
        // Damage three times over counts as lasting: no more than twice here.
        if faults.iter().all(is_damage) {
            faults.truncate(2);
        }
        let lasting = random.below(8) == 0;
        for fault in &faults {
            // What never gets beyond a byte is waited for until the deadline: tested elsewhere.
            let always = lasting && (is_damage(fault) || matches!(fault, Fault::Rebuild { .. }));
            server.faults().add(if always { Rule::always(*fault) } else { Rule::once(*fault) });
        }
        println!("round {round}: compressed {compressed}, lasting {lasting}, {faults:?}");
        let compress = if compressed { Compress::Gz } else { Compress::Raw };
        fetch(&server, &source, &temp.path().join("root"), compress, lasting);
    }
}
