//! Paths on the node as settings name them: absolute, plain, inside the root.

use std::path::Path;

/// Why a text is no path that a setting may name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// It does not begin with `/`.
    #[error("\"{0}\" is not an absolute path")]
    NotAbsolute(String),
    /// It has `.`, `..` or empty parts, or characters that lists and mount tables use.
    #[error("\"{0}\" is not a plain path")]
    NotPlain(String),
    /// It names the root, or a folder that the system itself lives in.
    #[error("\"{0}\" belongs to the system")]
    System(String),
}

/// Top folders that nothing may be mounted on or moved away from: the node would
/// not start without what the image has there.
const SYSTEM: [&str; 11] = [
    "/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sys", "/dev",
];

/// Below these nothing may be mounted either: they are file systems of the kernel,
/// or mounted over by systemd.
const KERNEL: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Reads one absolute path, without a slash at its end.
///
/// # Errors
/// See [`PathProblem`].
pub fn parse_node_path(text: &str) -> Result<String, PathProblem> {
    let Some(inner) = text.strip_prefix('/') else {
        return Err(PathProblem::NotAbsolute(text.to_owned()));
    };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let path = format!("/{inner}");
    let is_plain = inner.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !inner
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || matches!(c, ':' | ',' | '\\' | '"'))
        && path.len() < 1024;
    if inner.is_empty() || SYSTEM.contains(&path.as_str()) || is_below_any(&path, &KERNEL) {
        return Err(PathProblem::System(text.to_owned()));
    }
    if is_plain { Ok(path) } else { Err(PathProblem::NotPlain(text.to_owned())) }
}

/// Whether `path` is `folder` or lies below it.
pub fn is_within(path: &str, folder: &str) -> bool {
    Path::new(path).starts_with(folder)
}

fn is_below_any(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| is_within(path, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_absolute_paths_pass_without_their_last_slash() {
        assert_eq!(parse_node_path("/scratch/").unwrap(), "/scratch");
        assert_eq!(parse_node_path("/var/lib/x").unwrap(), "/var/lib/x");
    }

    #[test]
    fn paths_that_would_break_the_node_are_refused() {
        for text in ["/", "", "//", "/usr", "/etc/", "/proc/x", "/run/x"] {
            assert!(parse_node_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        let long = format!("/{}", "a".repeat(2000));
        for text in
            ["x", "/a/../b", "/./a", "/a//b", "/a b", "/a:b", "/a,b", "/a\nb", long.as_str()]
        {
            assert!(parse_node_path(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn within_compares_whole_names() {
        assert!(is_within("/system/log", "/system"));
        assert!(!is_within("/systemd", "/system"));
    }
}
