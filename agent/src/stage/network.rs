//! Waits until packets can reach the server, and says what is missing meanwhile.

use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};

use super::context::{Context, Done};
use crate::config::networkd;
use crate::config::uri::Server;
use crate::layout::Layout;
use crate::log;
use crate::plan::boot::Mac;
use crate::plan::network::{Interface, missing, serves, unresolved};
use crate::sys::route;

/// The stage's name.
pub const NAME: &str = "network";

/// How often what is missing is said while the network is not there.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// Names become known, and addresses lose their "tentative" flag, without a
/// message on the netlink socket: look again after so long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The way to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The server's address.
    pub server: IpAddr,
    /// The node's own address on the way there.
    pub local: IpAddr,
    /// The node's MAC address, as the server knows it.
    pub mac: String,
}

/// Waits for a route to `server`, until the boot's deadline.
///
/// # Errors
/// What is still missing at the deadline: interface, carrier, address or route.
pub fn wait(ctx: &Context<'_>, server: &Server, mac: &Mac) -> anyhow::Result<Done<Reached>> {
    let watch = ctx.kernel.watch_routes()?;
    let mut say_at = Instant::now() + SAY_EVERY;
    loop {
        learn_name_servers(ctx.layout);
        let cause = match look(ctx, server) {
            Ok((to, local)) => {
                let reached = reached(ctx, mac, to, local)?;
                let note = format!("{to} from {local} ({})", reached.mac);
                return Ok(Done::new(reached, note));
            }
            Err(cause) => cause,
        };
        if ctx.time_left().is_zero() {
            bail!("reaching {server}: {cause}");
        }
        if Instant::now() >= say_at {
            log::line(NAME, format_args!("still waiting: {cause}"));
            say_at = Instant::now() + SAY_EVERY;
        }
        ctx.kernel.wait_for_change(&watch, LOOK_EVERY.min(ctx.time_left()))?;
    }
}

/// Writes the initramfs's resolv.conf, where nobody else has: systemd-networkd leaves that to
/// systemd-resolved, which an initramfs hardly ever has. No boot fails here: only a name that is
/// wanted and leads nowhere is a failure, and its line says what is missing.
pub fn learn_name_servers(layout: &Layout) {
    let path = layout.resolv_conf();
    // A link to a service's is not empty either, wherever it leads.
    if fs::symlink_metadata(&path).is_ok_and(|found| found.len() > 0) {
        return;
    }
    let state = fs::read_to_string(layout.netif_state()).unwrap_or_default();
    if let Some(text) = networkd::resolv_conf(&state) {
        let _ = fs::write(&path, text);
    }
}

/// The way to `server` as it is now.
///
/// # Errors
/// What is missing.
pub fn find(ctx: &Context<'_>, server: &Server, mac: &Mac) -> anyhow::Result<Reached> {
    let (to, local) = look(ctx, server)?;
    reached(ctx, mac, to, local)
}

fn reached(ctx: &Context<'_>, mac: &Mac, to: IpAddr, local: IpAddr) -> anyhow::Result<Reached> {
    let mac = find_mac(&ctx.kernel.interfaces()?, mac, local)?;
    Ok(Reached { server: to, local, mac })
}

/// The server's and our own address, or why there is none yet.
fn look(ctx: &Context<'_>, server: &Server) -> anyhow::Result<(IpAddr, IpAddr)> {
    let addresses: Vec<SocketAddr> = (server.host.as_str(), server.port)
        .to_socket_addrs()
        .map_err(|error| {
            let names = fs::read_to_string(ctx.layout.resolv_conf()).unwrap_or_default();
            anyhow!("{}: {error}", unresolved(&seen(ctx), &server.host, &names))
        })?
        .collect();
    first_way(&addresses, |to| ctx.kernel.source_address(to).ok())
        .ok_or_else(|| anyhow!(missing(&seen(ctx), &server.host)))
}

