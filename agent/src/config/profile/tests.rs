//! The profiles of a site, and those that must not be followed.

use proptest::prelude::*;

use super::*;

const SITE: &str = "disk_config[1]=\"\"                    # Disk 1: unused\n\
    disk_config[2]=\"raid1:ext4:/system\"  # Disks 2-3: RAID1 for system\n\
    disk_config[4]=\"raid0:ext4:/scratch\" # Disks 4-N: RAID0 for scratch\n";

fn problem(text: &str) -> EntryProblem {
    match parse(text.as_bytes()).unwrap_err() {
        ProfileError::Entry { problem, .. } => problem,
        other => panic!("{text}: {other}"),
    }
}

fn volume(text: &str) -> Volume {
    let profile = parse(format!("disk_config[1]=\"{text}\"").as_bytes()).unwrap();
    match profile.entries.into_values().next().unwrap() {
        Entry::Volume(volume) => volume,
        Entry::Untouched => panic!("{text} is untouched"),
    }
}

#[test]
fn the_profile_of_the_site_gives_three_ranges() {
    let profile = parse(SITE.as_bytes()).unwrap();
    let ranges: Vec<_> = profile.ranges().collect();
    assert_eq!((ranges[0].0, ranges[0].1, ranges[0].2), (1, Some(1), &Entry::Untouched));
    assert_eq!((ranges[1].0, ranges[1].1), (2, Some(3)));
    assert_eq!((ranges[2].0, ranges[2].1), (4, None));
    let Entry::Volume(system) = ranges[1].2 else { panic!() };
    assert_eq!((system.level, system.fs, system.line), (Level::Raid1, Some(FileSystem::Ext4), 2));
    assert_eq!(system.mount.as_deref(), Some("/system"));
}

#[test]
fn unknown_raid_level_names_its_line() {
    let error = parse(b"# x\n\ndisk_config[1]=\"raid7:ext4:/a\"\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3: unknown level \"raid7\" (raid0, raid1 and none are known)"
    );
}

#[test]
fn each_fault_of_an_entry_is_its_own_error() {
    assert_eq!(problem("disk_config[0]="), EntryProblem::Number("0".into()));
    assert_eq!(problem("disk_config[x]="), EntryProblem::Number("x".into()));
    assert_eq!(problem("disk_config[99999999999]="), EntryProblem::Number("99999999999".into()));
    assert_eq!(problem("disks[1]="), EntryProblem::Name("disks".into()));
    assert_eq!(problem("disk_config=raid0"), EntryProblem::Name("disk_config".into()));
    assert_eq!(problem("disk_config[1]=raid0:xfs:/a"), EntryProblem::FileSystem("xfs".into()));
    assert_eq!(problem("disk_config[1]=raid0::/a"), EntryProblem::MountWithoutFs);
    assert_eq!(problem("disk_config[1]=raid0:swap:/a"), EntryProblem::MountedSwap);
    for (entry, option, what) in [
        ("raid0:swap::noatime", "noatime", "swap"),
        ("none:swap::reserved=1", "reserved", "swap"),
        ("raid1:::label=x", "label", "disks without a file system"),
    ] {
        let expected = EntryProblem::Meaningless { option, what };
        assert_eq!(problem(&format!("disk_config[1]={entry}")), expected);
    }
    assert_eq!(problem("disk_config[1]=raid0:ext4:/a:keep:x"), EntryProblem::Fields);
    assert_eq!(problem("disk_config[1]=raid0:ext4:/a:kept"), EntryProblem::Option("kept".into()));
    assert_eq!(
        problem("disk_config[1]=raid0:ext4:/a:reserved=90"),
        EntryProblem::Option("reserved=90".into())
    );
    assert!(matches!(problem("disk_config[1]=raid0:ext4:scratch"), EntryProblem::Mount(_)));
    assert!(matches!(problem("disk_config[1]=raid0:ext4:/usr"), EntryProblem::Mount(_)));
    assert_eq!(
        problem("disk_config[1]=raid0:ext4:/a\ndisk_config[2]=raid0:ext4:/a/"),
        EntryProblem::SameMount { mount: "/a".into(), first: 1 }
    );
    for clash in [
        "disk_config[1]=none:ext4:/a\ndisk_config[4]=raid0:ext4:/a/disk2",
        "disk_config[1]=raid0:ext4:/a/disk4\ndisk_config[4]=none:ext4:/a",
    ] {
        assert!(matches!(problem(clash), EntryProblem::SameMount { first: 1, .. }), "{clash}");
    }
    assert!(parse(b"disk_config[1]=none:ext4:/a\ndisk_config[4]=raid0:ext4:/a/b").is_ok());
    assert_eq!(
        problem("disk_config[1]=raid0\ndisk_config[1]="),
        EntryProblem::Twice { number: 1, first: 1 }
    );
    assert_eq!(parse(b"# nothing\n"), Err(ProfileError::Empty));
}

