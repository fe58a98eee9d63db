//! Apply: openraft's state machine on the keyspace. The only writer of the keyspace.
//!
//! Entries arrive in log order. Commands are applied under the write lock; on the replica that
//! sealed them, the plan (taken from [`Proposed`](crate::write::queue::Proposed) by term and seed)
//! makes the replies, which go straight to the sessions. Long work runs off the event loop. Memory
//! is volatile: after a restart it is snapshot plus log.

use crate::env::Env;
use crate::lock::lock;
use crate::raft::types::{Config, Data, DataKind, Entry, LogId, SnapshotMeta, StoredMembership};
use crate::shared::Shared;
use crate::snapshot::content::{Builder, Content, Received};
use crate::snapshot::facts;
use crate::snapshot::feed::FeedEnd;
use crate::write::queue::{End, Work};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::EntryPayload;
use openraft::alias::SnapshotOf;
use openraft::storage::{EntryResponder, RaftStateMachine};
use quorate_engine::{Applied, Effects, Keyspace, Outcome, Plan, Stamp};
use quorate_store::StoreError;
use std::io;
use std::sync::Arc;

/// See the module.
pub(crate) struct StateMachine<E: Env> {
    shared: Arc<Shared<E>>,
    last: Option<LogId<Config<E>>>,
    /// The snapshot that Raft was last told of.
    told: Option<LogId<Config<E>>>,
}

impl<E: Env> StateMachine<E> {
    /// A machine whose keyspace is as of `meta`.
    pub(crate) fn new(shared: Arc<Shared<E>>, meta: SnapshotMeta<Config<E>>) -> Self {
        let SnapshotMeta::<Config<E>> { last_log_id, last_membership } = meta;
        if let Some(id) = last_log_id {
            shared.applied.set(id.leader_id.term, id.index);
        }
        *lock(&shared.membership) = last_membership;
        Self { shared, last: last_log_id, told: last_log_id }
    }

    fn membership(&self) -> StoredMembership<Config<E>> {
        lock(&self.shared.membership).clone()
    }

    fn meta(&self) -> SnapshotMeta<Config<E>> {
        SnapshotMeta::<Config<E>> { last_log_id: self.last, last_membership: self.membership() }
    }

    async fn apply_entry(&mut self, entry: Entry<Config<E>>) -> Result<(), io::Error> {
        let id = entry.log_id;
        self.last = Some(id);
        match entry.payload {
            EntryPayload::Blank => {
                self.shared.applied.set(id.leader_id.term, id.index);
                // The first of its leader's term: what is held goes on.
                self.shared.queue.wake();
            }
            EntryPayload::Membership(membership) => {
                let mut place = lock(&self.shared.membership);
                self.shared.guard.members().see(place.membership(), &membership, id.index);
                *place = openraft::StoredMembership::new(Some(id), membership);
                drop(place);
                self.shared.applied.set(id.leader_id.term, id.index);
            }
            EntryPayload::Normal(data) => match data.kind {
                DataKind::Commands => self.apply_commands(id, data).await?,
                DataKind::Cut => self.apply_cut(id, &data).await,
                DataKind::Fact => self.apply_fact(id, &data)?,
            },
        }
        Ok(())
    }

