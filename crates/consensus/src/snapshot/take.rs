//! Taking a snapshot, while everything else goes on.
//!
//! At a cut, apply freezes the keyspace, which costs the same for any number of keys, and spawns
//! the snapshotter. The snapshotter takes the keyspace for one short step at a time and writes what
//! the step gave to a draft; at the end the draft is synced, read back and published, and Raft is
//! told. What is changed meanwhile waits in the keyspace for the next step; when that is too much,
//! because the disk is slow, apply waits for the snapshotter. A failure costs the snapshot and
//! nothing else: the old one stays, writes go on, and the next cut tries again.

use crate::api::{LastSnapshot, SavingStatus};
use crate::env::Env;
use crate::live::Live;
use crate::lock::lock;
use crate::process::Process;
use crate::raft::convert;
use crate::raft::log::RaftLog;
use crate::raft::types::{Config, SnapshotMeta, log_id};
use crate::snapshot::content::{Content, Kept};
use crate::snapshot::error::NoSnapshot;
use crate::snapshot::facts::Facts;
use openraft::alias::SnapshotOf;
use openraft::storage::Snapshot;
use quorate_engine::{Checksum, FreezeStep, Frozen, Keyspace};
use quorate_store::{Draft, LogId, SnapshotFile, Snapshots, StoreError};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// The leader logs no cut of its own accord for so long after a snapshot failed.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// While entries are applied, the snapshotter takes one step for each, and waits no longer than
/// this for the next one.
///
/// It shares processors and disk with the clients, and a step in every turn of the loop is felt
/// less than a few of them in some. Five million keys under 50 connections on two cores, longest
/// wait for a SET meanwhile: 3.8 to 12.5 ms in four runs with a rest of a millisecond after three
/// steps of 1,024 keys, 3.8 ms with such a step for each entry.
const TURN_MAX: Duration = Duration::from_millis(1);
/// Keys a second that the steps of a node with clients add up to: a step looks at as many as fell
/// due since the last one began, so that where entries come often, each of them waits for less.
const KEYS_PER_SECOND: u64 = 900_000;
/// No step looks at fewer keys than the largest one, divided by this.
const STEP_SHARE: usize = 4;

/// A step that takes longer ends before it has looked at all its keys. It takes some 0.3 ms, but on
/// a host that others use, a processor was seen to be a tenth as fast for milliseconds.
const STEP_MAX: Duration = Duration::from_micros(500);

/// How long the last snapshot of a node that stops may take.
const LAST_MAX: Duration = Duration::from_secs(20);
/// How often it is looked whether the one before it is done.
const LAST_POLL: Duration = Duration::from_millis(5);

/// What became of a snapshot.
pub(crate) type Saved = Result<SnapshotFile, NoSnapshot>;

/// The snapshot being taken, and what became of the last one.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    /// The newest cut of which there is no snapshot here, why, and when that was known.
    missed: Option<(u64, NoSnapshot, Duration)>,
    last_failed: bool,
    last_took: Option<Duration>,
    /// Taken by this process, and how many failed since the last one.
    saves: u64,
    failures: u64,
    /// Unix seconds of the newest snapshot, and [`quorate_engine::Keyspace::changes`] then.
    newest: (u64, u64),
}

#[derive(Debug)]
struct Running {
    /// Index of the cut.
    cut: u64,
    since: Duration,
    /// Written, and all.
    keys: (u64, u64),
    /// See [`State::newest`].
    changes: u64,
}

impl Saving {
    /// A snapshot was loaded or installed.
    pub(crate) fn loaded(&self, at: u64) {
        lock(&self.state).newest = (at, 0);
    }

    /// Whether none is being taken and none has failed a moment ago: the leader may log a cut.
    pub(crate) fn is_idle(&self, now: Duration) -> bool {
        let state = lock(&self.state);
        let failed = state.missed.as_ref().filter(|_| state.last_failed);
        state.running.is_none()
            && failed.is_none_or(|(.., at)| at.saturating_add(RETRY_AFTER) < now)
    }

