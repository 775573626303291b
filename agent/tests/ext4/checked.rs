//! What e2fsprogs say, without root.

use crate::image::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rsinit::format::ext4::Options;

const FEATURES: &str = "has_journal ext_attr dir_index sparse_super2 filetype extent 64bit flex_bg \
                        large_file huge_file dir_nlink extra_isize metadata_csum";

#[track_caller]
fn check_size(bytes: u64, options: &Options) {
    let image = sparse(bytes);
    make(&image, options);
    check(image.path(), &format!("{bytes} bytes"));
}

#[test]
fn small_and_odd_sizes_are_clean() {
    for bytes in [
        16 * MIB,
        17 * MIB + 4097,
        64 * MIB,
        128 * MIB - 4096,
        128 * MIB + 4096,
        129 * MIB + 511,
        256 * MIB + 300 * 1024,
        GIB,
        8 * GIB,
        10 * GIB + 12_345,
    ] {
        check_size(bytes, &options());
    }
}

#[test]
fn tebibytes_are_clean() {
    for bytes in [TIB, 4 * TIB, 4 * TIB + 999 * MIB + 1, 15 * TIB] {
        check_size(bytes, &options());
    }
}

#[test]
fn thirty_two_tebibytes_are_clean() {
    check_size(32 * TIB, &options());
}

#[test]
fn every_ratio_of_inodes_is_clean() {
    for ratio in [4096, 8192, 65_536, 1_048_576, 4_194_304] {
        for bytes in [16 * MIB, 3 * GIB, 40 * GIB] {
            check_size(bytes, &Options { bytes_per_inode: Some(ratio), ..options() });
        }
    }
}

#[test]
fn stripes_of_every_shape_are_clean() {
    for (stride, width) in [(0, 0), (16, 32), (128, 128 * 24), (65_535, 65_535 * 3), (7, 21)] {
        let shape = Options { stride_blocks: stride, stripe_width_blocks: width, ..options() };
        check_size(300 * GIB, &shape);
    }
}

#[test]
fn any_size_up_to_half_a_tebibyte_is_clean() {
    let sizes = (24..39u32, any::<u64>()).prop_map(|(power, odd)| {
        let least = 1u64 << power;
        least + odd % least
    });
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() };
    let mut runner = TestRunner::new(config);
    let checked = runner.run(&(sizes, any::<bool>(), 0..=50u8), |(bytes, zeroed, percent)| {
        check_size(bytes, &Options { zeroed, reserved_percent: percent, ..options() });
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn stale_bytes_everywhere_do_no_harm() {
    let image = random(300 * MIB + 5000);
    make(&image, &options());
    check(image.path(), "over random bytes");
}

#[test]
fn an_older_and_larger_ext4_under_it_does_no_harm() {
    let image = sparse(64 * GIB);
    output("mke2fs", &["-q", "-t", "ext4", "-F", "-E", "lazy_itable_init=0"], image.path());
    make(&image, &Options { label: "second".parse().unwrap(), ..options() });
    check(image.path(), "over mke2fs's");
    image.as_file().set_len(20 * GIB).unwrap();
    make(&image, &Options { journal_sequence: 1, ..options() });
    check(image.path(), "over our own, cut");
}

#[test]
fn a_medium_said_to_be_zeroed_gets_no_more_than_the_plan() {
    let image = sparse(TIB);
    let zeroed = make(&image, &Options { zeroed: true, ..options() });
    check(image.path(), "zeroed");
    let groups = output("dumpe2fs", &[], image.path());
    let flags: Vec<_> = groups.lines().filter(|line| line.contains(": (Blocks ")).collect();
    assert_eq!(flags.len(), 8192);
    assert!(flags.iter().all(|line| line.contains("ITABLE_ZEROED")), "{}", flags[0]);
    let other = make(&image, &options());
    assert!(!output("dumpe2fs", &[], image.path()).contains("ITABLE_ZEROED"));
    assert_eq!(other.bytes - zeroed.bytes, MIB);
}

#[test]
fn features_and_values_are_those_of_the_list() {
    let image = sparse(TIB);
    make(&image, &Options { reserved_percent: 1, ..options() });
    let header = output("dumpe2fs", &["-h"], image.path());
    let value = |name: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("no {name} in\n{header}")).trim().to_owned()
    };
    for (name, expected) in [
        ("Filesystem features", FEATURES),
        ("Filesystem volume name", "scratch"),
        ("Filesystem UUID", "6d0c5e1f-940b-4f3a-8e21-5c70b36219d4"),
        ("Filesystem state", "clean"),
        ("Errors behavior", "Continue"),
        ("Block count", "268435456"),
        ("Reserved block count", "2684354"),
        ("Inode count", "67108864"),
        ("First inode", "11"),
        ("Inode size", "256"),
        ("Group descriptor size", "64"),
        ("RAID stride", "128"),
        ("RAID stripe width", "1024"),
        ("Flex block group size", "16"),
        ("Journal inode", "8"),
        ("Journal backup", "inode blocks"),
        ("Total journal size", "1024M"),
        ("Journal sequence", "0x5eed1234"),
        ("Journal start", "0"),
        ("Default directory hash", "half_md4"),
        ("Backup block groups", "1 8191"),
        ("Checksum type", "crc32c"),
        ("Mount count", "0"),
        ("Check interval", "0 (<none>)"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
}

#[test]
fn backups_repair_a_lost_superblock() {
    for (bytes, backup) in [(GIB, "32768"), (300 * GIB, "32768"), (300 * GIB, "78610432")] {
        let image = sparse(bytes);
        make(&image, &options());
        std::os::unix::fs::FileExt::write_all_at(image.as_file(), &[0; 8192], 0).unwrap();
        let repair = tool("e2fsck", &["-fy", "-b", backup, "-B", "4096"], image.path());
        assert_eq!(repair.status.code(), Some(1), "{}", String::from_utf8_lossy(&repair.stdout));
        check(image.path(), "repaired");
    }
}

#[test]
fn other_tools_read_it() {
    let image = sparse(10 * GIB);
    make(&image, &options());
    let minimum = output("resize2fs", &["-P"], image.path());
    assert!(minimum.starts_with("Estimated minimum size of the filesystem: "), "{minimum}");
    let journal = output("debugfs", &["-R", "stat <8>"], image.path());
    assert!(journal.contains("Type: regular") && journal.contains("Size: 167772160"), "{journal}");
    let root = output("debugfs", &["-R", "ls -p /"], image.path());
    assert_eq!(
        root.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(),
        ["/2/040755/0/0/.//", "/2/040755/0/0/..//", "/11/040700/0/0/lost+found//",]
    );
    let blkid = output("blkid", &["-p", "-o", "export"], image.path());
    assert!(blkid.contains("\nTYPE=ext4\n") && blkid.contains("LABEL=scratch\n"), "{blkid}");
}
