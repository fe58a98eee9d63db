//! A snapshot for somebody outside: a backup client that asks as a Redis replica does.
//!
//! Made for the purpose and verified before its first byte is sent. It stays readable for as long
//! as the client takes, also when newer ones have replaced it.

use crate::env::Env;
use crate::replica::Replica;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Reads bytes from an offset on, at most so many.
type Read = dyn Fn(u64, usize) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync;

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
    pub async fn read(&self, offset: u64, bytes_max: usize) -> Result<Vec<u8>, String> {
        (self.read)(offset, bytes_max).await
    }
}

impl<E: Env> Replica<E> {
    /// Makes a snapshot and opens it, verified.
    pub(crate) async fn backup(&self) -> Result<Backup, String> {
        self.backup_as_of().await.map(|(backup, _)| backup)
    }

    /// The same, with the last entry in it.
    pub(crate) async fn backup_as_of(&self) -> Result<(Backup, u64), String> {
        self.snapshot().await?;
        let (snapshots, env) = (self.shared.snapshots.clone(), self.shared.env.clone());
        let opened = env.heavy(move || {
            let file = snapshots.newest().ok_or("there is no snapshot")?;
            let reader = snapshots.reader(&file).map_err(|error| error.to_string())?;
            reader.verify(0, &mut |_| ()).map_err(|error| error.to_string())?;
            Ok::<_, String>((reader, file.last.index))
        });
        let (reader, index) = opened.await?;
        let reader = Arc::new(reader);
        let bytes = reader.bytes();
        let read = move |offset, bytes_max| {
            let reader = reader.clone();
            env.heavy(move || reader.read(offset, bytes_max).map_err(|error| error.to_string()))
        };
        Ok((Backup { bytes, read: Arc::new(read) }, index))
    }
}
