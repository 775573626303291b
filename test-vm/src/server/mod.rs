//! The provisioning server double: speaks Warewulf's protocol to the letter, and misbehaves on request.
//!
//! Plain sockets and threads, so that it can cut, stall, reset and lie at any
//! byte. It holds no state of the boot: a [`Site`] says what there is,
//! [`Faults`] what goes wrong, [`Server::requests`] what was asked.
//!
//! Left out: identity by ARP, menus of templates, `/status`, `/api` and the routes of boot loaders.

mod answer;
mod archive;
mod connection;
mod entity;
mod faults;
mod ipxe;
mod message;
mod site;
mod wire;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use archive::{Owner, Owners, write_archive};
pub use faults::{Fault, Faults, Rule};
pub use ipxe::{Script, Template};
pub use message::{Head, Served};
pub use site::{Node, Site, Version};
pub use wire::Certificate;

use connection::serve;
use entity::Overlays;

/// How long the accepting thread sleeps when nobody knocks.
const NAP: Duration = Duration::from_millis(3);

/// How long connections may take to end with their server.
const GRACE: Duration = Duration::from_secs(5);

/// What every connection shares.
struct Shared {
    site: Site,
    faults: Faults,
    overlays: Overlays,
    log: Mutex<Vec<Served>>,
    stopping: AtomicBool,
    started: Instant,
}

/// A running server; stops when dropped.
pub struct Server {
    shared: Arc<Shared>,
    addr: SocketAddr,
    tls_addr: Option<SocketAddr>,
    accepting: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on `addr` (port 0: any free one) and serves `site` until dropped.
    ///
    /// The listening thread stays in the network namespace of the caller's thread.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn start(addr: SocketAddr, site: Site) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            site,
            faults: Faults::default(),
            overlays: Overlays::default(),
            log: Mutex::default(),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
        });
        let mut server = Self { shared, addr, tls_addr: None, accepting: Vec::new() };
        server.listen(listener, None)?;
        if let Some(certificate) = server.shared.site.tls.clone() {
            let listener = TcpListener::bind((addr.ip(), server.shared.site.tls_port))?;
            server.tls_addr = Some(listener.local_addr()?);
            server.listen(listener, Some(certificate))?;
        }
        Ok(server)
    }

    fn listen(&mut self, listener: TcpListener, tls: Option<Certificate>) -> io::Result<()> {
        let addr = listener.local_addr()?;
        let theirs = Arc::clone(&self.shared);
        let accepting = std::thread::Builder::new()
            .name("double".to_owned())
            .spawn(move || accept(listener, addr, &theirs, tls.as_ref()))?;
        self.accepting.push(accepting);
        Ok(())
    }

    /// Where it listens in TLS, if the site has a certificate.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addr
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://host:port/provision/<mac>`, as a kernel command line would name it.
    pub fn uri(&self, mac: &str) -> String {
        format!("http://{}/provision/{mac}", self.addr)
    }

    /// What goes wrong from now on.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Served> {
        lock(&self.shared.log).clone()
    }

    /// Stops at once, connections reset, and returns every request, its bytes counted to the last.
    pub fn stop(self) -> Vec<Served> {
        let shared = Arc::clone(&self.shared);
        drop(self);
        let until = Instant::now() + GRACE;
        while Arc::strong_count(&shared) > 1 && Instant::now() < until {
            std::thread::sleep(NAP);
        }
        lock(&shared.log).clone()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        lock(&self.shared.log).clear();
    }

    /// Builds every overlay anew at its next request, with a later `Last-Modified`.
    pub fn rebuild_overlays(&self) {
        self.shared.overlays.forget();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for thread in self.accepting.drain(..) {
            // A panic of the accepting thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// A lock whose holder panicked still guards good data: each use is one push or one read.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Takes connections until the server stops; closes and reopens the listener as the faults say.
fn accept(
    listener: TcpListener,
    addr: SocketAddr,
    shared: &Arc<Shared>,
    tls: Option<&Certificate>,
) {
    let mut listener = Some(listener);
    while !shared.stopping.load(Ordering::SeqCst) {
        if shared.faults.is_down() {
            listener = None;
            std::thread::sleep(NAP);
            continue;
        }
        let Some(open) = &listener else {
            match TcpListener::bind(addr) {
                Ok(again) => listener = Some(again),
                Err(_) => std::thread::sleep(NAP),
            }
            continue;
        };
        let taken = open.set_nonblocking(true).and_then(|()| open.accept());
        let Ok((stream, peer)) = taken else {
            std::thread::sleep(NAP);
            continue;
        };
        let (theirs, tls) = (Arc::clone(shared), tls.cloned());
        // A connection's errors are the client's business; its thread ends with it.
        let _ = std::thread::Builder::new()
            .name(format!("double {peer}"))
            .spawn(move || serve(stream, peer, &theirs, tls.as_ref()));
    }
}
