//! Where the outcome of a boot is reported to (`rsinit.report=`).

use std::fmt;

use super::uri::{UriError, parse_host_port};

/// Somebody who wants to hear how a boot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportTo {
    /// Syslog, a message a datagram: `syslog://host[:514]`.
    Udp(Host),
    /// Syslog, messages on a stream: `syslog+tcp://host[:601]`.
    Tcp(Host),
    /// An address to which the report is posted: `http://…` or `https://…`.
    Post {
        /// The address as it was written: it may carry a password or a key.
        url: String,
        /// The same without what it may carry in confidence.
        shown: String,
    },
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name or address; an IPv6 address without its brackets.
    pub name: String,
    /// 1 to 65535.
    pub port: u16,
}

/// Syslog over UDP. Source: RFC 5426, 3.3.
const UDP: u16 = 514;
/// Syslog over TCP. Source: RFC 6587 and IANA's registry, "syslog-conn".
const TCP: u16 = 601;

/// Why nobody can be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportToError {
    /// Another scheme.
    #[error("it begins with none of syslog://, syslog+tcp://, http://, https://")]
    Scheme,
    /// A host that is none.
    #[error(transparent)]
    Host(#[from] UriError),
}

impl ReportTo {
    /// Reads an address; the error does not repeat one that may carry a password.
    ///
    /// # Errors
    /// [`ReportToError`].
    pub fn parse(text: &str) -> Result<Self, ReportToError> {
        let (scheme, rest) = text.split_once("://").ok_or(ReportToError::Scheme)?;
        let host = |default: u16| -> Result<Host, ReportToError> {
            let authority = rest.trim_end_matches('/');
            let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let (name, port) = parse_host_port(authority, authority)?;
            Ok(Host { name, port: port.unwrap_or(default) })
        };
        match scheme {
            "syslog" | "syslog+udp" => Ok(Self::Udp(host(UDP)?)),
            "syslog+tcp" => Ok(Self::Tcp(host(TCP)?)),
            "http" | "https" => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let (authority, path) = rest.split_at(end);
                let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                parse_host_port(authority, authority)?;
                let path = path.split(['?', '#']).next().unwrap_or_default();
                let shown = format!("{scheme}://{authority}{path}");
                Ok(Self::Post { url: text.to_owned(), shown })
            }
            _ => Err(ReportToError::Scheme),
        }
    }
}

impl fmt::Display for ReportTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(host) => write!(f, "syslog://{host}"),
            Self::Tcp(host) => write!(f, "syslog+tcp://{host}"),
            Self::Post { shown, .. } => f.write_str(shown),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        ReportTo::parse(text).map_or_else(|error| error.to_string(), |to| to.to_string())
    }

    #[test]
    fn each_form_has_its_port_by_default() {
        assert_eq!(shown("syslog://head"), "syslog://head:514");
        assert_eq!(shown("syslog+udp://head:1514/"), "syslog://head:1514");
        assert_eq!(shown("syslog+tcp://[fd00::1]"), "syslog+tcp://[fd00::1]:601");
        assert_eq!(shown("https://head:8443/boots?x=1"), "https://head:8443/boots");
    }

    #[test]
    fn a_password_in_the_address_is_used_and_shown_to_nobody() {
        let to = ReportTo::parse("http://me:pass@head/boots?key=S").unwrap();
        assert_eq!(to.to_string(), "http://head/boots");
        let ReportTo::Post { url, .. } = to else { panic!() };
        assert_eq!(url, "http://me:pass@head/boots?key=S");
        let error = ReportTo::parse("http://me:pass@he ad/x").unwrap_err().to_string();
        assert!(!error.contains("pass"), "{error}");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in
            ["head", "ftp://head", "syslog://", "syslog://h:0", "syslog://fd00::1", "http://"]
        {
            assert!(ReportTo::parse(bad).is_err(), "{bad}");
        }
    }
}
