use super::*;

fn parse_words(words: &[&str]) -> anyhow::Result<Request> {
    parse(lexopt::Parser::from_args(words))
}

fn run_words(words: &[&str]) -> anyhow::Result<()> {
    run(lexopt::Parser::from_args(words))
}

fn blank_file(bytes: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(bytes).unwrap();
    file
}

#[test]
fn options_have_the_names_of_mke2fs() {
    let words = "-n -L scratch -U 01234567-89ab-cdef-0123-456789abcdef -m 1 -i 65536 \
                 -E stride=128,stripe_width=1024 /dev/md0";
    let request = parse_words(&words.split_whitespace().collect::<Vec<_>>()).unwrap();
    assert!(request.only_plan && !request.force);
    assert_eq!(request.path, Path::new("/dev/md0"));
    assert_eq!(request.array, Some((128, 1024)));
    assert_eq!(request.options.label, "scratch".parse().unwrap());
    assert_eq!(
        request.options.uuid,
        *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"
    );
    assert_eq!(request.options.reserved_percent, 1);
    assert_eq!(request.options.bytes_per_inode, Some(65_536));
}

#[test]
fn each_file_system_gets_a_uuid_of_its_own() {
    let [one, two] = [(); 2].map(|()| parse_words(&["x"]).unwrap().options);
    assert_ne!(one.uuid, two.uuid);
    assert_ne!(one.hash_seed, two.hash_seed);
    assert_ne!(one.journal_sequence, two.journal_sequence);
    assert_eq!((one.uuid[6] >> 4, one.uuid[8] >> 6), (4, 0b10));
}

#[test]
fn what_is_not_understood_is_refused() {
    for words in [
        &["-L", "a-label-of-17-byte", "x"][..],
        &["-U", "01234567-89ab-cdef-0123-456789abcde", "x"],
        &["-U", "0123456789abcdef0123456789abcdef", "x"],
        &["-U", "+1234567-89ab-cdef-0123-456789abcdef", "x"],
        &["-U", "é1234567-89ab-cdef-0123-456789abcde", "x"],
        &["-E", "stride=1,color=2", "x"],
        &["-E", "stride=-1", "x"],
        &["-m", "256", "x"],
        &["-b", "4096", "x"],
        &["x", "y"],
        &[],
    ] {
        assert!(parse_words(words).is_err(), "{words:?}");
    }
}

#[test]
fn the_plan_is_one_line_of_counts() {
    let options = parse_words(&["-m", "1", "x"]).unwrap().options;
    let filesystem = Filesystem::plan(64 << 20, &options).unwrap();
    let mut line = Vec::new();
    describe(&mut line, Path::new("/dev/md0"), &filesystem, &options).unwrap();
    assert_eq!(
        String::from_utf8(line).unwrap(),
        "/dev/md0: ext4, 16384 blocks of 4096 bytes in 1 groups (15095 free, 163 reserved), \
         4096 inodes, journal of 1024 blocks, stride 0, stripe width 0\n"
    );
}

#[test]
fn planning_alone_writes_nothing() {
    let file = blank_file(64 << 20);
    run_words(&["-n", file.path().to_str().unwrap()]).unwrap();
    assert!(std::fs::read(file.path()).unwrap().iter().all(|byte| *byte == 0));
}

#[test]
fn what_a_file_holds_is_named_and_kept_unless_forced() {
    let file = blank_file(64 << 20);
    let path = file.path().to_str().unwrap();
    run_words(&["-L", "first", path]).unwrap();
    let before = std::fs::read(path).unwrap();
    let error = format!("{:#}", run_words(&["-L", "second", path]).unwrap_err());
    assert!(error.contains("it holds ext4") && error.contains(path), "{error}");
    assert!(before == std::fs::read(path).unwrap());
    run_words(&["-F", "-L", "second", path]).unwrap();
    assert_eq!(&std::fs::read(path).unwrap()[1024 + 0x78..][..6], b"second");
}

#[test]
fn a_medium_that_is_too_small_is_left_alone() {
    let file = blank_file((16 << 20) - 1);
    let error = run_words(&["-F", file.path().to_str().unwrap()]).unwrap_err();
    assert!(format!("{error:#}").contains("too few for ext4"), "{error:#}");
}

#[test]
fn a_folder_and_a_missing_path_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(format!("{:#}", run_words(&[path]).unwrap_err()).contains(path));
    let missing = format!("{path}/disk");
    let error = format!("{:#}", run_words(&[&missing]).unwrap_err());
    assert!(error.starts_with(&format!("opening {missing}: No such file")), "{error}");
}

#[test]
fn stripe_of_a_raid0_is_read_from_sysfs_and_no_other_level_counts() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::under(folder.path());
    let md = layout.sys.join("dev/block/9:127/md");
    let device = rustix::fs::makedev(9, 127);
    assert_eq!(read_stripe(&layout, device), None);
    std::fs::create_dir_all(&md).unwrap();
    for (name, text) in [("level", "raid0\n"), ("chunk_size", "524288\n"), ("raid_disks", "8\n")] {
        std::fs::write(md.join(name), text).unwrap();
    }
    assert_eq!(read_stripe(&layout, device), Some((128, 1024)));
    std::fs::write(md.join("raid_disks"), "4294967295\n").unwrap();
    assert_eq!(read_stripe(&layout, device), None);
    std::fs::write(md.join("level"), "raid1\n").unwrap();
    std::fs::write(md.join("raid_disks"), "2\n").unwrap();
    assert_eq!(read_stripe(&layout, device), None);
}

#[test]
fn a_file_behind_a_loop_device_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::under(folder.path());
    let file = blank_file(16 << 20);
    let device = layout.sys.join("block/loop7/loop");
    std::fs::create_dir_all(&device).unwrap();
    let backing = format!("{}\n", file.path().canonicalize().unwrap().display());
    std::fs::write(device.join("backing_file"), backing).unwrap();
    let error = open(file.path(), false, &layout).err().unwrap();
    assert!(format!("{error:#}").ends_with("is in use by loop7"), "{error:#}");
    assert!(open(file.path(), true, &layout).is_ok());
}
