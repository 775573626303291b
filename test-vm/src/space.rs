//! Namespaces of our own: network, mounts and processes that end with the tests.
//!
//! The program starts itself again below `unshare`, as the first process of a
//! process namespace: when it goes, however it goes, the kernel ends every
//! program it has started, and takes the network and the mounts away.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::mount::MountFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::tool;

/// Runs this program again with `args`, inside; returns its exit status.
///
/// A signal ends it and everything below it, and then returns here, so that
/// the caller's scratch files are removed.
///
/// # Errors
/// It cannot be started.
pub fn enter(args: &[&str]) -> Result<ExitCode> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("waiting for signals")?;
    let program = std::env::current_exe().context("finding this program")?;
    let mut command = tool::command("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid"]);
    command.args(["--fork", "--kill-child=KILL", "--mount-proc", "--"]);
    command.arg(program).args(args).stdin(Stdio::inherit());
    let child = tool::start(&mut command)?;
    let pid = rustix::process::Pid::from_child(&child);
    let handle = signals.handle();
    let killer = std::thread::spawn(move || {
        let signal = signals.forever().next();
        if signal.is_some() {
            // It may have ended in this very moment.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        signal
    });
    let status = wait(child)?;
    handle.close();
    match (killer.join(), status) {
        (Ok(Some(signal)), _) => bail!("ended by signal {signal}"),
        (_, 0) => Ok(ExitCode::SUCCESS),
        (_, code) => Ok(ExitCode::from(code)),
    }
}

fn wait(mut child: Child) -> Result<u8> {
    let status = child.wait().context("waiting for the inner process")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// What the inner process does first: a `/run` of its own, and `lo` up.
///
/// # Errors
/// The mount or `ip` fails: not root, or not inside.
pub fn settle() -> Result<()> {
    rustix::mount::mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None)
        .context("mounting a private /run (the boot tests need root)")?;
    std::fs::create_dir_all("/run/ganesha").context("making /run/ganesha")?;
    tool::run(tool::command("ip").args(["link", "set", "lo", "up"]))?;
    Ok(())
}

/// Becomes `argv` inside `root`, with `/proc`, `/sys`, `/dev` and a fresh `/tmp`.
/// To be called in a mount namespace that ends with it: see [`inside_root`].
///
/// # Errors
/// A mount fails, or the program cannot be started.
pub fn become_in_root(root: &Path, argv: &[String]) -> Result<ExitCode> {
    let none = MountFlags::empty();
    let mount = |kind: &str, at: &str, flags| {
        rustix::mount::mount(kind, root.join(at), kind, flags, None)
            .with_context(|| format!("mounting {kind} in {}", root.display()))
    };
    mount("proc", "proc", none)?;
    mount("sysfs", "sys", MountFlags::RDONLY)?;
    mount("tmpfs", "tmp", none)?;
    mount("tmpfs", "run", none)?;
    rustix::mount::mount_bind("/dev", root.join("dev")).context("binding /dev")?;
    let cause = tool::command("chroot").arg(root).args(argv).stdin(Stdio::inherit()).exec();
    Err(cause).context("starting chroot")
}

/// A command that runs `argv` inside `root`; its mounts vanish with it.
///
/// # Errors
/// This program cannot be found.
pub fn inside_root(root: &Path, argv: &[&str]) -> Result<Command> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut command = tool::command("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command.arg(program).arg("in-root").arg(root).args(argv);
    Ok(command)
}
