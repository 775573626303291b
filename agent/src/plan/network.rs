//! What is missing between the node and its server.

use std::net::IpAddr;

/// One network interface other than loopback, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as `eth0`.
    pub name: String,
    /// Whether something has brought it up.
    pub is_up: bool,
    /// Whether its cable has a signal, too.
    pub carrier: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Why the name of `server` leads nowhere yet, from what the interfaces and this resolv.conf show.
pub fn unresolved(interfaces: &[Interface], server: &str, resolv_conf: &str) -> String {
    let servers = resolv_conf.lines().filter_map(|line| line.strip_prefix("nameserver "));
    let servers = servers.collect::<Vec<_>>().join(", ");
    let is_usable = |one: &Interface| one.carrier && one.addresses.iter().any(is_global);
    if !interfaces.iter().any(is_usable) {
        missing(interfaces, server)
    } else if servers.is_empty() {
        format!("no name server for {server}: neither DHCP nor nameserver= has named one")
    } else {
        format!("no address of {server} from the name server {servers}")
    }
}

/// Why packets cannot reach `server` yet, from what the interfaces show.
pub fn missing(interfaces: &[Interface], server: &str) -> String {
    let names = |list: &[&Interface]| -> String {
        list.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    // A name may be of either family.
    let server_ip = server.parse::<IpAddr>().ok();
    let all: Vec<&Interface> = interfaces.iter().collect();
    let live: Vec<&Interface> = all.iter().copied().filter(|one| one.carrier).collect();
    let usable = |address: &IpAddr| {
        let fits = server_ip.is_none_or(|server| server.is_ipv6() == address.is_ipv6());
        fits && is_global(address)
    };
    let addressed: Vec<&Interface> =
        live.iter().copied().filter(|one| one.addresses.iter().any(usable)).collect();
    if all.is_empty() {
        "no network interface: its driver is missing or found no device".to_owned()
    } else if live.is_empty() {
        let up: Vec<&Interface> = all.iter().copied().filter(|one| one.is_up).collect();
        match up.as_slice() {
            [] => format!("nothing in the initramfs has brought up {}", names(&all)),
            up => format!("no carrier on {}: cable or switch port", names(up)),
        }
    } else if addressed.is_empty() {
        let (address, source) = match server_ip {
            None => ("address", "DHCP has not answered"),
            Some(IpAddr::V4(_)) => ("IPv4 address", "DHCP has not answered"),
            Some(IpAddr::V6(_)) => {
                ("IPv6 address", "no router has named the network, nor has DHCPv6 answered")
            }
        };
        format!("no {address} on {}: {source}, or ip= is missing", names(&live))
    } else {
        format!("no route to {server} from {}", names(&addressed))
    }
}

/// Whether a node can talk to `server` from its address `local`. While its real address is still
/// tentative, the kernel offers the link-local one for any server on the wire; that one means
/// nothing without its interface, and neither the NFS client nor the report could name it.
pub fn serves(local: IpAddr, server: IpAddr) -> bool {
    !is_link_local(local) || is_link_local(server)
}

fn is_global(address: &IpAddr) -> bool {
    !is_link_local(*address)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, carrier: bool, addresses: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            is_up: true,
            carrier,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named() {
        let down = interface("eth0", false, &[]);
        let idle = Interface { is_up: false, ..interface("eth3", false, &[]) };
        let bare = interface("eth1", true, &["fe80::1", "169.254.3.4"]);
        let ready = interface("eth2", true, &["10.1.0.5"]);
        assert!(missing(&[], "h").starts_with("no network interface"));
        let said = missing(std::slice::from_ref(&idle), "h");
        assert_eq!(said, "nothing in the initramfs has brought up eth3");
        let said = missing(&[down.clone(), idle], "h");
        assert_eq!(said, "no carrier on eth0: cable or switch port");
        assert!(missing(&[down.clone(), bare.clone()], "h").starts_with("no address on eth1"));
        assert_eq!(missing(&[down, bare, ready], "10.2.0.1"), "no route to 10.2.0.1 from eth2");
    }

    #[test]
    fn a_name_that_leads_nowhere_has_its_reason() {
        let bare = [interface("eth0", true, &["fe80::1"])];
        let ready = [interface("eth0", true, &["10.1.0.5"])];
        assert!(unresolved(&bare, "head", "").starts_with("no address on eth0"));
        assert!(unresolved(&ready, "head", "search test\n").starts_with("no name server for head"));
        let said = unresolved(&ready, "head", "nameserver 10.1.0.1\nnameserver fd77::1\n");
        assert_eq!(said, "no address of head from the name server 10.1.0.1, fd77::1");
    }

    #[test]
    fn an_address_of_the_other_family_does_not_reach_the_server() {
        let four = [interface("eth0", true, &["fe80::1", "10.1.0.5"])];
        let six = [interface("eth0", true, &["fe80::1", "fd77::5"])];
        assert!(missing(&four, "fd77::1").starts_with("no IPv6 address on eth0: no router"));
        assert!(missing(&six, "10.1.0.1").starts_with("no IPv4 address on eth0: DHCP"));
        for (interfaces, server) in [(&four, "10.2.0.1"), (&six, "fd88::1"), (&six, "head")] {
            assert_eq!(missing(interfaces, server), format!("no route to {server} from eth0"));
        }
    }

    #[test]
    fn a_link_local_address_serves_on_its_own_link_alone() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(!serves(ip("fe80::5"), ip("fd77::1")));
        assert!(serves(ip("fd77::5"), ip("fd77::1")));
        assert!(serves(ip("fe80::5"), ip("fe80::1")));
        assert!(serves(ip("169.254.1.5"), ip("169.254.1.1")));
    }
}
