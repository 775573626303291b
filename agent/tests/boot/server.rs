//! What the server says and does, version by version, and what becomes of the boot.

use std::fs;

use rsinit::layout::Layout;
use rsinit::report::Outcome;
use test_vm::server::{Certificate, Fault, Rule, Site, Version};

use super::kernel::Call;
use super::{Bench, MAC, noise};

#[test]
fn an_image_that_is_cut_once_is_resumed() {
    let bench = Bench::new(|tree| fs::write(tree.join("etc/large"), noise(300_000)).unwrap());
    bench.server.faults().add(Rule::once(Fault::Cut { at: 100_000 }).stage("image"));
    let (result, report) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    assert_eq!(fs::read(bench.sysroot().join("etc/large")).unwrap(), noise(300_000));
    let image = report.stages.iter().find(|stage| stage.name == "image").unwrap();
    assert_eq!(image.retries, 1);
}

#[test]
fn a_server_without_the_image_is_named_and_nothing_is_handed_over() {
    let bench = Bench::new(|_| ());
    for name in ["image.img", "image.img.gz"] {
        fs::remove_file(bench.dir.path().join(name)).unwrap();
    }
    let kernel = bench.recorder();
    let (result, report) = bench.boot(&kernel, "rsinit.deadline=3");
    let error = result.unwrap_err();
    assert!(error.starts_with("image: GET http://127.0.0.1:"), "{error}");
    assert!(error.contains("stage=image") && error.contains("404"), "{error}");
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(kernel.calls().last(), Some(&Call::Unmount("/sysroot".to_owned(), true)));
}

/// A site of Warewulf 4.7 in TLS, whose system overlay names the port and brings
/// `pem` as the server's certificate.
fn tls_bench(pem: impl FnOnce(&Certificate) -> String) -> Bench {
    let certificate = Certificate::new().unwrap();
    let bench = Bench::with_site(
        |_| (),
        |site| Site { version: Version::V4_7_0, tls: Some(certificate.clone()), ..site },
    );
    let overlay = bench.dir.path().join("system/warewulf");
    fs::create_dir_all(overlay.join("tls")).unwrap();
    fs::write(overlay.join("tls/warewulf.crt"), pem(&certificate)).unwrap();
    let port = bench.server.tls_addr().unwrap().port();
    let config = format!("WWTLS=true\nWWTLSPORT={port}\nWWIPADDR=127.0.0.1\n");
    fs::write(overlay.join("config"), config).unwrap();
    bench
}

#[test]
fn a_tls_server_gives_the_runtime_overlay_to_who_knows_its_certificate() {
    let bench = tls_bench(|certificate| certificate.pem().to_owned());
    let (result, _) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    assert!(bench.sysroot().join("etc/hosts").exists());
}

#[test]
fn a_server_with_another_certificate_gets_no_runtime_overlay_from_us() {
    let bench = tls_bench(|_| Certificate::new().unwrap().pem().to_owned());
    let (result, _) = bench.boot(&bench.recorder(), "rsinit.deadline=3");
    let error = result.unwrap_err();
    assert!(error.starts_with("runtime-overlay: GET https://127.0.0.1:"), "{error}");
    assert!(error.contains("certificate"), "{error}");
}

#[test]
fn without_a_certificate_the_servers_refusal_is_said() {
    let bench = tls_bench(|_| String::new());
    let config = bench.dir.path().join("system/warewulf/config");
    fs::write(config, "WWTLS=false\n").unwrap();
    let (result, _) = bench.boot(&bench.recorder(), "rsinit.deadline=3");
    let error = result.unwrap_err();
    assert!(error.contains("403") && error.contains("wants TLS"), "{error}");
}

