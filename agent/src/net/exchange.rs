//! One request and the head of its answer.

use std::io;
use std::time::Instant;

use ureq::config::Config;
use ureq::http::{HeaderMap, header};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, BodyReader, Timeout};

use super::connector::{NoConnection, Sockets};
use super::error::Cause;
use super::retry::{Policy, Target};
use super::stream::WrongCertificate;

/// What of a file is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Wish<'a> {
    /// All of it.
    Whole,
    /// All of it where it is newer than this `Last-Modified`; else 304.
    Newer(&'a str),
    /// The rest of it.
    Rest {
        /// Offset of the first byte.
        offset: u64,
        /// The `Last-Modified` that the file must still have.
        modified: &'a str,
    },
}

/// A successful answer: 200 or 206.
pub struct Answer {
    /// The whole length of the file, where the server says it.
    pub total: Option<u64>,
    /// Offset of the first byte of the body.
    pub offset: u64,
    /// `Last-Modified`, as it was written.
    pub modified: Option<String>,
    /// `Date`, as it was written.
    pub date: Option<String>,
    /// The body.
    pub body: BodyReader<'static>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("total", &self.total).finish_non_exhaustive()
    }
}

impl Answer {
    /// The date by which a newer version can be told from this one; `None` where there is none.
    pub fn validator(&self) -> Option<&str> {
        validator(self.modified.as_deref(), self.date.as_deref())
    }
}

/// Dates count whole seconds: a file that was sent in the very second in which it was made may
/// have changed again before that second was over, and then has the same date.
fn validator<'a>(modified: Option<&'a str>, date: Option<&str>) -> Option<&'a str> {
    modified.filter(|modified| Some(*modified) != date)
}

/// A client for one target.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    policy: Policy,
}

impl Client {
    pub fn new(policy: &Policy, target: &Target) -> Self {
        let config = Config::builder()
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("rsinit/", env!("CARGO_PKG_VERSION")))
            // The file is wanted as it lies on the server: never a coding in transit.
            .accept_encoding("")
            .max_idle_connections(0)
            .timeout_resolve(Some(policy.connect))
            .build();
        let sockets = Sockets {
            privileged: target.privileged,
            stall: policy.stall,
            stop: policy.stop.clone(),
            pinned: target.pinned.clone(),
        };
        let agent = Agent::with_parts(config, sockets, DefaultResolver::default());
        Self { agent, policy: policy.clone() }
    }

    /// Asks for `url`.
    ///
    /// # Errors
    /// Anything but a body with a definite end.
    pub fn get(&self, url: &str, wish: Wish<'_>) -> Result<Answer, Cause> {
        let request = self.agent.get(url);
        let request = match wish {
            Wish::Whole => request,
            Wish::Newer(modified) => request.header(header::IF_MODIFIED_SINCE, modified),
            Wish::Rest { offset, modified } => request
                .header(header::RANGE, format!("bytes={offset}-"))
                .header(header::IF_RANGE, modified),
        };
        let left = self.policy.deadline.saturating_duration_since(Instant::now());
        let request = request
            .config()
            .timeout_connect(Some(self.policy.connect.min(left)))
            .timeout_recv_response(Some(self.policy.first_byte.min(left)))
            .build();
        let response = request.call().map_err(|error| self.cause(error))?;
        let (head, body) = response.into_parts();
        let modified = text(&head.headers, header::LAST_MODIFIED);
        let date = text(&head.headers, header::DATE);
        let Framing { total, offset } = read_framing(head.status.as_u16(), &head.headers)?;
        Ok(Answer { total, offset, modified, date, body: body.into_reader() })
    }

    /// Asks for the length of `url` alone.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn head(&self, url: &str) -> Result<Option<u64>, Cause> {
        // Nobody builds anything for a HEAD: what does not answer soon is not worth waiting for.
        let patience = Some(self.policy.connect);
        let request = self.agent.head(url).config();
        let request = request.timeout_connect(patience).timeout_recv_response(patience).build();
        let response = request.call().map_err(|error| self.cause(error))?;
        match response.status().as_u16() {
            200 => length(response.headers()),
            code => Err(Cause::Status { code, meaning: None }),
        }
    }

    /// Posts `body`, as JSON.
    ///
    /// # Errors
    /// Any answer but 2xx.
    pub fn post(&self, url: &str, body: &[u8]) -> Result<(), Cause> {
        let left = self.policy.deadline.saturating_duration_since(Instant::now());
        let patience = Some(self.policy.connect.min(left));
        let request = self.agent.post(url).header(header::CONTENT_TYPE, "application/json");
        let request = request.config().timeout_connect(patience).timeout_recv_response(patience);
        let response = request.build().send(body).map_err(|error| self.cause(error))?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            code => Err(Cause::Status { code, meaning: None }),
        }
    }

    /// What an error of ureq is here.
    pub fn cause(&self, error: ureq::Error) -> Cause {
        if self.policy.stop.is_raised() {
            return Cause::Cancelled;
        }
        match error {
            ureq::Error::Timeout(reason @ (Timeout::Connect | Timeout::Resolve)) => Cause::Connect(
                io::Error::new(io::ErrorKind::TimedOut, format!("timed out ({reason})")),
            ),
            ureq::Error::Timeout(Timeout::PerRead) => {
                Cause::Timeout { waiting: "reading", seconds: self.policy.stall.as_secs() }
            }
            ureq::Error::Timeout(_) => Cause::Timeout {
                waiting: "waiting for the answer",
                seconds: self.policy.first_byte.as_secs(),
            },
            ureq::Error::HostNotFound => {
                Cause::Connect(io::Error::new(io::ErrorKind::NotFound, "host not found"))
            }
            ureq::Error::Io(error) => io_cause(error),
            other => Cause::Protocol(other.to_string()),
        }
    }

    /// What an error of reading a body is here.
    pub fn read_cause(&self, error: io::Error) -> Cause {
        match error.downcast::<ureq::Error>() {
            Ok(error) => self.cause(error),
            Err(_) if self.policy.stop.is_raised() => Cause::Cancelled,
            Err(error) => io_cause(error),
        }
    }
}

