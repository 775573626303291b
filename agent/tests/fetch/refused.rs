//! What ends in an error: refusals, damage that lasts, the deadline.

use super::*;

#[test]
fn lasting_damage_is_one_error_that_says_so() {
    let mut setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::always(Fault::WrongCrc));
    let error = setting.bad_image(&quick());
    let url = format!("{}?stage=image&compress=gz", setting.server.uri(MAC));
    let begin = format!("3 downloads ended in the same error: reading {url}: ");
    let cause = error.strip_prefix(&begin).unwrap_or_default();
    assert!(cause.starts_with("corrupt gzip stream: CRC "), "{error}");
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
    // The same where nothing is kept.
    let request = setting.provision().request(What::Image);
    let read = |options| fetch_and_read(&request, options, &mut |_| {}, &|_| false);
    assert_eq!(read(&options).unwrap().bytes, setting.gz);
    let error = format!("{:#}", read(&wrong).unwrap_err());
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
fn a_writer_that_fails_stops_the_download() {
    let mut setting = Setting::new(|_| {});
    // Behind more than the blocks of the source and of the archive hold: the writer has seen it.
    let stall = Fault::Stall { at: 1_500_000, pause: Duration::from_secs(30) };
    setting.server.faults().add(Rule::always(stall));
    let bytes = common::whole(&[common::file("../evil", b"")]);
    let mut random = Random(3);
    let padding: Vec<u8> = (0..1_800_000).map(|_| random.below(256) as u8).collect();
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

#[test]
fn a_root_that_is_full_is_said_at_once_with_file_and_sizes() {
    need_root();
    let setting = Setting::new(|_| {});
    let bytes = common::whole(&[common::file("usr/lib/large", &vec![7; 3 << 20])]);
    fs::write(setting.temp.path().join("image.img.gz"), gzip(&bytes)).unwrap();
    let small = common::Small::mount("size=1m");
    let request = setting.provision().request(What::Image);
    let fetched = fetch_and_unpack(&request, small.0.path(), &quick(), &mut |_| {});
    let error = format!("{:#}", fetched.unwrap_err());
    assert!(error.contains("unpacking usr/lib/large: the root is full: "), "{error}");
    assert!(error.contains("of the file's 3145728 bytes written, 1 MiB in all"), "{error}");
    // Another download would end no better.
    assert_eq!(setting.statuses(), [200]);
}
