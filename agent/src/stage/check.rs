//! `rsinit check`: asks a server for everything that a boot would, and unpacks it to nowhere.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use lexopt::prelude::*;

use super::context::Context;
use super::fetch::{self, Options, fetch_and_read, net_error};
use super::network;
use super::overlay;
use super::source::{Source, certificate_of_node};
use crate::config::cmdline::Params;
use crate::config::uri::parse_mac;
use crate::layout::Layout;
use crate::log;
use crate::net::Cause;
use crate::plan::boot::{BootPlan, DEADLINE, Mac, plan};
use crate::plan::check::{Answer, Asked, Verdict};
use crate::plan::fetch::What;
use crate::report::Report;
use crate::sys::Linux;
use crate::sys::tree::own_ids;

/// How long a route to the server is waited for.
const NETWORK: Duration = Duration::from_secs(5);

/// What the command line asks for.
struct Wanted {
    plan: BootPlan,
    /// The asset key to send, where it is not this machine's.
    assetkey: Option<String>,
    limit: Duration,
}

/// `rsinit check [--uri URI] [--node MAC] [--assetkey KEY] [--deadline SECONDS]`: without
/// `--uri` from where this node was booted. The exit status is 0 where a boot would work, 1
/// where it would fail, and 2 where not all could be asked.
///
/// # Errors
/// A wrong argument.
pub fn run(args: &mut lexopt::Parser) -> anyhow::Result<ExitCode> {
    let layout = Layout::node();
    let wanted = read_arguments(args, &layout)?;
    let asked = ask(&layout, &wanted);
    for row in &asked {
        println!("{row}");
    }
    let verdict = Verdict::of(&asked);
    println!("{verdict}");
    Ok(ExitCode::from(verdict.status()))
}

fn read_arguments(args: &mut lexopt::Parser, layout: &Layout) -> anyhow::Result<Wanted> {
    let (mut uri, mut node, mut assetkey, mut limit) = (None, None, None, DEADLINE);
    while let Some(arg) = args.next()? {
        match arg {
            Long("uri") => uri = Some(args.value()?.string()?),
            Long("node") => node = Some(args.value()?.string()?),
            Long("assetkey") => assetkey = Some(args.value()?.string()?),
            Long("deadline") => limit = Duration::from_secs(args.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let params = match uri {
        Some(uri) => Params { uri: Some(uri), ..Params::default() },
        None => {
            let path = layout.cmdline();
            let text = fs::read_to_string(&path);
            Params::parse(&text.with_context(|| format!("reading {}", path.display()))?).0
        }
    };
    let mut plan = plan(&params)?;
    if let Some(node) = node {
        plan.mac = Mac::Known(parse_mac(&node).context("--node")?);
        // Another node's key is not this machine's.
        assetkey = assetkey.or(Some(String::new()));
    }
    Ok(Wanted { plan, assetkey, limit })
}

/// Asks in the order of the boot; what follows from a thing that is wrong is not asked.
fn ask(layout: &Layout, wanted: &Wanted) -> Vec<Asked> {
    let report = Mutex::new(Report::new(String::new()));
    let ctx = Context::new(&Linux, layout, wanted.limit, &report);
    // A running node has its network, or has none.
    let soon = Context::new(&Linux, layout, NETWORK.min(wanted.limit), &report);
    let mut asked = Vec::new();
    let reached = network::wait(&soon, &wanted.plan.server, &wanted.plan.mac);
    let done = reached.and_then(|reached| ask_all(&ctx, wanted, &reached.value.mac, &mut asked));
    if let Err(error) = done {
        let missing = |what: &str| !asked.iter().any(|row| row.what == what);
        let all = ["system-overlay", "image", "runtime-overlay"];
        let what = all.into_iter().find(|what| missing(what)).unwrap_or("server");
        asked.push(Asked { what, answer: Answer::Wrong(format!("{error:#}")) });
    }
    asked
}

fn ask_all(
    ctx: &Context<'_>,
    wanted: &Wanted,
    mac: &str,
    asked: &mut Vec<Asked>,
) -> anyhow::Result<()> {
    let Wanted { plan, assetkey, .. } = wanted;
    let mut source = Source::named(ctx, plan, mac, &certificate_of_node(ctx.layout))?;
    // A boot would ask again until its deadline; here somebody waits for the answer.
    source.refusals = Some(1);
    if let Some(key) = assetkey {
        source.provision.assetkey.clone_from(key);
    }
    find_server(ctx, &source)?;

    let started = Instant::now();
    let system = overlay::fetch(ctx, &source, What::System)?;
    let (count, bytes) = (system.note, system.bytes.unwrap_or(0));
    let system = system.value;
    asked.push(sound("system-overlay", bytes, started, count));

    let image = ask_image(ctx, &source, &plan.init, &system)?;
    asked.push(image);

    let runtime = source.for_runtime(&system, &plan.server)?;
    asked.push(ask_runtime(ctx, &runtime)?);
    Ok(())
}

/// One question without patience: somebody waits for the answer.
fn find_server(ctx: &Context<'_>, source: &Source) -> anyhow::Result<()> {
    let options = source.options(ctx, What::System);
    for request in source.provision.requests(What::Image) {
        match fetch::raw_size(&request, &options) {
            // What it says to a HEAD is for the real question to find out.
            Err(error) if is_silent(&error) => return Err(error),
            Err(_) | Ok(_) => {}
        }
    }
    Ok(())
}

fn is_silent(error: &anyhow::Error) -> bool {
    let silent = |error: &crate::net::Error| {
        matches!(error.cause, Cause::Connect(_) | Cause::Timeout { .. } | Cause::Protocol(_))
    };
    net_error(error).is_some_and(silent)
}

fn sound(what: &'static str, bytes: u64, started: Instant, note: String) -> Asked {
    Asked { what, answer: Answer::Sound { bytes, took: started.elapsed(), note } }
}

/// Reads the image through, and looks for what the node would start.
fn ask_image(
    ctx: &Context<'_>,
    source: &Source,
    init: &str,
    system: &overlay::Overlay,
) -> anyhow::Result<Asked> {
    let options: Options = source.options(ctx, What::Image);
    let requests = source.provision.requests(What::Image);
    let request = requests.first().context("no image is named")?;
    let name = Path::new(init).file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    let is_init = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next() == Some(&name);
    let in_overlay = !system.find_files(|path| is_init(path))?.is_empty();
    let started = Instant::now();
    let mut say = |line| log::line("image", line);
    let read = fetch_and_read(request, &options, &mut say, &is_init)?;
    if !read.has_wanted && !in_overlay {
        return Err(anyhow!("neither the image nor the system overlay has a {init}"));
    }
    let note = format!("{} entries, {} MiB in memory", read.entries, read.raw_bytes >> 20);
    Ok(sound("image", read.bytes, started, note))
}

/// The runtime overlay is for root alone, by the port that it is asked from or by TLS.
fn ask_runtime(ctx: &Context<'_>, source: &Source) -> anyhow::Result<Asked> {
    let what = "runtime-overlay";
    if own_ids().0 != 0 {
        let cause = "only root may ask for it, from a port below 1024".to_owned();
        return Ok(Asked { what, answer: Answer::Unasked(cause) });
    }
    let started = Instant::now();
    let runtime = overlay::fetch(ctx, source, What::Runtime)?;
    Ok(sound(what, runtime.bytes.unwrap_or(0), started, runtime.note))
}
