//! Receiving a snapshot: see the module above.
//!
//! One at a time: the newest sender that speaks up takes over from the one before, for it has
//! either replaced it or is the same one after its connection broke. The work runs in a task of its
//! own, so that a connection that ends does not end it in the middle of a write; and off the event
//! loop, so that heartbeats and votes go on. What comes is decoded as it comes; when a transfer
//! goes on, what is there already is decoded first.

use super::Held;
use super::error::Unreceived;
use crate::api::RaftFailure;
use crate::env::Env;
use crate::group::Group;
use crate::peer::transport::{Refused, TransportError};
use crate::peer::trust::Trust;
use crate::proto as pb;
use crate::raft::types::Vote;
use crate::raft::{Raft, convert};
use crate::snapshot::content::{Content, Received};
use crate::snapshot::facts::{self, Facts};
use futures::future::{Either, select};
use futures::stream::{BoxStream, StreamExt};
use openraft::storage::Snapshot;
use quorate_engine::{Keyspace, SnapshotReader};
use quorate_store::{Incoming, IncomingId, StoreError};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// Bytes decoded at once of what is on disk already.
const READ_BYTES: usize = 1 << 20;

/// A snapshot as it comes: on disk, and decoded.
struct Arriving<E: Env> {
    incoming: Incoming<E::Disk>,
    reader: SnapshotReader,
}

type Chunks = BoxStream<'static, Result<pb::SnapshotChunk, TransportError>>;

/// Why a transfer ended early, and what becomes of what has come.
enum Broken {
    /// It stays: the sender goes on from there.
    Keep(Unreceived),
    /// It is of no use.
    Drop(Unreceived),
    /// The disk refused; it is looked at again.
    Disk(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Disk(error)
    }
}

/// Receives what a leader sends.
pub(crate) struct Receiver<E: Env> {
    group: Group<E>,
    raft: Raft<E>,
}

impl<E: Env> Receiver<E> {
    pub(crate) fn new(group: Group<E>, raft: Raft<E>) -> Self {
        Self { group, raft }
    }

    /// Looks at what an earlier process left of a snapshot, and removes what is of no use.
    pub(crate) async fn find_incoming(self: Arc<Self>) {
        let mut held = self.group.transfers.held.lock().await;
        match self.look(&mut held).await {
            Ok(()) => {}
            Err(why) => tracing::warn!(%why, "what has come of a snapshot cannot be read"),
        }
        if let Held::Part(incoming) = &*held {
            let (have, id) = (incoming.at().0, incoming.id());
            tracing::info!(
                have,
                of = id.bytes,
                index = id.last.index,
                "part of a snapshot is here"
            );
        }
    }

    /// Makes known what is on disk.
    async fn look(&self, held: &mut Held<E::Disk>) -> Result<(), StoreError> {
        if matches!(held, Held::Unknown) {
            let (snapshots, applied) =
                (self.group.snapshots.files.clone(), self.group.keyspace.applied.index());
            let cluster = self.group.process.cluster;
            let found = self.group.process.env.heavy(move || {
                let Some(found) = Incoming::resume(snapshots.disk())? else { return Ok(None) };
                let IncomingId { cluster: of, last, .. } = found.id();
                if of != cluster || last.index <= applied {
                    found.discard()?;
                    return Ok(None);
                }
                Ok::<_, StoreError>(Some(found))
            });
            *held = match found.await? {
                Some(incoming) => Held::Part(incoming),
                None => Held::Nothing,
            };
        }
        Ok(())
    }

    /// A deposed leader does not get a turn.
    fn fit_to_send(&self, vote: Option<pb::Vote>) -> Result<Vote, Unreceived> {
        let vote = convert::vote_from_pb(vote).map_err(Unreceived::Malformed)?;
        let term = self.group.leadership.term();
        if vote.leader_id.term < term {
            return Err(Unreceived::Deposed { theirs: vote.leader_id.term, term });
        }
        Ok(vote)
    }

    /// How much of a snapshot is here.
    pub(crate) async fn serve_offer(
        self: &Arc<Self>,
        request: pb::OfferRequest,
    ) -> Result<pb::OfferResponse, Unreceived> {
        self.fit_to_send(request.vote)?;
        let id = self.id(request.last, request.bytes, request.crc)?;
        let (this, (done, answer)) = (self.clone(), oneshot::channel());
        E::spawn(async move {
            this.group.transfers.take_turn();
            let mut held = this.group.transfers.held.lock().await;
            let looked = this.look(&mut held).await;
            let have = match &*held {
                Held::Part(incoming) if incoming.id() == id => incoming.at(),
                _ => (0, 0),
            };
            let _ = done.send(looked.map(|()| have));
        });
        let (bytes, crc) = answer.await.map_err(|_| Unreceived::Stopping)??;
        Ok(pb::OfferResponse { bytes, crc })
    }

