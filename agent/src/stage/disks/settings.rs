//! `mkdisk.conf` and its profile, from wherever they came.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::config::mkdisk_conf::{self, MkdiskConf};
use crate::config::profile::{self, Profile};
use crate::sys::root::resolve;

/// Where the settings lie below a root.
pub(in crate::stage) const CONF: &str = "etc/mkdisk/mkdisk.conf";
/// One file a profile.
pub(in crate::stage) const PROFILES: &str = "etc/mkdisk/profiles.d";

/// The texts, from an overlay or from the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// `/etc/mkdisk/mkdisk.conf`; none means that the node has no disks to prepare.
    pub conf: Option<Vec<u8>>,
    /// Files of `/etc/mkdisk/profiles.d` by name.
    pub profiles: BTreeMap<String, Vec<u8>>,
}

impl Sources {
    /// Writes them below `etc`, the initramfs's own: the root is taken away when a boot fails, and
    /// there `rsinit disks` and `mkdisk` find them in a shell.
    ///
    /// # Errors
    /// Those of writing the files.
    pub fn keep(&self, etc: &Path) -> anyhow::Result<()> {
        let [conf, profiles] =
            [CONF, PROFILES].map(|path| etc.join(path.trim_start_matches("etc/")));
        fs::create_dir_all(&profiles).with_context(|| format!("making {}", profiles.display()))?;
        let write = |path: &Path, text: &[u8]| {
            fs::write(path, text).with_context(|| format!("writing {}", path.display()))
        };
        if let Some(text) = &self.conf {
            write(&conf, text)?;
        }
        // A name in an archive may be a path to anywhere.
        let is_name = |name: &str| Path::new(name).file_name() == Some(OsStr::new(name));
        for (name, text) in self.profiles.iter().filter(|(name, _)| is_name(name)) {
            write(&profiles.join(name), text)?;
        }
        Ok(())
    }
}

/// What both files say.
pub(super) struct Settings {
    pub conf: MkdiskConf,
    pub profile: Profile,
}

/// Why there is nothing to do, in one line.
pub(super) struct Failure {
    pub text: String,
    pub is_required: bool,
}

/// Reads the texts below a root, which need not be the running one; what is not
/// there is left out.
pub fn read_sources(root: &Path) -> Sources {
    let read = |path: &Path| std::fs::read(resolve(root, path).ok()?).ok();
    let folder = resolve(root, Path::new(PROFILES)).ok();
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let profiles = entries.into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name();
        let text = read(&Path::new(PROFILES).join(&name))?;
        Some((name.to_string_lossy().into_owned(), text))
    });
    Sources { profiles: profiles.collect(), conf: read(Path::new(CONF)) }
}

/// Reads the settings. A node without `mkdisk.conf` has none; one whose settings
/// cannot be followed in full has none of its disks written to.
pub(super) fn read_settings(sources: &Sources) -> Result<Option<Settings>, Failure> {
    let Some(text) = &sources.conf else { return Ok(None) };
    let fail = |text: String, is_required: bool| Failure { text, is_required };
    let conf =
        mkdisk_conf::parse(text).map_err(|error| fail(format!("mkdisk.conf {error}"), false))?;
    if conf.profile.is_empty() {
        let text = "mkdisk.conf names no MKDISK_PROFILE: no disk is used".to_owned();
        return Err(fail(text, conf.required));
    }
    let name = &conf.profile;
    let Some(text) = sources.profiles.get(name) else {
        let known: Vec<&str> = sources.profiles.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let text = format!("profile {name} is not in /etc/mkdisk/profiles.d (there: {known})");
        return Err(fail(text, conf.required));
    };
    match profile::parse(text) {
        Ok(profile) => Ok(Some(Settings { conf, profile })),
        Err(error) => Err(fail(format!("profile {name} {error}"), conf.required)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(conf: &str, profile: &str) -> String {
        let profiles = BTreeMap::from([("compute-node".to_owned(), profile.as_bytes().to_vec())]);
        let sources = Sources { conf: Some(conf.as_bytes().to_vec()), profiles };
        read_settings(&sources).err().map(|failure| failure.text).unwrap_or_default()
    }

    #[test]
    fn what_is_kept_is_read_again_but_for_a_name_that_leads_elsewhere() {
        let temp = tempfile::tempdir().unwrap();
        let named = |names: &[&str]| Sources {
            conf: Some(b"MKDISK_PROFILE=a".to_vec()),
            profiles: names.iter().map(|name| ((*name).to_owned(), b"#".to_vec())).collect(),
        };
        named(&["a", "../../passwd", "..", "b/c", "d/"]).keep(&temp.path().join("etc")).unwrap();
        assert_eq!(read_sources(temp.path()), named(&["a"]));
        assert!(!temp.path().join("etc/passwd").exists());
    }

    #[test]
    fn a_bad_profile_is_named_with_its_line() {
        let text = failure("MKDISK_PROFILE=compute-node", "#\n\ndisk_config[1]=raid7:ext4:/a");
        assert!(text.starts_with("profile compute-node line 3: unknown level \"raid7\""), "{text}");
    }

    #[test]
    fn a_profile_that_is_not_there_is_not_replaced_by_another() {
        let text = failure("MKDISK_PROFILE=default", "disk_config[1]=");
        assert_eq!(text, "profile default is not in /etc/mkdisk/profiles.d (there: compute-node)");
    }

    #[test]
    fn no_profile_and_a_bad_conf_are_said() {
        assert!(failure("WIPE_ON_BOOT=true", "").contains("names no MKDISK_PROFILE"));
        assert!(failure("MKDISK_PROFILE=$(x)", "").starts_with("mkdisk.conf line 1: '$'"));
    }
}
