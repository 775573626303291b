//! Runs the programs that the tests lean on, and names the package of a missing one.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

/// The Debian packages that the tests need, one a line, `#` for comments.
pub const PACKAGES: &str = include_str!("../packages.txt");

/// Programs and the Debian package each comes from.
const ORIGIN: [(&str, &str); 29] = [
    ("apt-cache", "apt"),
    ("apt-get", "apt"),
    ("chroot", "coreutils"),
    ("cp", "coreutils"),
    ("cpio", "cpio"),
    ("curl", "curl"),
    ("depmod", "kmod"),
    ("dnsmasq", "dnsmasq-base"),
    ("dpkg", "dpkg"),
    ("e2fsck", "e2fsprogs"),
    ("ganesha.nfsd", "nfs-ganesha"),
    ("ip", "iproute2"),
    ("kill", "procps"),
    ("make", "make"),
    ("mke2fs", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("munged", "munge"),
    ("nginx", "nginx-light"),
    ("pigz", "pigz"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("rpcbind", "rpcbind"),
    ("setpriv", "util-linux"),
    ("slurmctld", "slurmctld"),
    ("srun", "slurm-client"),
    ("ssh-keygen", "openssh-client"),
    ("timeout", "coreutils"),
    ("unshare", "util-linux"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// A command that finds the tools of an administrator, whatever the caller's `PATH`.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    let inherited = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{inherited}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"));
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
/// The program is missing (the error names its package), or it fails: the error
/// carries the last lines of what it wrote.
pub fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!("{}: {}: {}", line(command), output.status, tail(&output, 30));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` to its end, whatever its exit status.
///
/// # Errors
/// The program cannot be started.
pub fn output(command: &mut Command) -> Result<Output> {
    command.output().map_err(|cause| explain(command, cause))
}

/// Starts `command` and leaves it running.
///
/// # Errors
/// The program cannot be started.
pub fn start(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|cause| explain(command, cause))
}

/// Checks that every program of the tests is there.
///
/// # Errors
/// Names each missing package at once.
pub fn require_all() -> Result<()> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/bin:/bin";
    let found =
        |name: &str| path.split(':').any(|dir| std::path::Path::new(dir).join(name).exists());
    let mut missing: Vec<&str> =
        ORIGIN.iter().filter(|(name, _)| !found(name)).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("missing packages: apt-get install {}", missing.join(" "))
}

/// A program that ends when this value goes.
#[derive(Debug)]
pub struct Service {
    child: Child,
    name: &'static str,
}

impl Service {
    /// Starts `command` as a service called `name`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        Ok(Self { child: start(command)?, name })
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says, where its standard error was piped; once.
    pub fn errors(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Checks that it still runs.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("asking after {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{} ended early: {status}", self.name),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; the process namespace is the second net.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something listens on `port` of loopback.
///
/// # Errors
/// The service has ended, or nothing listens after a minute.
pub fn wait_until_open(service: &mut Service, port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let patience = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        service.check()?;
        if Instant::now() > patience {
            bail!("nothing listens on port {port}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn explain(command: &Command, cause: io::Error) -> anyhow::Error {
    let program = command.get_program();
    let package = ORIGIN.iter().find(|(name, _)| OsStr::new(name) == program);
    match package {
        Some((name, package)) if cause.kind() == io::ErrorKind::NotFound => {
            anyhow!("{name} is missing: apt-get install {package}")
        }
        _ => anyhow::Error::new(cause).context(format!("starting {}", line(command))),
    }
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The last `count` lines of what a program wrote.
fn tail(output: &Output, count: usize) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_comes_from_a_listed_or_an_essential_package() {
        let listed: Vec<&str> = PACKAGES.lines().filter(|line| !line.starts_with('#')).collect();
        for (tool, package) in ORIGIN {
            let essential = ["coreutils", "dpkg"].contains(&package);
            assert!(essential || listed.contains(&package), "{tool} needs {package}");
        }
    }

    #[test]
    fn a_missing_tool_names_its_package() {
        let mut command = command("mmdebstrap");
        command.env("PATH", "/nowhere");
        let error = explain(&command, io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(error.to_string(), "mmdebstrap is missing: apt-get install mmdebstrap");
    }

    #[test]
    fn a_failing_tool_shows_what_it_said() {
        let error = run(command("sh").args(["-c", "echo reason >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("reason"), "{error}");
    }
}
