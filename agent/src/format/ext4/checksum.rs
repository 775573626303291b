//! CRC-32C as ext4's metadata has it: seeded, and without the final inversion.
//!
//! Source: `Documentation/filesystems/ext4/checksums.rst`.

/// A running CRC-32C over metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// The start of every chain: all ones.
    pub(super) const START: Self = Self(u32::MAX);

    /// The seed of everything but the superblock: the file system's UUID.
    pub(super) fn of_filesystem(uuid: &[u8; 16]) -> Self {
        Self::START.over(uuid)
    }

    /// The chain continued over `data`.
    ///
    /// The crate inverts on the way in and out, ext4 does neither.
    pub(super) fn over(self, data: &[u8]) -> Self {
        Self(!crc32c::crc32c_append(!self.0, data))
    }

    /// All 32 bits.
    pub(super) fn value(self) -> u32 {
        self.0
    }

    /// The low 16 bits, which is all that a group descriptor has room for.
    pub(super) fn low16(self) -> u16 {
        let [low, high, ..] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_crc32c_comes_out_uninverted() {
        // 0xe3069283 is the published check value over "123456789".
        assert_eq!(Checksum::START.over(b"123456789").value(), !0xe306_9283);
    }

    #[test]
    fn a_chain_equals_one_pass() {
        let whole = Checksum::START.over(b"123456789");
        assert_eq!(Checksum::START.over(b"1234").over(b"56789"), whole);
        assert_eq!(whole.low16(), u16::try_from(!0xe306_9283_u32 & 0xffff).unwrap());
    }
}
