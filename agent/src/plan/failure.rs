//! What somebody should do about a boot that failed, and when the node tries again.

use std::time::Duration;

/// Longest wait before a reboot, unless the operator asks for a longer one.
const LONGEST: Duration = Duration::from_secs(900);

/// What kind of failure it was, as far as that says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server did not answer.
    Silent,
    /// The server answered with this HTTP status.
    Status(u16),
    /// What the server holds is not the server that is trusted, or speaks no HTTP.
    Foreign,
    /// The root's file system or the memory is full.
    Full,
    /// The agent was killed.
    Killed,
    /// Anything else: the stage alone says what to do.
    Other,
}

/// The next step, in one line. `stage` is the stage that failed.
pub fn next_step(stage: &str, kind: Kind) -> &'static str {
    match (stage, kind) {
        (_, Kind::Killed) => {
            "look for who killed it: the kernel says \"Killed process\" on the console where memory is short, a hook says nothing"
        }
        ("image" | "system-overlay" | "runtime-overlay", kind) => of_fetch(stage, kind),
        ("arguments", _) => {
            "mend the kernel arguments in the server's boot template; `rsinit plan` explains them"
        }
        ("network", _) => {
            "look at cable, switch port and DHCP; ip= and ifname= on the kernel command line name the interface"
        }
        ("wwinit.d", _) => "look at the overlay's scripts in /warewulf/wwinit.d on the server",
        ("root", _) => "give the node more memory, or make the image smaller",
        ("disks" | "mounts", _) => {
            "replace what is missing, or boot with rsinit.disk=off and look: rsinit disks plan"
        }
        ("secrets", _) => "look at the export on the server (exportfs -v) and at rsinit.secrets=",
        ("secrets-gone", _) => "end what holds /secrets in the preboot hook, then reboot",
        ("preboot", _) => {
            "boot once with rsinit.preboot.onfail=warn and read /var/log/dracut-preboot.log"
        }
        ("hand-over", _) => {
            "install what is missing into the image, or mend init=, and build it anew"
        }
        _ => "boot with rd.shell and look: rsinit report",
    }
}

fn of_fetch(stage: &str, kind: Kind) -> &'static str {
    match (stage, kind) {
        (_, Kind::Silent) => {
            "see whether the server's service runs and its port is open: systemctl status warewulfd"
        }
        (_, Kind::Status(400)) => {
            "add the node to the server and set its image: wwctl node list -a"
        }
        (_, Kind::Status(401)) => {
            "compare the node's asset tag with the server's (wwctl node list -a); the runtime overlay needs root's ports too"
        }
        (_, Kind::Status(403)) => {
            "put the server's certificate into the system overlay, or boot by https://"
        }
        ("image", Kind::Status(404)) => "build the image on the server: wwctl image build",
        (_, Kind::Status(404)) => "build the overlays on the server: wwctl overlay build",
        (_, Kind::Status(_)) => "read the server's log: journalctl -u warewulfd",
        (_, Kind::Foreign) => {
            "see what answers at this address, and whether its certificate has changed"
        }
        (_, Kind::Full) => {
            "give the root more room: rsinit.tmpfs.size=, more memory, or a smaller image"
        }
        ("image", Kind::Killed | Kind::Other) => {
            "build the image on the server anew: wwctl image build --force"
        }
        (_, Kind::Killed | Kind::Other) => {
            "build the overlays on the server anew: wwctl overlay build"
        }
    }
}

/// How many processes the kernel has ended for want of memory, from `/proc/vmstat` (Linux 4.13).
pub fn parse_oom_kills(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Three commands worth running in a shell after `stage` failed: rsinit's own, and programs that
/// dracut's modules `base` and `network` put into every initramfs.
pub fn commands(stage: &str) -> [&'static str; 3] {
    match stage {
        "arguments" => ["rsinit plan", "grep . /proc/cmdline", "rsinit report"],
        "network" => ["ip address", "rsinit check", "dmesg --level err,warn"],
        "disks" | "mounts" => ["rsinit disks plan", "rsinit disks status", "rsinit report"],
        _ => ["rsinit report", "rsinit plan", "rsinit check"],
    }
}

/// How long the cause of the `tries`th failure in a row stays on the console before the
/// node reboots: twice as long each time, up to a quarter of an hour, so that nodes whose
/// server is down do not hammer it for a night.
pub fn wait(first: Duration, tries: u32) -> Duration {
    let doubled = first.saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(LONGEST.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_follows_from_the_stage_and_from_what_the_server_said() {
        assert!(next_step("image", Kind::Status(404)).contains("wwctl image build"));
        assert!(next_step("runtime-overlay", Kind::Status(404)).contains("wwctl overlay build"));
        assert!(next_step("system-overlay", Kind::Silent).contains("warewulfd"));
        assert!(next_step("image", Kind::Full).contains("rsinit.tmpfs.size="));
        assert!(next_step("network", Kind::Other).contains("DHCP"));
        assert!(next_step("a stage of the future", Kind::Other).contains("rsinit report"));
    }

    #[test]
    fn processes_ended_for_want_of_memory_are_counted() {
        let vmstat = "pgfault 9\noom_kill 3\ndrop_slab 0\n";
        assert_eq!(parse_oom_kills(vmstat), Some(3));
        assert_eq!(parse_oom_kills("oom_kills 3\noom_kill many\n"), None);
    }

    #[test]
    fn a_shell_is_given_three_commands_that_fit_the_stage() {
        assert!(commands("disks").contains(&"rsinit disks plan"));
        assert!(commands("image").contains(&"rsinit check"));
        // Without arguments that make sense there is no server to check.
        assert!(!commands("arguments").contains(&"rsinit check"));
    }

    #[test]
    fn each_failure_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
        let seconds = |first, tries| wait(Duration::from_secs(first), tries).as_secs();
        let waits: Vec<u64> = (0..8).map(|tries| seconds(60, tries)).collect();
        assert_eq!(waits, [60, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(seconds(60, u32::MAX), 900);
        assert_eq!((seconds(0, 9), seconds(3600, 9)), (0, 3600));
    }
}
