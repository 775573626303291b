//! Messages of syslog: RFC 5424, and their framing on a stream, RFC 6587.

/// How grave a message is. Source: RFC 5424, table 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something failed.
    Error = 3,
    /// Something is worth a look.
    Warning = 4,
    /// All is well.
    Info = 6,
}

/// The facility "system daemons". Source: RFC 5424, table 1.
const DAEMON: u8 = 3;

/// One message. Its time is left to the receiver: the clock of a node in its initramfs
/// has not been set yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// How grave it is.
    pub severity: Severity,
    /// Who sends it: a name or an address.
    pub host: &'a str,
    /// What kind it is (MSGID).
    pub id: &'a str,
    /// Its text; control characters become spaces.
    pub text: &'a str,
}

impl Message<'_> {
    /// The message as one datagram has it.
    pub fn datagram(&self) -> Vec<u8> {
        let priority = DAEMON * 8 + self.severity as u8;
        let host = header(self.host, 255);
        let id = header(self.id, 32);
        let line = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = self.text.chars().map(line).collect();
        format!("<{priority}>1 - {host} rsinit - {id} - {text}").into_bytes()
    }

    /// The message as a stream has it: its length in bytes, a space, and itself ("octet
    /// counting", RFC 6587, 3.4.1).
    pub fn frame(&self) -> Vec<u8> {
        let datagram = self.datagram();
        let mut frame = format!("{} ", datagram.len()).into_bytes();
        frame.extend(datagram);
        frame
    }
}

/// A field of the header: printable ASCII without spaces, at most `most` long; `-` for none.
fn header(text: &str, most: usize) -> String {
    let field: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if field.is_empty() { "-".to_owned() } else { field }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Message<'_> = Message {
        severity: Severity::Error,
        host: "node1",
        id: "boot",
        text: "boot failed: image: 404",
    };

    #[test]
    fn a_message_has_the_fields_of_rfc_5424() {
        let text = String::from_utf8(MESSAGE.datagram()).unwrap();
        assert_eq!(text, "<27>1 - node1 rsinit - boot - boot failed: image: 404");
        let info = Message { severity: Severity::Info, ..MESSAGE };
        assert!(info.datagram().starts_with(b"<30>1 "));
    }

    #[test]
    fn what_others_wrote_cannot_begin_a_message_of_its_own() {
        let hostile = Message { host: "a b\n<0>1", text: "x\n<0>1 - h\u{0} y\u{85}", ..MESSAGE };
        let text = String::from_utf8(hostile.datagram()).unwrap();
        assert_eq!(text, "<27>1 - ab<0>1 rsinit - boot - x <0>1 - h  y ");
        let nobody = Message { host: "", id: &"i".repeat(40), ..MESSAGE };
        let text = String::from_utf8(nobody.datagram()).unwrap();
        assert!(text.starts_with(&format!("<27>1 - - rsinit - {} - ", "i".repeat(32))), "{text}");
    }

    #[test]
    fn a_frame_counts_bytes_not_letters() {
        let frame = Message { text: "é", ..MESSAGE }.frame();
        assert_eq!(String::from_utf8(frame).unwrap(), "32 <27>1 - node1 rsinit - boot - é");
    }
}
