//! What systemd-networkd has learnt: `/run/systemd/netif/state`, from which systemd-resolved has its
//! name servers. Source: systemd, `network/networkd-state-file.c`, and sd-network(3).

use std::net::IpAddr;

/// The resolv.conf(5) that says what `state` does; none where it names no server.
///
/// A server with a port or a name of its own, for DNS over TLS, has no place there and is left out.
pub fn resolv_conf(state: &str) -> Option<String> {
    let words = |name: &str| -> Vec<&str> {
        let values = state.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.flat_map(str::split_whitespace).collect()
    };
    let mut text = String::new();
    for server in words("DNS").into_iter().filter(|word| is_address(word)) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if text.is_empty() {
        return None;
    }
    let domains = words("DOMAINS");
    if !domains.is_empty() {
        text.push_str(&format!("search {}\n", domains.join(" ")));
    }
    Some(text)
}

/// Whether `word` is an address, with the interface that a link-local one needs or without.
fn is_address(word: &str) -> bool {
    word.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "# This is private data. Do not parse.\nOPER_STATE=routable\n\
                         DNS=10.0.0.1 fd77::1 fe80::1%eth0 10.0.0.2:5353 10.0.0.3#dns.test\n\
                         NTP=10.0.0.9\nDOMAINS=cluster.test site.test\nROUTE_DOMAINS=.\n";

    #[test]
    fn servers_and_domains_are_those_of_networkd() {
        let want = "nameserver 10.0.0.1\nnameserver fd77::1\nnameserver fe80::1%eth0\n\
                    search cluster.test site.test\n";
        assert_eq!(resolv_conf(STATE).unwrap(), want);
    }

    #[test]
    fn without_a_server_there_is_nothing_to_say() {
        for state in ["", "DNS=\nDOMAINS=cluster.test\n", "DNS=nonsense\n", "ADNS=10.0.0.1\n"] {
            assert_eq!(resolv_conf(state), None);
        }
    }
}
