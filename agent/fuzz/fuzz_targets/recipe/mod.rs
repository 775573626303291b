//! Archives made from a recipe of a few bytes an entry.

use std::path::Path;

/// Parts of names: few, so that entries meet.
const PARTS: [&str; 8] = ["a", "b", "usr", "lib", ".", "..", "", "outside"];

/// Modes: each kind of file, twice those that matter most.
const MODES: [u32; 8] =
    [0o040_755, 0o100_644, 0o120_777, 0o040_700, 0o120_777, 0o100_6755, 0o010_600, 0o020_600];

/// Makes an archive; `outside` is where its links may want to lead.
///
/// Each entry takes four bytes: kind and link count, two of the name, link target or content.
pub fn archive(recipe: &[u8], outside: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, step) in recipe.chunks_exact(4).take(64).enumerate() {
        let [kind, name, more, content] = [step[0], step[1], step[2], step[3]];
        let mode = MODES[usize::from(kind & 7)];
        let data = match mode >> 12 {
            0o12 => target(content, outside),
            0o10 => "x".repeat(usize::from(content & 31)),
            _ => String::new(),
        };
        let nlink = 1 + u32::from(kind >> 3 & 1);
        let inode = if nlink > 1 { u32::from(kind >> 4 & 3) } else { 100 + number as u32 };
        entry(&mut archive, &path(name, more), [inode, mode, u32::from(kind >> 6), nlink], &data);
        if kind == 0xff {
            entry(&mut archive, "TRAILER!!!", [0, 0, 0, 1], "");
        }
    }
    entry(&mut archive, "TRAILER!!!", [0, 0, 0, 1], "");
    archive
}

/// One to four parts; rarely an absolute path.
fn path(name: u8, more: u8) -> String {
    let part = |bits: u8| PARTS[usize::from(bits & 7)];
    let mut path = part(name).to_owned();
    for bits in [name >> 3, more, more >> 3].iter().take(usize::from(more >> 6)) {
        path = format!("{path}/{}", part(*bits));
    }
    if name >> 6 == 3 { format!("/{path}") } else { path }
}

/// Where a link leads: up, outside by its absolute path, round, or to another entry.
fn target(content: u8, outside: &Path) -> String {
    let part = |bits: u8| PARTS[usize::from(bits & 7)];
    match content >> 6 {
        0 => format!("{}/{}", part(content), part(content >> 3)),
        1 => format!("{}outside/{}", "../".repeat(usize::from(content & 7)), part(content >> 3)),
        2 => format!(
            "{}/{}",
            outside.display(),
            ["", "folder", "file", ".."][usize::from(content & 3)]
        ),
        _ => format!("/{}", part(content)),
    }
}

fn entry(archive: &mut Vec<u8>, name: &str, fields: [u32; 4], data: &str) {
    let [inode, mode, owner, nlink] = fields;
    let (size, name_size) = (data.len(), name.len() + 1);
    let zero = 0;
    archive.extend(
        format!(
            "070701{inode:08x}{mode:08x}{owner:08x}{owner:08x}{nlink:08x}{zero:08x}{size:08x}\
             {zero:08x}{zero:08x}{zero:08x}{zero:08x}{name_size:08x}{zero:08x}{name}\0"
        )
        .bytes(),
    );
    pad(archive);
    archive.extend(data.bytes());
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}
