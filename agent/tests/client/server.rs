//! What the server says and does, and what becomes of the root.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::{TempDir, tempdir};
use test_vm::server::{Certificate, Fault, Node, Rule, Server, Site, Version};

use super::{Running, traces};

const MAC: &str = "52:54:00:00:00:01";

/// A server with one node's runtime overlay in `runtime`.
struct Bench {
    temp: TempDir,
    server: Server,
}

impl Bench {
    fn new(change: impl FnOnce(Site) -> Site) -> Self {
        let temp = tempdir().unwrap();
        let runtime = temp.path().join("runtime");
        fs::create_dir_all(runtime.join("etc")).unwrap();
        let node = Node { mac: MAC.to_owned(), runtime: vec![runtime], ..Node::default() };
        let site = change(Site { nodes: vec![node], secure: true, ..Site::default() });
        let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), site).unwrap();
        let bench = Self { temp, server };
        bench.serve("etc/hosts", "one");
        bench.serve("etc/other", "other");
        bench
    }

    fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Puts a file into the overlay, and has the server build it anew.
    fn serve(&self, name: &str, text: &str) {
        fs::write(self.path().join("runtime").join(name), text).unwrap();
        self.server.rebuild_overlays();
    }

    fn start(&self, interval: u32) -> Running {
        let cmdline = format!("root=wwinit wwinit.uri={}", self.server.uri(MAC));
        Running::start(self.path(), &cmdline, interval)
    }

    fn statuses(&self) -> Vec<u16> {
        self.server.requests().iter().map(|request| request.status).collect()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn an_unchanged_overlay_is_answered_by_its_date_and_nothing_is_written() {
    let bench = Bench::new(|site| site);
    let began = now();
    let client = bench.start(1);
    assert!(client.told().starts_with("STATUS=2 files changed: /etc/hosts, /etc/other"));
    let before = traces(&bench.path().join("sysroot/etc"));
    while bench.statuses().iter().filter(|status| **status == 304).count() < 2 {
        client.told();
    }
    assert_eq!(traces(&bench.path().join("sysroot/etc")), before);
    let requests = bench.server.requests();
    assert_eq!(requests[0].header("if-modified-since"), None);
    assert!(requests.iter().all(|request| request.peer.port() < 1024));
    assert!(requests.iter().all(|request| request.query("stage") == Some("runtime")));
    let state = client.state();
    assert_eq!((&state["schema"], &state["applied"]), (&1.into(), &2.into()));
    assert_eq!((&state["interval_s"], &state["error"]), (&1.into(), &serde_json::Value::Null));
    assert!(state["last_success"].as_u64().unwrap() >= began);
    assert_eq!(state["last_success"], state["last_attempt"]);
}

#[test]
fn until_it_has_asked_the_overlays_are_those_of_the_boot_and_a_new_client_goes_on_counting() {
    let bench = Bench::new(|site| site);
    fs::create_dir_all(bench.path().join("run/rsinit")).unwrap();
    fs::write(bench.path().join("run/rsinit/report.json"), "{}").unwrap();
    let booted = now();
    let client = bench.start(3600);
    let state = client.state();
    assert!(state["last_success"].as_u64().is_some_and(|then| then.abs_diff(booted) < 60));
    assert_eq!(state["last_attempt"], serde_json::Value::Null);
    client.ask();
    drop(client);
    fs::remove_file(bench.path().join("notify")).unwrap();
    let client = bench.start(3600);
    assert_eq!(
        (&client.state()["applied"], &client.state()["interval_s"]),
        (&2.into(), &3600.into())
    );
    assert!(client.state()["last_attempt"].is_u64());
}

#[test]
fn a_change_on_the_server_arrives_by_itself_and_only_it_is_written() {
    let bench = Bench::new(|site| site);
    let client = bench.start(1);
    client.told();
    let root = bench.path().join("sysroot/etc");
    let before = traces(&root);
    bench.serve("etc/hosts", "two");
    while client.text("etc/hosts") != "two" {
        client.told();
    }
    let changed: Vec<_> =
        traces(&root).into_iter().filter(|trace| !before.contains(trace)).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0].0, Path::new("hosts"));
}

#[test]
fn told_to_it_asks_at_once_and_for_everything() {
    let bench = Bench::new(|site| site);
    let client = bench.start(3600);
    assert!(client.ask().starts_with("STATUS=2 files changed"));
    // Somebody edited a file on the node: the server has nothing newer.
    fs::write(bench.path().join("sysroot/etc/hosts"), "edited").unwrap();
    assert_eq!(client.ask(), "STATUS=1 file changed: /etc/hosts");
    assert_eq!(client.ask(), "STATUS=nothing differs");
    assert_eq!(client.text("etc/hosts"), "one");
    assert_eq!(client.state()["applied"], 3);
    assert_eq!(bench.statuses(), [200, 200, 200]);
}

