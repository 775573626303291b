//! What to ask a provisioning server for, and in which forms: from where the node boots to addresses.
//!
//! The form `/provision/<mac>?…&stage=S&compress=gz` is understood by every Warewulf from 4.5.8
//! on. What differs is the root's stage, `image` or `container` (400 for the one that a server does
//! not know), and whether there is a compressed file (404 where there is none).

use serde::Serialize;

pub use crate::config::cmdline::Compress;

/// What a server has for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The root image.
    Image,
    /// The system overlay.
    System,
    /// The runtime overlay: it carries the cluster's secrets.
    Runtime,
}

impl What {
    /// Reads `image`, `system` or `runtime`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "image" => Self::Image,
            "system" => Self::System,
            "runtime" => Self::Runtime,
            _ => return None,
        })
    }

    /// Its name in logs and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::System => "system",
            Self::Runtime => "runtime",
        }
    }

    /// The stage of the boot that fetches it, for the log.
    pub fn stage(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::System => "system-overlay",
            Self::Runtime => "runtime-overlay",
        }
    }

    /// The stages that may name it on the wire.
    fn stages(self) -> &'static [&'static str] {
        match self {
            Self::Image => &["image", "container"],
            Self::System => &["system"],
            Self::Runtime => &["runtime"],
        }
    }

    /// What a refusal means for it.
    fn meanings(self) -> Vec<(u16, &'static str)> {
        let (missing, unauthorised) = match self {
            Self::Image => {
                ("the server has no such image built", "the asset key is not the node's")
            }
            Self::System => {
                ("the server has no such system overlay built", "the asset key is not the node's")
            }
            Self::Runtime => (
                "the server has no such runtime overlay built",
                "the asset key is not the node's, or the source port was not below 1024",
            ),
        };
        vec![
            (400, "the server does not know this node, or has no image set for it"),
            (401, unauthorised),
            (403, "the server wants TLS for this"),
            (404, missing),
        ]
    }
}

/// What a server's files are called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routes {
    /// Warewulf's `/provision/` route, which merges the overlays into one archive.
    #[default]
    Warewulf,
    /// The routes that Warewulf 4.7 has beside it: `/image/<mac>`, `/system/<mac>`,
    /// `/runtime/<mac>`.
    Warewulf47,
    /// A plain web server: `/container/<image>`, and `/overlay/system/<overlay>/<node>` and
    /// `/overlay/runtime/<overlay>/<node>` for each overlay.
    Static {
        /// The image's name.
        image: String,
        /// The node's name.
        node: String,
        /// System overlays, the last wins.
        system: Vec<String>,
        /// Runtime overlays, the last wins.
        runtime: Vec<String>,
    },
}

/// Where a node boots from, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provision {
    /// `http://host:port`, without a slash at the end.
    pub base: String,
    /// The node's address, as the server knows it.
    pub mac: String,
    /// The asset tag of the node's firmware; empty where there is none.
    pub assetkey: String,
    /// The uuid of the node's firmware; empty where there is none.
    pub uuid: String,
    /// The forms that are wanted.
    pub compress: Compress,
    /// What the server's files are called.
    pub routes: Routes,
}

/// One address to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The address, with the asset key: to be shown redacted only.
    pub url: String,
    /// Which form (by index) to ask next, at once, after which status.
    pub otherwise: Vec<(u16, usize)>,
}

/// All there is to know for asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub what: What,
    /// In which forms; the first is asked first.
    pub forms: Vec<Form>,
    /// Whether the source port must be below 1024.
    pub privileged: bool,
    /// What statuses mean.
    pub meanings: Vec<(u16, &'static str)>,
}

impl Provision {
    /// Takes `http(s)://host:port/provision/<mac>` apart; `None` where it is not of that form.
    pub fn from_uri(uri: &str) -> Option<Self> {
        let (base, mac) = uri.split_once("/provision/")?;
        let host = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"))?;
        let mac = mac.trim_end_matches('/');
        let known = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'-';
        let sound = !host.is_empty() && !mac.is_empty() && mac.bytes().all(known);
        sound.then(|| Self { base: base.to_owned(), mac: mac.to_owned(), ..Self::default() })
    }

    /// How to ask for `what`: one request an archive, to be unpacked in this order.
    pub fn requests(&self, what: What) -> Vec<Request> {
        let Routes::Static { image, node, system, runtime } = &self.routes else {
            return vec![self.request(what)];
        };
        let file = |path: String| {
            let form = Form { url: format!("{}/{path}", self.base), otherwise: Vec::new() };
            let meanings = vec![(404, "the server has no such file")];
            Request { what, forms: vec![form], privileged: what == What::Runtime, meanings }
        };
        let overlays = |kind: &str, names: &[String]| {
            let path = |name: &String| format!("overlay/{kind}/{}/{}", encode(name), encode(node));
            names.iter().map(|name| file(path(name))).collect()
        };
        match what {
            What::Image => vec![file(format!("container/{}", encode(image)))],
            What::System => overlays("system", system),
            What::Runtime => overlays("runtime", runtime),
        }
    }

