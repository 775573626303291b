//! What goes wrong, when, and how often.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::lock;
use super::message::Head;

/// One thing that goes wrong. Offsets count bytes of the whole file, not of the range asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed in order (FIN) before byte `at`.
    Cut {
        /// Offset in the file.
        at: u64,
    },
    /// The connection is reset (RST) before byte `at`.
    Reset {
        /// Offset in the file.
        at: u64,
    },
    /// Nothing more comes from byte `at` on; closed after `pause`.
    Stall {
        /// Offset in the file.
        at: u64,
        /// How long the connection stays open.
        pause: Duration,
    },
    /// The byte at `at` is sent with its lowest bit turned over.
    Flip {
        /// Offset in the file.
        at: u64,
    },
    /// The last eight bytes, gzip's CRC and length, are sent wrong.
    WrongCrc,
    /// Cut before byte `at`, and from then on the file is newer: `Last-Modified` moves on.
    Rebuild {
        /// Offset in the file.
        at: u64,
    },
    /// The file is only its first `length` bytes, with a `Content-Length` that agrees:
    /// what a server sends while it rebuilds the file in place.
    Shortened {
        /// Bytes that are left.
        length: u64,
    },
    /// This status with an empty body.
    Status(u16),
    /// 302 to the same path below `/moved`, which the server answers as if it were not there.
    Redirect,
    /// The first byte of the answer comes this much later.
    Late(Duration),
}

/// A fault and the requests that it strikes.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// Only requests of this stage (`image`, `system`, `runtime`); `None`: any.
    pub stage: Option<&'static str>,
    /// Only requests with this `compress=` (`""`: without one); `None`: any.
    pub compress: Option<&'static str>,
    /// How often; `u32::MAX` is always.
    pub times: u32,
}

impl Rule {
    /// `fault`, once, whatever is asked.
    pub fn once(fault: Fault) -> Self {
        Self { fault, stage: None, compress: None, times: 1 }
    }

    /// `fault`, each time, whatever is asked.
    pub fn always(fault: Fault) -> Self {
        Self { times: u32::MAX, ..Self::once(fault) }
    }

    /// Only for requests of `stage`.
    #[must_use]
    pub fn stage(self, stage: &'static str) -> Self {
        Self { stage: Some(stage), ..self }
    }

    /// Only for requests with this `compress=`; `""`: without one.
    #[must_use]
    pub fn compress(self, compress: &'static str) -> Self {
        Self { compress: Some(compress), ..self }
    }

    /// `times` times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    fn matches(&self, head: &Head, from: u64) -> bool {
        let reached = match self.fault {
            Fault::Cut { at }
            | Fault::Reset { at }
            | Fault::Stall { at, .. }
            | Fault::Flip { at }
            | Fault::Rebuild { at } => from <= at,
            _ => true,
        };
        // HEAD asks for a length, not for what a rule is about.
        head.method == "GET"
            && reached
            && self.times > 0
            && self.stage.is_none_or(|stage| head.query("stage") == Some(stage))
            && self.compress.is_none_or(|form| head.query("compress").unwrap_or("") == form)
    }
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    down_until: Option<Instant>,
    busy_until: Option<(u16, Instant)>,
    bytes_per_second: Option<u64>,
    /// Of all bodies together.
    shared_bytes_per_second: Option<u64>,
    /// When the next block of them may go.
    next_block: Option<Instant>,
    /// Every so many downloads of the image are reset: the number, the image's length.
    resets: Option<(u32, u64)>,
    /// Downloads of the image so far.
    downloads: u32,
    /// Seconds that every `Last-Modified` has moved on.
    age: u64,
}

/// The faults in force. Rules are tried in the order they were added; one strikes a request.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
}

impl Faults {
    /// Adds a rule.
    pub fn add(&self, rule: Rule) {
        lock(&self.state).rules.push(rule);
    }

    /// Stops listening, for `pause` from now; new connections are refused meanwhile.
    pub fn stop_listening(&self, pause: Duration) {
        lock(&self.state).down_until = Some(Instant::now() + pause);
    }

    /// Answers everything with `status` for `pause` from now.
    pub fn answer(&self, status: u16, pause: Duration) {
        lock(&self.state).busy_until = Some((status, Instant::now() + pause));
    }

    /// Sends each body no faster than this; `None`: as fast as it goes.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        lock(&self.state).bytes_per_second = bytes_per_second;
    }

    /// Sends all bodies together no faster than this, each its turn.
    pub fn share(&self, bytes_per_second: u64) {
        lock(&self.state).shared_bytes_per_second = Some(bytes_per_second);
    }

    /// Resets one in `nth` connections that carry the image of `length` bytes, somewhere.
    pub fn reset_one_in(&self, nth: u32, length: u64) {
        lock(&self.state).resets = Some((nth, length));
    }

    /// Makes every file a second newer, as a rebuild does.
    pub fn touch(&self) {
        lock(&self.state).age += 1;
    }

    /// All is well again.
    pub fn clear(&self) {
        let mut state = lock(&self.state);
        *state = State { age: state.age, ..State::default() };
    }

    pub(super) fn is_down(&self) -> bool {
        lock(&self.state).down_until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        lock(&self.state).bytes_per_second
    }

    /// How long a block of `bytes` waits for its turn on the wire that all share.
    pub(super) fn turn(&self, bytes: u64) -> Duration {
        let mut state = lock(&self.state);
        let Some(rate) = state.shared_bytes_per_second else { return Duration::ZERO };
        let now = Instant::now();
        let turn = state.next_block.map_or(now, |next| next.max(now));
        let takes = Duration::from_micros(bytes.saturating_mul(1_000_000) / rate.max(1));
        state.next_block = Some(turn + takes);
        turn - now
    }

    pub(super) fn age(&self) -> u64 {
        lock(&self.state).age
    }

    /// The fault for a request that would send bytes from `from` on, counted as having struck.
    pub(super) fn strike(&self, head: &Head, from: u64) -> Option<Fault> {
        let mut state = lock(&self.state);
        if let Some((status, until)) = state.busy_until
            && Instant::now() < until
        {
            return Some(Fault::Status(status));
        }
        if let Some((nth, length)) = state.resets
            && head.query("stage") == Some("image")
        {
            state.downloads += 1;
            let count = state.downloads;
            if count.is_multiple_of(nth) {
                // Spread over the file, the same in each run.
                let part = u64::from(count / nth * 37 % 100);
                return Some(Fault::Reset { at: from + length.saturating_sub(from) * part / 100 });
            }
        }
        let rule = state.rules.iter_mut().find(|rule| rule.matches(head, from))?;
        if rule.times != u32::MAX {
            rule.times -= 1;
        }
        Some(rule.fault)
    }
}
