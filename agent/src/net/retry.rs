//! How long, how often and in which forms to ask.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::error::{Cause, Error};
use super::tls::Pinned;

/// A flag that ends waits and reads from another thread.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Raises it, for good.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One retry, as it is told.
#[derive(Debug)]
pub struct Retry<'a> {
    /// The address, redacted.
    pub url: &'a str,
    /// Why the try failed.
    pub cause: &'a Cause,
    /// Tries so far.
    pub tries: u32,
    /// How long until the next.
    pub wait: Duration,
}

impl fmt::Display for Retry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.wait.as_secs_f32();
        write!(f, "GET {}: {}", self.url, self.cause)?;
        if let Cause::Status { meaning: Some(meaning), .. } = self.cause {
            write!(f, " ({meaning})")?;
        }
        write!(f, "; try {} follows in {seconds:.1} s", self.tries + 1)
    }
}

/// Patience.
#[derive(Clone)]
pub struct Policy {
    /// When everything is given up.
    pub deadline: Instant,
    /// For a connection to come about.
    pub connect: Duration,
    /// For the head of an answer: overlays are built while the client waits.
    pub first_byte: Duration,
    /// For the next bytes inside a body.
    pub stall: Duration,
    /// The first wait between two tries, which then doubles.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// The first wait after 400, 401 and 403, which only a person can mend; it grows to six times that.
    pub refused_wait: Duration,
    /// Tries where the answer is a refusal (4xx) or no HTTP; `None`: until the deadline, as
    /// an image may be in the making, and a node's settings may be mended meanwhile.
    pub refusals: Option<u32>,
    /// Failures of any kind in a row after which it is given up; `None`: as many as there is time for.
    pub failures: Option<u32>,
    /// Ends it all before the deadline.
    pub stop: Stop,
    /// Is told each retry.
    pub on_retry: Arc<dyn Fn(&Retry) + Send + Sync>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Policy {
    /// The patience of a boot that must be over at `deadline`, telling nobody.
    pub fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(180),
            stall: Duration::from_secs(20),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(10),
            refused_wait: Duration::from_secs(10),
            refusals: None,
            failures: None,
            stop: Stop::default(),
            on_retry: Arc::new(|_| {}),
        }
    }

    /// Sleeps, unless the stop is raised or the deadline comes first: then false.
    pub fn sleep(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        if until >= self.deadline {
            return false;
        }
        while !self.stop.is_raised() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        false
    }

    /// The backoff that this patience begins with.
    pub fn backoff(&self) -> Backoff {
        Backoff::new(self.first_wait, self.longest_wait)
    }
}

/// One form in which a thing can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The address.
    pub url: String,
    /// Which candidate (by index) to ask next, at once, after which status.
    pub otherwise: Vec<(u16, usize)>,
}

/// A thing to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its forms; the first is asked first.
    pub candidates: Vec<Candidate>,
    /// Whether it must be asked for from a source port below 1024.
    pub privileged: bool,
    /// What statuses mean for it.
    pub meanings: Vec<(u16, &'static str)>,
    /// The certificate that an `https://` server must have.
    pub pinned: Option<Pinned>,
}

impl Target {
    /// One address, asked from any port.
    pub fn plain(url: impl Into<String>) -> Self {
        let candidate = Candidate { url: url.into(), otherwise: Vec::new() };
        Self { candidates: vec![candidate], privileged: false, meanings: Vec::new(), pinned: None }
    }

    /// What `status` means for it.
    pub fn meaning(&self, status: u16) -> Option<&'static str> {
        self.meanings.iter().find(|(code, _)| *code == status).map(|(_, meaning)| *meaning)
    }
}

/// Counts the tries at one thing, and says when it is enough.
#[derive(Debug)]
pub struct Tries {
    policy: Policy,
    backoff: Backoff,
    refused: Backoff,
    count: u32,
    refusals: u32,
}

impl Tries {
    pub(super) fn new(policy: &Policy) -> Self {
        let refused = Backoff::new(policy.refused_wait, policy.refused_wait.saturating_mul(6));
        let backoff = policy.backoff();
        Self { policy: policy.clone(), backoff, refused, count: 0, refusals: 0 }
    }

    /// Something came: patience begins anew.
    pub(super) fn reset(&mut self) {
        self.count = 0;
        self.refusals = 0;
        self.backoff.reset();
        self.refused.reset();
    }

    /// Takes in a failed try, and waits for the next.
    ///
    /// # Errors
    /// There is none: the failure is final, too many, or the time is up.
    pub(super) fn wait(&mut self, url: &str, cause: Cause) -> Result<(), Error> {
        self.count = self.count.saturating_add(1);
        let (limited, slow) = match &cause {
            Cause::Status { code: 400 | 401 | 403, .. } => (true, true),
            // "Not modified": that is an answer.
            Cause::Status { code: 304, .. } => return Err(self.give_up(url, cause, false)),
            Cause::Status { code: 408 | 429 | 500.., .. } => (false, false),
            Cause::Status { .. } | Cause::Protocol(_) => (true, false),
            // No right to a port below 1024: that does not come with waiting.
            Cause::Connect(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(self.give_up(url, cause, false));
            }
            Cause::Connect(_) | Cause::Timeout { .. } => (false, false),
            Cause::Short { .. } | Cause::Broken(_) => (false, false),
            Cause::Changed(_) | Cause::TooLong(_) | Cause::Cancelled => {
                return Err(self.give_up(url, cause, false));
            }
        };
        self.refusals = self.refusals.saturating_add(u32::from(limited));
        let too_many = self.policy.failures.is_some_and(|most| self.count >= most);
        let refused = self.policy.refusals.is_some_and(|most| self.refusals >= most.max(1));
        if too_many || refused {
            return Err(self.give_up(url, cause, false));
        }
        let backoff = if slow { &mut self.refused } else { &mut self.backoff };
        let wait = backoff.next_wait();
        let late = Instant::now() + wait >= self.policy.deadline;
        if !late {
            let retry = Retry { url, cause: &cause, tries: self.count, wait };
            (self.policy.on_retry)(&retry);
        }
        if self.policy.sleep(wait) {
            return Ok(());
        }
        let cause = if self.policy.stop.is_raised() { Cause::Cancelled } else { cause };
        Err(self.give_up(url, cause, late))
    }

