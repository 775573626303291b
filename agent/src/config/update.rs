//! How often a running node asks for its runtime overlay: `update interval` of the server's own
//! `/etc/warewulf/warewulf.conf`, which Warewulf's overlays bring to the node.
//!
//! The file is YAML, written by a person or by the server, and one number of it matters. So its
//! lines are read: the key, two words, inside the block `warewulf:`. A YAML library would bring
//! a language to read a number with, and fail on the rest of a file that is not ours.

use std::time::Duration;

/// Where the file names none. Source: Warewulf's own default.
pub const DEFAULT: Duration = Duration::from_secs(60);

/// What Warewulf's client takes a zero for.
const FOR_ZERO: Duration = Duration::from_secs(300);

/// Longest interval, in seconds: a day.
const LONGEST: u64 = 86_400;

/// An interval that is no number of seconds from 0 to 86,400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: update interval: \"{text}\" is not a number of seconds from 0 to {LONGEST}")]
pub struct BadInterval {
    /// Its line, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

/// The interval that the text of a `warewulf.conf` names; `None` where it names none.
///
/// # Errors
/// [`BadInterval`].
pub fn parse_interval(text: &str) -> Result<Option<Duration>, BadInterval> {
    let mut inside = false;
    for (number, line) in (1..).zip(text.lines()) {
        let Some((key, value)) = setting(line) else { continue };
        if !line.starts_with([' ', '\t']) {
            inside = key == "warewulf";
        } else if inside && key == "update interval" {
            let bad = || BadInterval { line: number, text: value.to_owned() };
            return match value.parse() {
                Ok(0) => Ok(Some(FOR_ZERO)),
                Ok(seconds @ 1..=LONGEST) => Ok(Some(Duration::from_secs(seconds))),
                _ => Err(bad()),
            };
        }
    }
    Ok(None)
}

/// `key: value # comment`, key and value without quotes around them.
fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (key, value) = line.split_once(':').filter(|_| !line.starts_with('#'))?;
    let value = value.split(" #").next().unwrap_or_default();
    Some((plain(key), plain(value)))
}

fn plain(text: &str) -> &str {
    let text = text.trim();
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    quoted('"').or_else(|| quoted('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        parse_interval(text).unwrap().map(|interval| interval.as_secs())
    }

    #[test]
    fn the_interval_is_read_from_a_file_as_warewulf_ships_it() {
        let text = "ipaddr: 10.0.0.1\nnetmask: 255.255.252.0\nwarewulf:\n  port: 9873\n  secure: false\n  \
                    update interval: 90\n  autobuild overlays: true\n  host overlay: true\n\
                    dhcp:\n  enabled: true\n  update interval: 5\n";
        assert_eq!(seconds(text), Some(90));
        assert_eq!(seconds("warewulf:\n\t\"update interval\": '7'   # seconds\n"), Some(7));
        assert_eq!(seconds("warewulf:\r\n    update interval: 60\r\n"), Some(60));
    }

    #[test]
    fn where_there_is_none_there_is_none() {
        let elsewhere = "update interval: 3\nnfs:\n  update interval: 4\n";
        let comment = "warewulf:\n# update interval: 5\n  #update interval: 6\n";
        let later = "warewulf:\n  port: 1\ntftp:\n  update interval: 5\n";
        for text in ["", "\0\u{1}", "warewulf:", "warewulf: {}\n", elsewhere, comment, later] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn zero_is_what_warewulf_takes_it_for() {
        assert_eq!(seconds("warewulf:\n  update interval: 0\n"), Some(300));
    }

    #[test]
    fn what_is_no_number_of_seconds_is_named_with_its_line() {
        for value in ["-1", "1m", "86401", "99999999999999999999", "1.5", "", "[60]"] {
            let text = format!("a: b\nwarewulf:\n  update interval: {value}\n");
            let error = parse_interval(&text).unwrap_err();
            assert_eq!(error, BadInterval { line: 3, text: value.to_owned() });
        }
    }
}
