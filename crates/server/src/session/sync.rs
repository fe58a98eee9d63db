//! Sending a snapshot to a backup client or a replica: `$<length>` and the bytes, read from its
//! file in pieces. A replica then follows (see [`follow`](super::follow)).
//!
//! Memory holds one piece, whatever the snapshot's size; the disk is read beside the event loop.
//! While the snapshot is being made the client gets a newline now and then, as from Redis, and
//! knows that nobody has died.

use super::Session;
use super::follow::waiting_max;
use crate::backend::Backend;
use crate::clients::KILL;
use crate::followers::Follower;
use crate::shared::Shared;
use quorate_consensus::{Backup, Feed, NoSnapshot};
use quorate_store::StoreError;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// Bytes read and sent at once.
const PIECE_BYTES: usize = 256 << 10;
/// A client that takes nothing for so long is given up.
const STALL_MAX: Duration = Duration::from_mins(1);
/// How often a client that waits hears that we live.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// One snapshot at a time goes out, for each makes the disk work.
struct Turn(Arc<Shared>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.sending_snapshot.store(false, Relaxed);
    }
}

/// One in the list of those that follow, for as long as it does.
struct Listed(Arc<Shared>, Arc<Follower>);

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.followers.remove(&self.1);
        self.1.peer.replica.store(false, Relaxed);
    }
}

/// Why the client has not been sent everything.
#[derive(Debug)]
enum Unsent {
    /// It was to be closed.
    Killed,
    /// It takes nothing any more.
    Stalled,
    Socket(std::io::Error),
    /// The snapshot's file could not be read.
    File(StoreError),
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed => f.write_str("the client was to be closed"),
            Self::Stalled => f.write_str("the client takes nothing any more"),
            Self::Socket(why) => write!(f, "{why}"),
            Self::File(why) => write!(f, "{why}"),
        }
    }
}

impl<B: Backend> Session<B> {
    /// Sends a snapshot, and what follows it unless the client wants the snapshot alone. When
    /// that fails half way, or ends, the connection is of no use any more.
    ///
    /// `heading`: it asked with PSYNC.
    pub(super) async fn send_snapshot(&mut self, heading: bool) {
        if self.shared.sending_snapshot.swap(true, Relaxed) {
            self.refuse_snapshot(heading, "a snapshot is being sent to another client already");
            return;
        }
        let turn = Turn(Arc::clone(&self.shared));
        let address = self.client.peer.address;
        tracing::info!(%address, "a client asks for a snapshot");
        // What was answered before goes first.
        let earlier = std::mem::take(&mut self.output);
        let outcome = match self.send(&earlier).await {
            Ok(()) if self.client.announced.rdb_only => self.serve_backup(heading).await,
            Ok(()) => self.serve_replica(heading, turn).await,
            Err(why) => Err(why),
        };
        if let Err(why) = outcome {
            tracing::warn!(%address, %why, "the snapshot was not sent");
            self.client.closing = true;
        }
    }

    /// Says that there is none now. After PSYNC a replica takes `-ERR` for a master that knows no
    /// PSYNC, and would ask with SYNC, without offsets; after this it asks again.
    fn refuse_snapshot(&mut self, heading: bool, why: &str) {
        let code = if heading { "NOMASTERLINK" } else { "ERR" };
        let line = format!("-{code} {}\r\n", why.replace(['\r', '\n'], " "));
        self.output.extend_from_slice(line.as_bytes());
    }

    /// Sends a snapshot and nothing behind it.
    async fn serve_backup(&mut self, heading: bool) -> Result<(), Unsent> {
        let node = self.node.clone();
        let Some(backup) = self.made(heading, node.backup()).await? else { return Ok(()) };
        if heading {
            let index = self.node.status().commit_index;
            let line = format!("+FULLRESYNC {:0<40} {index}\r\n", self.node.status().cluster);
            self.send(line.as_bytes()).await?;
        }
        let bytes = self.send_whole(&backup).await?;
        tracing::info!(address = %self.client.peer.address, bytes, "snapshot sent");
        Ok(())
    }

    /// Sends a snapshot and what is applied behind it, for as long as the replica takes it.
    async fn serve_replica(&mut self, heading: bool, turn: Turn) -> Result<(), Unsent> {
        let bytes_max = waiting_max(self.client.tuned.output_replica);
        let node = self.node.clone();
        let made = self.made(heading, node.follow(bytes_max)).await?;
        let Some((backup, feed)) = made else { return Ok(()) };
        if heading {
            let id = self.shared.followers.name(&self.shared.run_id);
            self.send(format!("+FULLRESYNC {id} 0\r\n").as_bytes()).await?;
        }
        let listed = self.list(&feed);
        let bytes = self.send_whole(&backup).await?;
        drop((backup, turn));
        let follower = Arc::clone(&listed.1);
        let address = self.client.peer.address;
        self.shared.followers.synced.fetch_add(1, Relaxed);
        tracing::info!(%address, bytes, "snapshot sent; the replica follows from here on");
        self.follow(feed, &follower, heading).await;
        Ok(())
    }

    /// Notes that the client follows.
    fn list(&self, feed: &Feed) -> Listed {
        let (peer, announced) = (&self.client.peer, &self.client.announced);
        let host = announced.host.clone().unwrap_or_else(|| peer.address.ip().to_string());
        let at = (host, announced.port);
        let follower = Arc::new(Follower::new(Arc::clone(peer), at, feed.index()));
        self.shared.followers.add(&follower);
        peer.replica.store(true, Relaxed);
        Listed(Arc::clone(&self.shared), follower)
    }

    async fn send_whole(&mut self, backup: &Backup) -> Result<u64, Unsent> {
        self.send(format!("${}\r\n", backup.bytes()).as_bytes()).await?;
        let mut at = 0;
        while at < backup.bytes() {
            let piece = backup.read(at, PIECE_BYTES).await.map_err(Unsent::File)?;
            self.send(&piece).await?;
            at += piece.len() as u64;
        }
        Ok(at)
    }

    /// Awaits a snapshot, with signs of life to the client; `None`: there is none, and the client
    /// was told.
    async fn made<T>(
        &mut self,
        heading: bool,
        making: impl Future<Output = Result<T, NoSnapshot>>,
    ) -> Result<Option<T>, Unsent> {
        let mut making = pin!(making);
        loop {
            match tokio::time::timeout(ALIVE_EVERY, making.as_mut()).await {
                Ok(Ok(made)) => return Ok(Some(made)),
                Ok(Err(why)) => {
                    let address = self.client.peer.address;
                    tracing::warn!(%address, %why, "there is no snapshot to be sent");
                    self.refuse_snapshot(heading, &why.to_string());
                    return Ok(None);
                }
                Err(_) => self.send(b"\n").await?,
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Unsent> {
        if self.client.peer.take_signals() & KILL != 0 {
            return Err(Unsent::Killed);
        }
        let sent = tokio::time::timeout(STALL_MAX, self.stream.write_all(bytes)).await;
        match sent {
            Ok(Ok(())) => {
                self.shared.stats.bytes_out.fetch_add(bytes.len() as u64, Relaxed);
                self.client
                    .peer
                    .active_ms
                    .store(self.client.peer.since.elapsed().as_millis() as u64, Relaxed);
                Ok(())
            }
            Ok(Err(why)) => Err(Unsent::Socket(why)),
            Err(_) => Err(Unsent::Stalled),
        }
    }
}
