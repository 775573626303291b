//! Whether a boot would work, and how long it would take, from what a server was asked.

use std::fmt;
use std::time::Duration;

/// What a whole fetch takes of the time that inflating and parsing alone take, in percent:
/// files have to be written too. Source: `make bench`, README.md.
const WRITING: u32 = 131;

/// One thing that a boot asks a server for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `image`, `system-overlay` or `runtime-overlay`.
    pub what: &'static str,
    /// What came of it.
    pub answer: Answer,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It came, and is a sound archive.
    Sound {
        /// Bytes as they were served.
        bytes: u64,
        /// How long fetching, inflating and parsing took.
        took: Duration,
        /// What else is known of it.
        note: String,
    },
    /// It did not come, or is damaged: why.
    Wrong(String),
    /// It could not be asked for from here: why.
    Unasked(String),
}

/// What it all means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A boot would work, and take about so long from the network to the hand-over.
    Boots(Duration),
    /// Nothing is wrong, as far as could be asked.
    Unsure,
    /// A boot would fail.
    Fails,
}

impl Verdict {
    /// The verdict over everything that was asked.
    pub fn of(asked: &[Asked]) -> Self {
        let mut time = Duration::ZERO;
        let mut sure = true;
        for Asked { what, answer } in asked {
            match answer {
                Answer::Wrong(_) => return Self::Fails,
                Answer::Unasked(_) => sure = false,
                Answer::Sound { took, .. } if *what == "image" => time += *took * WRITING / 100,
                Answer::Sound { took, .. } => time += *took,
            }
        }
        if sure && !asked.is_empty() { Self::Boots(time) } else { Self::Unsure }
    }

    /// The exit status: 0, 1 where a boot would fail, 2 where not all could be asked.
    pub fn status(self) -> u8 {
        match self {
            Self::Boots(_) => 0,
            Self::Fails => 1,
            Self::Unsure => 2,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boots(time) => write!(
                f,
                "a boot would work, and take about {:.0} s from the network to the hand-over, \
                 without hook and disks",
                time.as_secs_f32().max(1.0)
            ),
            Self::Unsure => f.write_str("nothing is wrong, as far as could be asked from here"),
            Self::Fails => f.write_str("a boot would fail"),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what;
        match &self.answer {
            Answer::Sound { bytes, took, note } => {
                let millis = took.as_millis().max(1);
                let rate = u128::from(*bytes) / 1000 / millis;
                let (mb, seconds) = (bytes / 1_000_000, took.as_secs_f32());
                write!(f, "ok       {what:15}  {mb} MB in {seconds:.1} s, {rate} MB/s; {note}")
            }
            Answer::Wrong(cause) => write!(f, "problem  {what:15}  {cause}"),
            Answer::Unasked(cause) => write!(f, "unasked  {what:15}  {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(what: &'static str, seconds: u64) -> Asked {
        let took = Duration::from_secs(seconds);
        let answer = Answer::Sound { bytes: 100_000_000, took, note: "4 entries".to_owned() };
        Asked { what, answer }
    }

    fn other(answer: Answer) -> Asked {
        Asked { what: "runtime-overlay", answer }
    }

    #[test]
    fn writing_the_image_takes_a_third_more_than_reading_it() {
        let all = [sound("system-overlay", 1), sound("image", 10), sound("runtime-overlay", 2)];
        let verdict = Verdict::of(&all);
        assert_eq!(verdict, Verdict::Boots(Duration::from_millis(16_100)));
        assert!(verdict.to_string().contains("about 16 s"), "{verdict}");
        assert_eq!(
            all[1].to_string(),
            "ok       image            100 MB in 10.0 s, 10 MB/s; 4 entries"
        );
    }

    #[test]
    fn one_thing_that_is_wrong_fails_a_boot_and_one_unasked_makes_it_unsure() {
        let wrong = other(Answer::Wrong("404".to_owned()));
        let unasked = other(Answer::Unasked("needs root".to_owned()));
        let status = |asked: &[Asked]| Verdict::of(asked).status();
        assert_eq!(status(&[sound("image", 1), unasked.clone()]), 2);
        assert_eq!(status(&[unasked, wrong]), 1);
        assert_eq!((status(&[sound("image", 1)]), status(&[])), (0, 2));
    }
}
