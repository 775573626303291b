//! The cluster's secrets: mounted for as long as the preboot hook runs.

mod release;
mod words;

use std::fs;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::context::{Context, Done};
use super::network::{Reached, learn_name_servers};
use crate::config::mountinfo::Device;
use crate::config::secret_words::SecretWords;
use crate::config::secrets::NfsSource;
use crate::layout::Layout;
use crate::log;
use crate::plan::secrets::{
    MOUNT_LIMIT, NfsMount, PATIENCE, PAUSE, SHORT_PATIENCE, Then, judge, plan_mounts,
};
use crate::sys::Kernel;
use crate::sys::mount::Mount;

/// The stage's name.
pub const NAME: &str = "secrets";
/// The name of the stage that takes them away.
pub const GONE: &str = "secrets-gone";

/// Where they are mounted, in the new root.
pub const FOLDER: &str = "secrets";

/// What a server does that hangs.
const SILENT: &str = "the server does not answer any more";

/// The secrets, mounted; taken away when this is closed or dropped.
pub struct Secrets<'a> {
    kernel: &'a dyn Kernel,
    layout: &'a Layout,
    /// Where they are mounted.
    target: PathBuf,
    /// The numbers of their mounts, that of an export below included.
    mounts: Vec<u64>,
    /// The devices of their superblocks.
    devices: Vec<Device>,
    /// What must not be written into a log of them.
    words: SecretWords,
    released: bool,
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
    let target = ctx.layout.sysroot.join(FOLDER);
    let begun = Instant::now();
    let mut retries = 0;
    loop {
        create_folder(&target)?;
        let (cause, patience) = match attempt(ctx, source, reached, &target) {
            Ok((secrets, note)) => {
                return Ok(Done { value: secrets, note, bytes: None, retries });
            }
            Err(failed) => failed,
        };
        let next = Instant::now() + PAUSE;
        let over = patience.is_none_or(|patience| next >= begun + patience);
        if over || next >= ctx.deadline {
            remove_folder(&target)?;
            return Err(cause);
        }
        retries += 1;
        log::line(NAME, format_args!("{cause:#}; trying again in {PAUSE:?}"));
        std::thread::sleep(PAUSE);
    }
}

/// Takes away what a boot before this one has left mounted: the NFS below the new root.
///
/// # Errors
/// As [`Secrets::close`].
pub fn take_away(ctx: &Context<'_>) -> anyhow::Result<Done<()>> {
    let mut secrets = Secrets::mounted(ctx, &ctx.layout.sysroot.join(FOLDER));
    secrets.note_nfs_below(&ctx.layout.sysroot)?;
    secrets.close()
}

impl<'a> Secrets<'a> {
    /// What has just been mounted; from now on it is taken away again whatever happens.
    fn mounted(ctx: &Context<'a>, target: &Path) -> Self {
        Self {
            kernel: ctx.kernel,
            layout: ctx.layout,
            target: target.to_owned(),
            mounts: Vec::new(),
            devices: Vec::new(),
            words: SecretWords::default(),
            released: false,
        }
    }

    /// What must not be written into a log of them.
    pub fn words(&self) -> &SecretWords {
        &self.words
    }

    /// Ends whoever lives in the new root or holds on to the secrets, unmounts them and
    /// removes their folder; the note says who was ended.
    ///
    /// # Errors
    /// They are still there, and why: such a root must not be handed over.
    pub fn close(mut self) -> anyhow::Result<Done<()>> {
        let ended = self.release()?;
        let were = if self.mounts.is_empty() { "not mounted" } else { "unmounted" };
        let target = self.target.display();
        let folder = match fs::symlink_metadata(&self.target) {
            Ok(_) => "its folder is the image's and not empty".to_owned(),
            Err(_) => format!("{target} removed"),
        };
        let ended = match ended.as_slice() {
            [] => String::new(),
            names => format!(", after ending {}", names.join(", ")),
        };
        Ok(Done::new((), format!("{were}{ended}, {folder}")))
    }
}

