//! Bytes sent to somebody who is not waited for: a datagram, a stream, a POST.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::{Duration, Instant};

use super::error::Cause;
use super::exchange::Client;
use super::retry::{Policy, Target};

/// How long the other end may take to close a stream once it has all.
const CLOSING: Duration = Duration::from_secs(2);

/// Longest datagram, in bytes. Source: 65,535 of IP less its header and that of UDP, RFC 768.
pub const DATAGRAM: usize = 65_507;

fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "host not found"));
    }
    Ok(found)
}

/// Sends each of `datagrams` once.
///
/// # Errors
/// The host has no address, or there is no way to it. That it arrived is not known.
pub fn send_datagrams(host: &str, port: u16, datagrams: &[Vec<u8>]) -> io::Result<()> {
    let to = addresses(host, port)?.into_iter().next();
    let to = to.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let from: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from)?;
    for datagram in datagrams {
        socket.send_to(datagram, to)?;
    }
    Ok(())
}

/// Sends `bytes` on a connection of their own, until `deadline`.
///
/// # Errors
/// No connection came about, or it broke.
pub fn send_stream(host: &str, port: u16, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses(host, port)? {
        let mut stream = match TcpStream::connect_timeout(&address, left()) {
            Ok(stream) => stream,
            Err(error) => {
                last = error;
                continue;
            }
        };
        stream.set_write_timeout(Some(left()))?;
        stream.write_all(bytes)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        // The node may be switched off next: its end of the connection should have been
        // acknowledged. A server that keeps it open is not waited for.
        stream.set_read_timeout(Some(left().min(CLOSING)))?;
        let _ = stream.read(&mut [0; 64]);
        return Ok(());
    }
    Err(last)
}

/// Posts `body` to the one address of `target`, until the policy's deadline, trying again
/// where the server is not there or busy.
///
/// # Errors
/// The last try's.
pub fn post(target: &Target, policy: &Policy, body: &[u8]) -> Result<(), Cause> {
    let client = Client::new(policy, target);
    let url = target.candidates.first().map(|form| form.url.as_str()).unwrap_or_default();
    let mut backoff = policy.backoff();
    loop {
        let cause = match client.post(url, body) {
            Ok(()) => return Ok(()),
            Err(cause) => cause,
        };
        let may_pass = match &cause {
            Cause::Status { code, .. } => *code >= 500,
            Cause::Connect(_) | Cause::Broken(_) | Cause::Timeout { .. } => true,
            _ => false,
        };
        if !may_pass || !policy.sleep(backoff.next_wait()) {
            return Err(cause);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn datagrams_arrive_one_by_one() {
        for address in ["127.0.0.1", "::1"] {
            let server = UdpSocket::bind((address, 0)).unwrap();
            let port = server.local_addr().unwrap().port();
            send_datagrams(address, port, &[b"one".to_vec(), b"two".to_vec()]).unwrap();
            let mut buffer = [0; 100];
            for expected in ["one", "two"] {
                let got = server.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..got], expected.as_bytes());
            }
        }
    }

    #[test]
    fn a_stream_arrives_whole_and_ends() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let sending =
            std::thread::spawn(move || send_stream("127.0.0.1", port, b"3 one3 two", soon()));
        let mut text = String::new();
        server.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "3 one3 two");
        sending.join().unwrap().unwrap();
    }

    #[test]
    fn nobody_there_is_an_error() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = send_stream("127.0.0.1", port, b"x", soon()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    /// Answers each POST with the next of `statuses`; the last body that came.
    fn posted_to(statuses: &'static [&'static str], path: &str) -> (Result<(), Cause>, String) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}{path}", server.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let mut last = String::new();
            for status in statuses {
                let mut stream = BufReader::new(server.accept().unwrap().0);
                let (mut head, mut length) = (String::new(), 0);
                while stream.read_line(&mut head).unwrap() > 2 {
                    let line = head.lines().last().unwrap().to_ascii_lowercase();
                    if let Some(text) = line.strip_prefix("content-length: ") {
                        length = text.parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                last = format!("{}{}", head.to_ascii_lowercase(), String::from_utf8(body).unwrap());
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            last
        });
        let policy = Policy { first_wait: Duration::from_millis(10), ..Policy::until(soon()) };
        let result = post(&Target::plain(url), &policy, b"{\"a\":1}");
        (result, serving.join().unwrap())
    }

    #[test]
    fn a_post_carries_json_and_is_repeated_while_the_server_is_busy() {
        let (result, request) = posted_to(&["503 Busy", "204 No Content"], "/boots?key=S");
        result.unwrap();
        assert!(request.starts_with("post /boots?key=s http/1.1\r\n"), "{request}");
        assert!(request.contains("content-type: application/json\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    }

    #[test]
    fn a_refusal_is_final() {
        let (result, _) = posted_to(&["404 Not Found"], "/");
        assert!(matches!(result, Err(Cause::Status { code: 404, .. })), "{result:?}");
    }
}