    /// Whether one is being taken.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.state).running.is_some()
    }

    /// Whether the snapshot of this cut is still being taken; the error says why there is none.
    /// Only for a cut that is applied and of which no snapshot is kept.
    pub(crate) fn is_at(&self, cut: u64) -> Result<(), NoSnapshot> {
        let state = lock(&self.state);
        if state.running.as_ref().is_some_and(|running| running.cut == cut) {
            return Ok(());
        }
        let why = state.missed.as_ref().filter(|(index, ..)| *index == cut);
        Err(why.map_or(NoSnapshot::Unknown, |(_, why, _)| why.clone()))
    }

    pub(crate) fn status(&self, now: Duration, changes: u64) -> SavingStatus {
        let state = lock(&self.state);
        let running = state.running.as_ref();
        SavingStatus {
            running: running.map(|it| (now.saturating_sub(it.since), it.keys.0, it.keys.1)),
            failed: state.last_failed,
            saves: state.saves,
            failures: state.failures,
            took: state.last_took,
            newest_at: state.newest.0,
            changes: changes.saturating_sub(state.newest.1),
        }
    }
}

/// When the snapshotter takes its next step.
#[derive(Default)]
struct Pace {
    /// The last entry that was applied when the last step began.
    seen: u64,
    /// No entry came in the time that the snapshotter waits for one.
    idle: bool,
    /// When the last step began.
    began: Duration,
}

impl Pace {
    /// Whether an entry is to be waited for, `applied` being the last one. A node that applies
    /// nothing has nobody to make room for.
    fn waits(&mut self, applied: u64) -> bool {
        self.idle &= applied == self.seen;
        applied == self.seen && !self.idle
    }

    /// Keys for a step that begins now, `max` being the most: all of them on a node that applies
    /// nothing.
    fn keys(&mut self, now: Duration, max: usize) -> usize {
        let since = now.saturating_sub(std::mem::replace(&mut self.began, now));
        let due = since.as_micros() * u128::from(KEYS_PER_SECOND) / 1_000_000;
        let due = usize::try_from(due).unwrap_or(max);
        if self.idle { max } else { due.clamp(max.div_ceil(STEP_SHARE), max) }
    }
}

/// What the snapshotter carries from step to step.
struct Writing<E: Env> {
    draft: Draft<E::Disk>,
    checksum: Checksum,
}

impl<E: Env> Writing<E> {
    fn write(&mut self, step: &FreezeStep) -> Result<(), StoreError> {
        let mut written = Ok(());
        for piece in &step.pieces {
            piece.write(&mut |bytes| {
                if written.is_ok() {
                    self.checksum.update(bytes);
                    written = self.draft.write(bytes);
                }
            });
        }
        written
    }
}

/// Takes snapshots, and knows the newest one.
pub(crate) struct Snapshotter<E: Env> {
    process: Arc<Process<E>>,
    log: Arc<RaftLog<E>>,
    live: Arc<Live>,
    pub(crate) files: Arc<Snapshots<E::Disk>>,
    kept: Mutex<Option<Kept>>,
    pub(crate) saving: Saving,
    /// Told when one was taken.
    taken: Notify,
}

impl<E: Env> Snapshotter<E> {
    /// `kept` is the newest snapshot that is loaded.
    pub(crate) fn new(
        process: Arc<Process<E>>,
        (log, live): (Arc<RaftLog<E>>, Arc<Live>),
        files: Arc<Snapshots<E::Disk>>,
        kept: Option<Kept>,
    ) -> Self {
        let (saving, taken) = (Saving::default(), Notify::new());
        Self { process, log, live, files, kept: Mutex::new(kept), saving, taken }
    }

    /// Resolves when a snapshot was taken since the last call.
    pub(crate) async fn taken(&self) {
        self.taken.notified().await;
    }

    /// Wakes whoever waits for the next snapshot: Raft has stopped, and there is nobody to tell.
    pub(crate) fn end(&self) {
        self.taken.notify_one();
    }

