//! What becomes known of a boot outside of the node, and what a failed one does next.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use rsinit::layout::Layout;
use rsinit::report::{Outcome, Report};
use rsinit::stage::tries::VARIABLE;
use rsinit::sys::process::Exit;
use test_vm::server::{Fault, Rule};

use super::Bench;
use super::kernel::{Call, Recorder};

/// A syslog server, and the argument that names it.
pub fn syslog() -> (UdpSocket, String) {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let argument = format!("rsinit.report=syslog://{}", server.local_addr().unwrap());
    (server, argument)
}

pub fn hear(server: &UdpSocket) -> String {
    let mut buffer = vec![0; 65_536];
    let got = server.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..got].to_vec()).unwrap()
}

#[test]
fn a_boot_that_failed_tells_the_head_node_cause_next_step_and_report() {
    let bench = Bench::new(|tree| fs::remove_file(tree.join("sbin/init")).unwrap());
    let (server, argument) = syslog();
    let (result, report) = bench.boot(&bench.recorder(), &argument);
    let cause = result.unwrap_err();
    let line = hear(&server);
    let step = report.next_step.clone().unwrap();
    let text = format!("<27>1 - node1 rsinit - boot - boot failed: {cause}; next step: {step}");
    assert_eq!(line, text);
    assert!(step.contains("into the image"), "{step}");
    let json = hear(&server);
    let sent: Report = serde_json::from_str(json.split_once("@cee: ").unwrap().1).unwrap();
    assert_eq!(sent, report);
    assert_eq!((sent.outcome, sent.error), (Outcome::Failed, Some(cause)));
}

/// A way to fail: what is done to the site, what the kernel does, and how the cause begins.
type Failing = (fn(&Bench), fn(Recorder) -> Recorder, &'static str);

/// What no other test and no case in a machine lets the head node hear.
const CLASSES: [Failing; 4] = [
    (
        |bench| bench.server.faults().add(Rule::always(Fault::Status(404)).stage("runtime")),
        |kernel| kernel,
        "runtime-overlay: GET http://127.0.0.1:",
    ),
    (
        |bench| {
            let folder = bench.dir.path().join("system/warewulf/wwinit.d");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("10-sfdisk.sh"), "").unwrap();
        },
        |kernel| Recorder { hook: Ok(Exit::Status(1)), ..kernel },
        "wwinit.d: warewulf/wwinit.d/10-sfdisk.sh ended with exit status 1",
    ),
    (|_| (), |kernel| Recorder { refuses: vec![("tmpfs", 12)], ..kernel }, "root: mounting "),
    (
        |_| (),
        |kernel| Recorder { holds: vec![("/sysroot/secrets", 16)], ..kernel },
        "secrets-gone: unmounting ",
    ),
];

#[test]
fn each_way_to_fail_is_heard_at_the_head_node_with_its_next_step() {
    for (spoil, change, begin) in CLASSES {
        let bench = Bench::new(|_| ());
        spoil(&bench);
        let (server, argument) = syslog();
        let kernel = change(bench.recorder());
        let extra = format!("{argument} rsinit.preboot=/etc/preboot rsinit.deadline=3");
        let cause = bench.boot(&kernel, &extra).0.unwrap_err();
        assert!(cause.starts_with(begin), "{cause}");
        let (line, json) = (hear(&server), hear(&server));
        assert!(line.contains(&format!("boot failed: {cause}; next step: ")), "{line}");
        let sent: Report = serde_json::from_str(json.split_once("@cee: ").unwrap().1).unwrap();
        assert_eq!((sent.outcome, sent.error), (Outcome::Failed, Some(cause)));
        assert!(sent.next_step.is_some_and(|step| line.ends_with(&step)), "{line}");
    }
}

