//! File systems and arrays of every size, on blocks of 512 and of 4096 bytes: what e2fsck, mdadm
//! and the kernel say of them.

use std::time::Duration;

use anyhow::Result;

use super::hands::Hands;
use crate::cases::{Bench, Case, Size};
use crate::facts::Facts;

/// Up to what the machine's disk holds in one file.
pub const CASE: Case = Case {
    name: "disk-sizes",
    about: "volumes from 16 MiB to 1 TiB on 512-byte and 4Kn disks, equal, unequal and mixed",
    size: Size::Tiny,
    run: |bench, facts| make(bench, facts, SMALL),
};

/// The largest.
pub const LARGE: Case = Case {
    name: "disk-sizes-large",
    about: "volumes of 4 TiB, 8 TiB and 32 TiB on 512-byte and 4Kn disks",
    size: Size::Tiny,
    run: |bench, facts| make(bench, facts, BIG),
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// One line of the profile: level and mount point, its disks as bytes and bytes of a block, and
/// the bytes of the volume; none where it must be refused.
struct Range(&'static str, &'static str, &'static [(u64, u32)], Option<u64>);

const SMALL: &[Range] = &[
    Range("none", "/least", &[(16 * MIB, 512)], Some(16 * MIB)),
    Range("none", "/least4", &[(16 * MIB, 4096)], Some(16 * MIB)),
    Range("raid1", "/mirror", &[(17 * MIB, 512), (40 * MIB, 512)], Some(16 * MIB)),
    Range("raid1", "/mirror4", &[(300 * MIB, 4096), (400 * MIB, 4096)], Some(299 * MIB)),
    Range("raid1", "/mixed", &[(GIB, 512), (GIB, 4096)], Some(1023 * MIB)),
    Range("raid0", "/stripe", &[(100 * MIB, 512), (GIB, 512), (GIB, 512)], Some(3 * 99 * MIB)),
    Range("raid0", "/stripe4", &[(GIB, 4096), (2 * GIB, 4096)], Some(2 * 1023 * MIB)),
    Range("raid0", "/both", &[(5 * GIB, 4096), (5 * GIB, 512)], Some(2 * 5119 * MIB)),
    Range("none", "/tib", &[(TIB, 4096)], Some(TIB)),
    Range("none", "/short", &[(15 * MIB, 512)], None),
    Range("raid1", "/small", &[(16 * MIB, 512), (16 * MIB, 4096)], None),
];

const BIG: &[Range] = &[
    Range("none", "/tib", &[(4 * TIB, 512)], Some(4 * TIB)),
    Range("raid1", "/mirror4", &[(8 * TIB, 4096), (8 * TIB, 4096)], Some(8 * TIB - MIB)),
    Range("raid0", "/stripe", &[(4 * TIB, 512); 8], Some(8 * (4 * TIB - MIB))),
    Range("raid0", "/stripe4", &[(8 * TIB, 4096); 4], Some(4 * (8 * TIB - MIB))),
];

/// Runs on every volume: who reads it, how large it is, whether it can be written to.
const LOOK: &str = "rsinit disks status
for array in $(arrays); do
    mdadm --detail /dev/$array | grep -E 'State :|Raid Level' || echo \"fault: $array\"
    for disk in $(ls /sys/block/$array/slaves); do
        mdadm --examine /dev/$disk | grep Checksum || echo \"fault: $disk\"
    done
done
mounts | while read device at; do
    echo \"$at has $(cat /sys/block/${device#/dev/}/size) sectors\"
    cp -a /usr/sbin $at/tree || echo \"fault: writing to $at\"
    (cd $at && sha256sum tree/* > sums)
done
mounts > /tmp/volumes
check
while read device at; do
    mount -o ro -t ext4 $device $at || echo \"fault: $at is not mounted again\"
    (cd $at && sha256sum -c sums > /tmp/said) && echo \"$at is readable\" || echo \"fault: $at differs\"
    umount $at
done < /tmp/volumes
stop
mdadm --assemble --scan || echo 'fault: assemble --scan'
mdadm --detail --scan";

fn make(bench: &Bench, facts: &mut Facts, ranges: &[Range]) -> Result<()> {
    let mut hands = Hands::new(bench)?;
    hands.node.drop_argument("rsinit.disk");
    hands.node.memory_mib = 3072;
    hands.node.limit = Duration::from_secs(3600);
    let (mut profile, mut first) = (String::new(), 1);
    for Range(level, at, disks, _) in ranges {
        profile += &format!("disk_config[{first}]=\"{level}:ext4:{at}\"\n");
        for (size, block) in *disks {
            hands.node.add_disk(*size)?;
            if let Some(disk) = hands.node.disks.last_mut() {
                disk.block = *block;
            }
            first += 1;
        }
    }
    hands.node.mkdisk(false, "", &profile)?;
    hands.script("the volumes", LOOK);
    let said = hands.run(facts)?;
    let said = said.of("the volumes")?;
    for (line, Range(level, at, _, bytes)) in (1..).zip(ranges) {
        let (clean, readable) = (format!("{at} is clean\n"), format!("{at} is readable\n"));
        match bytes {
            Some(bytes) => {
                let size = format!("{at} has {} sectors\n", bytes / 512);
                facts.contains(&format!("{at} is made"), said, &[&size, &clean, &readable]);
            }
            None => {
                facts.holds(&format!("{at} is not made"), !said.contains(&clean), said);
                let refusal =
                    said.lines().find(|line| line.starts_with(&format!("refused: {level} {at} ")));
                let refusal = refusal.unwrap_or("no refusal");
                let words = [format!("line {line}"), "too few for ext4".to_owned()];
                let words = words.each_ref().map(String::as_str);
                facts.contains(&format!("{at} is refused"), refusal, &words);
            }
        }
    }
    let arrays = ranges.iter().filter(|range| range.0 != "none" && range.3.is_some());
    let members: usize = arrays.clone().map(|range| range.2.len()).sum();
    facts.equal("every checksum is correct", said.matches("- correct").count(), members);
    let found = said.lines().filter(|line| line.starts_with("ARRAY ")).count();
    facts.equal("mdadm finds every array again", found, arrays.count());
    Ok(())
}
