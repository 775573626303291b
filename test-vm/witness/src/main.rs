//! What runs in a booted test node: as its init or its preboot hook (tiny image), or as a unit
//! (real node). It looks, tells on the second serial port, and switches the node off.
//! In the agent's place in an initramfs, it becomes the agent on the floor of Linux 4.18.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags};
use rustix::system::RebootCommand;
use witness::floor::{REAL_AGENT, stand_on_the_floor};
use witness::observe::observe;
use witness::watch::watch;
use witness::{Answer, PORT, QUESTION, Question, Ran, Then, hook, markers, trace, watching};

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let name = Path::new(&name).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        "rsinit" => become_agent_on_the_floor(),
        _ => hook::act(name).or_else(|| trace::act(name)).unwrap_or_else(testify),
    }
}

/// Becomes the agent that lies beside it, which knows no system call newer than 4.18.
fn become_agent_on_the_floor() -> ExitCode {
    let cause = match stand_on_the_floor() {
        Ok(()) => Command::new(REAL_AGENT).arg0("rsinit").args(std::env::args_os().skip(1)).exec(),
        Err(cause) => cause,
    };
    eprintln!("witness: {REAL_AGENT}: {cause}");
    ExitCode::FAILURE
}

fn sleep_for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Answers the question of this boot, and ends it.
fn testify() -> ExitCode {
    let first = std::process::id() == 1;
    let question = fs::read_to_string(QUESTION).ok();
    let question: Option<Question> = question.and_then(|text| serde_json::from_str(&text).ok());
    let Some(question) = question else {
        eprintln!("witness: no question at {QUESTION}");
        return end(first, Then::PowerOff);
    };
    let mut watched = Vec::new();
    for (number, one) in (1..).zip(&question.watches) {
        if let Err(cause) = say(&watching(&question.word, number)) {
            eprintln!("witness: {PORT}: {cause}");
        }
        watched.push(watch(one));
    }
    let mut answer = observe(&question);
    answer.watched = watched;
    for (path, text) in &question.writes {
        if let Err(cause) = write_through(path, text) {
            let argv = vec!["write".to_owned(), path.clone()];
            answer.commands.push(Ran { argv, status: None, text: cause.to_string() });
        }
    }
    if let Err(cause) = tell(&question.word, &answer) {
        eprintln!("witness: {PORT}: {cause}");
    }
    end(first, question.then)
}

fn write_through(path: &str, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn tell(word: &str, answer: &Answer) -> io::Result<()> {
    let (begin, end) = markers(word);
    let body = serde_json::to_string(answer)?;
    say(&format!("\n{begin}\n{body}\n{end}"))
}

fn say(text: &str) -> io::Result<()> {
    let mut port = OpenOptions::new().write(true).open(PORT)?;
    port.write_all(format!("{text}\n").as_bytes())?;
    // Not before the last byte has left: the power goes next.
    rustix::termios::tcdrain(&port)?;
    Ok(())
}

/// Switches off: as the first process by itself, else through systemd.
fn end(first: bool, then: Then) -> ExitCode {
    if then == Then::Stay {
        if first {
            sleep_for_ever();
        }
        return ExitCode::SUCCESS;
    }
    if !first {
        let asked = Command::new("systemctl").args(["poweroff", "--no-block"]).status();
        let accepted = asked.is_ok_and(|status| status.success());
        return if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    unmount_all();
    rustix::fs::sync();
    match rustix::system::reboot(RebootCommand::PowerOff) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Unmounts what can be, the latest first; what is busy becomes read-only.
fn unmount_all() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for at in mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
        if ["/", "/proc", "/dev"].contains(&at) {
            continue;
        }
        if rustix::mount::unmount(at, UnmountFlags::empty()).is_err() {
            // Nothing more can be done, and the host's e2fsck will see it.
            let _ = rustix::mount::mount_remount(at, MountFlags::RDONLY, "");
        }
    }
}
