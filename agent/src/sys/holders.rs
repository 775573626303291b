//! Who lives in another root or holds on to a mount, by what `/proc` says of each
//! process, and the end of them.
//!
//! A mount is recognised without asking its file system, whose server may be gone: by
//! the number of the mount that a descriptor lies on, and by paths. What lies on the
//! same superblock by another way (a bind mount, a namespace) is recognised by its device.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, Dev, StatxFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

/// How long all of them may take to go once they have been killed.
const LIMIT: Duration = Duration::from_secs(20);
/// How often a process is looked at where the kernel has no pidfd (before 5.3).
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Which processes are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sought {
    /// Those whose root is this folder or below it.
    pub root: Option<PathBuf>,
    /// Those that have something open, mapped or as their folder below one of these.
    pub below: Vec<PathBuf>,
    /// Those with a descriptor on the mount of this number.
    pub mounts: Vec<u64>,
    /// Those that have something open, mapped or as their folder on one of these devices.
    pub devices: Vec<Dev>,
    /// Those in another mount namespace in which one of these devices is mounted.
    pub mounted_elsewhere: Vec<Dev>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    pid: Pid,
    /// `comm`, at most 15 bytes.
    name: String,
}

/// Ends every process that `sought` means until there is none; their names.
///
/// # Errors
/// `proc` cannot be read; `TimedOut`, with their names, where some do not go.
pub(super) fn end_all(proc: &Path, sought: &Sought) -> io::Result<Vec<String>> {
    let until = Instant::now() + LIMIT;
    let mut ended: Vec<Found> = Vec::new();
    loop {
        let found = find(proc, sought)?;
        if found.is_empty() {
            return Ok(ended.into_iter().map(|process| process.name).collect());
        }
        if Instant::now() >= until {
            let names: Vec<_> =
                found.iter().map(|one| format!("{} ({})", one.name, one.pid)).collect();
            let text = format!("these do not end: {}", names.join(", "));
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        for process in &found {
            // ESRCH: it has gone by itself.
            let _ = rustix::process::kill_process(process.pid, Signal::KILL);
        }
        for process in found {
            wait_until_gone(proc, process.pid, until)?;
            if !ended.contains(&process) {
                ended.push(process);
            }
        }
    }
}

/// Neither this process nor the first one is ever meant.
fn find(proc: &Path, sought: &Sought) -> io::Result<Vec<Found>> {
    let ours = fs::read_link(proc.join("self/ns/mnt")).ok();
    let mut found = Vec::new();
    for entry in fs::read_dir(proc)? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        if pid == rustix::process::getpid() || pid == Pid::INIT {
            continue;
        }
        let folder = entry.path();
        if is_meant(&folder, sought) || is_elsewhere(&folder, sought, ours.as_deref()) {
            let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            found.push(Found { pid, name: name.trim_end().to_owned() });
        }
    }
    Ok(found)
}

/// A process that has just gone has nothing to read any more, and is not meant.
fn is_meant(process: &Path, sought: &Sought) -> bool {
    let root = fs::read_link(process.join("root"));
    if let (Ok(of_process), Some(root)) = (&root, &sought.root)
        && of_process.starts_with(root)
    {
        return true;
    }
    if sought.below.is_empty() && sought.mounts.is_empty() && sought.devices.is_empty() {
        return false;
    }
    let lies_there = |link: PathBuf| is_below(&link, sought) || is_on_device(&link, sought);
    ["cwd", "root"].iter().any(|name| lies_there(process.join(name)))
        || names(&process.join("fdinfo")).any(|fd| is_on_mount(&fd, sought))
        || names(&process.join("fd")).any(lies_there)
        || maps(process, sought)
}

fn names(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn is_below(link: &Path, sought: &Sought) -> bool {
    let target = fs::read_link(link);
    target.is_ok_and(|target| sought.below.iter().any(|folder| target.starts_with(folder)))
}

/// `mnt_id`, Linux 3.15.
fn is_on_mount(fdinfo: &Path, sought: &Sought) -> bool {
    let text = fs::read_to_string(fdinfo).unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let id = id.and_then(|id| id.trim().parse().ok());
    id.is_some_and(|id: u64| sought.mounts.contains(&id))
}

/// From what the kernel has in memory, where it can be had from there.
fn is_on_device(link: &Path, sought: &Sought) -> bool {
    if sought.devices.is_empty() {
        return false;
    }
    let flags = AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(rustix::fs::CWD, link, flags, StatxFlags::empty());
    stat.is_ok_and(|stat| {
        sought.devices.contains(&rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor))
    })
}

/// `address perms offset major:minor inode path`, the device in hexadecimal.
fn maps(process: &Path, sought: &Sought) -> bool {
    let text = fs::read(process.join("maps")).unwrap_or_default();
    let devices: Vec<String> = sought
        .devices
        .iter()
        .map(|dev| format!("{:02x}:{:02x}", rustix::fs::major(*dev), rustix::fs::minor(*dev)))
        .collect();
    String::from_utf8_lossy(&text).lines().any(|line| {
        let device = line.split_ascii_whitespace().nth(3).unwrap_or_default();
        devices.iter().any(|one| one == device)
    })
}

