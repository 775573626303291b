//! A connection's bytes on the server's side, plain or in TLS.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::sockopt;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::lock;

/// What a TLS server shows: a self-signed certificate that is no CA, as Warewulf makes it.
#[derive(Clone)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    pem: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

impl Certificate {
    /// A new certificate for the name `warewulf`, and its key.
    ///
    /// # Errors
    /// The key could not be made.
    pub fn new() -> io::Result<Self> {
        let names = vec!["warewulf".to_owned()];
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .map_err(io::Error::other)?;
        Ok(Self { config: Arc::new(config), pem: cert.pem() })
    }

    /// The certificate as the system overlay delivers it.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

/// One connection, read and written by shared reference as a `TcpStream` is.
pub enum Wire {
    /// As it is.
    Plain(TcpStream),
    /// In TLS.
    Tls(Box<Mutex<StreamOwned<ServerConnection, TcpStream>>>),
}

impl Wire {
    /// Takes a connection over.
    ///
    /// # Errors
    /// The socket, or the TLS settings.
    pub fn open(stream: TcpStream, tls: Option<&Certificate>) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        let Some(certificate) = tls else { return Ok(Self::Plain(stream)) };
        let session =
            ServerConnection::new(certificate.config.clone()).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(Mutex::new(StreamOwned::new(session, stream)))))
    }

    /// Whether it is in TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Makes closing send RST: a linger time of zero.
    ///
    /// # Errors
    /// The errno of setsockopt(2).
    pub fn close_by_reset(&self) -> io::Result<()> {
        let linger = Some(Duration::ZERO);
        match self {
            Self::Plain(stream) => sockopt::set_socket_linger(stream, linger)?,
            Self::Tls(stream) => sockopt::set_socket_linger(&lock(stream).sock, linger)?,
        }
        Ok(())
    }
}

impl Read for &Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => (&mut &*stream).read(buffer),
            Wire::Tls(stream) => lock(stream).read(buffer),
        }
    }
}

impl Write for &Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => (&mut &*stream).write(bytes),
            Wire::Tls(stream) => lock(stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => (&mut &*stream).flush(),
            Wire::Tls(stream) => lock(stream).flush(),
        }
    }
}
