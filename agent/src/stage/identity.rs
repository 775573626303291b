//! Who the node is, from the firmware's SMBIOS tables as sysfs shows them.

use std::fs;

use super::context::Context;
use crate::config::identity::Identity;

/// Reads the asset tag and the UUID; a machine without SMBIOS has neither.
pub fn read(ctx: &Context<'_>) -> Identity {
    let dmi = ctx.layout.dmi();
    let text = |name: &str| fs::read_to_string(dmi.join(name)).unwrap_or_default();
    Identity::from_dmi(&text("chassis_asset_tag"), &text("product_uuid"))
}
