//! Shell-style assignments, `NAME=value` and `NAME[index]="value"`, read as data
//! and never executed.
//!
//! The files of a site were written to be sourced by bash. What is accepted here
//! is the part of that language which means the same thing as text: one
//! assignment a line, quotes around the whole value, comments. Everything that a
//! shell would compute (`$`, backticks, `;`, backslashes, …) is an error.

use std::fmt;

/// The largest file that is read, in bytes: real ones have a few hundred.
pub const MAX_BYTES: usize = 64 * 1024;

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Number of the line, from 1.
    pub line: u32,
    /// The variable.
    pub name: String,
    /// What stands in brackets behind the name, if anything.
    pub index: Option<String>,
    /// The value without its quotes.
    pub value: String,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file is larger than [`MAX_BYTES`].
    #[error("the file has {bytes} bytes, more than the {MAX_BYTES} that are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The line has bytes that are not UTF-8, or control characters.
    #[error("not plain text")]
    NotText,
    /// The line is no assignment.
    #[error("neither a comment nor NAME=value")]
    NotAnAssignment,
    /// A character that only a shell could give a meaning.
    #[error("'{character}' would need a shell, and this file is read as data")]
    NeedsShell {
        /// The character.
        character: char,
    },
    /// A quote is opened and not closed.
    #[error("the quote {quote} is not closed")]
    OpenQuote {
        /// `"` or `'`.
        quote: char,
    },
    /// Something follows the value.
    #[error("something follows the value")]
    Trailing,
}

/// A line that cannot be read, with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Number of the line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// The text, shortened and with control characters escaped.
    pub text: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}", self.problem);
        }
        write!(f, "line {}: {}: {}", self.line, self.problem, self.text)
    }
}

impl std::error::Error for LineError {}

/// Reads all assignments of a file, in order.
///
/// # Errors
/// The first line that is neither blank, a comment nor an assignment of the
/// accepted form.
pub fn parse(bytes: &[u8]) -> Result<Vec<Assignment>, LineError> {
    if bytes.len() > MAX_BYTES {
        let problem = Problem::TooLarge { bytes: bytes.len() };
        return Err(LineError { line: 0, text: String::new(), problem });
    }
    let mut assignments = Vec::new();
    for (line, raw) in (1u32..).zip(bytes.split(|&byte| byte == b'\n')) {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let fail = |problem| LineError { line, text: excerpt(raw), problem };
        let text = std::str::from_utf8(raw).map_err(|_| fail(Problem::NotText))?;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(fail(Problem::NotText));
        }
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let text = text.strip_prefix("export ").map_or(text, str::trim_start);
        let (left, right) = text.split_once('=').ok_or_else(|| fail(Problem::NotAnAssignment))?;
        let (name, index) = parse_target(left).map_err(fail)?;
        let value = parse_value(right).map_err(fail)?;
        assignments.push(Assignment { line, name, index, value });
    }
    Ok(assignments)
}

/// The start of a line for a message, at most 60 characters, nothing that a
/// terminal would act on.
pub fn excerpt(raw: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(raw).trim().chars().take(60).collect();
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

fn parse_target(text: &str) -> Result<(String, Option<String>), Problem> {
    let (name, index) = match text.split_once('[') {
        None => (text, None),
        Some((name, rest)) => {
            (name, Some(rest.strip_suffix(']').ok_or(Problem::NotAnAssignment)?.trim()))
        }
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(Problem::NotAnAssignment);
    }
    if let Some(character) = index.and_then(|index| index.chars().find(|&c| needs_shell(c))) {
        return Err(Problem::NeedsShell { character });
    }
    Ok((name.to_owned(), index.map(str::to_owned)))
}

fn parse_value(text: &str) -> Result<String, Problem> {
    let (value, rest) = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inner = text.get(1..).unwrap_or_default();
            inner.split_once(quote).ok_or(Problem::OpenQuote { quote })?
        }
        _ => match text.find([' ', '\t']) {
            Some(end) => text.split_at(end),
            None => (text, ""),
        },
    };
    if let Some(character) = value.chars().find(|&c| needs_shell(c)) {
        return Err(Problem::NeedsShell { character });
    }
    let rest_trimmed = rest.trim_start();
    let is_comment = rest_trimmed.starts_with('#') && rest.len() > rest_trimmed.len();
    if rest_trimmed.is_empty() || is_comment {
        return Ok(value.to_owned());
    }
    match rest_trimmed.chars().next() {
        Some(character) if needs_shell(character) => Err(Problem::NeedsShell { character }),
        _ => Err(Problem::Trailing),
    }
}

fn needs_shell(c: char) -> bool {
    matches!(
        c,
        '$' | '`'
            | ';'
            | '\\'
            | '|'
            | '&'
            | '<'
            | '>'
            | '('
            | ')'
            | '{'
            | '}'
            | '*'
            | '?'
            | '!'
            | '"'
            | '\''
            | '~'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Problem {
        parse(text.as_bytes()).unwrap_err().problem
    }

    #[test]
    fn the_forms_a_site_writes_are_read() {
        let text = "# a comment\n\nWIPE_ON_BOOT=true\r\nexport A='x y'  # why\ndisk_config[2]=\"raid1:ext4:/system\" # 2-3\n";
        let all = parse(text.as_bytes()).unwrap();
        assert_eq!(all[0].value, "true");
        assert_eq!((all[1].line, all[1].value.as_str()), (4, "x y"));
        assert_eq!(all[2].index.as_deref(), Some("2"));
        assert_eq!(all[2].value, "raid1:ext4:/system");
    }

    #[test]
    fn whatever_a_shell_would_run_is_refused_by_character() {
        for (text, character) in [
            ("A=$(id)", '$'),
            ("A=`id`", '`'),
            ("A=1;id", ';'),
            ("A=1 ;id", ';'),
            ("a[$(id)]=1", '$'),
            ("A=<no", '<'),
        ] {
            assert_eq!(problem(text), Problem::NeedsShell { character }, "{text}");
        }
    }

    #[test]
    fn an_error_names_line_and_text() {
        let error = parse(b"A=1\nrm -rf /\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: neither a comment nor NAME=value: rm -rf /");
    }

    #[test]
    fn hostile_and_oversized_files_are_errors() {
        assert_eq!(problem("A=\"x"), Problem::OpenQuote { quote: '"' });
        assert_eq!(problem("A=\"x\"y"), Problem::Trailing);
        assert_eq!(problem("A=a b"), Problem::Trailing);
        assert_eq!(problem("A=\u{1b}[2J"), Problem::NotText);
        assert_eq!(problem("=1"), Problem::NotAnAssignment);
        assert_eq!(problem("a[1=2"), Problem::NotAnAssignment);
        assert_eq!(parse(b"A=\xff").unwrap_err().problem, Problem::NotText);
        let big = vec![b'#'; MAX_BYTES + 1];
        assert_eq!(parse(&big).unwrap_err().problem, Problem::TooLarge { bytes: MAX_BYTES + 1 });
    }
}