impl Drop for Secrets<'_> {
    /// The way of a panic: the boot fails then, and hands no root over.
    fn drop(&mut self) {
        if !self.released
            && let Err(error) = self.release()
        {
            log::line(GONE, format_args!("{error:#}"));
        }
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

/// One with files in it is the image's own, and stays.
fn remove_folder(target: &Path) -> anyhow::Result<()> {
    match fs::remove_dir(target) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error).with_context(|| format!("removing {}", target.display()))
        }
        _ => Ok(()),
    }
}

/// Finds the server and tries each version once. Failed, it says how long asking again
/// makes sense.
fn attempt<'a>(
    ctx: &Context<'a>,
    source: &NfsSource,
    reached: &Reached,
    target: &Path,
) -> Result<(Secrets<'a>, String), (anyhow::Error, Option<Duration>)> {
    let (server, local) =
        find_server(ctx, source, reached).map_err(|error| (error, Some(SHORT_PATIENCE)))?;
    let mut last = (Errno::PROTONOSUPPORT, String::new());
    for nfs in plan_mounts(source, server, local) {
        match mount_once(ctx, &nfs, target) {
            Ok(()) => {
                let mut secrets = Secrets::mounted(ctx, target);
                secrets.find().map_err(|error| (error, None))?;
                match secrets.learn() {
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                        secrets.release().map_err(|error| (error, None))?;
                        let what = format!("reading {}: {SILENT}", nfs.source);
                        return Err((anyhow!(what), Some(PATIENCE)));
                    }
                    // The hook may be luckier, where it knows the names of the files.
                    Err(error) => {
                        let what = format!("reading {}: {error}", target.display());
                        ctx.warn(NAME, &format!("{what}: they are not kept out of the hook's log"));
                    }
                    Ok(()) => {}
                }
                return Ok((secrets, format!("{} read-only ({})", nfs.source, nfs.version)));
            }
            Err(Errno::TIMEDOUT) => {
                // Ended in the middle, it may have been mounted after all.
                Secrets::mounted(ctx, target).release().map_err(|error| (error, None))?;
                last = (Errno::TIMEDOUT, mounting(&nfs));
            }
            Err(errno) => last = (errno, mounting(&nfs)),
        }
        if judge(last.0).0 != Then::NextVersion {
            break;
        }
    }
    let (errno, what) = last;
    let (then, meaning) = judge(errno);
    let cause = anyhow::Error::new(io::Error::from(errno));
    let cause = if meaning.is_empty() { cause } else { cause.context(meaning) };
    let patience = match then {
        Then::GiveUp => None,
        Then::AskAgain(patience) => Some(patience),
        Then::NextVersion => Some(PATIENCE),
    };
    Err((cause.context(what), patience))
}

fn mounting(nfs: &NfsMount) -> String {
    format!("mounting {} by NFS {}", nfs.source, nfs.version)
}

fn mount_once(ctx: &Context<'_>, nfs: &NfsMount, target: &Path) -> Result<(), Errno> {
    let mount = Mount {
        source: nfs.source.clone(),
        target: target.to_owned(),
        fstype: nfs.fstype.to_owned(),
        flags: MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        data: nfs.options.clone(),
    };
    let mounted = ctx.kernel.mount_within(&mount, MOUNT_LIMIT);
    mounted.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => Errno::TIMEDOUT,
        _ => Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })
}

/// The server's address and our own on the way there: the first to which there is a route.
fn find_server(
    ctx: &Context<'_>,
    source: &NfsSource,
    reached: &Reached,
) -> anyhow::Result<(IpAddr, IpAddr)> {
    learn_name_servers(ctx.layout);
    let addresses: Vec<_> = (source.host.as_str(), 2049)
        .to_socket_addrs()
        .with_context(|| format!("resolving {}", source.host))?
        .collect();
    let route = |to: &std::net::SocketAddr| Some((to.ip(), ctx.kernel.source_address(*to).ok()?));
    match (addresses.iter().find_map(route), addresses.first()) {
        (Some(found), _) => Ok(found),
        // The kernel knows better, and says so.
        (None, Some(first)) => Ok((first.ip(), reached.local)),
        (None, None) => bail!("resolving {}: no address", source.host),
    }
}