#[test]
fn every_warewulf_boots_a_node_with_the_arguments_that_it_writes() {
    let mac_uri = |bench: &Bench| format!("wwinit.uri={}", bench.server.uri(MAC));
    let server = |bench: &Bench| {
        let base = format!("http://{}", bench.server.addr());
        format!("wwinit.server={base} wwinit.uri={base}/provision/{MAC} wwid={MAC}")
    };
    type Arguments = fn(&Bench) -> String;
    let versions: [(Version, Arguments, &str); 4] = [
        (Version::V4_5_8, mac_uri, "container"),
        (Version::V4_6_1, mac_uri, "image"),
        (Version::V4_6_5, mac_uri, "image"),
        (Version::V4_7_0, server, ""),
    ];
    for (version, arguments, stage) in versions {
        let bench = Bench::with_site(|_| (), |site| Site { version, ..site });
        let layout = Layout::under(bench.dir.path());
        let cmdline = format!("root=wwinit {} rsinit.onfail=shell", arguments(&bench));
        let result = rsinit::stage::run(&bench.recorder(), &layout, &cmdline);
        assert!(result.is_ok(), "{version:?}: {:#}", result.unwrap_err());
        let served = bench.server.requests().into_iter().any(|one| {
            let named = one.head.query("stage") == Some(stage);
            let routed = one.head.path == format!("/image/{MAC}");
            one.status == 200 && one.head.method == "GET" && (named || routed)
        });
        assert!(served, "{version:?} served no {stage:?}");
    }
}

#[test]
fn the_asset_tag_of_the_firmware_opens_the_server_and_is_told_to_nobody() {
    let tag = "rack 7/ö&key";
    let bench = Bench::with_site(
        |_| (),
        |mut site| {
            site.nodes[0].asset_key = Some(tag.to_owned());
            site
        },
    );
    let dmi = bench.dir.path().join("sys/class/dmi/id");
    fs::create_dir_all(&dmi).unwrap();
    fs::write(dmi.join("chassis_asset_tag"), format!("{tag}\n")).unwrap();
    fs::write(dmi.join("product_uuid"), "4c4c4544-0042-3510-8051-b4c04f4d3332\n").unwrap();
    let (result, report) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    let requests = bench.server.requests();
    let uuid = Some("4c4c4544-0042-3510-8051-b4c04f4d3332");
    assert!(requests.iter().all(|one| one.head.query("uuid") == uuid));
    assert!(!serde_json::to_string(&report).unwrap().contains("key"));

    fs::write(dmi.join("chassis_asset_tag"), "another key\n").unwrap();
    let (result, report) = bench.boot(&bench.recorder(), "rsinit.deadline=2");
    let error = result.unwrap_err();
    assert!(error.contains("401") && error.contains("the asset key is not the node's"), "{error}");
    assert!(!serde_json::to_string(&report).unwrap().contains("another"));
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_the_report_counts_it() {
    let bench = Bench::new(|_| ());
    bench.server.faults().add(Rule::once(Fault::Status(503)).stage("system").times(2));
    let (result, report) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    let fetched = report.stages.iter().find(|stage| stage.name == "system-overlay").unwrap();
    assert_eq!(fetched.retries, 2);
}

#[test]
fn a_certificate_that_is_none_and_one_that_is_missing_are_named_with_their_stage() {
    let bench = tls_bench(|_| "nonsense".to_owned());
    let error = bench.boot(&bench.recorder(), "").0.unwrap_err();
    assert_eq!(
        error,
        "runtime-overlay: reading /warewulf/tls/warewulf.crt of the system overlay: \
         it holds no certificate in PEM form"
    );
    let port = bench.server.tls_addr().unwrap().port();
    let extra = format!("rsinit.uri=https://127.0.0.1:{port}/provision/{MAC}");
    let error = bench.boot(&bench.recorder(), &extra).0.unwrap_err();
    assert!(error.starts_with("arguments: reading "), "{error}");
    assert!(error.contains("/etc/rsinit/server.crt, the certificate to know https://"), "{error}");
}

#[test]
fn a_tls_server_is_booted_from_by_the_certificate_in_the_initramfs() {
    let bench = tls_bench(|certificate| certificate.pem().to_owned());
    let overlay = bench.dir.path().join("system/warewulf/tls/warewulf.crt");
    let ours = bench.dir.path().join("etc/rsinit");
    fs::create_dir_all(&ours).unwrap();
    fs::copy(overlay, ours.join("server.crt")).unwrap();
    let port = bench.server.tls_addr().unwrap().port();
    let extra = format!("rsinit.uri=https://127.0.0.1:{port}/provision/{MAC}");
    assert_eq!(bench.boot(&bench.recorder(), &extra).0, Ok(()));
}
