//! `rsinit.secrets=`: where the cluster's secrets are.

use serde::Serialize;

/// An NFS export, and how to mount it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NfsSource {
    /// Name or address of the server; an IPv6 address without its brackets.
    pub host: String,
    /// The exported folder, absolute.
    pub path: String,
    /// TCP port of NFS; for version 3 without one the kernel asks the server's rpcbind.
    pub port: Option<u16>,
    /// TCP port of version 3's mountd; without one the kernel asks the server's rpcbind.
    pub mount_port: Option<u16>,
    /// `4.2`, `4.1`, `4.0` or `3`; where not given, the first that the server speaks of 4.1, 4.2,
    /// 4.0 and 3.
    pub version: Option<String>,
    /// Security flavour: `sys`, `krb5`, `krb5i` or `krb5p`.
    pub security: String,
}

/// Why `rsinit.secrets=` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// Not `nfs://host[:port]/path`.
    #[error("{0:?} is neither none nor nfs://host[:port]/path")]
    Form(String),
    /// An option that is not known, or a value of it.
    #[error(
        "{0:?} is not an option of it: vers=4.2|4.1|4.0|3, sec=sys|krb5|krb5i|krb5p, \
         mountport=1-65535"
    )]
    Option(String),
}

impl NfsSource {
    /// `<host>:/warewulf/secrets`, the default.
    pub fn warewulf(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            path: "/warewulf/secrets".to_owned(),
            port: None,
            mount_port: None,
            version: None,
            security: "sys".to_owned(),
        }
    }

    /// Parses `nfs://host[:port]/path[?vers=…&sec=…&mountport=…]`; `none` is no source.
    ///
    /// # Errors
    /// [`SecretsError`], naming the text.
    pub fn parse(text: &str) -> Result<Option<Self>, SecretsError> {
        if text == "none" {
            return Ok(None);
        }
        let wrong = || SecretsError::Form(text.to_owned());
        let rest = text.strip_prefix("nfs://").ok_or_else(wrong)?;
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').ok_or_else(wrong)?;
        let (host, port) = split_port(authority).ok_or_else(wrong)?;
        let named = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        let whole = !host.is_empty() && host.chars().all(named) && !path.is_empty();
        if !whole || path.contains([',', ' ', '\0']) {
            return Err(wrong());
        }
        let mut source = Self { path: format!("/{path}"), port, ..Self::warewulf(host) };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("vers", version @ ("4.2" | "4.1" | "4.0" | "3"))) => {
                    source.version = Some(version.to_owned());
                }
                Some(("sec", security @ ("sys" | "krb5" | "krb5i" | "krb5p"))) => {
                    source.security = security.to_owned();
                }
                Some(("mountport", port)) => {
                    let wrong = || SecretsError::Option(option.to_owned());
                    source.mount_port = Some(parse_port(port).ok_or_else(wrong)?);
                }
                _ => return Err(SecretsError::Option(option.to_owned())),
            }
        }
        Ok(Some(source))
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`; a bare IPv6 address is a host.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match after.strip_prefix(':') {
            None if after.is_empty() => Some((host, None)),
            port => Some((host, Some(parse_port(port?)?))),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(parse_port(port)?))),
        Some(_) => authority.parse::<std::net::Ipv6Addr>().ok().map(|_| (authority, None)),
        None => Some((authority, None)),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_a_host_a_path_and_defaults() {
        assert_eq!(
            NfsSource::parse("nfs://head/srv/secrets?vers=4.1").unwrap(),
            Some(NfsSource {
                host: "head".to_owned(),
                path: "/srv/secrets".to_owned(),
                port: None,
                mount_port: None,
                version: Some("4.1".to_owned()),
                security: "sys".to_owned(),
            })
        );
        assert_eq!(NfsSource::parse("none").unwrap(), None);
        assert_eq!(NfsSource::parse("nfs://[fd00::1]/s").unwrap().unwrap().host, "fd00::1");
    }

    #[test]
    fn what_is_not_a_source_is_refused_by_name() {
        for text in [
            "",
            "head:/srv",
            "nfs://",
            "nfs://head",
            "nfs://head/",
            "nfs:///s",
            "nfs://[fd00::1/s",
            "nfs://[head]/s",
            "nfs://head:0/s",
            "nfs://head:nfs/s",
            "nfs://fd00::zz/s",
            "nfs://h,ead/s",
        ] {
            assert_eq!(NfsSource::parse(text), Err(SecretsError::Form(text.to_owned())));
        }
        assert_eq!(
            NfsSource::parse("nfs://h/s?vers=5"),
            Err(SecretsError::Option("vers=5".to_owned()))
        );
        assert!(NfsSource::parse("nfs://h/s,vers=3").is_err());
        assert!(NfsSource::parse("nfs://h/s?mountport=0").is_err());
    }

    #[test]
    fn ports_are_part_of_a_source() {
        let ports = |text: &str| {
            let source = NfsSource::parse(text).unwrap().unwrap();
            (source.host, source.port, source.mount_port)
        };
        assert_eq!(ports("nfs://head:20490/s"), ("head".to_owned(), Some(20490), None));
        assert_eq!(ports("nfs://[fd00::1]:2049/s"), ("fd00::1".to_owned(), Some(2049), None));
        assert_eq!(ports("nfs://fd00::1/s"), ("fd00::1".to_owned(), None, None));
        assert_eq!(
            ports("nfs://head/s?vers=3&mountport=20048"),
            ("head".to_owned(), None, Some(20048))
        );
    }
}
