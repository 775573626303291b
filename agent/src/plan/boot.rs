//! The boot before anything is fetched: what the kernel arguments mean together.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::config::cmdline::{
    Brake, Compress, Layout, OnFail, Params, PrebootOnFail, PrebootParam,
};
use crate::config::secrets::{NfsSource, SecretsError};
use crate::config::uri::{BootUri, Server, UriError, parse_mac};
use crate::plan::fetch::Routes;

/// Longest time for the whole boot, where `rsinit.deadline=` does not say.
pub const DEADLINE: Duration = Duration::from_secs(900);
/// How long the cause of a failure stays on the console before the node reboots.
const ONFAIL_WAIT: Duration = Duration::from_secs(60);
/// Longest time for the preboot hook, where `rsinit.preboot.timeout=` does not say.
const PREBOOT_TIMEOUT: Duration = Duration::from_secs(300);

/// The node's MAC address, or where to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mac {
    /// This one.
    Known(String),
    /// That of this interface (`wwid=[eth0]`).
    OfInterface(String),
    /// That of the interface that reaches the server.
    OfRoute,
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(mac) => f.write_str(mac),
            Self::OfInterface(name) => write!(f, "that of {name}"),
            Self::OfRoute => f.write_str("that of the interface that reaches the server"),
        }
    }
}

/// Everything that is decided before the first request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootPlan {
    /// Where to ask.
    pub server: Server,
    /// Who asks.
    pub mac: Mac,
    /// What the server's files are called.
    pub routes: Routes,
    /// Which form of image and overlays to ask for.
    pub compress: Compress,
    /// Size of the root tmpfs, as tmpfs reads it; the kernel's default without.
    pub tmpfs_size: Option<String>,
    /// Digest that the image must have.
    pub sha256: Option<[u8; 32]>,
    /// Where the cluster's secrets are.
    pub secrets: Option<NfsSource>,
    /// Which hook runs, and how long it may take.
    pub preboot: PrebootParam,
    /// Longest time for the hook.
    pub preboot_timeout: Duration,
    /// What a failed hook does to the boot.
    pub preboot_onfail: PrebootOnFail,
    /// The operator's brake on the disks.
    pub disk: Brake,
    /// What the root must have for the hand-over: `init=`, or systemd's place.
    pub init: String,
}

impl fmt::Display for BootPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets = match &self.secrets {
            Some(source) => format!("{}:{}", source.host, source.path),
            None => "none".to_owned(),
        };
        writeln!(f, "server     {}", self.server)?;
        writeln!(f, "mac        {}", self.mac)?;
        writeln!(f, "image      {}", self.image())?;
        writeln!(f, "root size  {}", self.tmpfs_size.as_deref().unwrap_or("half of the memory"))?;
        writeln!(f, "secrets    {secrets}")?;
        writeln!(f, "preboot    {} (at most {} s)", self.preboot, self.preboot_timeout.as_secs())?;
        writeln!(f, "disks      {}", self.disk)?;
        writeln!(f, "init       {}", self.init)
    }
}

impl BootPlan {
    fn image(&self) -> String {
        match &self.routes {
            Routes::Warewulf | Routes::Warewulf47 => format!("the node's own, {}", self.compress),
            Routes::Static { image, .. } => format!("/container/{image}, as it is"),
        }
    }
}

/// What happens to a node whose boot failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePlan {
    /// The end of it.
    pub action: OnFail,
    /// How long the cause stays on the console first.
    pub wait: Duration,
}