#[test]
fn the_fourth_field_is_read_word_by_word() {
    let options =
        volume("raid1:ext4:/s:keep,required,label=sys,reserved=0,inode_ratio=65536,noatime")
            .options;
    assert!(options.keep && options.required);
    assert_eq!(options.label.as_deref(), Some("sys"));
    assert_eq!((options.reserved_percent, options.bytes_per_inode), (Some(0), Some(65536)));
    assert_eq!(options.mount_words, ["noatime"]);
    let options = volume("raid0:ext4:/s:discard,crypto_erase,expect=8").options;
    assert_eq!((options.discard_s, options.crypto_erase, options.expect), (Some(2), true, Some(8)));
    assert_eq!(volume("raid0:::discard=30").options.discard_s, Some(30));
    for bad in ["discard=0", "discard=601", "discard=x", "expect=0", "crypto_erase=1", "Discard"] {
        let entry = format!("disk_config[1]=raid0:ext4:/s:{bad}");
        assert_eq!(problem(&entry), EntryProblem::Option(bad.into()));
    }
    assert_eq!(volume("raid1:ext4:/s:spare").options.spares, 1);
    assert_eq!(volume("raid1:ext4:/s:spare=2").options.spares, 2);
    for bad in ["spare=0", "spare=9", "spare=x"] {
        let entry = format!("disk_config[1]=raid1:ext4:/s:{bad}");
        assert_eq!(problem(&entry), EntryProblem::Option(bad.into()));
    }
    let striped = "disk_config[1]=raid0:ext4:/s:spare";
    assert!(matches!(problem(striped), EntryProblem::Meaningless { option: "spare", .. }));
    let kept = "disk_config[1]=raid1:ext4:/s:keep,crypto_erase";
    assert!(matches!(problem(kept), EntryProblem::Meaningless { option: "crypto_erase", .. }));
}

#[test]
fn a_slug_is_short_plain_and_tells_mount_points_apart() {
    assert_eq!(volume("raid0:ext4:/scratch").slug(4, 25), "scratch");
    assert_eq!(volume("raid0").slug(4, 25), "disk4");
    assert_eq!(volume("raid0:swap::label=x").slug(4, 25), "swap4");
    // As the others that cannot be kept whole: `disk4` is the name of the volume before.
    assert_eq!(volume("raid0:ext4:/disk4").slug(1, 25), "disk4-26cfea8d");
    assert!(volume("raid0:ext4:/swap4").slug(1, 25).starts_with("swap4-"));
    assert_eq!(volume("raid0:ext4:/disk4a").slug(1, 25), "disk4a");
    let (a, b) = (volume("raid0:ext4:/a/b"), volume("raid0:ext4:/a-b"));
    assert_ne!(a.slug(1, 25), b.slug(1, 25));
    let long = format!("raid0:ext4:/{}", "x".repeat(200));
    assert_eq!(volume(&long).slug(1, 25).len(), 25);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(disk_config\\[[0-9\"]{0,3}\\]=[a-z0-9:/\",=#$ ]{0,30}\n){0,5}") {
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}
