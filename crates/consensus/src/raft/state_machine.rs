//! Apply: openraft's state machine on the state that is served.
//!
//! Entries arrive in log order and are folded in under the write lock; on the replica that sealed
//! them, the plan (taken from [`Proposed`](crate::write::queue::Proposed) by term and seed) makes
//! the replies, which go straight to the sessions. Long work runs off the event loop. Memory is
//! volatile: after a restart it is snapshot plus log, folded in by the same [`fold`].

use crate::api::Shown;
use crate::bus::carry::Bus;
use crate::env::{Check, Env};
use crate::group::Group;
use crate::live::Live;
use crate::lock::lock;
use crate::membership::members::Members;
use crate::process::Process;
use crate::raft::fold::{self, ApplyError, Folded, Listening, Parts};
use crate::raft::log::RaftLog;
use crate::raft::types::{Config, DataKind, Entry, LogId, SnapshotMeta, StoredMembership};
use crate::snapshot::content::{Content, Received};
use crate::snapshot::facts::{self, Unreadable};
use crate::snapshot::feed::FeedEnd;
use crate::snapshot::take::{Saved, Snapshotter};
use crate::write::Writes;
use crate::write::blocked::give_back;
use crate::write::queue::{End, answer};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::EntryPayload;
use openraft::alias::SnapshotOf;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use quorate_engine::{Keyspace, Outcome, Plan, Served};
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// See the module.
pub(crate) struct StateMachine<E: Env> {
    process: Arc<Process<E>>,
    live: Arc<Live>,
    log: Arc<RaftLog<E>>,
    writes: Arc<Writes>,
    snapshots: Arc<Snapshotter<E>>,
    bus: Arc<Bus<E>>,
    last: Option<LogId>,
    /// The snapshot that Raft was last told of.
    told: Option<LogId>,
}

impl<E: Env> StateMachine<E> {
    /// The state machine of a group whose state is as of `last`.
    pub(crate) fn new(group: &Group<E>, last: Option<LogId>) -> Self {
        let Group { process, keyspace: live, log, writes, snapshots, bus, .. } = group.clone();
        if let Some(id) = last {
            live.applied.set(id.leader_id.term, id.index);
        }
        Self { process, live, log, writes, snapshots, bus, last, told: last }
    }

