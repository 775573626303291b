//! Members that an array has put aside: the kernel goes on without a leg of a mirror that
//! fails, and nobody who writes to the array is told.

use crate::layout::Layout;

use super::place::{list_names, read_attribute};

/// The disks that the kernel calls members of `array` that have failed.
///
/// Source: `Documentation/admin-guide/md.rst`, `dev-XXX/state`.
pub(super) fn find_faulty(layout: &Layout, array: &str) -> Vec<String> {
    let folder = layout.sys.join("block").join(array).join("md");
    let names = list_names(&folder).into_iter();
    let members = names.filter_map(|name| Some(name.strip_prefix("dev-")?.to_owned()));
    let is_faulty = |name: &String| {
        let state = read_attribute(&folder.join(format!("dev-{name}")), "state");
        state.split(',').any(|word| word == "faulty")
    };
    members.filter(is_faulty).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_that_have_failed_are_named() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::under(temp.path());
        let md = layout.sys.join("block/md0/md");
        for (member, state) in
            [("dev-sda", "in_sync\n"), ("dev-sdb", "faulty,write_error\n"), ("dev-sdc", "spare\n")]
        {
            std::fs::create_dir_all(md.join(member)).unwrap();
            std::fs::write(md.join(member).join("state"), state).unwrap();
        }
        assert_eq!(find_faulty(&layout, "md0"), ["sdb"]);
        assert_eq!(find_faulty(&layout, "md1"), [""; 0]);
    }
}
