//! Who the node is: from the firmware's SMBIOS tables as sysfs shows them, and by name.

use std::fs;
use std::path::Path;

use super::context::Context;
use super::overlay::Overlay;
use crate::config::identity::{Identity, parse_hostname};
use crate::sys::root::resolve;

/// The node's name, in the overlay or the image.
const HOSTNAME: &str = "etc/hostname";

/// Reads the asset tag and the UUID; a machine without SMBIOS has neither.
pub fn read(ctx: &Context<'_>) -> Identity {
    let dmi = ctx.layout.dmi();
    let text = |name: &str| fs::read_to_string(dmi.join(name)).unwrap_or_default();
    Identity::from_dmi(&text("chassis_asset_tag"), &text("product_uuid"))
}

/// The name that the system overlay gives the node. Whether the overlay is sound is
/// another's business.
pub fn hostname(overlay: &Overlay) -> Option<String> {
    let files = overlay.find_files(|name| name == HOSTNAME.as_bytes()).ok()?;
    files.last().and_then(|(_, text)| parse_hostname(&String::from_utf8_lossy(text)))
}

/// The name in the new root, once it is there.
pub fn hostname_in_root(ctx: &Context<'_>) -> Option<String> {
    let path = resolve(&ctx.layout.sysroot, Path::new(HOSTNAME)).ok()?;
    parse_hostname(&fs::read_to_string(path).ok()?)
}
