//! A connection's bytes, plain or in TLS.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::tls::Pinned;

/// One open connection.
#[derive(Debug)]
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// In TLS; the handshake is over.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Makes TLS of a connection; each message of the handshake comes within `patience`.
    ///
    /// # Errors
    /// The server has another certificate, or breaks the connection off.
    pub fn shake_hands(
        mut stream: TcpStream,
        pinned: &Pinned,
        server: IpAddr,
        patience: Duration,
    ) -> io::Result<Self> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let name = ServerName::IpAddress(server.into());
        let mut session =
            ClientConnection::new(pinned.0.clone(), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream).map_err(wrong_certificate)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

/// The server is not who it should be.
#[derive(Debug, thiserror::Error)]
#[error("the server's certificate is not the one that it is known by")]
pub struct WrongCertificate;

fn wrong_certificate(error: io::Error) -> io::Error {
    match error.downcast::<rustls::Error>() {
        Ok(rustls::Error::InvalidCertificate(_)) => io::Error::other(WrongCertificate),
        Ok(other) => io::Error::other(other),
        Err(error) => error,
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
