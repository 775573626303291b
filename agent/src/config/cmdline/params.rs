//! [`Params`]: the kernel arguments that rsinit knows, as they were written.

use std::fmt;
use std::time::Duration;

use super::choices::{Brake, Compress, Layout, OnFail, PrebootOnFail, PrebootParam};
use super::words::{Word, words};
use crate::config::report_to::ReportTo;

/// Every argument that begins with `rsinit.`.
const KNOWN: &[&str] = &[
    "rsinit.compress",
    "rsinit.deadline",
    "rsinit.disk",
    "rsinit.image",
    "rsinit.layout",
    "rsinit.node",
    "rsinit.onfail",
    "rsinit.onfail.wait",
    "rsinit.preboot",
    "rsinit.preboot.onfail",
    "rsinit.preboot.timeout",
    "rsinit.report",
    "rsinit.runtime",
    "rsinit.secrets",
    "rsinit.sha256",
    "rsinit.system",
    "rsinit.tmpfs.size",
    "rsinit.try",
    "rsinit.uri",
];

/// An argument that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The argument's name.
    pub name: String,
    /// What is wrong with it, and what is done about it.
    pub cause: String,
    /// Whether the boot must not go on: the argument decides what the root is.
    pub fatal: bool,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel argument {}: {}", self.name, self.cause)
    }
}

/// The kernel arguments, as written. Of an argument given twice the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// `rsinit.uri=`.
    pub uri: Option<String>,
    /// `wwinit.uri=`, or `wwinit_uri=` as some sites write it.
    pub ww_uri: Option<String>,
    /// `wwinit.server=` (Warewulf 4.7).
    pub ww_server: Option<String>,
    /// `wwid=`: a MAC address, or an interface in brackets.
    pub wwid: Option<String>,
    /// `root=`.
    pub root: Option<String>,
    /// `init=`.
    pub init: Option<String>,
    /// `rsinit.layout=`.
    pub layout: Layout,
    /// `rsinit.image=`: the image's name, with `rsinit.layout=static`.
    pub image: Option<String>,
    /// `rsinit.node=`: the node's name, with `rsinit.layout=static`.
    pub node: Option<String>,
    /// `rsinit.system=`: system overlays, in the order given.
    pub system: Vec<String>,
    /// `rsinit.runtime=`: runtime overlays, in the order given.
    pub runtime: Vec<String>,
    /// `rsinit.compress=`.
    pub compress: Compress,
    /// `rsinit.tmpfs.size=` or `wwinit.tmpfs.size=`, as tmpfs reads it.
    pub tmpfs_size: Option<String>,
    /// `rsinit.sha256=`: the digest that the image must have.
    pub sha256: Option<[u8; 32]>,
    /// `rsinit.secrets=`.
    pub secrets: Option<String>,
    /// `rsinit.preboot=`.
    pub preboot: PrebootParam,
    /// `rsinit.preboot.timeout=`, in whole seconds.
    pub preboot_timeout: Option<Duration>,
    /// `rsinit.preboot.onfail=`.
    pub preboot_onfail: PrebootOnFail,
    /// `rsinit.disk=`.
    pub disk: Brake,
    /// `rsinit.onfail=`.
    pub onfail: Option<OnFail>,
    /// `rsinit.onfail.wait=`, in whole seconds.
    pub onfail_wait: Option<Duration>,
    /// `rsinit.try=`: which try in a row this boot is, where the server counts them.
    pub tries: Option<u32>,
    /// `rsinit.report=`: who is told how the boot ended.
    pub report_to: Option<ReportTo>,
    /// `rsinit.deadline=`, in whole seconds.
    pub deadline: Option<Duration>,
    /// `rd.shell` or `rd.break`: somebody sits at the console; or `rd.shell=0`: dracut opens a
    /// shell for nobody.
    pub shell: Option<bool>,
}

impl Params {
    /// Reads the kernel's command line. Never fails: what is wrong with it comes
    /// back beside the arguments, with the default in its place.
    pub fn parse(line: &str) -> (Self, Vec<Complaint>) {
        let mut params = Self::default();
        let mut complaints = Vec::new();
        for word in words(line) {
            if let Err((cause, fatal)) = params.take(word) {
                complaints.push(Complaint { name: word.name.to_owned(), cause, fatal });
            }
        }
        (params, complaints)
    }

    /// Whether the root is rsinit's business: `root=rsinit`, or Warewulf's form.
    pub fn claims_root(&self) -> bool {
        self.root
            .as_deref()
            .is_some_and(|root| matches!(root, "rsinit" | "wwinit") || root.starts_with("wwinit:"))
            || (self.root.is_none() && self.uri.is_some())
    }

