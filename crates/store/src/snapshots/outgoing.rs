//! A snapshot on its way out: read piece by piece, so that memory does not grow with it, and
//! verified.
//!
//! The file stays open, so it can be read to its end although a newer snapshot has taken its place
//! and its name is gone.

use crate::disk::{Disk, DiskFile};
use crate::file::manifest::{Base, base_path};
use crate::snapshots::unusable;
use crate::{LogId, StoreError};
use std::io::ErrorKind;

/// Bytes read at once while verifying.
const READ_BYTES: usize = 1 << 20;

/// One snapshot file, open.
pub struct SnapshotReader<D: Disk> {
    file: D::File,
    base: Base,
}

impl<D: Disk> std::fmt::Debug for SnapshotReader<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotReader").field("base", &self.base).finish_non_exhaustive()
    }
}

impl<D: Disk> SnapshotReader<D> {
    pub(crate) fn open(disk: &D, base: Base) -> Result<Self, StoreError> {
        let file = match disk.open(&base_path(base.number)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(unusable(&base_path(base.number)));
            }
            outcome => outcome?,
        };
        let this = Self { file, base };
        if this.file.len()? == base.bytes { Ok(this) } else { Err(this.unusable()) }
    }

    fn unusable(&self) -> StoreError {
        unusable(&base_path(self.base.number))
    }

    /// Last entry it covers.
    pub fn last(&self) -> LogId {
        self.base.last
    }

    /// Length.
    pub fn bytes(&self) -> u64 {
        self.base.bytes
    }

    /// CRC32C of the whole, as it was written.
    pub fn crc(&self) -> u32 {
        self.base.crc
    }

    /// At most `bytes_max` bytes from `offset` on; fewer only at the end.
    pub fn read(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>, StoreError> {
        let rest = usize::try_from(self.base.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; rest.min(bytes_max)];
        if self.file.read_at(&mut bytes, offset)? == bytes.len() {
            Ok(bytes)
        } else {
            Err(self.unusable())
        }
    }

    /// Reads all of it; [`StoreError::Corrupt`] unless it is as it was written. Gives the CRC32C of
    /// the first `upto` bytes. `step` is called with the bytes done so far.
    pub fn verify(&self, upto: u64, step: &mut dyn FnMut(u64)) -> Result<u32, StoreError> {
        let (mut at, mut crc, mut part) = (0, 0, 0);
        while at < self.base.bytes {
            let end = if at < upto { upto.min(self.base.bytes) } else { self.base.bytes };
            let want = READ_BYTES.min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let bytes = self.read(at, want)?;
            crc = crc32c::crc32c_append(crc, &bytes);
            at += bytes.len() as u64;
            if at <= upto {
                part = crc;
            }
            step(at);
        }
        if crc == self.base.crc { Ok(part) } else { Err(self.unusable()) }
    }
}