    /// How to ask a Warewulf server for `what`.
    pub fn request(&self, what: What) -> Request {
        let compressions: &[&str] = match self.compress {
            Compress::Auto => &["gz", ""],
            Compress::Gz => &["gz"],
            Compress::Raw => &[""],
        };
        let stages = match self.routes {
            Routes::Warewulf47 => what.stages().get(..1).unwrap_or_default(),
            Routes::Warewulf | Routes::Static { .. } => what.stages(),
        };
        let mut forms = Vec::new();
        for (row, stage) in stages.iter().enumerate() {
            for (column, compress) in compressions.iter().enumerate() {
                let mut otherwise = Vec::new();
                if column + 1 < compressions.len() {
                    otherwise.push((404, forms.len() + 1));
                }
                if row + 1 < stages.len() {
                    otherwise.push((400, (row + 1) * compressions.len()));
                }
                forms.push(Form { url: self.url(stage, compress), otherwise });
            }
        }
        let privileged = what == What::Runtime;
        Request { what, forms, privileged, meanings: what.meanings() }
    }

    /// The address of the uncompressed image on a Warewulf server: its length is what the
    /// root must hold.
    pub fn raw_image(&self) -> Request {
        Self { compress: Compress::Raw, ..self.clone() }.request(What::Image)
    }

    fn url(&self, stage: &str, compress: &str) -> String {
        let (base, mac) = (&self.base, &self.mac);
        let identity = format!("assetkey={}&uuid={}", encode(&self.assetkey), encode(&self.uuid));
        let mut url = match self.routes {
            Routes::Warewulf47 => format!("{base}/{stage}/{mac}?{identity}"),
            Routes::Warewulf | Routes::Static { .. } => {
                format!("{base}/provision/{mac}?{identity}&stage={stage}")
            }
        };
        if !compress.is_empty() {
            url.push_str("&compress=");
            url.push_str(compress);
        }
        url
    }
}

/// Percent-encodes as `curl --data-urlencode` does: all but letters, digits and `-._~`.
pub fn encode(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Provision {
        let mut node =
            Provision::from_uri("http://10.0.0.1:9873/provision/52:54:00:00:00:01").unwrap();
        node.assetkey = "Not Specified/1".to_owned();
        node.uuid = "u".to_owned();
        node
    }

    #[test]
    fn values_are_encoded_as_curl_does() {
        assert_eq!(encode("A b+c&d=é~-._"), "A%20b%2Bc%26d%3D%C3%A9~-._");
    }

    #[test]
    fn the_routes_of_4_7_name_the_stage_in_the_path() {
        let provision = Provision { routes: Routes::Warewulf47, ..node() };
        let request = provision.request(What::Image);
        let urls: Vec<&str> = request.forms.iter().map(|form| form.url.as_str()).collect();
        let mac = &provision.mac;
        let base = format!("{}/image/{mac}?assetkey=", provision.base);
        assert_eq!(urls.len(), 2);
        assert!(urls.iter().all(|url| url.starts_with(&base) && !url.contains("stage=")));
        assert_eq!(request.forms[0].otherwise, [(404, 1)]);
        assert_eq!(request.forms[1].otherwise, []);
    }

    #[test]
    fn a_plain_web_server_has_each_overlay_by_its_own_name() {
        let routes = Routes::Static {
            image: "rocky 9".to_owned(),
            node: "n1".to_owned(),
            system: vec!["wwinit".to_owned(), "hostname".to_owned()],
            runtime: vec!["hosts".to_owned()],
        };
        let provision = Provision { base: "http://h".to_owned(), routes, ..Provision::default() };
        let urls = |what| -> Vec<String> {
            provision.requests(what).into_iter().map(|r| r.forms[0].url.clone()).collect()
        };
        assert_eq!(urls(What::Image), ["http://h/container/rocky%209"]);
        assert_eq!(
            urls(What::System),
            ["http://h/overlay/system/wwinit/n1", "http://h/overlay/system/hostname/n1"]
        );
        assert_eq!(urls(What::Runtime), ["http://h/overlay/runtime/hosts/n1"]);
    }

    #[test]
    fn the_image_has_four_forms_in_order() {
        let request = node().request(What::Image);
        let url = |stage: &str| {
            format!(
                "http://10.0.0.1:9873/provision/52:54:00:00:00:01?assetkey=Not%20Specified%2F1&uuid=u&stage={stage}"
            )
        };
        let form = |stage, otherwise| Form { url: url(stage), otherwise };
        assert_eq!(
            request.forms,
            [
                form("image&compress=gz", vec![(404, 1), (400, 2)]),
                form("image", vec![(400, 2)]),
                form("container&compress=gz", vec![(404, 3)]),
                form("container", vec![]),
            ]
        );
        assert!(!request.privileged);
    }

    #[test]
    fn only_the_runtime_overlay_wants_a_low_port() {
        assert!(node().request(What::Runtime).privileged);
        assert!(!node().request(What::System).privileged);
        let raw = Provision { compress: Compress::Raw, ..node() }.request(What::System);
        assert_eq!(raw.forms.len(), 1);
        assert_eq!(raw.forms[0].otherwise, []);
        assert!(!raw.forms[0].url.contains("compress"));
    }

    #[test]
    fn addresses_of_another_form_are_not_taken() {
        for bad in [
            "http://h:1",
            "ftp://h/provision/52:54:00:00:00:01",
            "http:///provision/52:54:00:00:00:01",
            "http://h/provision/",
            "http://h/provision/../etc",
        ] {
            assert_eq!(Provision::from_uri(bad), None, "{bad}");
        }
        let ipv6 = Provision::from_uri("http://[fd00::1]:9873/provision/52-54-00-00-00-01/");
        assert_eq!(ipv6.unwrap().base, "http://[fd00::1]:9873");
    }
}
