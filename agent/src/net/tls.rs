//! TLS to exactly one certificate: the one that the server itself delivered.
//!
//! Warewulf 4.7 makes a self-signed certificate that is not a CA and puts it into the
//! system overlay (`/warewulf/tls/warewulf.crt`). So the certificate itself is
//! pinned, byte by byte: no root store, no names, and no dates, as a node's clock
//! may be years behind before it has been set.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Why a certificate cannot be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Not a PEM file with a certificate in it.
    #[error("it holds no certificate in PEM form")]
    NoCertificate,
    /// The TLS library refused its own settings.
    #[error(transparent)]
    Tls(#[from] Error),
}

/// The one certificate that a connection accepts.
#[derive(Debug, Clone)]
pub struct Pinned(pub(super) Arc<ClientConfig>);

impl PartialEq for Pinned {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pinned {}

/// Settings for connections to the one server that holds the key of the (first)
/// certificate in `pem`.
///
/// # Errors
/// [`PinError`].
pub fn pinned(pem: &[u8]) -> Result<Pinned, PinError> {
    let certificate =
        CertificateDer::from_pem_slice(pem).map_err(|_| PinError::NoCertificate)?.into_owned();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Pin { certificate, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Pinned(Arc::new(config)))
}

/// Accepts one certificate, and its holder's signature on the handshake.
#[derive(Debug)]
struct Pin {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    /// A server with a new self-signed certificate for a name nobody asks for: its
    /// certificate as PEM, and its answer to one connection.
    fn server() -> (String, std::net::SocketAddr) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["warewulf".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let session = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            // A client that refuses the certificate hangs up.
            let _ = stream.write_all(b"hello").and_then(|()| stream.flush());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        });
        (cert.pem(), address)
    }

    fn ask(pem: &str, address: std::net::SocketAddr) -> std::io::Result<String> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let session = ClientConnection::new(pinned(pem.as_bytes()).unwrap().0, name).unwrap();
        let mut stream = StreamOwned::new(session, TcpStream::connect(address)?);
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn the_pinned_certificate_is_accepted_whatever_its_name() {
        let (pem, address) = server();
        assert_eq!(ask(&pem, address).unwrap(), "hello");
    }

    #[test]
    fn any_other_certificate_is_refused() {
        let (pem, _) = server();
        let (_, address) = server();
        let error = ask(&pem, address).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }

    #[test]
    fn a_file_without_a_certificate_cannot_be_pinned() {
        for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"]
        {
            assert!(matches!(pinned(text.as_bytes()), Err(PinError::NoCertificate)), "{text}");
        }
    }
}