    /// Last entry and bytes of the newest snapshot; zero without one.
    pub(crate) fn newest(&self) -> (u64, u64) {
        lock(&self.kept).as_ref().map_or((0, 0), |kept| (kept.file.last.index, kept.file.bytes))
    }

    /// What Raft must know of the newest snapshot.
    pub(crate) fn newest_meta(&self) -> Option<SnapshotMeta> {
        lock(&self.kept).as_ref().map(|kept| kept.meta.clone())
    }

    /// Notes a snapshot on disk, if it is the newest.
    pub(crate) fn keep(&self, file: SnapshotFile, meta: SnapshotMeta) {
        let mut kept = lock(&self.kept);
        if kept.as_ref().is_none_or(|kept| kept.file.last.index <= file.last.index) {
            *kept = Some(Kept { file, meta });
        }
    }

    /// A handle of the newest snapshot on disk.
    pub(crate) fn handle(&self) -> Option<SnapshotOf<Config<E>, Content<E::Disk>>> {
        let kept = lock(&self.kept);
        let Kept { file, meta } = kept.as_ref()?;
        let snapshot = Content::Kept(file.clone(), self.files.clone());
        Some(Snapshot { meta: meta.clone(), snapshot })
    }

    /// Freezes the keyspace, which is as of `meta`, and has it written. Called by apply alone. What
    /// it gives resolves when the snapshot is there; nobody needs to wait for it.
    pub(crate) async fn save(self: &Arc<Self>, meta: SnapshotMeta) -> oneshot::Receiver<Saved> {
        let members = self.process.guard.members().clone();
        let facts = Facts { cluster: self.process.cluster, meta: meta.clone(), members };
        let facts = facts.to_fields();
        self.live.feeds.part();
        let (done, saved) = oneshot::channel();
        let since = self.process.env.elapsed();
        let index = meta.last_log_id.map_or(0, |id| id.index);
        // One snapshotter at a time, also when its keyspace was replaced meanwhile.
        let idle = lock(&self.saving.state).running.is_none();
        let begun = if idle {
            let mut keyspace = self.live.write().await;
            keyspace.freeze(&facts).map(|frozen| (frozen, keyspace.changes()))
        } else {
            None
        };
        let Some((frozen, changes)) = begun else {
            let why = NoSnapshot::Already;
            tracing::info!(index, %why, "no snapshot of this cut");
            lock(&self.saving.state).missed = Some((index, why.clone(), since));
            let _ = done.send(Err(why));
            return saved;
        };
        let running = Running { cut: index, since, keys: (0, frozen.keys), changes };
        lock(&self.saving.state).running = Some(running);
        let this = self.clone();
        E::spawn(async move {
            let outcome = this.take_down(frozen, &meta).await;
            if outcome.is_err() {
                this.give_up(frozen).await;
            }
            let outcome = this.conclude(index, meta, outcome);
            let _ = done.send(outcome);
        });
        saved
    }

