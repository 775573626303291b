//! One download measured and told, and what makes another one worth while.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::Options;
use crate::format::compression::{Form, sniff};
use crate::log;
use crate::net::{self, Cause, Download, Policy, Stop};
use crate::plan::fetch::What;
use crate::stage::progress::{Progress, ProgressLine};

/// Between two lines of progress.
const TELL: Duration = Duration::from_secs(1);

/// Between two looks at the threads that work.
const LOOK: Duration = Duration::from_millis(100);

/// Downloads in a row with the very same error that show an archive to be damaged for good.
const SAME: u32 = 3;

/// A download whose bytes are counted and hashed, in the thread that reads it.
///
/// Hashing a compressed archive goes on beside the inflating, which takes longer: on two
/// cores it costs no time. An uncompressed one would take nearly twice as long, so it is
/// hashed only where its digest is asked for.
pub struct Metered<'a> {
    download: Download,
    progress: &'a Progress,
    hash: Option<Sha256>,
    is_asked: bool,
    bytes: u64,
}

impl<'a> Metered<'a> {
    pub fn new(download: Download, progress: &'a Progress, is_asked: bool) -> Self {
        Self { download, progress, hash: Some(Sha256::new()), is_asked, bytes: 0 }
    }

    pub fn url(&self) -> String {
        self.download.url()
    }

    pub fn count(&self) -> u64 {
        self.bytes
    }

    pub fn resumed(&self) -> u32 {
        self.download.resumed()
    }

    /// The digest of all that was read so far.
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.hash.clone().map(|hash| hash.finalize().into())
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.download.read(buffer)?;
        let block = buffer.get(..got).unwrap_or_default();
        if self.bytes == 0 && !self.is_asked && matches!(sniff(block), Ok(Form::Raw)) {
            self.hash = None;
        }
        if let Some(hash) = &mut self.hash {
            hash.update(block);
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(got).unwrap_or(0));
        self.progress.add_fetched(got);
        Ok(got)
    }
}

/// Runs `work` beside a loop that tells its progress, and that stops its network as soon as the
/// unpacking failed or the whole is no longer wanted.
pub fn run_and_tell<T: Send>(
    policy: &Policy,
    progress: &Progress,
    say: &Mutex<&mut dyn FnMut(ProgressLine)>,
    work: impl FnOnce(&Policy) -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let inner = Policy { stop: Stop::default(), ..policy.clone() };
    let (done, finished) = channel::<()>();
    thread::scope(|scope| {
        let theirs = &inner;
        let working =
            thread::Builder::new().name("fetch".to_owned()).spawn_scoped(scope, move || {
                // Dropped at the end, also by a panic: that ends the telling.
                let _done = done;
                work(theirs)
            })?;
        let (mut told, mut before) = (Instant::now(), 0);
        while finished.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if progress.failed.load(Ordering::Relaxed) || policy.stop.is_raised() {
                inner.stop.raise();
            }
            // While the server does not answer, the retries tell of it.
            let has_begun = progress.fetched.load(Ordering::Relaxed) > 0;
            if has_begun && told.elapsed() >= TELL {
                let line = progress.line(before, told.elapsed());
                (told, before) = (Instant::now(), progress.fetched.load(Ordering::Relaxed));
                say.lock().unwrap_or_else(PoisonError::into_inner)(line);
            }
        }
        working.join().unwrap_or_else(|_| Err(anyhow!("the thread that fetches panicked")))
    })
}

/// Length and date of a file on the server.
pub type Version = (Option<u64>, Option<String>);

/// Repeats `work` while another download may help; `work` says which version of the file it
/// was given. Also returns how often it started again.
pub fn with_restarts<T>(
    what: What,
    options: &Options,
    mut work: impl FnMut(&mut Version) -> anyhow::Result<T>,
) -> anyhow::Result<(T, u32)> {
    let mut backoff = options.policy.backoff();
    let mut before = (String::new(), Version::default(), 0);
    let mut restarts = 0;
    loop {
        let mut version = Version::default();
        let error = match work(&mut version) {
            Ok(done) => return Ok((done, restarts)),
            Err(error) => error,
        };
        if is_final(&error) || options.downloads <= 1 {
            return Err(error);
        }
        let text = format!("{error:#}");
        let downloads = restarts + 1;
        // A file that changes or grows is no damage: it is in the making.
        let is_same = before.0 == text && before.1 == version && !is_changed(&error);
        let same = if is_same { before.2 + 1 } else { 1 };
        if same >= SAME {
            return Err(error).context(format!("{same} downloads ended in the same error"));
        }
        if downloads >= options.downloads {
            return Err(error).context(format!("given up after {downloads} downloads"));
        }
        let wait = backoff.next_wait();
        log::line(
            what.name(),
            format_args!("{text}; starting again in {:.1} s", wait.as_secs_f32()),
        );
        if !options.policy.sleep(wait) {
            return Err(error).context("no time to start again");
        }
        restarts = downloads;
        before = (text, version, same);
    }
}

/// The network's own error, if that is what it comes from.
pub fn net_error(error: &anyhow::Error) -> Option<&net::Error> {
    error.chain().find_map(|cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()))
    })
}

fn is_changed(error: &anyhow::Error) -> bool {
    net_error(error).is_some_and(|error| matches!(error.cause, Cause::Changed(_)))
}

/// Whether another download can do nothing about it: the network's patience is over, or it is this
/// machine that cannot take the archive.
fn is_final(error: &anyhow::Error) -> bool {
    if net_error(error).is_some() {
        return !is_changed(error);
    }
    let local = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::NOMEM,
        Errno::ROFS,
        Errno::IO,
        Errno::ACCESS,
        Errno::PERM,
        Errno::MFILE,
        Errno::NFILE,
        Errno::BUSY,
    ];
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .filter_map(Errno::from_io_error)
        .any(|errno| local.contains(&errno))
}
