//! Which bytes of an array lie where on its members.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rsinit::format::md::Superblock;
use rsinit::layout::Layout;
use rustix::fs::SeekFrom;

#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    pub superblock: Superblock,
}

/// A spare holds nothing of the array.
fn is_active(member: &&Member) -> bool {
    member.superblock.slot().is_some()
}

/// The parts of a write to an array as (member, offset, first byte, length).
pub fn split(members: &[Member], offset: u64, length: usize) -> Vec<(String, u64, usize, usize)> {
    let members: Vec<&Member> = members.iter().filter(is_active).collect();
    let first = &members[0].superblock;
    let start = first.data_offset_sectors * 512;
    if first.level == 1 {
        let part = |member: &&Member| (member.name.clone(), start + offset, 0, length);
        return members.iter().map(part).collect();
    }
    let chunk = u64::from(first.chunk_sectors) * 512;
    let count = members.len() as u64;
    let mut parts = Vec::new();
    let mut done = 0;
    while done < length {
        let at = offset + done as u64;
        let (row, slot) = (at / chunk / count, at / chunk % count);
        let wanted = ((chunk - at % chunk) as usize).min(length - done);
        let member = members.iter().find(|m| m.superblock.slot() == Some(slot as u32)).unwrap();
        parts.push((member.name.clone(), start + row * chunk + at % chunk, done, wanted));
        done += wanted;
    }
    parts
}

/// Fills an array's file from its members; zeros stay holes.
pub fn fill(layout: &Layout, members: &[Member], array: &File) {
    const PIECE: usize = 512 << 10;
    let members: Vec<Member> = members.iter().filter(is_active).cloned().collect();
    let first = &members[0].superblock;
    let newest = members.iter().max_by_key(|member| member.superblock.events).unwrap();
    let source = if first.level == 1 { vec![newest.clone()] } else { members.to_vec() };
    let size = first.size_sectors * 512 * source.len() as u64;
    array.set_len(size).unwrap();
    let open = |member: &Member| File::open(layout.dev.join(&member.name)).unwrap();
    let files: Vec<(String, File)> = source.iter().map(|m| (m.name.clone(), open(m))).collect();
    for offset in (0..size).step_by(PIECE) {
        let length = PIECE.min((size - offset) as usize);
        for (name, at, begin, count) in split(&source, offset, length) {
            let file = &files.iter().find(|(other, _)| *other == name).unwrap().1;
            let data = rustix::fs::seek(file, SeekFrom::Data(at)).unwrap_or(u64::MAX);
            if data >= at + count as u64 {
                continue;
            }
            let mut bytes = vec![0; count];
            file.read_exact_at(&mut bytes, at).unwrap();
            if bytes.iter().any(|byte| *byte != 0) {
                array.write_all_at(&bytes, offset + begin as u64).unwrap();
            }
        }
    }
}
