//! `/warewulf/config` of the system overlay: shell assignments, read as data.
//!
//! The file also carries the BMC's password, so nothing of it is kept or printed but
//! the fields below. Source: Warewulf's `wwinit` overlay, 4.5.8 to 4.7.

use super::uri::Server;

/// What the server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WarewulfConfig {
    /// `WWTLS=true`: the runtime overlay is given over HTTPS only (4.7).
    pub tls: bool,
    /// `WWTLSPORT`: the port to ask there, 1 to 65535.
    pub tls_port: Option<u16>,
    /// `WWIPADDR`: the server's address, as its certificate names it.
    pub address: Option<String>,
}

impl WarewulfConfig {
    /// Where the server speaks TLS: as it says, and otherwise where it was reached, on
    /// Warewulf's default port.
    pub fn tls_server(&self, reached: &Server) -> Server {
        Server {
            tls: true,
            host: self.address.clone().unwrap_or_else(|| reached.host.clone()),
            port: self.tls_port.unwrap_or(9874),
        }
    }
}

/// Reads the assignments that matter; what is not one is passed over, as the file
/// belongs to the server and later versions will say more.
pub fn parse(text: &str) -> WarewulfConfig {
    let mut config = WarewulfConfig::default();
    for (name, value) in text.lines().filter_map(assignment) {
        match name {
            "WWTLS" => config.tls = value == "true",
            "WWTLSPORT" => config.tls_port = value.parse().ok().filter(|port| *port != 0),
            "WWIPADDR" => config.address = Some(value).filter(|value| !value.is_empty()),
            _ => {}
        }
    }
    config
}

/// `NAME=value`, `export NAME=value`, with the value plain or in quotes.
fn assignment(line: &str) -> Option<(&str, String)> {
    let line = line.trim();
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let quoted = |quote: char| value.strip_prefix(quote)?.split(quote).next();
    let value = quoted('"')
        .or_else(|| quoted('\''))
        .unwrap_or_else(|| value.split_whitespace().next().unwrap_or_default());
    Some((name.trim_start(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_tls_settings_are_read() {
        let config = parse(
            "WWIMAGE=rocky-9\nWWIPMI_PASSWORD=\"a b\"\nWWTLS=true\nWWTLSPORT=9874\n\
             export WWIPADDR='10.0.0.1' # here\n",
        );
        assert_eq!(
            config,
            WarewulfConfig {
                tls: true,
                tls_port: Some(9874),
                address: Some("10.0.0.1".to_owned())
            }
        );
    }

    #[test]
    fn nothing_is_executed_and_no_secret_is_kept() {
        let config = parse("WWIPMI_PASSWORD=hunter2\nWWIPADDR=$(reboot)\nWWTLS=`true`\n= \n");
        assert!(!config.tls);
        assert_eq!(config.address.as_deref(), Some("$(reboot)"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn an_older_or_broken_file_has_no_tls() {
        for text in ["", "WWTLS", "WWTLS=", "WWTLSPORT=0", "WWTLSPORT=70000", "WWTLS=\"true"] {
            let config = parse(text);
            assert_eq!((config.tls_port, config.address), (None, None), "{text}");
        }
    }
}
