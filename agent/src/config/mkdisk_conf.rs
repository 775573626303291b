//! `/etc/mkdisk/mkdisk.conf`: shell-style assignments, read as data, never executed.
//!
//! The four names that a site writes today: `WIPE_ON_BOOT`, `MKDISK_PROFILE`,
//! `FSCACHE_DIR`, `MOVE_DIRS`. Added here: `MKDISK_REQUIRED` (a node without its
//! disks is a failed boot), `MKDISK_ORDER` (`path`, `size` or `serial`), `MKDISK_VIRTUAL` (virtio
//! disks count), `MKDISK_FSTAB` (mounted volumes are listed in the node's `/etc/fstab`) and
//! `MKDISK_MOVE` (what takes the place of a moved folder: `bind` or `symlink`).

use super::assignment::{self, Assignment, LineError, excerpt};
use super::node_path::{PathProblem, is_within, parse_node_path};

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MkdiskConf {
    /// Whether disks of non-empty ranges may be wiped whatever they hold.
    pub wipe_on_boot: bool,
    /// Name of the profile, a file of `profiles.d`; empty when none is set.
    pub profile: String,
    /// Folder to make for the file-system cache.
    pub fscache_dir: Option<String>,
    /// Folders to move from the image in RAM onto a disk, in order.
    pub move_dirs: Vec<MoveDir>,
    /// What is left in their places.
    pub replace_by: ReplaceBy,
    /// Whether a range that could not be made fails the boot.
    pub required: bool,
    /// Whether mounted volumes get a line in the node's `/etc/fstab`.
    pub fstab: bool,
    /// What the disks are numbered by.
    pub order: DiskOrder,
    /// Whether the virtio disks of a virtual machine count.
    pub uses_virtual: bool,
    /// Lines that were understood otherwise than they may have been meant.
    pub warnings: Vec<String>,
}

/// One `from:to` of `MOVE_DIRS`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MoveDir {
    /// Folder of the image.
    pub from: String,
    /// Where its contents go: a folder below a mounted range.
    pub to: String,
}

/// What takes the place of a folder that was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplaceBy {
    /// A bind mount of where it went.
    #[default]
    Bind,
    /// A symbolic link to there.
    Symlink,
}

/// What numbers the disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskOrder {
    /// NVMe, SATA and SAS, virtual disks; each by where it is plugged in.
    #[default]
    Path,
    /// The smallest first; equal sizes by path.
    Size,
    /// By serial number.
    Serial,
}

/// Why the file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// A line is no assignment.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A path is not usable.
    #[error("line {line}: {name}: {problem}")]
    Path {
        /// Line, from 1.
        line: u32,
        /// The variable.
        name: String,
        /// What is wrong.
        problem: PathProblem,
    },
    /// A value is none of those that the variable can have.
    #[error("line {line}: {name}: \"{value}\" is not {expected}")]
    Value {
        /// Line, from 1.
        line: u32,
        /// The variable.
        name: String,
        /// What was written.
        value: String,
        /// What could have been.
        expected: &'static str,
    },
    /// Two folders to move contain each other, or one would be moved into itself.
    #[error("line {line}: MOVE_DIRS: {first} and {second} overlap")]
    Overlap {
        /// Line, from 1.
        line: u32,
        /// One folder.
        first: String,
        /// The other.
        second: String,
    },
}

/// Reads the file.
///
/// # Errors
/// The first line that cannot be used, by number.
pub fn parse(bytes: &[u8]) -> Result<MkdiskConf, ConfError> {
    let mut conf = MkdiskConf::default();
    let mut seen: Vec<String> = Vec::new();
    for assignment in assignment::parse(bytes)? {
        if seen.contains(&assignment.name) {
            conf.warn(&assignment, "set twice, the last one counts");
        }
        seen.push(assignment.name.clone());
        conf.apply(&assignment)?;
    }
    Ok(conf)
}

impl MkdiskConf {
    fn apply(&mut self, assignment: &Assignment) -> Result<(), ConfError> {
        let value = assignment.value.trim();
        if assignment.index.is_some() {
            self.warn(assignment, "a list is not read here");
            return Ok(());
        }
        match assignment.name.as_str() {
            "WIPE_ON_BOOT" => self.wipe_on_boot = self.parse_switch(assignment),
            "MKDISK_REQUIRED" => self.required = self.parse_switch(assignment),
            "MKDISK_VIRTUAL" => self.uses_virtual = self.parse_switch(assignment),
            "MKDISK_FSTAB" => self.fstab = self.parse_switch(assignment),
            "MKDISK_PROFILE" => self.profile = parse_profile_name(assignment)?,
            "MKDISK_ORDER" => self.order = parse_order(assignment)?,
            "FSCACHE_DIR" => {
                self.fscache_dir = match value {
                    "" => None,
                    path => Some(parse_node_path(path).map_err(|e| path_error(assignment, e))?),
                }
            }
            "MOVE_DIRS" => self.move_dirs = parse_move_dirs(assignment)?,
            "MKDISK_MOVE" => self.replace_by = parse_replace_by(assignment)?,
            _ => self.warn(assignment, "not a setting of mkdisk, ignored"),
        }
        Ok(())
    }

