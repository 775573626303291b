//! `rsinit status`: looks at the running node, and says how it is.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use lexopt::prelude::*;
use serde_json::json;

use super::disks;
use crate::layout::Layout;
use crate::report::status::{ArrayFact, Facts, State, checks, lines, worst};
use crate::report::{Report, prometheus};

/// Exit status where a check found a problem. Source: as grep and diff have it.
const PROBLEM: u8 = 1;
/// Exit status where nothing could be checked: no report, or a wrong argument.
const UNKNOWN: u8 = 2;

/// `rsinit status [--json|--prometheus]`: one line a check; the exit status is 0 where no
/// check found a problem, 1 where one did, and 2 where the node was not booted by rsinit.
///
/// # Errors
/// A wrong argument, or a report that cannot be read.
pub fn run(args: &mut lexopt::Parser) -> anyhow::Result<ExitCode> {
    let mut form = String::new();
    while let Some(arg) = args.next()? {
        match arg {
            Long(name @ ("json" | "prometheus")) if form.is_empty() => form = name.to_owned(),
            other => return Err(other.unexpected().into()),
        }
    }
    let facts = read(&Layout::node(), Path::new("/"))?;
    let checks = checks(&facts);
    let worst = worst(&checks);
    match form.as_str() {
        "json" => {
            let all = json!({"schema": 1, "ok": worst != State::Problem, "checks": checks});
            println!("{}", serde_json::to_string_pretty(&all)?);
        }
        "prometheus" => print!("{}", prometheus(&facts, &checks)),
        _ => print!("{}", lines(&checks)),
    }
    Ok(ExitCode::from(exit_status(&form, worst, facts.report.is_some())))
}

/// What scripts are told; whoever collects metrics reads the problem in them.
fn exit_status(form: &str, worst: State, has_report: bool) -> u8 {
    match worst {
        _ if form == "prometheus" => 0,
        _ if !has_report => UNKNOWN,
        State::Problem => PROBLEM,
        State::Ok | State::Warning => 0,
    }
}

/// Reads what the checks judge; `root` is the node's own root.
///
/// # Errors
/// The report or the client's state are there and cannot be read.
fn read(layout: &Layout, root: &Path) -> anyhow::Result<Facts> {
    let arrays = disks::read_status(layout).arrays.into_iter().map(|array| ArrayFact {
        name: array.name,
        level: array.level,
        state: array.state,
        degraded: array.degraded,
        sync_action: array.sync_action,
    });
    Ok(Facts {
        report: read_json::<Report>(&layout.report())?,
        mounts: disks::read_mounts(layout).into_iter().map(|(_, target)| target).collect(),
        arrays: arrays.collect(),
        has_secrets: fs::symlink_metadata(root.join("secrets")).is_ok(),
        client: read_json(&layout.client())?,
        has_wwclient: root.join("warewulf/wwclient").is_file(),
        now_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
    })
}

/// A file of JSON; none where there is no such file.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => bail!("reading {}: {error}", path.display()),
    };
    serde_json::from_slice(&text).map(Some).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_told_a_problem_from_a_node_that_another_has_booted() {
        for form in ["", "json"] {
            assert_eq!(exit_status(form, State::Ok, true), 0);
            assert_eq!(exit_status(form, State::Warning, true), 0);
            assert_eq!(exit_status(form, State::Problem, true), 1);
            assert_eq!(exit_status(form, State::Problem, false), 2);
        }
        assert_eq!(exit_status("prometheus", State::Problem, false), 0);
    }

    #[test]
    fn facts_are_read_from_the_node_s_own_files() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::under(dir.path());
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let none = read(&layout, dir.path()).unwrap();
        assert!(none.report.is_none() && none.client.is_none() && none.arrays.is_empty());
        assert!(!none.has_secrets && !none.has_wwclient);

        let mut report = Report::new("6.1".to_owned());
        report.finish(None);
        write("run/rsinit/report.json", &serde_json::to_string(&report).unwrap());
        let client = r#"{"schema":1,"last_success":5,"last_attempt":9,"interval_s":60,"error":null,"applied":2}"#;
        write("run/rsinit/client.json", client);
        write("proc/self/mountinfo", "23 1 9:127 / /scratch rw - ext4 /dev/md127 rw\n");
        write("sys/block/md127/md/array_state", "clean\n");
        write("sys/block/md127/md/level", "raid1\n");
        write("sys/block/md127/md/degraded", "1\n");
        write("secrets/key", "x");
        write("warewulf/wwclient", "");
        let facts = read(&layout, dir.path()).unwrap();
        assert_eq!(facts.report, Some(report));
        assert_eq!(facts.client.unwrap().last_success, Some(5));
        assert_eq!(facts.mounts, ["/scratch"]);
        assert_eq!((facts.arrays[0].state.as_str(), facts.arrays[0].degraded), ("clean", 1));
        assert!(facts.has_secrets && facts.has_wwclient);

        write("run/rsinit/client.json", "{");
        let error = read(&layout, dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("client.json"), "{error:#}");
    }
}
