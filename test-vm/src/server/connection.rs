//! One client's connection: requests in, answers out, and the faults between.

use std::io::{self, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::answer::{Answer, decide};
use super::entity::Entity;
use super::faults::Fault;
use super::message::{Head, Served, head_bytes, http_date};
use super::wire::{Certificate, Wire};
use super::{Shared, lock};

/// Body bytes a write.
const BLOCK: usize = 64 * 1024;

/// Whether the connection lives on after an answer.
#[derive(PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

/// Answers requests until the client closes, a fault ends the connection or the server stops.
pub fn serve(stream: TcpStream, peer: SocketAddr, shared: &Shared, tls: Option<&Certificate>) {
    // A connection that breaks is what half of the tests are about: nothing to report.
    let _ = Wire::open(stream, tls).and_then(|wire| requests(&wire, peer, shared));
}

fn requests(stream: &Wire, peer: SocketAddr, shared: &Shared) -> io::Result<()> {
    let mut source = BufReader::new(stream);
    while let Some(head) = Head::read(&mut source)? {
        let at = shared.started.elapsed();
        let index = {
            let mut log = lock(&shared.log);
            log.push(Served { at, peer, head: head.clone(), status: 0, sent: 0, fault: None });
            log.len() - 1
        };
        let mut exchange = Exchange { stream, peer, shared, head, index };
        if exchange.answer()? == Next::Close || shared.stopping.load(Ordering::SeqCst) {
            return Ok(());
        }
    }
    Ok(())
}

struct Exchange<'a> {
    stream: &'a Wire,
    peer: SocketAddr,
    shared: &'a Shared,
    head: Head,
    index: usize,
}

/// The part of an entity that an answer carries.
struct Part {
    status: u16,
    from: u64,
    /// Offset after the last byte.
    end: u64,
}

