//! Booting from a plain web server: a real nginx on loopback with the image compressed by
//! the real zstd, and overlays in all three forms.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rsinit::layout::Layout;
use test_vm::server::write_archive;

use super::kernel::Recorder;
use super::nginx::Nginx;
use super::static_program;

/// A folder with one file, as an archive.
fn archive(dir: &Path, name: &str, content: &str) -> Vec<u8> {
    let folder = dir.join("tree").join(name.replace('/', "-"));
    fs::create_dir_all(folder.join("etc")).unwrap();
    fs::write(folder.join("etc").join(name), content).unwrap();
    fs::write(folder.join("etc/last"), content).unwrap();
    let mut bytes = Vec::new();
    write_archive(&[folder], &Default::default(), &mut bytes).unwrap();
    bytes
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("zstd")
        .args(["-q", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting zstd: install the package zstd");
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

#[test]
fn image_and_overlays_come_one_by_one_in_any_form() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    let put = |path: &str, bytes: Vec<u8>| {
        let path = files.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    fs::create_dir_all(dir.path().join("tree/image/sbin")).unwrap();
    static_program(&dir.path().join("tree/image/sbin/init"));
    let image = archive(dir.path(), "image", "image");
    put("container/zstd", zstd(&image));
    put("container/gzip", gzip(&image));
    put("container/raw", image);
    put("overlay/system/wwinit/node1", archive(dir.path(), "wwinit", "wwinit"));
    put("overlay/system/hostname/node1", gzip(&archive(dir.path(), "hostname", "hostname")));
    put("overlay/runtime/hosts/node1", zstd(&archive(dir.path(), "hosts", "hosts")));
    let nginx = Nginx::start(dir.path(), &files);
    let boot = |image: &str, more: &str| {
        let node = tempfile::tempdir().unwrap();
        let cmdline = format!(
            "root=rsinit rsinit.uri=http://127.0.0.1:{} rsinit.layout=static rsinit.image={image} \
             rsinit.node=node1 rsinit.system=wwinit,hostname rsinit.runtime=hosts rsinit.onfail=shell {more}",
            nginx.port
        );
        let kernel = Recorder::new(node.path());
        let result = rsinit::stage::run(&kernel, &Layout::under(node.path()), &cmdline);
        (result.map_err(|error| format!("{error:#}")), node)
    };
    for form in ["zstd", "gzip", "raw"] {
        let (result, node) = boot(form, "rsinit.deadline=60");
        assert_eq!(result, Ok(()), "{form}");
        let etc = node.path().join("sysroot/etc");
        for name in ["image", "wwinit", "hostname", "hosts"] {
            assert_eq!(fs::read_to_string(etc.join(name)).unwrap(), name, "{form}");
        }
        assert_eq!(fs::read_to_string(etc.join("last")).unwrap(), "hosts");
    }
    let error = boot("debian", "rsinit.deadline=2").0.unwrap_err();
    assert!(error.starts_with("image: GET http://127.0.0.1:"), "{error}");
    assert!(error.contains("/container/debian: 404"), "{error}");
    assert!(error.ends_with("the server has no such file"), "{error}");
}
