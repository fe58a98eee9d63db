//! The disk of the operating system: positioned reads and writes, `fdatasync`, and what removing a
//! large file takes.
//!
//! A directory is private to its user, and locked by the process that writes it. Files that are
//! needed in order to go on are opened with a descriptor that was kept back.

use super::{Disk, DiskFile};
use crate::disk::descriptors::Spares;
use rustix::fs::{Advice, FlockOperation};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pieces the kernel takes in one `pwritev` (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// The operating system's disk below one root directory (created 0700, files 0600).
#[derive(Clone, Debug)]
pub struct OsDisk {
    root: Arc<PathBuf>,
    spares: Arc<Spares>,
}

impl OsDisk {
    /// Uses `root`, which is created if needed.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        make_private_dir(&root)?;
        Ok(Self { root: Arc::new(root), spares: Arc::new(Spares::new()) })
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// Creates a directory and its parents, for this user alone.
fn make_private_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for OsDisk {
    type File = File;

    fn open(&self, path: &str) -> io::Result<File> {
        let file = self.spares.open(|| options().open(self.at(path)))?;
        // After a failed fsync the kernel keeps pages that never reached the disk and calls them
        // clean. Forget clean pages before reading, so that recovery sees what the disk has and not
        // what memory still believes.
        file.forget();
        Ok(file)
    }

    fn create(&self, path: &str) -> io::Result<File> {
        self.spares.open(|| options().create(true).truncate(true).open(self.at(path)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let listing = match self.spares.open(|| std::fs::read_dir(self.at(dir))) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for item in listing {
            let item = item?;
            if !item.file_type()?.is_dir() {
                names.push(item.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        make_private_dir(&self.at(dir))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.at(path);
        let large = options().open(&path).ok().filter(is_large);
        std::fs::remove_file(path)?;
        if let Some(file) = large
            && is_last_hold(&file)
        {
            // What cannot be cut goes when the file is closed.
            let _ = cut_down(&file);
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.spares.open(|| File::open(self.at(dir)))?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::statvfs(&*self.root)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    fn total_bytes(&self) -> io::Result<Option<u64>> {
        let facts = rustix::fs::statvfs(&*self.root)?;
        Ok(Some(facts.f_blocks.saturating_mul(facts.f_frsize)))
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let file = options().create(true).truncate(false).open(self.at("lock"))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }
}

/// A file that is removed is cut down by so many bytes at a time. A file system gives back the
/// blocks of a file in one transaction, and a sync of another file waits for that: removing 175 MB
/// kept the log's syncs waiting for 24 to 45 ms on ext4 with `discard`; cut down by 4 MiB, each
/// time with a sync, for no longer than without.
const CUT_BYTES: u64 = 4 << 20;

fn is_large(file: &File) -> bool {
    file.metadata().is_ok_and(|facts| facts.len() > CUT_BYTES)
}

/// Whether a file that has lost its name is held by this handle alone: no other name leads to it (a
/// backup's hard link), and nobody in this process still reads it. Where the kernel does not show
/// what is open, it counts as held.
fn is_last_hold(file: &File) -> bool {
    let Ok(own) = rustix::fs::fstat(file) else { return false };
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return false };
    let is_same = |path: PathBuf| {
        let other = rustix::fs::stat(path);
        other.is_ok_and(|other| (other.st_dev, other.st_ino) == (own.st_dev, own.st_ino))
    };
    own.st_nlink == 0 && open.flatten().filter(|fd| is_same(fd.path())).count() == 1
}

/// Gives a file's blocks back step by step.
fn cut_down(file: &File) -> io::Result<()> {
    let mut left = file.metadata()?.len();
    while left > 0 {
        left = left.saturating_sub(CUT_BYTES);
        file.set_len(left)?;
        file.sync_data()?;
    }
    Ok(())
}

impl DiskFile for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, pieces: &[&[u8]], mut offset: u64) -> io::Result<()> {
        for group in pieces.chunks(PIECES_MAX) {
            let mut slices: Vec<IoSlice<'_>> =
                group.iter().map(|piece| IoSlice::new(piece)).collect();
            let mut rest = slices.as_mut_slice();
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match rustix::io::pwritev(self, rest, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => {
                        offset += count as u64;
                        IoSlice::advance_slices(&mut rest, count);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|facts| facts.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn forget(&self) {
        // Advice may be refused, by a file system that has no such memory.
        let _ = rustix::fs::fadvise(self, 0, None, Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk in a directory of its own, with a file that is cut down when it is removed.
    fn with_large_file(name: &str) -> (OsDisk, File, Vec<u8>) {
        let dir = std::env::temp_dir().join(format!("quorate-{name}-{}", std::process::id()));
        let disk = OsDisk::new(dir).unwrap();
        let bytes = vec![7; usize::try_from(CUT_BYTES).unwrap() * 2 + 5];
        let file = disk.create("large").unwrap();
        DiskFile::write_at(&file, &[&bytes], 0).unwrap();
        (disk, file, bytes)
    }

    fn whole(file: &File, bytes: &[u8]) -> bool {
        let mut found = vec![0; bytes.len() + 1];
        DiskFile::read_at(file, &mut found, 0).unwrap() == bytes.len() && found.starts_with(bytes)
    }

    #[test]
    fn whoever_reads_a_removed_file_reads_all_of_it() {
        let (disk, file, bytes) = with_large_file("read");
        let other = disk.open("large").unwrap();
        drop(file);
        disk.remove("large").unwrap();
        assert!(whole(&other, &bytes));
        assert!(is_last_hold(&other));
        std::fs::remove_dir_all(disk.root()).unwrap();
    }

    #[test]
    fn a_hard_link_keeps_what_is_removed() {
        let (disk, file, bytes) = with_large_file("link");
        drop(file);
        std::fs::hard_link(disk.at("large"), disk.at("backup")).unwrap();
        disk.remove("large").unwrap();
        let kept = disk.open("backup").unwrap();
        assert!(whole(&kept, &bytes));
        std::fs::remove_dir_all(disk.root()).unwrap();
    }

    #[test]
    fn a_file_is_cut_down_once_nobody_else_has_it() {
        let (disk, file, _) = with_large_file("cut");
        let other = disk.open("large").unwrap();
        assert!(is_large(&file) && !is_last_hold(&file));
        std::fs::remove_file(disk.at("large")).unwrap();
        assert!(!is_last_hold(&file));
        drop(other);
        assert!(is_last_hold(&file));
        cut_down(&file).unwrap();
        assert!(DiskFile::is_empty(&file).unwrap());
        std::fs::remove_dir_all(disk.root()).unwrap();
    }
}
