//! What disks never ask of the kernel: programs, routes, the machine's power. Asked all
//! the same, the test fails.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rsinit::sys::holders::Sought;
use rsinit::sys::power::Power;
use rsinit::sys::process::{Exit, Heard, Processes, RootCommand};
use rsinit::sys::route::{Interface, Routes};

use crate::fake::FakeKernel;

impl Processes for FakeKernel {
    fn run_in_root(&self, _: &RootCommand, _: &mut dyn FnMut(Heard<'_>)) -> io::Result<Exit> {
        panic!("disks run no program")
    }

    fn end_all(&self, _: &Path, _: &Sought) -> io::Result<Vec<String>> {
        panic!("disks end no program")
    }
}

impl Routes for FakeKernel {
    fn source_address(&self, _: SocketAddr) -> io::Result<IpAddr> {
        panic!("disks need no network")
    }

    fn interfaces(&self) -> io::Result<Vec<Interface>> {
        panic!("disks need no network")
    }

    fn watch_routes(&self) -> io::Result<OwnedFd> {
        panic!("disks need no network")
    }

    fn wait_for_change(&self, _: &OwnedFd, _: Duration) -> io::Result<()> {
        panic!("disks need no network")
    }
}

impl Power for FakeKernel {
    fn reboot(&self) -> io::Result<()> {
        panic!("disks reboot nothing")
    }

    fn power_off(&self) -> io::Result<()> {
        panic!("disks switch nothing off")
    }

    fn since_boot(&self) -> Duration {
        self.clock()
    }

    fn release(&self) -> String {
        "4.18.0".to_owned()
    }
}
