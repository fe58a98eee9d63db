//! A snapshot for somebody outside: a backup client that asks as a Redis replica does. Its file was
//! verified when it was opened and stays readable although newer ones take its place; who makes the
//! snapshot is in `replica`.

use crate::env::Env;
use crate::snapshot::error::NoSnapshot;
use futures::future::BoxFuture;
use quorate_store::{Snapshots, StoreError};
use std::sync::Arc;

/// Reads bytes from an offset on, at most so many.
type Read = dyn Fn(u64, usize) -> BoxFuture<'static, Result<Vec<u8>, StoreError>> + Send + Sync;

/// A snapshot to be read in pieces; its file stays readable although newer ones take its place.
#[derive(Clone)]
pub struct Backup {
    bytes: u64,
    read: Arc<Read>,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Backup {
    /// Length of the whole.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// At most `bytes_max` bytes from `offset` on; fewer only at the end. Read beside the event
    /// loop.
    pub async fn read(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>, StoreError> {
        (self.read)(offset, bytes_max).await
    }

    /// Opens the newest snapshot, verified; also gives the last entry in it.
    pub(crate) async fn open<E: Env>(
        env: &E,
        files: &Arc<Snapshots<E::Disk>>,
    ) -> Result<(Self, u64), NoSnapshot> {
        let (files, env) = (files.clone(), env.clone());
        let opened = env.heavy(move || {
            let file = files.newest().ok_or(NoSnapshot::Never)?;
            let reader = files.reader(&file)?;
            reader.verify(0, &mut |_| ())?;
            Ok::<_, NoSnapshot>((reader, file.last.index))
        });
        let (reader, index) = opened.await?;
        let reader = Arc::new(reader);
        let bytes = reader.bytes();
        let read = move |offset, bytes_max| {
            let reader = reader.clone();
            env.heavy(move || reader.read(offset, bytes_max))
        };
        Ok((Self { bytes, read: Arc::new(read) }, index))
    }
}
