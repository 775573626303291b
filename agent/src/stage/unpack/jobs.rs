//! Small pieces of work that are done by whoever would have to wait.
//!
//! Inflating takes longest where files are large, and writing where they are small: now this thread
//! waits for that one, now the other way round. The one that waits takes work from the one that is busy;
//! where there is none, it does what has to be done later, as long as it has nothing else to do.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::pipe::Gone;

/// Some work: it takes a fraction of a millisecond, and waits for nothing.
pub type Job = Box<dyn FnOnce() -> anyhow::Result<()> + Send>;

#[derive(Default)]
struct State {
    /// Those that nobody has begun.
    jobs: VecDeque<Job>,
    /// How many are in work.
    begun: usize,
    /// How many threads wait.
    idle: usize,
    /// Why one could not be done.
    failed: Option<anyhow::Error>,
    /// No more come.
    is_over: bool,
}

/// What whoever waits does where there are no jobs, as long as the function says that it gets, which is
/// to be asked every fraction of a millisecond. Returns whether there was anything to do.
pub type Spare = Box<dyn Fn(&mut dyn FnMut() -> bool) -> bool + Send + Sync>;

/// The jobs of one unpacking.
#[derive(Default)]
pub struct Jobs {
    state: Mutex<State>,
    changed: Condvar,
    spare: Option<Spare>,
}

impl Jobs {
    /// With something to do for those who have no job.
    pub fn with_spare(spare: Spare) -> Self {
        Self { spare: Some(spare), ..Self::default() }
    }

