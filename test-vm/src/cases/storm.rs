//! A cluster that boots at once: many `rsinit fetch` on one server with a narrow wire, connections
//! reset and the server restarted in the middle; then with a plain caching proxy in front. No VM.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Bench, Case, Size};
use crate::debian::Release;
use crate::digest::sha256;
use crate::facts::Facts;
use crate::image::pack;
use crate::server::{Node, Served, Server, Site};
use crate::tool::{Service, command, output, wait_until_open};

/// The case.
pub const CASE: Case = Case {
    name: "storm",
    about: "200 clients at once, 5 % of connections reset, the server restarted: all get the image, hardly a byte twice",
    size: Size::Whole(Release::Bookworm),
    run,
};

/// Nodes that boot at once.
const CLIENTS: u8 = 200;
/// Bytes of the image: what the nodes ask for in all takes the wire about 20 s.
const IMAGE: usize = 4 << 20;
/// Bytes a second that the server sends to all of them.
const WIRE: u64 = 40 << 20;
/// One in so many connections is reset.
const RESET_ONE_IN: u32 = 20;
/// When the server goes, and for how long.
const RESTART_AFTER: Duration = Duration::from_secs(8);
const RESTART_TAKES: Duration = Duration::from_secs(2);
/// The port of the server, and of the proxy.
const PORT: u16 = 9873;
const PROXY_PORT: u16 = 9874;
/// What is sent more than once, to what must be sent, at most.
const MORE: f64 = 1.02;

/// nginx as a site would put it into each rack: what `dracut-module/README.md` names.
const PROXY: &str = include_str!("../../assets/rack-cache.conf");

/// What came of one client.
struct Fetched {
    took: Duration,
    retries: usize,
    failed: Option<String>,
}

/// What came of all.
struct Storm {
    clients: Vec<Fetched>,
    served: Vec<Served>,
    image: u64,
}

fn run(bench: &Bench, facts: &mut Facts) -> Result<()> {
    let image = make_image(bench.folder)?;
    let content = fs::read(&image).context("reading the image")?;
    let digest = sha256(&content);
    let agent = bench.cluster.artifacts.witness.with_file_name("rsinit");
    let fetch = |port, number| fetch(&agent, port, number, &digest);

    let plain = storm(&image, &|number| fetch(PORT, number))?;
    judge(&plain, "on the server", facts);
    let ratio = plain.sent() / plain.ideal();
    facts.holds("hardly a byte was sent twice", ratio <= MORE, format!("{ratio:.4} times"));
    let resets = plain.served.iter().filter(|served| served.fault.is_some()).count();
    facts.holds("one connection in 20 was reset", resets >= usize::from(CLIENTS) / 20, resets);

    let _proxy = start_proxy(bench.folder)?;
    let cached = storm(&image, &|number| fetch(PROXY_PORT, number))?;
    judge(&cached, "behind a cache", facts);
    let asked = cached.sent() / plain.sent();
    facts.holds("a cache asks the server for a fraction", asked < 0.05, format!("{asked:.4}"));

    let text =
        format!("{}\n{}\n", plain.describe("on the server"), cached.describe("behind a cache"));
    let folder = bench.folder.join("storm");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("clients.times"), text).context("noting the times")
}

/// An archive with one file of bytes that no two blocks share.
fn make_image(folder: &Path) -> Result<PathBuf> {
    let (root, archive) = (folder.join("root"), folder.join("image.img"));
    fs::create_dir_all(&root)?;
    let mut bytes = Vec::with_capacity(IMAGE);
    let mut state = 1_u64;
    while bytes.len() < IMAGE {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    fs::write(root.join("file"), bytes).context("writing the image's file")?;
    pack(&root, &[], &archive)?;
    Ok(archive)
}

fn mac(number: u8) -> String {
    format!("52:54:00:99:00:{number:02x}")
}

fn serve(image: &Path) -> Result<Server> {
    let node = |number| Node { mac: mac(number), image: image.to_owned(), ..Node::default() };
    let site = Site { nodes: (0..CLIENTS).map(node).collect(), ..Site::default() };
    let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)), site)
        .context("starting the server")?;
    server.faults().share(WIRE);
    server.faults().reset_one_in(RESET_ONE_IN, fs::metadata(image)?.len());
    Ok(server)
}

