//! Kernel command lines: read, planned, and printed again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsinit::config::cmdline::{Brake, Params, words};
use rsinit::config::secrets::NfsSource;
use rsinit::config::uri::{BootUri, parse_mac};
use rsinit::plan::{boot, root};

fuzz_target!(|line: &str| {
    for word in words(line) {
        assert!(line.contains(word.name) && line.contains(word.value.unwrap_or_default()));
    }
    let (params, complaints) = Params::parse(line);
    for complaint in &complaints {
        assert!(!complaint.to_string().is_empty());
    }
    // A brake that cannot be read is pulled; of several, the last counts.
    if let Some(brake) = words(line).filter(|word| word.name == "rsinit.disk").last() {
        let expected = match brake.value {
            Some("auto") => Brake::Auto,
            Some("plan") => Brake::Plan,
            Some("keep") => Brake::Keep,
            _ => Brake::Off,
        };
        assert_eq!(params.disk, expected);
    }
    let _ = (params.claims_root(), boot::plan_failure(&params));
    if let Ok(plan) = boot::plan(&params) {
        assert!(!plan.to_string().is_empty() && plan.server.port > 0);
        let server = plan.server.to_string();
        assert_eq!(BootUri::parse(&server).map(|uri| uri.server), Ok(plan.server), "{server}");
        if let boot::Mac::Known(mac) = &plan.mac {
            assert_eq!(parse_mac(mac).as_ref(), Ok(mac));
        }
        if let Some(source) = &plan.secrets {
            secrets(source);
        }
    }
    if let Some(size) = &params.tmpfs_size {
        sizes(size);
    }
    // By themselves too: a fuzzer finds them sooner.
    let _ = BootUri::parse(line).map(|uri| uri.server.to_string());
    if let Ok(Some(source)) = NfsSource::parse(line) {
        secrets(&source);
    }
    sizes(line);
});

/// What goes into mount(2)'s comma-separated options, and what into its source.
fn secrets(source: &NfsSource) {
    assert!(source.path.starts_with('/'));
    assert!(!source.host.is_empty() && !source.host.contains([',', ' ', '/']), "{source:?}");
    assert!(!source.path.contains([',', ' ']), "{source:?}");
}

fn sizes(text: &str) {
    let memory = root::Memory { total: 256 << 30, available: 250 << 30 };
    if let Some(size) = root::parse_size(text, memory) {
        let _ = root::check_size(size, size, memory);
        let _ = root::plan_size(size, memory);
    }
    let _ = root::parse_meminfo(text);
}
