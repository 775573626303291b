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
/// Most time for one command.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time for a prompt, and how often it is asked for: what the kernel says may come right after one.
const PROMPT_PATIENCE: Duration = Duration::from_secs(5);
const PROMPT_TRIES: u32 = 24;

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
    /// Enter is what sulogin wants, and has a shell prompt again.
    ///
    /// # Errors
    /// It does not prompt.
    pub fn open(running: &'a mut Running, keyboard: &'a mut ChildStdin) -> Result<Self> {
        let mut shell = Self { running, keyboard, typed: 0 };
        let mut before = 0;
        let asks = |text: &str| [PROMPT, SULOGIN].iter().any(|end| text.ends_with(end));
        for _ in 0..PROMPT_TRIES {
            match shell.wait_for(PROMPT_PATIENCE, before, asks)? {
                Ok(text) if text.ends_with(PROMPT) => return Ok(shell),
                Ok(_) | Err(Ending::TimedOut) => before = shell.enter("")?,
                Err(other) => bail!("waiting for a prompt: {other:?}"),
            }
        }
        bail!("no prompt; the console's last line: {:?}", shell.last_lines(0, 1))
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
        self.wait_for(PATIENCE, from, is_done)?.or_else(|other| {
            let last = self.last_lines(from, 5);
            bail!("{other:?} within {} s; the last lines: {last:?}", PATIENCE.as_secs())
        })
    }

    /// As [`wait`](Self::wait), for `limit`; what else has happened.
    fn wait_for(
        &mut self,
        limit: Duration,
        from: usize,
        is_done: impl Fn(&str) -> bool,
    ) -> Result<Result<String, Ending>> {
        let console = self.running.console.clone();
        let text = || Some(console.text_from(from)).filter(|text| is_done(text));
        let ending = self.running.wait(limit, |_| text())?;
        Ok(match ending {
            Ending::Stopped(text) => Ok(text),
            other => Err(other),
        })
    }

    /// The last `count` lines of what came on the console from byte `from` on, the latest first.
    fn last_lines(&self, from: usize, count: usize) -> Vec<String> {
        let said = self.running.console.text_from(from);
        said.lines().rev().take(count).map(str::to_owned).collect()
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
    use std::process::Command;

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

    /// What stands on the console when a shell is opened, and the shell: a program in the machine's
    /// place.
    fn shell_after(said: &str) -> (tempfile::TempDir, Running) {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "printf '%b' '{said}'
             while read -r line; do
                 if [ -n \"$line\" ]; then eval \"$line\"; fi
                 printf 'dracut:/# '
             done"
        );
        let mut program = Command::new("sh");
        program.arg("-c").arg(script);
        let running = Running::start(&mut program, &folder.path().join("log"), false).unwrap();
        (folder, running)
    }

    #[test]
    fn a_prompt_is_found_also_where_the_kernel_speaks_right_after_it() {
        for said in [
            "Dropping to debug shell.\\ndracut:/# ",
            "Dropping to debug shell.\\ndracut:/# [   61.2] nvme nvme0: late\\n",
            "Press Enter for maintenance\\n(or press Control-D to continue): ",
            "Press Enter for maintenance\\n(or press Control-D to continue): [   61.2] late\\n",
        ] {
            let (_folder, mut running) = shell_after(said);
            let mut keyboard = running.keyboard().unwrap();
            let mut shell = Shell::open(&mut running, &mut keyboard).unwrap();
            let answer = Said { status: 3, text: "here\n".to_owned() };
            assert_eq!(shell.run("(echo here; exit 3)").unwrap(), answer, "{said}");
        }
    }

    #[test]
    fn a_machine_that_is_off_before_it_prompts_is_told_from_one_that_is_slow() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Command::new("true");
        let mut running = Running::start(&mut program, &folder.path().join("log"), false).unwrap();
        let mut keyboard = running.keyboard().unwrap();
        let error = Shell::open(&mut running, &mut keyboard).unwrap_err();
        assert!(error.to_string().contains("Off"), "{error}");
    }
}
