//! Has the client run on the node that is being booted.
//!
//! The unit goes to `/run/systemd/system`, so neither the image nor the root's `/etc` is touched,
//! and a unit of the same name in `/etc`, or its mask, wins. The binary is the root's own
//! `/usr/sbin/rsinit`; where the image has none, the initramfs's is copied there. Not to `/run`:
//! dracut without systemd mounts that `noexec`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::Context as _;

use crate::plan::boot::BootPlan;
use crate::plan::update::{Root, plan_client};
use crate::stage::context::{Context, Done};
use crate::sys::root::{make_folder, resolve};

/// The unit's name.
const UNIT: &str = "rsinit-client.service";
/// The unit.
const TEXT: &str = include_str!("rsinit-client.service");
/// What starts it.
const WANTS: &str = "multi-user.target.wants";
/// The binary in the root: its folder and name.
const PROGRAM: (&str, &str) = ("/usr/sbin", "rsinit");
/// Warewulf's own client in the root.
const WWCLIENT: &str = "/warewulf/wwclient";
/// Where systemd is in a root.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// Installs the unit where the client is to run. A node without it is a node still: what fails
/// is a warning.
pub fn install(ctx: &Context<'_>, plan: &BootPlan) {
    let what = "looking who keeps the runtime overlays current";
    if let Err(error) = ctx.step(super::NAME, what, || choose(ctx, plan)) {
        ctx.warn_failed(&error);
    }
}

fn choose(ctx: &Context<'_>, plan: &BootPlan) -> anyhow::Result<Done<()>> {
    let sysroot = &ctx.layout.sysroot;
    let is_file = |path: &str| resolve(sysroot, Path::new(path)).is_ok_and(|path| path.is_file());
    let root =
        Root { has_systemd: SYSTEMD.into_iter().any(is_file), has_wwclient: is_file(WWCLIENT) };
    if let Err(reason) = plan_client(&plan.routes, root) {
        return Ok(Done::new((), format!("not rsinit: {reason}")));
    }
    install_program(sysroot).context("installing the client")?;
    if plan.server.tls {
        let (from, to) = (ctx.layout.certificate(), ctx.layout.kept_certificate());
        fs::create_dir_all(ctx.layout.state())
            .and_then(|()| fs::copy(&from, &to))
            .with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    }
    install_unit(&ctx.layout.units())?;
    Ok(Done::new((), format!("{UNIT} will")))
}

/// The initramfs's own binary, where the image has none.
fn install_program(sysroot: &Path) -> anyhow::Result<()> {
    let (folder, name) = PROGRAM;
    let path = make_folder(sysroot, Path::new(folder))
        .with_context(|| format!("creating {folder}"))?
        .join(name);
    if path.exists() {
        return Ok(());
    }
    let own = std::env::current_exe().context("finding the running binary")?;
    fs::copy(&own, &path)
        .and_then(|_| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("copying {} to {}", own.display(), path.display()))
}

fn install_unit(units: &Path) -> anyhow::Result<()> {
    let wants = units.join(WANTS);
    fs::create_dir_all(&wants).with_context(|| format!("creating {}", wants.display()))?;
    let unit = units.join(UNIT);
    fs::write(&unit, TEXT).with_context(|| format!("writing {}", unit.display()))?;
    let link = wants.join(UNIT);
    match symlink(Path::new("..").join(UNIT), &link) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.with_context(|| format!("linking {}", link.display())),
    }
}
