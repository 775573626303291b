//! How a node that was booted is now: one line a check, from facts that were read elsewhere.

use serde::{Deserialize, Serialize};

use super::{Outcome, Report};

/// Seconds beyond three intervals after which overlays are stale.
const LATE_S: u64 = 60;

/// What was seen on the node.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The boot's report; none where rsinit did not boot the node.
    pub report: Option<Report>,
    /// Where something is mounted, as `/proc/self/mountinfo` has it.
    pub mounts: Vec<String>,
    /// The md arrays.
    pub arrays: Vec<ArrayFact>,
    /// Whether there is a `/secrets`.
    pub has_secrets: bool,
    /// What `rsinit client` says of itself; none where it never ran.
    pub client: Option<ClientState>,
    /// Whether Warewulf's own client is there: then the overlays are its business.
    pub has_wwclient: bool,
    /// Seconds since 1970.
    pub now_s: u64,
}

/// One array, as sysfs describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArrayFact {
    /// `md127`.
    pub name: String,
    /// `raid0`, `raid1`, …
    pub level: String,
    /// `array_state`, `Documentation/admin-guide/md.rst`.
    pub state: String,
    /// Slots without a working member.
    pub degraded: u32,
    /// `sync_action`; empty for a stripe.
    pub sync_action: String,
}

/// `/run/rsinit/client.json`, which `rsinit client` keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ClientState {
    /// When the overlays were last known to be the server's, in seconds since 1970.
    pub last_success: Option<u64>,
    /// Seconds between two looks.
    pub interval_s: u64,
    /// Why the last look failed.
    pub error: Option<String>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be, or nothing to check.
    Ok,
    /// Worth a look; the node can work.
    Warning,
    /// Not as it should be.
    Problem,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name: `boot`, `arrays`, `mounts`, `overlays`, `hook` or `secrets`.
    pub name: &'static str,
    /// What it found.
    pub state: State,
    /// The same for a person.
    pub text: String,
}

