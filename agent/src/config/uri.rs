//! Where to boot from: the forms that `rsinit.uri=` and Warewulf's own arguments take.

use std::fmt;

use serde::Serialize;

/// `http://host[:port]`: the part of a URI that names a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// A server, and the node's MAC address where the URI names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootUri {
    /// Where to ask.
    pub server: Server,
    /// From `/provision/<mac>`: lower case, with colons.
    pub mac: Option<String>,
}

/// Why a URI cannot be booted from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Not `http://` or `https://`.
    #[error("{0:?} begins neither with http:// nor with https://")]
    Scheme(String),
    /// No host, or one with characters that no host has.
    #[error("{0:?} names no host")]
    Host(String),
    /// A port that is not a number from 1 to 65535.
    #[error("{0:?} has a port that is not a number from 1 to 65535")]
    Port(String),
    /// A path that is neither empty nor below `/provision/`.
    #[error("{0:?} has a path that is not /provision/ or /provision/<mac>")]
    Path(String),
    /// Something else than a MAC address behind `/provision/`.
    #[error("{0:?} is not a MAC address (six bytes in hexadecimal)")]
    Mac(String),
}

impl BootUri {
    /// Parses `http(s)://host[:port]`, `…/provision/` or `…/provision/<mac>`; a
    /// query behind it (as Warewulf's own variables carry) is not ours to keep.
    ///
    /// # Errors
    /// [`UriError`], naming the URI.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        // A query may hold the asset key, and what stands before an `@` a password.
        let uri = shown(uri);
        let uri = uri.as_str();
        let wrong = || uri.to_owned();
        let (tls, rest) = match (uri.strip_prefix("http://"), uri.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(UriError::Scheme(wrong())),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path),
            None => (rest, ""),
        };
        let server = parse_authority(uri, tls, authority)?;
        let mac = match path {
            "" | "provision" | "provision/" => None,
            path => match path.strip_prefix("provision/") {
                Some(mac) => Some(parse_mac(mac.trim_end_matches('/'))?),
                None => return Err(UriError::Path(wrong())),
            },
        };
        Ok(Self { server, mac })
    }
}

/// `uri` without its query, and with the user and password before an `@` as `...`.
fn shown(uri: &str) -> String {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    match (uri.split_once("://"), uri.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://...@{rest}"),
        (None, Some((_, rest))) => format!("...@{rest}"),
        _ => uri.to_owned(),
    }
}

fn parse_authority(uri: &str, tls: bool, authority: &str) -> Result<Server, UriError> {
    let (host, port) = parse_host_port(uri, authority)?;
    Ok(Server { tls, host, port: port.unwrap_or(if tls { 443 } else { 80 }) })
}

/// `host`, `host:port` or `[IPv6]:port`; an error names `uri`.
///
/// # Errors
/// [`UriError::Host`] and [`UriError::Port`].
pub(super) fn parse_host_port(
    uri: &str,
    authority: &str,
) -> Result<(String, Option<u16>), UriError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| UriError::Host(uri.to_owned()))?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| UriError::Host(uri.to_owned()))?;
        match after.strip_prefix(':') {
            None if !after.is_empty() => return Err(UriError::Host(uri.to_owned())),
            port => (host, port),
        }
    } else {
        match authority.rsplit_once(':') {
            // An IPv6 address without brackets could be read in two ways.
            Some((host, _)) if host.contains(':') => return Err(UriError::Host(uri.to_owned())),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(named) {
        return Err(UriError::Host(uri.to_owned()));
    }
    let port = match port.map(str::parse) {
        None => None,
        Some(Ok(0) | Err(_)) => return Err(UriError::Port(uri.to_owned())),
        Some(Ok(port)) => Some(port),
    };
    Ok((host.to_owned(), port))
}

/// A MAC address as Warewulf keys its nodes by: lower case, with colons.
///
/// # Errors
/// [`UriError::Mac`] for anything but six bytes in hexadecimal with `:` or `-` between them.
pub fn parse_mac(text: &str) -> Result<String, UriError> {
    let mac = text.to_ascii_lowercase().replace('-', ":");
    let byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    if mac.split(':').count() == 6 && mac.split(':').all(byte) {
        Ok(mac)
    } else {
        Err(UriError::Mac(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: u16) -> Server {
        Server { tls: false, host: host.to_owned(), port }
    }

    #[test]
    fn the_three_forms_are_read() {
        let mac = Some("52:54:00:aa:00:01".to_owned());
        for (uri, mac) in [
            ("http://10.0.0.1:9873", None),
            ("http://10.0.0.1:9873/", None),
            ("http://10.0.0.1:9873/provision/", None),
            ("http://10.0.0.1:9873/provision/52-54-00-AA-00-01", mac.clone()),
            ("http://10.0.0.1:9873/provision/52:54:00:aa:00:01?assetkey=k", mac),
        ] {
            let read = BootUri::parse(uri).unwrap();
            assert_eq!(read, BootUri { server: server("10.0.0.1", 9873), mac }, "{uri}");
        }
    }

    #[test]
    fn ports_have_the_schemes_default() {
        assert_eq!(BootUri::parse("http://head").unwrap().server.port, 80);
        assert_eq!(BootUri::parse("https://head").unwrap().server.port, 443);
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets_and_is_printed_so() {
        let read = BootUri::parse("http://[fd00::1]:9873/provision/").unwrap();
        assert_eq!(read.server, server("fd00::1", 9873));
        assert_eq!(read.server.to_string(), "http://[fd00::1]:9873");
    }

    #[test]
    fn what_cannot_be_booted_from_says_why() {
        for (uri, error) in [
            ("", "begins neither"),
            ("ftp://h", "begins neither"),
            ("http://", "names no host"),
            ("http://h h/", "names no host"),
            ("http://[fd00::1", "names no host"),
            ("http://[h]/", "names no host"),
            ("http://[fd00::1]9873/", "names no host"),
            ("http://fd00::1/", "names no host"),
            ("http://head:9:873/", "names no host"),
            ("http://u@h/", "names no host"),
            ("http://h:0", "port"),
            ("http://h:65536", "port"),
            ("http://h:/", "port"),
            ("http://h/images/", "path"),
            ("http://h/provision/zz", "not a MAC"),
            ("http://h/provision/52:54:00:aa:00:01:02", "not a MAC"),
        ] {
            let text = BootUri::parse(uri).unwrap_err().to_string();
            assert!(text.contains(error), "{uri}: {text}");
        }
    }

    #[test]
    fn what_a_uri_carries_in_confidence_is_in_no_error() {
        for uri in [
            "http://h/images/?assetkey=Secret",
            "http://me:Secret@h/provision/",
            "ftp://me:Secret@h/?assetkey=Secret",
            "me:Secret@h",
            "http://h:0?assetkey=Secret",
        ] {
            let error = BootUri::parse(uri).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("Secret"), "{uri}: {error}");
        }
    }
}
