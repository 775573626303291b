//! The secrets' mount: what mount(2) needs to be told without mount.nfs.

use std::net::IpAddr;

use crate::config::secrets::NfsSource;

/// What one call of mount(2) needs for an NFS export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsMount {
    /// `host:/path`, as it stands in the mount table.
    pub source: String,
    /// `nfs4`, or `nfs` for version 3.
    pub fstype: &'static str,
    /// NFS's own options. Source: nfs(5), and `fs/nfs/fs_context.c`.
    pub options: String,
}

/// How long one request may stay unanswered, in tenths of a second, and how often
/// it is sent again: a server that hangs must not hang the boot. Source: nfs(5).
const PATIENCE: &str = "soft,timeo=50,retrans=2";

/// The mounts to try, in order: the version that was asked for, or all from the
/// newest on.
pub fn plan_mounts(source: &NfsSource, server: IpAddr, client: IpAddr) -> Vec<NfsMount> {
    let host =
        if source.host.contains(':') { format!("[{}]", source.host) } else { source.host.clone() };
    let versions: &[&str] = match &source.version {
        Some(version) => &[version.as_str()],
        None => &["4.2", "4.1", "4.0", "3"],
    };
    versions
        .iter()
        .map(|version| NfsMount {
            source: format!("{host}:{}", source.path),
            fstype: if *version == "3" { "nfs" } else { "nfs4" },
            options: options(version, &source.security, server, client),
        })
        .collect()
}

fn options(version: &str, security: &str, server: IpAddr, client: IpAddr) -> String {
    let family = if server.is_ipv6() { "tcp6" } else { "tcp" };
    let common = format!("vers={version},addr={server},proto={family},sec={security},{PATIENCE}");
    if version == "3" {
        // No rpc.statd and no lock manager in an initramfs; reading needs neither.
        format!("{common},nolock,mountproto={family},mountvers=3,mountaddr={server}")
    } else {
        format!("{common},port=2049,clientaddr={client}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(source: &NfsSource) -> Vec<NfsMount> {
        let server = "10.0.0.1".parse().unwrap();
        let client = "10.0.0.9".parse().unwrap();
        plan_mounts(source, server, client)
    }

    #[test]
    fn all_versions_are_tried_from_the_newest_on() {
        let mounts = mounts(&NfsSource::warewulf("head"));
        let versions: Vec<&str> =
            mounts.iter().filter_map(|mount| mount.options.split(',').next()).collect();
        assert_eq!(versions, ["vers=4.2", "vers=4.1", "vers=4.0", "vers=3"]);
        assert_eq!(mounts[0].fstype, "nfs4");
        assert_eq!(mounts[3].fstype, "nfs");
        assert_eq!(mounts[0].source, "head:/warewulf/secrets");
        assert_eq!(
            mounts[0].options,
            "vers=4.2,addr=10.0.0.1,proto=tcp,sec=sys,soft,timeo=50,retrans=2,\
             port=2049,clientaddr=10.0.0.9"
        );
    }

    #[test]
    fn a_version_that_was_asked_for_is_the_only_one() {
        let source =
            NfsSource { version: Some("4.1".to_owned()), ..NfsSource::warewulf("fd00::1") };
        let mounts = mounts(&source);
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].source, "[fd00::1]:/warewulf/secrets");
    }
}
