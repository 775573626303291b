//! Superblocks that anybody may have written: nothing that is on a disk makes it be wiped
//! or written over.

use proptest::prelude::*;

use super::*;

prop_compose! {
    fn any_superblock()(
        level in prop::sample::select(vec![-5i32, -1, 0, 1, 4, 5, 10]),
        name in prop::sample::select(vec!["rsinit:scratch", "rsinit:system", "node1:0", ""]),
        set in 0u8..3,
        (raid_disks, dev_number) in prop_oneof![(0u32..5, 0u32..5), (any::<u32>(), any::<u32>())],
        roles in prop::collection::vec(prop_oneof![0u16..4, any::<u16>()], 0..5),
        (events, ctime_s) in (any::<u64>(), any::<u64>()),
        (feature_map, data_offset_sectors, size_sectors, chunk_sectors) in
            (prop_oneof![Just(0u32), any::<u32>()], any::<u64>(), any::<u64>(), any::<u32>()),
    ) -> Superblock {
        let leg = Leg { level, slot: 0, of: 2, events, name: "x" };
        Superblock {
            feature_map, set_uuid: [set; 16], set_name: name.into(), ctime_s, raid_disks,
            dev_number, roles, data_offset_sectors, size_sectors, chunk_sectors,
            ..superblock(&leg)
        }
    }
}

fn any_disk() -> impl Strategy<Value = (Option<Superblock>, Option<Contents>)> {
    let inner = prop::sample::select(vec![
        None,
        Some(Contents::default()),
        Some(ext4()),
        Some(contents(What::Unknown)),
    ]);
    (prop::option::weighted(0.8, any_superblock()), inner)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_superblock_makes_its_disk_be_written_over(disks in prop::collection::vec(any_disk(), 6), order in any::<bool>()) {
        let mut inventory = node(6);
        for (disk, (superblock, inner)) in inventory.disks.iter_mut().zip(disks) {
            if let Some(superblock) = superblock {
                let minor = if order { 2 } else { 1 };
                disk.contents = Ok(contents(What::Md { minor, superblock: Box::new(superblock) }));
                disk.inner = inner;
            }
        }
        let profile = "disk_config[1]=\"\"\ndisk_config[2]=raid1:ext4:/system\n\
                       disk_config[4]=raid0:swap:\ndisk_config[5]=raid0:ext4:/scratch:discard";
        let plan = plan_with("", profile, &inventory, Brake::Auto);
        for step in plan.steps() {
            let written: Vec<&Member> = match step {
                Step::Wipe { disk, .. } | Step::CryptoErase { disk, .. } => {
                    prop_assert!(false, "{} is wiped", disk);
                    continue;
                }
                Step::MarkFormatting { disk, .. } | Step::AddMember { disk, is_new: true, .. } => vec![disk],
                Step::CreateArray { members, .. } => members.iter().collect(),
                Step::Discard { disks, .. } => disks.iter().collect(),
                _ => continue,
            };
            for member in written {
                let disk = inventory.disks.iter().find(|disk| disk.name == member.name).unwrap();
                prop_assert!(disk.contents.as_ref().unwrap().is_blank(), "{}: {}", member, step);
                prop_assert!(member.number != 1);
            }
        }
    }
}
