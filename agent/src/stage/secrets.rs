//! The cluster's secrets: mounted for as long as the preboot hook runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::context::{Context, Done};
use super::network::Reached;
use crate::config::secrets::NfsSource;
use crate::log;
use crate::plan::secrets::{NfsMount, plan_mounts};
use crate::sys::guard::MountGuard;
use crate::sys::mount::Mount;

/// The stage's name.
pub const NAME: &str = "secrets";

/// How long a server that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two rounds of attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// The secrets, mounted; gone when this is closed or dropped.
pub struct Secrets<'a> {
    mount: MountGuard<'a>,
    folder: Folder,
}

/// The mount point, removed when it goes out of scope.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            log::line(NAME, format_args!("removing {}: {error}", self.0.display()));
        }
    }
}

/// Mounts the secrets at `/secrets` of the new root, without mount.nfs.
///
/// # Errors
/// What the last attempt said.
pub fn mount<'a>(
    ctx: &Context<'a>,
    source: &NfsSource,
    reached: &Reached,
) -> anyhow::Result<Done<Secrets<'a>>> {
    let server = server_address(source, reached)?;
    let local = ctx.kernel.source_address((server, 2049).into()).unwrap_or(reached.local);
    let target = ctx.layout.sysroot.join("secrets");
    create_folder(&target)?;
    let folder = Folder(target);
    let mounts = plan_mounts(source, server, local);
    let give_up = (Instant::now() + PATIENCE).min(ctx.deadline);
    let mut retries = 0;
    loop {
        match attempt(ctx, &mounts, &folder.0) {
            Ok((mount, note)) => {
                let value = Secrets { mount, folder };
                return Ok(Done { value, note, bytes: None, retries });
            }
            Err((error, worth_waiting)) => {
                let what = format!("mounting {}:{} by NFS", source.host, source.path);
                if !worth_waiting || Instant::now() + PAUSE >= give_up {
                    return Err(anyhow!(error).context(what));
                }
                retries += 1;
                log::line(NAME, format_args!("{what}: {error}; trying again in {PAUSE:?}"));
                std::thread::sleep(PAUSE);
            }
        }
    }
}

impl Secrets<'_> {
    /// Unmounts the secrets and removes their folder.
    ///
    /// # Errors
    /// `EBUSY` while a process holds on to them: such a root must not be handed over.
    pub fn close(mut self) -> anyhow::Result<Done<()>> {
        let target = self.folder.0.clone();
        self.mount.close().with_context(|| format!("unmounting {}", target.display()))?;
        drop(self);
        if fs::symlink_metadata(&target).is_ok() {
            bail!("{} is still there", target.display());
        }
        Ok(Done::new((), format!("unmounted, {} removed", target.display())))
    }
}

/// A folder and nothing else: a link would lead the mount somewhere else.
fn create_folder(target: &Path) -> anyhow::Result<()> {
    match fs::create_dir(target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = fs::symlink_metadata(target)?;
            if there.is_dir() {
                Ok(())
            } else {
                bail!("the image has a {} that is not a folder", target.display())
            }
        }
        Err(error) => Err(error).with_context(|| format!("creating {}", target.display())),
    }
}

fn server_address(source: &NfsSource, reached: &Reached) -> anyhow::Result<std::net::IpAddr> {
    use std::net::ToSocketAddrs as _;
    if let Ok(address) = source.host.parse() {
        return Ok(address);
    }
    let found = (source.host.as_str(), 2049).to_socket_addrs();
    match found.map(|mut addresses| addresses.next()) {
        Ok(Some(address)) => Ok(address.ip()),
        Ok(None) => Ok(reached.server),
        Err(error) => Err(error).with_context(|| format!("resolving {}", source.host)),
    }
}

/// Tries each version once. The flag says whether waiting may help.
fn attempt<'a>(
    ctx: &Context<'a>,
    mounts: &[NfsMount],
    target: &Path,
) -> Result<(MountGuard<'a>, String), (io::Error, bool)> {
    let mut last = io::Error::from(Errno::PROTONOSUPPORT);
    for nfs in mounts {
        let mount = Mount {
            source: nfs.source.clone(),
            target: target.to_owned(),
            fstype: nfs.fstype.to_owned(),
            flags: MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            data: nfs.options.clone(),
        };
        last = match MountGuard::mount(ctx.kernel, &mount) {
            Ok(guard) => {
                let version = nfs.options.split(',').next().unwrap_or_default();
                return Ok((guard, format!("{} read-only ({version})", nfs.source)));
            }
            Err(error) => error,
        };
        // Only a version that the server (or this kernel) does not speak leads to the next.
        let errno = Errno::from_io_error(&last);
        if !matches!(errno, Some(Errno::PROTONOSUPPORT | Errno::INVAL | Errno::PROTOTYPE)) {
            break;
        }
    }
    let worth_waiting = matches!(
        Errno::from_io_error(&last),
        Some(
            Errno::CONNREFUSED
                | Errno::TIMEDOUT
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::IO
        )
    );
    Err((last, worth_waiting))
}
