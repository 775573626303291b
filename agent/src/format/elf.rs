//! What a program needs to be started: its interpreter. Source: elf(5), execve(2).

/// Most of a file that is looked at, in bytes: the program headers are near its
/// beginning, and a `#!` line ends before `BINPRM_BUF_SIZE` (256).
pub const HEAD: usize = 4096;

/// Who runs a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// The kernel alone: a static ELF file.
    Static,
    /// This loader, or the interpreter of a `#!` script: an absolute path.
    Interpreted(String),
    /// Nothing that execve(2) would start.
    Unknown,
}

/// Tells from the first [`HEAD`] bytes of a file (or all of a shorter one).
pub fn read_program(head: &[u8]) -> Program {
    if let Some(line) = head.strip_prefix(b"#!") {
        // The kernel ends the line at a NUL too.
        let line = line.split(|byte| matches!(byte, b'\n' | 0)).next().unwrap_or_default();
        let text = String::from_utf8_lossy(line);
        return match text.split_whitespace().next() {
            Some(interpreter) => Program::Interpreted(interpreter.to_owned()),
            None => Program::Unknown,
        };
    }
    // ELF, 64 bits, little-endian: all that rsinit's machines run.
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Program::Unknown;
    }
    read_elf(head).unwrap_or(Program::Unknown)
}

/// `PT_INTERP` among the program headers; `None` for a header that is cut short.
fn read_elf(head: &[u8]) -> Option<Program> {
    const PT_INTERP: u32 = 3;
    let table = usize::try_from(read_u64(head, 32)?).ok()?;
    let (entry, count) = (usize::from(read_u16(head, 54)?), usize::from(read_u16(head, 56)?));
    for index in 0..count {
        let at = table.checked_add(index.checked_mul(entry)?)?;
        if read_u32(head, at)? == PT_INTERP {
            let from = usize::try_from(read_u64(head, at.checked_add(8)?)?).ok()?;
            let path = head.get(from..)?.split(|byte| *byte == 0).next()?;
            return Some(Program::Interpreted(String::from_utf8_lossy(path).into_owned()));
        }
    }
    Some(Program::Static)
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_machine_names_its_loader() {
        let program = std::fs::read("/bin/sh").unwrap();
        let head = &program[..HEAD];
        match read_program(head) {
            Program::Interpreted(loader) => assert!(loader.contains("ld"), "{loader}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_script_names_its_interpreter() {
        let sh = Program::Interpreted("/bin/sh".to_owned());
        assert_eq!(read_program(b"#!/bin/sh\n"), sh);
        assert_eq!(read_program(b"#! /bin/sh -e"), sh);
        assert_eq!(read_program(b"#!\n"), Program::Unknown);
        assert_eq!(read_program(b"#!/bin/sh\0junk\n"), sh);
        assert_eq!(read_program(b"#!\0/bin/sh\n"), Program::Unknown);
    }

    #[test]
    fn what_is_cut_short_or_lies_about_its_headers_is_no_program() {
        let mut elf = std::fs::read("/bin/sh").unwrap();
        elf.truncate(HEAD);
        for end in [0, 4, 6, 33, 57, 64, 100] {
            assert_eq!(read_program(&elf[..end]), Program::Unknown, "{end}");
        }
        elf[32..40].fill(0xff);
        assert_eq!(read_program(&elf), Program::Unknown);
        assert_eq!(read_program(b"hello"), Program::Unknown);
    }
}
