//! What breaks and is mended: the rest of a stream, or the whole again.

use super::*;

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
fn a_slow_first_byte_is_no_stall() {
    need_root();
    let mut setting = Setting::new(|_| {});
    setting.server.faults().add(Rule::once(Fault::Late(Duration::from_millis(900))));
    assert_eq!(setting.good_image().retries, 0);
    assert_eq!(setting.statuses(), [200]);
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
fn an_image_in_the_making_is_asked_for_until_it_is_there() {
    need_root();
    let mut setting = Setting::new(|_| {});
    let faults = setting.server.faults();
    // The .gz is gone, then grows: what Warewulf's rebuild in place looks like from outside.
    faults.add(Rule::once(Fault::Status(404)).times(12));
    for part in [10, 20, 30, 40, 50, 60, 70, 80, 90] {
        faults.add(Rule::once(Fault::Shortened { length: setting.gz * part / 100 }));
    }
    faults.add(Rule::once(Fault::Rebuild { at: setting.gz / 2 }).times(4));
    let policy = Policy { refusals: None, ..quick().policy };
    let options = Options { policy, downloads: u32::MAX, ..quick() };
    let (root, fetched) = setting.image(&options);
    fetched.unwrap();
    assert_equal_trees(&setting.temp.path().join("source"), &root);
}

#[test]
fn a_boot_gives_up_at_its_deadline_and_never_before() {
    let options = Options::until(Instant::now() + Duration::from_secs(9), What::Image);
    assert_eq!((options.policy.refusals, options.downloads), (None, u32::MAX));
}
