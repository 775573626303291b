//! The command line as `name` and `name=value` words, split as the kernel splits it.

/// One word of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// Everything before the first `=`.
    pub name: &'a str,
    /// Everything after it, without the quotes around it; `None` without an `=`.
    pub value: Option<&'a str>,
}

/// Splits a command line at white space outside double quotes.
///
/// As in the kernel's `next_arg()`, quotes may stand around the value or around
/// the whole word and cannot be escaped; a quote left open ends with the line.
pub fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let (word, after) = rest.split_at(word_end(rest));
        rest = after;
        Some(split_word(word))
    })
}

/// Index of the first white space outside quotes.
fn word_end(text: &str) -> usize {
    let mut quoted = false;
    text.char_indices()
        .find(|&(_, c)| {
            quoted ^= c == '"';
            c.is_ascii_whitespace() && !quoted
        })
        .map_or(text.len(), |(index, _)| index)
}

fn split_word(word: &str) -> Word<'_> {
    let word = match word.strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"').unwrap_or(inner),
        None => word,
    };
    match word.split_once('=') {
        None => Word { name: word, value: None },
        Some((name, value)) => {
            let value = match value.strip_prefix('"') {
                Some(inner) => inner.strip_suffix('"').unwrap_or(inner),
                None => value,
            };
            Word { name, value: Some(value) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str) -> Vec<(&str, Option<&str>)> {
        words(line).map(|word| (word.name, word.value)).collect()
    }

    #[test]
    fn words_are_split_at_white_space_and_at_the_first_equals_sign() {
        assert_eq!(
            pairs("  quiet rsinit.uri=http://h/?a=b\twwid=52:54:00:00:00:01\n"),
            [
                ("quiet", None),
                ("rsinit.uri", Some("http://h/?a=b")),
                ("wwid", Some("52:54:00:00:00:01")),
            ]
        );
    }

    #[test]
    fn quotes_keep_spaces_around_a_value_and_around_a_word() {
        assert_eq!(
            pairs(r#"a="b c" "d=e f" g"#),
            [("a", Some("b c")), ("d", Some("e f")), ("g", None)]
        );
    }

    #[test]
    fn an_open_quote_ends_with_the_line() {
        assert_eq!(pairs(r#"a="b c"#), [("a", Some("b c"))]);
        assert_eq!(pairs(r#"""#), [("", None)]);
    }
}
