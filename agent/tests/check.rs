//! `rsinit check`, as a person runs it, against the server double on loopback.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

use test_vm::server::{Fault, Node, Rule, Server, Site};

const MAC: &str = "52:54:00:00:00:01";

/// A server with one node whose image has `init`, and the folder that holds it all.
fn server(init: &str, key: Option<&str>) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    };
    write(&format!("image/{init}"));
    write("system/etc/hostname");
    write("runtime/etc/hosts");
    let mut raw = Vec::new();
    let image = dir.path().join("image");
    test_vm::server::write_archive(&[image], &Default::default(), &mut raw).unwrap();
    fs::write(dir.path().join("image.img"), &raw).unwrap();
    let gz = fs::File::create(dir.path().join("image.img.gz")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &raw).unwrap();
    gz.finish().unwrap();
    let node = Node {
        mac: MAC.to_owned(),
        image: dir.path().join("image.img"),
        system: vec![dir.path().join("system")],
        runtime: vec![dir.path().join("runtime")],
        asset_key: key.map(str::to_owned),
        ..Node::default()
    };
    let site = Site { nodes: vec![node], ..Site::default() };
    let server = Server::start("127.0.0.1:0".parse().unwrap(), site).unwrap();
    (dir, server)
}

/// Exit status and both outputs of `rsinit check`.
fn check(words: &[&str], uid: Option<u32>) -> (Option<i32>, String) {
    use std::os::unix::process::CommandExt as _;
    let folder = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_rsinit"));
    let mut command = Command::new(built);
    if uid.is_some() {
        // Anybody may run it there, whoever built it. By cp: a file that this process had
        // open for writing is busy for the children of other tests.
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.path().join("rsinit");
        assert!(Command::new("cp").args([built, &program]).status().unwrap().success());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command = Command::new(program);
    }
    command.arg("check").args(words);
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_server_that_has_everything_would_boot_the_node() {
    let (_dir, server) = server("sbin/init", None);
    let (status, text) = check(&["--uri", &server.uri(MAC)], None);
    assert_eq!(status, Some(0), "{text}");
    for line in ["ok       system-overlay", "ok       image", "ok       runtime-overlay"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.contains("a boot would work, and take about 1 s"), "{text}");
    let asked: Vec<_> =
        server.requests().iter().map(|one| one.head.query("stage").map(str::to_owned)).collect();
    for stage in ["image", "system", "runtime"] {
        assert!(asked.iter().any(|one| one.as_deref() == Some(stage)), "{asked:?}");
    }
}

#[test]
fn anybody_but_root_is_told_what_could_not_be_asked() {
    let (_dir, server) = server("sbin/init", None);
    let (status, text) = check(&["--uri", &server.uri(MAC)], Some(65_534));
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("unasked  runtime-overlay  only root may ask for it"), "{text}");
    assert!(text.contains("nothing is wrong, as far as could be asked"), "{text}");
}

#[test]
fn what_is_missing_damaged_or_has_no_init_would_fail_a_boot() {
    let failing = |server: &Server, words: &[&str]| {
        let (status, text) = check(&[&["--uri", &server.uri(MAC)], words].concat(), None);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("a boot would fail"), "{text}");
        text
    };
    let (_dir, one) = server("sbin/init", None);
    one.faults().add(Rule::always(Fault::Status(404)).stage("image"));
    let text = failing(&one, &[]);
    assert!(text.contains("ok       system-overlay"), "{text}");
    assert!(text.contains("problem  image") && text.contains("no such image built"), "{text}");

    let (_dir, one) = server("sbin/init", None);
    one.faults().add(Rule::always(Fault::WrongCrc).stage("image"));
    assert!(failing(&one, &[]).contains("corrupt gzip stream: CRC "));

    let (_dir, one) = server("sbin/not-init", None);
    let text = failing(&one, &[]);
    assert!(text.contains("neither the image nor the system overlay has a /sbin/init"), "{text}");
}

#[test]
fn a_node_that_nobody_knows_and_a_server_that_is_not_there_are_said_at_once() {
    let (_dir, one) = server("sbin/init", None);
    let uri = one.uri(MAC);
    let base = uri.split("/provision").next().unwrap();
    let (status, text) = check(&["--uri", base, "--node", "52:54:00:00:00:99"], None);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("does not know this node"), "{text}");
    drop(one);
    let started = std::time::Instant::now();
    let (status, text) = check(&["--uri", &uri], None);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("refused"), "{text}");
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn the_asset_key_is_sent_and_shown_to_nobody() {
    let (_dir, one) = server("sbin/init", Some("S3CRET"));
    let uri = one.uri(MAC);
    let (status, text) = check(&["--uri", &uri, "--assetkey", "S3CRET"], None);
    assert_eq!(status, Some(0), "{text}");
    assert!(!text.contains("S3CRET"), "{text}");
}
