//! Runtime overlays on a running node: who keeps them current there, and when the server is
//! asked.
//!
//! A thousand nodes that were switched on together, or that lost their server together, must not
//! ask together: every wait has a share of chance in it, given as a fraction from 0 up to 1.

use std::time::Duration;

use super::fetch::Routes;

/// The first wait after a failure, which then doubles up to the interval.
const FIRST: Duration = Duration::from_secs(5);

/// What of the new root decides who updates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// systemd is there to run a unit.
    pub has_systemd: bool,
    /// Warewulf's own client is there, `/warewulf/wwclient`.
    pub has_wwclient: bool,
}

/// Whether rsinit's own client is to run on the node; if not, why not.
pub fn plan_client(routes: &Routes, root: Root) -> Result<(), &'static str> {
    if matches!(routes, Routes::Static { runtime, .. } if runtime.is_empty()) {
        return Err("there is no runtime overlay");
    }
    if root.has_wwclient {
        return Err("the root has Warewulf's own, /warewulf/wwclient");
    }
    if !root.has_systemd {
        return Err("the root has no systemd to run it");
    }
    Ok(())
}

/// When to ask next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rhythm {
    failures: u32,
}

impl Rhythm {
    /// Before the first question: any part of the interval, as the boot has just asked.
    pub fn first(interval: Duration, fraction: f64) -> Duration {
        interval.mul_f64(fraction)
    }

    /// After an answer: the interval, a tenth less to a tenth more.
    pub fn after_answer(&mut self, interval: Duration, fraction: f64) -> Duration {
        self.failures = 0;
        interval.mul_f64(0.9 + 0.2 * fraction)
    }

    /// After a failure: 5 s, doubled with each, up to the interval; half of it to all of it.
    pub fn after_failure(&mut self, interval: Duration, fraction: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(interval).mul_f64(0.5 + 0.5 * fraction)
    }

    /// Failures since the last answer.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_thousand_nodes_do_not_ask_in_the_same_second() {
        let mut seconds = [0; 60];
        for node in 0..1000 {
            let first = Rhythm::first(MINUTE, f64::from(node) / 1000.0);
            seconds[usize::try_from(first.as_secs()).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| (16..=17).contains(count)), "{seconds:?}");
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.after_answer(MINUTE, 0.0), Duration::from_secs(54));
        assert_eq!(rhythm.after_answer(MINUTE, 0.5), MINUTE);
    }

    #[test]
    fn waits_grow_with_each_failure_up_to_the_interval_and_start_small_again() {
        let mut rhythm = Rhythm::default();
        let waits: Vec<u64> = (0..8).map(|_| rhythm.after_failure(MINUTE, 1.0).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60, 60, 60]);
        assert_eq!(rhythm.after_failure(MINUTE, 0.0), MINUTE / 2);
        assert_eq!(rhythm.failures(), 9);
        rhythm.after_answer(MINUTE, 0.0);
        assert_eq!(rhythm.after_failure(MINUTE, 1.0), FIRST);
        for _ in 0..100 {
            assert!(rhythm.after_failure(Duration::from_secs(1), 1.0) <= Duration::from_secs(1));
        }
    }

    #[test]
    fn in_an_hour_without_a_server_it_asks_about_once_a_minute_and_never_stops() {
        for (fraction, least, most) in [(0.0, 110, 130), (0.5, 75, 90), (1.0, 60, 65)] {
            let (mut rhythm, mut clock, mut questions) = (Rhythm::default(), Duration::ZERO, 0);
            while clock < 60 * MINUTE {
                let wait = rhythm.after_failure(MINUTE, fraction);
                assert!(wait >= FIRST / 2 && wait <= MINUTE, "{wait:?} at {clock:?}");
                clock += wait;
                questions += 1;
            }
            assert!((least..=most).contains(&questions), "{questions} with {fraction}");
            assert_eq!(rhythm.failures(), questions);
            // The server is back: the next answer is followed by the usual interval.
            assert_eq!(rhythm.after_answer(MINUTE, 0.5), MINUTE);
            assert_eq!(rhythm.after_failure(MINUTE, 1.0), FIRST);
        }
    }

    #[test]
    fn the_client_runs_where_there_is_an_overlay_and_systemd_and_no_other_client() {
        let root = Root { has_systemd: true, has_wwclient: false };
        let fixed = |runtime: &[&str]| Routes::Static {
            image: "i".to_owned(),
            node: "n".to_owned(),
            system: vec!["s".to_owned()],
            runtime: runtime.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(plan_client(&Routes::Warewulf, root), Ok(()));
        assert_eq!(plan_client(&fixed(&["hosts"]), root), Ok(()));
        assert!(plan_client(&fixed(&[]), root).is_err());
        assert!(plan_client(&Routes::Warewulf47, Root { has_wwclient: true, ..root }).is_err());
        assert!(plan_client(&Routes::Warewulf47, Root { has_systemd: false, ..root }).is_err());
    }
}
