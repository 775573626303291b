//! `/proc/<pid>/mountinfo`: what is mounted where. Source: `proc_pid_mountinfo(5)`.

use std::fmt;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// A device's number; that of a network file system names one superblock of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Major number; 0 for what lies on no block device.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The mount's own number, as `mnt_id` of `/proc/<pid>/fdinfo` has it.
    pub id: u64,
    /// The superblock's device.
    pub device: Device,
    /// Where it is mounted.
    pub at: PathBuf,
    /// Type of file system.
    pub fstype: String,
}

impl Mounted {
    /// Whether it is NFS of any version.
    pub fn is_nfs(&self) -> bool {
        matches!(self.fstype.as_str(), "nfs" | "nfs4")
    }
}

/// The mounts of a table, in the order of mounting. A line that is not of the form
/// is no mount: the kernel writes none.
pub fn parse_mountinfo(text: &str) -> Vec<Mounted> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mounted> {
    let (mount, superblock) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let id = fields.next()?.parse().ok()?;
    let (major, minor) = fields.nth(1)?.split_once(':')?;
    let device = Device { major: major.parse().ok()?, minor: minor.parse().ok()? };
    let at = unescape(fields.nth(1)?);
    let fstype = superblock.split(' ').next()?.to_owned();
    Some(Mounted { id, device, at, fstype })
}

/// Space, tab, newline and backslash are written as `\` and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = match (first, after) {
            (b'\\', [a, b, c, ..]) => octal(&[*a, *b, *c]),
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_a_mount() {
        let text = "98 30 0:45 / /sysroot/secrets ro,nosuid,nodev,noexec,relatime shared:9 - nfs4 \
                    10.0.0.1:/warewulf/secrets ro,vers=4.2\n\
                    99 30 8:1 /a /with\\040space\\134 rw - ext4 /dev/sda1 rw\n";
        let mounts = parse_mountinfo(text);
        assert_eq!(mounts[0].id, 98);
        assert_eq!(mounts[0].device.to_string(), "0:45");
        assert_eq!(mounts[0].at, PathBuf::from("/sysroot/secrets"));
        assert!(mounts[0].is_nfs());
        assert_eq!(mounts[1].at, PathBuf::from("/with space\\"));
        assert!(!mounts[1].is_nfs());
    }

    #[test]
    fn what_is_no_line_of_a_mount_table_is_no_mount() {
        for text in ["", "\n", "98 30 0:45 / - nfs4", "x 30 0:45 / /a rw - nfs4 s rw", "98 30 045"]
        {
            assert_eq!(parse_mountinfo(text), [], "{text:?}");
        }
        let text = "1 0 0:1 / /a\\9z rw - x s rw";
        assert_eq!(parse_mountinfo(text)[0].at, PathBuf::from("/a\\9z"), "no octal number");
    }
}