#[test]
fn a_boot_that_went_well_says_so_on_a_stream_in_counted_frames() {
    let bench = Bench::new(|_| ());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let argument = format!("rsinit.report=syslog+tcp://{}", server.local_addr().unwrap());
    let hearing = std::thread::spawn(move || {
        let mut text = String::new();
        server.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let (result, report) = bench.boot(&bench.recorder(), &argument);
    assert_eq!(result, Ok(()));
    let text = hearing.join().unwrap();
    let (length, rest) = text.split_once(' ').unwrap();
    let (first, second) = rest.split_at(length.parse().unwrap());
    assert!(first.starts_with("<30>1 - node1 rsinit - boot - boot ok: "), "{first}");
    let (length, json) = second.split_once(' ').unwrap();
    assert_eq!(json.len(), length.parse::<usize>().unwrap());
    let sent: Report = serde_json::from_str(json.split_once("@cee: ").unwrap().1).unwrap();
    assert_eq!(sent, report);
}

#[test]
fn nobody_who_listens_is_no_matter_to_the_boot_and_costs_it_seconds_at_most() {
    let bench = Bench::new(|_| ());
    // Bound, and so refused: nothing else takes the port meanwhile.
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    for target in [format!("syslog+tcp://{address}"), format!("http://{address}/boots?key=S3CRET")]
    {
        let started = Instant::now();
        let (result, report) = bench.boot(&bench.recorder(), &format!("rsinit.report={target}"));
        assert_eq!(result, Ok(()));
        assert_eq!(report.outcome, Outcome::Ok);
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        assert!(!serde_json::to_string(&report).unwrap().contains("S3CRET"));
    }
}

#[test]
fn an_address_that_is_none_is_warned_about_without_repeating_it() {
    let bench = Bench::new(|_| ());
    let (result, report) = bench.boot(&bench.recorder(), "rsinit.report=ftp://me:pass@head/");
    assert_eq!(result, Ok(()));
    assert!(report.warnings[0].contains("rsinit.report"), "{:?}", report.warnings);
    assert!(!report.warnings[0].contains("pass"), "{:?}", report.warnings);
}

#[test]
fn failures_in_a_row_are_counted_by_the_firmware_until_a_boot_goes_well() {
    let bench = Bench::new(|tree| fs::remove_file(tree.join("sbin/init")).unwrap());
    let variables = Layout::under(bench.dir.path()).efivars();
    fs::create_dir_all(&variables).unwrap();
    fs::write(variables.join("Boot0000-x"), "somebody else's").unwrap();
    let count = || fs::read(variables.join(VARIABLE)).ok().map(|value| value[4..].to_vec());
    let kernel = bench.recorder();
    for tries in 1..=2u8 {
        let extra = "rsinit.onfail=reboot rsinit.onfail.wait=0";
        assert!(bench.boot(&kernel, extra).0.is_err());
        assert_eq!(count(), Some(vec![1, tries, 0, 0, 0]));
        assert_eq!(kernel.calls().last(), Some(&Call::Reboot));
    }
    // A shell is no try.
    assert!(bench.boot(&kernel, "").0.is_err());
    assert_eq!(count(), Some(vec![1, 2, 0, 0, 0]));

    let good = Bench::new(|_| ());
    let layout = Layout::under(bench.dir.path());
    let cmdline = format!("root=rsinit rsinit.uri={}", good.server.uri(super::MAC));
    fs::remove_dir_all(bench.sysroot()).unwrap();
    rsinit::stage::run(&kernel, &layout, &cmdline).unwrap();
    assert_eq!(count(), None);
    assert!(variables.join("Boot0000-x").exists());
}

#[test]
fn efivarfs_is_mounted_for_the_count_where_nobody_has() {
    let bench = Bench::new(|tree| fs::remove_file(tree.join("sbin/init")).unwrap());
    fs::create_dir_all(Layout::under(bench.dir.path()).efivars()).unwrap();
    let kernel = Recorder { refuses: vec![("efivarfs", 30)], ..bench.recorder() };
    let extra = "rsinit.onfail=reboot rsinit.onfail.wait=0";
    assert!(bench.boot(&kernel, extra).0.is_err());
    assert_eq!(kernel.calls().last(), Some(&Call::Reboot), "a count that fails stops nothing");
    let kernel = bench.recorder();
    assert!(bench.boot(&kernel, extra).0.is_err());
    let place = "/sys/firmware/efi/efivars";
    let calls = kernel.calls();
    let [.., mounted, unmounted, reboot] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(*mounted, super::mount("efivarfs", "efivarfs", place));
    assert_eq!(*unmounted, Call::Unmount(place.to_owned(), true));
    assert_eq!(*reboot, Call::Reboot);
}

#[test]
fn a_server_that_counts_the_tries_is_believed() {
    let bench = Bench::new(|tree| fs::remove_file(tree.join("sbin/init")).unwrap());
    let started = Instant::now();
    let extra = "rsinit.onfail=reboot rsinit.onfail.wait=1 rsinit.try=2";
    assert!(bench.boot(&bench.recorder(), extra).0.is_err());
    assert!(started.elapsed() >= Duration::from_secs(2), "twice as long the second time");
}