    fn take(&mut self, word: Word<'_>) -> Result<(), (String, bool)> {
        let text = word.value.map(str::to_owned);
        match word.name {
            "rsinit.uri" => self.uri = text,
            "wwinit.uri" | "wwinit_uri" => self.ww_uri = text,
            "wwinit.server" => self.ww_server = text,
            "wwid" => self.wwid = text,
            "root" => self.root = text,
            "init" => self.init = text,
            "rsinit.image" => self.image = text,
            "rsinit.node" => self.node = text,
            "rsinit.system" => self.system = list(word),
            "rsinit.runtime" => self.runtime = list(word),
            "rsinit.layout" => {
                self.layout = choice(word, LAYOUT).map_err(|(cause, _)| (cause, true))?;
            }
            "rsinit.tmpfs.size" => self.tmpfs_size = text,
            "wwinit.tmpfs.size" => self.tmpfs_size = self.tmpfs_size.take().or(text),
            "rsinit.secrets" => self.secrets = text,
            "rsinit.preboot" => self.preboot = preboot(word)?,
            "rsinit.preboot.timeout" => self.preboot_timeout = Some(seconds(word)?),
            "rsinit.preboot.onfail" => self.preboot_onfail = choice(word, PREBOOT_ONFAIL)?,
            "rsinit.onfail" => self.onfail = Some(choice(word, ONFAIL)?),
            "rsinit.onfail.wait" => self.onfail_wait = Some(seconds(word)?),
            "rsinit.try" => self.tries = Some(number(word)?),
            "rsinit.report" => self.report_to = report_to(word)?,
            "rsinit.deadline" => self.deadline = Some(seconds(word)?),
            "rsinit.sha256" => self.sha256 = Some(digest(word)?),
            "rsinit.compress" => {
                self.compress = choice(word, COMPRESS).map_err(|(cause, _)| (cause, true))?;
            }
            "rsinit.disk" => {
                // A brake that cannot be read is pulled.
                self.disk = Brake::Off;
                self.disk = choice(word, BRAKE).map_err(|(cause, fatal)| {
                    (format!("{cause}; leaving the disks alone"), fatal)
                })?;
            }
            // As dracut's getargbool reads it.
            "rd.shell" | "rd.break" => {
                self.shell = Some(!matches!(word.value, Some("0" | "no" | "off")));
            }
            name if name.starts_with("rsinit.") => return Err((unknown(name), false)),
            _ => {}
        }
        Ok(())
    }
}

const COMPRESS: &[(&str, Compress)] =
    &[("auto", Compress::Auto), ("gz", Compress::Gz), ("raw", Compress::Raw)];
const LAYOUT: &[(&str, Layout)] = &[("warewulf", Layout::Warewulf), ("static", Layout::Static)];
const BRAKE: &[(&str, Brake)] =
    &[("auto", Brake::Auto), ("off", Brake::Off), ("plan", Brake::Plan), ("keep", Brake::Keep)];
const ONFAIL: &[(&str, OnFail)] =
    &[("reboot", OnFail::Reboot), ("shell", OnFail::Shell), ("poweroff", OnFail::Poweroff)];
const PREBOOT_ONFAIL: &[(&str, PrebootOnFail)] =
    &[("warn", PrebootOnFail::Warn), ("fail", PrebootOnFail::Fail)];

fn choice<T: Copy>(word: Word<'_>, choices: &[(&str, T)]) -> Result<T, (String, bool)> {
    let value = word.value.unwrap_or_default();
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        (format!("{value:?} is none of {}", names.join(", ")), false)
    })
}

