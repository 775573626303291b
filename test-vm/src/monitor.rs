//! What is done to a machine from outside while it runs, by QEMU's monitor (QMP).

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// How long QEMU may take to open its monitor, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives a network card a signal, or takes it away: the card whose end of the wire QEMU calls
/// `name`, of the machine whose monitor listens at `socket`.
///
/// # Errors
/// Nobody listens there, or QEMU knows no such card.
pub fn set_link(socket: &Path, name: &str, up: bool) -> Result<()> {
    let stream = open(socket)?;
    let mut answers = BufReader::new(stream.try_clone().context("sharing the monitor")?);
    let link = json!({"execute": "set_link", "arguments": {"name": name, "up": up}});
    for command in [json!({"execute": "qmp_capabilities"}), link] {
        writeln!(&stream, "{command}").context("telling the monitor")?;
        obeyed(&mut answers).with_context(|| format!("telling the monitor {command}"))?;
    }
    Ok(())
}

fn open(socket: &Path) -> Result<UnixStream> {
    let patience = Instant::now() + PATIENCE;
    let stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            // QEMU has only just been started.
            Err(_) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(10)),
            Err(cause) => {
                return Err(cause).with_context(|| format!("connecting to {}", socket.display()));
            }
        }
    };
    stream.set_read_timeout(Some(PATIENCE)).context("limiting how long to wait")?;
    Ok(stream)
}

/// Waits for the answer to a command: events and the greeting may come before it.
fn obeyed(answers: &mut impl BufRead) -> Result<()> {
    for line in answers.lines() {
        let said: Value = serde_json::from_str(&line?).context("reading an answer")?;
        if said.get("return").is_some() {
            return Ok(());
        }
        if let Some(error) = said.get("error") {
            bail!("{error}");
        }
    }
    bail!("QEMU has closed its monitor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_what_comes_before_it() {
        let mut said = "{\"QMP\": {}}\n{\"event\": \"RESUME\"}\n{\"return\": {}}\n".as_bytes();
        obeyed(&mut said).unwrap();
        assert!(obeyed(&mut "{\"error\": {\"desc\": \"no wire\"}}\n".as_bytes()).is_err());
        assert!(obeyed(&mut "{\"event\": \"STOP\"}\n".as_bytes()).is_err());
    }
}
