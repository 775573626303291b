//! HTTP: a client that resumes, retries, and can bind a source port below 1024.
//!
//! [`open`] asks until a server answers; the [`Download`] it returns goes on by itself after the
//! connection broke. Both give up at the [`Policy`]'s deadline, and tell each retry.
//! An `https://` address is asked only where the server's certificate is known.
//! Left out: proxies, cookies, authentication.

mod backoff;
mod connector;
mod download;
mod error;
mod exchange;
mod notify;
mod retry;
mod stream;
pub mod tls;
mod url;

pub use backoff::Backoff;
pub use download::{Download, open, open_if_newer, size_of};
pub use error::{Cause, Error};
pub use exchange::{Framing, parse_content_range, read_framing};
pub use notify::{DATAGRAM, post, send_datagrams, send_stream};
pub use retry::{Candidate, Policy, Retry, Stop, Target};
pub use url::redacted;
