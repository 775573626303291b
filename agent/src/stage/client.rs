//! `rsinit client`: keeps the runtime overlays current on a node that is up.
//!
//! One loop waits for its time, for a signal, or for the thread that asks the server; it never
//! sleeps otherwise. Where the node boots from and as whom comes from the kernel command line, as
//! at boot. A server that does not answer is asked again later and never given up.

mod apply;
mod ask;
mod install;
mod state;

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};

use crate::config::cmdline::Params;
use crate::config::update::{DEFAULT, parse_interval};
use crate::layout::Layout;
use crate::log;
use crate::net::Stop;
use crate::plan::boot::{BootPlan, plan};
use crate::plan::fetch::Routes;
use crate::plan::update::Rhythm;
use crate::stage::context::panic_text;
use crate::sys::Kernel;
use crate::sys::notify::Notify;
use crate::sys::random::random_bytes;
use crate::sys::signal::{Signals, Told};
use ask::{Answer, Question, ask};
use state::{State, now};

pub use apply::{Applied, apply};
pub use install::install;

/// The name in the log.
const NAME: &str = "client";

/// Changed files that are named in the log.
const NAMED: usize = 20;

/// What the client is told.
#[derive(Debug)]
pub enum Event {
    /// Ask now, for everything.
    Now,
    /// End.
    End,
    /// What became of a question.
    Answered(anyhow::Result<Answer>),
}

/// `rsinit client`: runs until `SIGTERM`; `SIGHUP` has it ask at once.
///
/// # Errors
/// A wrong argument, or this node was not booted by rsinit.
pub fn run_command(kernel: &'static dyn Kernel, mut args: lexopt::Parser) -> anyhow::Result<()> {
    if let Some(arg) = args.next()? {
        return Err(arg.unexpected().into());
    }
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log::to_journal();
    }
    let signals = Signals::block().context("blocking signals")?;
    let layout = Layout::running();
    let path = layout.cmdline();
    let cmdline =
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let variable = |name: &str| std::env::var(name).ok();
    let notify =
        Notify::new(variable("NOTIFY_SOCKET").as_deref(), variable("WATCHDOG_USEC").as_deref())
            .context("opening systemd's socket")?;
    let client = Client::new(kernel, layout, &cmdline, notify)?;
    let (events, stop) = (client.events(), client.stop.clone());
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while let Ok(told) = signals.wait() {
            if told == Told::End {
                stop.raise();
            }
            let event = if told == Told::End { Event::End } else { Event::Now };
            if events.send(event).is_err() {
                return;
            }
        }
    })?;
    client.run();
    Ok(())
}

/// The client of one node.
pub struct Client {
    kernel: &'static dyn Kernel,
    layout: Layout,
    plan: BootPlan,
    notify: Notify,
    sender: Sender<Event>,
    events: Receiver<Event>,
    /// Ends a question, and the replacing of files, from another thread.
    pub stop: Stop,
    state: State,
    rhythm: Rhythm,
    /// The dates of what the root is known to hold, one an overlay.
    dates: Vec<Option<String>>,
    /// Why the last question failed, as it was said: once is enough.
    last_cause: String,
    /// What is wrong with the server's settings, as it was said.
    last_conf: String,
}

impl Client {
    /// The client of the node that was booted with `cmdline`.
    ///
    /// # Errors
    /// The kernel arguments name no server to boot from.
    pub fn new(
        kernel: &'static dyn Kernel,
        layout: Layout,
        cmdline: &str,
        notify: Notify,
    ) -> anyhow::Result<Self> {
        let (params, _) = Params::parse(cmdline);
        ensure!(params.claims_root(), "this node was not booted by rsinit: see /proc/cmdline");
        let (sender, events) = std::sync::mpsc::channel();
        let state = State::read(&layout.client(), &layout.report());
        Ok(Self {
            kernel,
            plan: plan(&params)?,
            notify,
            sender,
            events,
            stop: Stop::default(),
            state,
            rhythm: Rhythm::default(),
            dates: Vec::new(),
            last_cause: String::new(),
            last_conf: String::new(),
            layout,
        })
    }

