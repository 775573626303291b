//! What an NVMe controller and a namespace say of themselves, and the command that
//! erases. Source: NVM Express Base Specification 2.0, Identify (figures 275 and 276)
//! and Format NVM; NVM Command Set Specification 1.0, Identify Namespace (figure 97).

/// Bytes of every Identify data structure.
pub const IDENTIFY_BYTES: usize = 4096;

/// `CNS` of Identify Namespace.
pub const CNS_NAMESPACE: u32 = 0x00;
/// `CNS` of Identify Controller.
pub const CNS_CONTROLLER: u32 = 0x01;
/// `CNS` of the list of active namespaces.
pub const CNS_ACTIVE: u32 = 0x02;
/// `CNS` of the list of allocated namespaces, attached or not.
pub const CNS_ALLOCATED: u32 = 0x10;

/// `SES` of Format NVM: the key is replaced with which the medium is encrypted.
const SES_CRYPTO: u32 = 2;

mod at {
    //! Offsets in bytes.
    pub const OACS: usize = 256;
    pub const FNA: usize = 524;
    pub const FLBAS: usize = 26;
    pub const DPS: usize = 29;
    pub const DLFEAT: usize = 33;
}

/// What is read of Identify Controller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Controller {
    /// `OACS` bit 1: it has Format NVM.
    pub can_format: bool,
    /// `OACS` bit 3: it manages namespaces, so that some may be there and not active.
    pub manages_namespaces: bool,
    /// `FNA` bit 0 or 1: a format or an erase hits all namespaces.
    pub formats_all: bool,
    /// `FNA` bit 2: it can erase by replacing the key.
    pub can_crypto_erase: bool,
}

/// What is read of Identify Namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Namespace {
    /// `FLBAS`: the block format in use, and where metadata go.
    flbas: u8,
    /// `DPS`: the protection information in use.
    dps: u8,
    /// `DLFEAT` bits 2:0 are 001b: blocks that were deallocated read as zeros.
    pub deallocated_reads_zero: bool,
}

/// Reads Identify Controller.
pub fn decode_controller(bytes: &[u8; IDENTIFY_BYTES]) -> Controller {
    let byte = |offset: usize| bytes.get(offset).copied().unwrap_or(0);
    let (oacs, fna) = (byte(at::OACS), byte(at::FNA));
    Controller {
        can_format: oacs & 0x2 != 0,
        manages_namespaces: oacs & 0x8 != 0,
        formats_all: fna & 0x3 != 0,
        can_crypto_erase: fna & 0x4 != 0,
    }
}

/// Reads Identify Namespace.
pub fn decode_namespace(bytes: &[u8; IDENTIFY_BYTES]) -> Namespace {
    let byte = |offset: usize| bytes.get(offset).copied().unwrap_or(0);
    Namespace {
        flbas: byte(at::FLBAS),
        dps: byte(at::DPS),
        deallocated_reads_zero: byte(at::DLFEAT) & 0x7 == 1,
    }
}

/// The namespaces of a list: numbers up to the first 0.
pub fn decode_list(bytes: &[u8; IDENTIFY_BYTES]) -> Vec<u32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|number| u32::from_le_bytes(*number)).take_while(|n| *n != 0).collect()
}

impl Namespace {
    /// `CDW10` of a Format NVM that replaces the key and leaves block format, metadata
    /// and protection as they are.
    pub fn crypto_erase(self) -> u32 {
        let (flbas, dps) = (u32::from(self.flbas), u32::from(self.dps));
        let format = flbas & 0xf | (flbas >> 5 & 0x3) << 12;
        let metadata = (flbas >> 4 & 1) << 4;
        let protection = (dps & 0x7) << 5 | (dps >> 3 & 1) << 8;
        format | metadata | protection | SES_CRYPTO << 9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(fields: &[(usize, u8)]) -> [u8; IDENTIFY_BYTES] {
        let mut bytes = [0; IDENTIFY_BYTES];
        for (offset, value) in fields {
            bytes[*offset] = *value;
        }
        bytes
    }

    #[test]
    fn what_a_controller_can_do_is_in_single_bits() {
        assert_eq!(decode_controller(&page(&[])), Controller::default());
        let all = decode_controller(&page(&[(256, 0x0a), (524, 0x05)]));
        assert!(all.can_format && all.manages_namespaces);
        assert!(all.formats_all && all.can_crypto_erase);
        let erase_hits_all = decode_controller(&page(&[(256, 0x02), (524, 0x02)]));
        assert!(erase_hits_all.formats_all && !erase_hits_all.can_crypto_erase);
    }

    #[test]
    fn only_one_value_says_that_deallocated_blocks_read_as_zeros() {
        for (dlfeat, zero) in [(0, false), (1, true), (2, false), (9, true), (0x18, false)] {
            let namespace = decode_namespace(&page(&[(33, dlfeat)]));
            assert_eq!(namespace.deallocated_reads_zero, zero, "{dlfeat}");
        }
    }

    #[test]
    fn an_erase_leaves_the_format_as_it_is() {
        assert_eq!(decode_namespace(&page(&[])).crypto_erase(), 0x400);
        // Format 0x12: low half 2, upper bits 01b; metadata with the data; type 1, first.
        let set = decode_namespace(&page(&[(26, 0x32), (29, 0x09)]));
        assert_eq!(set.crypto_erase(), 0x2 | 0x10 | 0x20 | 0x100 | 0x400 | 0x1000);
    }

    #[test]
    fn a_list_ends_at_the_first_zero_or_with_the_page() {
        assert_eq!(decode_list(&page(&[(0, 1), (4, 3), (12, 9)])), [1, 3]);
        assert_eq!(decode_list(&[0xff; IDENTIFY_BYTES]).len(), 1024);
    }
}
