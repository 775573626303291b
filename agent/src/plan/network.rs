//! What is missing between the node and its server.

use std::net::IpAddr;

/// One network interface other than loopback, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as `eth0`.
    pub name: String,
    /// Whether it is up and its cable has a signal.
    pub carrier: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Why packets cannot reach `server` yet, from what the interfaces show.
pub fn missing(interfaces: &[Interface], server: &str) -> String {
    let names = |list: &[&Interface]| -> String {
        list.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let all: Vec<&Interface> = interfaces.iter().collect();
    let live: Vec<&Interface> = all.iter().copied().filter(|one| one.carrier).collect();
    let usable = |address: &IpAddr| match address {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    };
    let addressed: Vec<&Interface> =
        live.iter().copied().filter(|one| one.addresses.iter().any(usable)).collect();
    if all.is_empty() {
        "no network interface: its driver is missing or found no device".to_owned()
    } else if live.is_empty() {
        format!("no carrier on {}: cable, switch port, or the interface is down", names(&all))
    } else if addressed.is_empty() {
        format!("no address on {}: DHCP has not answered, or ip= is missing", names(&live))
    } else {
        format!("no route to {server} from {}", names(&addressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, carrier: bool, addresses: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            carrier,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named() {
        let down = interface("eth0", false, &[]);
        let bare = interface("eth1", true, &["fe80::1", "169.254.3.4"]);
        let ready = interface("eth2", true, &["10.1.0.5"]);
        assert!(missing(&[], "h").starts_with("no network interface"));
        assert!(missing(std::slice::from_ref(&down), "h").starts_with("no carrier on eth0"));
        assert!(missing(&[down.clone(), bare.clone()], "h").starts_with("no address on eth1"));
        assert_eq!(missing(&[down, bare, ready], "10.2.0.1"), "no route to 10.2.0.1 from eth2");
    }
}
