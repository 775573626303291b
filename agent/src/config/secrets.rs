//! `rsinit.secrets=`: where the cluster's secrets are.

use serde::Serialize;

/// An NFS export, and how to mount it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NfsSource {
    /// Name or address of the server; an IPv6 address without its brackets.
    pub host: String,
    /// The exported folder, absolute.
    pub path: String,
    /// `4.2`, `4.1`, `4.0` or `3`; the newest that the server speaks where not given.
    pub version: Option<String>,
    /// Security flavour: `sys`, `krb5`, `krb5i` or `krb5p`.
    pub security: String,
}

/// Why `rsinit.secrets=` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// Not `nfs://host/path`.
    #[error("{0:?} is neither none nor nfs://host/path")]
    Form(String),
    /// An option that is not known, or a value of it.
    #[error("{0:?} is not an option of it: vers=4.2|4.1|4.0|3, sec=sys|krb5|krb5i|krb5p")]
    Option(String),
}

impl NfsSource {
    /// `<host>:/warewulf/secrets`, the default.
    pub fn warewulf(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            path: "/warewulf/secrets".to_owned(),
            version: None,
            security: "sys".to_owned(),
        }
    }

    /// Parses `nfs://host/path[?vers=…&sec=…]`; `none` is no source.
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
        let (host, path) = place.split_once('/').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || path.is_empty() || place.contains([',', ' ']) {
            return Err(wrong());
        }
        let mut source = Self { path: format!("/{path}"), ..Self::warewulf(host) };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("vers", version @ ("4.2" | "4.1" | "4.0" | "3"))) => {
                    source.version = Some(version.to_owned());
                }
                Some(("sec", security @ ("sys" | "krb5" | "krb5i" | "krb5p"))) => {
                    source.security = security.to_owned();
                }
                _ => return Err(SecretsError::Option(option.to_owned())),
            }
        }
        Ok(Some(source))
    }
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
                version: Some("4.1".to_owned()),
                security: "sys".to_owned(),
            })
        );
        assert_eq!(NfsSource::parse("none").unwrap(), None);
        assert_eq!(NfsSource::parse("nfs://[fd00::1]/s").unwrap().unwrap().host, "fd00::1");
    }

    #[test]
    fn what_is_not_a_source_is_refused_by_name() {
        for text in ["", "head:/srv", "nfs://", "nfs://head", "nfs://head/", "nfs:///s"] {
            assert_eq!(NfsSource::parse(text), Err(SecretsError::Form(text.to_owned())));
        }
        assert_eq!(
            NfsSource::parse("nfs://h/s?vers=5"),
            Err(SecretsError::Option("vers=5".to_owned()))
        );
        assert!(NfsSource::parse("nfs://h/s,vers=3").is_err());
    }
}
