//! The links of a network boot, from the firmware to the real root, as its servers saw them.

use std::time::Duration;

use crate::network::{IPXE_BIOS, IPXE_UEFI, Number};
use crate::server::Served;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What was passed.
    pub name: &'static str,
    /// When, since power-on.
    pub at: Duration,
    /// What the server saw.
    pub saw: String,
}

/// What a whole chain is made of, in order.
pub const WHOLE: [&str; 9] = [
    "the firmware has an address (DHCP)",
    "iPXE was sent (TFTP)",
    "iPXE has an address (DHCP)",
    "the server's script (HTTP)",
    "the kernel (HTTP)",
    "the initramfs (HTTP)",
    "the initramfs has an address (DHCP)",
    "rsinit asks for the system overlay (HTTP)",
    "rsinit asks for the image (HTTP)",
];

/// The links that node `number` has passed, up to the first that is missing: each is looked for
/// after the one before.
pub fn links(number: Number, wire: &[(Duration, String)], requests: &[Served]) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for (index, name) in WHOLE.into_iter().enumerate() {
        let after = links.last().map_or(Duration::ZERO, |link| link.at);
        let found = match index {
            0 | 2 | 6 => address(number, wire, after),
            1 => sent(number, wire, after),
            3 => asked(requests, after, |one| one.head.path.starts_with("/ipxe/")),
            4 => asked(requests, after, |one| one.query("stage") == Some("kernel")),
            5 => asked(requests, after, |one| one.query("stage") == Some("initramfs")),
            7 => asked(requests, after, |one| is_for(one, &["system"])),
            _ => asked(requests, after, |one| is_for(one, &["image", "container"])),
        };
        let Some((at, saw)) = found else { break };
        links.push(Link { name, at, saw });
    }
    links
}

type Seen = Option<(Duration, String)>;

fn address(number: Number, wire: &[(Duration, String)], after: Duration) -> Seen {
    let mac = number.mac();
    let is_given = |line: &String| line.contains(" DHCPACK(") && line.contains(&mac);
    wire.iter().find(|(at, line)| *at > after && is_given(line)).cloned()
}

fn sent(number: Number, wire: &[(Duration, String)], after: Duration) -> Seen {
    let ends = [IPXE_BIOS, IPXE_UEFI].map(|name| format!("/{name} to {}", number.ip()));
    let is_sent =
        |line: &String| line.contains(": sent ") && ends.iter().any(|end| line.ends_with(end));
    wire.iter().find(|(at, line)| *at > after && is_sent(line)).cloned()
}

fn asked(requests: &[Served], after: Duration, is: impl Fn(&Served) -> bool) -> Seen {
    let found = requests.iter().find(|one| one.at > after && one.status == 200 && is(one))?;
    Some((found.at, format!("{} {}", found.head.method, found.head.path)))
}

/// Whether a request is for one of these stages, by the query or by a route of 4.7.
fn is_for(one: &Served, stages: &[&str]) -> bool {
    let route = one.head.path.trim_start_matches('/').split('/').next().unwrap_or("");
    stages.iter().any(|stage| one.query("stage") == Some(stage) || route == *stage)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::server::Head;

    fn wire() -> Vec<(Duration, String)> {
        [
            (1, "dnsmasq-dhcp[7]: 1 DHCPACK(br0) 10.77.0.103 52:54:00:77:00:03 node003"),
            (2, "dnsmasq-dhcp[7]: 1 DHCPACK(br0) 10.77.0.104 52:54:00:77:00:04 node004"),
            (3, "dnsmasq-tftp[7]: sent /s/tftp/ipxe.efi to 10.77.0.104"),
            (4, "dnsmasq-dhcp[7]: 2 DHCPACK(br0) 10.77.0.104 52:54:00:77:00:04 node004"),
            (9, "dnsmasq-dhcp[7]: 3 DHCPACK(br0) 10.77.0.104 52:54:00:77:00:04 node004"),
        ]
        .map(|(seconds, line)| (Duration::from_secs(seconds), line.to_owned()))
        .to_vec()
    }

    fn served(seconds: u64, target: &str) -> Served {
        let text = format!("GET {target} HTTP/1.1\r\n\r\n");
        Served {
            at: Duration::from_secs(seconds),
            peer: SocketAddr::from(([10, 77, 0, 104], 999)),
            head: Head::read(&mut text.as_bytes()).unwrap().unwrap(),
            status: 200,
            sent: 0,
            fault: None,
        }
    }

    #[test]
    fn a_chain_is_whole_where_each_link_follows_the_one_before() {
        let requests = [
            served(5, "/ipxe/x"),
            served(6, "/provision/x?stage=kernel"),
            served(7, "/provision/x?stage=initramfs"),
            served(10, "/provision/x?stage=system"),
            served(11, "/image/x"),
        ];
        let names = |requests: &[Served]| -> Vec<&str> {
            links(Number(4), &wire(), requests).iter().map(|link| link.name).collect()
        };
        assert_eq!(names(&requests), WHOLE);
        assert_eq!(names(requests.get(..2).unwrap()), WHOLE[..5]);
        assert_eq!(links(Number(5), &wire(), &requests), []);
    }
}
