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

/// The name in the text of an `/etc/hostname`: its first line that is no comment. `None`
/// for what is no name of letters, digits, `-` and `.`, at most 253 long (RFC 1123).
pub fn parse_hostname(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    let name = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    (name.len() <= 253 && name.bytes().all(known)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostname_is_the_first_line_that_is_no_comment() {
        assert_eq!(parse_hostname("# by hand\n\n n1.cluster \nn2\n").unwrap(), "n1.cluster");
        for bad in ["", "# only\n", "two words\n", "<script>\n", &"x".repeat(254)] {
            assert_eq!(parse_hostname(bad), None, "{bad}");
        }
    }

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
