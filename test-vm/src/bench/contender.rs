//! Who runs, on what: rsinit and the pipeline that it replaces, over one image in three formats.

use std::path::{Path, PathBuf};

use crate::bench::server::Nginx;

/// What the image is compressed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// gzip, which Warewulf serves.
    Gz,
    /// Not at all: what Warewulf serves where the `.gz` was not built.
    Raw,
    /// zstd, which only a plain web server has.
    Zst,
}

impl Format {
    /// All formats, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Gz, Self::Raw, Self::Zst];

    /// What stands in the table and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gz => "gz",
            Self::Raw => "raw",
            Self::Zst => "zst",
        }
    }

    /// The end of the image's file name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gz => ".gz",
            Self::Raw => "",
            Self::Zst => ".zst",
        }
    }

    fn filter(self) -> &'static str {
        match self {
            Self::Gz => "gzip -d |",
            Self::Raw => "",
            Self::Zst => "zstd -dc |",
        }
    }
}

/// One side of a comparison.
#[derive(Debug, Clone)]
pub enum Contender {
    /// `rsinit fetch`, by the path of the binary.
    Rsinit(PathBuf),
    /// `curl -s | gzip -d | cpio -ium`, as the nodes of today run it.
    Pipeline,
}

impl Contender {
    /// What stands in the table.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rsinit(_) => "rsinit",
            Self::Pipeline => "pipeline",
        }
    }

    /// The command that unpacks the image into `root`, which is also its working folder.
    #[must_use]
    pub fn argv(&self, server: &Nginx, format: Format, root: &Path) -> Vec<String> {
        let uri = server.uri(format);
        match self {
            Self::Rsinit(path) => {
                let path = path.display().to_string();
                let root = root.display().to_string();
                [&path, "fetch", "--uri", &uri, "--root", &root, "--stage", "image"]
                    .map(str::to_owned)
                    .to_vec()
            }
            Self::Pipeline => {
                let query = if format == Format::Raw { "" } else { "&compress=gz" };
                let script = format!(
                    "curl -s '{uri}?stage=image{query}' | {} cpio -ium --quiet \
                     --no-absolute-filenames",
                    format.filter()
                );
                ["bash", "-o", "pipefail", "-c", &script].map(str::to_owned).to_vec()
            }
        }
    }
}