/// The first of the server's addresses that can be talked to, and from which of our own; `source`
/// is what the kernel would take.
fn first_way(
    addresses: &[SocketAddr],
    source: impl Fn(SocketAddr) -> Option<IpAddr>,
) -> Option<(IpAddr, IpAddr)> {
    let mut ways = addresses.iter().filter_map(|to| Some((to.ip(), source(*to)?)));
    ways.find(|(to, local)| serves(*local, *to))
}

/// The interfaces as they are now.
fn seen(ctx: &Context<'_>) -> Vec<Interface> {
    let all = ctx.kernel.interfaces().unwrap_or_default();
    let known = |route::Interface { name, is_up, carrier, addresses, .. }| Interface {
        name,
        is_up,
        carrier,
        addresses,
    };
    all.into_iter().map(known).collect()
}

fn find_mac(interfaces: &[route::Interface], mac: &Mac, local: IpAddr) -> anyhow::Result<String> {
    let found = match mac {
        Mac::Known(mac) => return Ok(mac.clone()),
        Mac::OfInterface(name) => interfaces.iter().find(|one| one.name == *name),
        Mac::OfRoute => interfaces.iter().find(|one| one.addresses.contains(&local)),
    };
    found
        .and_then(|interface| interface.mac.clone())
        .ok_or_else(|| anyhow!("finding the MAC address: no interface for {mac:?} ({local})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_that_of_the_interface_that_reaches_the_server() {
        let interface = |name: &str, mac: &str, address: &str| route::Interface {
            name: name.to_owned(),
            mac: Some(mac.to_owned()),
            is_up: true,
            carrier: true,
            addresses: vec![address.parse().unwrap()],
        };
        let all = [
            interface("eth0", "02:00:00:00:00:01", "10.0.0.1"),
            interface("eth1", "02:00:00:00:00:02", "10.0.0.2"),
        ];
        let local = "10.0.0.2".parse().unwrap();
        assert_eq!(find_mac(&all, &Mac::OfRoute, local).unwrap(), "02:00:00:00:00:02");
        let named = Mac::OfInterface("eth0".to_owned());
        assert_eq!(find_mac(&all, &named, local).unwrap(), "02:00:00:00:00:01");
        let absent = Mac::OfInterface("ib0".to_owned());
        assert!(find_mac(&all, &absent, local).is_err());
    }

    #[test]
    fn what_networkd_has_learnt_stands_in_a_resolv_conf_that_nobody_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::under(folder.path());
        fs::create_dir(&layout.etc).unwrap();
        let state = layout.netif_state();
        fs::create_dir_all(state.parent().unwrap()).unwrap();
        let read = || fs::read_to_string(layout.resolv_conf()).ok();
        learn_name_servers(&layout);
        fs::write(&state, "OPER_STATE=carrier\n").unwrap();
        learn_name_servers(&layout);
        assert_eq!(read(), None);
        fs::write(&state, "DNS=10.0.0.1\n").unwrap();
        learn_name_servers(&layout);
        assert_eq!(read().unwrap(), "nameserver 10.0.0.1\n");
        fs::write(layout.resolv_conf(), "nameserver 10.0.0.2\n").unwrap();
        learn_name_servers(&layout);
        assert_eq!(read().unwrap(), "nameserver 10.0.0.2\n");
    }

    #[test]
    fn a_node_whose_address_is_tentative_is_not_on_its_way_yet() {
        let server = ["[fd77::1]:80", "10.0.0.1:80"].map(|text| text.parse().unwrap());
        let from = |four: Option<&str>, six: &str| {
            let (four, six) = (four.map(|text| text.parse().unwrap()), six.parse().unwrap());
            first_way(&server, |to| if to.is_ipv6() { Some(six) } else { four })
                .map(|(_, local): (_, IpAddr)| local.to_string())
        };
        assert_eq!(from(None, "fe80::5"), None);
        assert_eq!(from(Some("10.0.0.5"), "fe80::5").unwrap(), "10.0.0.5");
        assert_eq!(from(None, "fd77::5").unwrap(), "fd77::5");
    }
}