fn io_cause(error: io::Error) -> Cause {
    if error.get_ref().is_some_and(|inner| inner.is::<WrongCertificate>()) {
        return Cause::Protocol(WrongCertificate.to_string());
    }
    match error.downcast::<NoConnection>() {
        Ok(NoConnection(error)) => Cause::Connect(error),
        Err(error) => Cause::Broken(error),
    }
}

/// Which part of a file a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// The whole length of the file in bytes, where the server says it.
    pub total: Option<u64>,
    /// Offset of the first byte of the body.
    pub offset: u64,
}

/// Reads from the head of an answer which part of the file its body is.
///
/// # Errors
/// Another status than 200 and 206, lengths that contradict each other, or a body
/// whose end cannot be told.
pub fn read_framing(status: u16, headers: &HeaderMap) -> Result<Framing, Cause> {
    let length = length(headers)?;
    let framing = match status {
        200 => Framing { total: length, offset: 0 },
        206 => {
            let range = text(headers, header::CONTENT_RANGE).unwrap_or_default();
            let Some((from, last, total)) = parse_content_range(&range) else {
                return Err(Cause::Protocol(format!("206 with Content-Range \"{range}\"")));
            };
            if length.is_some_and(|length| Some(length) != (last + 1).checked_sub(from)) {
                return Err(Cause::Protocol("206 with a length that is not its range's".into()));
            }
            Framing { total: Some(total), offset: from }
        }
        code => return Err(Cause::Status { code, meaning: None }),
    };
    if length.is_none() && !is_chunked(headers) {
        let what = "the answer has neither a Content-Length nor chunks: its end cannot be told";
        return Err(Cause::Protocol(what.to_owned()));
    }
    Ok(framing)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn is_chunked(headers: &HeaderMap) -> bool {
    text(headers, header::TRANSFER_ENCODING)
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, Cause> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let number = value.to_str().ok().and_then(|text| number(text.trim()));
        let length = number
            .ok_or_else(|| Cause::Protocol(format!("Content-Length {value:?} is not a number")))?;
        if found.is_some_and(|other| other != length) {
            return Err(Cause::Protocol("two Content-Lengths that are not equal".to_owned()));
        }
        found = Some(length);
    }
    Ok(found)
}

/// Digits alone: `parse` would take a sign too.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// `bytes 5-9/10`: first, last, total. A total of `*` is no use for going on.
pub fn parse_content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (first <= last && last < total).then_some((first, last, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_strictly() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, 9, 10)));
        for bad in [
            "",
            "bytes",
            "bytes 5-9",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes */10",
            "bytes 5-9/*",
            "bytes +5-9/10",
            "bytes 5-9/18446744073709551616",
            "items 5-9/10",
        ] {
            assert_eq!(parse_content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_made_in_the_second_of_the_answer_has_no_date_to_go_by() {
        let (old, now) = ("Tue, 03 Nov 2026 10:00:00 GMT", "Tue, 03 Nov 2026 10:00:01 GMT");
        assert_eq!(validator(Some(old), Some(now)), Some(old));
        assert_eq!(validator(Some(old), None), Some(old));
        assert_eq!(validator(Some(now), Some(now)), None);
        assert_eq!(validator(None, Some(now)), None);
    }

    fn framing(status: u16, headers: &[(header::HeaderName, &'static str)]) -> Option<Framing> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, header::HeaderValue::from_static(value));
        }
        read_framing(status, &map).ok()
    }

    #[test]
    fn a_body_has_one_length_or_chunks() {
        const LENGTH: header::HeaderName = header::CONTENT_LENGTH;
        let whole = |total| Some(Framing { total, offset: 0 });
        assert_eq!(framing(200, &[(LENGTH, "5")]), whole(Some(5)));
        assert_eq!(framing(200, &[(LENGTH, "5"), (LENGTH, "5")]), whole(Some(5)));
        assert_eq!(framing(200, &[(header::TRANSFER_ENCODING, "chunked")]), whole(None));
        assert_eq!(framing(200, &[]), None);
        assert_eq!(framing(404, &[(LENGTH, "5")]), None);
        assert_eq!(framing(200, &[(LENGTH, "5"), (LENGTH, "6")]), None);
        for wrong in ["", "+5", "-5", "5,5", "0x5", "18446744073709551616"] {
            assert_eq!(framing(200, &[(LENGTH, wrong)]), None, "{wrong}");
        }
    }

    #[test]
    fn a_part_is_as_long_as_its_range_says() {
        let part = |length| {
            framing(
                206,
                &[(header::CONTENT_LENGTH, length), (header::CONTENT_RANGE, "bytes 5-9/10")],
            )
        };
        assert_eq!(part("5"), Some(Framing { total: Some(10), offset: 5 }));
        assert_eq!(part("10"), None);
        assert_eq!(framing(206, &[(header::CONTENT_LENGTH, "5")]), None);
    }
}
