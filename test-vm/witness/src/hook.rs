//! What the witness does as a preboot hook, by the name it is called by.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::process::Signal;

/// What a hook saw, for the witness to tell.
pub const SAW: &str = "/hook.json";

/// Which hooks ran, in their order.
pub const ORDER: &str = "/hook-order";

/// Where `hook-leak` puts the planted key: the one place that may have it.
pub const PLANTED_AT: &str = "/etc/planted.key";

/// The planted key, in the secrets.
const PLANTED: &str = "/secrets/planted.key";

/// What `hook-kill` leaves in the initramfs when it has killed the agent.
const KILLED: &str = "/run/hook-kill";

/// A process that hooks leave behind.
const HOLDER: &str = "/hook-holder";

/// Acts as the hook `name`; none where that is no hook.
pub fn act(name: &str) -> Option<ExitCode> {
    Some(match name {
        "hook-ok" => look(ExitCode::SUCCESS),
        "hook-fail" => look(ExitCode::FAILURE),
        "hook-hang" => {
            look(ExitCode::SUCCESS);
            sleep_for_ever()
        }
        "hook-daemon" => code(leave_holders()),
        "hook-holder" => code(hold()),
        "hook-kill" => code(kill_the_agent()),
        "hook-leak" => code(leak()),
        "hook-reader" => code(read_on()),
        "10-first" | "20-second" | "30-fails" | "40-never" => code(note(name)),
        _ => return None,
    })
}

fn code(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("{cause}");
            ExitCode::from(98)
        }
    }
}

fn sleep_for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Writes down what a hook finds: arguments, folder, environment, the secrets.
fn look(code: ExitCode) -> ExitCode {
    let environment: Vec<String> =
        std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts.lines().find(|line| line.contains(" /secrets "));
    let pts = fs::metadata("/dev/pts/ptmx").is_ok();
    let saw = serde_json::json!({
        "argv": std::env::args().collect::<Vec<_>>(),
        "folder": std::env::current_dir().unwrap_or_default(),
        "environment": environment,
        "secrets": names("/secrets"),
        "secrets.yml": fs::read_to_string("/secrets/secrets.yml").unwrap_or_default(),
        "mount": mount,
        "writable": fs::write("/secrets/written", "x").is_ok(),
        "proc": fs::exists("/proc/self/status").unwrap_or_default(),
        "sys": fs::exists("/sys/kernel").unwrap_or_default(),
        "run": mounts.lines().any(|line| line.contains(" /run ")),
        "pts": pts,
        "shm": fs::write("/dev/shm/of-the-hook", "x").is_ok(),
        "oom_score_adj": oom_score_adj("self"),
        "oom_score_adj of the agent": oom_score_adj(&std::os::unix::process::parent_id().to_string()),
        "null": fs::write("/dev/null", "x").is_ok(),
        "openat2": is_there(openat2()),
    });
    println!("the hook says hello");
    eprintln!("the hook complains");
    match fs::write(SAW, saw.to_string()) {
        Ok(()) => code,
        Err(_) => ExitCode::from(99),
    }
}

fn oom_score_adj(process: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/oom_score_adj"));
    text.unwrap_or_default().trim().to_owned()
}

/// A call that came with Linux 5.6.
fn openat2() -> rustix::io::Result<()> {
    let (flags, mode) = (OFlags::PATH, Mode::empty());
    rustix::fs::openat2(rustix::fs::CWD, "/", flags, mode, ResolveFlags::empty()).map(drop)
}

fn is_there(called: rustix::io::Result<()>) -> bool {
    called != Err(rustix::io::Errno::NOSYS)
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Leaves two daemons that hold on to the secrets, and passes.
fn leave_holders() -> io::Result<()> {
    for way in ["inside", "outside"] {
        let mut first = Command::new(HOLDER).args(["fork", way]).stdout(Stdio::piped()).spawn()?;
        let output = first.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // The second process says it: the first has gone by then.
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        first.wait()?;
        println!("left behind: {line}");
    }
    fs::write(SAW, "{}")
}

/// `hook-holder fork WAY` forks again in a session of its own; `hook-holder WAY` holds on.
fn hold() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fork", way] => {
            rustix::process::setsid()?;
            Command::new(HOLDER).arg(way).spawn().map(drop)
        }
        [way] => {
            let mut secrets = "/secrets".to_owned();
            if *way == "outside" {
                // As root in a chroot can: out of it, where its root tells nothing any more.
                rustix::process::chroot("/proc/1/root")?;
                secrets.insert_str(0, "/sysroot");
            }
            std::env::set_current_dir(&secrets)?;
            let key = fs::File::open("munge.key")?;
            writeln!(io::stdout(), "{way} {}", key.metadata()?.len())?;
            sleep_for_ever()
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Puts the planted key wherever it can, leaves daemons that hold the secrets, and kills the agent,
/// which is its parent. The second time it lets the node boot.
fn kill_the_agent() -> io::Result<()> {
    if fs::exists(KILLED)? {
        return fs::write(SAW, "{}");
    }
    fs::write(KILLED, "")?;
    let key = fs::read_to_string(PLANTED)?;
    fs::write(PLANTED_AT, &key)?;
    println!("the key is {key}");
    fs::write("/dev/shm/of-the-hook", &key)?;
    leave_holders()?;
    let agent = rustix::process::getppid().ok_or(io::ErrorKind::NotFound)?;
    rustix::process::kill_process(agent, Signal::KILL)?;
    sleep_for_ever()
}

/// Does with the planted key what a careless hook would, and dumps core.
fn leak() -> io::Result<()> {
    let key = fs::read_to_string(PLANTED)?;
    let key = key.trim_end();
    fs::write(PLANTED_AT, key)?;
    println!("before the key");
    println!("the key is {key}");
    eprint!("{}", serde_json::json!({"content": key, "after": "it"}));
    let scratch = std::env::var("TMPDIR").map_err(io::Error::other)?;
    fs::write(format!("{scratch}/of-the-hook"), key)?;
    println!("\nafter the key");
    let mut copy = key.to_owned();
    std::hint::black_box(&mut copy);
    std::process::abort()
}

/// Asks the server again and again with one of its files open, until it does not answer.
fn read_on() -> io::Result<()> {
    let _open = fs::File::open("/secrets/munge.key")?;
    let console = fs::File::options().write(true).open("/dev/console");
    console.and_then(|mut console| console.write_all(b"\nhook-reader: reads\n"))?;
    for number in 0_u64.. {
        match fs::metadata(format!("/secrets/none-{number}")) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// One of several hooks: notes its name.
fn note(name: &str) -> io::Result<()> {
    let mut order = fs::File::options().create(true).append(true).open(ORDER)?;
    writeln!(order, "{name}")?;
    if name == "30-fails" {
        Err(io::Error::other("30-fails fails, as its name says"))
    } else {
        Ok(())
    }
}
