//! How ureq gets its connections: from a reserved port where asked, and interruptible.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use super::backoff::random_u16;
use super::retry::Stop;
use super::stream::Stream;
use super::tls::Pinned;
use crate::sys::socket::connect_from_reserved_port;

/// A blocked read looks this often whether it is still wanted.
const SLICE: Duration = Duration::from_millis(250);

/// Bytes of the buffer that bodies pass through.
const INPUT: usize = 256 << 10;

/// Bytes of a request at most.
const OUTPUT: usize = 16 << 10;

/// What makes connections.
#[derive(Debug)]
pub struct Sockets {
    /// Whether the source port is below 1024.
    pub privileged: bool,
    /// Longest silence inside a body.
    pub stall: Duration,
    /// Raised when nobody wants the answer any more.
    pub stop: Stop,
    /// The certificate that an `https://` server must have.
    pub pinned: Option<Pinned>,
}

impl Connector<()> for Sockets {
    type Out = Socket;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Socket>, Error> {
        let timeout = *details.timeout.after;
        let pinned = match (details.needs_tls(), &self.pinned) {
            (false, _) => None,
            (true, Some(pinned)) => Some(pinned),
            (true, None) => return Err(Error::Tls("no certificate is known to trust it by")),
        };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for addr in &details.addrs {
            match self.connect_to(*addr, timeout.min(Duration::from_secs(3600))) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let stream = match pinned {
                        None => Stream::Plain(stream),
                        Some(pinned) => Stream::shake_hands(stream, pinned, addr.ip(), timeout)?,
                    };
                    stream.tcp().set_read_timeout(Some(SLICE))?;
                    return Ok(Some(Socket {
                        stream,
                        buffers: LazyBuffers::new(INPUT, OUTPUT),
                        stall: self.stall,
                        stop: self.stop.clone(),
                    }));
                }
                Err(error) => last = error,
            }
        }
        Err(Error::Io(io::Error::new(last.kind(), NoConnection(last))))
    }
}

impl Sockets {
    fn connect_to(&self, addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        // At the deadline it is 0, which connect_timeout refuses as a mistake.
        let timeout = timeout.max(Duration::from_millis(1));
        if self.privileged {
            connect_from_reserved_port(addr, random_u16(), timeout)
        } else {
            TcpStream::connect_timeout(&addr, timeout)
        }
    }
}

/// No address of the host could be reached: tells this error from those of a connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoConnection(#[source] pub io::Error);

/// One connection.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    buffers: LazyBuffers,
    stall: Duration,
    stop: Stop,
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream
            .tcp()
            .set_write_timeout(Some((*timeout.after).clamp(SLICE, self.stall.max(SLICE))))?;
        let output = self.buffers.output();
        self.stream.write_all(output.get(..amount).unwrap_or_default()).map_err(Error::Io)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        // The wait for an answer has a limit of its own; inside a body it is the stall that counts.
        let (limit, reason) = match timeout.reason {
            Timeout::RecvResponse => (*timeout.after, Timeout::RecvResponse),
            _ => (self.stall, Timeout::PerRead),
        };
        let started = Instant::now();
        loop {
            if self.stop.is_raised() {
                return Err(Error::Io(io::Error::from(io::ErrorKind::Interrupted)));
            }
            match self.stream.read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if started.elapsed() >= limit {
                        return Err(Error::Timeout(reason));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Io(error)),
            }
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    fn is_open(&mut self) -> bool {
        // Each request has a connection of its own.
        false
    }
}
