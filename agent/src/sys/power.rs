//! reboot(2) and the clock since boot.

use std::io;
use std::time::Duration;

use rustix::system::RebootCommand;
use rustix::time::ClockId;

use super::Linux;

/// Ending the machine, as a stage asks for it.
pub trait Power {
    /// sync(2) and `reboot(LINUX_REBOOT_CMD_RESTART)`: comes back only with an error.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_BOOT`.
    fn reboot(&self) -> io::Result<()>;

    /// sync(2) and `reboot(LINUX_REBOOT_CMD_POWER_OFF)`: comes back only with an error.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_BOOT`.
    fn power_off(&self) -> io::Result<()>;

    /// Time since the kernel started (`CLOCK_BOOTTIME`).
    fn since_boot(&self) -> Duration;

    /// Release of the running kernel, as `uname -r` prints it.
    fn release(&self) -> String;
}

impl Power for Linux {
    fn reboot(&self) -> io::Result<()> {
        rustix::fs::sync();
        Ok(rustix::system::reboot(RebootCommand::Restart)?)
    }

    fn power_off(&self) -> io::Result<()> {
        rustix::fs::sync();
        Ok(rustix::system::reboot(RebootCommand::PowerOff)?)
    }

    fn since_boot(&self) -> Duration {
        let now = rustix::time::clock_gettime(ClockId::Boottime);
        Duration::try_from(now).unwrap_or_default()
    }

    fn release(&self) -> String {
        rustix::system::uname().release().to_string_lossy().into_owned()
    }
}