    async fn apply_commands(&self, id: LogId<Config<E>>, data: Data) -> Result<(), io::Error> {
        let shared = &self.shared;
        let term = id.leader_id.term;
        let (plan, items) = match shared.proposed.take(term, data.seed) {
            Some(batch) => (Some(batch.plan), batch.items),
            None => (None, Vec::new()),
        };
        if data.is_inexact() {
            let marked = shared.log.mark_inexact(id.index);
            marked.map_err(|error| io::Error::other(error.to_string()))?;
        }
        shared.saving.room().await;
        let at = Applied { index: id.index, stamp: Stamp { now_ms: data.now_ms, seed: data.seed } };
        let tells = shared.followers.any();
        let outcome = if data.is_heavy() {
            let mut keyspace = shared.keyspace.clone().write_owned().await;
            let this = shared.clone();
            let work = move || {
                let done = apply(&mut keyspace, at, (&data.payload, plan.as_ref()), tells);
                this.see(&keyspace);
                done.map_err(str::to_owned)
            };
            shared.env.heavy(work).await
        } else {
            let mut keyspace = shared.keyspace.write().await;
            let done = apply(&mut keyspace, at, (&data.payload, plan.as_ref()), tells);
            shared.see(&keyspace);
            done.map_err(str::to_owned)
        };
        let (Outcome { replies, effects }, told) = outcome.map_err(|what| {
            let text = format!("entry {id} cannot be applied: {what}");
            shared.failure.set(text.clone());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        if let Some(told) = told {
            shared.followers.tell(id.index, &told);
        }
        shared.applied.set(term, id.index);
        let mut replies = replies.into_iter();
        for item in items {
            let reply = match item.work {
                Work::Run(_) => replies.next().unwrap_or_default(),
                Work::Tick | Work::Cut | Work::Fact(_) => bytes::Bytes::new(),
            };
            item.slot.answer(End::Applied(id.index, reply));
        }
        self.send(effects);
        Ok(())
    }

    /// Garbage is dropped by the server, off this path.
    fn send(&self, effects: Effects) {
        if !effects.list.is_empty() || !effects.garbage.is_empty() {
            let _ = self.shared.effects.send(effects);
        }
    }

    fn apply_fact(&self, id: LogId<Config<E>>, data: &Data) -> Result<(), io::Error> {
        let applied = self.shared.guard.members().apply(&data.payload);
        applied.map_err(|what| {
            let text = format!("entry {id} cannot be applied: {what}");
            self.shared.failure.set(text.clone());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        self.conclude(id, data);
        Ok(())
    }

    /// An entry without commands is applied: whoever asked for it hears its index.
    fn conclude(&self, id: LogId<Config<E>>, data: &Data) {
        let (term, index) = (id.leader_id.term, id.index);
        self.shared.applied.set(term, index);
        for item in self.shared.proposed.take(term, data.seed).into_iter().flat_map(|b| b.items) {
            item.slot.answer(End::Applied(index, bytes::Bytes::new()));
        }
    }

    async fn apply_cut(&mut self, id: LogId<Config<E>>, data: &Data) {
        // While the log is replayed at a start there is no Raft yet, and a snapshot of an old cut
        // is of no use.
        if self.shared.raft().is_some() {
            drop(self.shared.save(self.meta()).await);
        }
        self.conclude(id, data);
        self.shared.comparing.now();
    }
}

/// Applies, and tells followers if there are any.
fn apply(
    keyspace: &mut Keyspace,
    at: Applied,
    (payload, plan): (&[u8], Option<&Plan>),
    tells: bool,
) -> Result<(Outcome, Option<Bytes>), &'static str> {
    if !tells {
        return Ok((quorate_engine::apply(keyspace, at, payload, plan)?, None));
    }
    let (outcome, told) = quorate_engine::apply_told(keyspace, at, payload, plan)?;
    Ok((outcome, Some(told)))
}

impl<E: Env> RaftStateMachine<Config<E>> for StateMachine<E> {
    type SnapshotData = Content<E>;
    type SnapshotBuilder = Builder<E>;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogId<Config<E>>>, StoredMembership<Config<E>>), io::Error> {
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
                self.shared.queue.wake();
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
        let newest = lock(&self.shared.kept).as_ref().and_then(|kept| kept.meta.last_log_id);
        if newest <= self.told {
            return None;
        }
        self.told = newest;
        Some(Builder { shared: self.shared.clone(), saved: None })
    }

    async fn get_snapshot_builder(&mut self) -> Builder<E> {
        let saved = self.shared.save(self.meta()).await;
        Builder { shared: self.shared.clone(), saved: Some(saved) }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<Config<E>>,
        content: Content<E>,
    ) -> Result<(), io::Error> {
        let (snapshots, log) = (self.shared.snapshots.clone(), self.shared.log.clone());
        let cluster = self.shared.settings.cluster;
        let installed = self
            .shared
            .env
            .heavy(move || {
                let (file, keyspace, members) = match content {
                    Content::Received(received) => {
                        let Received { incoming, keyspace, members } = *received;
                        (snapshots.install(&log, incoming), keyspace, members)
                    }
                    Content::Kept(file, kept) => {
                        let text = |error: StoreError| error.to_string();
                        let reader = kept.reader(&file).map_err(text)?;
                        let mut draft = snapshots.begin(&log).map_err(text)?;
                        let mut copy = |piece: &[u8]| draft.write(piece);
                        let (keyspace, facts) = facts::load::<E>(&reader, cluster, &mut copy)?;
                        draft.complete().map_err(text)?;
                        (snapshots.publish(&log, file.last, draft), keyspace, facts.members)
                    }
                };
                Ok::<_, String>((file.map_err(|error| error.to_string())?, keyspace, members))
            })
            .await;
        let (file, keyspace, members) = installed.map_err(io::Error::other)?;
        let old = {
            let mut place = self.shared.keyspace.write().await;
            self.shared.see(&keyspace);
            std::mem::replace(&mut *place, keyspace)
        };
        let index = meta.last_log_id.map_or(0, |id| id.index);
        self.shared.followers.end(FeedEnd::Replaced(index));
        self.shared.saving.loaded(self.shared.env.wall_ms() / 1000);
        self.last = meta.last_log_id;
        self.told = meta.last_log_id;
        *lock(&self.shared.membership) = meta.last_membership.clone();
        *self.shared.guard.members() = members;
        self.shared.keep(file, meta.clone());
        if let Some(id) = meta.last_log_id {
            self.shared.applied.set(id.leader_id.term, id.index);
            tracing::info!(index = id.index, "snapshot installed");
        }
        self.shared.hand_over(old.into_garbage());
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Config<E>, Content<E>>>, io::Error> {
        Ok(self.shared.newest_snapshot())
    }
}
