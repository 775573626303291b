//! nginx on loopback, answering as Warewulf does: `/provision/<mac>?stage=image&compress=gz`.
//!
//! One server a format, each on a port of its own, so that the requests are the same for
//! all: `compress=gz` gives `.gz`, or 404 where only the raw image is served. The server
//! of zstd gives the `.zst` for it: no Warewulf does, but a client tells it by its first bytes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::contender::Format;
use crate::bench::image::command;

/// How long nginx may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx; it ends when this value goes, or with the benchmark.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    /// Ports in the order of [`Format::ALL`].
    ports: [u16; 3],
}

impl Nginx {
    /// Serves the image in `folder`; `scratch` takes the server's own files.
    ///
    /// # Errors
    /// nginx is missing, or does not listen soon.
    pub fn start(folder: &Path, scratch: &Path) -> Result<Self> {
        let ports = free_ports()?;
        let config = scratch.join("nginx.conf");
        fs::write(&config, configuration(folder, scratch, ports))
            .with_context(|| format!("writing {}", config.display()))?;
        let child = command("nginx")
            .arg("-p")
            .arg(scratch)
            .arg("-c")
            .arg(&config)
            .args(["-e", "stderr"])
            .stdout(Stdio::null())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .spawn()
            .context("starting nginx")?;
        let mut server = Self { child, ports };
        server.wait_until_listening()?;
        Ok(server)
    }

    /// Where `rsinit fetch` finds the image in `format`; the query comes after it.
    #[must_use]
    pub fn uri(&self, format: Format) -> String {
        let [gz, raw, zst] = self.ports;
        let port = match format {
            Format::Gz => gz,
            Format::Raw => raw,
            Format::Zst => zst,
        };
        format!("http://127.0.0.1:{port}/provision/02:00:00:00:00:01")
    }

    /// CPU time that nginx and its worker took so far.
    ///
    /// # Errors
    /// `/proc` cannot be read, or holds something else than times.
    pub fn cpu(&self) -> Result<Duration> {
        let master = self.child.id();
        let path = format!("/proc/{master}/task/{master}/children");
        let workers = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let mut nanos = 0_u64;
        for process in workers.split_whitespace().chain([master.to_string().as_str()]) {
            // Source: proc-schedstat: the first number is the time on a CPU, in nanoseconds.
            let path = format!("/proc/{process}/schedstat");
            let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            let first = text.split_whitespace().next().unwrap_or_default();
            nanos += first.parse::<u64>().with_context(|| format!("reading {path}: {text}"))?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let started = Instant::now();
        for port in self.ports {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            while let Err(cause) = TcpStream::connect(address) {
                if let Some(status) = self.child.try_wait().context("asking after nginx")? {
                    bail!("nginx ended early: {status}");
                }
                if started.elapsed() > PATIENCE {
                    return Err(cause).with_context(|| format!("waiting for nginx on {address}"));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // TERM, not KILL: nginx ends its worker by itself. It may have ended already.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Three ports that nobody listens on: free now, and hardly taken until nginx has them.
fn free_ports() -> Result<[u16; 3]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port");
    let listeners = [listen()?, listen()?, listen()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr().context("looking for a free port")?.port();
    }
    Ok(ports)
}

/// `user root`: the cache may lie where nobody else may look.
fn configuration(folder: &Path, scratch: &Path, [gz, raw, zst]: [u16; 3]) -> String {
    let folder = folder.display();
    let scratch = scratch.display();
    let servers: String = [("gz", gz), ("raw", raw), ("zst", zst)]
        .map(|(name, port)| {
            format!(
                "    server {{ listen 127.0.0.1:{port}; location /provision/ {{ \
                 if ($arg_stage != image) {{ return 400; }} \
                 rewrite ^ /${name} break; }} }}\n"
            )
        })
        .concat();
    format!(
        "daemon off;
user root;
worker_processes 1;
pid {scratch}/nginx.pid;
error_log stderr error;
events {{ worker_connections 64; }}
http {{
    sendfile on;
    tcp_nopush on;
    access_log off;
    log_not_found off;
    default_type application/octet-stream;
    root {folder};
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    map $arg_compress $gz {{ default image.img; gz image.img.gz; }}
    map $arg_compress $raw {{ default image.img; gz none; }}
    map $arg_compress $zst {{ default image.img; gz image.img.zst; }}
{servers}}}
"
    )
}