#[test]
fn a_server_that_is_down_is_asked_again_until_it_is_there() {
    let bench = Bench::new(|site| site);
    let client = bench.start(1);
    client.told();
    bench.serve("etc/hosts", "two");
    bench.server.faults().stop_listening(Duration::from_secs(4));
    let mut failures = 0;
    while client.text("etc/hosts") != "two" {
        let told = client.told();
        if told.contains("connecting: ") {
            failures += 1;
            let state = client.state();
            assert!(state["error"].as_str().unwrap().contains("connecting: "), "{state}");
            assert!(state["last_success"].as_u64() <= state["last_attempt"].as_u64());
        }
    }
    assert!(failures >= 1);
    assert_eq!(client.state()["error"], serde_json::Value::Null);
}

#[test]
fn refusals_are_said_with_their_meaning_and_without_the_asset_key() {
    let bench = Bench::new(|mut site| {
        site.nodes[0].asset_key = Some("the key".to_owned());
        site
    });
    let dmi = bench.path().join("sys/class/dmi/id");
    fs::create_dir_all(&dmi).unwrap();
    fs::write(dmi.join("chassis_asset_tag"), "no key\n").unwrap();
    let client = bench.start(3600);
    let told = client.ask();
    assert!(told.contains("401: the asset key is not the node's"), "{told}");
    assert!(!told.contains("no%20key") && !told.contains("no key"), "{told}");
    assert!(!client.state().to_string().contains("key\""));
    fs::write(dmi.join("chassis_asset_tag"), "the key\n").unwrap();
    assert!(client.ask().starts_with("STATUS=2 files changed"));
}

#[test]
fn a_damaged_or_cut_overlay_is_not_applied() {
    let bench = Bench::new(|site| site);
    let client = bench.start(3600);
    client.ask();
    bench.serve("etc/hosts", "two");
    for fault in [
        Fault::WrongCrc,
        Fault::Flip { at: 40 },
        Fault::Cut { at: 60 },
        Fault::Shortened { length: 100 },
        Fault::Status(503),
    ] {
        bench.server.faults().add(Rule::once(fault).stage("runtime"));
        let told = client.ask();
        assert!(told.contains("; asking again in"), "{fault:?}: {told}");
        assert_eq!(client.text("etc/hosts"), "one", "{fault:?}");
        assert_ne!(client.state()["error"], serde_json::Value::Null);
    }
    assert_eq!(client.ask(), "STATUS=1 file changed: /etc/hosts");
    assert_eq!(client.text("etc/hosts"), "two");
}

#[test]
fn the_interval_follows_the_servers_own_settings() {
    let bench = Bench::new(|site| site);
    fs::create_dir_all(bench.path().join("runtime/etc/warewulf")).unwrap();
    bench.serve("etc/warewulf/warewulf.conf", "warewulf:\n  update interval: 7200\n");
    let client = bench.start(1);
    client.told();
    assert_eq!(client.state()["interval_s"], 7200);
    bench.serve("etc/warewulf/warewulf.conf", "warewulf:\n  update interval: soon\n");
    client.ask();
    assert_eq!(client.state()["interval_s"], 60);
}

#[test]
fn in_tls_the_server_is_known_by_the_certificate_in_the_root() {
    let certificate = Certificate::new().unwrap();
    let bench = Bench::new(|site| Site {
        version: Version::V4_7_0,
        tls: Some(certificate.clone()),
        ..site
    });
    let warewulf = bench.path().join("sysroot/warewulf");
    fs::create_dir_all(warewulf.join("tls")).unwrap();
    let port = bench.server.tls_addr().unwrap().port();
    let config = format!("WWTLS=true\nWWTLSPORT={port}\nWWIPADDR=127.0.0.1\n");
    fs::write(warewulf.join("config"), config).unwrap();
    let other = Certificate::new().unwrap();
    fs::write(warewulf.join("tls/warewulf.crt"), other.pem()).unwrap();
    let client = bench.start(3600);
    let told = client.ask();
    assert!(told.contains("GET https://127.0.0.1:") && told.contains("certificate"), "{told}");
    assert_eq!(client.text("etc/hosts"), "");
    fs::write(warewulf.join("tls/warewulf.crt"), certificate.pem()).unwrap();
    assert!(client.ask().starts_with("STATUS=2 files changed"));
    fs::write(warewulf.join("config"), "WWTLS=false\n").unwrap();
    assert!(client.ask().contains("403"));
}

#[test]
fn a_server_booted_from_in_tls_is_known_by_the_certificate_that_the_boot_kept() {
    let certificate = Certificate::new().unwrap();
    let bench = Bench::new(|site| Site { tls: Some(certificate.clone()), ..site });
    fs::create_dir_all(bench.path().join("run/rsinit")).unwrap();
    fs::write(bench.path().join("run/rsinit/server.crt"), certificate.pem()).unwrap();
    let address = bench.server.tls_addr().unwrap();
    let cmdline = format!("root=rsinit rsinit.uri=https://{address}/provision/{MAC}");
    let client = Running::start(bench.path(), &cmdline, 3600);
    assert!(client.ask().starts_with("STATUS=2 files changed"));
}
