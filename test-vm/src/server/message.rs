//! HTTP/1.1 requests read and answers' heads written, as much of both as the protocol needs.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read as _};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest request head that is read, in bytes.
const HEAD_LIMIT: u64 = 16 * 1024;

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path, percent-decoded.
    pub path: String,
    /// The query's names and values, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Served {
    /// Since the server's start.
    pub at: Duration,
    /// Who asked, with the source port.
    pub peer: SocketAddr,
    /// What was asked.
    pub head: Head,
    /// The status that was answered; 0 while there is none.
    pub status: u16,
    /// Bytes of the body that went out.
    pub sent: u64,
    /// The fault that struck, if any did.
    pub fault: Option<super::Fault>,
}

impl Served {
    /// The value of `name` in the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.head.query(name)
    }

    /// The value of the header `name`, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}

impl Head {
    /// The value of `name` in the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        value(&self.query, name)
    }

    /// The value of the header `name`, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// Reads one head; `None` where the client closed the connection instead.
    ///
    /// # Errors
    /// The connection broke, or what came is not a request.
    pub fn read(source: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut source = source.take(HEAD_LIMIT);
        let mut line = String::new();
        if source.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP request");
        let mut words = line.split_ascii_whitespace();
        let (Some(method), Some(target), Some(_)) = (words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut head = Self {
            method: method.to_owned(),
            path: decode(path, false),
            query: decode_query(query),
            headers: Vec::new(),
        };
        loop {
            let mut line = String::new();
            if source.read_line(&mut line)? == 0 {
                return Err(bad());
            }
            let line = line.trim_end();
            if line.is_empty() {
                return Ok(Some(head));
            }
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            head.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// `a=b&c=d` as Go's `url.ParseQuery` reads it.
fn decode_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// Percent-decoding; in a query `+` is a space.
fn decode(text: &str, in_query: bool) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let value = std::str::from_utf8(&digits)
                    .ok()
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                out.push(value.unwrap_or(b'%'));
            }
            b'+' if in_query => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer's head as bytes.
pub fn head_bytes(status: u16, headers: &[(&str, String)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        // Writing to a String cannot fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        412 => "Precondition Failed",
        416 => "Requested Range Not Satisfiable",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`: the date of RFC 9110, 5.6.7.
pub fn http_date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from a day number, counting in eras of 400 years from 1 March of year 0.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let name = |names: &[&'static str], index: u64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or("???")
    };
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days % 7),
        name(&MONTHS, month - 1),
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_rfc() {
        let at = |seconds| http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
    }

    #[test]
    fn queries_are_decoded_as_go_decodes_them() {
        let text =
            b"GET /provision/aa%3Abb?assetkey=a%20b+c&stage=image HTTP/1.1\r\nHost: x\r\n\r\n";
        let head = Head::read(&mut &text[..]).unwrap().unwrap();
        assert_eq!(head.path, "/provision/aa:bb");
        assert_eq!(head.query("assetkey"), Some("a b c"));
        assert_eq!(head.query("stage"), Some("image"));
        assert_eq!(head.header("host"), Some("x"));
    }
}
