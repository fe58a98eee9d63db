//! A snapshot in the making: written aside piece by piece, synced as it grows, and read back before
//! anybody relies on it.
//!
//! Nothing here lists it: `Snapshots::publish` does, once it is complete. Until then it can be
//! dropped at any point, and its file goes with it; after a crash the next start removes it.

use crate::disk::DiskFile;
use crate::manifest::{DIR, temporary_path};
use crate::{Disk, StoreError};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// After so many bytes they are synced, so that neither the sync in the end nor the log's in the
/// meantime waits for a great deal of data (Redis does the same).
const SYNC_EVERY: u64 = 4 << 20;
/// Bytes read back at once.
const READ_BYTES: usize = 1 << 20;

/// See the module.
pub struct Draft<D: Disk> {
    disk: D,
    path: String,
    file: D::File,
    buffer: Vec<u8>,
    /// Bytes in the file, and their CRC32C.
    at: u64,
    crc: u32,
    synced: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Growing,
    /// Durable and read back.
    Complete,
    /// The file has its final name.
    Moved,
}

impl<D: Disk> std::fmt::Debug for Draft<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("path", &self.path)
            .field("at", &self.at)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<D: Disk> Draft<D> {
    /// An empty one; `number` tells it from others of this process.
    pub(crate) fn create(disk: &D, number: u64) -> Result<Self, StoreError> {
        let path = temporary_path(&format!("base-{number}"));
        let file = disk.create(&path)?;
        let (disk, buffer) = (disk.clone(), Vec::with_capacity(BUFFER_BYTES));
        Ok(Self { disk, path, file, buffer, at: 0, crc: 0, synced: 0, state: State::Growing })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        for part in bytes.chunks(BUFFER_BYTES) {
            if self.buffer.len() + part.len() > BUFFER_BYTES {
                self.flush()?;
            }
            self.buffer.extend_from_slice(part);
        }
        Ok(())
    }

    /// Length so far.
    pub fn bytes(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.file.write_at(&[&self.buffer], self.at)?;
        self.at += self.buffer.len() as u64;
        self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
        self.buffer.clear();
        if self.at - self.synced >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync()?;
        self.synced = self.at;
        Ok(())
    }

    /// Nothing is added any more: syncs, and reads back what the disk has.
    /// [`StoreError::Corrupt`]: it has something else than was written.
    pub fn complete(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        self.sync()?;
        // Opened again: the bytes shall come from the disk and not from memory.
        let file = self.disk.open(&self.path)?;
        let mut buffer = vec![0; READ_BYTES.min(usize::try_from(self.at).unwrap_or(READ_BYTES))];
        let (mut at, mut crc) = (0, 0);
        while at < self.at {
            let count = file.read_at(&mut buffer, at)?;
            if count == 0 {
                break;
            }
            crc = crc32c::crc32c_append(crc, buffer.get(..count).unwrap_or_default());
            at += count as u64;
        }
        if (at, crc) != (self.at, self.crc) {
            let path = &self.path;
            let text = format!("{path} does not read back as it was written; is the disk failing?");
            return Err(StoreError::Corrupt(text));
        }
        self.state = State::Complete;
        Ok(())
    }

    /// Length and CRC32C of a complete one.
    pub(crate) fn sums(&self) -> Option<(u64, u32)> {
        (self.state == State::Complete).then_some((self.at, self.crc))
    }

    /// Gives the file its final name, durably.
    pub(crate) fn move_to(mut self, path: &str) -> Result<(), StoreError> {
        self.disk.rename(&self.path, path)?;
        self.state = State::Moved;
        self.disk.sync_dir(DIR)?;
        Ok(())
    }
}

impl<D: Disk> Drop for Draft<D> {
    fn drop(&mut self) {
        if self.state != State::Moved
            && let Err(error) = self.disk.remove(&self.path)
        {
            // The next start tries again.
            tracing::debug!(path = %self.path, %error, "cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests;
