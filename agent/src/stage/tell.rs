//! Tells the head node how the boot ended (`rsinit.report=`). Whether it hears is no
//! matter to the boot.

use std::fs;
use std::io;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::config::report_to::ReportTo;
use crate::format::syslog::Message;
use crate::layout::Layout;
use crate::log;
use crate::net::tls::{Pinned, pinned};
use crate::net::{DATAGRAM, Policy, Target, post, send_datagrams, send_stream};
use crate::report::{Outcome, Report, messages, sender};

/// The name in the log.
const NAME: &str = "report";

/// How long a node that is up may be kept from starting.
const UP: Duration = Duration::from_secs(5);
/// How long one that failed may try: the network may have only just come.
const FAILED: Duration = Duration::from_secs(15);

/// Sends the report, and says what came of that.
pub fn tell(layout: &Layout, to: &ReportTo, report: &Report) {
    match send(layout, to, report) {
        Ok(()) => log::line(NAME, format_args!("sent to {to}")),
        Err(error) => log::line(NAME, format_args!("sending to {to}: {error:#}")),
    }
}

/// On a thread of its own: a name that is looked up cannot be interrupted.
fn send(layout: &Layout, to: &ReportTo, report: &Report) -> anyhow::Result<()> {
    let limit = if report.outcome == Outcome::Failed { FAILED } else { UP };
    let deadline = Instant::now() + limit;
    let pinned = match to {
        ReportTo::Post { url, .. } if url.starts_with("https://") => Some(certificate(layout)?),
        _ => None,
    };
    let (done, ended) = channel();
    let (to, report) = (to.clone(), report.clone());
    thread::Builder::new().name(NAME.to_owned()).spawn(move || {
        // Nobody may listen any more.
        let _ = done.send(deliver(&to, &report, pinned, deadline));
    })?;
    let patience = limit + Duration::from_secs(1);
    ended.recv_timeout(patience).unwrap_or_else(|_| bail!("no end after {} s", patience.as_secs()))
}

fn deliver(
    to: &ReportTo,
    report: &Report,
    pinned: Option<Pinned>,
    deadline: Instant,
) -> anyhow::Result<()> {
    let said = messages(report);
    let said = said.iter().map(|(severity, text)| Message {
        severity: *severity,
        host: sender(report),
        id: "boot",
        text,
    });
    match to {
        ReportTo::Udp(host) => {
            let (fit, long): (Vec<_>, Vec<_>) =
                said.map(|one| one.datagram()).partition(|one| one.len() <= DATAGRAM);
            patiently(deadline, || send_datagrams(&host.name, host.port, &fit))?;
            match long.first() {
                Some(long) => bail!("{} bytes of JSON are too long for a datagram", long.len()),
                None => Ok(()),
            }
        }
        ReportTo::Tcp(host) => {
            let bytes: Vec<u8> = said.flat_map(|one| one.frame()).collect();
            Ok(patiently(deadline, || send_stream(&host.name, host.port, &bytes, deadline))?)
        }
        ReportTo::Post { url, .. } => {
            let target = Target { pinned, ..Target::plain(url.as_str()) };
            post(&target, &Policy::until(deadline), &serde_json::to_vec_pretty(report)?)
                .map_err(|cause| anyhow!("{cause}"))
        }
    }
}

/// Tries until `deadline`: there may be no network yet, or nobody who listens.
fn patiently(deadline: Instant, send: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let policy = Policy::until(deadline);
    let mut backoff = policy.backoff();
    loop {
        match send() {
            Ok(()) => return Ok(()),
            Err(_) if policy.sleep(backoff.next_wait()) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The certificate that the initramfs holds.
fn certificate(layout: &Layout) -> anyhow::Result<Pinned> {
    let path = layout.certificate();
    let pem = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    pinned(&pem).with_context(|| format!("reading {}", path.display()))
}