fn is_elsewhere(process: &Path, sought: &Sought, ours: Option<&Path>) -> bool {
    if sought.mounted_elsewhere.is_empty() {
        return false;
    }
    // Unreadable: it has gone, or is a thread of the kernel.
    let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else { return false };
    let table = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
    let devices: Vec<String> = sought
        .mounted_elsewhere
        .iter()
        .map(|dev| format!("{}:{}", rustix::fs::major(*dev), rustix::fs::minor(*dev)))
        .collect();
    ours != Some(namespace.as_path())
        && table.lines().any(|line| {
            let device = line.split(' ').nth(2).unwrap_or_default();
            devices.iter().any(|one| one == device)
        })
}

/// Waits until a killed process is gone or a zombie.
fn wait_until_gone(proc: &Path, pid: Pid, until: Instant) -> io::Result<()> {
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut wanted = [PollFd::new(&pidfd, PollFlags::IN)];
            match rustix::event::poll(&mut wanted, Some(&left)) {
                Ok(_) | Err(Errno::INTR) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        Err(Errno::SRCH) => Ok(()),
        // ENOSYS, or EPERM in a sandbox: by looking.
        Err(_) => {
            look_until_gone(proc, pid, until);
            Ok(())
        }
    }
}

/// The same for a kernel without pidfd_open(2), which 4.18 is.
fn look_until_gone(proc: &Path, pid: Pid, until: Instant) {
    while Instant::now() < until && lives(proc, pid) {
        std::thread::sleep(LOOK_EVERY);
    }
}

fn lives(proc: &Path, pid: Pid) -> bool {
    let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat"));
    // The state stands behind the name, which may hold brackets itself.
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    const PROC: &str = "/proc";

    /// A shell that has done `script` and sleeps; its output told it was ready.
    fn shell(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{script}\necho ready\nexec sleep 600"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut word = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
        child
    }

    fn ended_by_kill(child: &mut Child) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        child.wait().unwrap().signal() == Some(9)
    }

    #[test]
    fn whoever_has_a_file_open_or_a_folder_below_is_ended_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "k").unwrap();
        let (here, there) = (dir.path().display(), other.path().display());
        let mut open = shell(&format!("exec 7<{here}/key"));
        let mut folder = shell(&format!("cd {here}"));
        let mut bystander = shell(&format!("cd {there}"));
        let sought = Sought { below: vec![dir.path().to_owned()], ..Sought::default() };
        let names = end_all(Path::new(PROC), &sought).unwrap();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(ended_by_kill(&mut open) && ended_by_kill(&mut folder));
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }

    #[test]
    fn a_descriptor_is_found_by_the_number_of_its_mount() {
        // A mount of our own, so that no other process of this machine is meant.
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg("mount -t tmpfs t /mnt && exec 7</mnt && cat /proc/self/fdinfo/7 && umount -l /mnt && exec sleep 600")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(holder.stdout.take().unwrap()));
        let id = lines.find_map(|line| line.unwrap().strip_prefix("mnt_id:")?.trim().parse().ok());
        let sought = Sought { mounts: vec![id.unwrap()], ..Sought::default() };
        end_all(Path::new(PROC), &sought).unwrap();
        assert!(ended_by_kill(&mut holder));
    }

    #[test]
    fn whoever_took_a_mount_into_a_namespace_of_its_own_is_ended() {
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            // grep has ended when the line is said: it would be found too.
            .arg(
                "mount -t tmpfs t /mnt && line=$(grep ' /mnt ' /proc/self/mountinfo) && \
                 echo \"$line\" && exec sleep 600",
            )
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(holder.stdout.take().unwrap()));
        let line = lines.next().unwrap().unwrap();
        let (major, minor) = line.split(' ').nth(2).unwrap().split_once(':').unwrap();
        let device = rustix::fs::makedev(major.parse().unwrap(), minor.parse().unwrap());
        let sought = Sought { mounted_elsewhere: vec![device], ..Sought::default() };
        assert_eq!(end_all(Path::new(PROC), &sought).unwrap().len(), 1);
        assert!(ended_by_kill(&mut holder));
    }

    #[test]
    fn a_mapped_file_is_found_by_its_device() {
        let process = tempfile::tempdir().unwrap();
        let line = "7f00-7f01 r--p 00000000 00:2d 77                         /secrets/key\n";
        std::fs::write(process.path().join("maps"), line).unwrap();
        let on =
            |minor| Sought { devices: vec![rustix::fs::makedev(0, minor)], ..Sought::default() };
        assert!(maps(process.path(), &on(0x2d)));
        assert!(!maps(process.path(), &on(0x2e)));
    }

    #[test]
    fn without_pidfd_a_process_is_waited_for_all_the_same() {
        let mut child = shell("");
        let pid = Pid::from_child(&child);
        assert!(lives(Path::new(PROC), pid));
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        look_until_gone(Path::new(PROC), pid, until);
        assert!(!lives(Path::new(PROC), pid), "a zombie does not live");
        child.wait().unwrap();
        assert!(!lives(Path::new(PROC), pid));
    }
}
