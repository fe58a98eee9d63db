//! Sending a snapshot: see the module above.
//!
//! The file is verified before its first byte leaves, in the same pass that finds out whether the
//! receiver's beginning is ours. One that is not as it was written is never sent: it is noted as
//! bad, and a new cut makes another.

use crate::env::Env;
use crate::peer::transport::{Request, Response, Transport};
use crate::proto as pb;
use crate::raft::convert;
use crate::raft::network::{Client, SNAPSHOT_STALL_MAX, call, failed, unreachable};
use crate::raft::types::{Config, Vote};
use crate::shared::Shared;
use crate::snapshot::content::Content;
use crate::write::queue::{Slot, Work};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::errors::StreamingError;
use openraft::raft::SnapshotResponse;
use quorate_store::{SnapshotReader, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Chunks read from disk at once.
const CHUNKS_READ: usize = 4;
/// So long after a transfer the log it needs is still kept: replication goes on from there.
const HOLD_AFTER: Duration = Duration::from_secs(10);

/// How often the newest snapshot is read again.
const SCRUB_EVERY: Duration = Duration::from_hours(6);

/// The log behind a snapshot on its way is not purged while this lives.
struct Hold<E: Env>(Arc<Shared<E>>, u64);

impl<E: Env> Drop for Hold<E> {
    fn drop(&mut self) {
        self.0.transfers.release(self.1);
    }
}

/// A snapshot on its way out.
struct Sending<E: Env> {
    shared: Arc<Shared<E>>,
    reader: Arc<SnapshotReader<E::Disk>>,
    at: u64,
    /// Read and not yet sent.
    read: Bytes,
    progress: Arc<AtomicU64>,
}

impl<E: Env> Client<E> {
    /// All of it; `progress` rises with every step.
    pub(crate) async fn send_snapshot(
        &self,
        vote: Vote<Config<E>>,
        snapshot: SnapshotOf<Config<E>, Content<E>>,
        progress: Arc<AtomicU64>,
    ) -> Result<SnapshotResponse<Config<E>>, StreamingError<Config<E>>> {
        let shared = &self.shared;
        let Content::Kept(file, snapshots) = snapshot.snapshot else {
            return Err(unsent::<E>("not on disk yet"));
        };
        if shared.transfers.is_bad(&file.path) {
            return Err(unsent::<E>("the snapshot is damaged, a new one is being made"));
        }
        let number = shared.transfers.hold(file.last.index);
        let hold = Hold(shared.clone(), number);
        let reader = snapshots.reader(&file);
        let reader = Arc::new(reader.map_err(|error| self.unreadable(&file.path, &error))?);
        let have = self.offer(&vote, &reader).await?;
        let (verifying, counted) = (reader.clone(), progress.clone());
        let verified = shared.env.heavy(move || {
            verifying.verify(have.bytes, &mut |_| {
                counted.fetch_add(1, Ordering::AcqRel);
            })
        });
        let crc = verified.await.map_err(|error| self.unreadable(&file.path, &error))?;
        let same = have.bytes <= reader.bytes() && have.crc == crc;
        let offset = if same { have.bytes } else { 0 };
        let (to, of) = (&self.to.address, reader.bytes());
        tracing::info!(to, index = file.last.index, from = offset, of, "sending a snapshot");
        let membership = &snapshot.meta.last_membership;
        let head = pb::SnapshotHead {
            envelope: Some(shared.envelope(self.to.node)),
            vote: Some(convert::vote_to_pb::<E::Rt>(&vote)),
            last: snapshot.meta.last_log_id.map(convert::log_id_to_pb::<E::Rt>),
            bytes: reader.bytes(),
            membership: convert::membership_to_bytes(membership.membership()),
            membership_id: membership.log_id().map(convert::log_id_to_pb::<E::Rt>),
            offset,
            crc: Some(reader.crc()),
        };
        let sending =
            Sending { shared: shared.clone(), reader, at: offset, read: Bytes::new(), progress };
        let sent = shared.env.transport().snapshot(&self.to, chunks(head, sending)).await;
        let answer = sent.map_err(|error| StreamingError::from(failed::<E>(error)))?;
        E::spawn(async move {
            E::sleep(HOLD_AFTER).await;
            drop(hold);
        });
        let vote =
            convert::vote_from_pb::<E::Rt>(answer.vote).map_err(|what| unsent::<E>(what.0))?;
        Ok(SnapshotResponse::new(vote))
    }

    /// Asks how much of it the receiver has.
    async fn offer(
        &self,
        vote: &Vote<Config<E>>,
        reader: &SnapshotReader<E::Disk>,
    ) -> Result<pb::OfferResponse, StreamingError<Config<E>>> {
        let last = reader.last();
        let request = pb::OfferRequest {
            envelope: Some(self.shared.envelope(self.to.node)),
            vote: Some(convert::vote_to_pb::<E::Rt>(vote)),
            last: Some(pb::LogId { term: last.term, index: last.index }),
            bytes: reader.bytes(),
            crc: reader.crc(),
        };
        let request = Request::Offer(request);
        match call(&self.shared, &self.to, request, SNAPSHOT_STALL_MAX).await {
            Ok(Response::Offer(answer)) => Ok(answer),
            Ok(_) => Err(unsent::<E>("an answer to something else")),
            Err(error) => Err(StreamingError::from(failed::<E>(error))),
        }
    }

    /// A snapshot that cannot be read is not sent; if it is damaged another is made.
    fn unreadable(&self, path: &str, error: &StoreError) -> StreamingError<Config<E>> {
        if matches!(error, StoreError::Corrupt(_)) {
            self.shared.replace_snapshot(path);
        }
        unsent::<E>(error)
    }
}

impl<E: Env> Shared<E> {
    /// Notes a damaged snapshot and asks for a new one, once.
    pub(crate) fn replace_snapshot(&self, path: &str) {
        if self.transfers.note_bad(path) {
            tracing::error!(path, "a snapshot is damaged: it is not used, a new one is made");
            let (slot, _nobody) = oneshot::channel();
            self.queue.push(Work::Cut, Slot::Index(slot), self.env.elapsed());
        }
    }
}

/// Reads the newest snapshot again now and then: one that rotted is better replaced before somebody
/// needs it.
pub(crate) async fn scrub<E: Env>(shared: Arc<Shared<E>>) {
    while !shared.queue.is_closed() {
        E::sleep(SCRUB_EVERY).await;
        let snapshots = shared.snapshots.clone();
        let Some(file) = snapshots.newest() else { continue };
        let path = file.path.clone();
        let verified = shared.env.heavy(move || snapshots.reader(&file)?.verify(0, &mut |_| ()));
        match verified.await {
            Ok(_) => {}
            Err(StoreError::Corrupt(_)) => shared.replace_snapshot(&path),
            Err(error) => tracing::warn!(%error, path, "a snapshot cannot be read"),
        }
    }
}

fn unsent<E: Env>(why: impl ToString) -> StreamingError<Config<E>> {
    StreamingError::Unreachable(unreachable::<E>(why))
}

/// Head first, then the bytes.
fn chunks<E: Env>(
    head: pb::SnapshotHead,
    sending: Sending<E>,
) -> BoxStream<'static, pb::SnapshotChunk> {
    use pb::snapshot_chunk::Part;
    let head = pb::SnapshotChunk { part: Some(Part::Head(head)), crc: 0 };
    let data = stream::unfold(sending, |mut sending| async move {
        let data = match sending.next().await {
            Ok(data) => data?,
            Err(error) => {
                // The receiver sees that the end is missing, and the next try verifies again.
                tracing::warn!(%error, "a snapshot cannot be read to its end");
                return None;
            }
        };
        let crc = crc32c::crc32c(&data);
        Some((pb::SnapshotChunk { part: Some(Part::Data(data)), crc }, sending))
    });
    stream::once(async { head }).chain(data).boxed()
}

impl<E: Env> Sending<E> {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let chunk = self.shared.env.chunk_bytes();
        if self.read.is_empty() {
            let (reader, at) = (self.reader.clone(), self.at);
            let read = self.shared.env.heavy(move || reader.read(at, chunk * CHUNKS_READ));
            self.read = read.await?.into();
        }
        if self.read.is_empty() {
            return Ok(None);
        }
        let data = self.read.split_to(self.read.len().min(chunk));
        self.at += data.len() as u64;
        self.progress.fetch_add(1, Ordering::AcqRel);
        Ok(Some(data))
    }
}
