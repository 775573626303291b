//! Signals as a service takes them: one after another, by a thread that waits for them.

use std::io;

use nix::sys::signal::{SigSet, Signal};

/// What a service is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// `SIGHUP`: now.
    Now,
    /// `SIGTERM` or `SIGINT`: end.
    End,
}

/// The signals that are waited for instead of being acted on.
#[derive(Debug)]
pub struct Signals(SigSet);

impl Signals {
    /// Blocks them for this thread and every one that it starts later: to be called first.
    ///
    /// # Errors
    /// Those of pthread_sigmask(3).
    pub fn block() -> io::Result<Self> {
        let signals: SigSet =
            [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
        signals.thread_block()?;
        Ok(Self(signals))
    }

    /// Waits for the next.
    ///
    /// # Errors
    /// Those of sigwait(3): none are known for signals that exist.
    pub fn wait(&self) -> io::Result<Told> {
        Ok(match self.0.wait()? {
            Signal::SIGHUP => Told::Now,
            _ => Told::End,
        })
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::pthread::{pthread_kill, pthread_self};

    use super::*;

    #[test]
    fn blocked_signals_are_waited_for_one_by_one() {
        // In a thread of its own: the others of this process keep their signals.
        let told = std::thread::spawn(|| {
            let signals = Signals::block().unwrap();
            let mut told = Vec::new();
            for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT] {
                pthread_kill(pthread_self(), signal).unwrap();
                told.push(signals.wait().unwrap());
            }
            told
        });
        assert_eq!(told.join().unwrap(), [Told::Now, Told::End, Told::End]);
    }
}
