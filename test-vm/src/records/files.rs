//! The text of each file that an overlay has, made from a node's record.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};

use super::{Device, Records};

/// Starts the real init, after what the image's own scripts want done first: `/init` up to
/// Warewulf 4.6.1, `/warewulf/run-init` later.
pub(super) const RUN_INIT: &str = "#!/bin/sh
for script in /warewulf/init.d/*; do sh \"$script\"; done
exec /sbin/init
";

/// A script of `/warewulf/init.d`: the loopback device.
pub(super) const LOOPBACK: &str = "ip link set lo up\n";

/// Stands for Warewulf's client, which is not ours to build: it is there, and says that it runs.
pub(super) const WWCLIENT: &str = "#!/bin/sh
systemd-notify --ready
exec sleep infinity
";

/// The unit of [`WWCLIENT`].
pub(super) const WWCLIENT_UNIT: &str = "[Unit]
Description=Warewulf's client
After=network.target local-fs.target
[Service]
Type=notify
NotifyAccess=all
ExecStart=/warewulf/wwclient
[Install]
WantedBy=multi-user.target
";

/// What a root in memory has in its `/etc/fstab`.
pub(super) const FSTAB: &str = "rootfs / tmpfs defaults 0 0
devpts /dev/pts devpts gid=5,mode=620 0 0
tmpfs /dev/shm tmpfs defaults 0 0
sysfs /sys sysfs defaults 0 0
proc /proc proc defaults 0 0
";

/// `/warewulf/config`: shell assignments.
pub(super) fn config(name: &str, image: &str) -> String {
    format!("WWIMAGE={image}\nWWHOSTNAME={name}\nWWROOT=tmpfs\nWWINIT=/sbin/init\n")
}

/// `/etc/warewulf/warewulf.conf`, a copy of the server's own.
pub(super) fn warewulf_conf(server: SocketAddr) -> String {
    let (ip, port) = (server.ip(), server.port());
    format!("ipaddr: {ip}\nwarewulf:\n  port: {port}\n  secure: true\n  update interval: 60\n")
}

/// `/etc/hosts`: every node of the records.
pub(super) fn hosts(records: &Records, server: SocketAddr) -> Result<String> {
    let mut text = format!("127.0.0.1 localhost\n{} warewulf\n", server.ip());
    for name in records.nodes.keys() {
        let node = records.node(name)?;
        let device = node.primary()?;
        if let (Some(ip), Some(device)) = (device.ipaddr, &device.device) {
            writeln!(text, "{ip} {name} {name}-{device}")?;
        }
    }
    Ok(text)
}

/// The rule by which udev names a device.
pub(super) fn netname(device: &Device) -> Result<String> {
    let (name, mac) = name_and_mac(device)?;
    Ok(format!(
        "SUBSYSTEM==\"net\", ACTION==\"add\", ATTR{{address}}==\"{mac}\", NAME=\"{name}\"\n"
    ))
}

/// A connection of NetworkManager.
pub(super) fn connection(device: &Device) -> Result<String> {
    let (name, mac) = name_and_mac(device)?;
    let ip = device.ipaddr.context("it has no address")?;
    let mask = device.netmask.context("it has no netmask")?;
    let prefix = u32::from(mask).count_ones();
    let gateway = device.gateway.map(|gateway| format!(",{gateway}")).unwrap_or_default();
    let mtu = device.mtu.as_ref().map(|mtu| format!("mtu={mtu}\n")).unwrap_or_default();
    Ok(format!(
        "[connection]\nid={name}\ninterface-name={name}\ntype=ethernet\n\
         [ethernet]\nmac-address={mac}\n{mtu}\
         [ipv4]\nmethod=manual\naddress1={ip}/{prefix}{gateway}\n"
    ))
}

fn name_and_mac(device: &Device) -> Result<(&str, &str)> {
    let name = device.device.as_deref().context("a network device has no name")?;
    let mac = device.hwaddr.as_deref().with_context(|| format!("{name} has no hwaddr"))?;
    Ok((name, mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device {
            device: Some("eth0".to_owned()),
            hwaddr: Some("52:54:00:00:00:01".to_owned()),
            ipaddr: Some([10, 0, 0, 7].into()),
            netmask: Some([255, 255, 252, 0].into()),
            gateway: Some([10, 0, 0, 1].into()),
            mtu: Some("9000".to_owned()),
        }
    }

    #[test]
    fn a_connection_has_address_prefix_gateway_and_mtu() {
        let text = connection(&device()).unwrap();
        assert!(text.contains("address1=10.0.0.7/22,10.0.0.1\n") && text.contains("mtu=9000\n"));
        let error = connection(&Device { netmask: None, ..device() }).unwrap_err();
        assert_eq!(error.to_string(), "it has no netmask");
    }

    #[test]
    fn a_device_without_a_mac_gets_no_rule() {
        assert!(netname(&device()).unwrap().contains("==\"52:54:00:00:00:01\", NAME=\"eth0\""));
        let error = netname(&Device { hwaddr: None, ..device() }).unwrap_err();
        assert_eq!(error.to_string(), "eth0 has no hwaddr");
    }
}
