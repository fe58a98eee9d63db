//! A file that appears whole or not at all: written aside, synced, renamed, its directory synced.
//!
//! Whoever finds it under its name can use it; what a tool that was ended leaves has another name
//! and is overwritten next time.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// See the module. Dropped without [`WholeFile::finish`] it leaves nothing.
pub(super) struct WholeFile {
    path: PathBuf,
    aside: PathBuf,
    file: Option<BufWriter<File>>,
}

impl WholeFile {
    /// Begins. Refuses a path where something is already.
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        if path.exists() {
            return Err(format!("{} exists already", path.display()));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let aside = PathBuf::from(name);
        // The data of a database is nobody else's business.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&aside);
        let file = file.map_err(|why| format!("{}: {why}", aside.display()))?;
        let file = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self { path: path.to_owned(), aside, file })
    }

    /// Writes on.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    /// Makes it durable and gives it its name.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let failed = |why: io::Error| format!("{}: {why}", self.path.display());
        if let Some(file) = self.file.take() {
            let file = file.into_inner().map_err(|why| failed(why.into_error()));
            let synced = file.and_then(|file| file.sync_all().map_err(failed));
            if let Err(why) = synced {
                drop(std::fs::remove_file(&self.aside));
                return Err(why);
            }
        }
        std::fs::rename(&self.aside, &self.path).map_err(failed)?;
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = File::open(dir.unwrap_or(Path::new(".")));
        dir.and_then(|dir| dir.sync_all()).map_err(failed)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            drop(std::fs::remove_file(&self.aside));
        }
    }
}
