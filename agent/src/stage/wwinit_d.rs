//! `wwinit.d`: scripts of the system overlay that run before the root is there.
//!
//! Warewulf unpacks the overlay to `/tmp/wwinit` from 4.6.2 on, runs the scripts with
//! `PREFIX` set to it (they partition disks, for example), and carries what they leave
//! in `/warewulf/run` over to the root. Unlike there, a script that fails has failed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::context::{Context, Done};
use super::disks::copy_tree;
use super::overlay::Overlay;
use crate::log::open_private_log;
use crate::sys::process::{Exit, Heard, RootCommand};

/// The stage's name.
pub const NAME: &str = "wwinit.d";

/// Where the scripts are, in the overlay.
const SCRIPTS: &str = "warewulf/wwinit.d";
/// What is carried over, in the overlay and in the root.
const RUN: &str = "warewulf/run";

/// The overlay's scripts, in the order of their names.
///
/// # Errors
/// A damaged archive.
pub fn scripts(overlay: &Overlay) -> anyhow::Result<Vec<String>> {
    let folder = format!("{SCRIPTS}/");
    let wanted = |name: &[u8]| name.strip_prefix(folder.as_bytes()).is_some_and(is_name);
    let files = overlay.find_files(wanted)?;
    let mut names: Vec<String> =
        files.into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into_owned()).collect();
    names.sort();
    Ok(names)
}

/// `ls -1` shows no hidden files, and folders hold no scripts of this one.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.starts_with(b".") && !name.contains(&b'/')
}

/// Unpacks the overlay to `/tmp/wwinit` and runs its scripts there, one by one.
///
/// # Errors
/// The first script that does not end with exit status 0.
pub fn run(ctx: &Context<'_>, overlay: &Overlay, scripts: &[String]) -> anyhow::Result<Done<()>> {
    let prefix = prefix(ctx);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&prefix)
        .with_context(|| format!("creating {}", prefix.display()))?;
    overlay.unpack(&prefix)?;
    let log_path = ctx.layout.state().join("wwinit.d.log");
    let mut log = open_private_log(&log_path)?;
    for script in scripts {
        let command = RootCommand {
            root: PathBuf::from("/"),
            program: "/bin/sh".to_owned(),
            args: vec![prefix.join(script).display().to_string()],
            env: environment(&prefix),
            cwd: "/".to_owned(),
            timeout: ctx.time_left(),
        };
        let ran = ctx.kernel.run_in_root(&command, &mut |heard| {
            if let Heard::Output(bytes) = heard {
                // A log that cannot be written is no reason to stop the script.
                let _ = log.write_all(bytes);
            }
        });
        let how = match ran {
            Ok(Exit::Status(0)) => continue,
            Ok(Exit::Status(status)) => format!("ended with exit status {status}"),
            Ok(Exit::Signal(signal)) => format!("was ended by signal {signal}"),
            Ok(Exit::TimedOut) => "was still running at the boot's deadline".to_owned(),
            Err(error) => return Err(error).with_context(|| format!("starting sh {script}")),
        };
        bail!("{script} {how}; its output is in {}", log_path.display());
    }
    Ok(Done::new((), format!("{} scripts passed", scripts.len())))
}

/// What the scripts left for the root: `/warewulf/run`.
///
/// # Errors
/// What could not be copied.
pub fn carry_over(ctx: &Context<'_>) -> anyhow::Result<()> {
    let from = prefix(ctx).join(RUN);
    if !from.is_dir() {
        return Ok(());
    }
    let to = crate::sys::root::resolve(&ctx.layout.sysroot, Path::new(RUN))?;
    fs::create_dir_all(&to).with_context(|| format!("creating {}", to.display()))?;
    copy_tree(&from, &to).map(drop)
}

fn prefix(ctx: &Context<'_>) -> PathBuf {
    ctx.layout.tmp.join("wwinit")
}

fn environment(prefix: &Path) -> Vec<(String, String)> {
    let prefix = prefix.display().to_string();
    [("PREFIX", prefix.as_str()), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}
