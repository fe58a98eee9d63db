//! How far the log is known to be durable, said outside of it: a small file beside its directory.
//!
//! A segment that was put back as a whole, or a whole log, is consistent in itself. This file is
//! written like a segment's [foot](crate::foot), after each sync and before anybody hears of it,
//! but is never synced: the system writes it when it likes. It is therefore never ahead of the log,
//! and a log that ends before it is an older one. Lost or damaged, it says nothing.

use crate::StoreError;
use crate::disk::{Disk, DiskFile};
use crate::file::filler::filler;
use crate::file::foot::{self, FOOT_BYTES, Foot};
use crate::file::record::Place;
use std::io::ErrorKind;

/// Below the data directory.
pub(crate) const PATH: &str = "durable";
const AT: Place = Place { segment: 0, offset: 0 };

/// The open file.
pub(crate) struct Durable<F> {
    file: F,
    foot: Foot,
}

impl<F: DiskFile> Durable<F> {
    /// Opens the file, or makes one. It has its full size before anything is noted: a note that
    /// finds no space would end the log.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D) -> Result<Self, StoreError> {
        let file = match disk.open(PATH) {
            Err(error) if error.kind() == ErrorKind::NotFound => disk.create(PATH)?,
            outcome => outcome?,
        };
        if file.len()? < FOOT_BYTES {
            file.write_at(&[&filler(0, FOOT_BYTES as usize)], 0)?;
        }
        Ok(Self { file, foot: Foot::default() })
    }

    /// Everything up to record `seq` is durable.
    pub(crate) fn note(&mut self, seq: u64) -> Result<(), StoreError> {
        let bytes = self.foot.advance(seq, AT);
        self.file.write_at(&[&bytes], 0).map_err(StoreError::Io)
    }
}

/// What the file says; 0: nothing.
pub(crate) fn read<D: Disk>(disk: &D) -> Result<u64, StoreError> {
    let file = match disk.open(PATH) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        outcome => outcome?,
    };
    let mut bytes = vec![0; FOOT_BYTES as usize];
    let count = file.read_at(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(foot::read(&bytes, AT).durable.unwrap_or(0))
}