    /// Where it is told things.
    pub fn events(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Runs until it is told to end.
    pub fn run(mut self) {
        if matches!(&self.plan.routes, Routes::Static { runtime, .. } if runtime.is_empty()) {
            log::line(
                NAME,
                "no runtime overlay is named on the kernel command line: nothing to do",
            );
            self.tell_systemd("READY=1\nSTOPPING=1");
            return;
        }
        let interval = self.interval();
        let server = &self.plan.server;
        log::line(NAME, format_args!("asking {server} every {} s", interval.as_secs()));
        self.save();
        self.tell_systemd("READY=1\nSTATUS=has not asked yet");
        let mut wait = Rhythm::first(interval, fraction());
        loop {
            let is_forced = match self.next_event(Some(Instant::now() + wait)) {
                None => false,
                Some(Event::Now) => true,
                Some(Event::End) => break,
                Some(Event::Answered(_)) => continue,
            };
            if is_forced {
                self.dates.clear();
            }
            let Some((result, is_asked_again)) = self.question() else { break };
            let outcome = result.and_then(|answer| self.take(answer));
            wait = self.record(outcome);
            if is_asked_again {
                // It may have been told of a change that this answer does not hold yet.
                self.dates.clear();
                wait = Duration::ZERO;
            }
        }
        self.tell_systemd("STOPPING=1");
    }

    /// Asks, and waits for the answer, which is `None` where it was told to end; and whether it
    /// was told to ask again meanwhile.
    fn question(&mut self) -> Option<(anyhow::Result<Answer>, bool)> {
        self.state.last_attempt = Some(now());
        let question = Question {
            kernel: self.kernel,
            layout: self.layout.clone(),
            plan: self.plan.clone(),
            dates: self.dates.clone(),
            stop: self.stop.clone(),
        };
        let sender = self.sender.clone();
        let asking = thread::Builder::new().name("ask".to_owned()).spawn(move || {
            let answer = catch_unwind(AssertUnwindSafe(|| ask(&question)))
                .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", panic_text(&*panic))));
            // Nobody waits for it any more where the client ends.
            let _ = sender.send(Event::Answered(answer));
        });
        if let Err(error) = asking {
            return Some((Err(error.into()), false));
        }
        let mut is_asked_again = false;
        loop {
            match self.next_event(None)? {
                Event::Now => is_asked_again = true,
                Event::End => return None,
                Event::Answered(answer) => return Some((answer, is_asked_again)),
            }
        }
    }

    /// The next event, or `None` at `until`; tells systemd's watchdog meanwhile.
    fn next_event(&self, until: Option<Instant>) -> Option<Event> {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let slice = self.notify.watchdog.map(|watchdog| watchdog / 2);
            let wait = left.into_iter().chain(slice).min();
            let event = match wait {
                // A sender is held here: the channel cannot close.
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => self.events.recv_timeout(wait),
            };
            if slice.is_some() {
                self.tell_systemd("WATCHDOG=1");
            }
            match event {
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Timeout) if left.is_none_or(|left| Some(left) > wait) => {}
                Err(_) => return None,
            }
        }
    }

    /// Brings the root to what was answered; says what was done.
    fn take(&mut self, answer: Answer) -> anyhow::Result<String> {
        let Some(overlays) = answer else { return Ok("nothing newer".to_owned()) };
        let (archives, dates): (Vec<_>, Vec<_>) =
            overlays.into_iter().map(|small| (small.bytes, small.modified)).unzip();
        let (root, stop) = (&self.layout.sysroot, &self.stop);
        // On a thread of its own: it has a umask of its own.
        let applied = thread::scope(|scope| {
            let applying = scope.spawn(|| apply(root, &archives, stop));
            applying.join().unwrap_or_else(|panic| Err(anyhow!(panic_text(&*panic))))
        })?;
        self.state.applied += u64::try_from(applied.changed.len())?;
        for warning in &applied.warnings {
            log::warning(NAME, warning);
        }
        let done = describe(&applied);
        if !applied.changed.is_empty() {
            log::line(NAME, &done);
        }
        let failed = applied.failed.len();
        if let Some(first) = applied.failed.first() {
            return Err(anyhow!("{failed} files could not be replaced, the first: {first}"));
        }
        self.dates = dates;
        Ok(done)
    }

    /// Keeps what became of a question, for people and for systemd; how long to wait now.
    fn record(&mut self, outcome: anyhow::Result<String>) -> Duration {
        let failures = self.rhythm.failures();
        let interval = self.interval();
        let (wait, status) = match outcome {
            Ok(done) => {
                self.state.last_success = self.state.last_attempt;
                self.state.error = None;
                self.last_cause.clear();
                if failures > 0 {
                    log::line(NAME, format_args!("well again; failures before: {failures}"));
                }
                (self.rhythm.after_answer(interval, fraction()), done)
            }
            Err(error) => {
                let text = format!("{error:#}").replace('\n', " ");
                self.state.error = Some(text.clone());
                let wait = self.rhythm.after_failure(interval, fraction());
                let soon = format!("{text}; asking again in {:.0} s", wait.as_secs_f64());
                complain(&mut self.last_cause, text, &soon);
                (wait, soon)
            }
        };
        self.save();
        self.tell_systemd(&format!("STATUS={status}"));
        wait
    }

    /// Between two questions, as the server's own settings say it now.
    fn interval(&mut self) -> Duration {
        let path = self.layout.warewulf_conf();
        let read = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
            Ok(text) => parse_interval(&text).map_err(|error| error.to_string()),
        };
        let cause = read.as_ref().err().cloned().unwrap_or_default();
        let (path, seconds) = (path.display(), DEFAULT.as_secs());
        let text = format!("{path}: {cause}; taking {seconds} s");
        complain(&mut self.last_conf, cause, &text);
        let interval = read.ok().flatten().unwrap_or(DEFAULT);
        self.state.interval_s = interval.as_secs();
        interval
    }

    fn save(&self) {
        if let Err(error) = self.state.write(&self.layout.client()) {
            log::warning(NAME, format_args!("{error:#}"));
        }
    }

    fn tell_systemd(&self, message: &str) {
        if let Err(error) = self.notify.send(message) {
            log::warning(NAME, format_args!("telling systemd: {error}"));
        }
    }
}

/// Says `text` where there is a `cause` and it is not the last one.
fn complain(last: &mut String, cause: String, text: &str) {
    if !cause.is_empty() && *last != cause {
        log::warning(NAME, text);
    }
    *last = cause;
}

/// Names what was changed, as far as there is room.
fn describe(applied: &Applied) -> String {
    let names: Vec<&str> = applied.changed.iter().take(NAMED).map(String::as_str).collect();
    let names = names.join(", ");
    match applied.changed.len() {
        0 => "nothing differs".to_owned(),
        1 => format!("1 file changed: {names}"),
        count @ ..=NAMED => format!("{count} files changed: {names}"),
        count => format!("{count} files changed: {names}, and {} more", count - NAMED),
    }
}

/// From 0 up to 1, by chance. Without randomness all nodes are alike, and still asked for.
fn fraction() -> f64 {
    let bytes = random_bytes::<2>().unwrap_or([0x80, 0]);
    f64::from(u16::from_be_bytes(bytes)) / 65_536.0
}