    /// `true`, `yes`, `1` and `on` in any case are yes; whatever is not known is
    /// no, the side on which no disk is wiped.
    fn parse_switch(&mut self, assignment: &Assignment) -> bool {
        match assignment.value.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" | "on" => true,
            "false" | "no" | "0" | "off" | "" => false,
            other => {
                let text = format!(
                    "\"{}\" is neither true nor false, taken as false",
                    excerpt(other.as_bytes())
                );
                self.warn(assignment, &text);
                false
            }
        }
    }

    fn warn(&mut self, assignment: &Assignment, text: &str) {
        self.warnings
            .push(format!("mkdisk.conf line {}: {}: {text}", assignment.line, assignment.name));
    }
}

/// A profile is a file of one folder: its name has no slash and no leading dot.
fn parse_profile_name(assignment: &Assignment) -> Result<String, ConfError> {
    let name = assignment.value.trim();
    let is_name = name.len() <= 255
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if is_name {
        Ok(name.to_owned())
    } else {
        Err(value_error(assignment, "the name of a profile"))
    }
}

fn parse_order(assignment: &Assignment) -> Result<DiskOrder, ConfError> {
    match assignment.value.trim() {
        "" | "path" => Ok(DiskOrder::Path),
        "size" => Ok(DiskOrder::Size),
        "serial" => Ok(DiskOrder::Serial),
        _ => Err(value_error(assignment, "path, size or serial")),
    }
}

fn parse_replace_by(assignment: &Assignment) -> Result<ReplaceBy, ConfError> {
    match assignment.value.trim() {
        "" | "bind" => Ok(ReplaceBy::Bind),
        "symlink" => Ok(ReplaceBy::Symlink),
        _ => Err(value_error(assignment, "bind or symlink")),
    }
}

fn parse_move_dirs(assignment: &Assignment) -> Result<Vec<MoveDir>, ConfError> {
    let mut moves: Vec<MoveDir> = Vec::new();
    for item in assignment.value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (from, to) =
            item.split_once(':').ok_or_else(|| value_error(assignment, "a list of from:to"))?;
        let from = parse_node_path(from.trim()).map_err(|e| path_error(assignment, e))?;
        let to = parse_node_path(to.trim()).map_err(|e| path_error(assignment, e))?;
        let overlap =
            |first: &str, second: &str| is_within(first, second) || is_within(second, first);
        let clash = moves
            .iter()
            .flat_map(|other| {
                [(&other.from, &from), (&other.to, &to), (&other.from, &to), (&other.to, &from)]
            })
            .find(|(first, second)| overlap(first, second));
        if let Some((first, second)) = clash {
            let (first, second) = (first.clone(), second.clone());
            return Err(ConfError::Overlap { line: assignment.line, first, second });
        }
        if overlap(&from, &to) {
            return Err(ConfError::Overlap { line: assignment.line, first: from, second: to });
        }
        moves.push(MoveDir { from, to });
    }
    Ok(moves)
}

fn path_error(assignment: &Assignment, problem: PathProblem) -> ConfError {
    ConfError::Path { line: assignment.line, name: assignment.name.clone(), problem }
}

