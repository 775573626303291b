//! The script that a node's iPXE is given: the lines that count of each version's template.
//!
//! Source: what `etc/ipxe/dracut.ipxe` (4.5.8) and the dracut entry of `etc/ipxe/default.ipxe`
//! (4.6.1, 4.6.5, 4.7.0) make of a node with one network device. Menus and banners are left out.

use std::net::SocketAddr;

use super::Version;

/// Who wrote the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Warewulf itself: a node that is booted by its own `wwinit` could have these lines.
    Warewulf,
    /// An administrator, after `dracut-module/README.md`: with `rsinit.uri=`.
    Administrator,
}

/// What a script is made of.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its template.
    pub template: Template,
    /// Host and port that a node reaches the server by.
    pub authority: SocketAddr,
    /// The node's network device.
    pub device: String,
    /// The node's own kernel arguments.
    pub arguments: String,
}

impl Script {
    /// The script for the node `mac`, as `version` gives it.
    pub fn render(&self, version: Version, mac: &str) -> String {
        let (authority, arguments) = (self.authority, &self.arguments);
        let line = match self.template {
            Template::Warewulf => self.warewulf_line(version, mac),
            Template::Administrator => self.administrator_line(version, mac),
        };
        let asked = "assetkey=${asset}&uuid=${uuid}";
        format!(
            "#!ipxe\n\
             set uri http://{authority}/provision/{mac}\n\
             kernel --name kernel ${{uri}}?{asked}&stage=kernel\n\
             initrd --name initramfs ${{uri}}?{asked}&stage=initramfs\n\
             boot kernel initrd=initramfs {line} {arguments}\n"
        )
    }

    fn warewulf_line(&self, version: Version, mac: &str) -> String {
        let (authority, device) = (self.authority, &self.device);
        let uri = format!("wwinit.uri=http://{authority}/provision/{mac}");
        let net = format!("rd.neednet=1  ifname={device}:{mac}");
        let address = format!("ip={device}:dhcp");
        let (init, wwid) = (init(version), format!("wwid={mac}"));
        match version {
            Version::V4_5_8 => format!("{net} root=wwinit {uri} {init} {wwid}"),
            Version::V4_6_1 => format!("{net} {address}  root=wwinit {uri} {init} {wwid}"),
            Version::V4_6_5 => format!("{net} {address}  root=wwinit:tmpfs {uri} {init} {wwid}"),
            Version::V4_7_0 => format!(
                "{net} {address}  root=wwinit:tmpfs wwinit.server=http://{authority} {uri} {init} {wwid}"
            ),
        }
    }

    fn administrator_line(&self, version: Version, mac: &str) -> String {
        let (authority, init) = (self.authority, init(version));
        let uri = format!("http://{authority}/provision/{mac}");
        format!("rd.neednet=1 ip=dhcp root=rsinit rsinit.uri={uri} wwid={mac} {init}")
    }
}

/// What starts the root: a script of the overlay `wwinit`.
fn init(version: Version) -> &'static str {
    match version {
        Version::V4_5_8 | Version::V4_6_1 => "init=/init",
        Version::V4_6_5 | Version::V4_7_0 => "init=/warewulf/run-init",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "52:54:00:00:00:01";

    fn line(version: Version, template: Template) -> String {
        let authority = "10.0.0.1:9873".parse().unwrap();
        let (device, arguments) = ("eth0".to_owned(), "quiet crashkernel=no".to_owned());
        let script = Script { template, authority, device, arguments }.render(version, MAC);
        assert!(script.starts_with("#!ipxe\n"), "{script}");
        let line = script.lines().last().unwrap();
        let line = line.strip_prefix("boot kernel initrd=initramfs ").unwrap();
        line.strip_suffix(" quiet crashkernel=no").unwrap().to_owned()
    }

    #[test]
    fn each_version_writes_its_own_kernel_line() {
        let net = format!("rd.neednet=1  ifname=eth0:{MAC}");
        let uri = format!("wwinit.uri=http://10.0.0.1:9873/provision/{MAC}");
        let lines = [
            (Version::V4_5_8, format!("{net} root=wwinit {uri} init=/init wwid={MAC}")),
            (
                Version::V4_6_1,
                format!("{net} ip=eth0:dhcp  root=wwinit {uri} init=/init wwid={MAC}"),
            ),
            (
                Version::V4_6_5,
                format!(
                    "{net} ip=eth0:dhcp  root=wwinit:tmpfs {uri} init=/warewulf/run-init wwid={MAC}"
                ),
            ),
            (
                Version::V4_7_0,
                format!(
                    "{net} ip=eth0:dhcp  root=wwinit:tmpfs wwinit.server=http://10.0.0.1:9873 {uri} \
                     init=/warewulf/run-init wwid={MAC}"
                ),
            ),
        ];
        for (version, expected) in lines {
            assert_eq!(line(version, Template::Warewulf), expected);
        }
    }

    #[test]
    fn an_administrators_template_names_the_agents_own_argument() {
        let expected = format!(
            "rd.neednet=1 ip=dhcp root=rsinit rsinit.uri=http://10.0.0.1:9873/provision/{MAC} \
             wwid={MAC} init=/init"
        );
        assert_eq!(line(Version::V4_6_1, Template::Administrator), expected);
    }
}