/// Why there is nothing to boot from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// None of the arguments that name a server is there.
    #[error(
        "no rsinit.uri= (nor wwinit.server= or wwinit.uri=) on the kernel command line: \
         nothing says where to boot from"
    )]
    NoUri,
    /// One that cannot be used.
    #[error("kernel argument {name}: {cause}")]
    Uri {
        /// The argument.
        name: &'static str,
        /// What is wrong with it.
        cause: UriError,
    },
    /// A plain web server, and not all that it must be asked for.
    #[error("rsinit.layout=static needs {0} too")]
    Static(&'static str),
    /// Secrets that cannot be mounted.
    #[error("kernel argument rsinit.secrets: {0}")]
    Secrets(#[from] SecretsError),
}

/// What to do if the boot fails; needs nothing else to be right.
pub fn plan_failure(params: &Params) -> FailurePlan {
    let action = match (params.onfail, params.shell) {
        (Some(OnFail::Shell), Some(false)) | (None, Some(false) | None) => OnFail::Reboot,
        (None, Some(true)) => OnFail::Shell,
        (Some(action), _) => action,
    };
    let wait = match action {
        OnFail::Shell => Duration::ZERO,
        OnFail::Reboot | OnFail::Poweroff => ONFAIL_WAIT,
    };
    FailurePlan { action, wait: params.onfail_wait.unwrap_or(wait) }
}

/// Resolves the kernel arguments.
///
/// # Errors
/// [`BootError`], naming the argument.
pub fn plan(params: &Params) -> Result<BootPlan, BootError> {
    let (name, uri) = boot_uri(params)?;
    let mac = match (uri.mac, params.wwid.as_deref()) {
        (Some(mac), _) => Mac::Known(mac),
        (None, None) => Mac::OfRoute,
        (None, Some(wwid)) => read_wwid(wwid)?,
    };
    let secrets = match &params.secrets {
        None => Some(NfsSource::warewulf(&uri.server.host)),
        Some(text) => NfsSource::parse(text)?,
    };
    Ok(BootPlan {
        server: uri.server,
        mac,
        routes: routes(params, name)?,
        compress: params.compress,
        tmpfs_size: params.tmpfs_size.clone(),
        sha256: params.sha256,
        secrets,
        preboot: params.preboot.clone(),
        preboot_timeout: params.preboot_timeout.unwrap_or(PREBOOT_TIMEOUT),
        preboot_onfail: params.preboot_onfail,
        disk: params.disk,
        init: params.init.clone().unwrap_or_else(|| "/sbin/init".to_owned()),
    })
}

/// A plain web server is asked for an image by name, and for overlays by the node's name.
fn routes(params: &Params, name: &str) -> Result<Routes, BootError> {
    if params.layout == Layout::Warewulf {
        // Only a server of 4.7 or later writes this argument.
        let is_new = name == "wwinit.server";
        return Ok(if is_new { Routes::Warewulf47 } else { Routes::Warewulf });
    }
    let overlays = !params.system.is_empty() || !params.runtime.is_empty();
    if overlays && params.node.is_none() {
        return Err(BootError::Static("rsinit.node="));
    }
    Ok(Routes::Static {
        image: params.image.clone().ok_or(BootError::Static("rsinit.image="))?,
        node: params.node.clone().unwrap_or_default(),
        system: params.system.clone(),
        runtime: params.runtime.clone(),
    })
}

/// Our own argument first; of Warewulf's, the server wins over the URI, as in 4.7.
fn boot_uri(params: &Params) -> Result<(&'static str, BootUri), BootError> {
    let given = [
        ("rsinit.uri", &params.uri),
        ("wwinit.server", &params.ww_server),
        ("wwinit.uri", &params.ww_uri),
    ];
    let found = given.into_iter().find_map(|(name, uri)| Some((name, uri.as_deref()?)));
    let (name, text) = found.ok_or(BootError::NoUri)?;
    let uri = BootUri::parse(text).map_err(|cause| BootError::Uri { name, cause })?;
    Ok((name, uri))
}

/// `wwid=<mac>`, or `wwid=[<interface>]`.
fn read_wwid(wwid: &str) -> Result<Mac, BootError> {
    match wwid.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => Ok(Mac::OfInterface(name.to_owned())),
        None => {
            parse_mac(wwid).map(Mac::Known).map_err(|cause| BootError::Uri { name: "wwid", cause })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(line: &str) -> Result<BootPlan, BootError> {
        plan(&Params::parse(line).0)
    }

    #[test]
    fn the_mac_comes_from_the_uri_then_wwid_then_the_route() {
        let mac = |line: &str| planned(line).unwrap().mac;
        let known = |mac: &str| Mac::Known(mac.to_owned());
        assert_eq!(
            mac("rsinit.uri=http://h/provision/02:00:00:00:00:01 wwid=02:00:00:00:00:02"),
            known("02:00:00:00:00:01")
        );
        assert_eq!(mac("rsinit.uri=http://h wwid=02-00-00-00-00-0A"), known("02:00:00:00:00:0a"));
        assert_eq!(mac("rsinit.uri=http://h wwid=[eth1]"), Mac::OfInterface("eth1".to_owned()));
        assert_eq!(mac("rsinit.uri=http://h"), Mac::OfRoute);
    }

    #[test]
    fn our_own_uri_wins_then_warewulfs_server_then_its_uri() {
        let host = |line: &str| planned(line).unwrap().server.host;
        assert_eq!(host("wwinit.uri=http://a wwinit.server=http://b rsinit.uri=http://c"), "c");
        assert_eq!(host("wwinit.uri=http://a wwinit.server=http://b"), "b");
        assert_eq!(host("wwinit_uri=http://a"), "a");
        let routes = |line: &str| planned(line).unwrap().routes;
        assert_eq!(routes("wwinit.server=http://b wwid=[eth0]"), Routes::Warewulf47);
        assert_eq!(routes("wwinit.uri=http://b wwid=[eth0]"), Routes::Warewulf);
    }

    #[test]
    fn nothing_to_boot_from_is_an_error_that_names_the_argument() {
        let text = |line: &str| planned(line).unwrap_err().to_string();
        assert!(text("root=rsinit quiet").starts_with("no rsinit.uri="));
        assert!(text("rsinit.uri=nonsense").starts_with("kernel argument rsinit.uri: "));
        assert!(text("rsinit.uri=http://h wwid=zz").starts_with("kernel argument wwid: "));
        assert!(text("rsinit.uri=http://h rsinit.secrets=x").contains("rsinit.secrets"));
    }

    #[test]
    fn a_plain_web_server_needs_an_image_and_for_overlays_a_node() {
        let uri = "rsinit.uri=http://h rsinit.layout=static";
        let text = |line: &str| planned(&format!("{uri} {line}")).unwrap_err().to_string();
        assert_eq!(text(""), "rsinit.layout=static needs rsinit.image= too");
        assert_eq!(
            text("rsinit.image=i rsinit.system=a"),
            "rsinit.layout=static needs rsinit.node= too"
        );
        let plan = planned(&format!("{uri} rsinit.image=i rsinit.node=n rsinit.system=b,,a"));
        let routes = Routes::Static {
            image: "i".to_owned(),
            node: "n".to_owned(),
            system: vec!["b".to_owned(), "a".to_owned()],
            runtime: Vec::new(),
        };
        assert_eq!(plan.unwrap().routes, routes);
    }

    #[test]
    fn secrets_are_on_the_server_unless_said_otherwise() {
        let secrets = |line: &str| planned(line).unwrap().secrets;
        assert_eq!(secrets("rsinit.uri=http://h"), Some(NfsSource::warewulf("h")));
        assert_eq!(secrets("rsinit.uri=http://h rsinit.secrets=none"), None);
    }

    #[test]
    fn a_failure_reboots_after_a_minute_unless_somebody_is_there() {
        let failure = |line: &str| plan_failure(&Params::parse(line).0);
        let plan = |action, wait| FailurePlan { action, wait: Duration::from_secs(wait) };
        assert_eq!(failure(""), plan(OnFail::Reboot, 60));
        assert_eq!(failure("rd.shell"), plan(OnFail::Shell, 0));
        assert_eq!(failure("rd.shell=0"), plan(OnFail::Reboot, 60));
        assert_eq!(failure("rsinit.onfail=shell"), plan(OnFail::Shell, 0));
        assert_eq!(failure("rsinit.onfail=shell rd.shell=no"), plan(OnFail::Reboot, 60));
        assert_eq!(
            failure("rsinit.onfail=poweroff rsinit.onfail.wait=1"),
            plan(OnFail::Poweroff, 1)
        );
    }
}
