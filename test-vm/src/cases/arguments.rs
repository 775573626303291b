//! Kernel arguments that are missing or mistyped.

use anyhow::Result;

use super::{Bench, Case, Size, ends_with};
use crate::facts::Facts;

/// No address to boot from.
pub const NO_URI: Case = Case {
    name: "no-uri",
    about: "root=rsinit without rsinit.uri: one line that names the argument",
    size: Size::Tiny,
    run: no_uri,
};

/// A mistyped argument.
pub const UNKNOWN: Case = Case {
    name: "unknown-argument",
    about: "a mistyped rsinit argument is named with the nearest known one; root=rsinit and wwinit.uri work",
    size: Size::Tiny,
    run: unknown,
};

fn no_uri(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    node.argue("root", "rsinit");
    node.drop_argument("rsinit.uri");
    let boot = node.boot(|_| {})?;
    ends_with(&boot, "rsinit: arguments: ", &["rsinit.uri"], facts);
    facts.equal("the server was not asked", boot.requests.len(), 0);
    Ok(())
}

fn unknown(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let mut node = bench.tiny()?;
    let uri = node.uri();
    node.argue("root", "rsinit");
    node.drop_argument("rsinit.uri");
    node.argue("wwinit.uri", &uri);
    node.argue("rsinit.dedline", "100");
    let boot = node.boot(|_| {})?;
    let answer = boot.answer()?;
    facts.equal("the node is up", answer.text("/etc/hostname").trim(), &node.number.name());
    let said = boot.lines().join("\n");
    facts.contains("the console names both", &said, &["rsinit.dedline", "rsinit.deadline"]);
    facts.contains("so does the report", &answer.report_text(), &["rsinit.dedline"]);
    Ok(())
}
