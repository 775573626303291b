//! Runs the cases: those that want the whole machine alone, then the others two at a time; one line each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};

use crate::cases::{Bench, CASES, Case, LONG, Size};
use crate::cluster::Cluster;
use crate::debian::Release;
use crate::facts::Facts;
use crate::network::PLACES;
use crate::workshop::{Workshop, remove};

/// What chooses the long cases too.
const ALL: &str = "--all";

/// The cases that `names` choose: without one all but the long ones, with `--all` every one.
///
/// # Errors
/// A name is no case's.
pub fn choose(names: &[String]) -> Result<Vec<Case>> {
    match names {
        [] => Ok(CASES.to_vec()),
        [all] if all == ALL => Ok(CASES.iter().chain(LONG).copied().collect()),
        names => names.iter().map(|name| find(name)).collect(),
    }
}

/// What the nodes of `cases` run.
pub fn releases(cases: &[Case]) -> BTreeSet<Release> {
    let release = |case: &Case| match case.size {
        Size::Tiny => None,
        Size::Full(release) | Size::Whole(release) => Some(release),
    };
    cases.iter().filter_map(release).collect()
}

fn find(name: &str) -> Result<Case> {
    let found = CASES.iter().chain(LONG).find(|case| case.name == name);
    found.copied().with_context(|| format!("there is no case {name}; test-vm list names them"))
}

/// Runs `cases` and tells what came of each; whether all passed.
///
/// # Errors
/// The cluster's services do not start.
pub fn run(workshop: &Workshop, scratch: &Path, cases: &[Case]) -> Result<bool> {
    let cluster = Cluster::start(scratch)?;
    let started = Instant::now();
    let (whole, others): (Vec<Case>, Vec<Case>) =
        cases.iter().partition(|case| matches!(case.size, Size::Whole(_)));
    let tally = Tally { workshop, cluster: &cluster, failed: Mutex::default() };
    tally.side_by_side(&whole, 1);
    tally.side_by_side(&others, PLACES);
    let failed = tally.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (took, busy) = (started.elapsed().as_secs_f64(), processor_seconds()?);
    println!("\nboot tests: {took:.0} s, {busy} s of processors");
    for name in &failed {
        println!("failed: {name}");
    }
    println!("{} passed, {} failed", cases.len() - failed.len(), failed.len());
    Ok(failed.is_empty())
}

/// What all machines and tools have taken by now.
fn processor_seconds() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("reading the usage of children")?;
    Ok((usage.user_time() + usage.system_time()).tv_sec())
}

struct Tally<'a> {
    workshop: &'a Workshop,
    cluster: &'a Cluster,
    failed: Mutex<Vec<&'static str>>,
}

impl Tally<'_> {
    /// Runs `cases` on `places` threads, each plugged into a tap of its own.
    fn side_by_side(&self, cases: &[Case], places: usize) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for place in 0..places {
                let next = &next;
                scope.spawn(move || {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                        self.one(case, place);
                    }
                });
            }
        });
    }

    fn one(&self, case: &Case, place: usize) {
        let started = Instant::now();
        let folder = self.cluster.scratch.join(case.name);
        let result = carry_out(case, self.cluster, place, &folder);
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(held) => {
                println!("ok      {:<24} {seconds:6.1} s  {held} facts: {}", case.name, case.about)
            }
            Err(cause) => {
                let kept = keep(self.workshop, case, &folder, &format!("{cause:#}\n"));
                println!("FAILED  {:<24} {seconds:6.1} s  {}\n  {cause:#}", case.name, case.about);
                match kept {
                    Ok(path) => println!("  its logs: {}", path.display()),
                    Err(cause) => println!("  its logs are lost: {cause:#}"),
                }
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(case.name);
            }
        }
        for line in times(&folder) {
            println!("        {line}");
        }
        if let Err(cause) = remove(&folder) {
            eprintln!("{cause:#}");
        }
    }
}

/// Boots and judges one case; how many facts held.
fn carry_out(case: &Case, cluster: &Cluster, place: usize, folder: &Path) -> Result<usize> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let mut facts = Facts::default();
    let bench = Bench { cluster, place, folder };
    let ran = (case.run)(&bench, &mut facts);
    facts.succeeds("the case runs to its end", ran);
    facts.close()
}

/// How long the parts of each boot below `folder` took, one line a boot.
fn times(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for node in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let files = fs::read_dir(node.path()).into_iter().flatten().filter_map(Result::ok);
        for file in files.filter(|file| file.path().extension().is_some_and(|end| end == "times")) {
            let boot = file.file_name().display().to_string();
            let boot = boot.split('.').next().unwrap_or_default();
            let times = fs::read_to_string(file.path()).unwrap_or_default();
            lines.push(format!("{} {boot}: {times}", node.file_name().display()));
        }
    }
    lines.sort_unstable();
    lines
}

/// Keeps the logs of a failed case, and of the services it used.
fn keep(workshop: &Workshop, case: &Case, folder: &Path, verdict: &str) -> Result<PathBuf> {
    let to = workshop.failed().join(case.name);
    remove(&to)?;
    fs::create_dir_all(&to).with_context(|| format!("making {}", to.display()))?;
    fs::write(to.join("verdict.txt"), verdict).context("writing the verdict")?;
    for log in ["ganesha.log", "dnsmasq.log"] {
        fs::copy(folder.with_file_name(log), to.join(log))
            .with_context(|| format!("keeping {log}"))?;
    }
    for node in fs::read_dir(folder)? {
        let node = node?;
        let files = fs::read_dir(node.path()).into_iter().flatten().filter_map(Result::ok);
        for file in files.filter(|file| file.file_name().as_encoded_bytes().starts_with(b"boot")) {
            let name = format!("{}.{}", node.file_name().display(), file.file_name().display());
            fs::copy(file.path(), to.join(&name)).with_context(|| format!("keeping {name}"))?;
        }
    }
    Ok(to)
}
