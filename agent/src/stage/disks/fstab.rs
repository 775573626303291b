//! Lines of `/etc/fstab`: for programs that look there for what is mounted. systemd knows a
//! mount from the kernel, whether it is listed or not. Source: fstab(5).

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context;

use crate::layout::Layout;
use crate::sys::Kernel;
use crate::sys::root::{make_folder, resolve};

use super::contents::read_contents;
use super::inventory::device_node;

/// Lists the ext4 of `device`, mounted on `target`. Where the image or an earlier run has a
/// line for the place, that stays.
///
/// # Errors
/// A device that holds no ext4 any more; errors of the file.
pub(super) fn list_volume(
    kernel: &dyn Kernel,
    layout: &Layout,
    device: &str,
    target: &str,
    options: &[String],
) -> anyhow::Result<()> {
    let uuid = read_uuid(kernel, layout, device)?;
    make_folder(&layout.sysroot, Path::new("/etc")).context("making /etc")?;
    let path = resolve(&layout.sysroot, Path::new("/etc/fstab")).context("finding /etc/fstab")?;
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.context("reading /etc/fstab")?,
    };
    let place = escape(target);
    if text.lines().any(|line| line.split_whitespace().nth(1) == Some(place.as_str())) {
        return Ok(());
    }
    let begin = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let options: Vec<&str> =
        ["nofail"].into_iter().chain(options.iter().map(String::as_str)).collect();
    let line = format!("{begin}UUID={uuid} {place} ext4 {} 0 0\n", options.join(","));
    let file = OpenOptions::new().append(true).create(true).mode(0o644).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).context("writing /etc/fstab")
}

fn read_uuid(kernel: &dyn Kernel, layout: &Layout, name: &str) -> anyhow::Result<String> {
    let device = kernel
        .open_readable(&device_node(layout, name))
        .with_context(|| format!("opening {name}"))?;
    let size = kernel.size_bytes(&device).with_context(|| format!("measuring {name}"))?;
    let contents =
        read_contents(kernel, &device, size).with_context(|| format!("reading {name}"))?;
    let ext = contents.only_ext().with_context(|| format!("{name} holds {contents}"))?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let [a, b, c, d, e, f, g, h, rest @ ..] = &ext.uuid;
    let parts = [hex(&[*a, *b, *c, *d]), hex(&[*e, *f]), hex(&[*g, *h])];
    let (fourth, last) = rest.split_at(2);
    Ok(format!("{}-{}-{}", parts.join("-"), hex(fourth), hex(last)))
}

/// A path as a field: blanks and backslashes in octal.
fn escape(path: &str) -> String {
    let mut field = String::new();
    for letter in path.chars() {
        match letter {
            ' ' | '\t' | '\n' | '\\' => field.push_str(&format!("\\{:03o}", u32::from(letter))),
            _ => field.push(letter),
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_is_one_field() {
        assert_eq!(escape("/a b\\c"), "/a\\040b\\134c");
    }
}
