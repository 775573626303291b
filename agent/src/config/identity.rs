//! Who the node is to the server: SMBIOS strings as Warewulf's client sends them.

/// What the node says of itself in every request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// SMBIOS chassis asset tag: a secret shared with the server. Never logged.
    pub asset_key: String,
    /// SMBIOS system UUID.
    pub uuid: String,
}

impl Identity {
    /// From the text of `/sys/class/dmi/id/chassis_asset_tag` and `product_uuid`;
    /// a firmware's way of saying "none" is none.
    pub fn from_dmi(asset_tag: &str, uuid: &str) -> Self {
        let asset_tag = asset_tag.trim();
        let none = ["", "Unknown", "Not Specified"].contains(&asset_tag);
        Self {
            asset_key: if none { String::new() } else { asset_tag.to_owned() },
            uuid: uuid.trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_trimmed_and_a_firmwares_none_is_none() {
        for tag in ["", "Unknown\n", " Not Specified \n"] {
            assert_eq!(Identity::from_dmi(tag, "").asset_key, "");
        }
        let identity = Identity::from_dmi("rack 7 key\n", "4c4c4544-0042\n");
        assert_eq!(identity.asset_key, "rack 7 key");
        assert_eq!(identity.uuid, "4c4c4544-0042");
    }
}