    /// Whether somebody waits who would do one more.
    pub fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.idle > state.jobs.len()
    }

    /// Leaves `job` to whoever waits, or will.
    ///
    /// # Errors
    /// [`Gone`]: an earlier one has failed ([`failure`](Self::failure)), or no more are wanted.
    pub fn add(&self, job: Job) -> anyhow::Result<()> {
        let mut state = self.lock();
        if state.failed.is_some() || state.is_over {
            return Err(io::Error::from(Gone).into());
        }
        state.jobs.push_back(job);
        let is_anybody_idle = state.idle > 0;
        drop(state);
        if is_anybody_idle {
            // Whoever it is does it.
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Does jobs until `ready` has an answer; that is asked with the jobs locked, and must not call
    /// them. Who changes what it depends on says so by [`changed`](Self::changed).
    pub fn work_until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        self.until(|_| ready())
    }

    /// Something has changed that somebody may wait for.
    pub fn changed(&self) {
        self.wake(self.lock());
    }

    /// Does jobs until no more come.
    pub fn work(&self) {
        self.until(|state| state.is_over.then_some(()));
    }

    /// Does what is left, until nothing is in work.
    ///
    /// # Errors
    /// One has failed.
    pub fn finish(&self) -> anyhow::Result<()> {
        self.until(|state| {
            let is_done = state.jobs.is_empty() && state.begun == 0;
            is_done.then(|| state.failed.take().map_or(Ok(()), Err))
        })
    }

    /// Why one has failed.
    pub fn failure(&self) -> Option<anyhow::Error> {
        self.lock().failed.take()
    }

    /// Until this value goes, jobs may come.
    pub fn open(&self) -> Open<'_> {
        Open(self)
    }

    fn until<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        loop {
            if let Some(answer) = ready(&mut state) {
                return answer;
            }
            if let Some(job) = state.jobs.pop_front() {
                state.begun += 1;
                drop(state);
                let mut begun = Begun { jobs: self, result: None };
                begun.result = Some(job());
                drop(begun);
                state = self.lock();
                continue;
            }
            state.idle += 1;
            drop(state);
            let mut answer = None;
            let was_spare = self.do_spare(|state| {
                answer = ready(state);
                answer.is_some()
            });
            state = self.lock();
            if answer.is_none() && !was_spare {
                // Locked from here on: what changes next is heard of.
                answer = ready(&mut state);
                if answer.is_none() && state.jobs.is_empty() {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
            state.idle -= 1;
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    /// Does what there is to do beside jobs, until there is one or `is_ready`. Returns whether there was
    /// anything.
    fn do_spare(&self, mut is_ready: impl FnMut(&mut State) -> bool) -> bool {
        self.spare.as_ref().is_some_and(|spare| {
            spare(&mut || {
                let mut state = self.lock();
                !is_ready(&mut state) && state.jobs.is_empty()
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        let is_anybody_idle = state.idle > 0;
        drop(state);
        if is_anybody_idle {
            self.changed.notify_all();
        }
    }
}

/// See [`Jobs::open`].
pub struct Open<'a>(&'a Jobs);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let left = std::mem::take(&mut state.jobs);
        self.0.wake(state);
        // Unlocked: what they hold may say that it goes.
        drop(left);
    }
}

/// A job in work.
struct Begun<'a> {
    jobs: &'a Jobs,
    /// None, where it panicked.
    result: Option<anyhow::Result<()>>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        // Whoever panicked says more.
        let result = self.result.take().unwrap_or_else(|| Err(io::Error::from(Gone).into()));
        let mut state = self.jobs.lock();
        state.begun -= 1;
        state.failed = state.failed.take().or(result.err());
        self.jobs.wake(state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    fn idle(jobs: &Jobs) {
        while !jobs.is_wanted() {
            thread::yield_now();
        }
    }

    #[test]
    fn whoever_waits_does_them() {
        let jobs = &Jobs::default();
        let (say, said) = channel();
        thread::scope(|scope| {
            assert!(!jobs.is_wanted(), "nobody waits yet");
            let waiting = scope.spawn(move || jobs.work_until(|| said.try_recv().ok()));
            idle(jobs);
            let waits = waiting.thread().id();
            jobs.add(Box::new(move || {
                assert_eq!(thread::current().id(), waits);
                Ok(say.send(7)?)
            }))
            .unwrap();
            assert_eq!(waiting.join().unwrap(), 7);
        });
        jobs.finish().unwrap();
    }

    #[test]
    fn what_is_spare_is_done_until_there_is_a_job() {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let jobs = &Jobs::with_spare(Box::new(move |goes_on| {
            count.fetch_add(1, Ordering::Relaxed);
            while goes_on() {
                thread::yield_now();
            }
            true
        }));
        thread::scope(|scope| {
            let open = jobs.open();
            scope.spawn(|| jobs.work());
            for done in 1..4 {
                while begun.load(Ordering::Relaxed) < done {
                    thread::yield_now();
                }
                assert!(jobs.is_wanted());
                let (say, said) = channel();
                jobs.add(Box::new(move || Ok(say.send(())?))).unwrap();
                said.recv().unwrap();
            }
            drop(open);
        });
        assert!(begun.load(Ordering::Relaxed) >= 3);
    }

    #[test]
    fn where_nothing_is_spare_a_job_is_waited_for() {
        let jobs = &Jobs::with_spare(Box::new(|_| false));
        let (say, said) = channel();
        thread::scope(|scope| {
            let waiting = scope.spawn(move || jobs.work_until(|| said.try_recv().ok()));
            idle(jobs);
            jobs.add(Box::new(move || Ok(say.send(7)?))).unwrap();
            assert_eq!(waiting.join().unwrap(), 7);
        });
    }

    #[test]
    fn what_is_left_is_done_at_the_end_and_what_failed_is_said() {
        let jobs = Jobs::default();
        let (say, said) = channel();
        jobs.add(Box::new(move || Ok(say.send(1)?))).unwrap();
        jobs.add(Box::new(|| anyhow::bail!("no room"))).unwrap();
        assert_eq!(jobs.finish().unwrap_err().to_string(), "no room");
        assert_eq!(said.recv(), Ok(1));
    }

    #[test]
    fn a_panic_keeps_nobody_waiting() {
        let jobs = &Jobs::default();
        thread::scope(|scope| {
            let open = jobs.open();
            let working = scope.spawn(|| jobs.work());
            idle(jobs);
            jobs.add(Box::new(|| panic!("a panic of the test"))).unwrap();
            assert!(working.join().is_err());
            let error = jobs.finish().unwrap_err().downcast::<io::Error>().unwrap();
            assert!(error.get_ref().unwrap().is::<Gone>());
            drop(open);
        });
    }

    #[test]
    fn when_it_is_over_none_is_left() {
        let jobs = &Jobs::default();
        let (say, said) = channel::<()>();
        thread::scope(|scope| {
            let open = jobs.open();
            jobs.add(Box::new(move || Ok(say.send(())?))).unwrap();
            drop(open);
            assert!(said.recv().is_err(), "it was given up");
            assert!(jobs.add(Box::new(|| Ok(()))).is_err());
            scope.spawn(|| jobs.work());
        });
    }
}
