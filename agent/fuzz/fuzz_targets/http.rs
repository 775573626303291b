//! The head of an answer, and the addresses that are asked for.
//!
//! The first line is the status, the next ones are headers; all of it, as text, also stands for
//! what a node's firmware and administrator may put into an address.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rsinit::net::{Framing, parse_content_range, read_framing, redacted};
use rsinit::plan::fetch::{Provision, Routes, What};
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

fuzz_target!(|bytes: &[u8]| {
    read_head(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some((first, last, total)) = parse_content_range(text) {
        assert!(first <= last && last < total);
        let printed = format!("bytes {first}-{last}/{total}");
        assert_eq!(parse_content_range(&printed), Some((first, last, total)));
    }
    address(text);
    // What an address carries in confidence is never shown, whatever stands beside it.
    for url in
        [format!("http://user:T0PSECRET@{text}"), format!("http://h/p?{text}&assetkey=T0PSECRET")]
    {
        let shown = redacted(&url);
        assert!(!shown.contains("T0PSECRET") || text.contains("T0PSECRET"), "{shown}");
    }
    let _ = Provision::from_uri(text);
});

fn read_head(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse().ok());
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if let Ok(Framing { total, offset }) = read_framing(status.unwrap_or(206), &headers) {
        assert!(total.is_none_or(|total| offset < total || offset == 0));
        // The end of the body is known: by a length, or by chunks.
        let has = |name: &str| headers.contains_key(name);
        assert!(has("content-length") || has("transfer-encoding"));
        let lengths = headers.get_all("content-length");
        let lengths: Vec<&str> =
            lengths.iter().filter_map(|one| Some(one.to_str().ok()?.trim())).collect();
        for length in &lengths {
            assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{length:?}");
            assert_eq!(length.parse::<u64>(), lengths[0].parse(), "two lengths");
        }
    }
}

/// Text from the node stays one value of the address: nothing in it starts another.
fn address(text: &str) {
    let warewulf = Provision {
        base: "http://h:1".to_owned(),
        mac: "52:54:00:00:00:01".to_owned(),
        assetkey: text.to_owned(),
        uuid: text.to_owned(),
        ..Provision::default()
    };
    let names = || vec![text.to_owned()];
    let (image, node) = (text.to_owned(), text.to_owned());
    let routes = Routes::Static { image, node, system: names(), runtime: names() };
    let plain = Provision { routes, ..warewulf.clone() };
    for what in [What::Image, What::System, What::Runtime] {
        for form in warewulf.requests(what).iter().flat_map(|request| &request.forms) {
            assert_eq!(form.url.matches(['?', '#']).count(), 1, "{}", form.url);
            assert_eq!(form.url.matches("assetkey=").count(), 1, "{}", form.url);
            assert!(form.url.bytes().all(|byte| byte.is_ascii_graphic()), "{}", form.url);
        }
        for form in plain.requests(what).iter().flat_map(|request| &request.forms) {
            let parts = form.url.matches('/').count();
            assert_eq!(parts, if what == What::Image { 4 } else { 6 }, "{}", form.url);
            assert!(form.url.bytes().all(|byte| byte.is_ascii_graphic()), "{}", form.url);
            assert!(!form.url.contains(['?', '#']), "{}", form.url);
        }
    }
}
