//! One record over another, as Warewulf 4.6 merges profiles and nodes: a value that is set
//! replaces, maps are merged by key, lists are added up, and `~name` takes a name out of one.

use super::{Device, Record};

/// Lays `over` over `base`.
pub(super) fn lay_over(base: &mut Record, over: &Record) {
    // By name, so that a new field cannot be forgotten.
    let Record { comment, profiles, image, system, runtime, devices, primary, tags } = over;
    replace(&mut base.comment, comment);
    replace(&mut base.image, image);
    replace(&mut base.primary, primary);
    for (list, more) in
        [(&mut base.profiles, profiles), (&mut base.system, system), (&mut base.runtime, runtime)]
    {
        add(list, more);
    }
    for (name, device) in devices {
        lay_device_over(base.devices.entry(name.clone()).or_default(), device);
    }
    base.tags.extend(tags.clone());
}

fn lay_device_over(base: &mut Device, over: &Device) {
    let Device { device, hwaddr, ipaddr, netmask, gateway, mtu } = over;
    replace(&mut base.device, device);
    replace(&mut base.hwaddr, hwaddr);
    replace(&mut base.ipaddr, ipaddr);
    replace(&mut base.netmask, netmask);
    replace(&mut base.gateway, gateway);
    replace(&mut base.mtu, mtu);
}

fn replace<T: Clone>(base: &mut Option<T>, over: &Option<T>) {
    if over.is_some() {
        base.clone_from(over);
    }
}

fn add(list: &mut Vec<String>, more: &[String]) {
    for name in more {
        match name.strip_prefix('~') {
            Some(gone) => list.retain(|one| one != gone),
            None if list.contains(name) => {}
            None => list.push(name.clone()),
        }
    }
}
