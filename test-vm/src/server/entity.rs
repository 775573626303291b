//! The bytes behind an answer: files as they are, overlays built at their first request.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::archive::{Owners, write_archive};
use super::lock;

/// Something that can be sent, whole or from an offset.
#[derive(Debug)]
pub struct Entity {
    body: Body,
    /// Bytes.
    pub length: u64,
    /// When it was built.
    pub modified: SystemTime,
}

#[derive(Debug)]
enum Body {
    File(File),
    Memory(Arc<Vec<u8>>),
}

impl Entity {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` where the server answers 404.
    pub fn open(path: &PathBuf) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        Ok(Self { length: meta.len(), modified: meta.modified()?, body: Body::File(file) })
    }

    /// The bytes from `from` on.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn reader(&self, from: u64) -> io::Result<Box<dyn Read + '_>> {
        match &self.body {
            Body::File(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(from))?;
                Ok(Box::new(file))
            }
            Body::Memory(bytes) => {
                let from = usize::try_from(from).map_err(io::Error::other)?;
                Ok(Box::new(bytes.get(from..).unwrap_or_default()))
            }
        }
    }

    /// As Go's `http.ServeContent` finds it out for names that it does not know.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn content_type(&self) -> io::Result<&'static str> {
        let mut start = [0; 3];
        let got = self.reader(0)?.take(3).read(&mut start)?;
        Ok(match start.get(..got) {
            Some([0x1f, 0x8b, 0x08]) => "application/x-gzip",
            _ => "application/octet-stream",
        })
    }
}

/// One overlay, built.
struct Built {
    raw: Arc<Vec<u8>>,
    gz: Arc<Vec<u8>>,
    modified: SystemTime,
}

/// The overlays built so far, by their folders and node.
#[derive(Default)]
pub struct Overlays {
    built: Mutex<HashMap<(String, Vec<PathBuf>), Built>>,
    generation: Mutex<u64>,
}

impl Overlays {
    /// Builds everything anew at the next request, a second newer.
    pub fn forget(&self) {
        lock(&self.built).clear();
        *lock(&self.generation) += 1;
    }

    /// The overlay of `folders` for `mac`, built now if it is not there yet.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn find(
        &self,
        mac: &str,
        folders: &[PathBuf],
        gz: bool,
        owners: &Owners,
    ) -> io::Result<Entity> {
        let mut all = lock(&self.built);
        let key = (mac.to_owned(), folders.to_vec());
        if !all.contains_key(&key) {
            let generation = *lock(&self.generation);
            all.insert(key.clone(), build(folders, owners, generation)?);
        }
        let built = all.get(&key).ok_or(io::ErrorKind::NotFound)?;
        let bytes = Arc::clone(if gz { &built.gz } else { &built.raw });
        let length = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        Ok(Entity { length, modified: built.modified, body: Body::Memory(bytes) })
    }
}

fn build(folders: &[PathBuf], owners: &Owners, generation: u64) -> io::Result<Built> {
    let mut raw = Vec::new();
    write_archive(folders, owners, &mut raw)?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&raw)?;
    let gz = encoder.finish()?;
    let modified = SystemTime::now() + Duration::from_secs(generation);
    Ok(Built { raw: Arc::new(raw), gz: Arc::new(gz), modified })
}
