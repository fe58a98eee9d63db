//! The disk as the store sees it: a small trait, so that the same code runs on a disk that loses
//! what was not synced.
//!
//! [`OsDisk`] is the real one; tests and the simulation use `FakeDisk`. Nothing above this room
//! calls `std::fs`, but for `facts`, whose library brings its own files, and `set_aside`.

mod descriptors;
#[cfg(any(test, feature = "fake"))]
mod fake;
mod os;

#[cfg(any(test, feature = "fake"))]
pub use fake::{FakeDisk, FakeFile};
pub use os::OsDisk;

use std::io;

/// An open file. All positions in bytes. Methods take `&self`: a file may be read while it is
/// written.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads at `offset` into `into`; returns how many bytes there were (fewer only at the end of
    /// the file).
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all pieces one behind the other, starting at `offset`.
    fn write_at(&self, pieces: &[&[u8]], offset: u64) -> io::Result<()>;
    /// Makes everything written durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Nobody is about to read it: the memory that its bytes are kept in may be used for others.
    /// What is not on the disk yet is on its way there afterwards, and stays in memory for so long.
    fn forget(&self) {}
}

/// A directory tree. Paths are relative to its root, with `/`.
pub trait Disk: Clone + Send + Sync + 'static {
    /// Its files.
    type File: DiskFile;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &str) -> io::Result<Self::File>;
    /// Creates a file, or empties it if it exists.
    fn create(&self, path: &str) -> io::Result<Self::File>;
    /// Names in a directory (not its subdirectories' names), sorted; empty when the directory does
    /// not exist.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Creates a directory and its parents.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Renames a file, replacing the target.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes names in a directory durable (`fsync` of the directory).
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Bytes free for this process.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Bytes of the whole disk; `None` where it has no bound.
    fn total_bytes(&self) -> io::Result<Option<u64>>;
    /// Takes the directory's lock for as long as the returned guard lives; `WouldBlock` when
    /// another holds it.
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>>;
}
