//! What must not be seen of the secrets: the words of their files, to be looked for in
//! lines that are about to be written down.
//!
//! A word is a whole value (of `key: value`, `KEY=value` or a line by itself) of six
//! bytes or more, and each part of one that looks like a password; of every file also
//! how base64 and hexadecimal digits begin it. Keys and comments are no secrets.

use std::collections::HashMap;
use std::fmt;

/// Shortest word that is looked for, in bytes: shorter ones stand in lines by chance.
pub const SHORTEST: usize = 6;
/// Shortest part of a value that counts by itself, where it has a digit or a capital.
const SHORTEST_PART: usize = 8;
/// How much of a file is looked for in base64: 24 bytes are 32 digits.
const BASE64_BYTES: usize = 24;
/// How much of a file is looked for in hexadecimal digits.
const HEX_BYTES: usize = 12;

/// The words. Overwritten when they are dropped, and never printed.
#[derive(Default)]
pub struct SecretWords {
    /// By their first six bytes.
    words: HashMap<[u8; SHORTEST], Vec<Vec<u8>>>,
}

impl fmt::Debug for SecretWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretWords({})", self.words.values().map(Vec::len).sum::<usize>())
    }
}

impl SecretWords {
    /// Learns the words of one file.
    pub fn learn(&mut self, content: &[u8]) {
        for line in content.split(|byte| *byte == b'\n') {
            self.learn_line(line.trim_ascii());
        }
        if let Some(begin) = content.get(..BASE64_BYTES) {
            self.add(base64(begin).as_bytes());
        }
        if let Some(begin) = content.get(..HEX_BYTES) {
            let hex: String = begin.iter().map(|byte| format!("{byte:02x}")).collect();
            self.add(hex.as_bytes());
            self.add(hex.to_uppercase().as_bytes());
        }
    }

    fn learn_line(&mut self, line: &[u8]) {
        let comment = line.starts_with(b"#") || line.starts_with(b"-----");
        if comment || line == b"---" {
            return;
        }
        let value = value_of(line);
        self.add(value);
        let part = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\,;[]{}()@:=".contains(byte);
        for part in value.split(part) {
            let marked = part.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
            if part.len() >= SHORTEST_PART && marked {
                self.add(part);
            }
        }
    }

    fn add(&mut self, word: &[u8]) {
        if let Some(key) = word.first_chunk::<SHORTEST>() {
            let known = self.words.entry(*key).or_default();
            if !known.iter().any(|one| one == word) {
                known.push(word.to_vec());
            }
        }
    }

    /// Whether one of the words stands in `line`.
    pub fn stand_in(&self, line: &[u8]) -> bool {
        line.windows(SHORTEST).enumerate().any(|(at, begin)| {
            let rest = line.get(at..).unwrap_or_default();
            let words = begin.first_chunk().and_then(|key| self.words.get(key));
            words.is_some_and(|words| words.iter().any(|word| rest.starts_with(word)))
        })
    }
}

impl Drop for SecretWords {
    fn drop(&mut self) {
        for word in self.words.values_mut().flatten() {
            wipe(word);
        }
    }
}

/// Overwrites bytes that nobody reads again, which a compiler would else leave out.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

/// What stands behind `key:`, `KEY=`, `- ` and quotes.
fn value_of(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix(b"export ").unwrap_or(line);
    let line = line.strip_prefix(b"- ").unwrap_or(line).trim_ascii();
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.\"'".contains(byte);
    let key = line.iter().take_while(|byte| named(byte)).count();
    let value = match line.get(key..) {
        Some([b':']) => b"",
        Some([b':', b' ', rest @ ..]) | Some([b'=', rest @ ..]) if key > 0 => rest,
        _ => line,
    };
    let quote = |byte: &u8| matches!(byte, b'"' | b'\'');
    let value = value.trim_ascii();
    match value {
        [first, inner @ .., last] if quote(first) && first == last => inner,
        _ => value,
    }
}

/// Source: RFC 4648, section 4; for whole groups of three bytes.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit =
        |bits: u32| DIGITS.get((bits & 63) as usize).map_or('=', |digit| char::from(*digit));
    let group = |three: &[u8]| {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        [digit(bits >> 18), digit(bits >> 12), digit(bits >> 6), digit(bits)]
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(content: &[u8]) -> SecretWords {
        let mut words = SecretWords::default();
        words.learn(content);
        words
    }

    #[test]
    fn values_are_secret_and_keys_and_comments_are_not() {
        let words = learned(
            b"---\n# of the cluster: maintained by hand\nnode_certificate: \"one two three\"\n\
              export TOKEN=s3cretS3cret\nlist:\n  - hunter\n",
        );
        for line in ["it is one two three.", "x=s3cretS3cret", "msg: hunter2"] {
            assert!(words.stand_in(line.as_bytes()), "{line}");
        }
        for line in ["'node_certificate' is undefined", "maintained by hand", "TOKEN", "one two"] {
            assert!(!words.stand_in(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_password_inside_a_value_is_found_by_itself() {
        let words = learned(b"url: https://agent:Pa55w0rdX@metrics.example/in\n");
        assert!(words.stand_in(b"login with Pa55w0rdX failed"));
        assert!(!words.stand_in(b"cannot reach metrics.example"));
    }

    #[test]
    fn each_line_of_a_key_is_a_word() {
        let words =
            learned(b"key: |\n  -----BEGIN KEY-----\n  MIIabcdef012345\n  -----END KEY-----\n");
        assert!(words.stand_in(br#""content": "-----BEGIN KEY-----\nMIIabcdef012345\n""#));
        assert!(!words.stand_in(b"-----BEGIN KEY-----"));
    }

    #[test]
    fn a_binary_key_is_found_as_it_is_and_in_digits() {
        let key: Vec<u8> = (200..=255).collect();
        let words = learned(&key);
        let long = [b"before".as_slice(), &key, b"after"].concat();
        assert!(words.stand_in(&long));
        assert!(words.stand_in(b"content: yMnKy8zNzs/Q0dLT1NXW19jZ2tvc3d7f4OHi"));
        assert!(words.stand_in(b"0xc8c9cacbcccdcecfd0d1d2d3d4"));
        assert!(words.stand_in(b"C8C9CACBCCCDCECFD0D1D2D3D4"));
    }

    #[test]
    fn what_is_too_short_is_not_looked_for() {
        let words = learned(b"pin: 12345\n\n");
        assert!(!words.stand_in(b"took 12345 ms"));
        assert!(!words.stand_in(b""));
        assert!(!SecretWords::default().stand_in(b"anything at all"));
    }

    #[test]
    fn words_are_never_printed() {
        assert_eq!(format!("{:?}", learned(b"k: hunter2\n")), "SecretWords(1)");
    }
}
