//! What is on the disks when the power goes: every write that was flushed, and of the
//! others whichever reached the medium.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::Node;

/// What reached a disk's cache, or asked it to be empty.
#[derive(Debug, Clone)]
pub enum Event {
    Write { disk: String, offset: u64, bytes: Vec<u8> },
    Flush { disk: String },
}

/// Which of the writes that were not flushed are lost.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    None,
    All,
    Even,
    Odd,
    /// Of the last write the second half of its sectors.
    Tail,
    /// Of the last write the first half.
    Head,
}

pub const LOSSES: [Loss; 6] =
    [Loss::None, Loss::All, Loss::Even, Loss::Odd, Loss::Tail, Loss::Head];

impl Event {
    fn disk(&self) -> &str {
        match self {
            Self::Write { disk, .. } | Self::Flush { disk } => disk,
        }
    }
}

/// Puts on the disks of `node` what is left of `events` where the power goes after them.
pub fn replay(node: &Node, events: &[Event], loss: Loss) {
    for (index, event) in events.iter().enumerate() {
        let Event::Write { disk, offset, bytes } = event else { continue };
        let later = &events[index + 1..];
        let is_flushed = later
            .iter()
            .any(|later| matches!(later, Event::Flush { disk: other } if other == disk));
        let is_last = index + 1 == events.len();
        // Sectors are written whole, whatever else is not.
        let half = bytes.len() / 2 / 512 * 512;
        let kept = match loss {
            _ if is_flushed => 0..bytes.len(),
            Loss::None => 0..bytes.len(),
            Loss::All => continue,
            Loss::Even if index % 2 == 0 => continue,
            Loss::Odd if index % 2 == 1 => continue,
            Loss::Tail if is_last => 0..half,
            Loss::Head if is_last => half..bytes.len(),
            _ => 0..bytes.len(),
        };
        let path = node.layout.dev.join(event.disk());
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&bytes[kept.clone()], offset + kept.start as u64).unwrap();
    }
}