/// Names between commas.
fn list(word: Word<'_>) -> Vec<String> {
    let names = word.value.unwrap_or_default().split(',');
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whole seconds, 0 to 86,400.
fn seconds(word: Word<'_>) -> Result<Duration, (String, bool)> {
    let value = word.value.unwrap_or_default();
    match value.parse::<u64>() {
        Ok(seconds @ 0..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err((format!("{value:?} is not a number of seconds from 0 to 86400"), false)),
    }
}

/// 1 to 1,000,000.
fn number(word: Word<'_>) -> Result<u32, (String, bool)> {
    let value = word.value.unwrap_or_default();
    match value.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err((format!("{value:?} is not a number from 1 to 1000000"), false)),
    }
}

/// The value is not repeated: it may carry a password.
fn report_to(word: Word<'_>) -> Result<Option<ReportTo>, (String, bool)> {
    match word.value.unwrap_or_default() {
        "none" => Ok(None),
        value => ReportTo::parse(value).map(Some).map_err(|error| (error.to_string(), false)),
    }
}

fn digest(word: Word<'_>) -> Result<[u8; 32], (String, bool)> {
    let value = word.value.unwrap_or_default();
    let wrong = || (format!("{value:?} is not 64 hexadecimal digits"), true);
    if value.len() != 64 || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(value.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

fn preboot(word: Word<'_>) -> Result<PrebootParam, (String, bool)> {
    match word.value.unwrap_or_default() {
        "ansible" => Ok(PrebootParam::Ansible),
        "none" => Ok(PrebootParam::None),
        path if path.starts_with('/') => Ok(PrebootParam::Executable(path.to_owned())),
        other => Err((format!("{other:?} is neither ansible, none nor an absolute path"), false)),
    }
}

fn unknown(name: &str) -> String {
    let nearest = KNOWN.iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    match nearest {
        Some(nearest) => format!("not known to rsinit; the nearest is {nearest}"),
        None => "not known to rsinit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(line: &str) -> Params {
        let (params, complaints) = Params::parse(line);
        assert_eq!(complaints, []);
        params
    }

    fn complaint(line: &str) -> Complaint {
        let (_, mut complaints) = Params::parse(line);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        complaints.remove(0)
    }

    #[test]
    fn the_line_of_a_warewulf_4_6_1_ipxe_template_is_understood() {
        let params = clean(
            "initrd=initramfs rd.neednet=1 ifname=eth0:52:54:00:00:00:01 ip=eth0:dhcp \
             root=wwinit wwinit.uri=http://10.0.0.1:9873/provision/52:54:00:00:00:01 init=/init \
             wwid=52:54:00:00:00:01 quiet",
        );
        assert!(params.claims_root());
        assert_eq!(
            params.ww_uri.as_deref(),
            Some("http://10.0.0.1:9873/provision/52:54:00:00:00:01")
        );
        assert_eq!(params.init.as_deref(), Some("/init"));
        assert_eq!(params.wwid.as_deref(), Some("52:54:00:00:00:01"));
    }

    #[test]
    fn another_root_is_not_ours_even_with_a_uri() {
        assert!(!clean("root=/dev/sda1 rsinit.uri=http://h").claims_root());
        assert!(!clean("root=/dev/sda1").claims_root());
        assert!(clean("rsinit.uri=http://h").claims_root());
        assert!(clean("root=wwinit:tmpfs").claims_root());
        assert!(!clean("root=wwinitx").claims_root());
    }

    #[test]
    fn an_unknown_argument_is_named_with_the_nearest_known_one() {
        let complaint = complaint("rsinit.ur1=http://h");
        assert!(!complaint.fatal);
        assert_eq!(
            complaint.to_string(),
            "kernel argument rsinit.ur1: not known to rsinit; the nearest is rsinit.uri"
        );
    }

    #[test]
    fn a_brake_that_cannot_be_read_is_pulled() {
        let (params, complaints) = Params::parse("rsinit.disk=kep");
        assert_eq!(params.disk, Brake::Off);
        assert!(complaints[0].cause.contains("\"kep\" is none of auto, off, plan, keep"));
        assert!(!complaints[0].fatal);
    }

    #[test]
    fn a_digest_that_cannot_be_read_stops_the_boot() {
        assert!(complaint("rsinit.sha256=abc").fatal);
        assert!(complaint(&format!("rsinit.sha256={}", "é".repeat(32))).fatal);
        let params = clean(&format!("rsinit.sha256={}", "0f".repeat(32)));
        assert_eq!(params.sha256, Some([0x0f; 32]));
    }

    #[test]
    fn a_wrong_number_is_complained_about_and_its_default_kept() {
        let (params, complaints) = Params::parse("rsinit.deadline=-1 rsinit.deadline=99999999");
        assert_eq!(params.deadline, None);
        assert_eq!(complaints.len(), 2);
    }

    #[test]
    fn a_hook_is_a_word_or_an_absolute_path() {
        assert_eq!(
            clean("rsinit.preboot=/etc/preboot").preboot,
            PrebootParam::Executable("/etc/preboot".to_owned())
        );
        assert_eq!(clean("rsinit.preboot=none").preboot, PrebootParam::None);
        assert!(!complaint("rsinit.preboot=etc/preboot").fatal);
    }

    #[test]
    fn our_own_size_wins_over_warewulfs_in_either_order() {
        for line in [
            "rsinit.tmpfs.size=4g wwinit.tmpfs.size=2g",
            "wwinit.tmpfs.size=2g rsinit.tmpfs.size=4g",
        ] {
            assert_eq!(clean(line).tmpfs_size.as_deref(), Some("4g"));
        }
        assert_eq!(clean("wwinit.tmpfs.size=2g").tmpfs_size.as_deref(), Some("2g"));
    }
}
