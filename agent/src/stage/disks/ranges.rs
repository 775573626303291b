//! Carries out the ranges of a plan, those that have nothing in common side by side.
//!
//! Lines are said when they are true, so those of several ranges may be mixed; what is
//! kept of them for the record is in the order of the ranges.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::layout::Layout;
use crate::plan::disks::inventory::Inventory;
use crate::plan::disks::{DiskPlan, RangePlan, Step};
use crate::sys::Kernel;

use super::Log;
use super::apply::Workbench;
use super::record::{Outcome, Prepared};

/// What became of one range.
struct Made {
    lines: Vec<String>,
    outcome: Outcome,
}

/// Makes all ranges of the plan that have something to make or to find.
pub(super) fn make_all(
    kernel: &dyn Kernel,
    layout: &Layout,
    inventory: &Inventory,
    plan: &DiskPlan,
    prepared: &mut Prepared,
    log: Log<'_>,
) {
    let lanes = plan.lanes();
    let log = Mutex::new(log);
    let say = |line: &str| (*log.lock().unwrap_or_else(PoisonError::into_inner))(line);
    let make_lane = |lane: &[usize]| {
        let mut bench = Workbench::new(kernel, layout, inventory);
        let ranges = lane.iter().filter_map(|index| Some((*index, plan.ranges.get(*index)?)));
        let ranges = ranges.filter(|(_, range)| !is_idle(range));
        ranges.map(|(index, range)| (index, make_range(&mut bench, range, &say))).collect()
    };
    let mut made: Vec<(usize, Made)> = std::thread::scope(|scope| {
        let make_lane = &make_lane;
        let start = |lane| (lane, scope.spawn(move || make_lane(lane)));
        let threads: Vec<_> = lanes.iter().map(|lane| start(lane.as_slice())).collect();
        let join = |(lane, thread): (&[usize], std::thread::ScopedJoinHandle<'_, Vec<_>>)| {
            thread.join().unwrap_or_else(|_| panicked(lane, plan))
        };
        threads.into_iter().flat_map(join).collect()
    });
    made.sort_by_key(|(index, _)| *index);
    for (index, made) in made {
        prepared.lines.extend(made.lines);
        let Some(range) = plan.ranges.get(index) else { continue };
        if range.action == "refused" && made.outcome.error.is_none() {
            continue;
        }
        if made.outcome.error.is_some() {
            prepared.is_required_missing |= range.is_required || prepared.is_required;
        } else {
            let ready = range.mounts.iter().map(|mount| (mount.clone(), range.is_required));
            prepared.ready.extend(ready);
        }
        prepared.outcomes.push(made.outcome);
    }
}

fn is_idle(range: &RangePlan) -> bool {
    matches!(range.action, "left alone" | "refused" | "no disks") && range.steps.is_empty()
}

/// The ranges of a lane whose thread has panicked.
fn panicked(lane: &[usize], plan: &DiskPlan) -> Vec<(usize, Made)> {
    let ranges = lane.iter().filter_map(|index| Some((*index, plan.ranges.get(*index)?)));
    let made = ranges.filter(|(_, range)| !is_idle(range)).map(|(index, range)| {
        let text = format!("{}: panicked", range.title);
        let outcome = Outcome::failed(&range.title, std::time::Duration::ZERO, text.clone());
        (index, Made { lines: vec![text], outcome })
    });
    made.collect()
}

/// Carries out the steps of one range, up to the first that fails.
fn make_range(bench: &mut Workbench<'_>, range: &RangePlan, log: &dyn Fn(&str)) -> Made {
    let start = Instant::now();
    let mut lines = Vec::new();
    let mut say = |text: String| {
        log(&text);
        lines.push(text);
    };
    let title = &range.title;
    for step in &range.steps {
        // What is lost is said before it goes.
        if is_loss(step) {
            say(step.to_string());
        }
        match bench.carry_out(step) {
            Ok(notes) => {
                notes.into_iter().for_each(|note| say(format!("{title}: warning: {note}")));
            }
            Err(error) => {
                let text = format!("{title}: {step}: {error:#}");
                say(text.clone());
                return Made { lines, outcome: Outcome::failed(title, start.elapsed(), text) };
            }
        }
    }
    let elapsed = start.elapsed();
    if range.action == "refused" {
        return Made { lines, outcome: Outcome::done(title, elapsed) };
    }
    let done: Vec<String> =
        range.steps.iter().filter(|step| !is_loss(step)).map(Step::to_string).collect();
    let done = if done.is_empty() { vec!["nothing to make".to_owned()] } else { done };
    say(format!("{title}: {} in {} ms", done.join(", "), elapsed.as_millis()));
    Made { lines, outcome: Outcome::done(title, elapsed) }
}

fn is_loss(step: &Step) -> bool {
    matches!(step, Step::Wipe { .. } | Step::CryptoErase { .. } | Step::StopArray { .. })
}
