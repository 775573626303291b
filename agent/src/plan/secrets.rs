//! The secrets' mount: what mount(2) needs to be told without mount.nfs.

use std::net::IpAddr;
use std::time::Duration;

use rustix::io::Errno;

use crate::config::secrets::NfsSource;

/// What one call of mount(2) needs for an NFS export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfsMount {
    /// `host:/path`, as it stands in the mount table.
    pub source: String,
    /// `4.2`, `4.1`, `4.0` or `3`.
    pub version: String,
    /// `nfs4`, or `nfs` for version 3.
    pub fstype: &'static str,
    /// NFS's own options. Source: nfs(5), and `fs/nfs/fs_context.c`.
    pub options: String,
}

/// How long one request may stay unanswered, in tenths of a second, and how often
/// it is sent again: a connection to a server that cannot be reached is given up after 15 s. Whoever
/// reads gets an error, when connecting again has failed too: after 31 s where the server was
/// ended, after 90 s where its machine was gone (Linux 6.1, measured). Read-only, nothing can be lost by that. Not `softerr`, which 4.18
/// does not know: it only names the error otherwise. Source: nfs(5).
///
/// NFSv4 never gives a request up while the connection lives (`RPC_TASK_NO_RETRANS_TIMEOUT`,
/// `net/sunrpc/clnt.c`), and the machine of a server that hangs keeps it alive: against that
/// only the limits below help, and the hook's own.
const PATIENCE_OF_A_REQUEST: &str = "soft,timeo=50,retrans=2";
/// TCP port of NFSv4. Source: RFC 7530, section 3.1.
const NFS_PORT: u16 = 2049;

/// How long a server that does not answer yet is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long one that answers "no" is asked again: a server that is just coming up may
/// not have exported everything yet.
pub const SHORT_PATIENCE: Duration = Duration::from_secs(6);
/// Time between two rounds of attempts.
pub const PAUSE: Duration = Duration::from_secs(2);

/// How long one mount(2) may take: longer than the kernel waits for an unreachable server.
pub const MOUNT_LIMIT: Duration = Duration::from_secs(30);
/// How long reading the secrets once may take, to know what no log may have.
pub const READ_LIMIT: Duration = Duration::from_secs(30);
/// How long one umount2(2) may take: it says goodbye to the server.
pub const UNMOUNT_LIMIT: Duration = Duration::from_secs(5);
/// How long what did not go at the first try is unmounted again and again, by force.
pub const RELEASE_LIMIT: Duration = Duration::from_secs(8);

/// What an attempt that failed leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next older version, then asking again for [`PATIENCE`].
    NextVersion,
    /// Asking again for so long.
    AskAgain(Duration),
    /// Nothing helps.
    GiveUp,
}

/// What the errno of mount(2) for an NFS file system means, in words, where its own
/// text misleads; and what comes of it. Source: `fs/nfs/nfs4super.c`, `net/sunrpc/clnt.c`.
pub fn judge(errno: Errno) -> (Then, &'static str) {
    match errno {
        Errno::PROTONOSUPPORT | Errno::PROTOTYPE => {
            (Then::NextVersion, "the server does not speak this version of NFS")
        }
        Errno::INVAL => (Then::NextVersion, "this kernel or the server cannot do it so"),
        Errno::NODEV => (Then::GiveUp, "the initramfs has no NFS (nfs.ko, nfsv4.ko, nfsv3.ko)"),
        Errno::ACCESS | Errno::PERM => {
            (Then::AskAgain(SHORT_PATIENCE), "the server does not export it to this node")
        }
        Errno::NOENT | Errno::STALE => {
            (Then::AskAgain(SHORT_PATIENCE), "the server has no such export")
        }
        Errno::CONNREFUSED => (Then::AskAgain(PATIENCE), "no NFS server runs there (yet)"),
        Errno::TIMEDOUT | Errno::IO => (Then::AskAgain(PATIENCE), "the server does not answer"),
        Errno::HOSTUNREACH
        | Errno::NETUNREACH
        | Errno::HOSTDOWN
        | Errno::NETDOWN
        | Errno::CONNRESET
        | Errno::AGAIN => (Then::AskAgain(PATIENCE), "the server cannot be reached"),
        _ => (Then::GiveUp, ""),
    }
}

