//! Sending a snapshot: see the module above.
//!
//! The file is verified before its first byte leaves, in the same pass that finds out whether the
//! receiver's beginning is ours. One that is not as it was written is never sent: it is noted as
//! bad, and a new cut makes another.

use crate::env::Env;
use crate::peer::transport::{Request, Response, Transport};
use crate::process::Process;
use crate::proto as pb;
use crate::raft::convert;
use crate::raft::network::{Client, SNAPSHOT_STALL_MAX, failed, unreachable};
use crate::raft::types::{Config, Vote};
use crate::snapshot::content::Content;
use crate::snapshot::transfer::{Transfers, replace_damaged};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::errors::StreamingError;
use openraft::raft::SnapshotResponse;
use quorate_store::{Disk, SnapshotReader, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Chunks read from disk at once.
const CHUNKS_READ: usize = 4;
/// So long after a transfer the log it needs is still kept: replication goes on from there.
const HOLD_AFTER: Duration = Duration::from_secs(10);

/// The log behind a snapshot on its way is not purged while this lives.
struct Hold<D: Disk>(Arc<Transfers<D>>, u64);

impl<D: Disk> Drop for Hold<D> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

/// A snapshot on its way out.
struct Sending<E: Env> {
    process: Arc<Process<E>>,
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
        vote: Vote,
        snapshot: SnapshotOf<Config<E>, Content<E::Disk>>,
        progress: Arc<AtomicU64>,
    ) -> Result<SnapshotResponse<Config<E>>, StreamingError<Config<E>>> {
        let handles = &self.handles;
        let Content::Kept(file, snapshots) = snapshot.snapshot else {
            return Err(unsent::<E>("not on disk yet"));
        };
        if handles.transfers.is_bad(&file.path) {
            return Err(unsent::<E>("the snapshot is damaged, a new one is being made"));
        }
        let number = handles.transfers.hold(file.last.index);
        let hold = Hold(handles.transfers.clone(), number);
        let reader = snapshots.reader(&file);
        let reader = Arc::new(reader.map_err(|error| self.unreadable(&file.path, &error))?);
        let have = self.offer(&vote, &reader).await?;
        let (verifying, counted) = (reader.clone(), progress.clone());
        let verified = handles.process.env.heavy(move || {
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
            envelope: Some(handles.process.envelope(self.to.node)),
            vote: Some(convert::vote_to_pb(&vote)),
            last: snapshot.meta.last_log_id.map(convert::log_id_to_pb),
            bytes: reader.bytes(),
            membership: convert::membership_to_bytes(membership.membership()),
            membership_id: membership.log_id().map(convert::log_id_to_pb),
            offset,
            crc: Some(reader.crc()),
        };
        let sending = Sending {
            process: handles.process.clone(),
            reader,
            at: offset,
            read: Bytes::new(),
            progress,
        };
        let sent = handles.process.env.transport().snapshot(&self.to, chunks(head, sending)).await;
        let answer = sent.map_err(|error| StreamingError::from(failed::<E>(error)))?;
        E::spawn(async move {
            E::sleep(HOLD_AFTER).await;
            drop(hold);
        });
        let vote = convert::vote_from_pb(answer.vote).map_err(|what| unsent::<E>(what.0))?;
        Ok(SnapshotResponse::new(vote))
    }

    /// Asks how much of it the receiver has.
    async fn offer(
        &self,
        vote: &Vote,
        reader: &SnapshotReader<E::Disk>,
    ) -> Result<pb::OfferResponse, StreamingError<Config<E>>> {
        let last = reader.last();
        let request = pb::OfferRequest {
            envelope: Some(self.handles.process.envelope(self.to.node)),
            vote: Some(convert::vote_to_pb(vote)),
            last: Some(pb::LogId { term: last.term, index: last.index }),
            bytes: reader.bytes(),
            crc: reader.crc(),
        };
        let request = Request::Offer(request);
        match self.handles.process.env.call(&self.to, request, SNAPSHOT_STALL_MAX).await {
            Ok(Response::Offer(answer)) => Ok(answer),
            Ok(_) => Err(unsent::<E>("an answer to something else")),
            Err(error) => Err(StreamingError::from(failed::<E>(error))),
        }
    }

    /// A snapshot that cannot be read is not sent; if it is damaged another is made.
    fn unreadable(&self, path: &str, error: &StoreError) -> StreamingError<Config<E>> {
        if matches!(error, StoreError::Corrupt(_)) {
            replace_damaged(
                &self.handles.transfers,
                &self.handles.writes,
                (path, self.handles.process.env.elapsed()),
            );
        }
        unsent::<E>(error)
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
        let chunk = self.process.env.chunk_bytes();
        if self.read.is_empty() {
            let (reader, at) = (self.reader.clone(), self.at);
            let read = self.process.env.heavy(move || reader.read(at, chunk * CHUNKS_READ));
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
