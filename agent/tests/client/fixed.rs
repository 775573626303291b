//! A plain web server with several runtime overlays: a real nginx.

use std::fs;
use std::time::{Duration, SystemTime};

use super::common::{file, gzip, whole};
use super::nginx::Nginx;
use super::{Running, traces};

#[test]
fn several_overlays_are_kept_current_and_the_last_of_them_wins() {
    let temp = tempfile::tempdir().unwrap();
    let files = temp.path().join("files");
    // Files of yesterday and later: dates that a server can be asked by.
    let put = |name: &str, later: u64, bytes: Vec<u8>| {
        let path = files.join("overlay/runtime").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let time = SystemTime::now() - Duration::from_secs(86_400 - later);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    put("one/n1", 0, whole(&[file("etc/one", b"1"), file("etc/both", b"one")]));
    put("two/n1", 0, gzip(&whole(&[file("etc/both", b"two")])));
    let nginx = Nginx::start(temp.path(), &files);
    let cmdline = format!(
        "root=rsinit rsinit.uri=http://127.0.0.1:{} rsinit.layout=static rsinit.image=i \
         rsinit.node=n1 rsinit.runtime=one,two wwid=52:54:00:00:00:01",
        nginx.port
    );
    let client = Running::start(temp.path(), &cmdline, 1);
    assert!(client.told().starts_with("STATUS=2 files changed: /etc/both, /etc/one"));
    assert_eq!(client.told(), "STATUS=nothing newer");
    let root = temp.path().join("sysroot/etc");
    let before = traces(&root);
    // The first changes, and the second still wins.
    put("one/n1", 10, whole(&[file("etc/one", b"2"), file("etc/both", b"ONE")]));
    while client.text("etc/one") != "2" {
        client.told();
    }
    assert_eq!(client.text("etc/both"), "two");
    let changed: Vec<_> =
        traces(&root).into_iter().filter(|trace| !before.contains(trace)).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
}
