//! Which answer a request gets: Warewulf's routes, stages and refusals, by version.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::message::Head;
use super::site::{Node, Site, Version};

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A status with no body.
    Refusal(u16),
    /// A status with a short text, as Go's mux writes it.
    Text(u16, &'static str),
    /// A template, rendered for this node.
    Script(String),
    /// A file of the server.
    File {
        /// Its path; `.gz` appended where the compressed form was asked.
        path: PathBuf,
        /// 200, or 404 for a form of `compress=` the server does not know: it says 404 and sends the raw file.
        status: u16,
    },
    /// A merged overlay.
    Overlay {
        /// Whose.
        mac: String,
        /// Which folders.
        folders: Vec<PathBuf>,
        /// Whether its `.gz` was asked.
        gz: bool,
        /// 200 or 404, as for a file.
        status: u16,
    },
}

/// Decides the answer to `head`, sent from `port`, in TLS or not.
pub fn decide(site: &Site, head: &Head, port: u16, is_tls: bool) -> Answer {
    let path = head.path.strip_prefix("/moved").unwrap_or(&head.path);
    let mut parts = path.trim_start_matches('/').split('/');
    let route = parts.next().unwrap_or("");
    let Some(default_stage) = route_stage(site.version, route) else {
        return Answer::Text(404, "404 page not found\n");
    };
    let asked = head.query("stage").filter(|_| stage_is_in_query(site.version, route));
    let Some(stage) = asked.or(default_stage).map(|stage| plain_stage(site.version, stage)) else {
        return Answer::Refusal(400);
    };
    if stage == "runtime" && site.tls.is_some() && !is_tls {
        return Answer::Refusal(403);
    }
    // Single overlays by name, with the port of root for each: no longer from 4.7 on.
    let names = head.query("overlay").filter(|_| site.version < Version::V4_7_0).unwrap_or("");
    if (stage == "runtime" || !names.is_empty()) && site.secure && port >= 1024 {
        return Answer::Refusal(401);
    }
    let mac = parts
        .next()
        .filter(|mac| !mac.is_empty())
        .or_else(|| head.query("wwid").filter(|_| site.version >= Version::V4_7_0));
    let Some(node) = mac.and_then(|mac| site.node(mac)) else { return Answer::Refusal(400) };
    if node.asset_key.as_deref().is_some_and(|key| head.query("assetkey") != Some(key)) {
        return Answer::Refusal(401);
    }
    if let ("ipxe", Some(script)) = (stage.as_str(), &node.ipxe) {
        return Answer::Script(script.render(site.version, &node.mac));
    }
    stage_answer(node, &stage, names, head.query("compress").unwrap_or(""))
}

/// The stage a route stands for; `None` for a route the mux does not have, `Some(None)` for one
/// that the parser gives no stage ("no stage encoded", 400).
fn route_stage(version: Version, route: &str) -> Option<Option<&'static str>> {
    let new = version >= Version::V4_7_0;
    Some(match route {
        "provision" | "ipxe" => Some("ipxe"),
        "kernel" => Some("kernel"),
        "kmods" if version == Version::V4_5_8 => Some("kmods"),
        "container" if version == Version::V4_5_8 || new => Some("container"),
        "container" => None,
        "overlay-system" => Some("system"),
        "overlay-runtime" => Some("runtime"),
        "image" if new => Some("image"),
        "initramfs" if new => Some("initramfs"),
        "system" if new => Some("system"),
        "runtime" if new => Some("runtime"),
        _ => return None,
    })
}

/// 4.7 heeds `?stage=` only below `/provision`; before, any route did.
fn stage_is_in_query(version: Version, route: &str) -> bool {
    version < Version::V4_7_0 || route == "provision"
}

/// The stage by its name in this version; an unknown one stays as it is and is refused later.
fn plain_stage(version: Version, stage: &str) -> String {
    let known = match (version, stage) {
        (Version::V4_5_8, "container") => "root",
        (Version::V4_6_1 | Version::V4_6_5, "image") => "root",
        (Version::V4_7_0, "image" | "container") => "root",
        (Version::V4_7_0, "provision") => "ipxe",
        (Version::V4_7_0, "overlay-system") => "system",
        (Version::V4_7_0, "overlay-runtime") => "runtime",
        (_, other @ ("system" | "runtime" | "kernel" | "initramfs" | "ipxe")) => other,
        _ => "",
    };
    known.to_owned()
}