fn value_error(assignment: &Assignment, expected: &'static str) -> ConfError {
    ConfError::Value {
        line: assignment.line,
        name: assignment.name.clone(),
        value: excerpt(assignment.value.as_bytes()),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_file_of_the_site_is_read() {
        let conf = parse(
            b"# /etc/mkdisk/mkdisk.conf\nWIPE_ON_BOOT=true\nMKDISK_PROFILE=default\n\
              FSCACHE_DIR=/scratch/fscache\nMOVE_DIRS=/var/log:/system/log,/tmp:/system/tmp\n",
        )
        .unwrap();
        assert!(conf.wipe_on_boot);
        assert_eq!(conf.profile, "default");
        assert_eq!(conf.fscache_dir.as_deref(), Some("/scratch/fscache"));
        assert_eq!(conf.move_dirs[1], MoveDir { from: "/tmp".into(), to: "/system/tmp".into() });
        assert_eq!(conf.warnings, Vec::<String>::new());
    }

    #[test]
    fn only_a_clear_yes_lets_disks_be_wiped() {
        for yes in ["true", "TRUE", "Yes", "1", "on", "\"true\""] {
            assert!(parse(format!("WIPE_ON_BOOT={yes}").as_bytes()).unwrap().wipe_on_boot, "{yes}");
        }
        for no in ["false", "no", "0", "", "treu", "\"true false\""] {
            assert!(!parse(format!("WIPE_ON_BOOT={no}").as_bytes()).unwrap().wipe_on_boot, "{no}");
        }
        assert_eq!(parse(b"WIPE_ON_BOOT=treu").unwrap().warnings.len(), 1);
    }

    #[test]
    fn what_is_not_known_is_said_and_ignored() {
        let conf = parse(b"WIPE_ON_BOTO=true\n").unwrap();
        assert!(!conf.wipe_on_boot);
        assert_eq!(
            conf.warnings,
            ["mkdisk.conf line 1: WIPE_ON_BOTO: not a setting of mkdisk, ignored"]
        );
    }

    #[test]
    fn a_moved_folder_is_replaced_by_a_bind_mount_unless_a_link_is_asked_for() {
        let replaced = |text: &str| parse(text.as_bytes()).map(|conf| conf.replace_by);
        for (text, by) in [
            ("", ReplaceBy::Bind),
            ("MKDISK_MOVE=", ReplaceBy::Bind),
            ("MKDISK_MOVE=bind", ReplaceBy::Bind),
            ("MKDISK_MOVE=symlink", ReplaceBy::Symlink),
        ] {
            assert_eq!(replaced(text), Ok(by), "{text}");
        }
        assert_eq!(
            replaced("MKDISK_MOVE=hardlink").unwrap_err().to_string(),
            "line 1: MKDISK_MOVE: \"hardlink\" is not bind or symlink"
        );
    }

    #[test]
    fn a_bad_value_names_its_line() {
        let text = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            text("\nMKDISK_PROFILE=../x"),
            "line 2: MKDISK_PROFILE: \"../x\" is not the name of a profile"
        );
        assert_eq!(text("MOVE_DIRS=/tmp"), "line 1: MOVE_DIRS: \"/tmp\" is not a list of from:to");
        assert_eq!(
            text("MOVE_DIRS=/tmp:/a/../b"),
            "line 1: MOVE_DIRS: \"/a/../b\" is not a plain path"
        );
        assert_eq!(
            text("FSCACHE_DIR=scratch"),
            "line 1: FSCACHE_DIR: \"scratch\" is not an absolute path"
        );
        assert_eq!(
            text("MOVE_DIRS=/usr:/system/usr"),
            "line 1: MOVE_DIRS: \"/usr\" belongs to the system"
        );
    }

    #[test]
    fn folders_that_contain_each_other_are_refused() {
        for dirs in
            ["/var:/s/var,/var/log:/s/log", "/tmp:/s/a,/opt:/s/a/b", "/tmp:/tmp/x", "/a:/s,/s/x:/b"]
        {
            let error = parse(format!("MOVE_DIRS={dirs}").as_bytes()).unwrap_err();
            assert!(matches!(error, ConfError::Overlap { .. }), "{dirs}");
        }
    }

    /// Lines much like those of a site, with what must not be in them.
    const NEARLY: &str = "((WIPE_ON_BOOT|MKDISK_REQUIRED|MKDISK_FSTAB|MKDISK_PROFILE|MKDISK_ORDER|MKDISK_MOVE|FSCACHE_DIR|\
        MOVE_DIRS|OTHER)=\"?(true|yes|no|size|serial|symlink|default|/[a-z./]{0,8}(:/[a-z./]{0,8})?|\
        (/[a-c]{1,2}:/[d-f]{1,2}(/[ab])?,){0,3}|[a-z$`;:,/ .]{0,12})\"?\n){0,6}";

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_accepted_is_safe_to_act_on(text in NEARLY) {
            let Ok(conf) = parse(text.as_bytes()) else { return Ok(()) };
            let is_plain = |path: &str| {
                path.starts_with('/') && path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."))
            };
            let folders: Vec<&str> =
                conf.move_dirs.iter().flat_map(|item| [item.from.as_str(), item.to.as_str()]).collect();
            prop_assert!(folders.iter().copied().chain(conf.fscache_dir.as_deref()).all(is_plain));
            for (index, folder) in folders.iter().enumerate() {
                let mut others = folders.iter().enumerate().filter(|(other, _)| *other != index);
                prop_assert!(others.all(|(_, other)| !is_within(folder, other)), "{:?}", folders);
            }
            prop_assert!(!conf.profile.contains('/') && !conf.profile.starts_with('.'));
        }

        #[test]
        fn no_text_without_a_yes_lets_disks_be_wiped(value in "[ -~]{0,12}") {
            let is_yes = |word: &str| matches!(word.to_ascii_lowercase().as_str(), "true" | "yes" | "1" | "on");
            let Ok(conf) = parse(format!("WIPE_ON_BOOT={value}\n").as_bytes()) else { return Ok(()) };
            let mut words = value.split(|c: char| !c.is_ascii_alphanumeric());
            prop_assert!(!conf.wipe_on_boot || words.any(is_yes));
        }
    }
}
