//! Where the packages of a release come from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::Release;
use crate::digest::sha256_of;
use crate::tool::{command, run};
use crate::workshop::{Workshop, cached, key, remove};

/// Makes `/bin` and the like links into `/usr`, as debootstrap does for releases whose packages do
/// not bring them.
const MERGE_USR: &str = "cd \"$1\" && for name in bin lib lib64 sbin; do \
                         mkdir -p usr/$name && ln -s usr/$name $name; done";

/// Where dracut 051 looks for what makes NetworkManager's connections of the kernel's arguments.
const LINK_GENERATOR: &str =
    "ln -s ../lib/NetworkManager/nm-initrd-generator \"$1/usr/libexec/nm-initrd-generator\"";

/// The package with the keys of Ubuntu's archive, which Debian 12 does not have, and its SHA-256 as
/// the archive's index says it.
const KEYRING: (&str, &str) = (
    "http://archive.ubuntu.com/ubuntu/pool/main/u/ubuntu-keyring/ubuntu-keyring_2021.03.26_all.deb",
    "0d0e7ed6b112f5d03eabf3c7eb01ebdacf9c57714b279e90495cfc58c8c4520f",
);

impl Release {
    /// Whether it is Ubuntu's.
    fn is_ubuntu(self) -> bool {
        matches!(self, Self::Jammy | Self::Noble)
    }

    /// The package that always depends on its newest kernel, and on no firmware.
    pub fn newest_kernel(self) -> &'static str {
        if self.is_ubuntu() { "linux-image-virtual" } else { "linux-image-amd64" }
    }

    /// The lines of its sources.list; none where mmdebstrap knows best. Of Debian's others the
    /// release alone will do: the updates of one in long-term support are not always all there.
    fn sources(self) -> Vec<String> {
        let suite = self.suite();
        if self.is_ubuntu() {
            let source =
                |suite: &str| format!("deb http://archive.ubuntu.com/ubuntu {suite} main universe");
            return vec![source(suite), source(&format!("{suite}-updates"))];
        }
        let source = || format!("deb http://deb.debian.org/debian {suite} main");
        (suite != Self::Bookworm.suite()).then(source).into_iter().collect()
    }

    /// Unpacks packages of it into `folder`, by mmdebstrap with these options.
    ///
    /// # Errors
    /// mmdebstrap fails: not root, or the archive cannot be reached.
    pub fn unpack(self, workshop: &Workshop, options: &[&str], folder: &Path) -> Result<()> {
        let mut tool = command("mmdebstrap");
        tool.args(["--format=directory", "--mode=root", "--quiet"]).args(options);
        if self.is_ubuntu() {
            tool.arg(format!("--keyring={}", prepare_keyring(workshop)?.display()));
        }
        if self.is_ubuntu() || self.suite() == Self::Bullseye.suite() {
            tool.args(["--setup-hook", MERGE_USR]);
        }
        if self == Self::BullseyeManaged {
            tool.args(["--customize-hook", LINK_GENERATOR]);
        }
        run(tool.arg(self.suite()).arg(folder).args(self.sources())).map(drop)
    }
}

/// Fetches the keys of Ubuntu's archive, unless the cache has them.
fn prepare_keyring(workshop: &Workshop) -> Result<PathBuf> {
    let (address, digest) = KEYRING;
    cached(&workshop.cache(), "keyring_ubuntu", &key([digest.as_bytes()]), |file| {
        let (package, folder) = (file.with_extension("deb"), file.with_extension("package"));
        run(command("curl").args(["-fsSL", address, "-o"]).arg(&package))?;
        let found = sha256_of(&package)?;
        ensure!(found == digest, "{address}: its SHA-256 is {found}, not {digest}");
        run(command("dpkg").arg("-x").arg(&package).arg(&folder))?;
        let keys = folder.join("usr/share/keyrings/ubuntu-archive-keyring.gpg");
        fs::rename(&keys, file).with_context(|| format!("taking {}", keys.display()))?;
        remove(&folder)?;
        remove(&package)
    })
}