    fn id(&self, last: Option<pb::LogId>, bytes: u64, crc: u32) -> Result<IncomingId, Unreceived> {
        let last = last.ok_or(Unreceived::Nothing)?;
        let last = quorate_store::LogId { term: last.term, index: last.index };
        Ok(IncomingId { cluster: self.group.process.cluster, last, bytes, crc })
    }

    /// Receives a snapshot and lets Raft install it.
    pub(crate) async fn serve_snapshot(
        self: Arc<Self>,
        trust: &Trust<E>,
        mut input: Chunks,
    ) -> Result<pb::SnapshotResponse, Refused> {
        use pb::snapshot_chunk::Part;
        let Some(Ok(pb::SnapshotChunk { part: Some(Part::Head(head)), .. })) = input.next().await
        else {
            return Err(Unreceived::NoHead.into());
        };
        trust.check_sender(head.envelope.as_ref(), head.last, head.vote.as_ref()).await?;
        let vote = self.fit_to_send(head.vote)?;
        let crc = head.crc.ok_or(Unreceived::NoChecksum)?;
        let id = self.id(head.last, head.bytes, crc)?;
        let turn = self.group.transfers.take_turn();
        let (done, answer) = oneshot::channel();
        E::spawn(async move {
            let _ = done.send(self.take_snapshot(vote, id, head.offset, (turn, input)).await);
        });
        Ok(answer.await.map_err(|_| Unreceived::Stopping)??)
    }

    async fn take_snapshot(
        &self,
        vote: Vote,
        id: IncomingId,
        offset: u64,
        (turn, input): (watch::Receiver<u64>, Chunks),
    ) -> Result<pb::SnapshotResponse, Unreceived> {
        // Until it is installed nobody else may touch the files.
        let mut held = self.group.transfers.held.lock().await;
        self.look(&mut held).await?;
        let begun = match std::mem::replace(&mut *held, Held::Unknown) {
            Held::Part(incoming) if incoming.id() == id && incoming.at().0 == offset => {
                Ok(incoming)
            }
            _ if offset == 0 => self.begin(id).await,
            _ => Err(Unreceived::Moved),
        };
        let came = match begun {
            Ok(incoming) => {
                let arriving = self.decode_again(&mut held, incoming).await?;
                self.take_chunks(&mut held, arriving, (turn, input)).await?
            }
            Err(why) => return Err(why),
        };
        let (incoming, keyspace, facts) = self.open_received(&mut held, came).await?;
        let Facts { meta, members, .. } = facts;
        let index = id.last.index;
        tracing::info!(index, bytes = id.bytes, from = offset, "snapshot received");
        let content = Content::Received(Box::new(Received { incoming, keyspace, members }));
        let snapshot = Snapshot { meta, snapshot: content };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
        let installed = installed.map_err(|error| Unreceived::Raft(RaftFailure::new(error)))?;
        // If Raft had no use for it, the files are still there, and are now.
        self.look(&mut held).await?;
        Ok(pb::SnapshotResponse { vote: Some(convert::vote_to_pb(&installed.vote)) })
    }

    async fn begin(&self, id: IncomingId) -> Result<Incoming<E::Disk>, Unreceived> {
        let (snapshots, log) = (self.group.snapshots.files.clone(), self.group.log.entries.clone());
        let begun = self.group.process.env.heavy(move || {
            let disk = snapshots.disk();
            Incoming::remove(disk)?;
            log.ask_for(id.bytes)?;
            Incoming::begin(disk, id)
        });
        begun.await.map_err(|why| Unreceived::NoRoom(id.bytes, why))
    }

    /// Decodes what came before.
    async fn decode_again(
        &self,
        held: &mut Held<E::Disk>,
        incoming: Incoming<E::Disk>,
    ) -> Result<Arriving<E>, Unreceived> {
        let mut arriving = Arriving::<E> { incoming, reader: SnapshotReader::new([0; 2]) };
        let decoded = self.group.process.env.heavy(move || {
            let decoded = arriving.decode_again();
            (arriving, decoded)
        });
        match decoded.await {
            (arriving, Ok(())) => Ok(arriving),
            (arriving, Err(broken)) => Err(self.settle(held, arriving.incoming, broken).await),
        }
    }