/// The folders that `names`, between commas, choose: all without one, none if one is not there.
fn choose(folders: &[PathBuf], names: &str) -> Option<Vec<PathBuf>> {
    if names.is_empty() {
        return Some(folders.to_vec());
    }
    let find = |name| folders.iter().find(|folder| folder.file_name() == Some(OsStr::new(name)));
    names.split(',').map(|name| find(name).cloned()).collect()
}

fn stage_answer(node: &Node, stage: &str, overlays: &str, compress: &str) -> Answer {
    let status = if matches!(compress, "" | "gz") { 200 } else { 404 };
    let gz = compress == "gz";
    let file = |path: Option<&Path>| match path {
        None => Answer::Refusal(400),
        Some(path) if gz => {
            let mut name = path.as_os_str().to_owned();
            name.push(".gz");
            Answer::File { path: name.into(), status }
        }
        Some(path) => Answer::File { path: path.to_owned(), status },
    };
    let overlay = |folders: &[PathBuf]| match choose(folders, overlays) {
        Some(folders) => Answer::Overlay { mac: node.mac.clone(), folders, gz, status },
        None => Answer::Refusal(404),
    };
    match stage {
        "root" => file(Some(node.image.as_path()).filter(|path| !path.as_os_str().is_empty())),
        "kernel" => file(node.kernel.as_deref()),
        "initramfs" => file(node.initramfs.as_deref()),
        "system" => overlay(&node.system),
        "runtime" => overlay(&node.runtime),
        _ => Answer::Refusal(400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "52:54:00:00:00:01";

    fn site(version: Version) -> Site {
        let node = Node { mac: MAC.to_owned(), image: "/i.img".into(), ..Node::default() };
        Site { version, secure: true, nodes: vec![node], ..Site::default() }
    }

    fn ask(version: Version, target: &str, port: u16) -> Answer {
        let text = format!("GET {target} HTTP/1.1\r\n\r\n");
        let head = Head::read(&mut text.as_bytes()).unwrap().unwrap();
        decide(&site(version), &head, port, false)
    }

    fn image(path: &str) -> Answer {
        Answer::File { path: path.into(), status: 200 }
    }

    #[test]
    fn the_root_is_image_or_container_by_version() {
        let root = |version, stage| {
            ask(version, &format!("/provision/{MAC}?stage={stage}&compress=gz"), 5000)
        };
        assert_eq!(root(Version::V4_5_8, "container"), image("/i.img.gz"));
        assert_eq!(root(Version::V4_5_8, "image"), Answer::Refusal(400));
        assert_eq!(root(Version::V4_6_1, "image"), image("/i.img.gz"));
        assert_eq!(root(Version::V4_6_1, "container"), Answer::Refusal(400));
        assert_eq!(root(Version::V4_7_0, "image"), image("/i.img.gz"));
        assert_eq!(root(Version::V4_7_0, "container"), image("/i.img.gz"));
    }

    #[test]
    fn routes_of_4_7_are_not_in_4_6() {
        let route = |version| ask(version, &format!("/image/{MAC}"), 5000);
        assert_eq!(route(Version::V4_7_0), image("/i.img"));
        assert_eq!(route(Version::V4_6_1), Answer::Text(404, "404 page not found\n"));
        let dead = ask(Version::V4_6_5, &format!("/container/{MAC}"), 5000);
        assert_eq!(dead, Answer::Refusal(400));
    }

    #[test]
    fn runtime_wants_a_port_below_1024() {
        let target = format!("/provision/{MAC}?stage=runtime");
        assert_eq!(ask(Version::V4_6_1, &target, 1024), Answer::Refusal(401));
        assert!(matches!(ask(Version::V4_6_1, &target, 1023), Answer::Overlay { .. }));
    }

    #[test]
    fn unknown_nodes_and_stages_are_400_and_other_compressions_404_with_the_raw_file() {
        let ask = |target: &str| ask(Version::V4_6_1, target, 5000);
        assert_eq!(ask("/provision/52:54:00:00:00:99?stage=image"), Answer::Refusal(400));
        assert_eq!(ask(&format!("/provision/{MAC}?stage=nonsense")), Answer::Refusal(400));
        let raw = Answer::File { path: "/i.img".into(), status: 404 };
        assert_eq!(ask(&format!("/provision/{MAC}?stage=image&compress=zst")), raw);
        assert_eq!(ask("/provision/52-54-00-00-00-01?stage=image"), image("/i.img"));
    }

    #[test]
    fn single_overlays_are_given_by_name_until_4_7() {
        let folders = |version, names: &str, port| {
            let mut site = site(version);
            site.nodes[0].system = ["/o/wwinit", "/o/hostname"].map(PathBuf::from).to_vec();
            let text =
                format!("GET /provision/{MAC}?stage=system&overlay={names} HTTP/1.1\r\n\r\n");
            let head = Head::read(&mut text.as_bytes()).unwrap().unwrap();
            match decide(&site, &head, port, false) {
                Answer::Overlay { folders, .. } => Ok(folders.len()),
                other => Err(other),
            }
        };
        assert_eq!(folders(Version::V4_6_1, "hostname", 1023), Ok(1));
        assert_eq!(folders(Version::V4_6_1, "hostname,wwinit", 1023), Ok(2));
        assert_eq!(folders(Version::V4_6_1, "hostname", 1024), Err(Answer::Refusal(401)));
        assert_eq!(folders(Version::V4_5_8, "nonsense", 1023), Err(Answer::Refusal(404)));
        assert_eq!(folders(Version::V4_7_0, "hostname", 1024), Ok(2));
    }

    #[test]
    fn old_names_of_routes_are_aliases_in_4_7_and_a_node_may_be_named_in_the_query() {
        let ask = |version, target: &str| ask(version, target, 1023);
        for route in ["container", "image"] {
            assert_eq!(
                ask(Version::V4_7_0, &format!("/{route}/{MAC}?stage=kernel")),
                image("/i.img")
            );
        }
        assert_eq!(ask(Version::V4_7_0, &format!("/image?wwid={MAC}")), image("/i.img"));
        assert_eq!(
            ask(Version::V4_6_5, &format!("/provision?wwid={MAC}&stage=image")),
            Answer::Refusal(400)
        );
        for route in ["overlay-system", "overlay-runtime"] {
            for version in [Version::V4_5_8, Version::V4_6_5, Version::V4_7_0] {
                let found = ask(version, &format!("/{route}/{MAC}"));
                assert!(matches!(found, Answer::Overlay { .. }), "{version:?} {route}: {found:?}");
            }
        }
        assert_eq!(
            ask(Version::V4_7_0, &format!("/kmods/{MAC}")),
            Answer::Text(404, "404 page not found\n")
        );
    }

    #[test]
    fn a_wrong_key_is_401_and_the_runtime_overlay_outside_tls_403() {
        let mut site = site(Version::V4_7_0);
        site.nodes[0].asset_key = Some("rack 7".to_owned());
        let ask = |site: &Site, target: &str| {
            let text = format!("GET {target} HTTP/1.1\r\n\r\n");
            let head = Head::read(&mut text.as_bytes()).unwrap().unwrap();
            [false, true].map(|is_tls| decide(site, &head, 1023, is_tls))
        };
        let refused = |status| [Answer::Refusal(status), Answer::Refusal(status)];
        assert_eq!(ask(&site, &format!("/image/{MAC}")), refused(401));
        assert_eq!(ask(&site, &format!("/image/{MAC}?assetkey=rack_7")), refused(401));
        let right = format!("/image/{MAC}?assetkey=rack%207");
        assert_eq!(ask(&site, &right), [image("/i.img"), image("/i.img")]);
        site.tls = Some(crate::server::Certificate::new().unwrap());
        let runtime = format!("/runtime/{MAC}?assetkey=rack%207");
        let [plain, tls] = ask(&site, &runtime);
        assert_eq!(plain, Answer::Refusal(403));
        assert!(matches!(tls, Answer::Overlay { .. }), "{tls:?}");
        assert_eq!(ask(&site, &right), [image("/i.img"), image("/i.img")]);
    }
}
