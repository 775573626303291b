//! The kernel without what unpacks it: QEMU starts it where its PVH note says, and an emulated
//! processor is spared five seconds of every boot. Source of the offsets:
//! Documentation/arch/x86/boot.rst.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::tool::{command, run};

/// `setup_sects`: sectors of 512 bytes before the protected-mode code, less the boot sector.
const SETUP_SECTORS: usize = 0x1f1;
/// `payload_offset`: bytes from the protected-mode code to the compressed kernel, 32 bits.
const PAYLOAD_OFFSET: usize = 0x248;
/// `payload_length`: its bytes, 32 bits; the last four are its length when unpacked.
const PAYLOAD_LENGTH: usize = 0x24c;

/// What unpacks it, by its first bytes.
const UNPACKERS: [(&[u8], &str); 2] =
    [(&[0xfd, b'7', b'z', b'X', b'Z'], "xz"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd")];

/// Unpacks the kernel in the bzImage `image` to the file `to`.
///
/// # Errors
/// It is no bzImage, compressed by something else, or damaged.
pub fn extract(image: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(image).with_context(|| format!("reading {}", image.display()))?;
    let payload = payload(&bytes).with_context(|| format!("{} is cut", image.display()))?;
    let Some((_, tool)) = UNPACKERS.iter().find(|(magic, _)| payload.starts_with(magic)) else {
        bail!("{} is compressed by neither xz nor zstd", image.display());
    };
    let mut input = tempfile::tempfile().context("making a scratch file")?;
    input.write_all(payload).context("writing a scratch file")?;
    input.rewind().context("rewinding a scratch file")?;
    let output = File::create(to).with_context(|| format!("making {}", to.display()))?;
    run(command(tool).arg("-dc").stdin(input).stdout(output)).map(drop)
}

/// The compressed kernel in a bzImage.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| -> Option<usize> {
        let bytes = image.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    let code = (usize::from(*image.get(SETUP_SECTORS)?) + 1) * 512;
    let from = code + number(PAYLOAD_OFFSET)?;
    image.get(from..from + number(PAYLOAD_LENGTH)?.checked_sub(4)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_lies_where_the_header_says_without_its_length() {
        let mut image = vec![0; 4 * 512];
        image[SETUP_SECTORS] = 2;
        image[PAYLOAD_OFFSET] = 16;
        image[PAYLOAD_LENGTH] = 10;
        image[3 * 512 + 16..][..10].copy_from_slice(b"kernel\x06\0\0\0");
        assert_eq!(payload(&image), Some(b"kernel".as_slice()));
        assert_eq!(payload(&image[..3 * 512 + 20]), None);
        assert_eq!(payload(&image[..100]), None);
    }
}