    /// Takes what comes, to the end.
    async fn take_chunks(
        &self,
        held: &mut Held<E::Disk>,
        mut arriving: Arriving<E>,
        (mut turn, mut input): (watch::Receiver<u64>, Chunks),
    ) -> Result<Arriving<E>, Unreceived> {
        loop {
            let next = match select(input.next(), pin!(turn.changed())).await {
                Either::Left((None, _)) => return Ok(arriving),
                Either::Left((Some(chunk), _)) => checked(chunk),
                Either::Right(_) => Err(Unreceived::Overtaken),
            };
            let (data, crc) = match next {
                Ok(next) => next,
                Err(why) => {
                    return Err(self.settle(held, arriving.incoming, Broken::Keep(why)).await);
                }
            };
            let taken = self.group.process.env.heavy(move || {
                let taken = arriving.take(&data, crc);
                (arriving, taken)
            });
            let (back, taken) = taken.await;
            arriving = back;
            if let Err(broken) = taken {
                return Err(self.settle(held, arriving.incoming, broken).await);
            }
        }
    }

    /// What becomes of a part whose transfer broke; gives the reason.
    async fn settle(
        &self,
        held: &mut Held<E::Disk>,
        incoming: Incoming<E::Disk>,
        broken: Broken,
    ) -> Unreceived {
        let (why, keep) = match broken {
            Broken::Keep(why) => (why, true),
            Broken::Drop(why) => (why, false),
            // Whoever filled the disk needs the space more than we do.
            Broken::Disk(error) => {
                let keep = !matches!(error, StoreError::Full);
                (Unreceived::Store(error), keep)
            }
        };
        tracing::info!(%why, have = incoming.at().0, keep, "a snapshot has not come whole");
        if keep {
            *held = Held::Part(incoming);
        } else if let Err(error) = self.group.process.env.heavy(move || incoming.discard()).await {
            tracing::warn!(%error, "a useless part of a snapshot cannot be removed");
        }
        why
    }

    /// Verifies and decodes what has come, off the event loop.
    async fn open_received(
        &self,
        held: &mut Held<E::Disk>,
        arriving: Arriving<E>,
    ) -> Result<(Incoming<E::Disk>, Keyspace, Facts), Unreceived> {
        let cluster = self.group.process.cluster;
        let opened = self.group.process.env.heavy(move || {
            let Arriving { mut incoming, reader } = arriving;
            let opened = open::<E>(&mut incoming, reader, cluster);
            (incoming, opened)
        });
        match opened.await {
            (incoming, Ok((keyspace, facts))) => Ok((incoming, keyspace, facts)),
            (incoming, Err(broken)) => Err(self.settle(held, incoming, broken).await),
        }
    }
}

impl<E: Env> Arriving<E> {
    /// Keeps and decodes a piece.
    fn take(&mut self, data: &[u8], crc: u32) -> Result<(), Broken> {
        self.incoming.add(data, crc)?;
        self.reader.feed(data).map_err(|why| Broken::Drop(Unreceived::Decode(why)))
    }

    fn decode_again(&mut self) -> Result<(), Broken> {
        let mut at = 0;
        while at < self.incoming.at().0 {
            let bytes = self.incoming.read(at, READ_BYTES)?;
            self.reader.feed(&bytes).map_err(|why| Broken::Drop(Unreceived::Decode(why)))?;
            at += bytes.len() as u64;
        }
        Ok(())
    }
}

/// A piece as it may be written.
fn checked(
    chunk: Result<pb::SnapshotChunk, TransportError>,
) -> Result<(bytes::Bytes, u32), Unreceived> {
    let chunk = chunk.map_err(Unreceived::Connection)?;
    let Some(pb::snapshot_chunk::Part::Data(data)) = chunk.part else {
        return Err(Unreceived::SecondHead);
    };
    if crc32c::crc32c(&data) != chunk.crc {
        return Err(Unreceived::DamagedChunk);
    }
    Ok((data, chunk.crc))
}

fn open<E: Env>(
    incoming: &mut Incoming<E::Disk>,
    reader: SnapshotReader,
    cluster: u128,
) -> Result<(Keyspace, Facts), Broken> {
    let id = incoming.id();
    if incoming.at().0 != id.bytes {
        return Err(Broken::Keep(Unreceived::Short));
    }
    match incoming.complete() {
        Err(why @ StoreError::Corrupt(_)) => return Err(Broken::Drop(Unreceived::Store(why))),
        outcome => outcome?,
    }
    let (keyspace, fields) =
        reader.finish().map_err(|why| Broken::Drop(Unreceived::Decode(why)))?;
    let facts = facts::accept(&fields, cluster);
    let facts = facts.map_err(|why| Broken::Drop(Unreceived::File(why)))?;
    if facts.meta.last_log_id.map(convert::log_id_to_store) != Some(id.last) {
        return Err(Broken::Drop(Unreceived::OtherHead));
    }
    Ok((keyspace, facts))
}
