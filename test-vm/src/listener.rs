//! The head node's ear: what a node reports of its boot, by syslog or by a POST.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// How a node reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Syslog, a message a datagram.
    Datagrams,
    /// Syslog, counted frames on a stream.
    Stream,
    /// A POST of the report.
    Post,
}

/// Most time for the rest of a message that has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket that hears what comes.
#[derive(Debug)]
pub enum Listener {
    /// Datagrams wait in the kernel until they are asked for.
    Datagrams(UdpSocket),
    /// Connections are read by a thread.
    Connections(SocketAddr, Receiver<String>),
}

/// What came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// The line for people; none by a POST.
    pub line: String,
    /// The report.
    pub report: Option<Value>,
}

impl Listener {
    /// Listens on a free port of `address`.
    ///
    /// # Errors
    /// It cannot be bound.
    pub fn start(address: IpAddr, wire: Wire) -> Result<Self> {
        if wire == Wire::Datagrams {
            let socket = UdpSocket::bind((address, 0)).context("listening for datagrams")?;
            socket.set_nonblocking(true).context("listening for datagrams")?;
            return Ok(Self::Datagrams(socket));
        }
        let listener = TcpListener::bind((address, 0)).context("listening for a report")?;
        let local = listener.local_addr().context("listening for a report")?;
        let (heard, hearing) = channel();
        std::thread::Builder::new().name("report".to_owned()).spawn(move || {
            // It ends when nobody wants to hear any more.
            for stream in listener.incoming().filter_map(Result::ok) {
                let texts = match wire {
                    Wire::Stream => read_frames(stream),
                    Wire::Datagrams | Wire::Post => read_post(stream).map(|body| vec![body]),
                };
                for text in texts.unwrap_or_default() {
                    if heard.send(text).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self::Connections(local, hearing))
    }

    /// The argument's value that makes a node report here.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn target(&self, wire: Wire) -> Result<String> {
        let address = match self {
            Self::Datagrams(socket) => socket.local_addr().context("asking for a port")?,
            Self::Connections(address, _) => *address,
        };
        Ok(match wire {
            Wire::Datagrams => format!("syslog://{address}"),
            Wire::Stream => format!("syslog+tcp://{address}"),
            Wire::Post => format!("http://{address}/boots"),
        })
    }

    /// Everything that has come until now. The node is off by now, and so all of it is here.
    pub fn heard(&self) -> Heard {
        let texts: Vec<String> = match self {
            Self::Datagrams(socket) => {
                let mut block = vec![0; 65_536];
                let next = || socket.recv(&mut block).ok().map(|got| text(block.get(..got)));
                std::iter::from_fn(next).collect()
            }
            Self::Connections(_, hearing) => hearing.try_iter().collect(),
        };
        let mut heard = Heard::default();
        for text in texts {
            let json = text.split_once("@cee: ").map(|(_, json)| json);
            match json.or_else(|| text.starts_with('{').then_some(text.as_str())) {
                Some(json) => heard.report = serde_json::from_str(json).ok(),
                None => heard.line = text,
            }
        }
        heard
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// The frames of one connection: each is its length, a space, and so many bytes.
fn read_frames(stream: TcpStream) -> Result<Vec<String>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(stream);
    let mut frames = Vec::new();
    loop {
        let mut length = Vec::new();
        if stream.read_until(b' ', &mut length)? == 0 {
            return Ok(frames);
        }
        let length = text(Some(&length)).trim_end().parse().context("reading a frame's length")?;
        let mut frame = String::new();
        stream.by_ref().take(length).read_to_string(&mut frame)?;
        frames.push(frame);
    }
}

/// The body of a POST, which is answered.
fn read_post(stream: TcpStream) -> Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = BufReader::new(stream);
    let (mut line, mut length, mut body) = (String::new(), 0, String::new());
    while stream.read_line(&mut line)? > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().context("reading a length")?;
        }
        line.clear();
    }
    stream.by_ref().take(length).read_to_string(&mut body)?;
    stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn listener(wire: Wire) -> (Listener, String) {
        let listener = Listener::start(Ipv4Addr::LOCALHOST.into(), wire).unwrap();
        let target = listener.target(wire).unwrap();
        let address = target.split("//").nth(1).unwrap().split('/').next().unwrap().to_owned();
        (listener, address)
    }

    #[test]
    fn datagrams_are_a_line_and_a_report() {
        let (listener, address) = listener(Wire::Datagrams);
        let node = UdpSocket::bind("127.0.0.1:0").unwrap();
        node.send_to(b"<27>1 - n rsinit - boot - boot failed: x", &address).unwrap();
        node.send_to(b"<27>1 - n rsinit - boot - @cee: {\"a\":1}", &address).unwrap();
        let heard = listener.heard();
        assert!(heard.line.ends_with("boot failed: x"));
        assert_eq!(heard.report, Some(serde_json::json!({"a": 1})));
        assert_eq!(listener.heard(), Heard::default());
    }

    #[test]
    fn a_stream_and_a_post_are_read_whole() {
        let (listener, address) = listener(Wire::Stream);
        let mut node = TcpStream::connect(&address).unwrap();
        node.write_all(b"9 <27>1 - x22 <27>1 - @cee: {\"a\":1}").unwrap();
        node.shutdown(std::net::Shutdown::Write).unwrap();
        node.read_to_end(&mut Vec::new()).unwrap();
        let Listener::Connections(_, hearing) = &listener else { panic!("no connections") };
        assert_eq!(hearing.recv().unwrap(), "<27>1 - x");
        assert_eq!(hearing.recv().unwrap(), "<27>1 - @cee: {\"a\":1}");

        let (listener, address) = self::listener(Wire::Post);
        let mut node = TcpStream::connect(&address).unwrap();
        node.write_all(b"POST /boots HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"a\":1}").unwrap();
        let mut answer = String::new();
        node.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        let Listener::Connections(_, hearing) = &listener else { panic!("no connections") };
        assert_eq!(hearing.recv().unwrap(), "{\"a\":1}");
    }
}
