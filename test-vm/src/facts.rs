//! What must be true of a boot: each fact is checked, and those that do not hold are told together.

use std::fmt::{Debug, Display};

use anyhow::{Result, bail};

/// The facts of one case.
#[derive(Debug, Default)]
pub struct Facts {
    held: usize,
    failed: Vec<String>,
}

impl Facts {
    /// `fact` holds where `truth`; else `saw` is told beside it.
    pub fn holds(&mut self, fact: &str, truth: bool, saw: impl Display) {
        if truth {
            self.held += 1;
        } else {
            self.failed.push(format!("{fact}: saw {saw}"));
        }
    }

    /// `fact` holds where `saw` equals `want`.
    pub fn equal<T: PartialEq + Debug>(&mut self, fact: &str, saw: T, want: T) {
        self.holds(fact, saw == want, format_args!("{saw:?}, not {want:?}"));
    }

    /// `fact` holds where `action` succeeds; its value is returned.
    pub fn succeeds<T>(&mut self, fact: &str, action: Result<T>) -> Option<T> {
        match action {
            Ok(value) => {
                self.held += 1;
                Some(value)
            }
            Err(cause) => {
                self.failed.push(format!("{fact}: {cause:#}"));
                None
            }
        }
    }

    /// `fact` holds where `text` contains each of `parts`.
    pub fn contains(&mut self, fact: &str, text: &str, parts: &[&str]) {
        let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
        let shown: String = text.chars().rev().take(600).collect::<Vec<_>>().iter().rev().collect();
        self.holds(fact, missing.is_empty(), format_args!("no {missing:?} in {shown:?}"));
    }

    /// How many held.
    ///
    /// # Errors
    /// One or more did not, or none was checked at all: a case without facts proves nothing.
    pub fn close(self) -> Result<usize> {
        if !self.failed.is_empty() {
            bail!(
                "{} facts hold, {} do not:\n  - {}",
                self.held,
                self.failed.len(),
                self.failed.join("\n  - ")
            );
        }
        if self.held == 0 {
            bail!("no fact was checked");
        }
        Ok(self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_facts_that_fail_are_told_together() {
        let mut facts = Facts::default();
        facts.holds("the sun shines", true, "");
        facts.equal("the mode is right", 0o644, 0o600);
        facts.contains("the log names the line", "line 3", &["line 4"]);
        let told = facts.close().unwrap_err().to_string();
        assert!(told.contains("the mode is right") && told.contains("line 4"), "{told}");
    }

    #[test]
    fn a_case_that_checked_nothing_fails() {
        assert!(Facts::default().close().is_err());
    }
}