    fn give_up(&self, url: &str, cause: Cause, out_of_time: bool) -> Error {
        Error { url: url.to_owned(), cause, tries: self.count, out_of_time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> Policy {
        Policy {
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(2),
            refused_wait: Duration::from_millis(1),
            ..Policy::until(Instant::now() + Duration::from_secs(60))
        }
    }

    fn status(code: u16) -> Cause {
        Cause::Status { code, meaning: None }
    }

    /// The waits that are told for `causes`, without waiting for the last.
    fn told(policy: &Policy, codes: &[u16]) -> Vec<Duration> {
        let waits = Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = Arc::clone(&waits);
        let on_retry: Arc<dyn Fn(&Retry) + Send + Sync> =
            Arc::new(move |retry| heard.lock().unwrap().push(retry.wait));
        let mut tries = Tries::new(&Policy { on_retry, ..policy.clone() });
        codes.iter().for_each(|code| drop(tries.wait("u", status(*code))));
        waits.lock().unwrap().clone()
    }

    #[test]
    fn what_a_person_must_mend_is_told_at_once_and_asked_again_slowly() {
        let slow = Duration::from_millis(40);
        let policy = Policy { refused_wait: slow, ..quick() };
        for code in [400, 401, 403] {
            let waits = told(&policy, &[code; 4]);
            assert_eq!(waits.len(), 4);
            assert!(waits[0] >= slow / 2 && waits[3] >= slow * 3, "{code}: {waits:?}");
            assert!(waits[3] <= slow * 9, "{code}: {waits:?}");
        }
        for code in [404, 408, 429, 500, 503] {
            assert!(told(&policy, &[code; 4]).iter().all(|wait| *wait < slow / 2), "{code}");
        }
    }

    #[test]
    fn a_refusal_is_asked_again_until_the_deadline_unless_tries_are_counted() {
        let mut tries = Tries::new(&quick());
        for code in [404, 400, 401, 403, 410].repeat(4) {
            assert!(tries.wait("u", status(code)).is_ok(), "{code}");
        }
        assert!(tries.wait("u", Cause::Protocol(String::new())).is_ok());
    }

    #[test]
    fn by_hand_refusals_are_few_and_failures_many() {
        let quick = || Policy { refusals: Some(3), ..quick() };
        let mut tries = Tries::new(&quick());
        assert!(tries.wait("u", status(404)).is_ok());
        assert!(tries.wait("u", status(404)).is_ok());
        assert_eq!(tries.wait("u", status(404)).unwrap_err().tries, 3);
        let mut tries = Tries::new(&quick());
        for _ in 0..50 {
            assert!(tries.wait("u", status(503)).is_ok());
        }
        assert!(tries.wait("u", Cause::Changed(String::new())).is_err());
    }

    #[test]
    fn one_who_asks_again_later_need_not_be_patient_now() {
        let policy = Policy { failures: Some(2), ..quick() };
        let refused = || Cause::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        let mut tries = Tries::new(&policy);
        assert!(tries.wait("u", refused()).is_ok());
        let error = tries.wait("u", refused()).unwrap_err();
        assert!(!error.out_of_time && error.tries == 2);
    }

    #[test]
    fn what_waiting_cannot_mend_is_final() {
        let no_right = Cause::Connect(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(Tries::new(&quick()).wait("u", no_right).is_err());
        let refused = Cause::Connect(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert!(Tries::new(&quick()).wait("u", refused).is_ok());
    }

    #[test]
    fn the_deadline_ends_the_waiting_before_it_begins() {
        let mut policy = quick();
        policy.deadline = Instant::now() + Duration::from_millis(300);
        policy.first_wait = Duration::from_secs(30);
        policy.longest_wait = Duration::from_secs(30);
        let started = Instant::now();
        let error = Tries::new(&policy).wait("u", status(503)).unwrap_err();
        assert!(started.elapsed() < Duration::from_millis(200));
        assert!(error.out_of_time);
        assert_eq!(error.to_string(), "GET u: 503, out of time");
    }

    #[test]
    fn a_stop_ends_the_waiting() {
        let mut policy = quick();
        policy.first_wait = Duration::from_secs(30);
        policy.longest_wait = Duration::from_secs(30);
        policy.stop.raise();
        let error = Tries::new(&policy).wait("u", status(503)).unwrap_err();
        assert!(matches!(error.cause, Cause::Cancelled));
    }
}
