//! The double, asked over real sockets: ranges, conditions, refusals, faults.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use test_vm::server::{Fault, Node, Rule, Script, Server, Site, Template, Version};

const MAC: &str = "52:54:00:00:00:01";

fn server(temp: &tempfile::TempDir) -> Server {
    let image = temp.path().join("image.img");
    fs::write(&image, "0123456789").unwrap();
    let overlay = temp.path().join("overlay");
    fs::create_dir_all(overlay.join("etc")).unwrap();
    fs::write(overlay.join("etc/motd"), "hello").unwrap();
    let node = Node { mac: MAC.to_owned(), image, system: vec![overlay], ..Node::default() };
    let site = Site { nodes: vec![node], ..Site::default() };
    Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), site).unwrap()
}

fn ask(server: &Server, stage: &str, headers: &str) -> String {
    ask_for(server, &format!("/provision/{MAC}?stage={stage}"), headers)
}

fn ask_for(server: &Server, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    // A reset ends the answer as an end does.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let line = answer.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_once(": ").unwrap().1
}

#[test]
fn a_range_is_206_only_while_the_file_is_the_same() {
    let temp = tempfile::tempdir().unwrap();
    let server = server(&temp);
    let whole = ask(&server, "image", "");
    assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.ends_with("\r\n\r\n0123456789"));
    let date = field(&whole, "Last-Modified").to_owned();
    let ranged = format!("Range: bytes=7-\r\nIf-Range: {date}\r\n");
    let part = ask(&server, "image", &ranged);
    assert!(part.starts_with("HTTP/1.1 206"), "{part}");
    assert_eq!(field(&part, "Content-Range"), "bytes 7-9/10");
    assert!(part.ends_with("\r\n\r\n789"));
    assert!(ask(&server, "image", "Range: bytes=10-\r\n").starts_with("HTTP/1.1 416"));
    let same = ask(&server, "image", &format!("If-Modified-Since: {date}\r\n"));
    assert!(same.starts_with("HTTP/1.1 304"));
    server.faults().touch();
    assert!(ask(&server, "image", &ranged).starts_with("HTTP/1.1 200"));
}

#[test]
fn an_answer_has_the_headers_of_gos_serve_content_and_no_others() {
    let temp = tempfile::tempdir().unwrap();
    let server = server(&temp);
    let whole = ask(&server, "image", "");
    let head = whole.split("\r\n\r\n").next().unwrap();
    let mut names: Vec<&str> =
        head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
    names.sort_unstable();
    let expected = ["Accept-Ranges", "Content-Length", "Content-Type", "Date", "Last-Modified"];
    assert_eq!(names, expected);
    assert_eq!(field(&whole, "Content-Length"), "10");
    let error = ask(&server, "nonsense", "");
    assert!(error.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{error}");
    assert_eq!(field(&error, "Content-Length"), "0");
}

#[test]
fn an_overlay_is_built_at_its_first_request_and_then_kept() {
    let temp = tempfile::tempdir().unwrap();
    let server = server(&temp);
    fs::write(temp.path().join("overlay/etc/late"), "later than the start").unwrap();
    assert!(ask(&server, "system", "").contains("etc/late\0"));
    fs::write(temp.path().join("overlay/etc/later"), "x").unwrap();
    assert!(!ask(&server, "system", "").contains("etc/later\0"));
    server.rebuild_overlays();
    assert!(ask(&server, "system", "").contains("etc/later\0"));
}

#[test]
fn versions_are_chosen_by_name() {
    let named =
        ["4.5.8", "4.6.1", "4.6.5", "4.7", "4.7.0"].map(|name| Version::parse(name).unwrap());
    let [old, one, five, new, also_new] = named;
    assert!(old < one && one < five && five < new && new == also_new);
    assert_eq!(Version::parse("4.8"), None);
}

#[test]
fn a_node_is_given_its_script_kernel_and_initramfs() {
    let temp = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = temp.path().join(name);
        fs::write(&path, name).unwrap();
        Some(path)
    };
    let script = Script {
        template: Template::Warewulf,
        authority: "10.0.0.1:9873".parse().unwrap(),
        device: "eth0".to_owned(),
        arguments: "quiet".to_owned(),
    };
    let node = Node {
        mac: MAC.to_owned(),
        kernel: file("vmlinuz"),
        initramfs: file("initramfs.img"),
        ipxe: Some(script),
        ..Node::default()
    };
    let site = Site { version: Version::V4_7_0, nodes: vec![node], ..Site::default() };
    let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), site).unwrap();
    let ipxe = format!("/ipxe/{}?assetkey=&uuid=x", MAC.replace(':', "-"));
    let script = ask_for(&server, &ipxe, "");
    assert_eq!(field(&script, "Content-Type"), "text");
    let body = script.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(field(&script, "Content-Length"), body.len().to_string());
    assert!(body.starts_with("#!ipxe\n") && body.contains("root=wwinit:tmpfs"), "{body}");
    assert!(ask(&server, "kernel&assetkey=", "").ends_with("\r\n\r\nvmlinuz"));
    assert!(ask(&server, "initramfs", "").ends_with("\r\n\r\ninitramfs.img"));
    assert!(ask(&server, "image", "").starts_with("HTTP/1.1 400"));
}

#[test]
fn no_gz_is_404_and_an_overlay_has_both_forms() {
    let temp = tempfile::tempdir().unwrap();
    let server = server(&temp);
    assert!(ask(&server, "image&compress=gz", "").starts_with("HTTP/1.1 404"));
    assert!(ask(&server, "system", "").contains("etc/motd\0"));
    let gz = ask(&server, "system&compress=gz", "");
    assert_eq!(field(&gz, "Content-Type"), "application/x-gzip");
    let other = ask(&server, "system&compress=zst", "");
    assert!(other.starts_with("HTTP/1.1 404") && other.contains("etc/motd\0"));
    assert_eq!(server.requests().len(), 4);
    assert_eq!(server.requests()[3].status, 404);
}

#[test]
fn faults_strike_as_often_as_told() {
    let temp = tempfile::tempdir().unwrap();
    let server = server(&temp);
    server.faults().add(Rule::once(Fault::Cut { at: 4 }).stage("image"));
    assert!(ask(&server, "image", "").ends_with("\r\n\r\n0123"));
    assert!(ask(&server, "image", "").ends_with("\r\n\r\n0123456789"));
    server.faults().add(Rule::once(Fault::Status(503)).times(2));
    assert!(ask(&server, "image", "").starts_with("HTTP/1.1 503"));
    assert!(ask(&server, "system", "").starts_with("HTTP/1.1 503"));
    assert!(ask(&server, "image", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_server_that_is_down_refuses_and_comes_back() {
    let temp = tempfile::tempdir().unwrap();
    let server = server(&temp);
    server.faults().stop_listening(Duration::from_millis(300));
    std::thread::sleep(Duration::from_millis(100));
    let error = TcpStream::connect(server.addr()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    std::thread::sleep(Duration::from_millis(400));
    assert!(ask(&server, "image", "").starts_with("HTTP/1.1 200"));
}