/// All at once; the server goes in the middle and comes back.
fn storm(image: &Path, fetch: &(dyn Fn(u8) -> Result<Fetched> + Sync)) -> Result<Storm> {
    let server = serve(image)?;
    thread::scope(|scope| {
        let started: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || fetch(number))).collect();
        thread::sleep(RESTART_AFTER);
        let mut served = server.stop();
        thread::sleep(RESTART_TAKES);
        let server = serve(image)?;
        let mut clients = Vec::new();
        for client in started {
            let joined = client.join().map_err(|_| anyhow::anyhow!("a client's thread panicked"));
            clients.push(joined??);
        }
        served.extend(server.requests());
        Ok(Storm { clients, served, image: fs::metadata(image)?.len() })
    })
}

fn fetch(agent: &Path, port: u16, number: u8, digest: &str) -> Result<Fetched> {
    let begun = Instant::now();
    let mut tool = Command::new(agent);
    tool.args(["fetch", "--discard", "--stage", "image", "--compress", "raw", "--sha256", digest]);
    tool.arg("--uri").arg(format!("http://127.0.0.1:{port}/provision/{}", mac(number)));
    let said = output(tool.args(["--deadline", "600"]).stdin(Stdio::null()))?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    let retries = text.lines().filter(|line| line.contains(" follows in ")).count();
    let failed = (!said.status.success()).then_some(text);
    Ok(Fetched { took: begun.elapsed(), retries, failed })
}

fn start_proxy(folder: &Path) -> Result<Service> {
    let scratch = folder.join("nginx");
    fs::create_dir_all(scratch.join("cache"))?;
    let conf = scratch.join("nginx.conf");
    let server = PROXY
        .replace("listen 9873", &format!("listen 127.0.0.1:{PROXY_PORT}"))
        .replace("head.cluster:9873", &format!("127.0.0.1:{PORT}"))
        .replace("/var/cache/nginx/rsinit", &scratch.join("cache").display().to_string());
    ensure!(server.contains(&format!("127.0.0.1:{PORT}")), "the proxy's configuration has changed");
    let scratch = scratch.display();
    let text = format!(
        "daemon off; user root; pid {scratch}/pid; error_log {scratch}/error.log;\n\
         events {{ worker_connections 1024; }}\nhttp {{ access_log off;\n{server}}}\n"
    );
    fs::write(&conf, text).context("writing nginx.conf")?;
    let mut tool = command("nginx");
    tool.arg("-c").arg(&conf).args(["-e", "stderr"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut service = Service::start("nginx", &mut tool)?;
    wait_until_open(&mut service, PROXY_PORT)?;
    Ok(service)
}

fn judge(storm: &Storm, what: &str, facts: &mut Facts) {
    let failed: Vec<&str> =
        storm.clients.iter().filter_map(|client| client.failed.as_deref()).collect();
    facts.equal(&format!("each client {what} has the right digest"), failed.first().copied(), None);
    facts.equal(&format!("all have come back {what}"), storm.clients.len(), usize::from(CLIENTS));
}

#[allow(clippy::cast_precision_loss, reason = "bytes of a test, far below 2^52")]
impl Storm {
    /// Bytes that left the server.
    fn sent(&self) -> f64 {
        self.served.iter().map(|served| served.sent).sum::<u64>() as f64
    }

    /// Bytes that all clients need.
    fn ideal(&self) -> f64 {
        self.image as f64 * f64::from(CLIENTS)
    }

    fn describe(&self, what: &str) -> String {
        let mut times: Vec<f64> =
            self.clients.iter().map(|client| client.took.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get((times.len() - 1) * part / 100).copied().unwrap_or(0.0);
        let retries: usize = self.clients.iter().map(|client| client.retries).sum();
        format!(
            "{CLIENTS} clients {what}: first {:.1} s, median {:.1}, last {:.1}; {retries} retries; \
             {:.4} of the ideal bytes",
            at(0),
            at(50),
            at(100),
            self.sent() / self.ideal()
        )
    }
}