    fn membership(&self) -> StoredMembership {
        lock(&self.live.membership).clone()
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership() }
    }

    async fn apply_entry(&mut self, entry: Entry) -> Result<(), io::Error> {
        let LogId { leader_id, index, .. } = entry.log_id;
        let term = leader_id.term;
        self.last = Some(entry.log_id);
        match &entry.payload {
            EntryPayload::Normal(data) => match (data.kind, data.seed) {
                (DataKind::Commands, seed) => self.apply_commands(entry, seed).await?,
                (DataKind::Fact, seed) => {
                    self.fold(entry, None).await?;
                    self.conclude((term, index), seed);
                }
                (DataKind::Cut, seed) => {
                    // Never while Raft itself applies again at a start: loading left it nothing.
                    drop(self.snapshots.save(self.meta()).await);
                    self.conclude((term, index), seed);
                    self.live.comparing.now();
                }
            },
            EntryPayload::Blank => {
                self.live.applied.set(term, index);
                // The first of its leader's term: what is held goes on.
                self.writes.queue.wake();
            }
            EntryPayload::Membership(_) => {
                self.fold(entry, None).await?;
                self.live.applied.set(term, index);
                self.bus.see_members();
            }
        }
        Ok(())
    }

    async fn apply_commands(&self, entry: Entry, seed: u64) -> Result<(), io::Error> {
        let LogId { leader_id, index, .. } = entry.log_id;
        let term = leader_id.term;
        let (plan, items) = match self.writes.proposed.take(term, seed) {
            Some(batch) => (Some(batch.plan), batch.items),
            None => (None, Vec::new()),
        };
        let places = plan.as_ref().map(Plan::places).unwrap_or_default();
        let marked = fold::mark(&self.log.entries, &entry);
        marked.map_err(|error| io::Error::other(error.to_string()))?;
        self.live.backlog.room().await;
        let Folded { outcome, told } = self.fold(entry, plan).await?;
        let Outcome { replies, served, effects } = outcome;
        if let Some(told) = told {
            self.live.feeds.tell(index, &told);
        }
        // First, so that no subscriber of this node hears of the entry after its writer. Garbage is
        // dropped by the server, off this path.
        self.bus.hasten(&effects, &self.log.tail);
        self.process.carry_out(effects);
        // Before the index shows it: who registers again says how much is applied.
        self.serve(&served, index);
        self.live.applied.set(term, index);
        answer(items, index, replies, &places);
        Ok(())
    }

    /// Answers those of this process who waited, and has the others' nodes apply this at once.
    fn serve(&self, served: &[Served], index: u64) {
        if served.is_empty() {
            return;
        }
        let (me, incarnation) = (self.process.me.node, self.process.guard.start().incarnation);
        for Served { waiter, reply } in served {
            if waiter.node != me {
                self.log.tail.gate(waiter.node).open();
            } else if waiter.incarnation == incarnation
                && let Some(back) = self.writes.waiters.serve(waiter.id, reply, index)
                && !self.process.env.skips(Check::GiveBack)
            {
                tracing::info!(index, "what came for a client that is gone is given back");
                let (writes, process) = (self.writes.clone(), self.process.clone());
                E::spawn(async move { give_back(&writes, &process, back).await });
            }
        }
    }

    /// Folds an entry into the state that is served: long work beside the event loop.
    async fn fold(&self, entry: Entry, plan: Option<Plan>) -> Result<Folded, io::Error> {
        let tells = self.live.feeds.any();
        let is_heavy = matches!(&entry.payload, EntryPayload::Normal(data) if data.is_heavy());
        let folded = if is_heavy {
            let mut keyspace = self.live.write_owned().await;
            let (live, process) = (self.live.clone(), self.process.clone());
            let work = move || {
                let held = Held { keyspace: &mut keyspace, live: &live, process: &process };
                held.fold(&entry, Listening { plan: plan.as_ref(), tells })
            };
            self.process.env.heavy(work).await
        } else {
            let mut keyspace = self.live.write().await;
            let (live, process) = (&*self.live, &*self.process);
            let held = Held { keyspace: &mut keyspace, live, process };
            held.fold(&entry, Listening { plan: plan.as_ref(), tells })
        };
        folded.map_err(|error| {
            self.process.failure.set(error.to_string());
            io::Error::new(io::ErrorKind::InvalidData, error)
        })
    }

    /// An entry without commands is applied: whoever asked for it hears its index.
    fn conclude(&self, (term, index): (u64, u64), seed: u64) {
        self.live.applied.set(term, index);
        for item in self.writes.proposed.take(term, seed).into_iter().flat_map(|b| b.items) {
            item.slot.answer(End::Applied(Shown::up_to(index), Bytes::new()));
        }
    }
}

/// The state that is served, with the keyspace held.
struct Held<'a, E: Env> {
    keyspace: &'a mut Keyspace,
    live: &'a Live,
    process: &'a Process<E>,
}

impl<E: Env> Held<'_, E> {
    fn fold(mut self, entry: &Entry, listening: Listening<'_>) -> Result<Folded, ApplyError> {
        // With the state held: whoever has read it has said by now what it wants to hear.
        self.keyspace.note_changes(self.process.audience.wanted.any());
        let folded = fold::apply_entry(&mut self, entry, listening);
        self.live.see(self.keyspace);
        folded
    }
}

impl<E: Env> Parts for Held<'_, E> {
    fn keyspace(&mut self) -> &mut Keyspace {
        self.keyspace
    }

    fn change_members(
        &mut self,
        change: impl FnOnce(&mut StoredMembership, &mut Members) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        change(&mut lock(&self.live.membership), &mut self.process.guard.members())
    }
}