impl Exchange<'_> {
    fn note(&self, change: impl FnOnce(&mut Served)) {
        // The log may have been cleared meanwhile.
        if let Some(served) = lock(&self.shared.log).get_mut(self.index) {
            change(served);
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut wire = self.stream;
        wire.write_all(bytes)
    }

    fn send_head(&self, status: u16, headers: &[(&str, String)]) -> io::Result<()> {
        self.note(|served| served.status = status);
        let mut headers = headers.to_vec();
        headers.push(("Date", http_date(std::time::SystemTime::now())));
        self.send(&head_bytes(status, &headers))
    }

    fn send_text(&self, status: u16, text: &str) -> io::Result<Next> {
        let mut headers = vec![("Content-Length", text.len().to_string())];
        if !text.is_empty() {
            headers.push(("Content-Type", "text/plain; charset=utf-8".to_owned()));
        }
        self.send_short(status, &headers, text)
    }

    /// A template, as Warewulf sends it: no ranges, no date of change.
    fn send_script(&self, text: &str) -> io::Result<Next> {
        let length = ("Content-Length", text.len().to_string());
        self.send_short(200, &[length, ("Content-Type", "text".to_owned())], text)
    }

    fn send_short(&self, status: u16, headers: &[(&str, String)], text: &str) -> io::Result<Next> {
        self.send_head(status, headers)?;
        if self.head.method != "HEAD" {
            self.send(text.as_bytes())?;
        }
        Ok(Next::Request)
    }

    fn answer(&mut self) -> io::Result<Next> {
        let fault = self.shared.faults.strike(&self.head, self.range_start());
        self.note(|served| served.fault = fault);
        match fault {
            Some(Fault::Status(status)) => return self.send_text(status, ""),
            Some(Fault::Redirect) if !self.head.path.starts_with("/moved") => {
                return self.redirect();
            }
            Some(Fault::Late(pause)) => self.wait(pause),
            _ => {}
        }
        let found =
            match decide(&self.shared.site, &self.head, self.peer.port(), self.stream.is_tls()) {
                Answer::Refusal(status) => return self.send_text(status, ""),
                Answer::Text(status, text) => return self.send_text(status, text),
                Answer::Script(text) => return self.send_script(&text),
                Answer::File { path, status } => Entity::open(&path).map(|file| (file, status)),
                Answer::Overlay { mac, folders, gz, status } => self
                    .shared
                    .overlays
                    .find(&mac, &folders, gz, &self.shared.site.owners)
                    .map(|entity| (entity, status)),
            };
        match found {
            Ok((entity, 200)) => self.send_entity(entity, fault),
            Ok((entity, status)) => self.send_chunked(&entity, status),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.send_text(404, ""),
            Err(error) => self.send_text(500, &format!("{error}\n")),
        }
    }

    /// The first byte that a `Range` asks for, or 0.
    fn range_start(&self) -> u64 {
        self.head.header("range").and_then(parse_range).map_or(0, |(from, _)| from)
    }

    fn redirect(&self) -> io::Result<Next> {
        let query: Vec<String> =
            self.head.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let target = format!("/moved{}?{}", self.head.path, query.join("&").replace(' ', "%20"));
        self.send_head(302, &[("Location", target), ("Content-Length", "0".to_owned())])?;
        Ok(Next::Request)
    }

    /// What `http.ServeContent` does: conditions, ranges, then the bytes.
    fn send_entity(&self, mut entity: Entity, fault: Option<Fault>) -> io::Result<Next> {
        entity.modified += Duration::from_secs(self.shared.faults.age());
        if let Some(Fault::Shortened { length }) = fault {
            entity.length = entity.length.min(length);
        }
        let modified = http_date(entity.modified);
        if self.head.header("if-modified-since") == Some(modified.as_str()) {
            self.send_head(304, &[("Last-Modified", modified)])?;
            return Ok(Next::Request);
        }
        let part = self.part(entity.length, &modified);
        if part.status == 416 {
            let range = ("Content-Range", format!("bytes */{}", entity.length));
            self.send_head(416, &[range, ("Content-Length", "0".to_owned())])?;
            return Ok(Next::Request);
        }
        let mut headers = vec![
            ("Accept-Ranges", "bytes".to_owned()),
            ("Content-Length", (part.end - part.from).to_string()),
            ("Content-Type", entity.content_type()?.to_owned()),
            ("Last-Modified", modified),
        ];
        if part.status == 206 {
            let range = format!("bytes {}-{}/{}", part.from, part.end - 1, entity.length);
            headers.push(("Content-Range", range));
        }
        self.send_head(part.status, &headers)?;
        if self.head.method == "HEAD" {
            return Ok(Next::Request);
        }
        self.send_body(&entity, &part, fault)
    }

    fn part(&self, length: u64, modified: &str) -> Part {
        let whole = Part { status: 200, from: 0, end: length };
        if self.head.header("if-range").is_some_and(|date| date != modified) {
            return whole;
        }
        // Several ranges at once are a 200 here, which the protocol allows.
        match self.head.header("range").and_then(parse_range) {
            None => whole,
            Some((from, _)) if from >= length => Part { status: 416, from, end: length },
            Some((from, last)) => {
                let end = last.map_or(length, |last| length.min(last.saturating_add(1)));
                Part { status: 206, from, end }
            }
        }
    }

    fn send_body(&self, entity: &Entity, part: &Part, fault: Option<Fault>) -> io::Result<Next> {
        let stop = match fault {
            Some(
                Fault::Cut { at }
                | Fault::Reset { at }
                | Fault::Stall { at, .. }
                | Fault::Rebuild { at },
            ) if at < part.end => at,
            _ => part.end,
        };
        let mut body = entity.reader(part.from)?.take(stop.saturating_sub(part.from));
        let mut block = vec![0; BLOCK];
        let (mut at, started) = (part.from, Instant::now());
        loop {
            let got = body.read(&mut block)?;
            let Some(bytes) = block.get_mut(..got).filter(|bytes| !bytes.is_empty()) else { break };
            spoil(bytes, at, entity.length, fault);
            self.wait(self.shared.faults.turn(u64::try_from(got).map_err(io::Error::other)?));
            if self.shared.stopping.load(Ordering::SeqCst) {
                self.stream.close_by_reset()?;
                return Ok(Next::Close);
            }
            self.send(bytes)?;
            at += u64::try_from(got).map_err(io::Error::other)?;
            self.note(|served| served.sent = at - part.from);
            self.slow_down(at - part.from, started);
        }
        if stop == part.end {
            return Ok(Next::Request);
        }
        match fault {
            Some(Fault::Reset { .. }) => {
                self.stream.close_by_reset()?;
            }
            Some(Fault::Stall { pause, .. }) => self.wait(pause),
            Some(Fault::Rebuild { .. }) => self.shared.faults.touch(),
            _ => {}
        }
        Ok(Next::Close)
    }

    /// Sleeps, but not past the server's end.
    fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.shared.stopping.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5).min(pause));
        }
    }

    fn slow_down(&self, sent: u64, started: Instant) {
        if let Some(rate) = self.shared.faults.bytes_per_second() {
            let due = Duration::from_millis(sent.saturating_mul(1000) / rate.max(1));
            self.wait(due.saturating_sub(started.elapsed()));
        }
    }

    /// What Go sends after a status was written without a length.
    fn send_chunked(&self, entity: &Entity, status: u16) -> io::Result<Next> {
        self.send_head(status, &[("Transfer-Encoding", "chunked".to_owned())])?;
        let mut body = entity.reader(0)?;
        let mut block = vec![0; BLOCK];
        loop {
            let got = body.read(&mut block)?;
            self.send(format!("{got:x}\r\n").as_bytes())?;
            self.send(block.get(..got).unwrap_or_default())?;
            self.send(b"\r\n")?;
            if got == 0 {
                return Ok(Next::Request);
            }
        }
    }
}

/// `bytes=a-` or `bytes=a-b`; nothing else is needed here.
fn parse_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (from, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((from.parse().ok()?, last))
}

/// Turns over what the fault says in `bytes`, which start at `at` of `length`.
fn spoil(bytes: &mut [u8], at: u64, length: u64, fault: Option<Fault>) {
    let wrong = match fault {
        Some(Fault::Flip { at }) => at..at + 1,
        Some(Fault::WrongCrc) => length.saturating_sub(8)..length,
        _ => return,
    };
    for (offset, byte) in (at..).zip(bytes.iter_mut()) {
        if wrong.contains(&offset) {
            *byte ^= 1;
        }
    }
}
