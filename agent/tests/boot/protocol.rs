//! From the kernel's command line to what the server is asked, and what the root is mounted as.

use std::net::{Ipv6Addr, SocketAddr};

use rsinit::layout::Layout;
use test_vm::server::{Certificate, Fault, Rule, Site, Version};

use super::kernel::Recorder;
use super::{Bench, MAC, fs};

/// The address of the recorder's eth0, which another server may know a node by.
const MAC_OF_ETH0: &str = "52:54:00:00:00:01";

/// Boots with nothing but these kernel arguments.
fn boot(bench: &Bench, kernel: &Recorder, cmdline: &str) -> Result<(), String> {
    let cmdline = format!("{cmdline} rsinit.onfail=shell rsinit.deadline=20");
    let layout = Layout::under(bench.dir.path());
    rsinit::stage::run(kernel, &layout, &cmdline).map_err(|error| format!("{error:#}"))
}

#[test]
fn every_form_of_the_address_leads_to_the_node() {
    assert_eq!(MAC, MAC_OF_ETH0);
    let forms = [
        "root=rsinit rsinit.uri={base}/provision/{mac}",
        "root=rsinit rsinit.uri={base}/provision/ wwid={mac}",
        "root=rsinit rsinit.uri={base}/provision/",
        "root=rsinit rsinit.uri={base} wwid={MAC-}",
        "root=rsinit rsinit.uri={base}",
        "root=rsinit rsinit.uri={base} wwid=[eth0]",
        "rsinit.uri={base}",
        "root=wwinit wwinit.uri={base}/provision/{mac}",
        "root=wwinit wwinit_uri={base}/provision/{mac}",
        "root=wwinit:tmpfs wwinit.uri={base}/provision/{mac} init=/sbin/init",
        "root=wwinit:initramfs wwinit.uri={base}/provision/{mac}",
        // Port 1 answers nobody: the server wins over the address, as in 4.7.
        "root=wwinit wwinit.uri=http://127.0.0.1:1/provision/{mac} wwinit.server={base} wwid={mac}",
    ];
    for form in forms {
        let version = match form.contains("wwinit.server") {
            true => Version::V4_7_0,
            false => Version::V4_6_1,
        };
        let bench = Bench::with_site(|_| (), |site| Site { version, ..site });
        let cmdline = form
            .replace("{base}", &format!("http://{}", bench.server.addr()))
            .replace("{mac}", MAC)
            .replace("{MAC-}", &MAC.to_uppercase().replace(':', "-"));
        assert_eq!(boot(&bench, &bench.recorder(), &cmdline), Ok(()), "{form}");
        for one in bench.server.requests() {
            assert!(one.head.path.ends_with(&format!("/{MAC}")), "{form}: {}", one.head.path);
        }
        assert!(bench.sysroot().join("etc/hosts").exists(), "{form}");
    }
}

#[test]
fn the_root_is_the_tmpfs_that_warewulf_mounts() {
    for (arguments, expected) in [
        ("", "mode=0755,mpol=interleave"),
        ("wwinit.tmpfs.size=2g", "mode=0755,mpol=interleave,size=2g"),
        ("rsinit.tmpfs.size=60% wwinit.tmpfs.size=2g", "mode=0755,mpol=interleave,size=60%"),
    ] {
        let bench = Bench::new(|_| ());
        let kernel = bench.recorder();
        assert_eq!(bench.boot(&kernel, arguments).0, Ok(()));
        // Its source is compared where the calls are: tmpfs, not rootfs.
        assert_eq!(kernel.options.lock().unwrap().first().map(String::as_str), Some(expected));
    }
}

#[test]
fn the_runtime_overlay_comes_from_a_low_port_and_nothing_else_needs_one() {
    let bench = Bench::with_site(|_| (), |site| Site { secure: true, ..site });
    assert_eq!(bench.boot(&bench.recorder(), "").0, Ok(()));
    for one in bench.server.requests() {
        let is_low = (512..1024).contains(&one.peer.port());
        assert_eq!(is_low, one.query("stage") == Some("runtime"), "{one:?}");
    }
}

#[test]
fn a_server_of_4_7_in_tls_is_known_by_its_ipv6_address_too() {
    let certificate = Certificate::new().unwrap();
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let bench = Bench::at(
        address,
        |_| (),
        |site| Site {
            version: Version::V4_7_0,
            secure: true,
            tls: Some(certificate.clone()),
            ..site
        },
    );
    let overlay = bench.dir.path().join("system/warewulf");
    fs::create_dir_all(overlay.join("tls")).unwrap();
    fs::write(overlay.join("tls/warewulf.crt"), certificate.pem()).unwrap();
    let port = bench.server.tls_addr().unwrap().port();
    let config =
        format!("WWIPMI_PASSWORD=\"two words\"\nWWTLS=true\nWWTLSPORT={port}\nWWIPADDR=::1\n");
    fs::write(overlay.join("config"), config).unwrap();
    let base = format!("http://{}", bench.server.addr());
    assert!(base.starts_with("http://[::1]:"));
    let cmdline = format!("root=wwinit:tmpfs wwinit.server={base} wwid={MAC}");
    assert_eq!(boot(&bench, &bench.recorder(), &cmdline), Ok(()));
    let requests = bench.server.requests();
    let runtime: Vec<_> =
        requests.iter().filter(|one| one.head.path.starts_with("/runtime/")).collect();
    assert_eq!(runtime.iter().map(|one| one.status).collect::<Vec<_>>(), [200]);
    assert!(bench.sysroot().join("etc/hosts").exists());
}

#[test]
fn a_digest_on_the_command_line_decides_about_the_image() {
    let bench = Bench::new(|_| ());
    let wrong = format!("rsinit.sha256={}", "0f".repeat(32));
    let error = bench.boot(&bench.recorder(), &wrong).0.unwrap_err();
    assert!(error.starts_with("image: ") && error.contains("SHA-256"), "{error}");
    let gz = fs::read(bench.dir.path().join("image.img.gz")).unwrap();
    let right = <sha2::Sha256 as sha2::Digest>::digest(&gz);
    let right: String = right.iter().map(|byte| format!("{byte:02x}")).collect();
    let extra = format!("rsinit.sha256={right}");
    fs::remove_dir_all(bench.sysroot()).unwrap();
    assert_eq!(bench.boot(&bench.recorder(), &extra).0, Ok(()));
}

#[test]
fn what_an_administrator_mends_meanwhile_boots_the_node() {
    let bench = Bench::new(|_| ());
    // Refused for now: more often than three times.
    bench.server.faults().add(Rule::once(Fault::Status(404)).stage("image").times(8));
    let (result, report) = bench.boot(&bench.recorder(), "");
    assert_eq!(result, Ok(()));
    let image = report.stages.iter().find(|stage| stage.name == "image").unwrap();
    assert!(image.retries >= 4, "{image:?}");
}