impl State {
    /// The word for it, as in the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// All checks, in the order in which they are shown.
pub fn checks(facts: &Facts) -> Vec<Check> {
    let named = [
        ("boot", boot(facts)),
        ("arrays", arrays(facts)),
        ("mounts", mounts(facts)),
        ("overlays", overlays(facts)),
        ("hook", hook(facts)),
        ("secrets", secrets(facts)),
    ];
    named.map(|(name, (state, text))| Check { name, state, text }).to_vec()
}

/// The worst that a check found.
pub fn worst(checks: &[Check]) -> State {
    checks.iter().map(|check| check.state).max().unwrap_or(State::Ok)
}

/// The checks as lines: state, name, what was found.
pub fn lines(checks: &[Check]) -> String {
    let line =
        |check: &Check| format!("{:7}  {:8}  {}\n", check.state.word(), check.name, check.text);
    checks.iter().map(line).collect()
}

type Found = (State, String);

fn ok(text: impl Into<String>) -> Found {
    (State::Ok, text.into())
}

fn boot(facts: &Facts) -> Found {
    let Some(report) = &facts.report else {
        return (State::Problem, "there is no report: rsinit did not boot this node".to_owned());
    };
    let took = report.end_ms().map(super::seconds).unwrap_or_default();
    match report.outcome {
        Outcome::Ok => ok(format!("handed over {took} after the kernel started")),
        Outcome::Warned => {
            let first = report.warnings.first().map(String::as_str);
            let count = report.warnings.len();
            let first = first.unwrap_or("a stage warned; see rsinit report");
            (State::Warning, format!("{count} warnings; the first: {first}"))
        }
        Outcome::Running | Outcome::Failed => {
            let error = report.error.as_deref().unwrap_or("it did not end");
            (State::Problem, format!("the boot failed: {error}"))
        }
    }
}

/// An array is clean that runs with all its members.
fn arrays(facts: &Facts) -> Found {
    let bad = |array: &&ArrayFact| {
        let runs = ["clean", "active", "active-idle", "write-pending", "read-auto", "readonly"];
        array.degraded > 0 || !runs.contains(&array.state.as_str())
    };
    let describe = |array: &ArrayFact| {
        let missing = match array.degraded {
            0 => String::new(),
            count => format!(", {count} members missing"),
        };
        let sync = match array.sync_action.as_str() {
            "" | "idle" => String::new(),
            action => format!(", {action}"),
        };
        format!("{} {} {}{missing}{sync}", array.name, array.level, array.state)
    };
    let broken: Vec<String> = facts.arrays.iter().filter(bad).map(describe).collect();
    if !broken.is_empty() {
        return (State::Problem, broken.join("; "));
    }
    let all: Vec<String> = facts.arrays.iter().map(describe).collect();
    ok(if all.is_empty() { "none".to_owned() } else { all.join("; ") })
}

fn mounts(facts: &Facts) -> Found {
    let Some(disks) = facts.report.as_ref().and_then(|report| report.disks.as_ref()) else {
        return ok("the boot was to mount none");
    };
    let is_gone = |target: &&String| !facts.mounts.contains(target);
    let gone: Vec<&str> = disks.mounts.iter().filter(is_gone).map(String::as_str).collect();
    if !gone.is_empty() {
        return (State::Problem, format!("not mounted: {}", gone.join(" ")));
    }
    if let Some(error) = disks.volumes.iter().find_map(|volume| volume.error.as_ref()) {
        return (State::Problem, format!("at boot: {error}"));
    }
    ok(if disks.mounts.is_empty() { "none".to_owned() } else { disks.mounts.join(" ") })
}

/// Whether the overlays are as old as the client's interval lets them be.
fn overlays(facts: &Facts) -> Found {
    let Some(client) = &facts.client else {
        return match facts.has_wwclient {
            true => ok("not managed by rsinit: wwclient is there"),
            false => (State::Warning, "as at boot: rsinit client has not run".to_owned()),
        };
    };
    let error = client.error.as_ref().map(|error| format!("; the last look failed: {error}"));
    let error = error.unwrap_or_default();
    let Some(last) = client.last_success else {
        return (State::Problem, format!("never fetched since the boot{error}"));
    };
    let age = facts.now_s.saturating_sub(last);
    let limit = client.interval_s.saturating_mul(3).saturating_add(LATE_S);
    let state = if age > limit { State::Problem } else { State::Ok };
    (state, format!("{age} s old, looked at every {} s{error}", client.interval_s))
}

fn hook(facts: &Facts) -> Found {
    let Some(report) = &facts.report else { return ok("no report") };
    let part = |name: &str| ["secrets", "preboot", "secrets-gone"].contains(&name);
    let failed =
        report.stages.iter().find(|stage| part(&stage.name) && stage.outcome == Outcome::Failed);
    if let Some(stage) = failed {
        return (State::Problem, format!("{}: {}", stage.name, stage.note));
    }
    if let Some(hook) = report.hooks.iter().find(|hook| hook.outcome != Outcome::Ok) {
        return (State::Problem, format!("{} failed", hook.name));
    }
    let about =
        |warning: &&String| warning.starts_with("preboot: ") || warning.starts_with("secrets: ");
    if let Some(warning) = report.warnings.iter().find(about) {
        return (State::Warning, warning.clone());
    }
    let names: Vec<&str> = report.hooks.iter().map(|hook| hook.name.as_str()).collect();
    ok(if names.is_empty() { "none".to_owned() } else { format!("{} passed", names.join(", ")) })
}

/// The secrets' mount point and what is mounted there.
fn secrets(facts: &Facts) -> Found {
    let below = |target: &String| target == "/secrets" || target.starts_with("/secrets/");
    if facts.mounts.iter().any(below) {
        return (State::Problem, "something is still mounted at /secrets".to_owned());
    }
    match facts.has_secrets {
        true => (State::Problem, "/secrets is still there".to_owned()),
        false => ok("gone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{DisksReport, HookReport, StageReport};

    /// A node on which all is well.
    fn well() -> Facts {
        let mut report = Report::new("6.1".to_owned());
        report.stages.push(StageReport {
            name: "preboot".to_owned(),
            start_ms: 1000,
            end_ms: Some(2500),
            bytes: None,
            retries: 0,
            outcome: Outcome::Ok,
            note: String::new(),
        });
        report.hooks.push(HookReport {
            name: "/h".to_owned(),
            outcome: Outcome::Ok,
            status: Some(0),
        });
        report.disks =
            Some(DisksReport { mounts: vec!["/scratch".to_owned()], ..DisksReport::default() });
        report.finish(None);
        let array = ArrayFact {
            name: "md127".to_owned(),
            level: "raid0".to_owned(),
            state: "clean".to_owned(),
            ..ArrayFact::default()
        };
        let client = ClientState { last_success: Some(1000), interval_s: 60, error: None };
        Facts {
            report: Some(report),
            mounts: vec!["/".to_owned(), "/scratch".to_owned()],
            arrays: vec![array],
            client: Some(client),
            now_s: 1100,
            ..Facts::default()
        }
    }

    /// The one check that is not ok, after `spoil`.
    fn found(spoil: impl FnOnce(&mut Facts)) -> (&'static str, State, String) {
        let mut facts = well();
        spoil(&mut facts);
        let mut bad: Vec<Check> =
            checks(&facts).into_iter().filter(|check| check.state != State::Ok).collect();
        assert_eq!(bad.len(), 1, "{bad:?}");
        let check = bad.remove(0);
        (check.name, check.state, check.text)
    }

    #[test]
    fn a_node_on_which_all_is_well_has_six_good_lines() {
        let checks = checks(&well());
        assert_eq!(worst(&checks), State::Ok);
        assert_eq!(
            lines(&checks),
            "ok       boot      handed over 2.5 s after the kernel started\n\
             ok       arrays    md127 raid0 clean\n\
             ok       mounts    /scratch\n\
             ok       overlays  100 s old, looked at every 60 s\n\
             ok       hook      /h passed\n\
             ok       secrets   gone\n"
        );
    }

    #[test]
    fn an_array_without_a_member_or_that_does_not_run_is_a_problem() {
        let (name, state, text) = found(|facts| {
            facts.arrays[0].degraded = 1;
            facts.arrays[0].sync_action = "recover".to_owned();
        });
        assert_eq!((name, state), ("arrays", State::Problem));
        assert_eq!(text, "md127 raid0 clean, 1 members missing, recover");
        for state in ["inactive", "clear", "broken", ""] {
            assert_eq!(found(|facts| facts.arrays[0].state = state.to_owned()).0, "arrays");
        }
    }

    #[test]
    fn a_mount_that_the_boot_made_and_that_is_gone_is_a_problem() {
        let (name, state, text) = found(|facts| facts.mounts.truncate(1));
        assert_eq!(
            (name, state, text.as_str()),
            ("mounts", State::Problem, "not mounted: /scratch")
        );
    }

    #[test]
    fn overlays_are_stale_after_three_intervals_and_a_minute() {
        let age = |age: u64| move |facts: &mut Facts| facts.now_s = 1000 + age;
        assert_eq!(found(age(241)).0, "overlays");
        let mut fresh = well();
        age(240)(&mut fresh);
        assert_eq!(worst(&checks(&fresh)), State::Ok);
        // A clock that was set back makes nothing stale.
        fresh.now_s = 0;
        assert_eq!(worst(&checks(&fresh)), State::Ok);
        let (_, state, text) = found(|facts| {
            let error = Some("connection refused".to_owned());
            facts.client =
                Some(ClientState { last_success: None, error, ..ClientState::default() });
        });
        assert_eq!(state, State::Problem);
        assert_eq!(text, "never fetched since the boot; the last look failed: connection refused");
    }

    #[test]
    fn overlays_of_wwclient_are_not_ours_to_judge() {
        let mut facts = Facts { client: None, has_wwclient: true, ..well() };
        assert_eq!(worst(&checks(&facts)), State::Ok);
        facts.has_wwclient = false;
        assert_eq!(worst(&checks(&facts)), State::Warning);
    }

    #[test]
    fn a_hook_that_failed_or_never_ran_is_a_problem_and_so_are_secrets_left() {
        let fail = |name: &'static str| {
            move |facts: &mut Facts| {
                let report = facts.report.as_mut().unwrap();
                report.stages[0].name = name.to_owned();
                report.stages[0].outcome = Outcome::Failed;
                report.stages[0].note = "exit status 1".to_owned();
            }
        };
        assert_eq!(found(fail("preboot")).2, "preboot: exit status 1");
        assert_eq!(found(fail("secrets")).0, "hook");
        assert_eq!(found(|facts| facts.has_secrets = true).2, "/secrets is still there");
        assert_eq!(found(|facts| facts.mounts.push("/secrets".to_owned())).0, "secrets");
    }

    #[test]
    fn a_boot_with_warnings_is_worth_a_look_and_a_node_of_another_is_a_problem() {
        let (name, state, text) = found(|facts| {
            let report = facts.report.as_mut().unwrap();
            report.warnings.push("arguments: rsinit.dedline".to_owned());
            report.finish(None);
        });
        assert_eq!((name, state), ("boot", State::Warning));
        assert_eq!(text, "1 warnings; the first: arguments: rsinit.dedline");
        let facts = Facts { report: None, ..well() };
        assert_eq!(checks(&facts)[0].state, State::Problem);
    }
}
