//! The agent's own lines: `rsinit: <stage>: <what>`, one write each.

use std::fmt::Display;

/// Says one line. Never a secret: no query string, no key, no body of a file.
pub fn line(stage: &str, text: impl Display) {
    eprintln!("rsinit: {stage}: {text}");
}
