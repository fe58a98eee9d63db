//! Sending a snapshot to a backup client: `$<length>` and the bytes, read from its file in pieces.
//!
//! Memory holds one piece, whatever the snapshot's size; the disk is read beside the event loop.
//! While the snapshot is being made the client gets a newline now and then, as from Redis, and
//! knows that nobody has died.

use super::Session;
use crate::backend::Backend;
use crate::clients::KILL;
use crate::shared::Shared;
use quorate_consensus::Backup;
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

impl<B: Backend> Session<B> {
    /// Sends a snapshot; when that fails half way the connection is of no use any more.
    pub(super) async fn send_snapshot(&mut self, heading: bool) {
        if self.shared.sending_snapshot.swap(true, Relaxed) {
            self.output
                .extend_from_slice(b"-ERR a snapshot is being sent to another client already\r\n");
            return;
        }
        let turn = Turn(Arc::clone(&self.shared));
        let address = self.client.peer.address;
        tracing::info!(%address, "a client asks for a snapshot");
        match self.make_and_send(heading).await {
            Ok(bytes) => tracing::info!(%address, bytes, "snapshot sent"),
            Err(why) => {
                tracing::warn!(%address, why, "the snapshot was not sent");
                self.client.closing = true;
            }
        }
        drop(turn);
    }

    async fn make_and_send(&mut self, heading: bool) -> Result<u64, String> {
        if heading {
            let status = self.node.status();
            let id = format!("{:0<40}", status.cluster);
            let line = format!("+FULLRESYNC {id} {}\r\n", status.commit_index);
            self.output.extend_from_slice(line.as_bytes());
        }
        // What was answered before goes first.
        let earlier = std::mem::take(&mut self.output);
        self.send(&earlier).await?;
        let backup = match self.make().await {
            Ok(backup) => backup,
            Err(why) => {
                let line = format!("-ERR {}\r\n", why.replace(['\r', '\n'], " "));
                self.send(line.as_bytes()).await?;
                return Err(why);
            }
        };
        self.send(format!("${}\r\n", backup.bytes()).as_bytes()).await?;
        let mut at = 0;
        while at < backup.bytes() {
            let piece = backup.read(at, PIECE_BYTES).await?;
            self.send(&piece).await?;
            at += piece.len() as u64;
        }
        Ok(at)
    }

    /// Makes the snapshot, with signs of life to the client.
    async fn make(&mut self) -> Result<Backup, String> {
        let node = self.node.clone();
        let mut making = pin!(node.backup());
        loop {
            match tokio::time::timeout(ALIVE_EVERY, making.as_mut()).await {
                Ok(outcome) => return outcome,
                Err(_) => self.send(b"\n").await?,
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.client.peer.take_signals() & KILL != 0 {
            return Err("the client was to be closed".to_owned());
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
            Ok(Err(why)) => Err(why.to_string()),
            Err(_) => Err("the client takes nothing any more".to_owned()),
        }
    }
}
