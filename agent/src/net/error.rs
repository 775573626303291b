//! Why a download failed, with the address and without its secrets.

use std::fmt;
use std::io;

/// What went wrong in one exchange.
#[derive(Debug)]
pub enum Cause {
    /// No connection came about.
    Connect(io::Error),
    /// The server was silent for longer than it may be, in seconds; after which bytes.
    Timeout {
        /// What was waited for.
        waiting: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// The server answered something else than the body.
    Status {
        /// The status.
        code: u16,
        /// What it means for what was asked, where that is known.
        meaning: Option<&'static str>,
    },
    /// The body ended early.
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes that were announced.
        want: u64,
    },
    /// The connection broke.
    Broken(io::Error),
    /// What is on the server is no longer what the download began with.
    Changed(String),
    /// What came is not HTTP as it must be.
    Protocol(String),
    /// The body is longer than it may be, in bytes.
    TooLong(u64),
    /// The download is no longer wanted.
    Cancelled,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "connecting: {error}"),
            Self::Timeout { waiting, seconds } => {
                write!(f, "{waiting}: nothing came for {seconds} s")
            }
            Self::Status { code, .. } => write!(f, "{code}"),
            Self::Short { got, want } => {
                write!(f, "the connection ended after {got} of {want} bytes")
            }
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Changed(how) => write!(f, "it changed on the server: {how}"),
            Self::Protocol(what) => write!(f, "{what}"),
            Self::TooLong(limit) => write!(f, "longer than {limit} bytes"),
            Self::Cancelled => write!(f, "no longer wanted"),
        }
    }
}

/// A download that was given up.
#[derive(Debug)]
pub struct Error {
    /// The address, redacted.
    pub url: String,
    /// Why the last try failed.
    pub cause: Cause,
    /// Tries since the last byte that came, this one included.
    pub tries: u32,
    /// Whether the deadline ended it, rather than the kind of failure.
    pub out_of_time: bool,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}: {}", self.url, self.cause)?;
        if self.tries > 1 && !matches!(self.cause, Cause::Changed(_)) {
            write!(f, " after {} tries", self.tries)?;
        }
        if self.out_of_time {
            write!(f, ", out of time")?;
        }
        if let Cause::Status { meaning: Some(meaning), .. } = &self.cause {
            write!(f, ": {meaning}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_address_the_tries_and_the_meaning() {
        let error = Error {
            url: "http://h/provision/m?stage=image".to_owned(),
            cause: Cause::Status { code: 404, meaning: Some("the server has no such image built") },
            tries: 3,
            out_of_time: false,
        };
        assert_eq!(
            error.to_string(),
            "GET http://h/provision/m?stage=image: 404 after 3 tries: the server has no such image built"
        );
    }
}
