//! What is asked for, in which forms, from which port: version by version.

use super::*;

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
fn the_routes_of_4_7_serve_all_three() {
    need_root();
    let mut setting = Setting::new(|site| site.version = Version::V4_7_0);
    setting.routes = Routes::Warewulf47;
    setting.good_image();
    for what in [What::System, What::Runtime] {
        fetch_small(&setting.provision().request(what), &quick()).unwrap();
    }
    let requests = setting.server.requests();
    let paths: Vec<&str> = requests.iter().map(|one| one.head.path.as_str()).collect();
    let expected = ["image", "system", "runtime"].map(|stage| format!("/{stage}/{MAC}"));
    assert_eq!(paths, expected);
    assert!(requests.iter().all(|one| one.query("stage").is_none()));
    assert!(requests.iter().all(|one| one.query("assetkey") == Some("se cret")));
    // Without its .gz the raw image, by the same route.
    setting.server.forget_requests();
    fs::remove_file(setting.temp.path().join("image.img.gz")).unwrap();
    setting.good_image();
    assert_eq!(setting.statuses(), [404, 200]);
}

#[test]
fn an_overlay_without_its_gz_is_taken_raw() {
    let setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::always(Fault::Status(404)).stage("system").compress("gz"));
    let bytes = fetch_small(&setting.provision().request(What::System), &quick()).unwrap();
    assert!(bytes.starts_with(b"070701"), "it is not compressed");
    assert_eq!(setting.statuses(), [404, 200]);
}

#[test]
fn a_redirect_of_the_runtime_overlay_is_followed_from_a_low_port_too() {
    need_root();
    let setting = Setting::new(|site| site.secure = true);
    setting.server.faults().add(Rule::once(Fault::Redirect));
    fetch_small(&setting.provision().request(What::Runtime), &quick()).unwrap();
    let requests = setting.server.requests();
    assert_eq!(setting.statuses(), [302, 200]);
    assert!(requests.iter().all(|one| one.peer.port() < 1024), "{requests:?}");
}
