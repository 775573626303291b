//! Which ranges can be made side by side: those that share no disk and no array.

use std::collections::BTreeSet;

use super::{DiskPlan, RangePlan, Step};

impl DiskPlan {
    /// The ranges by index, in lanes: what is in different lanes touches nothing in
    /// common, what is in one is to be made in order.
    pub fn lanes(&self) -> Vec<Vec<usize>> {
        let mut lanes: Vec<(BTreeSet<&str>, Vec<usize>)> = Vec::new();
        for (index, range) in self.ranges.iter().enumerate() {
            let names = touched(range);
            let (mut joined, apart): (Vec<_>, Vec<_>) =
                lanes.into_iter().partition(|(others, _)| !others.is_disjoint(&names));
            joined.push((names, vec![index]));
            lanes = apart;
            let names = joined.iter().flat_map(|(names, _)| names.iter().copied()).collect();
            let mut indices: Vec<usize> = joined.into_iter().flat_map(|(_, all)| all).collect();
            indices.sort_unstable();
            lanes.push((names, indices));
        }
        let mut lanes: Vec<Vec<usize>> = lanes.into_iter().map(|(_, indices)| indices).collect();
        lanes.sort_unstable();
        lanes
    }
}

/// The kernel's names of all devices that the range's steps use.
fn touched(range: &RangePlan) -> BTreeSet<&str> {
    range.steps.iter().flat_map(devices).collect()
}

fn devices(step: &Step) -> Vec<&str> {
    match step {
        Step::StopArray { array, .. } | Step::AdoptArray { array } => vec![array],
        Step::Wipe { disk, .. }
        | Step::CryptoErase { disk, .. }
        | Step::MarkFormatting { disk, .. } => vec![&disk.name],
        Step::Discard { disks, .. } => disks.iter().map(|disk| disk.name.as_str()).collect(),
        Step::CreateArray { array, members, .. } | Step::AssembleArray { array, members, .. } => {
            let members = members.iter().map(|member| member.name.as_str());
            members.chain([array.as_str()]).collect()
        }
        Step::AddMember { array, disk, .. } => vec![array, &disk.name],
        Step::Unmark { device, .. }
        | Step::MakeFilesystem { device, .. }
        | Step::MakeSwap { device, .. }
        | Step::SwapOn { device }
        | Step::Mount { device, .. }
        | Step::ListInFstab { device, .. } => vec![device],
        Step::MoveDir { .. } | Step::MakeFscache { .. } => Vec::new(),
    }
}
