//! A real web server on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// nginx in the foreground, ended when this is dropped.
pub struct Nginx {
    child: Child,
    /// Where it listens, on loopback.
    pub port: u16,
}

impl Nginx {
    /// Starts it with its own files in `prefix`, and serves `files`.
    pub fn start(prefix: &Path, files: &Path) -> Self {
        // Its worker is another user.
        Command::new("chmod").args(["-R", "a+rX"]).arg(prefix).status().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "daemon off; worker_processes 1; pid {prefix}/pid; error_log stderr;\n\
             events {{ }}\n\
             http {{ access_log off; client_body_temp_path {prefix}/body; proxy_temp_path {prefix}/proxy;\n\
             fastcgi_temp_path {prefix}/fastcgi; uwsgi_temp_path {prefix}/uwsgi; scgi_temp_path {prefix}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; root {files}; }} }}\n",
            prefix = prefix.display(),
            files = files.display(),
        );
        let path = prefix.join("nginx.conf");
        fs::write(&path, config).unwrap();
        let child = Command::new("/usr/sbin/nginx")
            .args(["-c".as_ref(), path.as_os_str(), "-p".as_ref(), prefix.as_os_str()])
            .stderr(Stdio::null())
            .spawn()
            .expect("starting nginx: install the package nginx-light");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker on SIGTERM; kill(1) of ours is by its id.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