/// The mounts to try, in order: the version that was asked for, or all that may do.
///
/// 4.2 comes after 4.1: all that it gives a reader is READ_PLUS, which Linux sends where it is built
/// in (Debian's 6.12, not its 6.1), and to which nfs-ganesha 4.3 answers files full of zeros.
pub fn plan_mounts(source: &NfsSource, server: IpAddr, client: IpAddr) -> Vec<NfsMount> {
    let host =
        if source.host.contains(':') { format!("[{}]", source.host) } else { source.host.clone() };
    let versions: &[&str] = match &source.version {
        Some(version) => &[version.as_str()],
        None => &["4.1", "4.2", "4.0", "3"],
    };
    versions
        .iter()
        .map(|version| NfsMount {
            source: format!("{host}:{}", source.path),
            version: (*version).to_owned(),
            fstype: if *version == "3" { "nfs" } else { "nfs4" },
            options: options(version, source, server, client),
        })
        .collect()
}

/// Its superblock is its own (`nosharecache`): when it is unmounted, nothing else keeps it.
fn options(version: &str, source: &NfsSource, server: IpAddr, client: IpAddr) -> String {
    let family = if server.is_ipv6() { "tcp6" } else { "tcp" };
    let security = &source.security;
    let common = format!(
        "vers={version},addr={server},proto={family},sec={security},{PATIENCE_OF_A_REQUEST},nosharecache"
    );
    if version != "3" {
        let port = source.port.unwrap_or(NFS_PORT);
        return format!("{common},port={port},clientaddr={client}");
    }
    // No rpc.statd and no lock manager in an initramfs; reading needs neither.
    let mut options = format!("{common},nolock,mountproto={family},mountvers=3,mountaddr={server}");
    for (name, port) in [("port", source.port), ("mountport", source.mount_port)] {
        if let Some(port) = port {
            options.push_str(&format!(",{name}={port}"));
        }
    }
    options
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
    fn all_versions_are_tried_and_4_2_not_first() {
        let mounts = mounts(&NfsSource::warewulf("head"));
        let versions: Vec<&str> =
            mounts.iter().filter_map(|mount| mount.options.split(',').next()).collect();
        assert_eq!(versions, ["vers=4.1", "vers=4.2", "vers=4.0", "vers=3"]);
        assert_eq!(mounts[0].fstype, "nfs4");
        assert_eq!(mounts[3].fstype, "nfs");
        assert_eq!(mounts[0].source, "head:/warewulf/secrets");
        assert_eq!(
            mounts[0].options,
            "vers=4.1,addr=10.0.0.1,proto=tcp,sec=sys,soft,timeo=50,retrans=2,\
             nosharecache,port=2049,clientaddr=10.0.0.9"
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

    #[test]
    fn version_3_finds_its_ports_by_rpcbind_or_is_told_them() {
        let options =
            |text: &str| mounts(&NfsSource::parse(text).unwrap().unwrap()).remove(0).options;
        let plain = "vers=3,addr=10.0.0.1,proto=tcp,sec=sys,soft,timeo=50,retrans=2,nosharecache,\
                     nolock,mountproto=tcp,mountvers=3,mountaddr=10.0.0.1";
        assert_eq!(options("nfs://head/s?vers=3"), plain);
        assert_eq!(
            options("nfs://head:2049/s?vers=3&mountport=20048"),
            format!("{plain},port=2049,mountport=20048")
        );
    }

    #[test]
    fn a_server_that_says_no_is_not_waited_for_as_long_as_one_that_is_not_there() {
        assert_eq!(judge(Errno::CONNREFUSED).0, Then::AskAgain(PATIENCE));
        assert_eq!(judge(Errno::ACCESS).0, Then::AskAgain(SHORT_PATIENCE));
        assert_eq!(judge(Errno::NOENT).0, Then::AskAgain(SHORT_PATIENCE));
        assert_eq!(judge(Errno::PROTONOSUPPORT).0, Then::NextVersion);
        assert_eq!(judge(Errno::NODEV).0, Then::GiveUp);
        assert!(SHORT_PATIENCE < PATIENCE);
    }
}
