//! The disks' part of the boot: where their settings come from, and when what is done.

use std::collections::BTreeMap;

use anyhow::anyhow;

use super::context::{Context, Done};
use super::disks::{self, CONF, PROFILES, Prepared, Sources};
use super::overlay::Overlay;
use crate::config::mkdisk_conf;
use crate::log;
use crate::plan::boot::BootPlan;
use crate::report::{DisksReport, MovedReport, VolumeReport};

/// The stage's name.
pub const NAME: &str = "disks";

/// The settings in the system overlay; none where a part of them can only be in
/// the image: then the disks wait for the image.
///
/// # Errors
/// A damaged archive.
pub fn in_overlay(overlay: &Overlay) -> anyhow::Result<Option<Sources>> {
    let profiles = format!("{PROFILES}/");
    let wanted = |name: &[u8]| name == CONF.as_bytes() || name.starts_with(profiles.as_bytes());
    let mut sources = Sources { conf: None, profiles: BTreeMap::new() };
    for (name, text) in overlay.find_files(wanted)? {
        let name = String::from_utf8_lossy(&name).into_owned();
        match name.strip_prefix(&profiles) {
            Some(profile) => _ = sources.profiles.insert(profile.to_owned(), text),
            None => sources.conf = Some(text),
        }
    }
    let Some(conf) = &sources.conf else { return Ok(None) };
    // Settings that cannot be read are final: the image would not make them better.
    let whole = match mkdisk_conf::parse(conf) {
        Ok(conf) => sources.profiles.contains_key(&conf.profile),
        Err(_) => true,
    };
    Ok(whole.then_some(sources))
}

/// Makes arrays and file systems ready, or says why not; touches nothing of the root.
pub fn prepare(ctx: &Context<'_>, plan: &BootPlan, sources: &Sources) -> Option<Prepared> {
    sources.conf.as_ref()?;
    if let Err(error) = sources.keep(&ctx.layout.etc) {
        // Only a shell after a failure would miss them.
        log::line(NAME, format_args!("keeping the settings for a shell: {error:#}"));
    }
    let prepared = ctx.step(NAME, "preparing local disks", || {
        let mut log = |line: &str| log::line(NAME, line);
        let prepared = disks::prepare(ctx.kernel, ctx.layout, sources, plan.disk, &mut log);
        let failed = prepared.outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
        let made = prepared.outcomes.len().saturating_sub(failed);
        Ok(Done::new(prepared, format!("{made} volumes ready, {failed} failed")))
    });
    match prepared {
        Ok(prepared) => Some(prepared),
        Err(error) => {
            ctx.warn_failed(&error);
            None
        }
    }
}

/// Mounts the volumes, moves folders onto them and leaves the record of it all.
///
/// # Errors
/// Disks that the settings call required are missing.
pub fn finish(ctx: &Context<'_>, prepared: Option<Prepared>) -> anyhow::Result<()> {
    let Some(mut prepared) = prepared else { return Ok(()) };
    let mut log = |line: &str| log::line(NAME, line);
    let prepared = ctx.step("mounts", "mounting volumes and moving folders onto them", || {
        disks::mount(ctx.kernel, ctx.layout, &mut prepared, &mut log);
        disks::move_dirs(ctx.kernel, ctx.layout, &mut prepared, &mut log);
        let note = format!(
            "{} volumes mounted, {} folders moved",
            prepared.mounted.len(),
            prepared.copied.len()
        );
        Ok(Done::new(prepared, note))
    })?;
    ctx.record(|report| report.disks = Some(disks_report(&prepared)));
    if let Err(error) = prepared.write(ctx.layout) {
        ctx.warn(NAME, &format!("{error:#}"));
    }
    for problem in prepared.problems() {
        ctx.keep_warning(NAME, problem);
    }
    match prepared.failure() {
        Some(failure) => Err(anyhow!(failure).context(NAME)),
        None => Ok(()),
    }
}

/// The disks' part of the report; `/run/rsinit/disk.json` has the whole plan.
fn disks_report(prepared: &Prepared) -> DisksReport {
    let volumes = prepared.outcomes.iter().map(|outcome| VolumeReport {
        what: outcome.what.clone(),
        took_ms: outcome.took_ms,
        error: outcome.error.clone(),
    });
    let moved = prepared.copied.iter().map(|(folder, copied)| MovedReport {
        folder: folder.clone(),
        entries: copied.entries,
        bytes: copied.bytes,
    });
    DisksReport {
        volumes: volumes.collect(),
        mounts: prepared.mounted.clone(),
        moved: moved.collect(),
    }
}