    /// Writes what was frozen, step by step, and publishes it.
    async fn take_down(self: &Arc<Self>, frozen: Frozen, meta: &SnapshotMeta) -> Saved {
        let (snapshots, log) = (self.files.clone(), self.log.entries.clone());
        let draft = self.process.env.heavy(move || snapshots.begin(&log)).await?;
        let mut writing = Writing::<E> { draft, checksum: Checksum::default() };
        let mut pace = Pace::default();
        loop {
            pace.seen = self.live.applied.index();
            // On the event loop: a thread that waits for a processor while it holds the keyspace
            // would make everybody wait with it.
            let step = {
                let mut keyspace = self.live.write().await;
                let keys = pace.keys(self.process.env.elapsed(), self.process.env.step_keys());
                self.step(&mut keyspace, frozen, keys)
            };
            let Some(mut step) = step else {
                return Err(NoSnapshot::Replaced);
            };
            self.process.free(std::mem::take(&mut step.garbage));
            if let Some(running) = &mut lock(&self.saving.state).running {
                running.keys.0 = step.keys;
            }
            let done = step.done;
            let worked = self.process.env.heavy(move || {
                let written = writing.write(&step);
                (writing, written)
            });
            if !done {
                self.await_turn(&mut pace).await;
            }
            let (given_back, written) = worked.await;
            writing = given_back;
            written?;
            if done {
                break;
            }
            // Whom the entry answers has his reply sent, and what he asks next is read, before the
            // keyspace is held again: the step falls into the time in which the log is synced.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        let complete = self.process.env.heavy(move || {
            writing.draft.write(&writing.checksum.finish())?;
            writing.draft.complete()?;
            Ok::<_, StoreError>(writing.draft)
        });
        let draft = complete.await?;
        let (snapshots, log) = (self.files.clone(), self.log.entries.clone());
        let last = meta.last_log_id.map(convert::log_id_to_store).unwrap_or_default();
        Ok(self.process.env.heavy(move || snapshots.publish(&log, last, draft)).await?)
    }

    /// One step of so many keys, after which nothing waits for the snapshotter.
    fn step(&self, keyspace: &mut Keyspace, frozen: Frozen, keys: usize) -> Option<FreezeStep> {
        let end = self.process.env.elapsed().saturating_add(STEP_MAX);
        let mut is_enough = || self.process.env.elapsed() >= end;
        let step = keyspace.freeze_step(frozen, keys, &mut is_enough);
        self.live.backlog.waits(0);
        step
    }

    /// Waits until an entry was applied since the last step began, or none comes.
    async fn await_turn(&self, pace: &mut Pace) {
        if pace.waits(self.live.applied.index()) {
            let next = self.live.applied.reached(pace.seen + 1);
            pace.idle = E::within(TURN_MAX, next).await.is_none();
        }
    }

    /// Makes the last snapshot. Raft has stopped, so nothing is applied any more, and the cluster
    /// goes on without this replica: nobody waits for it.
    pub(crate) async fn save_last(self: &Arc<Self>, when: LastSnapshot) {
        let saving = E::within(LAST_MAX, async {
            while lock(&self.saving.state).running.is_some() && when != LastSnapshot::Never {
                E::sleep(LAST_POLL).await;
            }
            let Some(meta) = self.last_due(when) else { return };
            match self.save(meta).await.await {
                Ok(Ok(file)) => tracing::info!(path = file.path, "the directory is exact"),
                Ok(Err(why)) => tracing::warn!(%why, "the last snapshot could not be made"),
                Err(_) => {}
            }
        });
        if saving.await.is_none() {
            tracing::warn!(limit = ?LAST_MAX, "no last snapshot: it takes too long");
        }
    }

    /// What the last snapshot would be of, if there is a use for it.
    fn last_due(&self, when: LastSnapshot) -> Option<SnapshotMeta> {
        let LogId { term, index } = self.live.applied.id();
        let kept = lock(&self.kept).as_ref().map_or(0, |kept| kept.file.last.index);
        let wanted = match when {
            LastSnapshot::Never => false,
            LastSnapshot::IfInexact => self.log.entries.inexact_since().is_some(),
            LastSnapshot::Always => true,
        };
        (wanted && index > kept).then(|| SnapshotMeta {
            last_log_id: Some(log_id(term, index)),
            last_membership: lock(&self.live.membership).clone(),
        })
    }

    /// Brings a freeze that is not written to its end, so that the next one can begin.
    async fn give_up(self: &Arc<Self>, frozen: Frozen) {
        loop {
            let (garbage, step) = {
                let mut keyspace = self.live.write().await;
                let garbage = keyspace.freeze_abandon(frozen);
                (garbage, self.step(&mut keyspace, frozen, self.process.env.step_keys()))
            };
            let Some(step) = step else { return };
            self.process.free(step.garbage.into_iter().chain(garbage).collect());
            if step.done {
                return;
            }
            // The event loop goes on between two steps.
            self.process.env.heavy(move || drop(step.pieces)).await;
        }
    }

    /// Gives up the older of two snapshots if there is too little space for a third.
    fn make_room(self: &Arc<Self>) {
        let (snapshots, log) = (self.files.clone(), self.log.entries.clone());
        let newest = lock(&self.kept).as_ref().map_or(0, |kept| kept.file.bytes);
        let work = move || {
            if !log.is_short_of(newest) {
                return;
            }
            match snapshots.give_up_older(&log) {
                Ok(true) => tracing::warn!("space is short: the older snapshot is given up"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the older snapshot cannot be given up"),
            }
        };
        let worked = self.process.env.heavy(work);
        E::spawn(worked);
    }

    /// Notes what became of it and tells Raft.
    fn conclude(self: &Arc<Self>, index: u64, meta: SnapshotMeta, outcome: Saved) -> Saved {
        let now = self.process.env.elapsed();
        let overtaken = lock(&self.kept).as_ref().is_some_and(|kept| kept.file.last.index >= index);
        if let Ok(file) = &outcome {
            tracing::info!(index, bytes = file.bytes, "snapshot written");
            self.keep(file.clone(), meta);
        }
        let mut state = lock(&self.saving.state);
        let running = state.running.take();
        match &outcome {
            Ok(_) => {
                state.last_failed = false;
                (state.saves, state.failures) = (state.saves + 1, 0);
                state.last_took = running.as_ref().map(|it| now.saturating_sub(it.since));
                let changes = running.map_or(0, |running| running.changes);
                state.newest = (self.process.env.wall_ms() / 1000, changes);
            }
            Err(why) => {
                tracing::warn!(index, %why, "no snapshot; the next cut tries again");
                state.last_failed = !overtaken;
                state.failures += 1;
                state.missed = Some((index, why.clone(), now));
            }
        }
        drop(state);
        if outcome.is_err() {
            self.make_room();
        }
        if outcome.is_ok() {
            self.taken.notify_one();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshotter_waits_for_entries_only_while_they_come() {
        let mut pace = Pace { seen: 5, ..Pace::default() };
        assert!(pace.waits(5));
        // One came while the step was written.
        assert!(!pace.waits(6));
        // None came: it is not waited for again.
        pace = Pace { seen: 6, idle: true, ..pace };
        assert!(!pace.waits(6) && !pace.waits(6));
        // They come again.
        assert!(!pace.waits(7));
        pace.seen = 7;
        assert!(pace.waits(7));
    }

    #[test]
    fn a_step_looks_at_the_keys_that_fell_due() {
        let mut pace = Pace { began: Duration::from_secs(1), ..Pace::default() };
        let mut keys_at = |us: u64| pace.keys(Duration::from_micros(1_000_000 + us), 1024);
        assert_eq!(keys_at(500), 450);
        assert_eq!(keys_at(1_500), 900);
        // Never so few that it takes for ever, never so many that somebody waits.
        assert_eq!(keys_at(1_510), 256);
        assert_eq!(keys_at(9_000), 1024);
        pace.idle = true;
        assert_eq!(pace.keys(pace.began, 1024), 1024);
        assert_eq!(Pace::default().keys(Duration::ZERO, 1), 1);
    }

    #[test]
    fn after_a_failure_no_cut_is_logged_for_a_while() {
        let saving = Saving::default();
        assert!(saving.is_idle(Duration::ZERO));
        let since = Duration::from_secs(5);
        *lock(&saving.state) = State {
            missed: Some((7, NoSnapshot::Replaced, since)),
            last_failed: true,
            ..State::default()
        };
        assert!(!saving.is_idle(since + RETRY_AFTER) && saving.is_idle(since + RETRY_AFTER * 2));
        assert!(matches!(saving.is_at(7), Err(NoSnapshot::Replaced)));
        assert!(matches!(saving.is_at(8), Err(NoSnapshot::Unknown)));
    }
}