/// Hands a snapshot to Raft. What takes time happened before (see `take`), because Raft takes a
/// builder's failure for the end of the disk.
pub(crate) struct Builder<E: Env> {
    snapshots: Arc<Snapshotter<E>>,
    /// One that is still being taken; otherwise the newest one is meant.
    saved: Option<oneshot::Receiver<Saved>>,
}

impl<E: Env> RaftSnapshotBuilder<Config<E>> for Builder<E> {
    type SnapshotData = Content<E::Disk>;

    async fn build_snapshot(
        &mut self,
    ) -> Result<SnapshotOf<Config<E>, Content<E::Disk>>, io::Error> {
        if let Some(saved) = self.saved.take() {
            let outcome = saved.await.map_err(|_| io::Error::other("stopping"))?;
            outcome.map_err(io::Error::other)?;
        }
        let newest = self.snapshots.handle();
        newest.ok_or_else(|| io::Error::other("there is no snapshot"))
    }
}

impl<E: Env> RaftStateMachine<Config<E>> for StateMachine<E> {
    type SnapshotData = Content<E::Disk>;
    type SnapshotBuilder = Builder<E>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last, self.membership()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Config<E>>, io::Error>> + Unpin + Send,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let blank = matches!(entry.payload, EntryPayload::Blank);
            self.apply_entry(entry).await?;
            if blank {
                // A new leader may seal now.
                self.writes.queue.wake();
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    /// Raft asks when a snapshot is there (then without force), and at a start that needs one.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder<E>> {
        if force {
            return Some(self.get_snapshot_builder().await);
        }
        let newest = self.snapshots.newest_meta().and_then(|meta| meta.last_log_id);
        if newest <= self.told {
            return None;
        }
        self.told = newest;
        Some(Builder { snapshots: self.snapshots.clone(), saved: None })
    }

    async fn get_snapshot_builder(&mut self) -> Builder<E> {
        let saved = self.snapshots.save(self.meta()).await;
        Builder { snapshots: self.snapshots.clone(), saved: Some(saved) }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        content: Content<E::Disk>,
    ) -> Result<(), io::Error> {
        let (snapshots, log) = (self.snapshots.files.clone(), self.log.entries.clone());
        let cluster = self.process.cluster;
        let installed = self.process.env.heavy(move || {
            let (file, keyspace, members) = match content {
                Content::Received(received) => {
                    let Received { incoming, keyspace, members } = *received;
                    (snapshots.install(&log, incoming), keyspace, members)
                }
                Content::Kept(file, kept) => {
                    let reader = kept.reader(&file)?;
                    let mut draft = snapshots.begin(&log)?;
                    let mut copy = |piece: &[u8]| draft.write(piece);
                    let (keyspace, facts) = facts::load(&reader, cluster, &mut copy)?;
                    draft.complete()?;
                    (snapshots.publish(&log, file.last, draft), keyspace, facts.members)
                }
            };
            Ok::<_, Unreadable>((file?, keyspace, members))
        });
        let (file, keyspace, members) = installed.await.map_err(io::Error::other)?;
        let old = {
            let mut place = self.live.write().await;
            self.live.see(&keyspace);
            std::mem::replace(&mut *place, keyspace)
        };
        let index = meta.last_log_id.map_or(0, |id| id.index);
        self.process.audience.listener.replaced();
        self.live.feeds.end(FeedEnd::Replaced(index));
        self.snapshots.saving.loaded(self.process.env.wall_ms() / 1000);
        self.last = meta.last_log_id;
        self.told = meta.last_log_id;
        *lock(&self.live.membership) = meta.last_membership.clone();
        *self.process.guard.members() = members;
        self.bus.see_members();
        self.snapshots.keep(file, meta.clone());
        if let Some(id) = meta.last_log_id {
            self.live.applied.set(id.leader_id.term, id.index);
            tracing::info!(index = id.index, "snapshot installed");
        }
        self.process.free(old.into_garbage());
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Config<E>, Content<E::Disk>>>, io::Error> {
        Ok(self.snapshots.handle())
    }
}
