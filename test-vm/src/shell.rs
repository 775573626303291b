//! A shell on a node's serial console, typed to as an administrator would.
//!
//! What a command prints is told from the echo of what was typed by a line before and a line
//! after it, which the shell puts together: neither stands so in what is typed.

use std::io::Write as _;
use std::process::ChildStdin;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::node::gave_up;
use crate::qemu::{Ending, Running};

/// How root's prompt ends.
const PROMPT: &str = "# ";
/// How sulogin's question ends, where systemd runs the shell and root has no password.
const SULOGIN: &str = "(or press Control-D to continue): ";
/// Most time for one command, and for the first prompt.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell that prompts.
#[derive(Debug)]
pub struct Shell<'a> {
    running: &'a mut Running,
    keyboard: &'a mut ChildStdin,
    typed: u32,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit status.
    pub status: i32,
    /// Standard output and error, and what else came on the console meanwhile.
    pub text: String,
}

impl<'a> Shell<'a> {
    /// The shell that was announced on the console of `running`, whose keyboard `keyboard` is.
    ///
    /// # Errors
    /// It does not prompt.
    pub fn open(running: &'a mut Running, keyboard: &'a mut ChildStdin) -> Result<Self> {
        let mut shell = Self { running, keyboard, typed: 0 };
        let asked = shell.wait(0, |text| [PROMPT, SULOGIN].iter().any(|end| text.ends_with(end)));
        if asked.context("waiting for a prompt")?.ends_with(SULOGIN) {
            let before = shell.enter("")?;
            shell.wait(before, |text| text.ends_with(PROMPT)).context("pressing Enter")?;
        }
        Ok(shell)
    }

    /// Types `command`, and waits for its end.
    ///
    /// # Errors
    /// It does not end, or the machine does.
    pub fn run(&mut self, command: &str) -> Result<Said> {
        self.typed += 1;
        let number = self.typed;
        let line = format!("echo '@@' {number} begins; {command}; echo '@@' {number} ends with $?");
        let before = self.enter(&line)?;
        let text = self.wait(before, |text| find(text, number).is_some());
        let text = text.with_context(|| format!("running {command}"))?;
        find(&text, number).with_context(|| format!("finding what {command} said"))
    }

    /// Leaves it, and waits for the end of the machine or the next shell.
    ///
    /// # Errors
    /// QEMU cannot be asked.
    pub fn leave(mut self, limit: Duration) -> Result<Ending> {
        let before = self.enter("exit")?;
        let console = self.running.console.clone();
        self.running.wait(limit, |_| gave_up(&console.text_from(before)))
    }

    /// Types a line; how long the console was before.
    fn enter(&mut self, line: &str) -> Result<usize> {
        let before = self.running.console.length();
        writeln!(self.keyboard, "{line}")
            .and_then(|()| self.keyboard.flush())
            .with_context(|| format!("typing {line}"))?;
        Ok(before)
    }

    /// Waits until `is_done` says yes to what came on the console from byte `from` on.
    fn wait(&mut self, from: usize, is_done: impl Fn(&str) -> bool) -> Result<String> {
        let console = self.running.console.clone();
        let text = || Some(console.text_from(from)).filter(|text| is_done(text));
        match self.running.wait(PATIENCE, |_| text())? {
            Ending::Stopped(text) => Ok(text),
            other => {
                let said = console.text_from(from);
                let last: Vec<&str> = said.lines().rev().take(5).collect();
                bail!("{other:?} within {} s; the last lines: {last:?}", PATIENCE.as_secs())
            }
        }
    }
}

/// What the command `number` said, in what came on the console since it was typed.
fn find(text: &str, number: u32) -> Option<Said> {
    let (_, rest) = text.split_once(&format!("@@ {number} begins\n"))?;
    let (said, rest) = rest.split_once(&format!("@@ {number} ends with "))?;
    let (status, _) = rest.split_once('\n')?;
    Some(Said { status: status.parse().ok()?, text: said.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_of_what_was_typed_is_not_what_it_said() {
        let echo = "dracut:/# echo '@@' 1 begins; rsinit plan; echo '@@' 1 ends with $?\n";
        assert_eq!(find(echo, 1), None);
        let running = format!("{echo}@@ 1 begins\nserver  http://h\n");
        assert_eq!(find(&running, 1), None);
        let said = Said { status: 1, text: "server  http://h\n".to_owned() };
        let ended = format!("{running}@@ 1 ends with 1\ndracut:/# ");
        assert_eq!(find(&ended, 1), Some(said));
        assert_eq!(find(&ended, 2), None);
    }
}
