//! A body that goes on where it stopped.

use std::io::{self, Read};
use std::time::Instant;

use super::error::{Cause, Error};
use super::exchange::{Answer, Client, Wish};
use super::retry::{Candidate, Policy, Target, Tries};
use super::url::redacted;

/// The body of an answer, which resumes by itself after the connection broke.
///
/// Its errors are [`Error`] inside [`io::Error`]. [`Cause::Changed`] among them says that what was
/// read so far is of no use any more.
#[derive(Debug)]
pub struct Download {
    client: Client,
    policy: Policy,
    target: Target,
    url: String,
    answer: Answer,
    /// Bytes read so far.
    offset: u64,
    tries: Tries,
    /// Connections after the first.
    resumed: u32,
    ended: bool,
}

/// Asks for `target` until one of its forms is answered.
///
/// # Errors
/// A refusal that does not go away, or the deadline.
pub fn open(target: &Target, policy: &Policy) -> Result<Download, Error> {
    open_wish(target, policy, Wish::Whole)
}

/// As [`open`], but nothing where the server says that the file is no newer than `since`, its
/// [`Download::validator`] of an earlier time.
///
/// # Errors
/// As [`open`].
pub fn open_if_newer(
    target: &Target,
    policy: &Policy,
    since: &str,
) -> Result<Option<Download>, Error> {
    match open_wish(target, policy, Wish::Newer(since)) {
        Err(Error { cause: Cause::Status { code: 304, .. }, .. }) => Ok(None),
        other => other.map(Some),
    }
}

fn open_wish(target: &Target, policy: &Policy, wish: Wish<'_>) -> Result<Download, Error> {
    let client = Client::new(policy, target);
    let mut tries = Tries::new(policy);
    loop {
        let (url, cause) = match ask(target, |url| client.get(url, wish)) {
            Ok((url, answer)) => {
                tries.reset();
                return Ok(Download {
                    client,
                    policy: policy.clone(),
                    target: target.clone(),
                    url,
                    answer,
                    offset: 0,
                    tries,
                    resumed: 0,
                    ended: false,
                });
            }
            Err(failed) => failed,
        };
        tries.wait(&redacted(&url), cause)?;
    }
}

/// The length of `target` as the server has it, asked by HEAD, once; `None` if it does not say.
///
/// # Errors
/// The server did not answer, or refused.
pub fn size_of(target: &Target, policy: &Policy) -> Result<Option<u64>, Error> {
    let client = Client::new(policy, target);
    ask(target, |url| client.head(url)).map(|(_, length)| length).map_err(|(url, cause)| Error {
        url: redacted(&url),
        cause,
        tries: 1,
        out_of_time: false,
    })
}

/// Asks for the forms of `target` in their order, each once; the address that was answered, or
/// the last that was not.
fn ask<T>(
    target: &Target,
    get: impl Fn(&str) -> Result<T, Cause>,
) -> Result<(String, T), (String, Cause)> {
    let mut asked = 0;
    let mut index = 0;
    loop {
        let Some(Candidate { url, otherwise }) = target.candidates.get(index) else {
            return Err((String::new(), Cause::Protocol("no address to ask".to_owned())));
        };
        asked += 1;
        let cause = match get(url) {
            Ok(answer) => return Ok((url.clone(), answer)),
            Err(Cause::Status { code, .. }) => {
                let next = otherwise.iter().find(|(status, _)| *status == code);
                if let Some((_, next)) = next
                    && asked < target.candidates.len()
                {
                    index = *next;
                    continue;
                }
                Cause::Status { code, meaning: target.meaning(code) }
            }
            Err(cause) => cause,
        };
        return Err((url.clone(), cause));
    }
}

impl Download {
    /// The whole length in bytes, where the server says it.
    pub fn total(&self) -> Option<u64> {
        self.answer.total
    }

    /// Which version of the file it is: its length and its `Last-Modified`.
    pub fn version(&self) -> (Option<u64>, Option<String>) {
        (self.total(), self.answer.modified.clone())
    }

    /// The date to name to [`open_if_newer`] later on.
    pub fn validator(&self) -> Option<String> {
        self.answer.validator().map(str::to_owned)
    }

    /// How often it went on after a break.
    pub fn resumed(&self) -> u32 {
        self.resumed
    }

    /// The address it comes from, redacted.
    pub fn url(&self) -> String {
        redacted(&self.url)
    }

    /// An error of this download that is not of the connection.
    pub fn error(&self, cause: Cause) -> Error {
        Error { url: self.url(), cause, tries: 1, out_of_time: false }
    }

    /// Goes on at `offset` after `cause`, waiting as long as it takes.
    fn resume(&mut self, mut cause: Cause) -> Result<(), Error> {
        loop {
            if let (Cause::Broken(error), Some(want)) = (&cause, self.total())
                && error.kind() == io::ErrorKind::UnexpectedEof
            {
                cause = Cause::Short { got: self.offset, want };
            }
            self.tries.wait(&redacted(&self.url), cause)?;
            match self.reopen() {
                Ok(answer) => {
                    self.answer = answer;
                    self.resumed = self.resumed.saturating_add(1);
                    return Ok(());
                }
                Err(next) => cause = next,
            }
        }
    }

    /// One try at the rest.
    fn reopen(&self) -> Result<Answer, Cause> {
        let changed = |how: &str| Cause::Changed(how.to_owned());
        let Some(modified) = &self.answer.modified else {
            return Err(changed("perhaps: it has no Last-Modified to go on by"));
        };
        let wish = match self.offset {
            0 => Wish::Whole,
            offset => Wish::Rest { offset, modified },
        };
        let answer = match self.client.get(&self.url, wish) {
            Ok(answer) => answer,
            // Gone while it is rebuilt, or shorter now.
            Err(Cause::Status { code: code @ (404 | 412 | 416), .. }) => {
                return Err(Cause::Changed(format!("{code} where it was before")));
            }
            Err(Cause::Status { code, .. }) => {
                return Err(Cause::Status { code, meaning: self.target.meaning(code) });
            }
            Err(other) => return Err(other),
        };
        if answer.modified.as_ref() != Some(modified) {
            return Err(changed("it has another Last-Modified"));
        }
        if answer.total != self.total() {
            return Err(changed("it has another length"));
        }
        if answer.offset != self.offset {
            return Err(changed("the server sends it from its start"));
        }
        Ok(answer)
    }

    /// What the end of a body means: the end of the file, or a break.
    fn end(&mut self) -> Result<(), Cause> {
        match self.total() {
            Some(want) if self.offset < want => Err(Cause::Short { got: self.offset, want }),
            Some(want) if self.offset > want => {
                let what = format!("{} bytes came of {want}", self.offset);
                Err(Cause::Protocol(what))
            }
            _ => {
                self.ended = true;
                Ok(())
            }
        }
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !buffer.is_empty() {
            if self.policy.stop.is_raised() {
                return Err(self.error(Cause::Cancelled).into());
            }
            if Instant::now() >= self.policy.deadline {
                let want = self.total().unwrap_or_default();
                let mut error = self.error(Cause::Short { got: self.offset, want });
                error.out_of_time = true;
                return Err(error.into());
            }
            let cause = match self.answer.body.read(buffer) {
                Ok(0) => match self.end() {
                    Ok(()) => return Ok(0),
                    Err(cause) => cause,
                },
                Ok(got) => {
                    self.offset =
                        self.offset.saturating_add(u64::try_from(got).unwrap_or(u64::MAX));
                    self.tries.reset();
                    return Ok(got);
                }
                Err(error) => self.client.read_cause(error),
            };
            self.resume(cause)?;
        }
        Ok(0)
    }
}
